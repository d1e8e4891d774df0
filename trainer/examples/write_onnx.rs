//! Writes each encoder of images as `DIR/NAME.onnx`, and what it computes of a few images as `DIR/NAME.npz`: `images`
//! \[N, C, H, W\], `features`, `projection`.
//!
//! `cargo run -p trainer --example write_onnx DIR`, then `trainer/tests/onnx/check.py DIR`. Twenty steps of training move
//! every weight and every running statistic away from where it begins.

use anyhow::Context;
use candle_core::{Device, Tensor};
use measure::rng::{Purpose, stream};
use rand::Rng;
use std::path::PathBuf;
use trainer::loss::nt_xent;
use trainer::model::{Architecture, Head, Input, Model, Network, Options, Stem, onnx};
use trainer::optim::{Optimiser, OptimiserKind};

/// Height, width, channels: no two alike.
const IMAGE: [usize; 3] = [36, 28, 3];

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("which folder?")?);
    std::fs::create_dir_all(&folder)?;
    for name in ["mlp", "conv", "plain-mlp", "small", "resnet18", "resnet34", "resnet50"] {
        let architecture = Architecture::try_from(name.to_string()).map_err(anyhow::Error::msg)?;
        for head in [Head::Default, Head::Paper] {
            // Of the residual networks each stem once, and once a padding of 3.
            let (stem, stem_padding) = match (name, head) {
                ("resnet18", Head::Paper) => (Stem::Small, 3),
                ("resnet34" | "resnet50", Head::Paper) => (Stem::Imagenet, 1),
                _ => (Stem::Small, 1),
            };
            let options = Options { head, stem, stem_padding, ..Options::default() };
            let network = trained(Model { architecture, options })?;
            let input = images(5, 1)?;
            let output = network.forward(&Input::Images(input.clone()))?;
            let file = folder.join(format!("{}-{}.onnx", architecture.name(), head.name()));
            onnx::save(&network, &file)?;
            let input = input.permute((0, 3, 1, 2))?.contiguous()?;
            let arrays = [("images", input), ("features", output.encoder), ("projection", output.head)];
            Tensor::write_npz(&arrays, file.with_extension("npz"))?;
        }
    }
    Ok(())
}

fn trained(model: Model) -> anyhow::Result<Network> {
    let mut network = Network::new(model, IMAGE, 7, &Device::Cpu)?;
    let mut optimiser = Optimiser::new(OptimiserKind::AdamW, 0.0, 0.0, network.parameters_mut())?;
    for step in 0..20 {
        optimiser.prepare(network.parameters_mut(), 1e-3)?;
        let (output, tape) = network.forward_train(&Input::Images(images(16, 2 + step)?))?;
        network.backward(tape, nt_xent(&output.head, 0.5)?.gradient)?;
        optimiser.apply(network.parameters())?;
    }
    Ok(network)
}

/// Pixels in [0, 1), \[N, H, W, C\].
fn images(count: usize, index: u64) -> anyhow::Result<Tensor> {
    let [height, width, channels] = IMAGE;
    let mut rng = stream(7, Purpose::Augmentation, index);
    let pixels: Vec<f32> = (0..count * height * width * channels).map(|_| rng.random()).collect();
    Ok(Tensor::from_vec(pixels, (count, height, width, channels), &Device::Cpu)?)
}
