//! A training step as a CUDA graph: recorded once, then replayed by one call instead of some hundred launches.

use super::choice::explain;
use crate::error::Result;
use candle_core::CudaDevice;
use cudarc::driver::CudaGraph;
use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};

/// Eager runs before a step is recorded: they load the modules, choose the convolutions' algorithms and grow the
/// workspaces, none of which may happen while recording.
const EAGER_RUNS: usize = 2;

/// A step that is run eagerly at first, then recorded and replayed.
///
/// What the step does must not depend on the host from one run to the next: the same shapes, the same buffers, no value
/// read back, no tensor made that outlives it, none dropped that was there before it. What changes (the learning rate,
/// the indices of a batch, a counter of random numbers) lies in buffers on the device that are rewritten between runs.
pub struct Replay {
    device: CudaDevice,
    runs: usize,
    state: State,
}

enum State {
    Eager,
    Recorded(CudaGraph),
    /// Recording failed once and is not tried again.
    Refused,
}

impl Replay {
    /// A step of this device; `record = false` runs it eagerly for ever.
    pub fn new(device: &CudaDevice, record: bool) -> Self {
        Self { device: device.clone(), runs: 0, state: if record { State::Eager } else { State::Refused } }
    }

    /// Whether runs are replays.
    pub fn is_recorded(&self) -> bool {
        matches!(self.state, State::Recorded(_))
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
        if let State::Recorded(graph) = &self.state {
            graph.launch().map_err(candle_core::Error::wrap)?;
            return Ok(None);
        }
        // Strides that candle's own kernels need on the device: uploaded in eager runs, found in this cache while
        // recording.
        let _uploads = self.device.enable_cuda_graph_htod_cache();
        if self.runs <= EAGER_RUNS || matches!(self.state, State::Refused) {
            step()?;
            return Ok(None);
        }
        match self.record(&mut step) {
            Ok(graph) => {
                graph.launch().map_err(candle_core::Error::wrap)?;
                self.state = State::Recorded(graph);
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

    /// Records the step without executing it.
    fn record(&self, step: &mut impl FnMut() -> Result<()>) -> std::result::Result<CudaGraph, String> {
        let stream = self.device.cuda_stream();
        let text = |e: &dyn std::fmt::Debug| format!("{e:?}");
        stream.synchronize().map_err(|e| text(&e))?;
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
