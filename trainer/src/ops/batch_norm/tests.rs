//! Against an f64 reference that finite differences confirm, against candle's own layer, and against itself.

use super::*;
use crate::ops::testing::*;
use candle_core::{DType, Device, Var};

const EPSILON: f64 = 1e-5;

/// y of the definition in f64, and its statistics.
fn reference(x: &[f64], affine: &[f64], residual: Option<&[f64]>, relu: bool) -> (Vec<f64>, Vec<f64>) {
    let channels = affine.len() / 2;
    let rows = (x.len() / channels) as f64;
    let mean: Vec<f64> =
        (0..channels).map(|c| x.iter().skip(c).step_by(channels).sum::<f64>() / rows).collect();
    let inv_std: Vec<f64> = (0..channels)
        .map(|c| {
            let squares: f64 = x.iter().skip(c).step_by(channels).map(|v| (v - mean[c]).powi(2)).sum();
            1.0 / (squares / rows + EPSILON).sqrt()
        })
        .collect();
    let y = x.iter().enumerate().map(|(i, x)| {
        let c = i % channels;
        let y =
            affine[c] * (x - mean[c]) * inv_std[c] + affine[channels + c] + residual.map_or(0.0, |r| r[i]);
        if relu { y.max(0.0) } else { y }
    });
    (y.collect(), mean.iter().chain(&inv_std).copied().collect())
}

/// (dx, (dγ; dβ), g) of the formulas in f64.
fn reference_gradient(
    x: &[f64],
    affine: &[f64],
    residual: Option<&[f64]>,
    relu: bool,
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let channels = affine.len() / 2;
    let rows = (x.len() / channels) as f64;
    let (y, statistics) = reference(x, affine, residual, relu);
    let g: Vec<f64> = dy.iter().zip(&y).map(|(dy, y)| if relu && *y <= 0.0 { 0.0 } else { *dy }).collect();
    let hat = |i: usize| (x[i] - statistics[i % channels]) * statistics[channels + i % channels];
    let mut sums = vec![0.0; 2 * channels];
    for (i, g) in g.iter().enumerate() {
        sums[i % channels] += g * hat(i);
        sums[channels + i % channels] += g;
    }
    let dx = (0..x.len()).map(|i| {
        let c = i % channels;
        affine[c] * statistics[channels + c] * (g[i] - sums[channels + c] / rows - hat(i) * sums[c] / rows)
    });
    (dx.collect(), sums, g)
}

struct Case {
    x: Tensor,
    affine: Tensor,
    residual: Option<Tensor>,
    dy: Tensor,
    relu: bool,
}

impl Case {
    fn new(shape: &[usize], residual: bool, relu: bool) -> Self {
        let channels = shape[shape.len() - 1];
        Self {
            x: ((random(1, shape) * 1.5).unwrap() + 0.7).unwrap(),
            affine: (random(2, &[2, channels]) + 0.2).unwrap(),
            residual: residual.then(|| random(3, shape)),
            dy: random(4, shape),
            relu,
        }
    }

    fn expected(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) {
        let residual = self.residual.as_ref().map(flat64);
        let (x, affine, residual) = (flat64(&self.x), flat64(&self.affine), residual.as_deref());
        let (y, _) = reference(&x, &affine, residual, self.relu);
        let (dx, gradient, g) = reference_gradient(&x, &affine, residual, self.relu, &flat64(&self.dy));
        (y, dx, gradient, g)
    }

    /// y, dx, gradient, dy afterwards.
    fn found(&self) -> [Tensor; 4] {
        let statistics = statistics(&self.x, EPSILON).unwrap();
        let y = apply(&self.x, &statistics, &self.affine, self.residual.as_ref(), self.relu).unwrap();
        let gradient = Tensor::ones(self.affine.dims(), DType::F32, &Device::Cpu).unwrap();
        let dy = self.dy.force_contiguous().unwrap();
        let forward = Forward {
            x: &self.x,
            statistics: &statistics,
            affine: &self.affine,
            relu: self.relu,
            residual_output: self.residual.is_some().then_some(&y),
        };
        let dx = backward(&dy, &forward, &gradient).unwrap();
        [y, dx, gradient, dy]
    }
}

const VARIANTS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

#[test]
fn the_reference_agrees_with_finite_differences() {
    for (residual, relu) in VARIANTS {
        let case = Case::new(&[2, 3, 2, 5], residual, relu);
        let residual = case.residual.as_ref().map(flat64);
        let (x, affine, dy) = (flat64(&case.x), flat64(&case.affine), flat64(&case.dy));
        let value = |x: &[f64], affine: &[f64], residual: Option<&[f64]>| -> f64 {
            reference(x, affine, residual, relu).0.iter().zip(&dy).map(|(y, w)| y * w).sum()
        };
        let (y, ..) = case.expected();
        assert!(
            !relu || y.iter().all(|y| *y == 0.0 || *y > 1e-3),
            "an input lies on the kink: change the seed"
        );
        let (dx, gradient, g) = reference_gradient(&x, &affine, residual.as_deref(), relu, &dy);
        let single = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        // What is asserted is 1e-7 of f32's rounding plus the differences' own 1e-8.
        let by_x = finite_differences(&x, |x| value(x, &affine, residual.as_deref()));
        assert_close(&single(by_x), &dx, 1e-6, "dx");
        let by_affine = finite_differences(&affine, |a| value(&x, a, residual.as_deref()));
        assert_close(&single(by_affine), &gradient, 1e-6, "affine");
        if let Some(residual) = &residual {
            let by_residual = finite_differences(residual, |r| value(&x, &affine, Some(r)));
            assert_close(&single(by_residual), &g, 1e-6, "residual");
        }
    }
}

#[test]
fn forward_and_backward_agree_with_the_reference() {
    // One chunk with odd sizes; two rows; several chunks with a ragged last one; wider than a chunk.
    for shape in [&[2, 3, 2, 5][..], &[2, 9], &[7, 1300, 4], &[3, 20_000]] {
        for (residual, relu) in VARIANTS {
            let case = Case::new(shape, residual, relu);
            let (y, dx, gradient, g) = case.expected();
            let found = case.found();
            let what = format!("{shape:?}, residual {residual}, relu {relu}");
            // Two rows: x̂ is ±1 for any x, dx is a difference of equal numbers, of order ε/var of its terms.
            let tolerance = if shape[0] == 2 && shape.len() == 2 { 1e-2 } else { 1e-5 };
            assert_close(&flat(&found[0]), &y, 1e-6, &what);
            assert_close(&flat(&found[1]), &dx, tolerance, &what);
            assert_close(&flat(&found[2]), &gradient, 1e-5, &what);
            let after = if residual { &g } else { &dx };
            assert_close(&flat(&found[3]), after, tolerance, &what);
        }
    }
}

#[test]
fn a_large_mean_costs_the_statistics_nothing() {
    // Many chunks, and a ragged last one; deviations of 1, where an ulp of the mean is up to 0.06 of them.
    for mean in [0.0, 1e3, -1e6] {
        let x = (random(5, &[60_001, 3]) + mean).unwrap();
        let (_, expected) = reference(&flat64(&x), &[1.0; 6], None, false);
        let found = flat(&statistics(&x, EPSILON).unwrap());
        for c in 0..3 {
            let (found_mean, deviation) = (found[c], 1.0 / expected[3 + c]);
            let half_ulp = f64::from(found_mean.abs().next_up() - found_mean.abs()) / 2.0;
            let error = (f64::from(found_mean) - expected[c]).abs();
            assert!(error <= half_ulp + 1e-6 * deviation, "mean {found_mean} of {}: {error:e}", expected[c]);
            let error = (f64::from(found[3 + c]) * deviation - 1.0).abs();
            assert!(error <= 1e-6, "deviation {deviation} at a mean of {mean}: {error:e}");
        }
    }
}

#[test]
fn autograd_agrees_with_candle() {
    for (with_residual, relu) in VARIANTS {
        let case = Case::new(&[6, 5, 4, 3], with_residual, relu);
        let x = Var::from_tensor(&case.x).unwrap();
        let affine = Var::from_tensor(&case.affine).unwrap();
        let residual = case.residual.as_ref().map(|r| Var::from_tensor(r).unwrap());
        let op = BatchNorm { epsilon: EPSILON, relu };
        let y = match &residual {
            Some(residual) => x.apply_op3(&affine, residual, op).unwrap(),
            None => x.apply_op2(&affine, op).unwrap(),
        };
        let ours = (y * &case.dy).unwrap().sum_all().unwrap().backward().unwrap();

        let rows = x.reshape(((), 3)).unwrap();
        let centred = rows.broadcast_sub(&rows.mean_keepdim(0).unwrap()).unwrap();
        let variance = centred.sqr().unwrap().mean_keepdim(0).unwrap();
        let hat = centred.broadcast_div(&(variance + EPSILON).unwrap().sqrt().unwrap()).unwrap();
        let y = hat.broadcast_mul(&affine.narrow(0, 0, 1).unwrap()).unwrap();
        let y = y.broadcast_add(&affine.narrow(0, 1, 1).unwrap()).unwrap().reshape(case.x.shape()).unwrap();
        let y = residual.as_ref().map_or(y.clone(), |r| (&y + r.as_tensor()).unwrap());
        let y = if relu { y.relu().unwrap() } else { y };
        let theirs = (y * &case.dy).unwrap().sum_all().unwrap().backward().unwrap();
        for var in [Some(&x), Some(&affine), residual.as_ref()].into_iter().flatten() {
            let (ours, theirs) = (ours.get(var).unwrap(), theirs.get(var).unwrap());
            assert_close(&flat(ours), &flat64(theirs), 1e-5, &format!("{:?}", var.dims()));
        }
    }
}

#[test]
fn nothing_is_computed_for_what_nothing_tracks() {
    let case = Case::new(&[6, 3], true, true);
    let op = BatchNorm { epsilon: EPSILON, relu: true };
    let affine = Var::from_tensor(&case.affine).unwrap();
    let y = case.x.apply_op3(&affine, case.residual.as_ref().unwrap(), op).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&affine).is_some());
    assert!(gradients.get(&case.x).is_none());
    assert!(gradients.get(case.residual.as_ref().unwrap()).is_none());
}

#[test]
fn strided_inputs_give_the_same_bits() {
    let case = Case::new(&[6, 5, 4], true, true);
    let turned = Case {
        x: strided(&case.x),
        affine: strided(&case.affine),
        residual: case.residual.as_ref().map(strided),
        dy: case.dy.clone(),
        relu: true,
    };
    for (a, b) in case.found().iter().zip(turned.found().iter()) {
        assert_eq!(flat(a), flat(b));
    }
}

#[test]
fn threads_change_no_bit() {
    for (residual, relu) in [(false, true), (true, true)] {
        let case = Case::new(&[7, 1300, 8], residual, relu);
        assert_same_bits(|| case.found().iter().flat_map(flat).collect());
    }
}

#[test]
fn running_statistics_move_as_in_torch() {
    // x = 1, 3: mean 2, unbiased variance 2; from (0; 1) with momentum 0.1: 0.2 and 1.1.
    let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu).unwrap();
    let running = Tensor::new(&[[0f32], [1.0]], &Device::Cpu).unwrap();
    let found = train_statistics(&x, &running, EPSILON, 0.1).unwrap();
    assert_eq!(flat(&found), flat(&statistics(&x, EPSILON).unwrap()));
    assert_close(&flat(&running), &[0.2, 1.1], 1e-6, "running");
    let applied = apply(
        &x,
        &frozen(&running, 0.0).unwrap(),
        &Tensor::ones((2, 1), DType::F32, &Device::Cpu).unwrap(),
        None,
        false,
    );
    assert_close(
        &flat(&applied.unwrap()),
        &[0.8 / 1.1f64.sqrt() + 1.0, 2.8 / 1.1f64.sqrt() + 1.0],
        1e-6,
        "evaluation",
    );
}

#[test]
fn refusals_name_the_shape() {
    let one = random(1, &[1, 4]);
    assert!(statistics(&one, EPSILON).unwrap_err().to_string().contains("[1, 4]"));
    let case = Case::new(&[6, 4], false, true);
    let good = statistics(&case.x, EPSILON).unwrap();
    let error = apply(&case.x, &good, &random(1, &[2, 3]), None, true).unwrap_err().to_string();
    assert!(error.contains("[2, 3]") && error.contains("[2, 4]"), "{error}");
    let flat = random(1, &[32]);
    let dy = flat.narrow(0, 0, 24).unwrap().reshape((6, 4)).unwrap();
    let gradient = flat.narrow(0, 24, 8).unwrap().reshape((2, 4)).unwrap();
    let forward =
        Forward { x: &case.x, statistics: &good, affine: &case.affine, relu: true, residual_output: None };
    let error = backward(&dy, &forward, &gradient).unwrap_err().to_string();
    assert!(error.contains("shares its buffer with gradient"), "{error}");
}

#[test]
fn a_nan_stays_visible() {
    let x = Tensor::new(&[[1f32, 1.0], [f32::NAN, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    // Statistics, and the running ones: the channel with a NaN has neither mean nor variance.
    let running = Tensor::ones((2, 2), DType::F32, &Device::Cpu).unwrap();
    let of_x = train_statistics(&x, &running, EPSILON, 0.1).unwrap();
    let nans = |t: &Tensor| flat(t).iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
    assert_eq!(nans(&of_x), [true, false, true, false]);
    assert_eq!(nans(&running), [true, false, true, false]);
    // A NaN output, and a gradient that ReLU's mask must not turn into 0.
    let good = Tensor::new(&[[0f32, 0.0], [1.0, 1.0]], &Device::Cpu).unwrap();
    let affine = Tensor::new(&[[1f32, 1.0], [1.0, 1.0]], &Device::Cpu).unwrap();
    for residual in [None, Some(&x)] {
        let y = apply(&x, &good, &affine, residual, true).unwrap();
        assert_eq!(nans(&y), [false, false, true, false, false, false]);
        let dy = Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap();
        let gradient = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
        let residual_output = residual.map(|_| &y);
        let forward = Forward { x: &x, statistics: &good, affine: &affine, relu: true, residual_output };
        let dx = backward(&dy, &forward, &gradient).unwrap();
        assert_eq!(nans(&gradient), [true, false, false, false]);
        assert_eq!(flat(&gradient)[2], 3.0, "the NaN's own gradient counts");
        assert_eq!(nans(&dx), [true, false, true, false, true, false]);
    }
}
