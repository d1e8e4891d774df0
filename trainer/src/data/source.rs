//! A stream of bytes that knows how far it was read, so that every message can name the byte.

use crate::error::{Error, Result};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// What is reserved at once for bytes that a header promises: a promise is believed only as bytes arrive.
const LEAST_RESERVE: u64 = 1 << 16;

/// What a packed file may unpack to; the largest published one has 47 MB.
const MOST_UNPACKED: u64 = 1 << 30;

/// A stream and its place.
pub(super) struct Source<R> {
    stream: R,
    place: PathBuf,
    offset: u64,
}

impl<R: Read> Source<R> {
    /// A stream that begins at byte 0; `place` is for messages.
    pub(super) fn new(stream: R, place: &Path) -> Self {
        Self { stream, place: place.to_path_buf(), offset: 0 }
    }

    /// Number of bytes read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// An error at byte `offset`.
    pub(super) fn bad_at(&self, offset: u64, message: impl std::fmt::Display) -> Error {
        Error::data(&self.place, format!("byte {offset}: {message}"))
    }

    /// An error at the next byte.
    pub(super) fn bad(&self, message: impl std::fmt::Display) -> Error {
        self.bad_at(self.offset, message)
    }

    /// Reads until `buffer` is full or the stream ends; the number of bytes read.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut length = 0;
        while length < buffer.len() {
            match self.stream.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(count) => {
                    length += count;
                    self.offset += count as u64;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(self.bad(format!("not readable: {e}"))),
            }
        }
        Ok(length)
    }

    /// The next N bytes, which are `what`.
    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let (mut bytes, begin) = ([0; N], self.offset);
        match self.fill(&mut bytes)? {
            length if length == N => Ok(bytes),
            length => Err(self.bad_at(begin, format!("the file ends: {length} of the {N} bytes of {what}"))),
        }
    }

    /// Appends the next `count` bytes, which are `what`, to `out`; room is taken as the bytes arrive.
    pub(super) fn append(&mut self, count: u64, out: &mut Vec<u8>, what: &str) -> Result<()> {
        let (begin, mut rest) = (self.offset, count);
        while rest > 0 {
            if out.len() == out.capacity() {
                out.reserve_exact(rest.min(LEAST_RESERVE.max(out.len() as u64)) as usize);
            }
            let spare = (out.capacity() - out.len()) as u64;
            let old = out.len();
            out.resize(old + rest.min(spare).min(LEAST_RESERVE) as usize, 0);
            let length = self.fill(&mut out[old..])?;
            if old + length < out.len() {
                let read = count - rest + length as u64;
                return Err(
                    self.bad_at(begin, format!("the file ends: {read} of the {count} bytes of {what}"))
                );
            }
            rest -= length as u64;
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(super) fn finish(mut self) -> Result<()> {
        let begin = self.offset;
        match self.fill(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.bad_at(begin, "bytes follow where the file should end")),
        }
    }
}

/// A stream that may have so many bytes and no more: what is unpacked has no length that could be asked for.
pub(super) struct Bounded<R> {
    stream: R,
    most: u64,
    left: u64,
}

impl<R> Bounded<R> {
    /// A stream of at most `most` bytes; the next one is an error.
    pub(super) fn new(stream: R, most: u64) -> Self {
        Self { stream, most, left: most }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            std::io::Error::other(format!("it unpacks to more than the {} bytes that are allowed", self.most))
        })?;
        Ok(length)
    }
}

/// Opens a regular file; one whose name ends in `.gz` is unpacked as it is read, to at most [`MOST_UNPACKED`] bytes.
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let (file, _) = measure::input::open(path)?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match path.extension().is_some_and(|extension| extension == "gz") {
        true => Box::new(Bounded::new(flate2::bufread::MultiGzDecoder::new(file), MOST_UNPACKED)),
        false => Box::new(file),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_takes_no_room_until_bytes_arrive() {
        let mut source = Source::new(&[7u8; 100][..], Path::new("f"));
        assert_eq!(source.array::<4>("the magic number").unwrap(), [7; 4]);
        let mut out = Vec::new();
        let error = source.append(1 << 40, &mut out, "pixels").unwrap_err().to_string();
        assert_eq!(error, "f: byte 4: the file ends: 96 of the 1099511627776 bytes of pixels");
        assert!(out.capacity() <= 1 << 17, "{}", out.capacity());
    }

    #[test]
    fn what_is_unpacked_is_bounded() {
        let all = |most| std::io::copy(&mut Bounded::new(&[7u8; 100][..], most), &mut std::io::sink());
        assert_eq!(all(100).unwrap(), 100);
        let error = all(99).unwrap_err().to_string();
        assert_eq!(error, "it unpacks to more than the 99 bytes that are allowed");
    }

    #[test]
    fn room_is_exact_where_the_promise_holds() {
        let bytes = vec![1; 300_000];
        let mut out = Vec::new();
        let mut source = Source::new(&bytes[..], Path::new("f"));
        source.append(299_999, &mut out, "pixels").unwrap();
        assert_eq!((out.len(), out.capacity()), (299_999, 299_999));
        assert_eq!(
            source.finish().unwrap_err().to_string(),
            "f: byte 299999: bytes follow where the file should end"
        );
    }
}
