//! The digits that ship.

use super::DataSet;
use crate::data::digits;

pub static DIGITS: DataSet = DataSet {
    name: "digits",
    samples: "1,797 images of 8×8",
    num_classes: Some(digits::NUM_CLASSES),
    official: None,
    hierarchy: None,
    load: |request| request.cut(digits::load(request.evaluate_on)?),
};
