//! Whether a ResNet-18 of full width computes what PyTorch computes with the same weights.
//!
//! ```text
//! python trainer/tests/torch/make_golden.py --full DIR
//! cargo run --release -p trainer --example torch_agreement -- DIR
//! ```
//!
//! Reads `DIR/full.pt` into the network of Nozawa & Sato, computes the features of the images in `DIR/full.npz`, and
//! prints the largest difference to PyTorch's (computed in f64 from the same f32 weights); fails above 1e-4 of the
//! largest feature.

use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::PathBuf;
use trainer::model::{Architecture, Input, Model, Network, Options, torch};

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).map(Into::into).unwrap_or_else(|| ".".into());
    let model = Model { architecture: Architecture::Resnet18, options: Options::PUBLISHED };
    let network = Network::new(model, [32, 32, 3], 7, &Device::Cpu)?;
    let ignored = torch::load(&network, &folder.join("full.pt"))?;
    println!("{} numbers read, {} keys ignored", network.parameters().num_trained(), ignored.len());
    let golden: HashMap<String, Tensor> = Tensor::read_npz(folder.join("full.npz"))?.into_iter().collect();
    let output = network.forward(&Input::Images(golden["images"].clone()))?;
    for (part, found) in [("encoder", &output.encoder), ("head", &output.head)] {
        let expected = golden[part].flatten_all()?.to_vec1::<f64>()?;
        let found = found.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("{part}: {} features, largest {largest:.4}, largest difference {off:.2e}", found.len());
        anyhow::ensure!(found.iter().all(|v| v.is_finite()) && off < 1e-4 * largest, "{part} differs");
    }
    Ok(())
}
