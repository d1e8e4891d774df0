//! Head features of two random views of the evaluated samples: what an analysis other than the bounds' looks at.

use super::{EvaluationContext, augmented, trained};
use crate::augment::ViewStream;
use crate::data::Split;
use crate::error::Result;
use crate::run::Session;
use measure;
use measure::rng::Purpose;
use std::path::Path;

/// Unit head features of two random views of every evaluated sample, by a trained run; the run's data are `split`.
///
/// The views are those of the first pass of [`measure_run`](super::measure_run) with the same seed; `None`: the run's.
///
/// # Errors
/// The folder holds no finished run, or one of other samples; an interruption.
pub fn two_views(
    path: &Path,
    split: &Split,
    seed: Option<u64>,
    session: &Session<'_>,
) -> Result<measure::Views> {
    let (config, network) = trained(path, split, session)?;
    let context = EvaluationContext::new(network, &config, split, (session.device, session.stop))?;
    let mut draw = ViewStream::new(seed.unwrap_or(config.seed), Purpose::EvaluationViews, 0)?;
    let first = augmented(&context, &context.evaluated, &mut draw)?.head;
    draw.second_half();
    let second = augmented(&context, &context.evaluated, &mut draw)?.head;
    Ok(measure::Views { first, second })
}
