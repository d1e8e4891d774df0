//! 1,797 handwritten digits of 8×8 pixels, compiled in.
//!
//! The test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, CC BY 4.0), as
//! scikit-learn ships it; see `data/README.md`. Pixels are integers 0..16, where 16 means 1.
//!
//! The split is fixed: of each class, in the order of a fixed permutation, 45 validation images, then 27 tuning
//! images, and the rest. So the evaluated prior is uniform. The set has 13 writers and does not name them: images of
//! one writer stand on both sides of the split.

use super::{EvaluateOn, Images, Samples, Split};
use crate::error::{Error, Result};
use measure::rng::{Purpose, permutation, stream};
use std::io::Read;
use std::path::Path;

const PACKED: &[u8] = include_bytes!("../../../data/digits.csv.gz");

/// Number of images.
pub const NUM_IMAGES: usize = 1797;
/// C.
pub const NUM_CLASSES: usize = 10;
/// Height and width.
pub const SIDE: usize = 8;
/// The byte that means 1.
pub const BRIGHTEST: u8 = 16;
/// Validation images per class.
pub const VALIDATION_PER_CLASS: usize = 45;
/// Tuning images per class, a part of the training images.
pub const TUNING_PER_CLASS: usize = 27;

/// The seed of the split, part of the data set's definition here.
const SPLIT_SEED: u64 = 1797;

/// All images in the order of the file.
///
/// # Errors
/// The compiled-in file is damaged.
pub fn images() -> Result<Images> {
    let place = Path::new("data/digits.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(PACKED).read_to_string(&mut text).map_err(|e| Error::io(place, e))?;
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate() {
        let values: std::result::Result<Vec<u8>, _> = line.split(',').map(|v| v.trim().parse()).collect();
        let values = values.map_err(|e| Error::data(place, format!("line {}: {e}", index + 1)))?;
        let [pixels @ .., label] = &values[..] else {
            return Err(Error::data(place, format!("line {}: empty", index + 1)));
        };
        if pixels.len() != SIDE * SIDE
            || pixels.iter().any(|&p| p > BRIGHTEST)
            || usize::from(*label) >= NUM_CLASSES
        {
            return Err(Error::data(
                place,
                format!("line {}: not 64 pixels of 0..16 and a digit", index + 1),
            ));
        }
        bytes.extend(pixels);
        labels.push(usize::from(*label));
    }
    if labels.len() != NUM_IMAGES {
        return Err(Error::data(place, format!("{} images instead of {NUM_IMAGES}", labels.len())));
    }
    Images::new(bytes, labels, [SIDE, SIDE, 1], BRIGHTEST, NUM_CLASSES)
}

/// The fixed split: 450 validation images, or 270 tuning images held out of the rest.
///
/// # Errors
/// The compiled-in file is damaged.
pub fn load(evaluate_on: EvaluateOn) -> Result<Split> {
    let images = images()?;
    let order = permutation(images.len(), &mut stream(SPLIT_SEED, Purpose::Split, 0));
    let (mut train, mut validation, mut tuning) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = [0; NUM_CLASSES];
    for index in order {
        let rank = &mut seen[images.labels()[index]];
        match *rank {
            r if r < VALIDATION_PER_CLASS => validation.push(index),
            r if r < VALIDATION_PER_CLASS + TUNING_PER_CLASS => tuning.push(index),
            _ => train.push(index),
        }
        *rank += 1;
    }
    let evaluated = match evaluate_on {
        EvaluateOn::Validation => {
            train.append(&mut tuning);
            validation
        }
        EvaluateOn::Tuning => tuning,
    };
    Ok(Split {
        train: Samples::Images(images.subset(&train)),
        evaluated: Samples::Images(images.subset(&evaluated)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_file_is_the_published_one() {
        let digest: String = Sha256::digest(PACKED).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22");
        let images = images().unwrap();
        assert_eq!(images.class_counts(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        // The first image of scikit-learn's documentation: a zero whose first row is 0 0 5 13 9 1 0 0.
        assert_eq!(images.labels()[0], 0);
        assert_eq!(images.image(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    }

    #[test]
    fn the_split_is_uniform_and_disjoint() {
        let validation = load(EvaluateOn::Validation).unwrap();
        assert_eq!(validation.evaluated.class_counts(), [45; 10]);
        assert_eq!(validation.train.len(), 1797 - 450);
        let tuning = load(EvaluateOn::Tuning).unwrap();
        assert_eq!(tuning.evaluated.class_counts(), [27; 10]);
        assert_eq!(tuning.train.len(), 1797 - 450 - 270);
        // Together they are all images: the sums of all pixels agree.
        let sum = |samples: &Samples| -> u64 {
            let Samples::Images(images) = samples else { return 0 };
            (0..images.len()).flat_map(|i| images.image(i)).map(|&p| u64::from(p)).sum()
        };
        let all = sum(&Samples::Images(images().unwrap()));
        assert_eq!(sum(&validation.train) + sum(&validation.evaluated), all);
        assert_eq!(sum(&tuning.train) + sum(&tuning.evaluated) + sum(&validation.evaluated), all);
    }
}
