//! MNIST and Fashion-MNIST: images and labels in idx files.
//!
//! Big-endian numbers of four bytes. Images: 2051, N, height, width, then N·height·width bytes row by row. Labels:
//! 2049, N, then N bytes. Either may be packed (`.gz`). The official folder has `train-images-idx3-ubyte`,
//! `train-labels-idx1-ubyte` (60,000), `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` (10,000) of ten classes,
//! 28×28 pixels of 0 to 255 (LeCun, Cortes & Burges 1998; Xiao, Rasul & Vollgraf 2017, MIT licence).

use super::official::OfficialFiles;
use super::source::{Source, open};
use super::{Images, Request, Samples, Split};
use crate::error::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// C.
pub const NUM_CLASSES: usize = 10;

const IMAGES_MAGIC: u32 = 0x0803;
const LABELS_MAGIC: u32 = 0x0801;
/// Largest height and width; no data set of this family comes near.
const LARGEST_SIDE: u32 = 4096;

/// Pixels of all images of a stream, with \[height, width\]; `place` is for messages.
///
/// # Errors
/// Another magic number, no image, a side of 0 or above 4096, a stream that ends early or goes on.
///
/// # Examples
/// ```
/// let file = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9];
/// let (pixels, shape) = trainer::data::idx::images(&file[..], "images".as_ref())?;
/// assert_eq!((&pixels[..], shape), (&[7, 9][..], [1, 1]));
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn images(stream: impl Read, place: &Path) -> Result<(Vec<u8>, [usize; 2])> {
    let mut source = Source::new(stream, place);
    let number = header(&mut source, IMAGES_MAGIC, "images")?;
    let mut sides = [0; 2];
    for (side, name) in sides.iter_mut().zip(["height", "width"]) {
        let (at, value) = (source.offset(), u32::from_be_bytes(source.array(name)?));
        if !(1..=LARGEST_SIDE).contains(&value) {
            return Err(source.bad_at(at, format!("{name} {value} is not between 1 and {LARGEST_SIDE}")));
        }
        *side = value as usize;
    }
    // At most 2³²·2²⁴.
    let bytes = u64::from(number) * (sides[0] * sides[1]) as u64;
    let mut pixels = Vec::new();
    source.append(bytes, &mut pixels, &format!("{number} images of {}×{}", sides[0], sides[1]))?;
    source.finish()?;
    Ok((pixels, sides))
}

/// All labels of a stream, from 0; `place` is for messages.
///
/// # Errors
/// Another magic number, no label, a label of `num_classes` or more, a stream that ends early or goes on.
pub fn labels(stream: impl Read, place: &Path, num_classes: usize) -> Result<Vec<usize>> {
    let mut source = Source::new(stream, place);
    let number = header(&mut source, LABELS_MAGIC, "labels")?;
    let (begin, mut bytes) = (source.offset(), Vec::new());
    source.append(number.into(), &mut bytes, &format!("{number} labels"))?;
    if let Some(index) = bytes.iter().position(|&label| usize::from(label) >= num_classes) {
        let message = format!("label {index} is {}, not below {num_classes}", bytes[index]);
        return Err(source.bad_at(begin + index as u64, message));
    }
    source.finish()?;
    Ok(bytes.into_iter().map(usize::from).collect())
}

/// Magic number and number of items, at least 1.
fn header<R: Read>(source: &mut Source<R>, magic: u32, what: &str) -> Result<u32> {
    let found = u32::from_be_bytes(source.array("the magic number")?);
    if found != magic {
        return Err(source.bad_at(0, format!("magic number {found} is not {magic}, that of {what}")));
    }
    match u32::from_be_bytes(source.array("the number of items")?) {
        0 => Err(source.bad_at(4, format!("there are 0 {what}"))),
        number => Ok(number),
    }
}

/// The requested part of a data set of four idx files.
pub(super) fn load(request: &Request<'_>, official: &OfficialFiles) -> Result<Split> {
    let folder = official.find(request.folder)?;
    let part = |prefix| part(&folder, official, prefix).map(Samples::Images);
    request.split(part("train")?, part("t10k")?)
}

fn part(folder: &Path, official: &OfficialFiles, prefix: &str) -> Result<Images> {
    let images_path = packed_or_not(folder, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels_path = packed_or_not(folder, &format!("{prefix}-labels-idx1-ubyte"))?;
    official.check(&images_path)?;
    official.check(&labels_path)?;
    let labels = labels(open(&labels_path)?, &labels_path, NUM_CLASSES)?;
    let (pixels, [height, width]) = images(open(&images_path)?, &images_path)?;
    let number = pixels.len() / (height * width);
    if number != labels.len() {
        let message = format!("{number} images, but {} labels in {}", labels.len(), labels_path.display());
        return Err(Error::data(&images_path, message));
    }
    Images::new(pixels, labels, [height, width, 1], 255, NUM_CLASSES)
}

fn packed_or_not(folder: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [folder.join(format!("{name}.gz")), folder.join(name)];
    for path in candidates {
        if theory::files::exists(&path)? {
            return Ok(path);
        }
    }
    Err(Error::data(folder, format!("there is neither {name}.gz nor {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::registry::fashion_mnist;
    use std::io::Write;

    /// An idx file.
    fn file(magic: u32, sizes: &[u32], items: &[u8]) -> Vec<u8> {
        let numbers = [&[magic], sizes].concat();
        numbers.iter().flat_map(|number| number.to_be_bytes()).chain(items.iter().copied()).collect()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_folder_of_packed_and_plain_files_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let pixels: Vec<u8> = (0..12).map(|i| i * 20).collect();
        write("train-images-idx3-ubyte.gz", &gz(&file(2051, &[2, 2, 3], &pixels)));
        write("train-labels-idx1-ubyte", &file(2049, &[2], &[9, 0]));
        write("t10k-images-idx3-ubyte", &file(2051, &[1, 2, 3], &pixels[..6]));
        write("t10k-labels-idx1-ubyte.gz", &gz(&file(2049, &[1], &[4])));
        let own = OfficialFiles { files: &[], ..fashion_mnist::FILES };
        let [train, test] = ["train", "t10k"].map(|prefix| part(folder.path(), &own, prefix).unwrap());
        assert_eq!((train.labels(), train.shape(), train.image(1)), (&[9, 0][..], [2, 3, 1], &pixels[6..]));
        assert_eq!((test.labels(), test.image(0)), (&[4][..], &pixels[..6]));
        // Under an official name, another content is refused.
        let error = part(folder.path(), &fashion_mnist::FILES, "train").unwrap_err().to_string();
        assert!(error.contains("not the published 8d4fb7e6c68d591d4c3dfef9ec88bf0d"), "{error}");
        write("train-labels-idx1-ubyte", &file(2049, &[3], &[9, 0, 1]));
        let error = part(folder.path(), &own, "train").unwrap_err().to_string();
        assert!(error.contains("2 images, but 3 labels in "), "{error}");
        std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte")).unwrap();
        let error = part(folder.path(), &own, "train").unwrap_err().to_string();
        assert!(error.ends_with("neither train-labels-idx1-ubyte.gz nor train-labels-idx1-ubyte"), "{error}");
    }

    #[test]
    fn every_defect_is_named_with_its_byte() {
        let place = Path::new("f");
        let images = |bytes: &[u8]| images(bytes, place).unwrap_err().to_string();
        let labels = |bytes: &[u8]| labels(bytes, place, 10).unwrap_err().to_string();
        assert_eq!(
            images(&file(2049, &[1], &[1])),
            "f: byte 0: magic number 2049 is not 2051, that of images"
        );
        assert_eq!(images(&[0, 0]), "f: byte 0: the file ends: 2 of the 4 bytes of the magic number");
        assert_eq!(images(&file(2051, &[0, 1, 1], &[])), "f: byte 4: there are 0 images");
        assert_eq!(images(&file(2051, &[1, 28, 0], &[])), "f: byte 12: width 0 is not between 1 and 4096");
        assert_eq!(
            images(&file(2051, &[1 << 31, 28, 28], &[0; 40])),
            "f: byte 16: the file ends: 40 of the 1683627180032 bytes of 2147483648 images of 28×28"
        );
        assert_eq!(
            images(&file(2051, &[1, 1, 1], &[0, 0])),
            "f: byte 17: bytes follow where the file should end"
        );
        assert_eq!(labels(&file(2049, &[3], &[1, 10, 2])), "f: byte 9: label 1 is 10, not below 10");
        assert_eq!(
            labels(&file(2049, &[3], &[1, 2])),
            "f: byte 8: the file ends: 2 of the 3 bytes of 3 labels"
        );
        let packed = gz(&file(2049, &[3], &[1, 2, 3]));
        let cut = flate2::bufread::MultiGzDecoder::new(&packed[..packed.len() - 9]);
        assert!(super::labels(cut, place, 10).is_err());
    }
}
