//! Options that say where and how the runs of a sweep compute.

use super::session::{Dtype, TimeBetween};
use anyhow::Result;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use theory::interrupt::Interrupt;
use trainer::device::DeviceChoice;
use trainer::run::sweep::{Pool, Resources};
use trainer::run::{self, Progress};

#[derive(Args)]
pub(super) struct PoolArgs {
    /// Folder of the data sets' files (`trainer download` fills it), or of your own images (dataset = folder or
    /// shards); the digits need none
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// cpu, cuda or cuda:INDEX, or several GPUs that the runs share, such as cuda:0,cuda:1; auto takes a GPU where there
    /// is one
    #[arg(long, value_name = "D", default_value = "cpu", value_delimiter = ',')]
    device: Vec<DeviceChoice>,
    /// Number type of activations and of weights in products; everything else is f32. bf16 needs a GPU
    #[arg(long, value_name = "F", default_value = "f32")]
    dtype: Dtype,
    #[command(flatten)]
    checkpoint: TimeBetween,
    /// Runs at a time, each a process of its own [default: as many as there are cores; on GPUs, as many as there are of them]
    #[arg(long, visible_alias = "threads", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Also repeat runs that failed before because their loss, gradient or weights became infinite or NaN
    #[arg(long)]
    retry: bool,
    /// Print nothing but the final tables
    #[arg(short, long)]
    pub(super) quiet: bool,
}

impl PoolArgs {
    /// The first device.
    pub(super) fn first_device(&self) -> DeviceChoice {
        self.device.first().copied().unwrap_or(DeviceChoice::Cpu)
    }

    /// Options of `trainer run` that every process gets.
    pub(super) fn options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        if let Some(data) = &self.data {
            options.extend(["--data".into(), std::path::absolute(data).unwrap_or(data.clone()).into()]);
        }
        options.extend(["--dtype".into(), self.dtype.name().into()]);
        options.extend(["--checkpoint-every".into(), self.checkpoint.seconds().to_string().into()]);
        options
    }

    /// Refuses what says something about this machine, where runs go to others.
    pub(super) fn refuse_local(&self) -> trainer::Result<()> {
        let given = [("--jobs", self.jobs.is_some()), ("several devices", self.device.len() > 1)];
        match given.iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(trainer::Error::argument(format!(
                "{what}: with --slurm each run is a task; --throttle, --cpus and --gres say how many and with what"
            ))),
            None => Ok(()),
        }
    }

    /// Whether runs are tried again.
    pub(super) fn retry(&self) -> bool {
        self.retry
    }

    /// The pool of these options.
    ///
    /// # Errors
    /// A device that cannot be had: known before any run is started.
    pub(super) fn pool<'a>(
        &self,
        interrupt: &'a (dyn Fn() -> bool + Sync),
        progress: &'a Progress,
    ) -> Result<Pool<'a>> {
        for choice in self.device.iter().filter(|choice| **choice != DeviceChoice::Cpu) {
            super::open(*choice)?;
        }
        let cores = run::available_threads();
        let on_cpu = self.device.iter().all(|choice| *choice == DeviceChoice::Cpu);
        let all = if on_cpu { cores } else { self.device.len() };
        let jobs = self.jobs.map_or(all, |jobs| jobs as usize);
        let devices = self.device.iter().map(ToString::to_string).collect();
        let threads = (cores / jobs).max(1);
        Ok(Pool {
            program: std::env::current_exe()?,
            options: self.options(),
            resources: Resources { jobs, threads, devices },
            retry: self.retry,
            stop: interrupt,
            progress,
        })
    }
}

/// How a sweep is asked to stop.
pub(super) fn stop(interrupt: &Interrupt) -> impl Fn() -> bool + Sync {
    let interrupt = interrupt.clone();
    move || interrupt.requested()
}
