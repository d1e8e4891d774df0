//! What training is compared with: the encoder at initialisation, and raw pixels.

use super::super::{Config, Session};
use super::Accuracies;
use super::accuracies::Classified;
use super::embed::{Embedded, EvaluationContext};
use crate::data::{Images, Samples, Split};
use crate::error::Result;
use measure::Classifiers;
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
    let embedded = Embedded::new(EvaluationContext::new(network, config, split, session)?, config.seed)?;
    Ok(embedded.accuracies(&Classifiers::default())?.map(|found| found.accuracies))
}

/// Accuracies on raw pixels; `None` for texts, and for more than 4·10⁷ pixels.
///
/// Rows are scaled to unit length. A black image has no direction: its row stays zero, and its similarity with every
/// image and class mean is 0.
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
    let matrix = |images: &Images| -> Result<Matrix> {
        let all: Vec<usize> = (0..images.len()).collect();
        let data = images.units(&all)?.into_iter().map(f64::from).collect();
        Ok(Matrix { rows: images.len(), cols: images.pixels_per_image(), data })
    };
    // Unit rows, as for head features: otherwise the mean classifier would favour bright classes.
    let mut unit = [matrix(train)?, matrix(evaluated)?];
    unit.iter_mut().for_each(Matrix::normalise_nonzero_rows);
    let default = Classifiers::default();
    Ok(Some(Classified::new(&default, &unit[0], &unit[1], None, split, &measure::never)?.accuracies))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bright on the left or on the right, and black ones among them: they are scored like any other.
    #[test]
    fn a_black_image_does_not_end_the_baseline() {
        let images = |labels: &[usize], black: &[usize]| {
            let image = |i: usize| match (black.contains(&i), labels[i]) {
                (true, _) => [0, 0],
                (false, 0) => [200, 10],
                _ => [10, 200],
            };
            let pixels = (0..labels.len()).flat_map(image).collect();
            Samples::Images(Images::new(pixels, labels.to_vec(), [1, 2, 1], 255, 2).unwrap())
        };
        let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
        let split = Split { train: images(&labels, &[3]), evaluated: images(&labels, &[5]) };
        let found = pixel_accuracies(&split).unwrap().unwrap();
        // All but the black one, which belongs to class 1, are told apart.
        for accuracy in [found.mean, found.linear, found.knn] {
            assert!((0.95..=1.0).contains(&accuracy), "{found:?}");
        }
    }
}
