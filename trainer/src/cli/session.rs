//! Options that say where and how to compute.

use anyhow::Result;
use candle_core::Device;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use trainer::device::DeviceChoice;
use trainer::model::Precision;
use trainer::run::Session;

/// The number type of activations and of weights in products; the rest is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Dtype {
    F32,
    Bf16,
}

impl Dtype {
    /// As it is typed.
    pub(super) fn name(self) -> &'static str {
        self.precision().name()
    }

    fn precision(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }
}

#[derive(Args)]
pub(super) struct TimeBetween {
    /// Seconds between checkpoints
    #[arg(long, value_name = "S", default_value = "300", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    checkpoint_every: u64,
}

impl TimeBetween {
    pub(super) fn seconds(&self) -> u64 {
        self.checkpoint_every
    }
}

#[derive(Args)]
pub(super) struct SessionArgs {
    /// Folder of the data sets' files (`trainer download` fills it), or of your own images (dataset = folder or
    /// shards); the digits need none
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX; auto takes a GPU where there is one
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: DeviceChoice,
    /// Number type of activations and of weights in products; everything else is f32. bf16 needs a GPU
    #[arg(long, value_name = "F", default_value = "f32")]
    dtype: Dtype,
    #[command(flatten)]
    checkpoint: TimeBetween,
}

impl SessionArgs {
    /// Opens the device.
    pub(super) fn open(&self) -> Result<Device> {
        super::open(self.device)
    }

    pub(super) fn session<'a>(
        &'a self,
        device: &'a Device,
        resume: bool,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Session<'a> {
        let precision = self.dtype.precision();
        let checkpoint_every = Duration::from_secs(self.checkpoint.seconds());
        let data = self.data.as_deref();
        Session { data, device, precision, resume, checkpoint_every, stop, ..Session::CPU }
    }
}

/// Threads within one run: small networks gain nothing from more than one.
pub(super) fn threads(asked: Option<u64>) -> usize {
    asked.unwrap_or(1) as usize
}
