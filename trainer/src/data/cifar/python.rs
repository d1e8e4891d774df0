//! CIFAR's Python layout: one pickled dictionary a file.
//!
//! `data`: array \[N, 3072\] of bytes, a planar image a row; `labels` (CIFAR-10) or `fine_labels` and `coarse_labels`
//! (CIFAR-100): lists of N numbers. Other entries (`filenames`, `batch_label`) are passed over.

use super::pickle::{Pickle, Value};
use super::{Classes, IMAGE, Records, push_interleaved};
use crate::data::source::Source;
use crate::error::{Error, Result};
use std::io::Read;
use std::path::Path;

/// Appends the images of a stream to `out`; `place` is for messages.
///
/// The pickle is read by a restricted interpreter that executes nothing; the pixels go straight to their place.
///
/// # Errors
/// Anything in the pickle that the official files do not have, a missing entry, shapes that do not fit together, a
/// label out of range; with byte or record (from 0).
pub fn read(stream: impl Read, place: &Path, classes: Classes, out: &mut Records) -> Result<()> {
    let mut source = Source::new(stream, place);
    let begin = out.pixels.len();
    let pickle = Pickle::read(&mut source, &mut out.pixels)?;
    source.finish()?;
    let bad = |message: String| Error::data(place, message);
    let number = rearrange(&pickle, begin, &mut out.pixels).map_err(bad)?;
    out.labels.reserve(number);
    match classes {
        Classes::Ten => {
            for (index, &label) in list(&pickle, "labels", number).map_err(bad)?.iter().enumerate() {
                let class = integer(&pickle, label).and_then(Classes::of_ten);
                out.labels.push(class.map_err(|e| bad(format!("record {index}: {e}")))?);
            }
        }
        Classes::Fine | Classes::Coarse => {
            let fine = list(&pickle, "fine_labels", number).map_err(bad)?;
            let coarse = list(&pickle, "coarse_labels", number).map_err(bad)?;
            for (index, (&coarse, &fine)) in coarse.iter().zip(fine).enumerate() {
                let labels = integer(&pickle, coarse).and_then(|c| Ok((c, integer(&pickle, fine)?)));
                let class = labels.and_then(|(coarse, fine)| classes.of_hundred(coarse, fine));
                out.labels.push(class.map_err(|e| bad(format!("record {index}: {e}")))?);
            }
        }
    }
    Ok(())
}

/// Puts the channels of `data`, which lies in `pixels` from `begin` on, last; the number of images.
fn rearrange(pickle: &Pickle, begin: usize, pixels: &mut Vec<u8>) -> std::result::Result<usize, String> {
    let data = pickle.entry("data").ok_or("there is no entry 'data'")?;
    let Value::Array { shape: [number, IMAGE], column_major, content } = data else {
        return Err(format!("'data' is {}, not an array of shape [N, {IMAGE}]", data.describe()));
    };
    let (number, range) = (*number, content.clone());
    if number == 0 {
        return Err("'data' has no row".into());
    }
    if range != (begin..pixels.len()) {
        return Err("a string of more than 1,024 bytes beside 'data'".into());
    }
    if Some(range.len()) != number.checked_mul(IMAGE) {
        return Err(format!("'data' has {} bytes for {number} rows of {IMAGE}", range.len()));
    }
    let mut row = Vec::with_capacity(IMAGE);
    if *column_major {
        // No official file is known to be so; one that is takes a second copy for a moment.
        let columns = pixels.split_off(begin);
        for index in 0..number {
            let planar: Vec<u8> = columns.iter().skip(index).step_by(number).copied().collect();
            push_interleaved(&planar, pixels);
        }
    } else {
        for planar in pixels[begin..].chunks_exact_mut(IMAGE) {
            row.clear();
            push_interleaved(planar, &mut row);
            planar.copy_from_slice(&row);
        }
    }
    Ok(number)
}

/// The list under a name, of `number` items.
fn list<'a>(pickle: &'a Pickle, name: &str, number: usize) -> std::result::Result<&'a [usize], String> {
    match pickle.entry(name) {
        None => Err(format!("there is no entry '{name}'")),
        Some(Value::List(items)) if items.len() == number => Ok(items),
        Some(Value::List(items)) => Err(format!("'{name}' has {} items for {number} images", items.len())),
        Some(other) => Err(format!("'{name}' is {}, not a list", other.describe())),
    }
}

fn integer(pickle: &Pickle, item: usize) -> std::result::Result<i64, String> {
    match pickle.value(item) {
        Value::Integer(value) => Ok(*value),
        other => Err(format!("the label is {}, not a number", other.describe())),
    }
}
