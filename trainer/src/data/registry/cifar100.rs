//! CIFAR-100 and its superclasses. MD5: <https://www.cs.toronto.edu/~kriz/cifar.html>. Lengths: those that downloads by
//! others report.

use super::DataSet;
use crate::data::cifar::{self, Classes, LAYOUTS};
use crate::data::official::{OfficialFile, OfficialFiles};

pub(crate) static FILES: OfficialFiles = OfficialFiles {
    name: "cifar100",
    terms: "no explicit licence; cite Krizhevsky (2009)",
    addresses: &["https://www.cs.toronto.edu/~kriz/"],
    files: &[OfficialFile {
        name: LAYOUTS[2].archive,
        bytes: 168_513_733,
        md5: "03b5dce01913d631647c71ecec9e9cb8",
    }],
    others: &[OfficialFile {
        name: LAYOUTS[3].archive,
        bytes: 169_001_437,
        md5: "eb9058c3a382ffc7106e4002c42a8d85",
    }],
    places: &[LAYOUTS[2].folder, LAYOUTS[3].folder, LAYOUTS[2].archive, LAYOUTS[3].archive],
};

pub static CIFAR100: DataSet = DataSet {
    name: "cifar100",
    samples: "50,000 + 10,000 images of 32×32 in colour",
    num_classes: Some(Classes::Fine.number()),
    official: Some(&FILES),
    hierarchy: Some(include_str!("../../../../data/hierarchies/cifar100.csv")),
    load: |request| cifar::load(request, &FILES, Classes::Fine),
};

pub static CIFAR100_COARSE: DataSet = DataSet {
    name: "cifar100-coarse",
    samples: "the same images by superclass",
    num_classes: Some(Classes::Coarse.number()),
    official: Some(&FILES),
    hierarchy: None,
    load: |request| cifar::load(request, &FILES, Classes::Coarse),
};
