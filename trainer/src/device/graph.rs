//! A training step as a CUDA graph: recorded once, then replayed by one call instead of some hundred launches.

use super::Recording;
use super::choice::explain;
use crate::error::Result;
use candle_core::CudaDevice;
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use std::time::Instant;

/// Eager runs before anything else: they load the modules, choose the convolutions' algorithms and grow the workspaces,
/// none of which may happen while recording.
const EAGER_RUNS: usize = 2;

/// Eager runs and replays that are timed, each by itself, so that what happens between two runs does not count.
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
    /// Seconds of the timed eager runs, and of the timed replays.
    times: [Vec<f64>; 2],
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
        Self { device, recording, runs: 0, state: State::Eager, times: Default::default() }
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
            (State::Recorded(_), Recording::WhereFaster) => self.times[1].len() == TIMED_RUNS,
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
            let replay = || Ok(graph.launch().map_err(candle_core::Error::wrap)?);
            if self.times[1].len() == timed {
                replay()?;
                return Ok(None);
            }
            let seconds = self.time(replay)?;
            self.times[1].push(seconds);
            if self.times[1].len() == timed && median(&self.times[1]) >= median(&self.times[0]) {
                self.refuse();
            }
            return Ok(None);
        }
        let last_eager = EAGER_RUNS + timed;
        if self.recording == Recording::Never || matches!(self.state, State::Refused) {
            step()?;
            return Ok(None);
        }
        // Strides that candle's own kernels need on the device: uploaded in an eager run, found in this cache while
        // recording. At other times it would keep every small upload for ever.
        let _uploads = (self.runs == EAGER_RUNS || self.runs > last_eager)
            .then(|| self.device.enable_cuda_graph_htod_cache());
        if self.runs <= EAGER_RUNS {
            step()?;
            return Ok(None);
        }
        if self.runs <= last_eager {
            let seconds = self.time(&mut step)?;
            self.times[0].push(seconds);
            return Ok(None);
        }
        match self.record(&mut step) {
            Ok(graph) => {
                self.state = State::Recorded(graph);
                Ok(None)
            }
            Err(reason) => {
                // Nothing of the recording was executed, so the step is still to be done.
                self.refuse();
                step()?;
                Ok(Some(format!("the step runs without a CUDA graph: {reason}")))
            }
        }
    }

    /// Seconds of one run with nothing before and nothing behind it.
    fn time(&self, run: impl FnOnce() -> Result<()>) -> Result<f64> {
        self.wait()?;
        let start = Instant::now();
        run()?;
        self.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Gives up the recording, and its memory.
    fn refuse(&mut self) {
        // Errors of drops in a refused recording are nobody's; the graph must have ended before its memory goes.
        let _ = self.device.cuda_stream().context().check_err();
        let _ = self.wait();
        self.state = State::Refused;
        super::gauge::trim_graphs(&self.device);
    }

    fn wait(&self) -> Result<()> {
        Ok(self.device.cuda_stream().synchronize().map_err(candle_core::Error::wrap)?)
    }

    /// Records the step and executes it by a first replay.
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
        // Memory that was freed in a capture which had failed left an error behind, by which cudarc would refuse to end
        // the capture; and it must end whatever the step said, or the stream stays unusable.
        let dropped = stream.context().check_err();
        let graph =
            stream.end_capture(CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
        if let Err(e) = outcome {
            let e = e.to_string();
            return Err(explain(&e).unwrap_or(e));
        }
        dropped.map_err(|e| text(&e))?;
        let graph = graph.map_err(|e| text(&e))?.ok_or_else(|| "the driver recorded nothing".to_owned())?;
        // Its memory is had at the first launch.
        graph.launch().map_err(|e| explain(&text(&e)).unwrap_or_else(|| text(&e)))?;
        Ok(graph)
    }
}

impl Drop for Replay {
    /// The memory of a graph serves nothing else until it is given back.
    fn drop(&mut self) {
        if self.is_recorded() {
            self.refuse();
        }
    }
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
}
