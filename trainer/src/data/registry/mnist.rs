//! MNIST. MD5: `torchvision/datasets/mnist.py` (pytorch/vision 01977a1); LeCun's page publishes none. Lengths: those
//! that downloads by others report.

use super::DataSet;
use crate::data::idx;
use crate::data::official::{OfficialFile, OfficialFiles};

static FILES: OfficialFiles = OfficialFiles {
    name: "mnist",
    terms: "no explicit licence; cite LeCun, Bottou, Bengio, Haffner (1998)",
    addresses: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    files: &[
        OfficialFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 9_912_422,
            md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        },
        OfficialFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 28_881,
            md5: "d53e105ee54ea40749a09fcbcd1e9432",
        },
        OfficialFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 1_648_877,
            md5: "9fb629c4189551a2d022fa330f9573f3",
        },
        OfficialFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 4_542,
            md5: "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ],
    others: &[],
    places: &["mnist", "MNIST/raw"],
};

pub static MNIST: DataSet = DataSet {
    name: "mnist",
    samples: "60,000 + 10,000 images of 28×28",
    num_classes: Some(idx::NUM_CLASSES),
    official: Some(&FILES),
    hierarchy: None,
    load: |request| idx::load(request, &FILES),
};
