//! Whether a ResNet of full width computes what PyTorch computes with the same weights, and hands them on unchanged.
//!
//! ```text
//! python trainer/tests/torch/make_golden.py --full DIR         # the network of Nozawa & Sato
//! python trainer/tests/torch/make_golden.py --libraries DIR    # or of torchvision, lightly, solo-learn, MoCo
//! cargo run --release -p trainer --example torch_agreement -- DIR
//! python trainer/tests/torch/make_golden.py --check DIR        # of the libraries
//! ```
//!
//! Reads each `DIR/NAME.pt` into the network that it describes, computes the features of the images in `DIR/NAME.npz`
//! (behind a stem of its `padding`, or of 3), and prints the largest difference to PyTorch's (computed in f64 from the
//! same f32 weights); fails above 1e-5 of the largest feature. Then exports the weights to `DIR/NAME.exported.pt`, and
//! fails where reading those makes another network. `--check` loads them in PyTorch.

use anyhow::{Context, ensure};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use trainer::model::torch::{self, Weights};
use trainer::model::{Input, Network};

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).map(Into::into).unwrap_or_else(|| ".".into());
    let mut goldens: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    goldens.retain(|path| path.extension().is_some_and(|extension| extension == "npz"));
    goldens.sort();
    ensure!(!goldens.is_empty(), "{} holds no .npz file", folder.display());
    goldens.iter().try_for_each(|golden| agrees(golden).with_context(|| golden.display().to_string()))
}

fn agrees(golden: &Path) -> anyhow::Result<()> {
    let file = golden.with_extension("pt");
    let golden: HashMap<String, Tensor> = Tensor::read_npz(golden)?.into_iter().collect();
    let padding = golden.get("padding").map(Tensor::to_scalar::<f32>).transpose()?.unwrap_or(3.0) as usize;
    let images = &golden["images"];
    let (_, height, width, channels) = images.dims4()?;
    let image = [height, width, channels];
    let network = read(&file, padding, image)?;
    let output = network.forward(&Input::Images(images.clone()))?;
    for (part, found) in [("encoder", &output.encoder), ("head", &output.head)] {
        let expected = golden[part].flatten_all()?.to_vec1::<f64>()?;
        let found = found.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let largest = expected.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("  {part}: {} features, largest {largest:.4}, largest difference {off:.2e}", found.len());
        ensure!(found.len() == expected.len(), "{part} has other features");
        ensure!(found.iter().all(|v| v.is_finite()) && off < 1e-5 * largest, "{part} differs");
    }
    let exported = file.with_extension("exported.pt");
    torch::save(&network, &exported)?;
    let again =
        torch::exported(&network)?.into_iter().zip(torch::exported(&read(&exported, padding, image)?)?);
    for ((name, before), (other, after)) in again {
        let bits = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        ensure!(name == other && bits(&before)? == bits(&after)?, "{name} is another after the export");
    }
    Ok(())
}

fn read(file: &Path, padding: usize, image: [usize; 3]) -> anyhow::Result<Network> {
    let mut weights = Weights::open(file, &[])?;
    println!("{}: {}", file.display(), weights.remarks().join("; "));
    let network = Network::new(weights.model(padding), image, 7, &Device::Cpu)?;
    weights.load(&network)?;
    Ok(network)
}
