//! Features that any program made, and everything that is measured from them.
//!
//! A file is `.npz` (as `numpy.savez` and `numpy.savez_compressed` write it) or safetensors; `docs/features.md` shows
//! how to make one. Arrays: `view1` \[N, d\], `view2` \[N, d\], `labels` \[N\]; optional `train` \[M, d\] with
//! `train_labels` \[M\] (class means; else both views), `mean` \[N, d\] (f̄ of each sample over more views; else the
//! other view alone, which makes d(f) conservative). Rows of views and `train` are normalised on reading; class means
//! and f̄ are not normalised again.

mod arrays;

use crate::classifiers::Classifiers;
use crate::evaluation::{Evaluation, Views};
use crate::matrix::Matrix;
use crate::moments::Moments;
use crate::outcome::EvaluatedRun;
use crate::pool::{self, Stop};
use crate::rng::{Purpose, stream};
use crate::{Error, Result};
use crate::{
    class_means, collision_by_class, collision_spread, components, geometry, mean_accuracy,
    mean_accuracy_two_views,
};
use arrays::{Array, Arrays};
use sha2::{Digest, Sha256};
use std::path::Path;
use theory::NumDraws;
use theory::losses::{Estimate, Quantity};

/// Features of N samples in two views.
#[derive(Debug, Clone)]
pub struct Features {
    /// View 1 \[N, d\], unit rows: the anchors.
    pub view1: Matrix,
    /// View 2 \[N, d\], unit rows: positives and negatives.
    pub view2: Matrix,
    /// Class of each sample, from 0.
    pub labels: Vec<usize>,
    /// Training features \[M, d\] (unit rows) and their classes.
    pub train: Option<(Matrix, Vec<usize>)>,
    /// f̄ of each sample \[N, d\], as given.
    pub mean: Option<Matrix>,
    /// C: one more than the largest label.
    pub num_classes: usize,
}

/// How features are measured.
#[derive(Debug, Clone)]
pub struct Request {
    /// n = K+1, each one row.
    pub draws: Vec<NumDraws>,
    /// t.
    pub temperature: f64,
    /// Passes over the samples; `None`: as many as make 100 batches.
    pub passes: Option<usize>,
    /// Of the order of the samples, from which batches are cut.
    pub seed: u64,
    /// The linear probe and the nearest neighbours, which features with training samples get.
    pub classifiers: Classifiers,
}

impl Features {
    /// Of arrays at hand; rows of views and of `train` are normalised here.
    ///
    /// # Errors
    /// Shapes that do not fit together, an array without rows or columns, classes without a sample or without a training
    /// sample, a class of `train` that no sample has, a row that is zero or not finite. The message names the array, the
    /// row and the value.
    pub fn new(
        view1: Matrix,
        view2: Matrix,
        labels: Vec<usize>,
        train: Option<(Matrix, Vec<usize>)>,
        mean: Option<Matrix>,
    ) -> Result<Self> {
        Self::checked([view1, view2], labels, train, mean).map_err(Error::Argument)
    }

    /// Reads a file: floats of 16, 32 or 64 bits (bfloat16 in safetensors), labels as any integers, arrays in C order.
    ///
    /// # Errors
    /// An unreadable file, one that is no regular file, or one shorter or longer than its header says; a damaged or
    /// doubled array; a missing array, labels that are no class, and those of [`new`](Self::new). The message names the
    /// file.
    ///
    /// # Examples
    /// ```no_run
    /// let features = measure::Features::read("features.npz".as_ref())?;
    /// println!("{} samples of {} classes", features.labels.len(), features.num_classes);
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn read(path: &Path) -> Result<Self> {
        let mut arrays = Arrays::open(path)?;
        let bad = |message: String| Error::data(path, message);
        let missing = |name: &str| bad(format!("there is no array '{name}'"));
        let mut get = |name: &str| arrays.get(name)?.ok_or_else(|| missing(name));
        let views = [matrix(get("view1")?).map_err(bad)?, matrix(get("view2")?).map_err(bad)?];
        let labels = classes(&get("labels")?).map_err(bad)?;
        let train = match arrays.get("train")? {
            Some(train) => {
                let labels = arrays.get("train_labels")?.ok_or_else(|| missing("train_labels"))?;
                Some((matrix(train).map_err(bad)?, classes(&labels).map_err(bad)?))
            }
            None => None,
        };
        let mean = arrays.get("mean")?.map(matrix).transpose().map_err(bad)?;
        Self::checked(views, labels, train, mean).map_err(bad)
    }

    fn checked(
        [view1, view2]: [Matrix; 2],
        labels: Vec<usize>,
        train: Option<(Matrix, Vec<usize>)>,
        mean: Option<Matrix>,
    ) -> Checked<Self> {
        let (view1, view2) = (unit("view1", view1)?, unit("view2", view2)?);
        let same_shape = |name: &str, m: &Matrix| {
            let (expected, found) = ([view1.rows, view1.cols], [m.rows, m.cols]);
            if found == expected {
                return Ok(());
            }
            Err(format!("'{name}' has shape {found:?}, 'view1' has {expected:?}"))
        };
        same_shape("view2", &view2)?;
        if let Some(i) = labels.iter().position(|&label| label >= MOST_CLASSES) {
            return Err(format!("'labels' entry {i} is {}, not a class 0, 1, …", labels[i]));
        }
        let num_classes = labels.iter().max().map_or(0, |m| m + 1);
        check_classes("labels", &labels, view1.rows, num_classes)?;
        let train = match train {
            Some((train, labels)) => {
                let train = unit("train", train)?;
                if train.cols != view1.cols {
                    return Err(format!("'train' has {} columns, 'view1' {}", train.cols, view1.cols));
                }
                check_classes("train_labels", &labels, train.rows, num_classes)?;
                Some((train, labels))
            }
            None => None,
        };
        if let Some(mean) = &mean {
            check_finite("mean", mean)?;
            same_shape("mean", mean)?;
        }
        Ok(Self { view1, view2, labels, train, mean, num_classes })
    }

    /// Both views, as the components take them.
    pub fn views(&self) -> Views {
        Views { first: self.view1.clone(), second: self.view2.clone() }
    }

    /// μ_c \[C, d\]: of the training features, else the mean over both views.
    ///
    /// # Errors
    /// A class without sample, which [`new`](Self::new) and [`read`](Self::read) refuse.
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
    /// which here is that of the batches: two measurements of one encoder are no two seeds of a training.
    pub fn settings_id(&self, passes: Option<usize>, seed: u64) -> String {
        let mut hash = Sha256::new();
        let mut add = |name: &str, rows: usize, cols: usize, values: &mut dyn Iterator<Item = f64>| {
            hash.update(format!("{name} [{rows}, {cols}]\n"));
            values.for_each(|value| hash.update(value.to_le_bytes()));
        };
        let labels = |labels: &[usize]| labels.iter().map(|&label| label as f64).collect::<Vec<f64>>();
        let matrices = [
            Some(("view1", &self.view1)),
            Some(("view2", &self.view2)),
            self.train.as_ref().map(|(train, _)| ("train", train)),
            self.mean.as_ref().map(|mean| ("mean", mean)),
        ];
        for (name, m) in matrices.into_iter().flatten() {
            add(name, m.rows, m.cols, &mut m.data.iter().copied());
        }
        add("labels", self.labels.len(), 1, &mut labels(&self.labels).into_iter());
        if let Some((_, train_labels)) = &self.train {
            add("train_labels", train_labels.len(), 1, &mut labels(train_labels).into_iter());
        }
        match passes {
            Some(passes) => hash.update(format!("passes {passes}\n")),
            None => hash.update("passes for 100 batches\n"),
        }
        hash.update(format!("seed {seed}\n"));
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Everything that the bounds need, at each number of draws, as rows called `name`, with the spread within each
    /// class between the two views (the encoder's features are not in the file).
    ///
    /// The same bits for any number of threads of the current rayon pool.
    ///
    /// # Errors
    /// More draws than samples; a temperature that is not positive, or a setting of the classifiers out of range; an
    /// exponential or a loss that overflows.
    ///
    /// # Examples
    /// As in the documentation of the [crate].
    pub fn measure(&self, name: &str, request: &Request) -> Result<EvaluatedRun> {
        self.measure_until(name, request, &pool::never)
    }

    /// [`measure`](Self::measure), given up as soon as `stop` says so.
    ///
    /// # Errors
    /// Those of [`measure`](Self::measure); `stop` says so.
    pub fn measure_until(&self, name: &str, request: &Request, stop: Stop<'_>) -> Result<EvaluatedRun> {
        self.measure_grid(name, request, &[request.temperature], stop)
    }

    /// [`measure_until`](Self::measure_until) at each of these temperatures in place of the request's, and at each number
    /// of draws; the batches of a number of draws are the same at every temperature.
    ///
    /// # Errors
    /// Those of [`measure`](Self::measure); `stop` says so.
    pub fn measure_grid(
        &self,
        name: &str,
        request: &Request,
        temperatures: &[f64],
        stop: Stop<'_>,
    ) -> Result<EvaluatedRun> {
        let &Request { ref draws, passes, seed, classifiers, .. } = request;
        classifiers.knn.check()?;
        let (views, means, classes) = (self.views(), self.class_means()?, self.num_classes);
        // What depends on neither draws nor temperature.
        let test = (&views.first, &self.labels[..]);
        let share = |share| Estimate::share(share, self.labels.len());
        let spread = collision_spread(&views, &self.labels, classes, stop)?;
        let mut fixed = vec![
            (Quantity::MeanAccuracy, share(mean_accuracy(&means, test.0, test.1)?)),
            (Quantity::MeanAccuracyTwoViews, share(mean_accuracy_two_views(&means, &views, test.1)?)),
            (Quantity::CollisionSpread, Estimate::exact(spread)),
        ];
        fixed.extend(Moments::new(&means, test.0, test.1, stop)?.columns().map(|(quantity, value)| {
            (quantity, if quantity.is_accuracy() { share(value) } else { Estimate::exact(value) })
        }));
        fixed.extend(geometry(&views, stop)?.estimates());
        if let Some((train, labels)) = &self.train {
            let linear = classifiers.linear.fit(train, labels, classes, stop)?;
            fixed.push((Quantity::LinearAccuracy, share(linear.accuracy(test.0, test.1)?)));
            fixed.push((Quantity::LinearRidge, Estimate::exact(linear.ridge)));
            fixed.push((Quantity::LinearGradient, Estimate::exact(linear.gradient)));
            let knn = classifiers.knn.accuracy((train, labels), test, classes, stop)?;
            fixed.push((Quantity::KnnAccuracy, share(knn)));
        }
        let settings_id = self.settings_id(passes, seed);
        let mut rows = Vec::new();
        for (&num_draws, &temperature) in draws.iter().flat_map(|n| temperatures.iter().map(move |t| (n, t)))
        {
            let evaluation = Evaluation {
                labels: &self.labels,
                class_means: &means,
                sample_means: self.mean.as_ref(),
                temperature,
                num_draws,
                passes,
            };
            let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
            let mut row = components(&evaluation, &mut order, stop, |_| Ok::<_, Error>(views.clone()))?;
            row.run.run_id = name.into();
            row.run.seed = Some(seed);
            row.run.settings_id = settings_id.clone();
            // How many views a given mean averages, the file does not say.
            row.fbar_views = self.mean.is_none().then_some(1);
            for &(quantity, estimate) in &fixed {
                row.set(quantity, estimate)?;
            }
            if self.train.is_some() {
                classifiers.describe(&mut row);
            }
            rows.push(row);
        }
        Ok(EvaluatedRun {
            rows,
            spreads: [collision_by_class(&views, &self.labels, classes, stop)?, Vec::new()],
            picture: None,
        })
    }
}

/// Classes that a file may have: a label beyond is taken for a mistake.
const MOST_CLASSES: usize = 10_000_000;

type Checked<T> = std::result::Result<T, String>;

/// An array \[rows, d\].
fn matrix(Array { name, shape, values }: Array) -> Checked<Matrix> {
    match shape[..] {
        [rows, cols] => Ok(Matrix { rows, cols, data: values }),
        _ => Err(format!("'{name}' has shape {shape:?}, not [rows, d]")),
    }
}

/// Classes: whole numbers of any type, in a row or in a column.
fn classes(Array { name, values, .. }: &Array) -> Checked<Vec<usize>> {
    let class = |(i, &v): (usize, &f64)| match v >= 0.0 && v.fract() == 0.0 && v < MOST_CLASSES as f64 {
        true => Ok(v as usize),
        false => Err(format!("'{name}' entry {i} is {v}, not a class 0, 1, …")),
    };
    values.iter().enumerate().map(class).collect()
}

fn check_finite(name: &str, m: &Matrix) -> Checked<()> {
    if m.rows.checked_mul(m.cols) != Some(m.data.len()) {
        return Err(format!("'{name}' has {} values, not {} × {}", m.data.len(), m.rows, m.cols));
    }
    if m.data.is_empty() {
        return Err(format!("'{name}' has shape [{}, {}]: there is nothing to measure", m.rows, m.cols));
    }
    match m.data.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("'{name}' row {}, column {} is {}", i / m.cols, i % m.cols, m.data[i])),
        None => Ok(()),
    }
}

fn unit(name: &str, mut m: Matrix) -> Checked<Matrix> {
    check_finite(name, &m)?;
    m.normalise_rows().map_err(|row| format!("'{name}' row {row} is zero: it has no direction"))?;
    Ok(m)
}

fn check_classes(name: &str, labels: &[usize], rows: usize, num_classes: usize) -> Checked<()> {
    if labels.len() != rows {
        return Err(format!("'{name}' has {} entries for {rows} rows", labels.len()));
    }
    if let Some(&label) = labels.iter().find(|&&label| label >= num_classes) {
        return Err(format!("'{name}' has class {label}, 'labels' only 0..{num_classes}"));
    }
    match crate::absent_classes(labels, num_classes) {
        Some(absent) => Err(format!("'{name}' has no sample of {absent}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
