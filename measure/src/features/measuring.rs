//! [`Features`] to rows of `losses.csv`.

use super::{Features, Request, pairs};
use crate::evaluation::{Evaluation, Views};
use crate::matrix::Matrix;
use crate::moments::Moments;
use crate::outcome::EvaluatedRun;
use crate::pool::{self, Stop};
use crate::rng::{Purpose, stream};
use crate::rows::{FeatureRows, runs};
use crate::{Error, Result};
use crate::{
    class_means, collision, collision_spread, components, geometry, mean_accuracy, mean_accuracy_two_views,
};
use sha2::{Digest, Sha256};
use theory::losses::{Estimate, Quantity};

impl<F: FeatureRows> Features<F> {
    /// Both views, as the components take them.
    pub fn views(&self) -> Views<&F> {
        Views { first: &self.view1, second: &self.view2 }
    }

    /// μ_c \[C, d\]: of the training features, else the mean over both views.
    ///
    /// # Errors
    /// A class without sample, which [`new`](Features::new) and [`open`](Features::open) refuse; a file that can no longer
    /// be read.
    pub fn class_means(&self) -> Result<Matrix> {
        if let Some((train, labels)) = &self.train {
            return class_means(train, labels, self.num_classes);
        }
        let mut means = class_means(&self.view1, &self.labels, self.num_classes)?;
        let second = class_means(&self.view2, &self.labels, self.num_classes)?;
        means.data.iter_mut().zip(&second.data).for_each(|(x, y)| *x = 0.5 * (*x + y));
        Ok(means)
    }

    /// What identifies a measurement of these features beside its temperature and draws: the first 16 hexadecimal digits
    /// of SHA-256 over name, shape and values (f64, little-endian) of every array, the number of passes, and the seed,
    /// which here is that of the batches: two measurements of one encoder are no two seeds of a training. Where only
    /// some samples are paired, their number as well.
    ///
    /// # Errors
    /// A file that can no longer be read; `stop` says so.
    pub fn settings_id(&self, request: &Request, stop: Stop<'_>) -> Result<String> {
        let &Request { passes, seed, most_paired, .. } = request;
        let mut hash = Sha256::new();
        let matrices = [
            Some(("view1", &self.view1)),
            Some(("view2", &self.view2)),
            self.train.as_ref().map(|(train, _)| ("train", train)),
            self.mean.as_ref().map(|mean| ("mean", mean)),
        ];
        let mut bytes = Vec::new();
        for (name, rows) in matrices.into_iter().flatten() {
            hash.update(format!("{name} [{}, {}]\n", rows.count(), rows.width()));
            for range in runs(rows.count(), rows.width() << 4) {
                pool::check(stop, "reading features")?;
                bytes.clear();
                bytes.extend(rows.run(range)?.iter().flat_map(|value| value.to_le_bytes()));
                hash.update(&bytes);
            }
        }
        let train_labels = self.train.as_ref().map(|(_, labels)| ("train_labels", labels));
        for (name, labels) in [("labels", &self.labels)].into_iter().chain(train_labels) {
            hash.update(format!("{name} [{}, 1]\n", labels.len()));
            labels.iter().for_each(|&label| hash.update((label as f64).to_le_bytes()));
        }
        match passes {
            Some(passes) => hash.update(format!("passes {passes}\n")),
            None => hash.update("passes for 100 batches\n"),
        }
        hash.update(format!("seed {seed}\n"));
        if let Some(paired) = most_paired.filter(|&most| self.labels.len() > most) {
            hash.update(format!("pairs of {paired} samples\n"));
        }
        Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Everything that the bounds need, as rows called `name`, with the spread within each class between the two views
    /// (the encoder's features are not in the file).
    ///
    /// The same bits for any number of threads of the current rayon pool.
    ///
    /// # Errors
    /// More draws than samples; a temperature that is not positive, or a setting of the classifiers out of range; an
    /// exponential or a loss that overflows; `stop` says so.
    ///
    /// # Examples
    /// As in the documentation of the [crate].
    pub fn measure(&self, name: &str, request: &Request, stop: Stop<'_>) -> Result<EvaluatedRun> {
        let &Request { ref draws, ref temperatures, passes, seed, classifiers, most_paired } = request;
        classifiers.knn.check()?;
        let (views, means, classes) = (self.views(), self.class_means()?, self.num_classes);
        // What depends on neither draws nor temperature.
        let share = |share| Estimate::share(share, self.labels.len());
        let members = pairs::of_classes(&self.labels, classes, most_paired, seed);
        let by_class = collision::of_members(&views, &members, &self.labels, stop)?;
        let mut fixed = vec![
            (Quantity::MeanAccuracy, share(mean_accuracy(&means, &self.view1, &self.labels)?)),
            (Quantity::MeanAccuracyTwoViews, share(mean_accuracy_two_views(&means, &views, &self.labels)?)),
            (Quantity::CollisionSpread, Estimate::exact(collision_spread(&by_class))),
        ];
        fixed.extend(Moments::new(&means, &self.view1, &self.labels, stop)?.columns().map(
            |(quantity, value)| {
                (quantity, if quantity.is_accuracy() { share(value) } else { Estimate::exact(value) })
            },
        ));
        let paired = pairs::of_all(self.labels.len(), most_paired, seed);
        fixed.extend(geometry::of_rows(&views, paired.as_deref(), stop)?.estimates());
        if let Some((train, labels)) = &self.train {
            let linear = classifiers.linear.fit(train, labels, classes, stop)?;
            fixed.push((Quantity::LinearAccuracy, share(linear.accuracy(&self.view1, &self.labels)?)));
            fixed.push((Quantity::LinearRidge, Estimate::exact(linear.ridge)));
            fixed.push((Quantity::LinearGradient, Estimate::exact(linear.gradient)));
            let (train, evaluated) = ((train, &labels[..]), (&self.view1, &self.labels[..]));
            let voted = classifiers.knn.accuracy(train, evaluated, classes, stop)?;
            fixed.push((Quantity::KnnAccuracy, share(voted)));
        }
        let settings_id = self.settings_id(request, stop)?;
        let sample_means = self.mean.as_ref();
        let mut rows = Vec::new();
        for (&num_draws, &temperature) in draws.iter().flat_map(|n| temperatures.iter().map(move |t| (n, t)))
        {
            let evaluation = Evaluation {
                labels: &self.labels,
                class_means: &means,
                sample_means: sample_means.as_ref(),
                temperature,
                num_draws,
                passes,
            };
            let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
            let mut row = components(&evaluation, &mut order, stop, |_| Ok::<_, Error>(&views))?;
            row.run.run_id = name.into();
            row.run.seed = Some(seed);
            row.run.settings_id = settings_id.clone();
            // How many views a given mean averages, the file does not say.
            row.fbar_views = self.mean.is_none().then_some(1);
            row.pair_samples = paired.as_ref().map(|paired| paired.len() as u64);
            for &(quantity, estimate) in &fixed {
                row.set(quantity, estimate)?;
            }
            if self.train.is_some() {
                classifiers.describe(&mut row);
            }
            rows.push(row);
        }
        Ok(EvaluatedRun { rows, spreads: [by_class, Vec::new()], picture: None })
    }
}
