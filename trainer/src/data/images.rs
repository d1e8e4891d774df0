//! Images with labels, each kept once as bytes.

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
    shape: [usize; 3],
    /// The byte that means 1.
    brightest: u8,
    num_classes: usize,
}

/// Bytes in memory of this process or in a file.
#[derive(Debug)]
enum Pixels {
    Owned(Vec<u8>),
    Mapped(Mapped),
}

impl Deref for Pixels {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(Mapped { map, range }) => &map[range.clone()],
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
        Self::of(Store { pixels: Pixels::Owned(pixels), shape, brightest, num_classes }, labels)
    }

    /// Images of `shape` in a file, whose byte 255 means 1.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn mapped(
        pixels: Mapped,
        labels: Vec<usize>,
        shape: [usize; 3],
        num_classes: usize,
    ) -> Result<Self> {
        Self::of(Store { pixels: Pixels::Mapped(pixels), shape, brightest: u8::MAX, num_classes }, labels)
    }

    fn of(store: Store, labels: Vec<usize>) -> Result<Self> {
        let Store { ref pixels, shape, brightest, num_classes } = store;
        let size = shape.iter().try_fold(1usize, |size, &side| size.checked_mul(side)).unwrap_or(0);
        if size == 0 || brightest == 0 || size.checked_mul(labels.len()) != Some(pixels.len()) {
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

    /// Bytes of image `index`.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.pixels_per_image();
        &self.store.pixels[self.rows[index] as usize * size..][..size]
    }

    /// Image `index` in \[0, 1\], appended to `out`.
    pub fn push_unit(&self, index: usize, out: &mut Vec<f32>) {
        let brightest = f32::from(self.store.brightest);
        out.extend(self.image(index).iter().map(|&p| f32::from(p) / brightest));
    }

    /// All bytes that subsets share: image `i` of this set is number `rows()[i]` there.
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
            crc32c::crc32c_append(
                crc32c::crc32c_append(sum, self.image(i)),
                &(self.labels[i] as u64).to_le_bytes(),
            )
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
