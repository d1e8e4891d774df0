//! The operations of a training step, each with an explicit forward and backward pass.
//!
//! Images are channels-last, x \[N, H, W, C\]; weights of a convolution \[C_out, KH, KW, C_in\], of a linear layer
//! \[out, in\]. On the CPU everything is f32.
//!
//! A function here runs without candle's graph and writes parameter gradients straight into their place in one flat
//! tensor. The structs that implement candle's custom operations also work inside its autograd, where an argument that
//! nothing tracks gets no gradient; they serve tests and small models.
//!
//! Work is cut into chunks whose bounds depend on shapes alone, and partial sums are combined in a fixed order: the
//! number of threads changes no bit. Processors with other vector widths may differ in the last bits.
//!
//! Non-contiguous inputs are accepted (and gathered first); a tensor that is overwritten must be row-major.

pub mod batch_norm;
pub mod cast;
pub mod conv;
pub mod embedding_bag;
pub(crate) mod gemm;
pub mod info_nce;
pub mod linear;
pub mod max_pool;
pub mod normalise;
pub mod optimiser;

pub mod pool;
mod scratch;
pub(crate) mod select;
mod shared;
pub(crate) mod storage;
pub(crate) mod sums;
#[cfg(test)]
pub(crate) mod testing;
mod tile;
pub(crate) mod vector;
