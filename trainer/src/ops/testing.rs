//! What the tests of several operations share: inputs, thread counts, distances, finite differences.

use candle_core::{Device, Tensor};
use measure::rng::{Purpose, normal, stream};

/// Standard normal numbers of this shape.
pub fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = stream(seed, Purpose::Initialisation, 0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| normal(&mut rng)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The same values in a buffer whose elements do not lie in row-major order.
pub fn strided(x: &Tensor) -> Tensor {
    let last = x.rank() - 1;
    let view = x.transpose(0, last).unwrap().contiguous().unwrap().transpose(0, last).unwrap();
    assert!(!view.is_contiguous() || x.dims()[0] == 1 || x.dims()[last] == 1);
    view
}

pub fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

pub fn flat64(x: &Tensor) -> Vec<f64> {
    flat(x).into_iter().map(f64::from).collect()
}

/// Asserts ‖found − expected‖ ≤ tolerance·‖expected‖.
#[track_caller]
pub fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let norm = expected.iter().map(|v| v * v).sum::<f64>().sqrt();
    let distance = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).powi(2)).sum::<f64>().sqrt();
    assert!(distance <= tolerance * norm, "{what}: distance {distance:e} of norm {norm:e}");
}

/// Gradient of `value` at `x` by central differences of f64 with step 1e-5: error below 1e-8 for the functions here.
pub fn finite_differences(x: &[f64], value: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut point = x.to_vec();
    (0..x.len())
        .map(|i| {
            let step = 1e-5;
            point[i] = x[i] + step;
            let above = value(&point);
            point[i] = x[i] - step;
            let below = value(&point);
            point[i] = x[i];
            (above - below) / (2.0 * step)
        })
        .collect()
}

/// Asserts that 1, 2, 3 and 5 threads give the same bits.
#[track_caller]
pub fn assert_same_bits(run: impl Fn() -> Vec<f32> + Sync) {
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&run).into_iter().map(f32::to_bits).collect::<Vec<u32>>()
    };
    let one = with(1);
    for threads in [2, 3, 5] {
        assert!(with(threads) == one, "{threads} threads change a bit");
    }
}
