//! What can be downloaded: D = {(file name, addresses, length in bytes, MD5)} per data set, as published.
//!
//! MD5 is what the data sets' own pages publish; it proves that a file is the published one, not who published it.
//! Sources of the checksums:
//!
//! - MNIST: `torchvision/datasets/mnist.py` (pytorch/vision 01977a1); LeCun's page publishes none;
//! - Fashion-MNIST: `README.md` of zalandoresearch/fashion-mnist (02cf067), equal to torchvision's;
//! - CIFAR-10 and CIFAR-100: <https://www.cs.toronto.edu/~kriz/cifar.html>, the binary versions;
//! - AG News: `torchtext/datasets/ag_news.py` (pytorch/text 01085ab).
//!
//! Lengths are those that downloads by others report. The lengths and checksums of all four files of Fashion-MNIST and of
//! AG News's `test.csv` were also compared with the files themselves.

/// One file of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its official name, under which it is stored.
    pub name: &'static str,
    /// Where it is, in the order in which the places are tried.
    pub addresses: &'static [&'static str],
    /// Its length in bytes.
    pub bytes: u64,
    /// Its MD5 as published: 32 lower-case hexadecimal digits.
    pub md5: &'static str,
}

/// A data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dataset {
    /// What the command line calls it, and the folder that its files go to.
    pub name: &'static str,
    /// The terms of its use.
    pub terms: &'static str,
    /// Its files; archives stay packed.
    pub files: &'static [RemoteFile],
}

impl Dataset {
    /// Length of all files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A file whose places are folders: the file's name completes each address.
macro_rules! file {
    ($name:literal, [$($folder:literal),+], $bytes:literal, $md5:literal) => {
        RemoteFile { name: $name, addresses: &[$(concat!($folder, $name)),+], bytes: $bytes, md5: $md5 }
    };
}

macro_rules! mnist {
    ($name:literal, $bytes:literal, $md5:literal) => {
        file!(
            $name,
            [
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/"
            ],
            $bytes,
            $md5
        )
    };
}

macro_rules! fashion {
    ($name:literal, $bytes:literal, $md5:literal) => {
        file!(
            $name,
            [
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
            ],
            $bytes,
            $md5
        )
    };
}

macro_rules! cifar {
    ($name:literal, $bytes:literal, $md5:literal) => {
        file!($name, ["https://www.cs.toronto.edu/~kriz/"], $bytes, $md5)
    };
}

macro_rules! ag_news {
    ($name:literal, $bytes:literal, $md5:literal) => {
        file!(
            $name,
            ["https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"],
            $bytes,
            $md5
        )
    };
}

/// Every data set that can be downloaded.
pub const DATASETS: [Dataset; 5] = [
    Dataset {
        name: "mnist",
        terms: "no explicit licence; cite LeCun, Bottou, Bengio, Haffner (1998)",
        files: &[
            mnist!("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            mnist!("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            mnist!("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            mnist!("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        ],
    },
    Dataset {
        name: "fashion-mnist",
        terms: "MIT",
        files: &[
            fashion!("train-images-idx3-ubyte.gz", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            fashion!("train-labels-idx1-ubyte.gz", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
            fashion!("t10k-images-idx3-ubyte.gz", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
            fashion!("t10k-labels-idx1-ubyte.gz", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
        ],
    },
    Dataset {
        name: "cifar10",
        terms: "no explicit licence; cite Krizhevsky (2009)",
        files: &[cifar!("cifar-10-binary.tar.gz", 170_052_171, "c32a1d4ab5d03f1284b67883e8d87530")],
    },
    Dataset {
        name: "cifar100",
        terms: "no explicit licence; cite Krizhevsky (2009)",
        files: &[cifar!("cifar-100-binary.tar.gz", 168_513_733, "03b5dce01913d631647c71ecec9e9cb8")],
    },
    Dataset {
        name: "ag-news",
        terms: "research and other non-commercial use; cite Zhang, Zhao, LeCun (2015)",
        files: &[
            ag_news!("train.csv", 29_470_338, "b1a00f826fdfbd249f79597b59e1dc12"),
            ag_news!("test.csv", 1_857_427, "d52ea96a97a2d943681189a97654912d"),
        ],
    },
];

/// The data set of a name; `None` if there is none.
pub fn find(name: &str) -> Option<&'static Dataset> {
    DATASETS.iter().find(|dataset| dataset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_well_formed_and_no_two_share_a_place() {
        let mut places = std::collections::HashSet::new();
        let mut checksums = std::collections::HashSet::new();
        for dataset in &DATASETS {
            assert_eq!(find(dataset.name), Some(dataset));
            for file in dataset.files {
                assert!(places.insert((dataset.name, file.name)), "{} {}", dataset.name, file.name);
                assert!(checksums.insert(file.md5), "{}", file.md5);
                assert_eq!(file.md5.len(), 32);
                assert!(file.md5.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)));
                assert!(!file.addresses.is_empty() && file.bytes > 0);
                for address in file.addresses {
                    assert!(address.starts_with("http") && address.ends_with(file.name), "{address}");
                }
            }
        }
        assert_eq!(find("imagenet"), None);
    }

    #[test]
    fn a_length_is_that_of_the_published_size() {
        // The README of Fashion-MNIST: 26 MBytes, 29 KBytes, 4.3 MBytes, 5.1 KBytes; the CIFAR page: 162 and 161 MB.
        let bytes = |name: &str| find(name).unwrap().files.iter().map(|file| file.bytes).collect::<Vec<_>>();
        assert_eq!(bytes("fashion-mnist").iter().map(|b| b / 1000).collect::<Vec<_>>(), [26421, 29, 4422, 5]);
        assert_eq!([bytes("cifar10")[0] >> 20, (bytes("cifar100")[0] + (1 << 19)) >> 20], [162, 161]);
        assert_eq!(find("cifar10").unwrap().bytes(), 170_052_171);
    }
}
