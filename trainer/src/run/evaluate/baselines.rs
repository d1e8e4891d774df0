//! What training is compared with: the encoder at initialisation, and raw pixels.

use super::super::{Config, Session};
use super::Accuracies;
use super::embed::{Embedded, EvaluationContext};
use crate::data::{Images, Samples, Split};
use crate::error::{Error, Result};
use measure::matrix::Matrix;

/// Numbers in the training images above which a probe on raw pixels takes too long.
const MOST_PIXELS: usize = 40_000_000;

/// Accuracies of the encoder at initialisation, with class means made as for a trained one.
///
/// # Errors
/// The tensor library fails.
pub(in crate::run) fn untrained_accuracies(
    config: &Config,
    split: &Split,
    session: &Session<'_>,
) -> Result<[Accuracies; 2]> {
    let network = config.network(&split.train, session.device)?;
    Embedded::new(EvaluationContext::new(network, config, split, session)?, config.seed)?.accuracies()
}

/// Accuracies on raw pixels; `None` for texts, and for more than 4·10⁷ pixels.
///
/// # Errors
/// The tensor library fails.
pub(in crate::run) fn pixel_accuracies(split: &Split) -> Result<Option<Accuracies>> {
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
    Ok(Some(Accuracies::new(&unit[0], &unit[1], None, split)?))
}
