//! Fashion-MNIST. MD5: `README.md` of zalandoresearch/fashion-mnist (02cf067), equal to torchvision's. Lengths and
//! checksums were also compared with the files themselves.

use super::DataSet;
use crate::data::idx;
use crate::data::official::{OfficialFile, OfficialFiles};

pub(crate) static FILES: OfficialFiles = OfficialFiles {
    name: "fashion-mnist",
    terms: "MIT",
    addresses: &[
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ],
    files: &[
        OfficialFile {
            name: "train-images-idx3-ubyte.gz",
            bytes: 26_421_880,
            md5: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        },
        OfficialFile {
            name: "train-labels-idx1-ubyte.gz",
            bytes: 29_515,
            md5: "25c81989df183df01b3e8a0aad5dffbe",
        },
        OfficialFile {
            name: "t10k-images-idx3-ubyte.gz",
            bytes: 4_422_102,
            md5: "bef4ecab320f06d8554ea6380940ec79",
        },
        OfficialFile {
            name: "t10k-labels-idx1-ubyte.gz",
            bytes: 5_148,
            md5: "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ],
    others: &[],
    places: &["fashion-mnist", "FashionMNIST/raw"],
};

pub static FASHION_MNIST: DataSet = DataSet {
    name: "fashion-mnist",
    samples: "60,000 + 10,000 images of 28×28",
    num_classes: Some(idx::NUM_CLASSES),
    official: Some(&FILES),
    hierarchy: Some(include_str!("../../../../data/hierarchies/fashion-mnist.csv")),
    load: |request| idx::load(request, &FILES),
};
