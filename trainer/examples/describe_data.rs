//! Loads a data set and prints what can be compared with published facts: numbers of images per class, first labels,
//! mean and deviation of each channel in \[0, 1\], time, and the largest memory beside the number of bytes of pixels.
//!
//! Run: `cargo run --release -p trainer --example describe_data NAME DIR [TRAIN_SAMPLES]`.

use std::path::Path;
use trainer::data::{Images, Request, Samples, load};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder, rest @ ..] = &arguments[..] else {
        anyhow::bail!("usage: describe_data NAME DIR [TRAIN_SAMPLES]");
    };
    let train_samples = rest.first().map(|number| number.parse()).transpose()?;
    let before = peak_memory();
    let start = std::time::Instant::now();
    let split = load(&Request { folder: Some(Path::new(folder)), train_samples, ..Request::new(name) })?;
    let (seconds, memory) = (start.elapsed().as_secs_f64(), peak_memory() - before);
    let mut bytes = 0;
    for (part, samples) in [("train", &split.train), ("evaluated", &split.evaluated)] {
        println!("{part}: {} samples, per class {:?}", samples.len(), samples.class_counts());
        println!("{part}: first labels {:?}", &samples.labels()[..samples.len().min(10)]);
        if let Samples::Images(images) = samples {
            bytes += images.store().len();
            println!("{part}: shape {:?}, mean and deviation {:.4?}", images.shape(), moments(images));
        }
    }
    println!(
        "read in {seconds:.2} s; {:.1} MiB of pixels, {:.1} MiB more resident memory at most",
        bytes as f64 / 1048576.0,
        memory as f64 / 1048576.0
    );
    Ok(())
}

fn moments(images: &Images) -> Vec<[f64; 2]> {
    let channels = images.shape()[2];
    let mut sums = vec![[0_u64; 2]; channels];
    for index in 0..images.len() {
        for pixel in images.image(index).chunks_exact(channels) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                sum[0] += u64::from(value);
                sum[1] += u64::from(value).pow(2);
            }
        }
    }
    let count = (images.len() * images.pixels_per_image() / channels) as f64;
    let brightest = f64::from(images.brightest());
    let moments = |[sum, square]: [u64; 2]| {
        let mean = sum as f64 / count;
        [mean / brightest, (square as f64 / count - mean * mean).max(0.0).sqrt() / brightest]
    };
    sums.into_iter().map(moments).collect()
}

/// The largest resident memory so far in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10
}
