//! Images with labels, each kept once as bytes, or decoded when it is needed.

use super::own::Stream;
use crate::error::{Error, Result};
use memmap2::Mmap;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Images \[height, width, channels\] of bytes with labels; subsets share the bytes.
#[derive(Debug, Clone)]
pub struct Images {
    store: Arc<Store>,
    /// Which images of the store, in this order.
    rows: Vec<u32>,
    /// Class of each image, from 0.
    labels: Vec<usize>,
}

#[derive(Debug)]
struct Store {
    /// Images one after the other, each row by row, the channels of a pixel side by side.
    pixels: Pixels,
    /// Where in the store each shard begins; empty, where there are none.
    shards: Vec<u32>,
    shape: [usize; 3],
    /// The byte that means 1.
    brightest: u8,
    num_classes: usize,
}

/// Bytes in memory of this process or in a file; none, where images are decoded when they are needed.
#[derive(Debug)]
enum Pixels {
    Owned(Vec<u8>),
    Mapped(Mapped),
    Stream(Arc<Stream>),
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(Mapped { map, range }) => &map[range.clone()],
            Self::Stream(_) => &[],
        }
    }
}

/// A part of a mapped file.
#[derive(Debug)]
pub(super) struct Mapped {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl Mapped {
    /// These bytes of a file that is long enough.
    pub(super) fn new(map: &Arc<Mmap>, range: Range<usize>) -> Self {
        Self { map: Arc::clone(map), range }
    }
}

/// Where images of files come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A file of decoded images.
    Mapped(Mapped),
    /// The files themselves.
    Stream(Arc<Stream>),
}

impl Images {
    /// Images of `shape` \[height, width, channels\], whose byte `brightest` means 1 (255; 16 for the digits).
    ///
    /// # Errors
    /// An image without pixels, pixels that are not one image a label, a label of `num_classes` or more, a byte above
    /// `brightest`, more than 2³² images.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::Images;
    /// let images = Images::new(vec![0, 255, 10, 20], vec![1, 0], [1, 2, 1], 255, 2)?;
    /// assert_eq!((images.len(), images.image(1)), (2, &[10, 20][..]));
    /// assert_eq!(images.subset(&[1]).class_counts(), [1, 0]);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn new(
        pixels: Vec<u8>,
        labels: Vec<usize>,
        shape: [usize; 3],
        brightest: u8,
        num_classes: usize,
    ) -> Result<Self> {
        if let Some(i) = pixels.iter().position(|&p| p > brightest) {
            let (image, value) = (i / shape.iter().product::<usize>().max(1), pixels[i]);
            return Err(Error::argument(format!("image {image} has a pixel of {value}, above {brightest}")));
        }
        let (pixels, shards) = (Pixels::Owned(pixels), Vec::new());
        Self::of(Store { pixels, shards, shape, brightest, num_classes }, labels)
    }

    /// Images of `shape` in a file, or decoded when they are needed, whose byte 255 means 1. `shards` says how many
    /// images each shard has, in their order; none, where there are no shards.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn of_files(
        pixels: Source,
        labels: Vec<usize>,
        (shape, num_classes): ([usize; 3], usize),
        shards: &[u32],
    ) -> Result<Self> {
        let pixels = match pixels {
            Source::Mapped(mapped) => Pixels::Mapped(mapped),
            Source::Stream(stream) => Pixels::Stream(stream),
        };
        let starts = shards.iter().scan(0u32, |begin, count| {
            let start = *begin;
            *begin = begin.saturating_add(*count);
            Some(start)
        });
        let shards = starts.collect();
        Self::of(Store { pixels, shards, shape, brightest: u8::MAX, num_classes }, labels)
    }

    fn of(store: Store, labels: Vec<usize>) -> Result<Self> {
        let Store { ref pixels, shape, brightest, num_classes, .. } = store;
        let size = shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side)).unwrap_or(0);
        let is_held = !matches!(pixels, Pixels::Stream(_));
        if size == 0 || brightest == 0 || is_held && size.checked_mul(labels.len()) != Some(pixels.len()) {
            return Err(Error::argument(format!(
                "{} bytes are not {} images of shape {shape:?}",
                pixels.len(),
                labels.len()
            )));
        }
        if let Some(i) = labels.iter().position(|&label| label >= num_classes) {
            return Err(Error::argument(format!("image {i} has class {} of {num_classes}", labels[i])));
        }
        let count = u32::try_from(labels.len())
            .map_err(|_| Error::argument(format!("{} images exceed 2^32", labels.len())))?;
        Ok(Self { store: Arc::new(store), rows: (0..count).collect(), labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Class of each image, from 0.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// C.
    pub fn num_classes(&self) -> usize {
        self.store.num_classes
    }

    /// \[height, width, channels\] of an image.
    pub fn shape(&self) -> [usize; 3] {
        self.store.shape
    }

    /// Numbers per image.
    pub fn pixels_per_image(&self) -> usize {
        self.store.shape.iter().product()
    }

    /// Bytes of image `index`; none, where images are decoded when they are needed ([`is_streamed`](Self::is_streamed)).
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.pixels_per_image();
        self.store
            .pixels
            .get(self.rows[index] as usize * size..)
            .and_then(|rest| rest.get(..size))
            .unwrap_or_default()
    }

    /// Whether images are decoded when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.stream().is_some()
    }

    fn stream(&self) -> Option<&Arc<Stream>> {
        match &self.store.pixels {
            Pixels::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn rows_of(&self, indices: &[usize]) -> Vec<u32> {
        indices.iter().map(|&index| self.rows[index]).collect()
    }

    /// Bytes of these images, one after the other.
    ///
    /// # Errors
    /// An image that is decoded now changed since it was checked.
    ///
    /// # Examples
    /// ```
    /// use trainer::data::Images;
    /// let images = Images::new(vec![0, 255, 10, 20], vec![1, 0], [1, 2, 1], 255, 2)?;
    /// assert_eq!(images.pixels(&[1, 0])?, [10, 20, 0, 255]);
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn pixels(&self, indices: &[usize]) -> Result<Vec<u8>> {
        match self.stream() {
            Some(stream) => stream.pixels(&self.rows_of(indices)),
            None => Ok(indices.iter().flat_map(|&index| self.image(index)).copied().collect()),
        }
    }

    /// Says that [`pixels`](Self::pixels) of these images, in this order, are wanted next: where images are decoded when
    /// they are needed, that begins now.
    pub fn expect(&self, indices: &[usize]) {
        if let Some(stream) = self.stream() {
            stream.expect(self.rows_of(indices));
        }
    }

    /// [`pixels`](Self::pixels) in \[0, 1\].
    ///
    /// # Errors
    /// As there.
    pub fn units(&self, indices: &[usize]) -> Result<Vec<f32>> {
        let brightest = f32::from(self.store.brightest);
        Ok(self.pixels(indices)?.into_iter().map(|p| f32::from(p) / brightest).collect())
    }

    /// The images of each shard in their order there; all as one, where there are no shards.
    pub fn shards(&self) -> Vec<Vec<usize>> {
        let mut indices: Vec<usize> = (0..self.len()).collect();
        indices.sort_by_key(|&index| self.rows[index]);
        let shard = |&index: &usize| self.store.shards.partition_point(|&begin| begin <= self.rows[index]);
        indices.chunk_by(|a, b| shard(a) == shard(b)).map(<[usize]>::to_vec).collect()
    }

    /// All bytes that subsets share: image `i` of this set is number `rows()[i]` there. None, where images are decoded when
    /// they are needed.
    pub fn store(&self) -> &[u8] {
        &self.store.pixels
    }

    /// The place of each image in [`store`](Self::store).
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// The byte that means 1.
    pub fn brightest(&self) -> u8 {
        self.store.brightest
    }

    /// A checksum of the images and their classes, in this order.
    pub fn checksum(&self) -> u32 {
        let shape = format!("{:?} {} {}", self.shape(), self.brightest(), self.num_classes());
        (0..self.len()).fold(crc32c::crc32c(shape.as_bytes()), |sum, i| {
            let sum = match self.stream() {
                Some(stream) => {
                    crc32c::crc32c_combine(sum, stream.checksum(self.rows[i]), self.pixels_per_image())
                }
                None => crc32c::crc32c_append(sum, self.image(i)),
            };
            crc32c::crc32c_append(sum, &(self.labels[i] as u64).to_le_bytes())
        })
    }

    /// Images per class.
    pub fn class_counts(&self) -> Vec<u64> {
        measure::class_counts(&self.labels, self.store.num_classes)
    }

    /// The images of these indices, in this order; no byte is copied.
    #[must_use]
    pub fn subset(&self, indices: &[usize]) -> Self {
        Self {
            store: Arc::clone(&self.store),
            rows: indices.iter().map(|&i| self.rows[i]).collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
        }
    }
}
