//! Measurement of a trained run: from its folder to the rows of `losses.csv`.

use super::super::Config;
use super::super::train::{Provenance, Session, load_network, run_config};
use super::embed::{Embedded, EvaluationContext};
use super::{Normalisation, evaluated_split, run_info};
use crate::data::{Samples, Split};
use crate::error::{Error, Result};
use crate::model::Network;
use candle_core::{Device, Tensor};
use measure::matrix::Matrix;
use measure::moments::Moments;
use measure::rng::{Purpose, stream};
use measure::{
    Classifiers, CollisionByClass, EvaluatedRun, Evaluation, Picture, collision_by_class, collision_spread,
    components, mean_accuracy_two_views,
};
use std::path::Path;
use theory::NumDraws;
use theory::losses::{Estimate, Quantity};

/// What is measured of a trained run; `None`: as the run's settings say.
#[derive(Debug, Clone, Default)]
pub struct EvaluationSettings<'a> {
    /// n = K+1, each one row.
    pub draws: Option<&'a [NumDraws]>,
    /// t.
    pub temperature: Option<f64>,
    /// Several t in place of one, each with every number of draws.
    pub temperatures: Option<&'a [f64]>,
    /// Passes over the evaluated samples.
    pub passes: Option<usize>,
    /// Seed of the batches and views.
    pub seed: Option<u64>,
    /// Of the pixels of random views and images alike, before the network sees them.
    pub normalisation: Option<&'a Normalisation>,
    /// The linear probe and the nearest neighbours.
    pub classifiers: Classifiers,
    /// Whether the head features of the evaluated samples, as they are, become a [`Picture`].
    pub picture: bool,
}

/// Measures a trained run at each number of draws, on the session's device, in f32; the run's data are `split`.
///
/// Class means: mean of `mean_views` augmented passes over the training samples, as in the paper. `seed` starts the
/// evaluation's streams; by default the run's.
///
/// # Errors
/// The folder holds no finished run, or one of other samples; more draws than evaluated samples; an interruption.
pub fn measure_run(
    path: &Path,
    split: &Split,
    settings: &EvaluationSettings<'_>,
    session: &Session<'_>,
) -> Result<EvaluatedRun> {
    let (config, network, precision) = trained(path, split, session)?;
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let mut measured = measure_network(network, &config, &name, split, settings, session)?;
    measured.rows.iter_mut().for_each(|row| row.run.precision.clone_from(&precision));
    Ok(measured)
}

/// Settings and network of a run that was trained on the training samples of `split`, and the numbers it computed in.
fn trained(path: &Path, split: &Split, session: &Session<'_>) -> Result<(Config, Network, String)> {
    let (config, manifest) = run_config(path)?;
    if let Some(difference) = manifest.provenance.difference(&Provenance::of_training(&split.train)) {
        return Err(Error::argument(format!(
            "{} was trained on other samples than these: {difference}",
            path.display()
        )));
    }
    let network = load_network(path, &config, &split.train, session.device)?;
    Ok((config, network, manifest.provenance.precision.unwrap_or_default()))
}

/// Unit head features of two random views of every evaluated sample, by a trained run; the run's data are `split`.
///
/// The views are those of the first pass of [`measure_run`] with the same seed; `None`: the run's.
///
/// # Errors
/// The folder holds no finished run, or one of other samples; an interruption.
pub fn two_views(
    path: &Path,
    split: &Split,
    seed: Option<u64>,
    session: &Session<'_>,
) -> Result<measure::Views> {
    let (config, network, _) = trained(path, split, session)?;
    let context = EvaluationContext::new(network, &config, split, session)?;
    context.two_views(seed.unwrap_or(config.seed), 0)
}

/// What `docs/features.md` asks of an encoder, of a trained run: `view1`, `view2`, `mean`, `train` (one random view
/// after the other, `mean_views` of them, as class means have) as f32, and `labels`, `train_labels`.
///
/// The views are those of the first pass of [`measure_run`] with the run's own seed.
///
/// # Errors
/// The folder holds no finished run, or one of other samples; an interruption.
pub fn exported_features(
    path: &Path,
    split: &Split,
    session: &Session<'_>,
) -> Result<Vec<(&'static str, Tensor)>> {
    let (config, network, _) = trained(path, split, session)?;
    let context = EvaluationContext::new(network, &config, split, session)?;
    let views = context.two_views(config.seed, 0)?;
    let (mean, train) = (context.sample_means(config.seed)?, context.training_passes(config.seed)?);
    let tensor = |matrix: &Matrix| -> Result<Tensor> {
        let values: Vec<f32> = matrix.data.iter().map(|&value| value as f32).collect();
        Ok(Tensor::from_vec(values, (matrix.rows, matrix.cols), &Device::Cpu)?)
    };
    let labels = |labels: &[usize], times: usize| -> Result<Tensor> {
        let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        let labels = labels.repeat(times);
        let count = labels.len();
        Ok(Tensor::from_vec(labels, count, &Device::Cpu)?)
    };
    let mut arrays = vec![
        ("view1", tensor(&views.first)?),
        ("view2", tensor(&views.second)?),
        ("labels", labels(split.evaluated.labels(), 1)?),
        ("train", tensor(&train)?),
        ("train_labels", labels(split.train.labels(), config.mean_views)?),
    ];
    arrays.extend(mean.map(|mean| tensor(&mean)).transpose()?.map(|mean| ("mean", mean)));
    Ok(arrays)
}

/// Whether the samples have classes: those of a flat folder have none, and count as being of one.
pub(in crate::run) fn has_classes(samples: &Samples) -> bool {
    samples.num_classes() > 1
}

/// Measures a network of these settings, called `name`, as [`measure_run`] does, whoever trained it.
///
/// # Errors
/// More draws than evaluated samples; an interruption.
pub fn measure_network(
    network: Network,
    config: &Config,
    name: &str,
    split: &Split,
    settings: &EvaluationSettings<'_>,
    session: &Session<'_>,
) -> Result<EvaluatedRun> {
    let has_classes = has_classes(&split.evaluated);
    let objective = config.training_objective()?;
    let default = [NumDraws::new(objective.evaluated_draws())?];
    let draws = settings.draws.unwrap_or(&default);
    for &n in draws {
        measure::passes_for(split.evaluated.len(), n)?;
    }
    let context = EvaluationContext::new(network, config, split, session)?.normalised(settings.normalisation);
    let embedded = Embedded::new(context, settings.seed.unwrap_or(config.seed))?;
    let spreads = if has_classes { embedded.spreads()? } else { Default::default() };
    let default = [settings.temperature.unwrap_or(config.temperature)];
    let temperatures = settings.temperatures.unwrap_or(&default);
    let grid: Vec<_> = draws.iter().flat_map(|&n| temperatures.iter().map(move |&t| (n, t))).collect();
    let mut passes = embedded.passes(grid.len() > 1);
    let views = passes.get(0)?;
    let mut fixed = measure::geometry(&views, session.stop)?.estimates().to_vec();
    let sample_means = match has_classes {
        true => {
            // Spreads are of training samples: other evaluated images do not move them.
            let estimate = |(quantity, value): (Quantity, f64)| match quantity.is_accuracy() {
                true => (quantity, Estimate::share(value, split.evaluated.len())),
                false => (quantity, Estimate::exact(value)),
            };
            fixed.extend(embedded.of_classes(&spreads, &settings.classifiers)?.into_iter().map(estimate));
            let both = mean_accuracy_two_views(&embedded.class_means, &views, split.evaluated.labels())?;
            fixed.push(estimate((Quantity::MeanAccuracyTwoViews, both)));
            embedded.context.sample_means(embedded.seed)?
        }
        false => None,
    };
    let mut rows = Vec::new();
    for (num_draws, temperature) in grid {
        let evaluation = Evaluation {
            labels: split.evaluated.labels(),
            class_means: &embedded.class_means,
            sample_means: sample_means.as_ref(),
            temperature,
            num_draws,
            passes: settings.passes.or(config.passes),
        };
        let mut order = stream(embedded.seed, Purpose::Evaluation, num_draws.get());
        let mut row = components(&evaluation, &mut order, embedded.context.stop, |pass| passes.get(pass))?;
        row.run = run_info(config, &objective, name, embedded.context.network.head_name(), &split.train);
        row.evaluated_split = evaluated_split(config).into();
        row.measure_seed = (embedded.seed != config.seed).then_some(embedded.seed);
        match has_classes {
            true => {
                row.fbar_views = Some(config.fbar_views as u64);
                settings.classifiers.describe(&mut row);
            }
            false => row.forget_classes(),
        }
        fixed.iter().try_for_each(|&(quantity, estimate)| row.set(quantity, estimate))?;
        rows.push(row);
    }
    let (labels, classes) = (split.evaluated.labels(), split.evaluated.num_classes());
    let draw = || Picture::new(&embedded.evaluated.head, labels, classes, session.stop);
    let picture = settings.picture.then(draw).transpose()?;
    Ok(EvaluatedRun { rows, spreads, picture })
}

impl Embedded<'_> {
    /// The spread within each class of the training samples: of head features, of encoder features.
    fn spreads(&self) -> Result<[Vec<CollisionByClass>; 2]> {
        let train = &self.context.split.train;
        let of = |views| collision_by_class(views, train.labels(), train.num_classes(), self.context.stop);
        let [head, encoder] = &self.training_views;
        Ok([of(head)?, of(encoder)?])
    }

    /// The columns that compare classes and do not depend on the number of draws.
    fn of_classes(
        &self,
        spreads: &[Vec<CollisionByClass>; 2],
        classifiers: &Classifiers,
    ) -> Result<Vec<(Quantity, f64)>> {
        let found = self.accuracies(classifiers)?;
        let [head, encoder] = found.map(|found| found.accuracies);
        let mut fixed = vec![
            (Quantity::CollisionSpread, collision_spread(&spreads[0])),
            (Quantity::CollisionSpreadEncoder, collision_spread(&spreads[1])),
            (Quantity::MeanAccuracy, head.mean),
            (Quantity::MeanAccuracyEncoder, encoder.mean),
            (Quantity::LinearAccuracy, head.linear),
            (Quantity::LinearAccuracyEncoder, encoder.linear),
            (Quantity::LinearRidge, found[0].ridge),
            (Quantity::LinearRidgeEncoder, found[1].ridge),
            (Quantity::LinearGradient, found[0].gradient),
            (Quantity::LinearGradientEncoder, found[1].gradient),
            (Quantity::KnnAccuracy, head.knn),
            (Quantity::KnnAccuracyEncoder, encoder.knn),
        ];
        let (head, labels) = (&self.evaluated.head, self.context.split.evaluated.labels());
        fixed.extend(Moments::new(&self.class_means, head, labels, self.context.stop)?.columns());
        fixed.extend(self.sgd_accuracies()?);
        Ok(fixed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{self, Request};
    use crate::run::Preset;

    /// Everything is read from features that are computed once: features that are put in their place are what is
    /// measured.
    #[test]
    fn the_sgd_probe_sees_the_features_at_hand() {
        let set = ["mean_views=2", "probe_epochs=3", "epochs=1"].map(String::from);
        let config = Preset::named("digits", &set).unwrap().config;
        let split = data::load(&Request::new("digits")).unwrap();
        let network = config.network(&split.train, &candle_core::Device::Cpu).unwrap();
        let context = EvaluationContext::new(network, &config, &split, &Session::CPU).unwrap();
        let mut embedded = Embedded::new(context, 7).unwrap();
        let chance = |accuracies: Vec<(Quantity, f64)>| accuracies.into_iter().all(|(_, value)| value < 0.2);
        let found = embedded.sgd_accuracies().unwrap();
        assert_eq!(found.len(), 2);
        assert!(!chance(found));
        // All samples alike: no classifier tells ten classes apart.
        for features in [&mut embedded.train, &mut embedded.evaluated] {
            features.head.data.fill(0.1);
            features.encoder.data.fill(0.1);
        }
        assert!(chance(embedded.sgd_accuracies().unwrap()));
        let [head, encoder] =
            embedded.accuracies(&Classifiers::default()).unwrap().map(|found| found.accuracies);
        assert!([head, encoder].iter().all(|a| a.mean < 0.2 && a.linear < 0.2 && a.knn < 0.2));
    }

    /// Passes that are kept are the passes that would be computed.
    #[test]
    fn passes_do_not_depend_on_what_was_asked_before() {
        let config = Preset::named("digits", &["mean_views=2".to_string()]).unwrap().config;
        let split = data::load(&Request::new("digits")).unwrap();
        let network = config.network(&split.train, &candle_core::Device::Cpu).unwrap();
        let context = EvaluationContext::new(network, &config, &split, &Session::CPU).unwrap();
        let embedded = Embedded::new(context, 7).unwrap();
        let (mut kept, mut single) = (embedded.passes(true), embedded.passes(false));
        let first = kept.get(0).unwrap();
        let second = kept.get(1).unwrap();
        assert_ne!(first.first, second.first);
        for pass in [1, 0, 1] {
            let expected = if pass == 0 { &first } else { &second };
            for views in [kept.get(pass).unwrap(), single.get(pass).unwrap()] {
                assert!(views.first == expected.first && views.second == expected.second);
            }
        }
    }
}
