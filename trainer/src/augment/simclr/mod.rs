//! Views of images as SimCLR and MoCo v2 make them: crop, flip, colour jitter, grey, blur.
//!
//! For an image of u8 \[H, W, 3\], a view \[size, size, 3\] of f32 in \[0, 1\] is made by, in this order,
//!
//! 1. `RandomResizedCrop`: a box of random area and ratio, resized to size × size by bilinear interpolation, with
//!    antialiasing where it is larger than the view;
//! 2. a horizontal flip with probability ½;
//! 3. with probability 0.8 the colour jitter, its four parts in random order: brightness x ← fx, contrast
//!    x ← fx + (1−f)m with m the mean of the grey image, saturation x ← fx + (1−f)·grey(x), each clamped to
//!    \[0, 1\], and the hue turned by h (through HSV);
//! 4. with probability 0.2 grey(x) = 0.2989 R + 0.587 G + 0.114 B in all three channels;
//! 5. with `blur_probability` (0 unless said) a Gaussian blur, σ uniform between the ends of `blur_sigma`.
//!
//! MoCo v2 flips at the end. That is the same view: a flip commutes with what is done to single pixels, with the mean
//! of contrast and with a symmetric blur.
//!
//! Grey images, u8 \[H, W, 1\] ([`Sampler::with_channels`]), have views \[size, size, 1\]. As in torchvision, m is then
//! the mean of the image itself, and saturation, hue and grey change nothing. A view is nearly that of the image in
//! three equal channels: the weights of grey(x) add up to 0.9999, so that contrast and saturation there differ by up to
//! 1e-4·|1−f|, and a grey view by 1e-4. Which box, flip and factors are drawn does not depend on the channels.
//!
//! Numbers are the defaults of [`Augmentation`]; ranges of random numbers are in [`Sampler::parameters`]'
//! file. There is no normalisation by mean and deviation.
//!
//! **Which definition.** Pixels are those of `torchvision.transforms.functional` on float tensors (checked
//! against torchvision 0.29, `tests/augment/make_golden.py`), with `interpolate(mode="bilinear",
//! align_corners=False, antialias=True)`: along an axis on which the box is larger than the view, a triangle as wide as
//! the reduction. Where it is not, antialiasing changes nothing. A factor that changes nothing (1, or hue 0) is
//! skipped, where torchvision's way through HSV would round.
//!
//! Nozawa and Sato used torchvision 0.7 on PIL images, which differs in two things:
//!
//! - after every step PIL rounds to 8 bits (and takes the mean of contrast as a whole number);
//! - the largest: it turns the hue in an HSV of 8 bits a channel, by a whole number of steps of 1/255. On 300
//!   images of noise (32 × 32, torchvision 0.26, PIL 13.0) a channel differs by up to 15.7/255 at h = ±0.05 and
//!   14.6/255 at h = ±0.1 (mean 0.4/255 to 1.4/255), and even h = 0 moves it by up to 7/255. Brightness,
//!   contrast and saturation (factors 0.6 to 1.4) stay within 1.2/255.
//!
//! **Which blur.** `torchvision.transforms.functional.gaussian_blur` with 2⌊⌊size/10⌋/2⌋ + 1 pixels (23 of 224, 3 of
//! 32, 1, hence no blur, below 20): weights ∝ exp(−d²/2σ²) along rows, then along columns, the image mirrored at
//! its edges. That is SimCLR's length of the kernel (`kernel_size = height // 10` in its `data_util.py`), and a kernel
//! that holds σ = 2 to 5.75 σ. Published code differs from it at 224 × 224 as follows (`make_golden.py --laws`; noise
//! of bytes, in units of 1/255):
//!
//! - SimCLR takes zeros for what is outside, and darkens the edges: 1.8 on average at σ = 2, up to 102 at the edge;
//!   further inside than 11 pixels nothing differs;
//! - MoCo v2's `ImageFilter.GaussianBlur` of PIL (13.0) is three box filters on bytes, the edge repeated: 0.5 to 1.1 on
//!   average for σ from 0.1 to 2, inside up to 6, at the edge up to 43.
//!
//! **Random numbers** are a function of seed, purpose, step, image (its index in the data set) and view
//! ([`Counter`]): a view does not depend on the batch it is in, on the number of threads, or on the device.
//! An image that is twice in a batch has the same views twice.
//!
//! Source: T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A simple framework for contrastive learning of
//! visual representations", ICML 2020, appendix A; torchvision.

mod augment;
mod blur;
mod cpu;
mod crop;
#[cfg(feature = "cuda")]
mod cuda;
mod op;
mod parameters;

#[cfg(test)]
mod tests;

pub use augment::Augment;
pub use cpu::{Scratch, apply};
pub use parameters::{ATTEMPTS, CropBox, MAX_SIDE, Parameters, Part, Sampler};

use crate::error::{Error, Result};
use measure::rng::philox::{Counter, View};
use rayon::prelude::*;

/// Strengths of the augmentation.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Side of the (square) views, 1 to 4096.
    pub size: usize,
    /// Least and greatest share of the image's area in a box; ascending within \[2⁻²⁴, 1\] (a pixel of the
    /// largest image, 4096 × 4096, is 2⁻²⁴ of it).
    pub scale: (f32, f32),
    /// Least and greatest ratio of a box's width to its height; ascending within \[1/16, 16\].
    pub ratio: (f32, f32),
    /// Probability of a flip.
    pub flip_probability: f32,
    /// Probability of the colour jitter.
    pub jitter_probability: f32,
    /// Brightness factors lie between max(0, 1 − this) and 1 + this.
    pub brightness: f32,
    /// Contrast factors, likewise.
    pub contrast: f32,
    /// Saturation factors, likewise.
    pub saturation: f32,
    /// The hue is turned by up to this many turns, either way; at most ½.
    pub hue: f32,
    /// Probability of a grey view.
    pub grey_probability: f32,
    /// Probability of a Gaussian blur; 0 unless said.
    #[serde(skip_serializing_if = "is_zero")]
    pub blur_probability: f32,
    /// Least and greatest σ of the blur in pixels of the view; ascending within \[0.01, 100\].
    #[serde(skip_serializing_if = "is_usual_sigma")]
    pub blur_sigma: (f32, f32),
}

/// σ in SimCLR and MoCo v2.
const USUAL_SIGMA: (f32, f32) = (0.1, 2.0);

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_usual_sigma(value: &(f32, f32)) -> bool {
    *value == USUAL_SIGMA
}

impl Default for Augmentation {
    /// Those of Nozawa & Sato (2021) for CIFAR.
    fn default() -> Self {
        Self {
            size: 32,
            scale: (0.08, 1.0),
            ratio: (0.75, 4.0 / 3.0),
            flip_probability: 0.5,
            jitter_probability: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.4,
            hue: 0.1,
            grey_probability: 0.2,
            blur_probability: 0.0,
            blur_sigma: USUAL_SIGMA,
        }
    }
}

/// Views 0 to `views` − 1 of a batch of images: \[views · B, size, size, C\], first view 0 of every image,
/// then view 1 of every image, …; C is 3, or 1 for grey images.
///
/// `images` is the data set \[N, H, W, C\], `indices` \[B\] say which images. Views are made in parallel on
/// rayon's current pool; one core (AMD EPYC) makes about 80,000 views of 32 × 32 a second. The result is the
/// same with any number of threads.
///
/// # Errors
/// A data set that is not whole images, an index outside it, more than 2²⁴ views.
///
/// # Examples
/// ```
/// use trainer::augment::simclr::{Augmentation, Sampler, augment_batch};
/// use measure::rng::{Purpose, philox::Counter};
/// let sampler = Sampler::new(&Augmentation { size: 4, ..Augmentation::default() }, 4, 4)?;
/// let counter = Counter { seed: 7, purpose: Purpose::Augmentation, step: 0 };
/// // However cropped, flipped and turned in hue, a black image stays black.
/// let views = augment_batch(&sampler, &[0; 2 * 4 * 4 * 3], &[1, 0], &counter, 2)?;
/// assert_eq!(views, vec![0.0; 2 * 2 * 4 * 4 * 3]);
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn augment_batch(
    sampler: &Sampler,
    images: &[u8],
    indices: &[u32],
    counter: &Counter,
    views: u32,
) -> Result<Vec<f32>> {
    check_views(views)?;
    let mut out = vec![0.0; views as usize * indices.len() * sampler.view_len()];
    augment_batch_into(sampler, images, indices, counter, views, &mut out)?;
    Ok(out)
}

/// [`augment_batch`] into a buffer of views · B · size² · C numbers.
///
/// # Errors
/// As [`augment_batch`]; a buffer of another length.
pub fn augment_batch_into(
    sampler: &Sampler,
    images: &[u8],
    indices: &[u32],
    counter: &Counter,
    views: u32,
    out: &mut [f32],
) -> Result<()> {
    check_batch(sampler, images, indices)?;
    check_views(views)?;
    let expected = views as usize * indices.len() * sampler.view_len();
    if out.len() != expected {
        return Err(Error::argument(format!(
            "the buffer has {} numbers; {views} views of {} images have {expected}",
            out.len(),
            indices.len()
        )));
    }
    augment_each(sampler, |place| image(sampler, images, indices[place]), indices, counter, out)
}

/// [`augment_batch`] of images \[B, H, W, C\] that stand in the order of `samples`, the numbers that they have in
/// their data set.
///
/// # Errors
/// Bytes that are not B images; more than 2²⁴ views.
pub(super) fn augment_decoded(
    sampler: &Sampler,
    images: &[u8],
    samples: &[u32],
    counter: &Counter,
    views: u32,
) -> Result<Vec<f32>> {
    let length = sampler.image_len();
    if images.len() != samples.len() * length {
        let (bytes, count) = (images.len(), samples.len());
        return Err(Error::argument(format!("{bytes} bytes are not {count} images of {length}")));
    }
    check_views(views)?;
    let mut out = vec![0.0; views as usize * samples.len() * sampler.view_len()];
    augment_each(sampler, |place| &images[place * length..][..length], samples, counter, &mut out)?;
    Ok(out)
}

/// Views of a batch of samples with these numbers; `image_at` gives the image at a place of the batch.
fn augment_each<'a>(
    sampler: &Sampler,
    image_at: impl Fn(usize) -> &'a [u8] + Sync,
    samples: &[u32],
    counter: &Counter,
    out: &mut [f32],
) -> Result<()> {
    out.par_chunks_exact_mut(sampler.view_len()).enumerate().try_for_each_init(
        || Scratch::new(sampler),
        |scratch, (row, view)| {
            let place = row % samples.len();
            let number = View::new((row / samples.len()) as u32)?;
            let parameters = sampler.parameters(counter, samples[place], number);
            let image = image_at(place);
            apply(&parameters, sampler, image, scratch, view);
            Ok(())
        },
    )
}

/// A batch of images as they are evaluated, without anything random: \[B, size, size, C\] in \[0, 1\].
///
/// Of an image with both sides at least `size`, the size × size pixels in its centre, as torchvision's `CenterCrop`; of
/// a smaller one the largest square in its centre, enlarged to size × size by bilinear interpolation. An image of
/// size × size stays what it is.
///
/// # Errors
/// A data set that is not whole images, an index outside it.
///
/// # Examples
/// ```
/// use trainer::augment::simclr::{Augmentation, Sampler, centre_batch};
/// let sampler = Sampler::new(&Augmentation { size: 1, ..Augmentation::default() }, 1, 3)?.with_channels(1)?;
/// assert_eq!(centre_batch(&sampler, &[0, 255, 0, 0, 0, 255], &[1, 0])?, [0.0, 1.0]);
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn centre_batch(sampler: &Sampler, images: &[u8], indices: &[u32]) -> Result<Vec<f32>> {
    check_batch(sampler, images, indices)?;
    let parameters = sampler.centre();
    let mut out = vec![0.0; indices.len() * sampler.view_len()];
    out.par_chunks_exact_mut(sampler.view_len()).zip(indices).for_each_init(
        || Scratch::new(sampler),
        |scratch, (view, &index)| apply(&parameters, sampler, image(sampler, images, index), scratch, view),
    );
    Ok(out)
}

fn image<'a>(sampler: &Sampler, images: &'a [u8], index: u32) -> &'a [u8] {
    &images[index as usize * sampler.image_len()..][..sampler.image_len()]
}

fn check_batch(sampler: &Sampler, images: &[u8], indices: &[u32]) -> Result<()> {
    if !images.len().is_multiple_of(sampler.image_len()) {
        let ([height, width], channels) = (sampler.image_sides(), sampler.channels());
        return Err(Error::argument(format!(
            "{} bytes are not a whole number of images of {height} × {width} × {channels}",
            images.len()
        )));
    }
    let num_images = images.len() / sampler.image_len();
    match indices.iter().position(|&i| i as usize >= num_images) {
        Some(place) => Err(Error::argument(format!(
            "entry {place} of the batch is image {}; the data set has {num_images}",
            indices[place]
        ))),
        None => Ok(()),
    }
}

fn check_views(views: u32) -> Result<()> {
    if views <= Counter::MAX_VIEWS {
        return Ok(());
    }
    Err(Error::argument(format!("{views} views are asked for; an image has at most {}", Counter::MAX_VIEWS)))
}
