//! What a network gives of its samples: features of the samples as they are, and of their random views.

use super::super::{Config, Session};
use super::Normalisation;
use crate::augment::{ViewStream, Views};
use crate::data::{InputKind, Samples, Split};
use crate::error::{Error, Result};
use crate::model::{Input, Network};
use crate::ops::normalise;
use candle_core::{DType, Device, Tensor};
use measure::class_means;
use measure::matrix::Matrix;
use measure::rng::Purpose;

/// Samples per forward pass.
const CHUNK: usize = 512;

/// Numbers in the passes of random views that are kept for further numbers of draws: 1 GiB of them.
const MOST_KEPT: usize = 1 << 27;

/// Frozen features of a set of samples.
#[derive(Debug, Clone)]
pub struct Features {
    /// Encoder features, not normalised.
    pub encoder: Matrix,
    /// Head features, unit rows.
    pub head: Matrix,
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

/// Features of `count` samples with the running statistics of the network; `input` gives those of a few indices.
///
/// # Errors
/// The tensor library fails; `stop` says so.
pub(in crate::run) fn features(
    network: &Network,
    count: usize,
    stop: measure::Stop<'_>,
    mut input: impl FnMut(&[usize]) -> Result<Input>,
) -> Result<Features> {
    let indices: Vec<usize> = (0..count).collect();
    let mut parts = [Matrix::zeros(0, 0), Matrix::zeros(0, 0)];
    for chunk in indices.chunks(CHUNK) {
        if stop() {
            let message = "interrupted while measuring; what was trained is saved";
            return Err(Error::Interrupted(message.into()));
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

/// A network and the samples that it is shown.
pub(super) struct EvaluationContext<'a> {
    pub(super) network: Network,
    pub(super) config: &'a Config,
    pub(super) split: &'a Split,
    train: Views<'a>,
    evaluated: Views<'a>,
    /// Of pixels, before the network sees them.
    normalisation: Option<&'a Normalisation>,
    pub(super) stop: measure::Stop<'a>,
}

impl<'a> EvaluationContext<'a> {
    pub(super) fn new(
        network: Network,
        config: &'a Config,
        split: &'a Split,
        session: &Session<'a>,
    ) -> Result<Self> {
        let views = |samples: &'a Samples| Views::new(&config.augmentation, samples, session.device);
        let (train, evaluated) = (views(&split.train)?, views(&split.evaluated)?);
        Ok(Self { network, config, split, train, evaluated, normalisation: None, stop: session.stop })
    }

    /// The same, of normalised pixels.
    pub(super) fn normalised(self, normalisation: Option<&'a Normalisation>) -> Self {
        Self { normalisation, ..self }
    }

    /// Features of the samples as they are.
    fn plain(&self, views: &Views<'_>) -> Result<Features> {
        features(&self.network, views.len(), self.stop, |chunk| self.normalise(views.plain(chunk)?))
    }

    /// Features of one random view of every sample.
    fn random(&self, views: &Views<'_>, draw: &mut ViewStream) -> Result<Features> {
        features(&self.network, views.len(), self.stop, |chunk| self.normalise(views.random(chunk, draw, 1)?))
    }

    fn normalise(&self, input: Input) -> Result<Input> {
        match (self.normalisation, self.split.train.kind()) {
            (Some(normalisation), InputKind::Images([.., channels])) => normalisation.apply(&input, channels),
            _ => Ok(input),
        }
    }

    /// Head features of two random views of every evaluated sample: pass number `pass` of the streams of `seed`.
    pub(super) fn two_views(&self, seed: u64, pass: usize) -> Result<measure::Views> {
        let mut draw = ViewStream::new(seed, Purpose::EvaluationViews, pass)?;
        let first = self.random(&self.evaluated, &mut draw)?.head;
        draw.second_half();
        let second = self.random(&self.evaluated, &mut draw)?.head;
        Ok(measure::Views { first, second })
    }

    /// f̄(x) of the evaluated samples: the mean of `fbar_views` random views of each.
    pub(super) fn sample_means(&self, seed: u64) -> Result<Option<Matrix>> {
        let mut means = None;
        let fbar_views = self.config.fbar_views;
        for view in 0..fbar_views {
            let mut draw = ViewStream::new(seed, Purpose::SampleMeans, view)?;
            add_share(&mut means, &self.random(&self.evaluated, &mut draw)?.head, fbar_views);
        }
        Ok(means)
    }

    /// Pass number `view` over random views of the training samples, behind the class means.
    fn training_pass(&self, seed: u64, view: usize) -> Result<Features> {
        self.random(&self.train, &mut ViewStream::new(seed, Purpose::ClassMeans, view)?)
    }

    /// Head features of all of these passes, one after the other.
    pub(super) fn training_passes(&self, seed: u64) -> Result<Matrix> {
        let mut all = Matrix::zeros(0, 0);
        for view in 0..self.config.mean_views {
            let pass = self.training_pass(seed, view)?.head;
            all.rows += pass.rows;
            all.cols = pass.cols;
            all.data.extend(pass.data);
        }
        Ok(all)
    }
}

/// All that is measured is measured from this: each set of features is computed once.
pub(super) struct Embedded<'a> {
    pub(super) context: EvaluationContext<'a>,
    /// Seed of the streams of views.
    pub(super) seed: u64,
    /// The training samples as they are.
    pub(super) train: Features,
    /// The evaluated samples as they are.
    pub(super) evaluated: Features,
    /// μ_c of head features: mean of `mean_views` augmented passes over the training samples, as in the paper.
    pub(super) class_means: Matrix,
    /// The first two of those passes: unit head features, unit encoder features.
    pub(super) training_views: [measure::Views; 2],
}

impl<'a> Embedded<'a> {
    /// # Errors
    /// The tensor library fails; an interruption.
    pub(super) fn new(context: EvaluationContext<'a>, seed: u64) -> Result<Self> {
        let (mean_views, train) = (context.config.mean_views, &context.split.train);
        let mut saved = Vec::new();
        let mut means: Option<Matrix> = None;
        for view in 0..mean_views {
            let features = context.training_pass(seed, view)?;
            add_share(
                &mut means,
                &class_means(&features.head, train.labels(), train.num_classes())?,
                mean_views,
            );
            if saved.len() < 2 {
                saved.push(features);
            }
        }
        let (Some(class_means), Ok([mut first, mut second])) = (means, <[Features; 2]>::try_from(saved))
        else {
            return Err(Error::argument("class means need at least 2 views"));
        };
        for encoder in [&mut first.encoder, &mut second.encoder] {
            // A row of zeros, such as that of an empty text, has no direction and stays.
            encoder.normalise_nonzero_rows();
        }
        let head = measure::Views { first: first.head, second: second.head };
        let encoder = measure::Views { first: first.encoder, second: second.encoder };
        let (train, evaluated) = (context.plain(&context.train)?, context.plain(&context.evaluated)?);
        let training_views = [head, encoder];
        Ok(Self { context, seed, train, evaluated, class_means, training_views })
    }

    /// The passes of two random views of the evaluated samples; `several`: they are asked for more than once.
    pub(super) fn passes(&self, several: bool) -> Passes<'_> {
        Passes { context: &self.context, seed: self.seed, several, kept: Vec::new() }
    }
}

/// Two random views of the evaluated samples, pass by pass, computed when they are asked for.
///
/// The first pass stays in memory, and where they are asked for again as many of the others as have room.
pub(super) struct Passes<'a> {
    context: &'a EvaluationContext<'a>,
    seed: u64,
    several: bool,
    kept: Vec<measure::Views>,
}

impl Passes<'_> {
    /// The views of a pass.
    pub(super) fn get(&mut self, pass: usize) -> Result<measure::Views> {
        if let Some(views) = self.kept.get(pass) {
            return Ok(views.clone());
        }
        let views = self.context.two_views(self.seed, pass)?;
        let has_room = 2 * views.first.data.len() * (pass + 1) <= MOST_KEPT;
        if self.kept.len() == pass && (pass == 0 || self.several && has_room) {
            self.kept.push(views.clone());
        }
        Ok(views)
    }
}

/// sum + x/count.
fn add_share(sum: &mut Option<Matrix>, x: &Matrix, count: usize) {
    let sum = sum.get_or_insert_with(|| Matrix::zeros(x.rows, x.cols));
    sum.data.iter_mut().zip(&x.data).for_each(|(s, x)| *s += x / count as f64);
}
