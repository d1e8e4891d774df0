//! How fast the operations are: `cargo test --release -p trainer --lib ops::bench -- --ignored --nocapture`. Without
//! `--release` the checks inside dependencies slow matrix products to a third.

use super::testing::*;
use super::*;
use candle_core::{DType, Device, Result, Tensor};

const RUNS: usize = 15;

/// Prints the best time of several runs, and the rate at which memory is read and written.
fn time(what: &str, bytes: usize, mut run: impl FnMut() -> Result<()>) {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = std::time::Instant::now();
        run().unwrap();
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{what}: {:.3} ms, {:.1} GB/s", 1e3 * best, 1e-9 * bytes as f64 / best);
}

fn zeros(length: usize) -> Tensor {
    Tensor::zeros(length, DType::F32, &Device::Cpu).unwrap()
}

#[test]
#[ignore = "measurement"]
fn batch_norm_of_activations() {
    for shape in [[128, 32, 32, 64], [128, 8, 8, 256], [128, 1, 1, 1024]] {
        let (x, dy, affine) =
            (random(1, &shape), random(2, &shape), random(3, &[2, shape[3]]).abs().unwrap());
        let bytes = 4 * x.elem_count();
        let statistics = batch_norm::statistics(&x, 1e-5).unwrap();
        let gradient = affine.copy().unwrap();
        let forward = |y| batch_norm::Forward {
            x: &x,
            statistics: &statistics,
            affine: &affine,
            relu: true,
            residual_output: y,
        };
        let apply = |residual| batch_norm::apply(&x, &statistics, &affine, residual, true);
        let y = apply(Some(&dy)).unwrap();
        println!("{shape:?}");
        time("  statistics", bytes, || batch_norm::statistics(&x, 1e-5).map(drop));
        time("  apply", 2 * bytes, || apply(None).map(drop));
        time("  apply with residual", 3 * bytes, || apply(Some(&dy)).map(drop));
        time("  backward", 5 * bytes, || batch_norm::backward(&dy, &forward(None), &gradient).map(drop));
        time("  backward with residual", 7 * bytes, || {
            batch_norm::backward(&dy, &forward(Some(&y)), &gradient).map(drop)
        });
        time("  copy, for comparison", 2 * bytes, || x.force_contiguous().map(drop));
    }
}

/// The network 3072-1024-512-512-128 at batch 128, with bias and ReLU between its layers.
#[test]
#[ignore = "measurement"]
fn perceptron() {
    let widths = [3072, 1024, 512, 512, 128];
    let x = random(1, &[128, widths[0]]);
    let layers: Vec<_> = widths.windows(2).map(|w| (random(2, &[w[1], w[0]]), random(3, &[w[1]]))).collect();
    let gradients: Vec<_> = layers.iter().map(|(w, b)| (w.copy().unwrap(), b.copy().unwrap())).collect();
    let numbers: usize = layers.iter().map(|(w, b)| w.elem_count() + b.elem_count()).sum();
    let last = layers.len() - 1;
    let forward = || -> Result<Vec<Tensor>> {
        let mut outputs = vec![x.clone()];
        for (index, (w, b)) in layers.iter().enumerate() {
            outputs.push(linear::forward(&outputs[index], w, Some(b), index < last)?);
        }
        Ok(outputs)
    };
    let outputs = forward().unwrap();
    println!("{numbers} parameters, batch 128, {} threads", rayon::current_num_threads());
    time("  forward", 4 * numbers, || forward().map(drop));
    let dy = random(4, &[128, widths[4]]);
    time("  backward", 8 * numbers, || {
        let mut dy = dy.copy()?;
        for index in (0..=last).rev() {
            let output = (index < last).then(|| &outputs[index + 1]);
            let saved =
                linear::Forward { x: &outputs[index], weight: &layers[index].0, rectified_output: output };
            let (dw, db) = &gradients[index];
            if let Some(dx) = linear::backward(&dy, &saved, dw, Some(db), index > 0)? {
                dy = dx;
            }
        }
        Ok(())
    });
    let segments = [optimiser::Segment { start: 0, length: numbers, decays: true, adapts: true }];
    let gradient = random(5, &[numbers]);
    for (rule, passes) in [
        (optimiser::Rule::Sgd { momentum: 0.9 }, 5),
        (optimiser::Rule::Lars { trust: 0.001, momentum: 0.9 }, 7),
        (optimiser::Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, 7),
    ] {
        let state = zeros(numbers * (1 + rule.num_states()));
        let optimiser = optimiser::Optimiser::new(rule, 1e-4, &segments).unwrap();
        let mut step = 0;
        time(&format!("  {rule:?}"), 4 * passes * numbers, || {
            step += 1;
            optimiser.step(&state, &gradient, 1e-3, step)
        });
    }
    for views in [256, 1024] {
        let z = random(6, &[views, 128]);
        time(&format!("  NT-Xent of {views} views"), 4 * views * views, || {
            info_nce::loss_and_gradient(&z, 0.5).map(drop)
        });
    }
}
