//! A training step as a CUDA graph: recorded once, then replayed by one call instead of some hundred launches.

use super::Recording;
use super::choice::explain;
use crate::error::Result;
use candle_core::CudaDevice;
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use std::time::{Duration, Instant};

/// Eager runs before anything else: they load the modules, choose the convolutions' algorithms and grow the workspaces,
/// none of which may happen while recording.
const EAGER_RUNS: usize = 2;

/// Runs that are timed together, eager ones and replays.
const TIMED_RUNS: usize = 8;

/// A step that is run eagerly at first, then recorded and replayed.
///
/// What the step does must not depend on the host from one run to the next: the same shapes, the same buffers, no value
/// read back, no tensor made that outlives it, none dropped that was there before it. What changes (the learning rate,
/// the views of a batch, the number of the step) lies in buffers on the device that are rewritten between runs.
pub struct Replay {
    device: CudaDevice,
    recording: Recording,
    runs: usize,
    state: State,
    /// Where the timed runs began.
    start: Instant,
    /// What the timed eager runs took.
    eager: Duration,
}

enum State {
    Eager,
    Recorded(CudaGraph),
    /// Recording failed once, or replays are no faster; it is not tried again.
    Refused,
}

impl Replay {
    /// A step of this device. Without memory pools a step allocates by calls that cannot be recorded: it runs eagerly.
    pub fn new(device: &CudaDevice, recording: Recording) -> Self {
        let device = device.clone();
        let recording = if super::has_memory_pools(&device) { recording } else { Recording::Never };
        let (state, start, eager) = (State::Eager, Instant::now(), Duration::ZERO);
        Self { device, recording, runs: 0, state, start, eager }
    }

    /// Whether runs are replays.
    pub fn is_recorded(&self) -> bool {
        matches!(self.state, State::Recorded(_))
    }

    /// Whether the next runs are as all later ones: nothing is to be timed or recorded any more.
    pub fn is_settled(&self) -> bool {
        match (&self.state, self.recording) {
            (State::Refused, _) | (State::Eager, Recording::Never) => true,
            (State::Eager, _) => false,
            (State::Recorded(_), Recording::WhereFaster) => self.runs > EAGER_RUNS + 2 * TIMED_RUNS,
            (State::Recorded(_), _) => true,
        }
    }

    /// How many operations a replay makes: kernels, copies, on a GPU also allocations. 0 before the recording.
    #[cfg(test)]
    pub(super) fn num_operations(&self) -> usize {
        let State::Recorded(graph) = &self.state else { return 0 };
        let mut count = 0;
        // SAFETY: the graph lives as long as `self`; without an array of nodes the driver writes their number only.
        #[allow(unsafe_code)] // cudarc has no safe form of it
        let code = unsafe {
            cudarc::driver::sys::cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &mut count)
        };
        code.result().expect("the driver counts the nodes of a graph");
        count
    }

    /// Runs the step once. A warning, given at most once, says why the step is not recorded and runs eagerly instead.
    ///
    /// # Errors
    /// The step fails, or the replay does.
    pub fn run(&mut self, mut step: impl FnMut() -> Result<()>) -> Result<Option<String>> {
        self.runs += 1;
        let timed = if self.recording == Recording::WhereFaster { TIMED_RUNS } else { 0 };
        if let State::Recorded(graph) = &self.state {
            graph.launch().map_err(candle_core::Error::wrap)?;
            // The recorded run itself uploads the graph and is not timed.
            if timed > 0 && self.runs == EAGER_RUNS + 2 * timed + 1 {
                self.wait()?;
                if self.start.elapsed() >= self.eager {
                    self.state = State::Refused;
                    super::gauge::trim_graphs(&self.device);
                }
            }
            return Ok(None);
        }
        let last_eager = EAGER_RUNS + timed;
        if self.recording == Recording::Never
            || matches!(self.state, State::Refused)
            || self.runs < last_eager
        {
            if timed > 0 && self.runs == EAGER_RUNS + 1 && matches!(self.state, State::Eager) {
                self.wait()?;
                self.start = Instant::now();
            }
            step()?;
            return Ok(None);
        }
        // Strides that candle's own kernels need on the device: uploaded in the last eager run, found in this cache
        // while recording. At other times it would keep every small upload for ever.
        let _uploads = self.device.enable_cuda_graph_htod_cache();
        if self.runs == last_eager {
            step()?;
            self.wait()?;
            self.eager = self.start.elapsed();
            return Ok(None);
        }
        match self.record(&mut step) {
            Ok(graph) => {
                graph.launch().map_err(candle_core::Error::wrap)?;
                self.state = State::Recorded(graph);
                self.wait()?;
                self.start = Instant::now();
                Ok(None)
            }
            Err(reason) => {
                // Nothing of the recording was executed, so the step is still to be done.
                self.state = State::Refused;
                // Errors of drops in the refused recording are not this run's.
                let _ = self.device.cuda_stream().context().check_err();
                step()?;
                Ok(Some(format!("the step runs without a CUDA graph: {reason}")))
            }
        }
    }

    fn wait(&self) -> Result<()> {
        Ok(self.device.cuda_stream().synchronize().map_err(candle_core::Error::wrap)?)
    }

    /// Records the step without executing it.
    fn record(&self, step: &mut impl FnMut() -> Result<()>) -> std::result::Result<CudaGraph, String> {
        let stream = self.device.cuda_stream();
        let text = |e: &dyn std::fmt::Debug| format!("{e:?}");
        stream.synchronize().map_err(|e| text(&e))?;
        // What eager runs used is free now, and a graph takes memory of its own.
        super::gauge::trim_pool(&self.device);
        stream
            .begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .map_err(|e| text(&e))?;
        let outcome = step();
        // The capture must end whatever the step said, or the stream stays unusable.
        let graph =
            stream.end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
        if let Err(e) = outcome {
            let e = e.to_string();
            return Err(explain(&e).unwrap_or(e));
        }
        match graph {
            Ok(Some(graph)) => Ok(graph),
            Ok(None) => Err("the driver recorded nothing".to_owned()),
            Err(e) => Err(text(&e)),
        }
    }
}
