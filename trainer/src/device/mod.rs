//! The device to compute on, and what the kernels for an NVIDIA GPU share.
//!
//! [`DeviceChoice`] exists in every build. With the feature `cuda` there are also: launching a kernel, matrix products
//! by cuBLAS, convolutions by cuDNN where its library is present, and CUDA graphs. The kernels themselves lie beside
//! the operations they belong to, `ops/NAME/kernel.cu`, with their launches in `ops/NAME/cuda.rs`.
//!
//! All work of a device goes to one stream, in the order in which it was asked for; see [`DeviceChoice::open`].

mod choice;
#[cfg(feature = "cuda")]
pub use choice::has_memory_pools;
pub use choice::{DeviceChoice, Opened, explain};

/// When a training step on a GPU is recorded as a CUDA graph, to be replayed by one call; the CPU records nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recording {
    /// Never.
    Never,
    /// After two eager steps.
    Always,
    /// After two eager steps and eight that are timed; eight replays are timed too, and the way with the smaller median
    /// is kept. Both do the same work in the same order, so the bits are the same unless a library chooses another
    /// algorithm while it is recorded.
    WhereFaster,
}

#[cfg(feature = "cuda")]
pub mod cudnn;
#[cfg(feature = "cuda")]
pub mod gauge;
#[cfg(feature = "cuda")]
pub(crate) mod gemm;
#[cfg(feature = "cuda")]
pub mod graph;
#[cfg(feature = "cuda")]
pub(crate) mod launch;
#[cfg(feature = "cuda")]
pub(crate) mod operand;

/// A line on standard error, if that is still there.
#[cfg(feature = "cuda")]
pub(crate) fn warn(text: &str) {
    theory::terminal::say(&format!("warning: {text}"));
}

#[cfg(all(test, feature = "cuda"))]
mod tests;
