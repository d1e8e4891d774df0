//! Views of a batch of samples, whatever they are.

use super::{digits, simclr, text};
use crate::data::neighbours::Neighbours;
use crate::data::{Images, InputKind, Samples, Texts};
use crate::error::{Error, Result};
use crate::model::{Bags, Input};
#[cfg(feature = "cuda")]
use crate::ops::cast::cast;
use candle_core::{Device, Tensor};
use measure::rng::philox::{Counter, View};
use measure::rng::{Purpose, stream};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How random views are made, with strengths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Augmentation {
    /// For small grey digits.
    Digits(digits::Augmentation),
    /// SimCLR's, for images of bytes.
    Simclr(simclr::Augmentation),
    /// For texts: words are dropped.
    Erase(text::Erase),
    /// For texts: words are replaced by similar ones.
    Replace(text::Replace),
}

impl Augmentation {
    /// Checks every strength against its range.
    ///
    /// # Errors
    /// A strength out of range, named with its value.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Digits(digits) => digits.check(),
            Self::Simclr(simclr) => simclr.check(),
            Self::Erase(erase) => erase.check(),
            Self::Replace(replace) => replace.check(),
        }
    }

    /// What a network reads of one view of samples like these, and of one sample in evaluation ([`Views::plain`]):
    /// images \[size, size, channels\] where views have a size of their own, else what the samples are.
    ///
    /// # Examples
    /// ```
    /// use trainer::augment::{Augmentation, simclr};
    /// use trainer::data::InputKind;
    /// let views = Augmentation::Simclr(simclr::Augmentation { size: 224, ..Default::default() });
    /// assert_eq!(views.input(InputKind::Images([256, 256, 3])), InputKind::Images([224, 224, 3]));
    /// ```
    pub fn input(&self, samples: InputKind) -> InputKind {
        match (self, samples) {
            (Self::Simclr(simclr), InputKind::Images([.., channels])) => {
                InputKind::Images([simclr.size, simclr.size, channels])
            }
            _ => samples,
        }
    }
}

/// The random numbers of one pass over samples: an epoch, or a pass of a measurement.
#[derive(Debug, Clone)]
pub struct ViewStream {
    /// Addressed by sample and view: does not depend on what was drawn before.
    counter: Counter,
    /// A sequence, whose position counts.
    rng: ChaCha8Rng,
}

impl ViewStream {
    /// The numbers of a seed, a purpose, and pass `index`.
    ///
    /// # Errors
    /// More than 2³¹ passes.
    pub fn new(seed: u64, purpose: Purpose, index: usize) -> Result<Self> {
        let step = u32::try_from(index).ok().and_then(|index| index.checked_mul(2));
        let step = step.ok_or_else(|| Error::argument(format!("pass {index} is beyond 2^31")))?;
        Ok(Self { counter: Counter { seed, purpose, step }, rng: stream(seed, purpose, index as u64) })
    }

    /// Goes over to the second half of a pass that makes view 1 of all samples, then view 2 of all samples.
    pub fn second_half(&mut self) {
        self.counter.step |= 1;
    }

    /// How many words of the sequence were drawn.
    pub fn position(&self) -> u128 {
        self.rng.get_word_pos()
    }

    /// Goes to a [`position`](Self::position).
    pub fn set_position(&mut self, position: u128) {
        self.rng.set_word_pos(position);
    }
}

/// Makes views of one set of samples.
pub struct Views<'a> {
    samples: &'a Samples,
    kind: Kind,
    device: Device,
}

enum Kind {
    Digits(digits::Augmentation),
    Simclr {
        sampler: simclr::Sampler,
        /// All images of the store, where the views are made on a GPU.
        resident: Option<Tensor>,
    },
    Text(text::Sampler),
}

impl<'a> Views<'a> {
    /// Prepares views of `samples`, which come to lie on `device`.
    ///
    /// # Errors
    /// An augmentation that does not fit the samples, or with a strength out of range; a device without room.
    pub fn new(augmentation: &Augmentation, samples: &'a Samples, device: &Device) -> Result<Self> {
        let kind = match (augmentation, samples) {
            (Augmentation::Digits(digits), Samples::Images(images)) => {
                let [height, width, channels] = images.shape();
                if height != width || channels != 1 {
                    return Err(misfit("digits", &format!("images of {height}×{width}×{channels}")));
                }
                digits.check()?;
                Kind::Digits(*digits)
            }
            (Augmentation::Simclr(simclr), Samples::Images(images)) => {
                let [height, width, channels] = images.shape();
                if images.brightest() != u8::MAX {
                    return Err(misfit("simclr", &format!("images whose white is {}", images.brightest())));
                }
                let sampler = simclr::Sampler::new(simclr, height, width)?.with_channels(channels)?;
                Kind::Simclr { sampler, resident: resident(images, device)? }
            }
            (Augmentation::Erase(erase), Samples::Texts(_)) => Kind::Text(text::Sampler::erase(erase)?),
            (Augmentation::Replace(replace), Samples::Texts(texts)) => {
                let file = replace.neighbours_file.as_deref();
                Kind::Text(text::Sampler::replace(replace, texts.neighbours(file, replace.neighbours)?)?)
            }
            (Augmentation::Erase(_), Samples::Images(_)) => return Err(misfit("erase", "images")),
            (Augmentation::Replace(_), Samples::Images(_)) => return Err(misfit("replace", "images")),
            (Augmentation::Digits(_), Samples::Texts(_)) => return Err(misfit("digits", "texts")),
            (Augmentation::Simclr(_), Samples::Texts(_)) => return Err(misfit("simclr", "texts")),
        };
        Ok(Self { samples, kind, device: device.clone() })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// `count` views of these samples: view 1 of every sample, then view 2, ….
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn random(&self, indices: &[usize], draw: &mut ViewStream, count: usize) -> Result<Input> {
        match (&self.kind, self.samples) {
            (Kind::Digits(augmentation), Samples::Images(images)) => {
                let size = images.pixels_per_image();
                let (side, mut pixels) =
                    (images.shape()[0], Vec::with_capacity(count * indices.len() * size));
                let mut image = Vec::with_capacity(size);
                for _ in 0..count {
                    for &index in indices {
                        image.clear();
                        images.push_unit(index, &mut image);
                        augmentation.view(&image, side, &mut draw.rng, &mut pixels);
                    }
                }
                self.images(pixels, count * indices.len(), images.shape())
            }
            (Kind::Simclr { sampler, resident }, Samples::Images(images)) => {
                let rows: Vec<u32> = indices.iter().map(|&i| images.rows()[i]).collect();
                let shape = images.shape();
                Ok(Input::Images(match resident {
                    Some(store) => {
                        let augment = simclr::Augment::new(*sampler, draw.counter, count as u32)?;
                        augment.apply(store, &Tensor::new(&rows[..], &self.device)?)?
                    }
                    None => {
                        let counter = &draw.counter;
                        let views =
                            simclr::augment_batch(sampler, images.store(), &rows, counter, count as u32)?;
                        let size = sampler.size();
                        Tensor::from_vec(views, (count * rows.len(), size, size, shape[2]), &self.device)?
                    }
                }))
            }
            (Kind::Text(sampler), Samples::Texts(texts)) => {
                let mut bags = Bags::default();
                for view in 0..count as u32 {
                    let view = View::new(view)?;
                    for &index in indices {
                        let row = texts.rows()[index];
                        sampler.view(texts.text(index), &draw.counter, row, view, &mut bags.words);
                        bags.ends.push(bags.words.len());
                    }
                }
                Ok(Input::Bags(bags))
            }
            (Kind::Text(_), Samples::Images(_)) => Err(misfit("an augmentation of texts", "images")),
            (_, Samples::Texts(_)) => Err(misfit("an augmentation of images", "texts")),
        }
    }

    /// [`random`](Self::random), written over `into` \[count·B, H, W, C\], f32 or bf16, which lies with the samples.
    ///
    /// # Errors
    /// Texts; a tensor of another shape; the tensor library fails.
    #[cfg(feature = "cuda")]
    pub(crate) fn random_into(
        &self,
        into: &Tensor,
        indices: &[usize],
        draw: &mut ViewStream,
        count: usize,
    ) -> Result<()> {
        if let (Kind::Simclr { sampler, resident: Some(store) }, Samples::Images(images)) =
            (&self.kind, self.samples)
        {
            let rows: Vec<u32> = indices.iter().map(|&i| images.rows()[i]).collect();
            let augment = simclr::Augment::new(*sampler, draw.counter, count as u32)?;
            return augment.apply_into(into, store, &Tensor::new(&rows[..], &self.device)?);
        }
        let views = cast(self.random(indices, draw, count)?.images()?, into.dtype())?;
        Ok(into.slice_set(&views, 0, 0)?)
    }

    /// What the views depend on beside samples, settings and seed: the neighbours of words, by their checksum.
    pub fn neighbours_checksum(&self) -> Option<u32> {
        match &self.kind {
            Kind::Text(sampler) => sampler.neighbours().map(Neighbours::checksum),
            _ => None,
        }
    }

    /// These samples as they are: what is evaluated. Images that have another size than views are cut or enlarged to it
    /// ([`simclr::centre_batch`]).
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn plain(&self, indices: &[usize]) -> Result<Input> {
        match self.samples {
            Samples::Images(images) => {
                if let Kind::Simclr { sampler, .. } = &self.kind
                    && sampler.image_sides() != [sampler.size(); 2]
                {
                    let (size, channels) = (sampler.size(), sampler.channels());
                    let rows: Vec<u32> = indices.iter().map(|&i| images.rows()[i]).collect();
                    let pixels = simclr::centre_batch(sampler, images.store(), &rows)?;
                    return self.images(pixels, indices.len(), [size, size, channels]);
                }
                let mut pixels = Vec::with_capacity(indices.len() * images.pixels_per_image());
                indices.iter().for_each(|&i| images.push_unit(i, &mut pixels));
                self.images(pixels, indices.len(), images.shape())
            }
            Samples::Texts(texts) => Ok(Input::Bags(plain_bags(texts, indices))),
        }
    }

    fn images(&self, pixels: Vec<f32>, count: usize, shape: [usize; 3]) -> Result<Input> {
        let [height, width, channels] = shape;
        Ok(Input::Images(Tensor::from_vec(pixels, (count, height, width, channels), &self.device)?))
    }
}

/// The images on a GPU, where views are then made; on the CPU they stay where they are.
fn resident(images: &Images, device: &Device) -> Result<Option<Tensor>> {
    if device.is_cpu() {
        return Ok(None);
    }
    let [height, width, channels] = images.shape();
    let count = images.store().len() / images.pixels_per_image();
    Ok(Some(Tensor::from_slice(images.store(), (count, height, width, channels), device)?))
}

fn plain_bags(texts: &Texts, indices: &[usize]) -> Bags {
    let mut bags = Bags::default();
    for &index in indices {
        bags.words.extend(texts.text(index));
        bags.ends.push(bags.words.len());
    }
    bags
}

fn misfit(kind: &str, what: &str) -> Error {
    Error::argument(format!("augmentation.kind = {kind} does not fit {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(augmentation: &Augmentation, samples: &Samples) -> String {
        Views::new(augmentation, samples, &Device::Cpu).err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn an_augmentation_that_does_not_fit_is_refused() {
        let images = |side: usize, channels: usize, brightest: u8| {
            let pixels = vec![3; 2 * side * side * channels];
            Samples::Images(Images::new(pixels, vec![0, 1], [side, side, channels], brightest, 2).unwrap())
        };
        let simclr = |size| Augmentation::Simclr(simclr::Augmentation { size, ..Default::default() });
        let digits = Augmentation::Digits(digits::Augmentation::default());
        assert_eq!(message(&simclr(8), &images(8, 1, 255)), "");
        assert_eq!(message(&digits, &images(8, 1, 16)), "");
        assert!(message(&simclr(8), &images(8, 1, 16)).contains("white is 16"));
        assert!(message(&simclr(8), &images(8, 2, 255)).contains("2 channels"));
        assert!(message(&digits, &images(8, 3, 255)).contains("8×8×3"));
    }

    /// Every image has views, down to one pixel, or the augmentation says that it does not fit; nothing panics.
    #[test]
    fn small_images_have_views() {
        for [height, width] in [[1, 1], [1, 7], [7, 1], [2, 2], [3, 3], [2, 5]] {
            for channels in [1, 3] {
                for brightest in [16, 255] {
                    let pixels = (0..3 * height * width * channels).map(|i| (i % 17) as u8).collect();
                    let shape = [height, width, channels];
                    let images = Images::new(pixels, vec![0, 1, 0], shape, brightest, 2).unwrap();
                    let samples = Samples::Images(images);
                    let simclr = simclr::Augmentation { size: height, ..Default::default() };
                    let erasing = digits::Augmentation { erase_probability: 1.0, ..Default::default() };
                    for augmentation in [Augmentation::Digits(erasing), Augmentation::Simclr(simclr)] {
                        let Ok(views) = Views::new(&augmentation, &samples, &Device::Cpu) else {
                            let misfit = message(&augmentation, &samples);
                            let fits = match augmentation {
                                Augmentation::Digits(_) => height == width && channels == 1,
                                _ => brightest == 255,
                            };
                            assert!(!fits && misfit.starts_with("augmentation."), "{shape:?}: {misfit}");
                            continue;
                        };
                        for pass in 0..50 {
                            let mut draw = ViewStream::new(pass, Purpose::Augmentation, 0).unwrap();
                            let input = views.random(&[0, 2, 1], &mut draw, 2).unwrap();
                            let found = input.images().unwrap();
                            let InputKind::Images(read) = augmentation.input(samples.kind()) else {
                                unreachable!()
                            };
                            assert_eq!(found.dims()[0], 6);
                            assert_eq!(found.dims()[1..], read);
                            assert_eq!(views.plain(&[0]).unwrap().images().unwrap().dims()[1..], read);
                            let found = found.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                            assert!(found.iter().all(|v| (0.0..=1.0).contains(v)), "{shape:?}: {found:?}");
                        }
                    }
                }
            }
        }
    }

    /// An image as it is evaluated where views have another size: its centre.
    #[test]
    fn evaluated_images_have_the_size_of_views() {
        let [height, width, channels] = [5, 8, 3];
        let pixels: Vec<u8> = (0..2 * height * width * channels).map(|i| (i * 7 % 256) as u8).collect();
        let at = |image: usize, y: usize, x: usize, c: usize| {
            f32::from(pixels[((image * height + y) * width + x) * channels + c]) / 255.0
        };
        let images = Images::new(pixels.clone(), vec![0, 1], [height, width, channels], 255, 2).unwrap();
        let samples = Samples::Images(images).subset(&[1, 0]);
        let plain = |size: usize| {
            let simclr = simclr::Augmentation { size, ..Default::default() };
            let augmentation = Augmentation::Simclr(simclr);
            let views = Views::new(&augmentation, &samples, &Device::Cpu).unwrap();
            let found = views.plain(&[0, 1, 0]).unwrap().images().unwrap().clone();
            assert_eq!(found.dims(), [3, size, size, channels]);
            found.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        // Half of the rest before the box, a half to the even number: of 5 rows and 8 columns 2 and 3 stay before 2.
        let cut = |size: usize, top: usize, left: usize| -> Vec<f32> {
            let mut pixels = Vec::new();
            for image in [1, 0, 1] {
                for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
                    pixels.extend((0..channels).map(|c| at(image, top + y, left + x, c)));
                }
            }
            pixels
        };
        assert_eq!(plain(2), cut(2, 2, 3));
        assert_eq!(plain(3), cut(3, 1, 2));
        assert_eq!(plain(5), cut(5, 0, 2));
        // Enlarged: the corners of the largest square in the centre stay, each pixel four times as large.
        let (large, square) = (plain(10), cut(5, 0, 2));
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert_eq!((large[0], large[299]), (square[0], square[74]));
        assert!((mean(&large) - mean(&square)).abs() < 0.02, "{} {}", mean(&large), mean(&square));
    }

    #[test]
    fn a_pass_can_be_taken_up_anywhere() {
        let pixels: Vec<u8> = (0..4 * 64).map(|i| (i % 17) as u8).collect();
        let images = Images::new(pixels.clone(), vec![0, 1, 0, 1], [8, 8, 1], 16, 2).unwrap();
        let bytes = Images::new(pixels, vec![0, 1, 0, 1], [8, 8, 1], 255, 2).unwrap();
        for (augmentation, samples) in [
            (Augmentation::Digits(digits::Augmentation::default()), Samples::Images(images)),
            (
                Augmentation::Simclr(simclr::Augmentation { size: 8, ..Default::default() }),
                Samples::Images(bytes),
            ),
        ] {
            let views = Views::new(&augmentation, &samples, &Device::Cpu).unwrap();
            let numbers =
                |input: Input| input.images().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let mut draw = ViewStream::new(7, Purpose::Augmentation, 3).unwrap();
            let first = numbers(views.random(&[2, 0], &mut draw, 2).unwrap());
            let position = draw.position();
            let second = numbers(views.random(&[1, 3], &mut draw, 2).unwrap());
            let mut again = ViewStream::new(7, Purpose::Augmentation, 3).unwrap();
            again.set_position(position);
            assert_eq!(numbers(views.random(&[1, 3], &mut again, 2).unwrap()), second);
            assert_ne!(first, second);
            // The second half of a pass has other views.
            let mut halves = ViewStream::new(7, Purpose::EvaluationViews, 0).unwrap();
            let one = numbers(views.random(&[0], &mut halves, 1).unwrap());
            halves.second_half();
            assert_ne!(numbers(views.random(&[0], &mut halves, 1).unwrap()), one);
        }
    }
}
