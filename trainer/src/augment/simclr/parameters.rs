//! What is random about a view: which box, whether flipped, jittered, grey, and how strongly.
//!
//! For an H × W image, with u uniform in \[0, 1) (torchvision's `RandomResizedCrop.get_params`,
//! `ColorJitter.get_params`):
//!
//! - area s = HW(s₀ + (s₁−s₀)u), ratio r = exp(ln r₀ + (ln r₁ − ln r₀)u);
//! - box √(sr) wide and √(s/r) high, each rounded to the nearest whole number, a half to the even one; the
//!   first of ten such boxes that has a pixel and fits is put at a uniform place; if none does, the largest
//!   centred box whose ratio is allowed (rounded likewise, but never to 0);
//! - factors uniform in \[max(0, 1−b), 1+b\] (brightness, contrast, saturation) and \[−b, b\] (hue);
//! - σ of the blur uniform between its ends.
//!
//! **The same bits on every device.** A box is rounded to whole pixels, so an `exp` whose last bit differs
//! between CPU and GPU would now and then give another box. Everything here is therefore +, −, ·, / and √ of
//! IEEE 754 in f32, in a written order and without contraction into fused multiply-adds, and `exp` is a
//! Taylor polynomial after reduction by ln 2. A ratio is within 3e-7 (relative) of the exact one. `kernel.cu`
//! repeats this file line by line.
//!
//! Random words of a view, four to a block: block 0: flip, jitter, grey, order; block 1: brightness,
//! contrast, saturation, hue; block 2 + a: area, ratio, top, left of attempt a; block 12: blur, σ.

use super::Augmentation;
use crate::error::{Error, Result};
use measure::rng::philox::{Counter, View, below, unit};

/// How often a box is tried.
pub const ATTEMPTS: u32 = 10;
/// Longest side of an image or a view.
pub const MAX_SIDE: usize = 4096;
/// Least share of an image in a box: 2⁻²⁴, one pixel of the largest image.
const MIN_SCALE: f32 = 1.0 / (MAX_SIDE * MAX_SIDE) as f32;
/// Widest range of ratios: 1/16 to 16.
const MAX_RATIO: f32 = 16.0;
/// Widest range of σ, in pixels.
const SIGMAS: (f32, f32) = (0.01, 100.0);
/// Block of the random words behind the blur.
const BLUR_BLOCK: u32 = 2 + ATTEMPTS;

/// One part of the colour jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Blend with black.
    Brightness = 0,
    /// Blend with the mean of the grey image.
    Contrast = 1,
    /// Blend with the grey image.
    Saturation = 2,
    /// Rotation of the hue.
    Hue = 3,
}

/// The four parts, as numbered.
pub(super) const PARTS: [Part; 4] = [Part::Brightness, Part::Contrast, Part::Saturation, Part::Hue];

/// A box of whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct CropBox {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// Everything random about one view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameters {
    /// The part of the image that is enlarged.
    pub crop: CropBox,
    /// Whether left and right are exchanged.
    pub flip: bool,
    /// Whether colours are jittered.
    pub jitter: bool,
    /// Whether the view is grey.
    pub grey: bool,
    /// Factors of brightness, contrast and saturation (1: unchanged), shift of the hue in turns (0:
    /// unchanged).
    pub factors: [f32; 4],
    /// The parts in the order in which they are applied.
    pub order: [Part; 4],
    /// σ of the blur in pixels, where the view is blurred.
    pub blur: Option<f32>,
}

impl Parameters {
    /// Nothing but a crop.
    pub(super) const fn of_box(crop: CropBox) -> Self {
        let factors = [1.0, 1.0, 1.0, 0.0];
        Self { crop, flip: false, jitter: false, grey: false, factors, order: PARTS, blur: None }
    }
}

/// Draws [`Parameters`] for images of one size. In this layout the GPU kernel receives it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Sampler {
    /// H and W of the images.
    pub(super) height: u32,
    pub(super) width: u32,
    /// Side of the views.
    pub(super) size: u32,
    /// 3 for colour, 1 for grey images and views.
    channels: u32,
    /// HW.
    pixels: f32,
    /// s₀ and s₁ − s₀.
    scale: [f32; 2],
    /// ln r₀ and ln r₁ − ln r₀.
    log_ratio: [f32; 2],
    flip_probability: f32,
    jitter_probability: f32,
    grey_probability: f32,
    /// Lower ends and lengths of the four ranges of factors.
    lower: [f32; 4],
    length: [f32; 4],
    blur_probability: f32,
    /// σ₀ and σ₁ − σ₀.
    sigma: [f32; 2],
    /// Pixels of the blur's kernel on either side of its centre.
    pub(super) radius: u32,
    /// The box after ten boxes that did not fit.
    fallback: CropBox,
}

fn check_side(name: &str, side: usize) -> Result<()> {
    if (1..=MAX_SIDE).contains(&side) {
        return Ok(());
    }
    Err(Error::argument(format!("{name} is {side}; images have sides from 1 to {MAX_SIDE}")))
}

impl Augmentation {
    /// Checks every strength against its range.
    ///
    /// # Errors
    /// A strength out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        check_side("size", self.size)?;
        let range = |name: &str, (low, high): (f32, f32), least: f32, most: f32| {
            if least <= low && low <= high && high <= most {
                return Ok(());
            }
            Err(Error::argument(format!(
                "{name} is ({low}, {high}); its ends must ascend and lie between {least} and {most}"
            )))
        };
        range("scale", self.scale, MIN_SCALE, 1.0)?;
        range("ratio", self.ratio, 1.0 / MAX_RATIO, MAX_RATIO)?;
        range("blur_sigma", self.blur_sigma, SIGMAS.0, SIGMAS.1)?;
        for (name, value, most) in [
            ("flip_probability", self.flip_probability, 1.0),
            ("jitter_probability", self.jitter_probability, 1.0),
            ("grey_probability", self.grey_probability, 1.0),
            ("blur_probability", self.blur_probability, 1.0),
            ("brightness", self.brightness, 100.0),
            ("contrast", self.contrast, 100.0),
            ("saturation", self.saturation, 100.0),
            ("hue", self.hue, 0.5),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(Error::argument(format!("{name} is {value}, not between 0 and {most}")));
            }
        }
        Ok(())
    }
}

impl Sampler {
    /// A sampler for colour images of `height` × `width` pixels.
    ///
    /// # Errors
    /// A side of 0 or above 4096; a setting outside its range (see [`Augmentation`]).
    pub fn new(augmentation: &Augmentation, height: usize, width: usize) -> Result<Self> {
        let a = augmentation;
        check_side("height", height)?;
        check_side("width", width)?;
        a.check()?;
        let strengths = [a.brightness, a.contrast, a.saturation];
        let mut lower = strengths.map(|b| (1.0 - b).max(0.0)).to_vec();
        let mut length: Vec<f32> = strengths.iter().zip(&lower).map(|(b, low)| (1.0 + b) - low).collect();
        lower.push(-a.hue);
        length.push(2.0 * a.hue);
        let logs = (f64::from(a.ratio.0).ln(), f64::from(a.ratio.1).ln());
        Ok(Self {
            height: height as u32,
            width: width as u32,
            size: a.size as u32,
            channels: 3,
            pixels: (height * width) as f32,
            scale: [a.scale.0, a.scale.1 - a.scale.0],
            log_ratio: [logs.0 as f32, (logs.1 - logs.0) as f32],
            flip_probability: a.flip_probability,
            jitter_probability: a.jitter_probability,
            grey_probability: a.grey_probability,
            lower: [lower[0], lower[1], lower[2], lower[3]],
            length: [length[0], length[1], length[2], length[3]],
            blur_probability: a.blur_probability,
            sigma: [a.blur_sigma.0, a.blur_sigma.1 - a.blur_sigma.0],
            // As in SimCLR's code: a tenth of the side, cut off, then half of it, cut off.
            radius: (a.size / 10 / 2) as u32,
            fallback: fallback(a.ratio, height, width),
        })
    }

    /// The same for images and views of this many channels, 3 or 1. Random numbers do not depend on it.
    ///
    /// # Errors
    /// Another number.
    ///
    /// # Examples
    /// ```
    /// use trainer::augment::simclr::{Augmentation, Sampler};
    /// let grey = Sampler::new(&Augmentation { size: 28, ..Augmentation::default() }, 28, 28)?.with_channels(1)?;
    /// assert_eq!((grey.image_len(), grey.view_len()), (28 * 28, 28 * 28));
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn with_channels(self, channels: usize) -> Result<Self> {
        match channels {
            1 | 3 => Ok(Self { channels: channels as u32, ..self }),
            _ => Err(Error::argument(format!(
                "images of {channels} channels; views are made of 1 (grey) or 3"
            ))),
        }
    }

    /// Channels of images and views: 3 or 1.
    pub fn channels(&self) -> usize {
        self.channels as usize
    }

    /// Bytes of one image: HW · channels.
    pub fn image_len(&self) -> usize {
        self.channels() * self.height as usize * self.width as usize
    }

    /// Numbers of one view: size² · channels.
    pub fn view_len(&self) -> usize {
        self.channels() * self.size as usize * self.size as usize
    }

    /// Side of the views.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// H and W of the images.
    pub fn image_sides(&self) -> [usize; 2] {
        [self.height as usize, self.width as usize]
    }

    /// What is random about view `view` of image `image`.
    pub fn parameters(&self, counter: &Counter, image: u32, view: View) -> Parameters {
        let [flip, jitter, grey, order] = counter.words(image, view, 0);
        let strengths = counter.words(image, view, 1);
        let factor = |i: usize| self.lower[i] + self.length[i] * unit(strengths[i]);
        Parameters {
            crop: self.crop(counter, image, view),
            flip: unit(flip) < self.flip_probability,
            jitter: unit(jitter) < self.jitter_probability,
            grey: unit(grey) < self.grey_probability,
            factors: [factor(0), factor(1), factor(2), factor(3)],
            order: permutation(below(order, 24)),
            blur: self.blur(counter, image, view),
        }
    }

    /// Whether views may be blurred.
    #[cfg_attr(not(feature = "cuda"), allow(dead_code))] // a GPU then needs room for them
    pub(super) fn blurs(&self) -> bool {
        self.blur_probability > 0.0 && self.radius > 0
    }

    fn blur(&self, counter: &Counter, image: u32, view: View) -> Option<f32> {
        if self.blur_probability <= 0.0 {
            return None;
        }
        let [choice, sigma, ..] = counter.words(image, view, BLUR_BLOCK);
        (unit(choice) < self.blur_probability).then(|| self.sigma[0] + self.sigma[1] * unit(sigma))
    }

    /// Of no random view: the box in the centre whose sides are `size`, or the image's shorter side where that is less,
    /// and nothing else. Where as many pixels cannot be left on both sides, torchvision's `CenterCrop` rounds half of
    /// them to the even number.
    pub fn centre(&self) -> Parameters {
        let side = self.size.min(self.height).min(self.width);
        let before = |length: u32| (f64::from(length - side) / 2.0).round_ties_even() as u32;
        Parameters::of_box(CropBox {
            top: before(self.height),
            left: before(self.width),
            height: side,
            width: side,
        })
    }

    fn crop(&self, counter: &Counter, image: u32, view: View) -> CropBox {
        for attempt in 0..ATTEMPTS {
            let words = counter.words(image, view, 2 + attempt);
            let area = self.pixels * (self.scale[0] + self.scale[1] * unit(words[0]));
            let ratio = self.ratio(words[1]);
            let width = (area * ratio).sqrt().round_ties_even() as u32;
            let height = (area / ratio).sqrt().round_ties_even() as u32;
            if (1..=self.width).contains(&width) && (1..=self.height).contains(&height) {
                let top = below(words[2], self.height - height + 1);
                let left = below(words[3], self.width - width + 1);
                return CropBox { top, left, height, width };
            }
        }
        self.fallback
    }

    fn ratio(&self, word: u32) -> f32 {
        exp(self.log_ratio[0] + self.log_ratio[1] * unit(word))
    }
}

/// The largest centred box whose ratio of width to height is allowed (in f64, once per data set; kernels are
/// given the result).
///
/// A side is rounded as by torchvision, a half to the even number, but one that would be 0 is 1.
fn fallback(ratio: (f32, f32), height: usize, width: usize) -> CropBox {
    let (h, w) = (height as f64, width as f64);
    let (least, most) = (f64::from(ratio.0), f64::from(ratio.1));
    let (box_height, box_width) = match w / h {
        r if r < least => ((w / least).round_ties_even() as usize, width),
        r if r > most => (height, (h * most).round_ties_even() as usize),
        _ => (height, width),
    };
    let (box_height, box_width) = (box_height.clamp(1, height), box_width.clamp(1, width));
    let (top, left) = ((height - box_height) / 2, (width - box_width) / 2);
    CropBox { top: top as u32, left: left as u32, height: box_height as u32, width: box_width as u32 }
}

/// The permutation of the four parts with this number below 24, by its factorial digits.
fn permutation(number: u32) -> [Part; 4] {
    let mut order = PARTS;
    // Each digit says which of the parts that are left comes next; the others move up.
    for (place, digit) in [number / 6, number / 2 % 3, number % 2].into_iter().enumerate() {
        let next = place + digit as usize;
        order[place..=next].rotate_right(1);
    }
    order
}

/// exp(t) for |t| ≤ 20, from + and · alone: relative error below 2.4e-7.
///
/// t = k ln 2 + y with |y| ≤ (ln 2)/2 (ln 2 in two parts, k times the first of which is exact), e^y by its
/// Taylor polynomial of degree 7 (remainder below 5.3e-9), times 2^k, which is exact.
pub(super) fn exp(t: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4; // 355/512
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let k = (t * std::f32::consts::LOG2_E + if t < 0.0 { -0.5 } else { 0.5 }) as i32;
    let y = (t - k as f32 * LN_2_HIGH) - k as f32 * LN_2_LOW;
    let mut e = 1.0 / 5040.0;
    for coefficient in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        e = e * y + coefficient;
    }
    e * f32::from_bits(((127 + k) as u32) << 23)
}

#[cfg(test)]
mod tests;
