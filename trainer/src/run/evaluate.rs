//! Measurement of a trained run, or of features that another program made.

use super::{Config, load_network, run_config};
use crate::data::{self, Images, Split};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::measure::{
    Evaluation, Views, class_means, collision_spread, knn_accuracy, linear_accuracy, mean_accuracy, measure,
};
use crate::model::Network;
use crate::ops::normalise;
use crate::rng::{Purpose, stream};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use std::path::Path;
use theory::NumDraws;
use theory::losses::{Estimate, LossComponents, Measure, RunInfo};

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

/// Features of images \[count, pixels\] with the running statistics.
fn features(network: &Network, pixels: &[f32], size: usize) -> Result<Features> {
    let (mut encoder, mut head) = (Vec::new(), Vec::new());
    let (mut encoder_cols, mut head_cols) = (0, 0);
    for chunk in pixels.chunks(CHUNK * size) {
        let images = Tensor::from_slice(chunk, (chunk.len() / size, size), &Device::Cpu)?;
        let output = network.forward(&images)?;
        let (e, h) =
            (Matrix::from_tensor(&output.encoder)?, Matrix::from_tensor(&normalise::forward(&output.head)?)?);
        (encoder_cols, head_cols) = (e.cols, h.cols);
        encoder.extend(e.data);
        head.extend(h.data);
    }
    let rows = pixels.len() / size;
    Ok(Features {
        encoder: Matrix { rows, cols: encoder_cols, data: encoder },
        head: Matrix { rows, cols: head_cols, data: head },
    })
}

/// Unit head features of one random view of every image.
fn augmented_head(
    network: &Network,
    config: &Config,
    images: &Images,
    rng: &mut ChaCha8Rng,
) -> Result<Matrix> {
    let mut pixels = Vec::with_capacity(images.pixels.len());
    for index in 0..images.len() {
        config.augmentation.view(images.image(index), images.side, rng, &mut pixels);
    }
    Ok(features(network, &pixels, images.pixels_per_image())?.head)
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
    let classes = split.train.num_classes;
    let (train_labels, test_labels) = (&split.train.labels[..], &split.evaluated.labels[..]);
    let own_means = class_means(train, train_labels, classes);
    Ok(Accuracies {
        mean: mean_accuracy(means.unwrap_or(&own_means), test, test_labels)?,
        linear: linear_accuracy((train, train_labels), (test, test_labels), classes)?,
        knn: knn_accuracy((train, train_labels), (test, test_labels), classes)?,
    })
}

/// Accuracies on un-augmented images: head features, encoder features.
///
/// The mean classifier uses `means` for head features, and the means of the un-augmented training images for encoder
/// features.
///
/// # Errors
/// The tensor library fails.
pub fn accuracies(network: &Network, split: &Split, means: &Matrix) -> Result<[Accuracies; 2]> {
    let size = split.train.pixels_per_image();
    let train = features(network, &split.train.pixels, size)?;
    let test = features(network, &split.evaluated.pixels, size)?;
    Ok([
        classify(&train.head, &test.head, Some(means), split)?,
        classify(&train.encoder, &test.encoder, None, split)?,
    ])
}

/// Accuracies of the encoder at initialisation, with class means made as for a trained one.
///
/// # Errors
/// The tensor library fails.
pub(super) fn untrained_accuracies(config: &Config, split: &Split) -> Result<[Accuracies; 2]> {
    let network = Network::new(config.encoder, split.train.shape(), config.seed, &Device::Cpu)?;
    let means = ClassMeans::of(&network, config, &split.train, config.seed)?;
    accuracies(&network, split, &means.means)
}

/// Accuracies on raw pixels.
///
/// # Errors
/// The tensor library fails.
pub(super) fn pixel_accuracies(split: &Split) -> Result<Accuracies> {
    let matrix = |images: &Images| Matrix {
        rows: images.len(),
        cols: images.pixels_per_image(),
        data: images.pixels.iter().map(|&v| f64::from(v)).collect(),
    };
    // Unit rows, as for head features: otherwise the mean classifier would favour bright classes.
    let mut unit = [matrix(&split.train), matrix(&split.evaluated)];
    for m in &mut unit {
        m.normalise_rows().map_err(|row| Error::argument(format!("image {row} is black")))?;
    }
    classify(&unit[0], &unit[1], None, split)
}

/// Measures a trained run at each number of draws.
///
/// Class means: mean of `mean_views` augmented passes over the training images, as in the paper. `seed` starts the
/// evaluation's streams; by default the run's.
///
/// # Errors
/// The folder holds no finished run; more draws than evaluated images.
pub fn measure_run(
    path: &Path,
    draws: Option<&[NumDraws]>,
    temperature: Option<f64>,
    passes: Option<usize>,
    seed: Option<u64>,
) -> Result<Vec<LossComponents>> {
    let config = run_config(path)?;
    let split = data::load(&config.dataset, config.evaluate_on)?;
    let network = load_network(path, &config, split.train.shape())?;
    let default = [NumDraws::new(config.evaluated_draws())?];
    let draws = draws.unwrap_or(&default);
    for &n in draws {
        crate::measure::passes_for(split.evaluated.len(), n)?;
    }
    let seed = seed.unwrap_or(config.seed);
    let means = ClassMeans::of(&network, &config, &split.train, seed)?;
    let mut sample_means: Option<Matrix> = None;
    for view in 0..config.fbar_views {
        let mut rng = stream(seed, Purpose::SampleMeans, view as u64);
        let features = augmented_head(&network, &config, &split.evaluated, &mut rng)?;
        let sum = sample_means.get_or_insert_with(|| Matrix::zeros(features.rows, features.cols));
        sum.data.iter_mut().zip(&features.data).for_each(|(s, x)| *s += x / config.fbar_views as f64);
    }
    let [head, encoder] = accuracies(&network, &split, &means.means)?;
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    let mut rows = Vec::new();
    for &num_draws in draws {
        let evaluation = Evaluation {
            labels: &split.evaluated.labels,
            class_means: &means.means,
            sample_means: sample_means.as_ref(),
            temperature: temperature.unwrap_or(config.temperature),
            num_draws,
            passes,
        };
        let mut views = |pass: usize| {
            let mut rng = stream(seed, Purpose::EvaluationViews, pass as u64);
            let first = augmented_head(&network, &config, &split.evaluated, &mut rng)?;
            let second = augmented_head(&network, &config, &split.evaluated, &mut rng)?;
            Ok(Views { first, second })
        };
        let mut order = stream(seed, Purpose::Evaluation, num_draws.get());
        let mut row = measure(&evaluation, &mut order, &mut views)?;
        row.run = run_info(&config, &name);
        row.fbar_views = Some(config.fbar_views as u64);
        set_exact(
            &mut row,
            &[
                (Measure::CollisionSpread, means.spread),
                (Measure::MeanAccuracy, head.mean),
                (Measure::MeanAccuracyEncoder, encoder.mean),
                (Measure::LinearAccuracy, head.linear),
                (Measure::LinearAccuracyEncoder, encoder.linear),
                (Measure::KnnAccuracy, head.knn),
                (Measure::KnnAccuracyEncoder, encoder.knn),
            ],
        )?;
        knn_columns(&mut row);
        rows.push(row);
    }
    Ok(rows)
}

/// Sets measures that are no means over batches.
fn set_exact(row: &mut LossComponents, values: &[(Measure, f64)]) -> Result<()> {
    values.iter().try_for_each(|&(measure, value)| Ok(row.set(measure, Estimate::exact(value))?))
}

fn knn_columns(row: &mut LossComponents) {
    row.extra.push(("knn_k".into(), crate::measure::KNN_NEIGHBOURS.to_string()));
    row.extra.push(("knn_temperature".into(), crate::measure::KNN_TEMPERATURE.to_string()));
}

fn run_info(config: &Config, name: &str) -> RunInfo {
    RunInfo {
        run_id: name.to_string(),
        dataset: config.dataset.clone(),
        encoder: config.encoder.name().into(),
        head: "256-256-64".into(),
        loss: config.loss_name().into(),
        seed: Some(config.seed),
        epochs: Some(config.epochs as u64),
        batch_size: Some(config.batch_size as u64),
        train_negatives: Some(config.train_negatives()),
        effective_negatives: Some(config.train_negatives() as f64),
    }
}

struct ClassMeans {
    means: Matrix,
    spread: f64,
}

impl ClassMeans {
    fn of(network: &Network, config: &Config, train: &Images, seed: u64) -> Result<Self> {
        let mut saved = Vec::new();
        let mut means: Option<Matrix> = None;
        for view in 0..config.mean_views {
            let mut rng = stream(seed, Purpose::ClassMeans, view as u64);
            let features = augmented_head(network, config, train, &mut rng)?;
            let of_view = class_means(&features, &train.labels, train.num_classes);
            let sum = means.get_or_insert_with(|| Matrix::zeros(of_view.rows, of_view.cols));
            sum.data.iter_mut().zip(&of_view.data).for_each(|(s, x)| *s += x / config.mean_views as f64);
            if saved.len() < 2 {
                saved.push(features);
            }
        }
        let (Some(means), Ok([first, second])) = (means, <[Matrix; 2]>::try_from(saved)) else {
            return Err(Error::argument("class means need at least 2 views"));
        };
        let spread = collision_spread(&Views { first, second }, &train.labels, train.num_classes)?;
        Ok(Self { means, spread })
    }
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
    let views = Views { first: features.view1.clone(), second: features.view2.clone() };
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
        (Measure::MeanAccuracy, mean_accuracy(&means, test.0, test.1)?),
        (Measure::CollisionSpread, collision_spread(&views, &features.labels, classes)?),
    ];
    if let Some((train, labels)) = &features.train {
        fixed.push((Measure::LinearAccuracy, linear_accuracy((train, labels), test, classes)?));
        fixed.push((Measure::KnnAccuracy, knn_accuracy((train, labels), test, classes)?));
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
        let mut row = measure(&evaluation, &mut order, |_| Ok(views.clone()))?;
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
