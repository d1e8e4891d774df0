//! Where and how a run computes.

use crate::data::Samples;
use crate::device::Recording;
use crate::model::Precision;
use candle_core::Device;
use std::path::Path;
use std::time::Duration;

/// Where and how a run computes: what its result does not depend on, but for the device.
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// The folder of the data sets' files, to be noted in the run's.
    pub data: Option<&'a Path>,
    /// The tuning samples, where they are evaluated: `[monitor]` looks at them, else at a tenth of the training samples.
    pub tuning: Option<&'a Samples>,
    /// Where the network lives.
    pub device: &'a Device,
    /// In which numbers it computes.
    pub precision: Precision,
    /// Whether the steps of a GPU are recorded and replayed.
    pub recording: Recording,
    /// Whether an unfinished run goes on from its checkpoint; else it is refused.
    pub resume: bool,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Whether somebody wants the program to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl Session<'_> {
    /// On the CPU in f32; checkpoints every five minutes; nothing stops it.
    pub const CPU: Session<'static> = Session {
        data: None,
        tuning: None,
        device: &Device::Cpu,
        precision: Precision::F32,
        recording: Recording::WhereFaster,
        resume: true,
        checkpoint_every: Duration::from_secs(300),
        stop: &|| false,
    };
}
