//! NT-Xent (Chen et al. 2020) of features that are not normalised yet, with its gradient in the same call.
//!
//! z \[2n, d\]: the first views of n samples, then their second views, so i⁺ = (i + n) mod 2n. With u = z/‖z‖ and
//! s_ij = u_i·u_j/t:
//!
//! - loss = (1/2n) Σ_i [ ln Σ_{j≠i} e^{s_ij} − s_{i i⁺} ], NT-Xent of the unit rows;
//! - G_ij = (p_ij − \[j = i⁺\]) / (2n t) with p_ij = e^{s_ij} / Σ_{k≠i} e^{s_ik} and G_ii = 0; du = (G + Gᵀ) u;
//! - dz = (du − u (u·du)) / ‖z‖; a zero row counts as u = 0 and gets the gradient 0; a row whose squares overflow, or
//!   with a NaN, makes the loss NaN.
//!
//! The loss is computed as ln(1 + Σ e^{s_ij − s_{i i⁺}}) and 1 − p_{i i⁺} as the negatives' share of the sum, Σ over j
//! ≠ i, i⁺: at t = 0.05 with 254 negatives at cosine 0 the loss is 5.2e-7, which ln Σ − s_{i i⁺} in f32, 20 − 20,
//! loses.
//!
//! s is symmetric, so row i of G + Gᵀ follows from row i of s and the 2n normalisers: two passes over s, no
//! transposition.

mod cpu;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use super::storage::contiguous;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// The loss (a scalar) and dz \[2n, d\].
///
/// Accuracy: a cosine is off by about 1e-7, so the loss and the gradient by about 1e-6 + 2e-7/t of themselves, however
/// small they are, as long as no e^{s_ij − s_{i i⁺}} that matters lies below e⁻⁸⁷, which counts as 0. The sums are
/// shifted by their maximum: nothing overflows at any t.
///
/// # Errors
/// z not \[2n, d\] with n ≥ 1; a temperature that is not positive, or whose inverse is 0 or infinite in f32.
///
/// # Examples
/// ```
/// # use {candle_core::{Device, Tensor}, trainer::ops::info_nce};
/// // Two samples, each with two equal views, at right angles to each other; t = 1. Every anchor has the positive e¹ and two
/// // negatives e⁰: loss ln(1 + 2/e).
/// let z = Tensor::new(&[[1f32, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 1.0]], &Device::Cpu)?;
/// let (loss, gradient) = info_nce::loss_and_gradient(&z, 1.0)?;
/// assert!((loss.to_scalar::<f32>()? - (1.0 + 2.0 * (-1f32).exp()).ln()).abs() < 1e-6);
/// assert_eq!(gradient.dims(), [4, 2]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn loss_and_gradient(z: &Tensor, temperature: f64) -> Result<(Tensor, Tensor)> {
    unpack(&z.apply_op1_no_bwd(&NtXent { temperature })?, z)
}

fn unpack(packed: &Tensor, z: &Tensor) -> Result<(Tensor, Tensor)> {
    let length = z.elem_count();
    Ok((packed.narrow(0, length, 1)?.reshape(())?, packed.narrow(0, 0, length)?.reshape(z.shape())?))
}

/// z \[2n, d\] -> \[2n·d + 1\]: dz, then the loss.
#[derive(Debug, Clone, Copy)]
struct NtXent {
    temperature: f64,
}

impl NtXent {
    /// 2n and d.
    fn sizes(&self, layout: &Layout) -> Result<(usize, usize)> {
        let &[views, width] = layout.dims() else {
            bail!("nt-xent: features need shape [2n, d], not {:?}", layout.dims())
        };
        if views < 2 || views % 2 == 1 || width == 0 {
            bail!("nt-xent: features need two views of every sample, shape [2n, d], not {:?}", layout.dims())
        }
        let inverse = (1.0 / self.temperature) as f32;
        if !(inverse > 0.0 && inverse.is_finite()) {
            bail!(
                "nt-xent: the temperature must be positive and 1/t a number of f32, 3e-39 < t < 7e44, not t = {:e}",
                self.temperature
            )
        }
        Ok((views, width))
    }
}

impl CustomOp1 for NtXent {
    fn name(&self) -> &'static str {
        "nt-xent"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = self.sizes(layout)?;
        let packed = cpu::loss_and_gradient(&contiguous(storage, layout)?, width, self.temperature);
        let length = packed.len();
        Ok((CpuStorage::F32(packed), length.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (views, width) = self.sizes(layout)?;
        let packed = cuda::packed((views, width), (storage, layout), self.temperature)?;
        Ok((packed, (views * width + 1).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::*;
    use candle_core::{Device, Var};

    /// The definition in f64.
    fn reference(z: &[f64], width: usize, temperature: f64) -> f64 {
        let rows: Vec<Vec<f64>> = z
            .chunks(width)
            .map(|row| {
                let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                row.iter().map(|v| v / norm).collect()
            })
            .collect();
        let views = rows.len();
        let logit = |i: usize, j: usize| -> f64 {
            rows[i].iter().zip(&rows[j]).map(|(a, b)| a * b).sum::<f64>() / temperature
        };
        let anchor = |i: usize| {
            let shift = (0..views).filter(|j| *j != i).map(|j| logit(i, j)).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..views).filter(|j| *j != i).map(|j| (logit(i, j) - shift).exp()).sum();
            shift + sum.ln() - logit(i, (i + views / 2) % views)
        };
        (0..views).map(anchor).sum::<f64>() / views as f64
    }

    #[test]
    fn loss_and_gradient_agree_with_finite_differences() {
        for (views, width, temperature) in [(4, 3, 0.5), (10, 7, 0.5), (6, 17, 0.1), (34, 5, 2.0)] {
            let z = random(views as u64, &[views, width]);
            let (loss, dz) = loss_and_gradient(&z, temperature).unwrap();
            let value = |z: &[f64]| reference(z, width, temperature);
            assert_close(&flat(&loss), &[value(&flat64(&z))], 1e-6, "loss");
            assert_close(&flat(&dz), &finite_differences(&flat64(&z), value), 1e-5, "dz");
        }
    }

    #[test]
    fn it_is_the_composition_of_stock_operations() {
        let (views, width, temperature) = (140, 33, 0.2);
        let z = Var::from_tensor(&random(3, &[views, width])).unwrap();
        let norm = z.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
        let unit = z.broadcast_div(&norm).unwrap();
        let (first, second) =
            (unit.narrow(0, 0, views / 2).unwrap(), unit.narrow(0, views / 2, views / 2).unwrap());
        let logits = (unit.matmul(&unit.t().unwrap()).unwrap() / temperature).unwrap();
        let mask = (Tensor::eye(views, candle_core::DType::F32, &Device::Cpu).unwrap() * -1e9).unwrap();
        let normaliser = (logits + mask).unwrap().log_sum_exp(1).unwrap().mean_all().unwrap();
        let positive = ((first * second).unwrap().sum(1).unwrap().mean_all().unwrap() / temperature).unwrap();
        let theirs = (normaliser - positive).unwrap();
        let (loss, dz) = loss_and_gradient(&z, temperature).unwrap();
        assert_close(&flat(&loss), &flat64(&theirs), 1e-6, "loss");
        let theirs = theirs.backward().unwrap();
        assert_close(&flat(&dz), &flat64(theirs.get(&z).unwrap()), 1e-5, "dz");
    }

    /// dz of the formulas in f64.
    fn reference_gradient(z: &[f64], width: usize, temperature: f64) -> Vec<f64> {
        let views = z.len() / width;
        let norms: Vec<f64> =
            z.chunks(width).map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt()).collect();
        let u: Vec<f64> = z.iter().enumerate().map(|(k, v)| v / norms[k / width]).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let row = |i: usize| &u[i * width..][..width];
        let mut shares = vec![0.0; views * views];
        for i in 0..views {
            let positive = (i + views / 2) % views;
            // Shifted by the positive: every number of a small loss is small itself.
            let power = |j: usize| {
                let difference = dot(row(i), row(j)) - dot(row(i), row(positive));
                if j == i || j == positive { 0.0 } else { (difference / temperature).exp() }
            };
            let rest: f64 = (0..views).map(power).sum();
            for j in 0..views {
                let share = if j == positive { -rest } else { power(j) };
                shares[i * views + j] = share / ((1.0 + rest) * views as f64 * temperature);
            }
        }
        let mut dz = vec![0.0; z.len()];
        for i in 0..views {
            let mut du = vec![0.0; width];
            for j in 0..views {
                for (d, v) in du.iter_mut().zip(row(j)) {
                    *d += (shares[i * views + j] + shares[j * views + i]) * v;
                }
            }
            let along = dot(&du, row(i));
            for ((dz, d), v) in dz[i * width..][..width].iter_mut().zip(&du).zip(row(i)) {
                *dz = (d - along * v) / norms[i];
            }
        }
        dz
    }

    /// Loss and gradient to a relative error, against f64.
    fn check(z: &Tensor, temperature: f64, tolerance: f64) {
        let width = z.dims()[1];
        let (loss, dz) = loss_and_gradient(z, temperature).unwrap();
        let z = flat64(z);
        // The definition by differences s_ij − s_{i i⁺}, since the other one loses digits in f64 too.
        let expected = small_reference(&z, width, temperature);
        let what = format!("t = {temperature}, loss {expected:e}");
        assert_close(&flat(&loss), &[expected], tolerance, &what);
        assert_close(&flat(&dz), &reference_gradient(&z, width, temperature), tolerance, &what);
    }

    /// (1/2n) Σ_i ln(1 + Σ_{j ≠ i, i⁺} e^{s_ij − s_{i i⁺}}) in f64.
    fn small_reference(z: &[f64], width: usize, temperature: f64) -> f64 {
        let dot =
            |i: usize, j: usize| -> f64 { (0..width).map(|k| z[i * width + k] * z[j * width + k]).sum() };
        let cosine = |i: usize, j: usize| dot(i, j) / (dot(i, i) * dot(j, j)).sqrt();
        let views = z.len() / width;
        let anchor = |i: usize| {
            let positive = (i + views / 2) % views;
            let negatives = (0..views).filter(|j| *j != i && *j != positive);
            negatives.map(|j| ((cosine(i, j) - cosine(i, positive)) / temperature).exp()).sum::<f64>().ln_1p()
        };
        (0..views).map(anchor).sum::<f64>() / views as f64
    }

    #[test]
    fn the_reference_gradient_agrees_with_finite_differences() {
        let z = flat64(&random(7, &[8, 5]));
        let value = |z: &[f64]| reference(z, 5, 0.5);
        let differences = finite_differences(&z, value);
        let single: Vec<f32> = reference_gradient(&z, 5, 0.5).iter().map(|v| *v as f32).collect();
        assert_close(&single, &differences, 1e-6, "dz");
        assert!((small_reference(&z, 5, 0.5) / value(&z) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_small_loss_keeps_its_digits() {
        // Views i and i + 128 both 3e_i: 254 negatives at cosine 0, loss ln(1 + 254 e^{−20}) = 5.2e-7.
        let eye = (Tensor::eye(128, candle_core::DType::F32, &Device::Cpu).unwrap() * 3.0).unwrap();
        let z = Tensor::cat(&[&eye, &eye], 0).unwrap();
        let (loss, _) = loss_and_gradient(&z, 0.05).unwrap();
        assert_close(&flat(&loss), &[(254.0 * (-20f64).exp()).ln_1p()], 1e-5, "loss of unit vectors");
        check(&z, 0.05, 1e-5);
        // Pairs that differ, so that 1 − p enters the gradient: losses from 1e-8 to 1.
        let noise = random(2, &[256, 128]);
        for (size, temperature) in [(0.02, 0.04), (0.02, 0.05), (0.05, 0.05), (0.05, 0.2), (0.3, 0.5)] {
            check(&(&z + (&noise * size).unwrap()).unwrap(), temperature, 1e-5);
        }
        // The positive is the farthest candidate: a large loss.
        check(&Tensor::cat(&[&eye, &(&eye * -1.0).unwrap()], 0).unwrap(), 0.05, 1e-5);
    }

    #[test]
    fn what_overflows_stays_visible() {
        for bad in [1e20f32, f32::INFINITY, f32::NAN] {
            for views in [2, 4] {
                let mut values = flat(&random(1, &[views, 3]));
                values[4] = bad;
                let z = Tensor::from_vec(values, (views, 3), &Device::Cpu).unwrap();
                let (loss, dz) = loss_and_gradient(&z, 0.5).unwrap();
                assert!(flat(&loss)[0].is_nan(), "{bad} among {views}");
                assert!(flat(&dz).iter().all(|v| v.is_nan()), "{bad} among {views}");
            }
        }
    }

    #[test]
    fn the_gradient_is_orthogonal_to_every_row() {
        // The loss does not depend on the length of a row.
        let z = random(3, &[40, 33]);
        let (_, dz) = loss_and_gradient(&z, 0.5).unwrap();
        for along in flat(&(&z * dz).unwrap().sum(1).unwrap()) {
            assert!(along.abs() < 1e-7, "{along}");
        }
    }

    #[test]
    fn extremes() {
        // One sample: the positive is the only candidate.
        let (loss, dz) = loss_and_gradient(&random(1, &[2, 5]), 0.5).unwrap();
        assert!(flat(&loss)[0].abs() < 1e-6 && flat(&dz).iter().all(|v| v.abs() < 1e-6));
        // All rows equal: ln(2n − 1). A tiny temperature: nothing overflows.
        let (loss, _) =
            loss_and_gradient(&Tensor::ones((6, 4), candle_core::DType::F32, &Device::Cpu).unwrap(), 0.5)
                .unwrap();
        assert_close(&flat(&loss), &[5f64.ln()], 1e-6, "equal rows");
        let (loss, dz) = loss_and_gradient(&random(1, &[12, 5]), 1e-3).unwrap();
        assert!(flat(&loss)[0].is_finite() && flat(&dz).iter().all(|v| v.is_finite()));
        // A zero row.
        let z = Tensor::new(&[[0f32, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], &Device::Cpu).unwrap();
        let (loss, dz) = loss_and_gradient(&z, 0.5).unwrap();
        assert!(flat(&loss)[0].is_finite() && flat(&dz).iter().all(|v| v.is_finite()));
        assert_eq!(flat(&dz)[..2], [0.0, 0.0]);
    }

    #[test]
    fn strides_and_threads_change_no_bit() {
        let z = random(1, &[300, 50]);
        let run = |z: &Tensor| {
            let (loss, dz) = loss_and_gradient(z, 0.5).unwrap();
            [flat(&loss), flat(&dz)].concat()
        };
        assert_eq!(run(&z), run(&strided(&z)));
        assert_same_bits(|| run(&z));
    }

    #[test]
    fn refusals_name_the_value() {
        let refused = |shape: &[usize], t| loss_and_gradient(&random(1, shape), t).unwrap_err().to_string();
        assert!(refused(&[5, 3], 0.5).contains("[5, 3]"));
        assert!(refused(&[4], 0.5).contains("[4]"));
        for t in [-1.0, 0.0, 1e-39, 1e46, f64::INFINITY, f64::NAN] {
            assert!(refused(&[4, 3], t).contains(&format!("not t = {t:e}")), "{t}");
        }
    }
}
