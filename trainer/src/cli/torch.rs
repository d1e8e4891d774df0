//! `measure --torch`: weights of somebody else's ResNet, and what their pixels are.

use clap::{Args, ValueEnum};
use measure::EvaluatedRun;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use theory::losses::RunInfo;
use theory::terminal::say;
use trainer::model::torch::Weights;
use trainer::model::{Network, Options, Stem};
use trainer::run::{self, EvaluationSettings, Normalisation, Preset, Session};
use trainer::{Error, data};

#[derive(Args, Serialize)]
pub(super) struct TorchArgs {
    /// Weights of a ResNet-18, 34 or 50 from PyTorch: .pt, .pth, .ckpt or .safetensors, measured on the data of --preset
    #[arg(long, value_name = "FILE", requires = "preset", conflicts_with_all = ["run", "features"])]
    pub(super) torch: Option<PathBuf>,
    /// Settings that ship, for --torch: data, temperature, views
    #[arg(long, value_name = "NAME", requires = "torch")]
    preset: Option<String>,
    /// Override a setting of the preset, such as evaluate_on=tuning
    #[arg(long, value_name = "KEY=VALUE", requires = "preset")]
    set: Vec<String>,
    /// How these weights expect pixels in [0, 1] to be normalised: imagenet (lightly), cifar (solo-learn), official (Nozawa &
    /// Sato: as they are, and a stem padding of 3), or none
    #[arg(long, value_name = "NAME", requires = "torch", conflicts_with = "mean")]
    #[serde(skip_serializing_if = "Option::is_none")]
    normalise: Option<Pixels>,
    /// Mean that is subtracted from the pixels, one or three numbers, such as 0.485,0.456,0.406
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "torch", requires = "std")]
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Vec<f64>>,
    /// Standard deviation that the pixels are divided by, after --mean
    #[arg(long, value_name = "LIST", value_delimiter = ',', requires = "mean")]
    #[serde(skip_serializing_if = "Option::is_none")]
    std: Option<Vec<f64>>,
    /// Zeros around the images before a first convolution of 3×3: 1 (most), 2 (solo-learn) or 3 (Nozawa & Sato)
    #[arg(long, value_name = "P", requires = "torch")]
    #[serde(skip_serializing_if = "Option::is_none")]
    stem_padding: Option<usize>,
    /// Where the file has several encoders or heads: take the one whose names start with this, such as module.encoder_k;
    /// may be repeated
    #[arg(long, value_name = "PREFIX", requires = "torch")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    torch_prefix: Vec<String>,
}

/// What an encoder takes its pixels for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Pixels {
    /// Means and deviations of ImageNet, which lightly takes for CIFAR too.
    Imagenet,
    /// Means and deviations of CIFAR-10 as solo-learn has them.
    Cifar,
    /// As they are, behind a stem that pads by 3.
    Official,
    /// As they are.
    None,
}

impl Pixels {
    fn normalisation(self) -> trainer::Result<Option<Normalisation>> {
        let (mean, deviation) = match self {
            Self::Imagenet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Self::Cifar => ([0.4914, 0.4822, 0.4465], [0.247, 0.243, 0.261]),
            Self::Official | Self::None => return Ok(None),
        };
        Normalisation::new(&mean, &deviation).map(Some)
    }
}

impl TorchArgs {
    fn normalisation(&self) -> trainer::Result<Option<Normalisation>> {
        match (self.normalise, &self.mean, &self.std) {
            (Some(pixels), ..) => pixels.normalisation(),
            (None, Some(mean), Some(deviation)) => Normalisation::new(mean, deviation).map(Some),
            _ => Ok(None),
        }
    }

    fn padding(&self) -> Option<usize> {
        self.stem_padding.or((self.normalise == Some(Pixels::Official)).then_some(3))
    }

    /// What nobody said about these weights, and what is taken instead.
    fn warn(&self, Options { stem, stem_padding: padding, .. }: Options) {
        let pixels = self.normalise.is_none() && self.mean.is_none();
        let stem = stem == Stem::Small
            && self.padding().is_none()
            && !self.set.iter().any(|set| set.starts_with("stem_padding"));
        let taken = match (pixels, stem) {
            (true, true) => {
                format!("pixels are taken as they are, in [0, 1], and the stem as padded by {padding}")
            }
            (true, false) => "pixels are taken as they are, in [0, 1]".into(),
            (false, true) => format!("the stem is taken as padded by {padding}"),
            (false, false) => return,
        };
        say(&format!(
            "warning: {taken}: features are wrong where the training had it otherwise (lightly: --normalise imagenet \
             --stem-padding 1; solo-learn: --normalise cifar --stem-padding 2; Nozawa & Sato: --normalise official)"
        ));
    }

    /// Measures these weights as the preset's own network would be.
    pub(super) fn measure(
        &self,
        folder: Option<&std::path::Path>,
        settings: &EvaluationSettings<'_>,
        session: &Session<'_>,
        quiet: bool,
    ) -> trainer::Result<EvaluatedRun> {
        let (Some(file), Some(preset)) = (&self.torch, &self.preset) else {
            return Err(Error::argument("--torch FILE needs --preset NAME"));
        };
        let mut config = Preset::named(preset, &self.set)?.config;
        config.stem_padding = self.padding().unwrap_or(config.stem_padding);
        let normalisation = self.normalisation()?;
        let mut weights = Weights::open(file, &self.torch_prefix)?;
        let model = weights.model(config.stem_padding);
        (config.encoder, config.stem) = (model.architecture, model.options.stem);
        let split = data::load(&config.data(folder))?;
        split.check()?;
        let input = config.augmentation.input(split.train.kind());
        let network = Network::new(model, input, config.seed, session.device)?;
        weights.load(&network)?;
        self.warn(model.options);
        if let Some(note) = config.note_of_views(&split.train) {
            say(&note);
        }
        if !quiet {
            weights.remarks().iter().for_each(|remark| say(&format!("{}: {remark}", file.display())));
        }
        let name = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
        let settings = EvaluationSettings { normalisation: normalisation.as_ref(), ..settings.clone() };
        let mut measured = run::measure_network(network, &config, &name, &split, &settings, session)?;
        // Of what the encoder is made, beside the weights.
        let mut made_of = String::new();
        if let Some(normalisation) = &normalisation {
            made_of.push_str(&format!(" {normalisation}"));
        }
        if model.options.stem != Stem::Small {
            made_of.push_str(&format!(" stem={}", model.options.stem.name()));
        }
        if let Some(padding) = self.padding() {
            made_of.push_str(&format!(" stem_padding={padding}"));
        }
        let bytes = ::measure::input::read(file)?;
        let digest = Sha256::new().chain_update(config.settings_id()).chain_update(&bytes);
        let digest = digest.chain_update(&made_of).chain_update(self.torch_prefix.join(" ")).finalize();
        let settings_id: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        for row in &mut measured.rows {
            // Who trained it, and how, the file does not say.
            let RunInfo { run_id, dataset, encoder, head, seed, .. } = std::mem::take(&mut row.run);
            let (encoder, settings_id) = (format!("{encoder}{made_of}"), settings_id.clone());
            row.run = RunInfo { run_id, dataset, encoder, head, seed, settings_id, ..RunInfo::default() };
        }
        Ok(measured)
    }
}
