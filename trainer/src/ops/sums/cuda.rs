//! The second level of a sum on an NVIDIA GPU: the launch of `kernel.cu`.

use crate::device::launch::{Argument, Module, check_length, combine, int, launch, read, write};
use crate::device::operand::{Operand, Source, overwritten};
use candle_core::backend::BackendStorage;
use candle_core::{CudaDevice, CudaStorage, Layout, Result};
use cudarc::driver::{CudaView, CudaViewMut};

const MODULE: Module = Module { name: "sums", ptx: include_str!(concat!(env!("OUT_DIR"), "/sums.ptx")) };

/// Adds `partial` \[chunks, k\] over its chunks into `sums` \[k\].
///
/// # Errors
/// A length that is no multiple of k, or the launch fails.
pub fn add_chunks(device: &CudaDevice, partial: &CudaView<f32>, sums: &mut CudaViewMut<f32>) -> Result<()> {
    let columns = sums.len();
    let chunks = partial.len() / columns.max(1);
    check_length("partial sums", partial.len(), chunks * columns)?;
    let sizes = [Argument::I32(int("chunks", chunks)?), Argument::I32(int("columns", columns)?)];
    let arguments = [read(device, partial), write(device, sums), sizes[0], sizes[1]];
    launch(device, MODULE, "sums_combine", combine(columns), &arguments)
}

/// sums <- partial.
pub(super) fn add_chunks_into((sums, layout): (&mut CudaStorage, &Layout), partial: Source) -> Result<()> {
    let device = partial.0.device();
    let mut sums = overwritten("sums", sums, layout)?;
    add_chunks(device, &Operand::new(partial)?.view()?, &mut sums)
}
