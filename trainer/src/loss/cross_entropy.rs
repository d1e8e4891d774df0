//! Softmax cross-entropy, for the supervised reference of an encoder.

use super::Loss;
use crate::error::{Error, Result};
use candle_core::{D, Tensor};

/// −ln softmax(logits)\[class\] of logits \[N, C\], averaged over the N samples.
///
/// Accuracy: f32, stable for any logits: they are shifted by their maximum.
///
/// # Errors
/// Numbers of logits and classes that differ, a class of C or more.
///
/// # Examples
/// ```
/// use candle_core::{Device, Tensor};
/// let logits = Tensor::zeros((2, 4), candle_core::DType::F32, &Device::Cpu)?;
/// let loss = trainer::loss::cross_entropy(&logits, &[0, 3])?;
/// assert!((loss.value.to_scalar::<f32>()? - 4f32.ln()).abs() < 1e-6);
/// // (softmax − one-hot) / N.
/// assert_eq!(loss.gradient.to_vec2::<f32>()?[0], [-0.375, 0.125, 0.125, 0.125]);
/// # Ok::<(), trainer::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, classes: &[usize]) -> Result<Loss> {
    let (rows, num_classes) = logits.dims2()?;
    if rows != classes.len() {
        return Err(Error::argument(format!("{rows} rows of logits have {} classes", classes.len())));
    }
    let mut targets = vec![0f32; rows * num_classes];
    for (row, &class) in classes.iter().enumerate() {
        if class >= num_classes {
            return Err(Error::argument(format!("sample {row} has class {class} of {num_classes}")));
        }
        targets[row * num_classes + class] = 1.0;
    }
    let targets = Tensor::from_vec(targets, (rows, num_classes), logits.device())?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let mass = shifted.exp()?;
    let sum = mass.sum_keepdim(D::Minus1)?;
    let own = (&shifted * &targets)?.sum_keepdim(D::Minus1)?;
    let value = (sum.log()? - own)?.mean_all()?;
    let gradient = ((mass.broadcast_div(&sum)? - targets)? / rows as f64)?;
    Ok(Loss { value, gradient })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_gradient_is_that_of_the_value() {
        let start = [0.3f32, -1.2, 2.0, 0.0, 0.5, -0.5];
        let of = |logits: &[f32]| {
            let logits = Tensor::from_slice(logits, (2, 3), &Device::Cpu).unwrap();
            cross_entropy(&logits, &[2, 0]).unwrap()
        };
        let gradient = of(&start).gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for i in 0..start.len() {
            let value = |h: f32| {
                let mut moved = start;
                moved[i] += h;
                of(&moved).value.to_scalar::<f32>().unwrap()
            };
            let slope = (value(1e-2) - value(-1e-2)) / 2e-2;
            assert!((slope - gradient[i]).abs() < 1e-4, "{i}: {slope} {}", gradient[i]);
        }
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let logits = Tensor::new(&[[1e30f32, 0.0]], &Device::Cpu).unwrap();
        assert_eq!(cross_entropy(&logits, &[0]).unwrap().value.to_scalar::<f32>().unwrap(), 0.0);
        assert!(cross_entropy(&logits, &[2]).is_err());
    }
}
