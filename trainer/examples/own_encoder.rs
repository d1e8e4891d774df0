//! An encoder of one's own, from its definition to `losses.csv`: an MLP-Mixer (Tolstikhin et al. 2021) over patches of
//! 2×2, whose channels a gate weighs. With arguments this is the whole `trainer` program, which knows the encoder by name.
//!
//! Run: `cargo run --release -p trainer --example own_encoder`, or
//! `cargo run --release -p trainer --example own_encoder -- reproduce digits --quick --set encoder=gated-mixer`.

use candle_nn::{Conv2dConfig, Module, ModuleT, VarBuilder, conv2d, func_t, linear, ops};
use std::path::Path;
use std::process::ExitCode;
use trainer::data::{InputKind, load};
use trainer::model::Architecture;
use trainer::run::{EvaluationSettings, Preset, Progress, Session, measure_run, train};

/// What a user writes: which tensors there are, and what becomes of a batch of images [N, C, H, W].
fn gated_mixer(vb: VarBuilder<'_>, input: InputKind) -> candle_core::Result<Box<dyn ModuleT>> {
    let InputKind::Images([height, width, channels]) = input else {
        candle_core::bail!("it reads images, not texts");
    };
    let (patches, size) = ((height / 2) * (width / 2), 48);
    let config = Conv2dConfig { stride: 2, ..Conv2dConfig::default() };
    let embed = conv2d(channels, size, 2, config, vb.pp("embed"))?;
    let across = linear(patches, patches, vb.pp("across"))?;
    let within = linear(size, size, vb.pp("within"))?;
    let gate = linear(size, size, vb.pp("gate"))?;
    Ok(Box::new(func_t(move |images, _train| {
        let x = embed.forward(images)?.flatten_from(2)?; // [N, size, patches]
        let x = (&x + across.forward(&x)?.gelu()?)?.transpose(1, 2)?.contiguous()?;
        let x = (&x + within.forward(&x)?.gelu()?)?.mean(1)?; // [N, size]
        ops::sigmoid(&gate.forward(&x)?)? * x
    })))
}

/// Trains it on the digits and measures it, as the `trainer` program would.
fn run(out: &Path, settings: &[String]) -> trainer::Result<()> {
    let config = Preset::named("digits-quick", settings)?.config;
    let (split, run) = (load(&config.data(None))?, out.join("run"));
    let task = Progress::new(false).task(config.encoder.name(), config.epochs);
    train(&config, &split.train, &run, &Session::CPU, &task)?;
    let measured = measure_run(&run, &split, &EvaluationSettings::default(), &Session::CPU)?;
    Ok(theory::losses::write(&out.join("losses.csv"), &measured.rows)?)
}

pub(crate) fn main() -> ExitCode {
    let done = Architecture::register("gated-mixer", gated_mixer).and_then(|encoder| {
        if std::env::args().len() > 1 {
            return Ok(trainer::cli::main());
        }
        run(Path::new("runs/own-encoder"), &[format!("encoder={}", encoder.name())])?;
        println!("wrote runs/own-encoder/losses.csv");
        Ok(ExitCode::SUCCESS)
    });
    done.unwrap_or_else(|error| {
        theory::terminal::say(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}
