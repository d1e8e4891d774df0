//! Measurement of a trained run.

mod two_views;

pub use two_views::two_views;

use super::Config;
use super::train::{Session, load_network, run_config};
use crate::augment::{ViewStream, Views};
use crate::data::{Images, Samples, Split};
use crate::error::{Error, Result};
use crate::model::{Input, Network};
use crate::ops::normalise;
use candle_core::{DType, Device, Tensor};
use measure::matrix::Matrix;
use measure::rng::{Purpose, stream};
use measure::{
    CollisionByClass, EvaluatedRun, Evaluation, SgdProbe, class_means, collision_by_class, components,
    knn_accuracy, linear_accuracy, linear_accuracy_sgd, mean_accuracy,
};
use std::path::Path;
use theory::NumDraws;
use theory::losses::{Estimate, LossComponents, Quantity, RunInfo};

/// Images per forward pass.
const CHUNK: usize = 512;

/// Frozen features of a set of images.
#[derive(Debug, Clone)]
pub struct Features {
    /// Encoder features, not normalised.
    pub encoder: Matrix,
    /// Head features, unit rows.
    pub head: Matrix,
}

/// Features with the running statistics of all samples, whose inputs `input` gives for a few indices at a time.
fn features(
    network: &Network,
    count: usize,
    stop: &(dyn Fn() -> bool + Sync),
    mut input: impl FnMut(&[usize]) -> Result<Input>,
) -> Result<Features> {
    let indices: Vec<usize> = (0..count).collect();
    let mut parts = [Matrix::zeros(0, 0), Matrix::zeros(0, 0)];
    for chunk in indices.chunks(CHUNK) {
        if stop() {
            return Err(Error::Interrupted("interrupted while settings; what was trained is saved".into()));
        }
        let output = network.forward(&input(chunk)?)?;
        let found = [matrix(&output.encoder)?, matrix(&normalise::forward(&output.head)?)?];
        for (part, found) in parts.iter_mut().zip(found) {
            part.rows += found.rows;
            part.cols = found.cols;
            part.data.extend(found.data);
        }
    }
    let [encoder, head] = parts;
    Ok(Features { encoder, head })
}

/// A tensor \[rows, cols\] of any float type as a matrix.
///
/// # Errors
/// Not a matrix.
pub fn matrix(tensor: &Tensor) -> Result<Matrix> {
    let (rows, cols) = tensor.dims2()?;
    // First off the device, which need not compute in f64.
    let data = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    Ok(Matrix { rows, cols, data })
}

/// Features of one random view of every sample.
fn augmented(context: &EvaluationContext<'_>, views: &Views<'_>, draw: &mut ViewStream) -> Result<Features> {
    features(&context.network, views.len(), context.stop, |chunk| views.random(chunk, draw, 1))
}

/// Accuracies of three classifiers on one representation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracies {
    /// Class means.
    pub mean: f64,
    /// Linear probe.
    pub linear: f64,
    /// Weighted nearest neighbours.
    pub knn: f64,
}

fn classify(train: &Matrix, test: &Matrix, means: Option<&Matrix>, split: &Split) -> Result<Accuracies> {
    let classes = split.train.num_classes();
    let (train_labels, test_labels) = (split.train.labels(), split.evaluated.labels());
    let own_means = class_means(train, train_labels, classes);
    Ok(Accuracies {
        mean: mean_accuracy(means.unwrap_or(&own_means), test, test_labels)?,
        linear: linear_accuracy((train, train_labels), (test, test_labels), classes)?,
        knn: knn_accuracy((train, train_labels), (test, test_labels), classes)?,
    })
}

/// Accuracies on un-augmented samples: head features, encoder features.
///
/// The mean classifier uses `means` for head features, and the means of the un-augmented training samples for encoder
/// features.
fn accuracies(context: &EvaluationContext<'_>, means: &Matrix) -> Result<[Accuracies; 2]> {
    let of =
        |views: &Views<'_>| features(&context.network, views.len(), context.stop, |chunk| views.plain(chunk));
    let (train, test) = (of(&context.train)?, of(&context.evaluated)?);
    Ok([
        classify(&train.head, &test.head, Some(means), context.split)?,
        classify(&train.encoder, &test.encoder, None, context.split)?,
    ])
}

/// A network and the samples that it is shown.
struct EvaluationContext<'a> {
    network: Network,
    config: &'a Config,
    split: &'a Split,
    train: Views<'a>,
    evaluated: Views<'a>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> EvaluationContext<'a> {
    fn new(
        network: Network,
        config: &'a Config,
        split: &'a Split,
        (device, stop): (&Device, &'a (dyn Fn() -> bool + Sync)),
    ) -> Result<Self> {
        let views = |samples: &'a Samples| Views::new(&config.augmentation, samples, device);
        let (train, evaluated) = (views(&split.train)?, views(&split.evaluated)?);
        Ok(Self { network, config, split, train, evaluated, stop })
    }
}

/// Accuracies of the encoder at initialisation, with class means made as for a trained one.
///
/// # Errors
/// The tensor library fails.
pub(super) fn untrained_accuracies(
    config: &Config,
    split: &Split,
    session: &Session<'_>,
) -> Result<[Accuracies; 2]> {
    let network = config.network(&split.train, session.device)?;
    let context = EvaluationContext::new(network, config, split, (session.device, session.stop))?;
    let means = ClassMeans::of(&context, config.seed)?;
    accuracies(&context, &means.means)
}

/// Numbers in the training images above which a probe on raw pixels takes too long.
const MOST_PIXELS: usize = 40_000_000;

/// Accuracies on raw pixels; `None` for texts, and for more than 4·10⁷ pixels.
///
/// # Errors
/// The tensor library fails.
pub(super) fn pixel_accuracies(split: &Split) -> Result<Option<Accuracies>> {
    let (Samples::Images(train), Samples::Images(evaluated)) = (&split.train, &split.evaluated) else {
        return Ok(None);
    };
    if train.len() * train.pixels_per_image() > MOST_PIXELS {
        return Ok(None);
    }
    let matrix = |images: &Images| {
        let mut pixels = Vec::new();
        (0..images.len()).for_each(|i| images.push_unit(i, &mut pixels));
        let data = pixels.into_iter().map(f64::from).collect();
        Matrix { rows: images.len(), cols: images.pixels_per_image(), data }
    };
    // Unit rows, as for head features: otherwise the mean classifier would favour bright classes.
    let mut unit = [matrix(train), matrix(evaluated)];
    for m in &mut unit {
        m.normalise_rows().map_err(|row| Error::argument(format!("image {row} is black")))?;
    }
    Ok(Some(classify(&unit[0], &unit[1], None, split)?))
}

/// What is measured of a trained run; `None`: as the run's settings say.
#[derive(Debug, Clone, Default)]
pub struct EvaluationSettings<'a> {
    /// n = K+1, each one row.
    pub draws: Option<&'a [NumDraws]>,
    /// t.
    pub temperature: Option<f64>,
    /// Passes over the evaluated samples.
    pub passes: Option<usize>,
    /// Seed of the batches and views.
    pub seed: Option<u64>,
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
    let (config, network) = trained(path, split, session)?;
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    measure_network(network, &config, &name, split, settings, session)
}

/// Settings and network of a run that was trained on the training samples of `split`.
fn trained(path: &Path, split: &Split, session: &Session<'_>) -> Result<(Config, Network)> {
    let (config, manifest) = run_config(path)?;
    let here = split.train.describe();
    if let Some(there) = manifest.provenance.filter(|there| !there.starts_with(&here)) {
        return Err(Error::argument(format!(
            "{} was trained on other samples than these: {there}, now {here}",
            path.display()
        )));
    }
    let network = load_network(path, &config, &split.train, session.device)?;
    Ok((config, network))
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
    let EvaluationSettings { draws, temperature, passes, seed } = settings.clone();
    let context = EvaluationContext::new(network, config, split, (session.device, session.stop))?;
    let default = [NumDraws::new(config.evaluated_draws())?];
    let draws = draws.unwrap_or(&default);
    let passes = passes.or(config.passes);
    for &n in draws {
        measure::passes_for(split.evaluated.len(), n)?;
    }
    let seed = seed.unwrap_or(config.seed);
    let means = ClassMeans::of(&context, seed)?;
    let mut sample_means: Option<Matrix> = None;
    for view in 0..config.fbar_views {
        let mut draw = ViewStream::new(seed, Purpose::SampleMeans, view)?;
        let features = augmented(&context, &context.evaluated, &mut draw)?.head;
        let sum = sample_means.get_or_insert_with(|| Matrix::zeros(features.rows, features.cols));
        sum.data.iter_mut().zip(&features.data).for_each(|(s, x)| *s += x / config.fbar_views as f64);
    }
    let spreads = means.spreads(&split.train)?;
    let [head, encoder] = accuracies(&context, &means.means)?;
    let sgd = sgd_accuracies(&context)?;
    let mut rows = Vec::new();
    let mut geometry = None;
    for &num_draws in draws {
        let evaluation = Evaluation {
            labels: split.evaluated.labels(),
            class_means: &means.means,
            sample_means: sample_means.as_ref(),
            temperature: temperature.unwrap_or(config.temperature),
            num_draws,
            passes,
        };
        let mut views = |pass: usize| -> Result<measure::Views> {
            let mut draw = ViewStream::new(seed, Purpose::EvaluationViews, pass)?;
            let first = augmented(&context, &context.evaluated, &mut draw)?.head;
            draw.second_half();
            let second = augmented(&context, &context.evaluated, &mut draw)?.head;
            let views = measure::Views { first, second };
            if geometry.is_none() {
                geometry = Some(measure::geometry(&views)?);
            }
            Ok(views)
        };
        let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
        let mut row = components(&evaluation, &mut order, &mut views)?;
        row.run = run_info(config, name, context.network.head_name());
        row.run.train_samples = Some(split.train.len() as u64);
        row.measure_seed = (seed != config.seed).then_some(seed);
        row.fbar_views = Some(config.fbar_views as u64);
        set_exact(
            &mut row,
            &[
                (Quantity::CollisionSpread, overall(&spreads[0])),
                (Quantity::CollisionSpreadEncoder, overall(&spreads[1])),
                (Quantity::MeanAccuracy, head.mean),
                (Quantity::MeanAccuracyEncoder, encoder.mean),
                (Quantity::LinearAccuracy, head.linear),
                (Quantity::LinearAccuracyEncoder, encoder.linear),
                (Quantity::KnnAccuracy, head.knn),
                (Quantity::KnnAccuracyEncoder, encoder.knn),
            ],
        )?;
        set_exact(&mut row, &sgd)?;
        set_exact(&mut row, &geometry.iter().flat_map(|g| g.columns()).collect::<Vec<_>>())?;
        knn_columns(&mut row);
        rows.push(row);
    }
    Ok(EvaluatedRun { rows, spreads })
}

/// Accuracies of the paper's linear probe on head features and encoder features, where the settings ask for them.
fn sgd_accuracies(context: &EvaluationContext<'_>) -> Result<Vec<(Quantity, f64)>> {
    let Some(epochs) = context.config.probe_epochs else { return Ok(Vec::new()) };
    let probe = SgdProbe { epochs, best_epoch: context.config.probe_best_epoch, ..SgdProbe::default() };
    let plain =
        |views: &Views<'_>| features(&context.network, views.len(), context.stop, |chunk| views.plain(chunk));
    let (train, test) = (plain(&context.train)?, plain(&context.evaluated)?);
    let labels = (context.split.train.labels(), context.split.evaluated.labels());
    let mut found = Vec::new();
    for (index, measure, train, test) in [
        (0, Quantity::LinearAccuracySgd, &train.head, &test.head),
        (1, Quantity::LinearAccuracySgdEncoder, &train.encoder, &test.encoder),
    ] {
        let mut rng = stream(context.config.seed, Purpose::Probe, index);
        let classes = context.split.train.num_classes();
        match linear_accuracy_sgd(&probe, (train, labels.0), (test, labels.1), classes, &mut rng) {
            Ok(accuracy) => found.push((measure, accuracy)),
            // Features of large norm at this rate: the column stays empty.
            Err(measure::Error::NonFinite(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Sets measures that are no means over batches.
fn set_exact(row: &mut LossComponents, values: &[(Quantity, f64)]) -> Result<()> {
    values.iter().try_for_each(|&(measure, value)| Ok(row.set(measure, Estimate::exact(value))?))
}

fn knn_columns(row: &mut LossComponents) {
    row.knn_k = Some(measure::KNN_NEIGHBOURS as u64);
    row.knn_temperature = Some(measure::KNN_TEMPERATURE);
}

fn run_info(config: &Config, name: &str, head: String) -> RunInfo {
    RunInfo {
        run_id: name.to_string(),
        dataset: config.dataset.clone(),
        encoder: config.encoder.name().into(),
        head,
        loss: config.loss_name(),
        seed: Some(config.seed),
        epochs: Some(config.epochs as u64),
        batch_size: Some(config.batch_size as u64),
        train_negatives: Some(config.train_negatives()),
        effective_negatives: config.effective_negatives().map(|k| k as f64),
        selection: config.selection().map(|selection| selection.to_string()).unwrap_or_default(),
        ..RunInfo::default()
    }
}

/// What the training samples say about the classes.
struct ClassMeans {
    /// μ_c of head features.
    means: Matrix,
    /// Two views of the training samples: unit head features, unit encoder features.
    views: [measure::Views; 2],
}

impl ClassMeans {
    fn of(context: &EvaluationContext<'_>, seed: u64) -> Result<Self> {
        let (config, train) = (context.config, &context.split.train);
        let mut saved = Vec::new();
        let mut means: Option<Matrix> = None;
        for view in 0..config.mean_views {
            let mut draw = ViewStream::new(seed, Purpose::ClassMeans, view)?;
            let features = augmented(context, &context.train, &mut draw)?;
            let of_view = class_means(&features.head, train.labels(), train.num_classes());
            let sum = means.get_or_insert_with(|| Matrix::zeros(of_view.rows, of_view.cols));
            sum.data.iter_mut().zip(&of_view.data).for_each(|(s, x)| *s += x / config.mean_views as f64);
            if saved.len() < 2 {
                saved.push(features);
            }
        }
        let (Some(means), Ok([first, mut second])) = (means, <[Features; 2]>::try_from(saved)) else {
            return Err(Error::argument("class means need at least 2 views"));
        };
        let mut first = first;
        for encoder in [&mut first.encoder, &mut second.encoder] {
            // A row of zeros, such as that of an empty text, has no direction and stays.
            encoder.normalise_nonzero_rows();
        }
        let head = measure::Views { first: first.head, second: second.head };
        let encoder = measure::Views { first: first.encoder, second: second.encoder };
        Ok(Self { means, views: [head, encoder] })
    }

    /// The spread within each class, of head features and of encoder features.
    fn spreads(&self, train: &Samples) -> Result<[Vec<CollisionByClass>; 2]> {
        let of = |views| collision_by_class(views, train.labels(), train.num_classes());
        Ok([of(&self.views[0])?, of(&self.views[1])?])
    }
}

/// β̂ of all samples, from its classes.
fn overall(classes: &[CollisionByClass]) -> f64 {
    let samples: usize = classes.iter().map(|class| class.samples).sum();
    classes.iter().map(|class| class.samples as f64 * class.spread.mean).sum::<f64>() / samples.max(1) as f64
}
