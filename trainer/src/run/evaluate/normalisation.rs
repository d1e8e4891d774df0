//! What stands between pixels and an encoder that was trained elsewhere.

use crate::error::{Error, Result};
use crate::model::Input;
use candle_core::{DType, Device, Tensor};

/// x ↦ (x − mean)/deviation of pixels in \[0, 1\], channel by channel: `Normalize` of torchvision.
///
/// One number stands for every channel. Zeros of a convolution's padding stay zeros, as they do in PyTorch.
///
/// # Examples
/// ```
/// use trainer::run::Normalisation;
/// let half = Normalisation::new(&[0.5], &[0.25])?;
/// assert_eq!(half.to_string(), "mean=0.5 std=0.25");
/// assert!(Normalisation::new(&[0.5], &[0.0]).is_err());
/// # Ok::<(), trainer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Normalisation {
    /// # Errors
    /// Other than one number or three, or not as many of both; a number that is not finite, a deviation that is not
    /// positive.
    pub fn new(mean: &[f64], deviation: &[f64]) -> Result<Self> {
        let fits = |found: &[f64]| matches!(found.len(), 1 | 3);
        if !fits(mean) || mean.len() != deviation.len() {
            let (means, deviations) = (mean.len(), deviation.len());
            return Err(Error::argument(format!(
                "{means} means and {deviations} standard deviations: one of each, or three"
            )));
        }
        if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Error::argument(format!("a mean of {bad} is no finite number")));
        }
        if let Some(bad) = deviation.iter().find(|d| !(d.is_finite() && **d > 0.0)) {
            return Err(Error::argument(format!("a standard deviation of {bad} is no positive number")));
        }
        Ok(Self { mean: mean.to_vec(), deviation: deviation.to_vec() })
    }

    /// Normalises images \[N, …\] whose last dimension is made of pixels of as many channels as there are means.
    ///
    /// # Errors
    /// Texts; images of other channels.
    pub(super) fn apply(&self, input: &Input, channels: usize) -> Result<Input> {
        let images = input.images()?;
        let count = self.mean.len();
        if count != 1 && count != channels {
            return Err(Error::argument(format!("{count} means for images of {channels} channels")));
        }
        let row = |values: &[f64]| {
            Tensor::from_slice(values, count, &Device::Cpu)?.to_dtype(DType::F32)?.to_device(images.device())
        };
        let pixels = images.reshape(((), count))?;
        let pixels = pixels.broadcast_sub(&row(&self.mean)?)?.broadcast_div(&row(&self.deviation)?)?;
        Ok(Input::Images(pixels.reshape(images.dims())?))
    }
}

impl std::fmt::Display for Normalisation {
    /// Such as `mean=0.4914;0.4822;0.4465 std=0.247;0.243;0.261`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(";");
        write!(f, "mean={} std={}", list(&self.mean), list(&self.deviation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_own_numbers() {
        let images = Tensor::new(&[[0.5f32, 0.25, 1.0, 0.0, 0.75, 0.5]], &Device::Cpu).unwrap();
        let values = |normalisation: &Normalisation| {
            let found = normalisation.apply(&Input::Images(images.clone()), 3).unwrap();
            found.images().unwrap().to_vec2::<f32>().unwrap()[0].clone()
        };
        let three = Normalisation::new(&[0.5, 0.25, 0.0], &[0.5, 0.25, 0.125]).unwrap();
        assert_eq!(values(&three), [0.0, 0.0, 8.0, -1.0, 2.0, 4.0]);
        let one = Normalisation::new(&[0.5], &[0.25]).unwrap();
        assert_eq!(values(&one), [0.0, -1.0, 2.0, -2.0, 1.0, 0.0]);
        let error = three.apply(&Input::Images(images.clone()), 1).unwrap_err().to_string();
        assert_eq!(error, "3 means for images of 1 channels");
        let error = Normalisation::new(&[0.5, 0.5], &[1.0, 1.0]).unwrap_err().to_string();
        assert_eq!(error, "2 means and 2 standard deviations: one of each, or three");
    }
}
