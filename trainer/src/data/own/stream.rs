//! Images that are read and decoded when a batch needs them: the set takes neither disk nor memory.

use super::decode::{Form, decode};
use super::listing::Listing;
use crate::error::{Error, Result};
use rayon::ThreadPool;
use rayon::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Batches that may be decoded ahead.
const MOST_AHEAD: usize = 2;

/// The images of one part of a listing that can be decoded.
pub(in crate::data) struct Stream {
    listing: Arc<Listing>,
    part: usize,
    /// Which of the part's files, and CRC-32C of the pixels of each as they were when they were checked.
    images: Vec<(u32, u32)>,
    form: Form,
    pool: ThreadPool,
    /// Batches that are being decoded, by their rows.
    ahead: Mutex<Vec<(Vec<u32>, Decoding)>>,
}

type Decoding = JoinHandle<Result<Vec<u8>>>;

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} images of {})", self.images.len(), self.listing.folder.display())
    }
}

impl Stream {
    /// The images of a part whose checksum is known: `checked` has one for each file of it.
    ///
    /// # Errors
    /// No threads can be started.
    pub(super) fn new(
        listing: &Arc<Listing>,
        part: usize,
        checked: &[Option<u32>],
        form: Form,
    ) -> Result<Arc<Self>> {
        let images = (0..).zip(checked).filter_map(|(file, &sum)| Some((file, sum?))).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
            Error::argument(format!("cannot start {threads} threads that decode images: {e}"))
        })?;
        Ok(Arc::new(Self { listing: Arc::clone(listing), part, images, form, pool, ahead: Mutex::default() }))
    }

    /// CRC-32C of the pixels of a row.
    pub(in crate::data) fn checksum(&self, row: u32) -> u32 {
        self.images[row as usize].1
    }

    /// The pixels of these rows, one after the other.
    ///
    /// # Errors
    /// An image changed since it was checked.
    pub(in crate::data) fn pixels(&self, rows: &[u32]) -> Result<Vec<u8>> {
        let begun = {
            let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            ahead.iter().position(|(of, _)| of == rows).map(|at| ahead.remove(at).1)
        };
        match begun.map(JoinHandle::join) {
            Some(Ok(pixels)) => pixels,
            // Never begun, or the thread ended: here and now.
            _ => self.decode(rows),
        }
    }

    /// Begins to decode these rows, which [`pixels`](Self::pixels) is about to be asked for.
    pub(in crate::data) fn expect(self: &Arc<Self>, rows: Vec<u32>) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.len() == MOST_AHEAD {
            // Nobody came for it.
            ahead.remove(0);
        }
        let (this, of) = (Arc::clone(self), rows.clone());
        let thread = std::thread::Builder::new().name("decode".into());
        if let Ok(decoding) = thread.spawn(move || this.decode(&of)) {
            ahead.push((rows, decoding));
        }
    }

    fn decode(&self, rows: &[u32]) -> Result<Vec<u8>> {
        let size: usize = self.form.shape.iter().product();
        let mut pixels = vec![0; rows.len() * size];
        self.pool.install(|| {
            let images = pixels.par_chunks_exact_mut(size).zip(rows).with_max_len(1);
            images.try_for_each(|(place, &row)| {
                let (file, sum) = self.images[row as usize];
                let source = &self.listing.parts[self.part][file as usize];
                let bytes = self.listing.bytes_of(source);
                let changed = |reason: &str| {
                    let path = self.listing.folder.join(&source.path);
                    Error::data(&path, format!("changed since it was checked: {reason}"))
                };
                let found =
                    bytes.and_then(|bytes| decode(&bytes, self.form)).map_err(|reason| changed(&reason))?;
                if crc32c::crc32c(&found) != sum {
                    return Err(changed("it is another image"));
                }
                place.copy_from_slice(&found);
                Ok(())
            })
        })?;
        Ok(pixels)
    }
}
