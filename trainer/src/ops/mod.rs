//! Tensor operations of a training step where candle's are slow: forward and backward, CPU and CUDA side by side.
//!
//! Image tensors are channels-last, \[N, H, W, C\]; convolution weights \[C_out, KH, KW, C_in\]; linear weights \[out, in\]. On
//! the CPU everything is f32. Work is split into chunks that depend on shapes only, and partial sums are added in a fixed
//! order: the same bits with any number of threads.

pub mod conv;
mod storage;
