//! Rows scaled to unit length: u = z/‖z‖ over the last dimension, dz = (du − u (u·du)) / ‖z‖.
//!
//! A zero row stays zero and gets a zero gradient. Squares are summed in f32, whose largest number is 3.4e38: a row
//! needs
//! |z_k| < 1e19/√d for its sum to stay below, and ‖z‖ above 1e-18 for its digits. A row whose sum overflows, or which
//! contains a NaN or an infinity, becomes NaN throughout, and so does its gradient.

pub(super) mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use super::storage::{contiguous, expect_shape, rows_and_columns};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

/// u = z/‖z‖ for every row of z \[…, d\].
///
/// # Errors
/// Fewer than two dimensions.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::normalise};
/// // Four ones have length 2.
/// let z = Tensor::new(&[[1f32, 1.0, 1.0, 1.0]], &Device::Cpu)?;
/// assert_eq!(normalise::forward(&z)?.to_vec2::<f32>()?, [[0.5, 0.5, 0.5, 0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn forward(z: &Tensor) -> Result<Tensor> {
    z.apply_op1_no_bwd(&Normalise)
}

/// dz from z \[…, d\] and the gradient `du` of its normalised rows.
///
/// # Errors
/// Shapes that differ.
pub fn backward(z: &Tensor, du: &Tensor) -> Result<Tensor> {
    z.apply_op2_no_bwd(du, &Gradient)
}

/// z -> z/‖z‖.
struct Normalise;

impl CustomOp1 for Normalise {
    fn name(&self) -> &'static str {
        "normalise"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = rows_and_columns(self.name(), layout)?;
        Ok((CpuStorage::F32(cpu::forward(&contiguous(storage, layout)?, width)), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let sizes = rows_and_columns(self.name(), layout)?;
        Ok((cuda::unit_rows(sizes, (storage, layout))?, layout.shape().clone()))
    }
}

/// (z, du) -> dz.
struct Gradient;

impl CustomOp2 for Gradient {
    fn name(&self) -> &'static str {
        "normalise-gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = rows_and_columns(self.name(), l1)?;
        expect_shape(self.name(), "the gradient", l2.dims(), l1.dims())?;
        let dz = cpu::backward(&contiguous(s1, l1)?, &contiguous(s2, l2)?, width);
        Ok((CpuStorage::F32(dz), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let sizes = rows_and_columns(self.name(), l1)?;
        expect_shape(self.name(), "the gradient", l2.dims(), l1.dims())?;
        Ok((cuda::gradient(sizes, (s1, l1), (s2, l2))?, l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::*;
    use candle_core::{Device, Var};

    fn value(z: &[f64], du: &[f64], width: usize) -> f64 {
        let rows = z.chunks(width).zip(du.chunks(width));
        rows.map(|(z, du)| {
            let norm = z.iter().map(|v| v * v).sum::<f64>().sqrt();
            z.iter().zip(du).map(|(z, du)| z * du / norm).sum::<f64>()
        })
        .sum()
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for shape in [[1, 5], [7, 19], [2, 1]] {
            let (z, du) = (random(1, &shape), random(2, &shape));
            let expected = finite_differences(&flat64(&z), |z| value(z, &flat64(&du), shape[1]));
            if shape[1] == 1 {
                // One dimension: u = ±1 whatever z is, and dz = (du − du)/|z| up to a few roundings of its terms.
                let terms = flat(&(&du / &z).unwrap());
                for (dz, term) in flat(&backward(&z, &du).unwrap()).iter().zip(terms) {
                    assert!(dz.abs() <= 4.0 * f32::EPSILON * term.abs(), "{dz} of {term}");
                }
            } else {
                assert_close(&flat(&backward(&z, &du).unwrap()), &expected, 1e-6, "dz");
            }
        }
    }

    #[test]
    fn it_agrees_with_candles_autograd() {
        let (z, du) = (Var::from_tensor(&random(1, &[9, 20])).unwrap(), random(2, &[9, 20]));
        let norm = z.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
        let u = z.broadcast_div(&norm).unwrap();
        assert_close(&flat(&forward(&z).unwrap()), &flat64(&u), 1e-6, "u");
        let gradients = (u * &du).unwrap().sum_all().unwrap().backward().unwrap();
        let dz = backward(&z, &du).unwrap();
        assert_close(&flat(&dz), &flat64(gradients.get(&z).unwrap()), 1e-6, "dz");
    }

    #[test]
    fn a_zero_row_stays_zero() {
        let z = Tensor::new(&[[0f32, 0.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        assert_eq!(flat(&forward(&z).unwrap())[..2], [0.0, 0.0]);
        assert_eq!(flat(&backward(&z, &z).unwrap())[..2], [0.0, 0.0]);
    }

    #[test]
    fn an_overflowing_row_becomes_nan() {
        // Just inside the range that the module promises, 1e19/√17; then a sum of squares beyond f32; an infinity; a
        // NaN.
        let inside = [2.4e18f32; 17];
        let mut infinite = [1f32; 17];
        infinite[3] = f32::INFINITY;
        let mut nan = [1f32; 17];
        nan[16] = f32::NAN;
        let z = Tensor::new(&[inside, [1e19; 17], infinite, nan], &Device::Cpu).unwrap();
        let du = random(1, &[4, 17]);
        let (u, dz) = (flat(&forward(&z).unwrap()), flat(&backward(&z, &du).unwrap()));
        assert_close(&u[..17], &[1.0 / 17f64.sqrt(); 17], 1e-6, "inside");
        assert!(dz[..17].iter().all(|v| v.is_finite()), "{:?}", &dz[..17]);
        assert!(u[17..].iter().chain(&dz[17..]).all(|v| v.is_nan()), "{u:?} {dz:?}");
    }

    #[test]
    fn strides_and_threads_change_no_bit() {
        let (z, du) = (random(1, &[700, 50]), random(2, &[700, 50]));
        let run =
            |z: &Tensor, du: &Tensor| [flat(&forward(z).unwrap()), flat(&backward(z, du).unwrap())].concat();
        assert_eq!(run(&z, &du), run(&strided(&z), &strided(&du)));
        assert_same_bits(|| run(&z, &du));
        assert!(forward(&random(1, &[4])).unwrap_err().to_string().contains("[4]"));
        assert!(backward(&z, &random(1, &[700, 49])).is_err());
    }
}
