//! Milliseconds of InfoNCE over a queue by what is selected of it: value and gradient, 256 queries of 128 numbers.
//!
//! `cargo bench -p trainer --bench selections`; the best of five.

use candle_core::{Device, Tensor};
use measure::rng::{Purpose, normal, stream};
use std::time::Instant;
use trainer::loss::{Candidates, LossKind, Queue, SelectedRanks, StepDraws};

const QUERIES: usize = 256;
const WIDTH: usize = 128;

fn main() -> trainer::Result<()> {
    let mut rng = stream(1, Purpose::Evaluation, 0);
    let mut features = || {
        let values: Vec<f32> = (0..QUERIES * WIDTH).map(|_| normal(&mut rng)).collect();
        Tensor::from_vec(values, (QUERIES, WIDTH), &Device::Cpu)
    };
    let (queries, positives) = (features()?, features()?);
    let positives = trainer::ops::normalise::forward(&positives)?;
    let classes = vec![0; QUERIES];
    for size in [4_096, 65_536] {
        let queue = Queue::new(size, WIDTH, 7, &Device::Cpu)?;
        for selection in ["", "hardest:5%", "range:40-60%", "random:5%", "random:95%"] {
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let start = Instant::now();
                let candidates = Candidates::queue(&queries, &classes, &positives, &queue)?;
                let selected = match selection {
                    "" => SelectedRanks::all(),
                    selection => SelectedRanks::of(selection.parse()?, StepDraws::new(7, 0)?),
                };
                LossKind::NtXent {}.mean(&candidates, &selected, 0.2)?;
                best = best.min(start.elapsed().as_secs_f64());
            }
            let selection = if selection.is_empty() { "all" } else { selection };
            println!("{size} keys, {selection}: {:.1} ms", 1e3 * best);
        }
    }
    Ok(())
}
