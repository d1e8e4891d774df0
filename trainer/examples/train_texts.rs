//! Trains the encoder of texts on AG News and prints loss, time per epoch and the accuracy of the mean classifier.
//!
//! ```text
//! cargo run --release -p trainer --example train_texts -- DIR [batch=64] [epochs=20] [rate=1] [kind=replace] [latent] [dense]
//! ```
//!
//! DIR holds `ag_news/`. LARS, momentum 0.9, no decay, two epochs of warm-up, then a cosine, peak rate · B/256 (the
//! official "sqrt" rule lr·√B is rate = 256 lr/√B), t = 0.5: the protocol of Nozawa & Sato (2021) but for the number of
//! epochs. `latent`: the eight classes of `ag-news-8`. `dense`: every step passes over all embeddings. Times are CPU
//! time, with `RAYON_NUM_THREADS=1` that of one thread.

use candle_core::Device;
use cpu_time::ProcessTime;
use measure::matrix::Matrix;
use measure::rng::{Purpose, permutation, stream};
use measure::{class_means, mean_accuracy};
use std::path::Path;
use std::time::{Duration, Instant};
use trainer::augment::{Augmentation, ViewStream, Views};
use trainer::data::{self, Request, Samples};
use trainer::loss::nt_xent;
use trainer::model::{Architecture, Network};
use trainer::ops::normalise;
use trainer::optim::{Optimiser, OptimiserKind, Schedule};
use trainer::run::evaluate::matrix;
use trainer::{Error, Result};

const SEED: u64 = 7;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or_else(|| Error::argument("which folder holds ag_news?"))?;
    let setting = |name: &str, default: f64| -> f64 {
        let given = arguments.iter().find_map(|a| a.strip_prefix(name)?.strip_prefix('='));
        given.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (batch, epochs) = (setting("batch", 64.0) as usize, setting("epochs", 20.0) as usize);
    let augmentation = if arguments.iter().any(|a| a == "kind=replace") {
        Augmentation::Replace(Default::default())
    } else {
        Augmentation::Erase(Default::default())
    };
    let dense = arguments.iter().any(|a| a == "dense");
    let name = if arguments.iter().any(|a| a == "latent") { "ag-news-8" } else { "ag-news" };

    let start = Instant::now();
    let request = Request { folder: Some(Path::new(folder)), ..Request::new(name) };
    let split = data::load(&request)?;
    let views = Views::new(&augmentation, &split.train, &Device::Cpu)?;
    let Samples::Texts(texts) = &split.train else { return Err(Error::argument("AG News is texts")) };
    println!(
        "{} training and {} test texts, {} words, classes {:?}: read in {:.1} s",
        texts.len(),
        split.evaluated.len(),
        texts.vocabulary().len(),
        split.train.class_counts(),
        start.elapsed().as_secs_f64()
    );

    let mut network = Network::new(Architecture::EmbeddingBag, split.train.kind(), SEED, &Device::Cpu)?;
    let mut optimiser = Optimiser::new(OptimiserKind::Lars, 0.9, 0.0, network.parameters_mut())?;
    let batches = texts.len() / batch;
    let peak = setting("rate", 1.0) * batch as f64 / 256.0;
    let schedule = Schedule { peak, warmup_steps: 2.min(epochs) * batches, total_steps: epochs * batches };
    if !dense {
        let rates = (0..schedule.total_steps).map(|step| schedule.rate(step)).collect();
        optimiser.set_rates(network.parameters(), rates)?;
    }
    println!("untrained: mean classifier {:.4}", accuracy(&network, &split, &augmentation)?);
    // Views, forward with loss, backward, optimiser.
    let mut stages = [Duration::ZERO; 4];
    for epoch in 0..epochs {
        let order = permutation(texts.len(), &mut stream(SEED, Purpose::Shuffle, epoch as u64));
        let mut draw = ViewStream::new(SEED, Purpose::Augmentation, epoch)?;
        let (begin, mut sum) = (ProcessTime::now(), 0.0);
        for (step, indices) in order.chunks_exact(batch).enumerate() {
            let mut mark = ProcessTime::now();
            let mut stage = |index: usize| {
                let now = ProcessTime::now();
                stages[index] += now.duration_since(mark);
                mark = now;
            };
            let input = views.random(indices, &mut draw, 2)?;
            stage(0);
            let (output, tape) = network.forward_train(&input)?;
            let loss = nt_xent(&output.head, 0.5)?;
            sum += f64::from(loss.value.to_scalar::<f32>()?);
            stage(1);
            network.backward(tape, loss.gradient)?;
            stage(2);
            optimiser.step(network.parameters(), schedule.rate(epoch * batches + step))?;
            stage(3);
        }
        let seconds = begin.elapsed().as_secs_f64();
        println!("epoch {epoch}: loss {:.4}, {seconds:.2} s of CPU time", sum / batches as f64);
    }
    let steps = (epochs * batches) as f64;
    let [views, forward, backward, update] = stages.map(|time| time.as_secs_f64() * 1e6 / steps);
    println!(
        "µs a step: views {views:.0}, forward {forward:.0}, backward {backward:.0}, optimiser {update:.0}"
    );
    println!("trained: mean classifier {:.4}", accuracy(&network, &split, &augmentation)?);
    Ok(())
}

/// The mean classifier on head features of plain test texts; class means of one augmented pass over the training texts.
fn accuracy(network: &Network, split: &data::Split, augmentation: &Augmentation) -> Result<f64> {
    let features = |samples: &Samples, augmented: bool| -> Result<Matrix> {
        let views = Views::new(augmentation, samples, &Device::Cpu)?;
        let mut draw = ViewStream::new(SEED, Purpose::ClassMeans, 0)?;
        let (mut all, indices) = (Matrix::zeros(0, 0), (0..samples.len()).collect::<Vec<_>>());
        for chunk in indices.chunks(512) {
            let input = if augmented { views.random(chunk, &mut draw, 1)? } else { views.plain(chunk)? };
            let found = matrix(&normalise::forward(&network.forward(&input)?.head)?)?;
            (all.rows, all.cols) = (all.rows + found.rows, found.cols);
            all.data.extend(found.data);
        }
        Ok(all)
    };
    let train = features(&split.train, true)?;
    let means = class_means(&train, split.train.labels(), split.train.num_classes())?;
    Ok(mean_accuracy(&means, &features(&split.evaluated, false)?, split.evaluated.labels())?)
}
