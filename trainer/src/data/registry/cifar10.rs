//! CIFAR-10. MD5: <https://www.cs.toronto.edu/~kriz/cifar.html>. Lengths: those that downloads by others report.

use super::DataSet;
use crate::data::cifar::{self, Classes, LAYOUTS};
use crate::data::official::{OfficialFile, OfficialFiles};

pub(crate) static FILES: OfficialFiles = OfficialFiles {
    name: "cifar10",
    terms: "no explicit licence; cite Krizhevsky (2009)",
    addresses: &["https://www.cs.toronto.edu/~kriz/"],
    files: &[OfficialFile {
        name: LAYOUTS[0].archive,
        bytes: 170_052_171,
        md5: "c32a1d4ab5d03f1284b67883e8d87530",
    }],
    others: &[OfficialFile {
        name: LAYOUTS[1].archive,
        bytes: 170_498_071,
        md5: "c58f30108f718f92721af3b95e74349a",
    }],
    places: &[LAYOUTS[0].folder, LAYOUTS[1].folder, LAYOUTS[0].archive, LAYOUTS[1].archive],
};

pub static CIFAR10: DataSet = DataSet {
    name: "cifar10",
    samples: "50,000 + 10,000 images of 32×32 in colour",
    num_classes: Some(Classes::Ten.number()),
    official: Some(&FILES),
    hierarchy: Some(include_str!("../../../../data/hierarchies/cifar10.csv")),
    load: |request| cifar::load(request, &FILES, Classes::Ten),
};
