//! Measurement of a trained run, or of features that another program made.

mod two_views;

pub use two_views::two_views;

use super::train::{Session, load_network, run_config};
use super::{Config, Objective};
use crate::augment::{ViewStream, Views};
use crate::data::{self, Images, Samples, Split};
use crate::error::{Error, Result};
use crate::model::{Input, Network};
use crate::ops::normalise;
use candle_core::{DType, Device, Tensor};
use measure::matrix::Matrix;
use measure::rng::{Purpose, stream};
use measure::{
    CollisionByClass, Evaluation, SgdProbe, class_means, collision_by_class, collision_figure,
    collision_spread, collision_table, knn_accuracy, linear_accuracy, linear_accuracy_sgd, mean_accuracy,
};
use std::path::Path;
use theory::NumDraws;
use theory::losses::{Estimate, LossComponents, Quantity, RunInfo};
use theory::report::{Format, figure};

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

/// What a measurement of a run gives.
#[derive(Debug)]
pub struct EvaluatedRun {
    /// One row for each number of draws.
    pub rows: Vec<LossComponents>,
    /// The spread within each class of the training samples: of head features, of encoder features.
    pub spreads: [Vec<CollisionByClass>; 2],
}

impl EvaluatedRun {
    /// Writes `losses.csv`, `collision.csv`, `collision.svg` and `collision.png` into a folder.
    ///
    /// # Errors
    /// The operating system refuses; the figure cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, bytes: &[u8]| theory::files::write_atomically(&folder.join(name), bytes);
        let [head, encoder] = &self.spreads;
        let losses = || Ok(theory::losses::write(&folder.join("losses.csv"), &self.rows)?);
        if head.is_empty() {
            return losses();
        }
        let mut text = String::new();
        for (layer, rows) in [("head", head), ("encoder", encoder)] {
            for (index, line) in collision_table(rows).to_text(Format::Csv).lines().enumerate() {
                match index {
                    0 if layer == "head" => text += &format!("features,{line}\n"),
                    0 => {}
                    _ => text += &format!("{layer},{line}\n"),
                }
            }
        }
        write("collision.csv", text.as_bytes())?;
        for (name, format) in [("collision.svg", figure::Format::Svg), ("collision.png", figure::Format::Png)]
        {
            let series = [("head", &head[..]), ("encoder", &encoder[..])];
            let shown = if encoder.is_empty() { &series[..1] } else { &series[..] };
            write(name, &collision_figure(shown, format)?)?;
        }
        // Last: a folder that has it is measured.
        losses()
    }
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
    let objective = config.training_objective()?;
    let default = [NumDraws::new(objective.evaluated_draws())?];
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
        let mut row = measure::measure(&evaluation, &mut order, &mut views)?;
        row.run = run_info(config, &objective, name, context.network.head_name());
        row.extra.push(("train_samples".into(), split.train.len().to_string()));
        if let Some(selection) = objective.selection() {
            row.extra.push((theory::losses::SELECTION.into(), selection.to_string()));
        }
        if seed != config.seed {
            row.extra.push((MEASURE_SEED.into(), seed.to_string()));
        }
        row.fbar_views = Some(config.fbar_views as u64);
        set_exact(
            &mut row,
            &[
                (Quantity::CollisionSpread, overall(&spreads[0])),
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
        row.extra.push(("collision_spread_encoder".into(), overall(&spreads[1]).to_string()));
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

/// The column of a measurement's own seed, where it is not the run's.
pub(super) const MEASURE_SEED: &str = "measure_seed";

/// Sets measures that are no means over batches.
fn set_exact(row: &mut LossComponents, values: &[(Quantity, f64)]) -> Result<()> {
    values.iter().try_for_each(|&(measure, value)| Ok(row.set(measure, Estimate::exact(value))?))
}

fn knn_columns(row: &mut LossComponents) {
    row.extra.push(("knn_k".into(), measure::KNN_NEIGHBOURS.to_string()));
    row.extra.push(("knn_temperature".into(), measure::KNN_TEMPERATURE.to_string()));
}

fn run_info(config: &Config, objective: &Objective, name: &str, head: String) -> RunInfo {
    RunInfo {
        run_id: name.to_string(),
        dataset: config.dataset.clone(),
        encoder: config.encoder.name().into(),
        head,
        loss: objective.loss_name(),
        seed: Some(config.seed),
        epochs: Some(config.epochs as u64),
        batch_size: Some(config.batch_size as u64),
        train_negatives: Some(objective.train_negatives()),
        effective_negatives: objective.effective_negatives().map(|k| k as f64),
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

/// Measures features that another program made, at each number of draws.
///
/// # Errors
/// More draws than samples.
pub fn measure_features(
    features: &data::features::Features,
    name: &str,
    draws: &[NumDraws],
    temperature: f64,
    passes: Option<usize>,
    seed: u64,
) -> Result<Vec<LossComponents>> {
    let classes = features.num_classes;
    let views = measure::Views { first: features.view1.clone(), second: features.view2.clone() };
    let means = match &features.train {
        Some((train, labels)) => class_means(train, labels, classes),
        None => {
            let mut means = class_means(&views.first, &features.labels, classes);
            let second = class_means(&views.second, &features.labels, classes);
            means.data.iter_mut().zip(&second.data).for_each(|(x, y)| *x = 0.5 * (*x + y));
            means
        }
    };
    // What does not depend on the number of draws.
    let test = (&views.first, &features.labels[..]);
    let mut fixed = vec![
        (Quantity::MeanAccuracy, mean_accuracy(&means, test.0, test.1)?),
        (Quantity::CollisionSpread, collision_spread(&views, &features.labels, classes)?),
    ];
    fixed.extend(measure::geometry(&views)?.columns());
    if let Some((train, labels)) = &features.train {
        fixed.push((Quantity::LinearAccuracy, linear_accuracy((train, labels), test, classes)?));
        fixed.push((Quantity::KnnAccuracy, knn_accuracy((train, labels), test, classes)?));
    }
    let mut rows = Vec::new();
    for &num_draws in draws {
        let evaluation = Evaluation {
            labels: &features.labels,
            class_means: &means,
            sample_means: features.mean.as_ref(),
            temperature,
            num_draws,
            passes,
        };
        let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
        let mut row = measure::measure(&evaluation, &mut order, |_| Ok::<_, Error>(views.clone()))?;
        row.run = RunInfo { run_id: name.into(), seed: Some(seed), ..RunInfo::default() };
        // How many views a given mean averages, the file does not say.
        row.fbar_views = features.mean.is_none().then_some(1);
        set_exact(&mut row, &fixed)?;
        if features.train.is_some() {
            knn_columns(&mut row);
        }
        rows.push(row);
    }
    Ok(rows)
}

/// The spread within each class between the two views of features that another program made; the encoder's are not in the
/// file.
///
/// # Errors
/// The tensor library fails.
pub fn feature_spreads(features: &data::features::Features) -> Result<[Vec<CollisionByClass>; 2]> {
    let views = measure::Views { first: features.view1.clone(), second: features.view2.clone() };
    Ok([collision_by_class(&views, &features.labels, features.num_classes)?, Vec::new()])
}
