//! Writes the metrics of a run that is killed at step 60 and goes on from its checkpoint at step 40, up to step 100.
//!
//! `cargo run -p trainer --example write_metrics DIR`, then `trainer/tests/tensorboard/check.py DIR`.

use anyhow::Context;
use std::path::PathBuf;
use trainer::run::Metrics;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("which folder?")?);
    std::fs::create_dir_all(&folder)?;
    let record = |metrics: &mut Metrics, steps: std::ops::RangeInclusive<u64>| -> anyhow::Result<()> {
        for step in steps {
            let x = step as f64;
            metrics.record(
                step,
                step / 10,
                &[("train/loss", (x / 30.0).exp().recip()), ("train/rate", 1e-3 / x)],
            )?;
            if step.is_multiple_of(10) {
                // What is not finite, and what single precision has no number for.
                let odd =
                    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-50][(step / 10 % 5) as usize];
                metrics.record(step, step / 10, &[("eval/knn_accuracy", x / 101.0), ("eval/odd", odd)])?;
            }
        }
        Ok(())
    };
    let mut metrics = Metrics::open(&folder, "")?;
    record(&mut metrics, 1..=40)?;
    let checkpoint = metrics.lines().to_string();
    record(&mut metrics, 41..=60)?;
    drop(metrics);
    let mut metrics = Metrics::open(&folder, &checkpoint)?;
    record(&mut metrics, 41..=100)?;
    Ok(metrics.flush()?)
}
