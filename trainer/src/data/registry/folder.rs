//! Anybody's images.

use super::DataSet;
use crate::data::own;

pub static FOLDER: DataSet = DataSet {
    name: own::FOLDER,
    samples: "your own images, in a folder for each class or a list",
    num_classes: None,
    official: None,
    hierarchy: None,
    load: own::load,
};

pub static SHARDS: DataSet = DataSet {
    name: own::SHARDS,
    samples: "your own images, in tar files",
    num_classes: None,
    official: None,
    hierarchy: None,
    load: own::load,
};
