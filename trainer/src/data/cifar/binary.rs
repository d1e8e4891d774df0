//! CIFAR's binary layout: one record after the other, without a header.
//!
//! A record of CIFAR-10 is 1 byte of label and 3,072 bytes of pixels; one of CIFAR-100 begins with 1 byte of superclass
//! and 1 byte of class.

use super::{Classes, IMAGE, Records, push_interleaved};
use crate::data::source::Source;
use crate::error::Result;
use std::io::Read;
use std::path::Path;

/// Appends the images of a stream to `out`; `place` is for messages.
///
/// # Errors
/// A label out of range, a class outside its superclass, a stream that ends inside a record or holds none; with record
/// (from 0) and byte.
pub fn read(stream: impl Read, place: &Path, classes: Classes, out: &mut Records) -> Result<()> {
    let mut source = Source::new(stream, place);
    let mut buffer = [0; 2 + IMAGE];
    let record = if classes == Classes::Ten { &mut buffer[1..] } else { &mut buffer[..] };
    for index in 0_u64.. {
        let begin = source.offset();
        match source.fill(record)? {
            0 if index > 0 => break,
            length if length == record.len() => {}
            length => {
                let message =
                    format!("the file ends inside record {index}: {length} of its {} bytes", record.len());
                return Err(source.bad_at(begin, message));
            }
        }
        let (labels, pixels) = record.split_at(record.len() - IMAGE);
        let class = match *labels {
            [coarse, fine] => classes.of_hundred(coarse.into(), fine.into()),
            [label, ..] => Classes::of_ten(label.into()),
            [] => Err("no label".into()),
        };
        out.labels.push(class.map_err(|e| source.bad_at(begin, format!("record {index}: {e}")))?);
        push_interleaved(pixels, &mut out.pixels);
    }
    Ok(())
}
