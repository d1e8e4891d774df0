//! MD5 of the official files, as published; a file whose checksum is not published is not checked.
//!
//! Sources: CIFAR, <https://www.cs.toronto.edu/~kriz/cifar.html>; Fashion-MNIST, the table of its README
//! (<https://github.com/zalandoresearch/fashion-mnist>); MNIST, `torchvision.datasets.MNIST.resources`.

use crate::error::{Error, Result};
use md5::{Digest, Md5};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// (data set, file, MD5).
const PUBLISHED: [(&str, &str, &str); 12] = [
    ("cifar10", "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
    ("cifar10", "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),
    ("cifar100", "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    ("cifar100", "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),
    ("fashion-mnist", "t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
    ("fashion-mnist", "t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ("fashion-mnist", "train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    ("fashion-mnist", "train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
    ("mnist", "t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    ("mnist", "t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ("mnist", "train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("mnist", "train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
];

/// The published MD5 of a file of a data set, in hexadecimal digits.
///
/// # Examples
/// ```
/// use trainer::data::checksum::published;
/// assert_eq!(published("cifar10", "cifar-10-binary.tar.gz"), Some("c32a1d4ab5d03f1284b67883e8d87530"));
/// assert_eq!(published("cifar10", "data_batch_1.bin"), None);
/// ```
pub fn published(dataset: &str, file: &str) -> Option<&'static str> {
    PUBLISHED.iter().find(|&&(d, f, _)| (d, f) == (dataset, file)).map(|&(_, _, md5)| md5)
}

/// The MD5 of a file, in hexadecimal digits.
///
/// # Errors
/// The file is not readable.
pub fn md5_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let (mut digest, mut buffer) = (Md5::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Compares a file with its published MD5, where there is one.
///
/// # Errors
/// The file is not readable, or is not the published one.
pub fn check(dataset: &str, path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(expected) = published(dataset, name) else { return Ok(()) };
    let found = md5_of(path)?;
    if found == expected {
        return Ok(());
    }
    let length = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    Err(Error::data(
        path,
        format!(
            "the MD5 of its {length} bytes is {found}, not the published {expected}: not the official file, or cut \
             short (a file with its own content is read from where it lies unpacked)"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_under_an_official_name_must_be_the_official_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cifar-10-binary.tar.gz");
        std::fs::write(&path, "abc").unwrap();
        // RFC 1321's test suite.
        assert_eq!(md5_of(&path).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        let error = check("cifar10", &path).unwrap_err().to_string();
        assert!(
            error.contains("3 bytes is 900150983cd24fb0d6963f7d28e17f72, not the published c32a1d4a"),
            "{error}"
        );
        check("another", &path).unwrap();
    }
}
