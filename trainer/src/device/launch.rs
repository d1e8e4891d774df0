//! Launching a kernel: element types, the tiling of \[rows, columns\], the call itself.
//!
//! Every grid depends on shapes only, never on the GPU, and a sum's partial results are combined in a fixed order: the
//! same input gives the same bits on the same GPU.

use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::{CudaDevice, Result, WithDType};
use cudarc::driver::ValidAsZeroBits;
use cudarc::driver::{
    CudaSlice, CudaView, CudaViewMut, DevicePtr, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg,
};
use std::marker::PhantomData;

/// Threads of a block, but for the kernels that combine partial sums.
pub const BLOCK: u32 = 256;

/// Element types of activations.
pub trait Element: CudaDType + DeviceRepr + ValidAsZeroBits + WithDType {
    /// In the names of kernels.
    const NAME: &'static str;
    /// Elements of one 16-byte load.
    const PACK: usize;
    /// In calls of cuBLAS.
    const BLAS: cudarc::cublas::sys::cudaDataType;
    /// In calls of cuDNN.
    const DNN: cudarc::cudnn::sys::cudnnDataType_t;
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    const PACK: usize = 4;
    const BLAS: cudarc::cublas::sys::cudaDataType = cudarc::cublas::sys::cudaDataType_t::CUDA_R_32F;
    const DNN: cudarc::cudnn::sys::cudnnDataType_t = cudarc::cudnn::sys::cudnnDataType_t::CUDNN_DATA_FLOAT;
}

impl Element for half::bf16 {
    const NAME: &'static str = "bf16";
    const PACK: usize = 8;
    const BLAS: cudarc::cublas::sys::cudaDataType = cudarc::cublas::sys::cudaDataType_t::CUDA_R_16BF;
    const DNN: cudarc::cudnn::sys::cudnnDataType_t = cudarc::cudnn::sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16;
}

/// Where the memory of a tensor begins, or null. Only the functions below make one, each from memory that is borrowed
/// until the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address<'a>(u64, PhantomData<&'a ()>);

/// One argument of a kernel, by its C type.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// A pointer.
    Address(Address<'a>),
    /// `int64_t`.
    I64(i64),
    /// `int`.
    I32(i32),
    /// `float`.
    F32(f32),
    /// The sizes of a convolution.
    Geometry(Geometry),
    /// Which candidates count.
    Rules(Rules),
}

impl Argument<'_> {
    /// Whether it is a pointer to nothing.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Address(Address(0, _)))
    }
}

/// `struct Geometry` of `ops/conv/kernel.cu`: x \[batch, height, width, channels\], kernel \[kernel_height,
/// kernel_width\].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Geometry {
    pub batch: i32,
    pub height: i32,
    pub width: i32,
    pub channels: i32,
    pub out_height: i32,
    pub out_width: i32,
    pub kernel_height: i32,
    pub kernel_width: i32,
    pub stride: i32,
    pub padding: i32,
}

// SAFETY: ten 32-bit integers in C order, as the kernel declares them.
#[allow(unsafe_code)] // a kernel takes it by value
unsafe impl DeviceRepr for Geometry {}

/// Kept parts of a selection at most.
pub const MOST_PARTS: usize = 8;

/// `struct Rules` of `ops/select/kernel.cu`, where the fields are explained.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Rules {
    pub key: [u32; 2],
    pub purpose: u32,
    pub rows: i32,
    pub columns: i32,
    pub samples: i32,
    pub from_queue: i32,
    pub num_sampled: i32,
    pub other_classes: i32,
    pub by_words: i32,
    pub num_parts: i32,
    pub parts: [[u32; 2]; MOST_PARTS],
}

// SAFETY: 27 32-bit integers in C order, as the kernel declares them.
#[allow(unsafe_code)] // a kernel takes it by value
unsafe impl DeviceRepr for Rules {}

/// Where a tensor that a kernel reads begins.
pub fn read<'a, T>(device: &CudaDevice, view: &'a CudaView<T>) -> Argument<'a> {
    address(view.device_ptr(&device.cuda_stream()).0)
}

/// Where a tensor that a kernel may read begins, null where there is none.
pub fn read_optional<'a, T>(device: &CudaDevice, view: Option<&'a CudaView<T>>) -> Argument<'a> {
    view.map_or(NULL, |view| read(device, view))
}

/// Where a tensor that a kernel writes begins.
pub fn write<'a, T>(device: &CudaDevice, view: &'a mut CudaViewMut<T>) -> Argument<'a> {
    address(view.device_ptr_mut(&device.cuda_stream()).0)
}

/// Where a new tensor that a kernel writes, or a later one reads, begins.
pub fn whole<'a, T>(device: &CudaDevice, slice: &'a CudaSlice<T>) -> Argument<'a> {
    address(slice.device_ptr(&device.cuda_stream()).0)
}

/// No tensor.
pub const NULL: Argument<'static> = address(0);

const fn address<'a>(value: u64) -> Argument<'a> {
    Argument::Address(Address(value, PhantomData))
}

/// Whether kernels may load packs: a multiple of 8 columns, every address a multiple of 16 bytes (null included).
pub fn packs(columns: usize, arguments: &[Argument]) -> bool {
    columns.is_multiple_of(8)
        && arguments.iter().all(|a| !matches!(a, Argument::Address(Address(address, _)) if address % 16 != 0))
}

/// `ROOT_f32`, `ROOT_f32_vector`, `ROOT_bf16` or `ROOT_bf16_vector`.
pub fn variant<T: Element>(root: &str, packed: bool) -> String {
    format!("{root}_{}{}", T::NAME, if packed { "_vector" } else { "" })
}

/// A compiled `kernel.cu`.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// The folder of its source.
    pub name: &'static str,
    /// Its PTX.
    pub ptx: &'static str,
}

/// Launches a kernel of a module on the device's stream; its module is loaded, and compiled for the GPU, at the first
/// call.
///
/// The arguments must be those that the kernel declares, in order, and every address that of memory as large as the
/// sizes among them say: nothing here or there checks it. So this is private to the crate; the functions of
/// `ops/*/cuda.rs`, which check their operands' lengths, are the only callers. An address lives as long as the memory
/// it was taken from is borrowed.
///
/// # Errors
/// The module does not load, it has no such kernel, or the launch is refused.
pub fn launch(
    device: &CudaDevice,
    module: Module,
    kernel: &str,
    config: LaunchConfig,
    arguments: &[Argument],
) -> Result<()> {
    if config.grid_dim.0 == 0 || config.grid_dim.1 == 0 {
        return Ok(()); // nothing to do; CUDA refuses an empty grid
    }
    let function = device.get_or_load_custom_func(kernel, module.name, module.ptx)?;
    let mut builder = function.builder();
    for argument in arguments {
        match argument {
            Argument::Address(Address(value, _)) => builder.arg(value),
            Argument::I64(value) => builder.arg(value),
            Argument::I32(value) => builder.arg(value),
            Argument::F32(value) => builder.arg(value),
            Argument::Geometry(value) => builder.arg(value),
            Argument::Rules(value) => builder.arg(value),
        };
    }
    // SAFETY: the callers pass what the kernel declares (the documentation above); memory that they free after this
    // call is freed in the order of the same stream, after the kernel.
    #[allow(unsafe_code)] // every launch is
    unsafe { builder.launch(config) }.w()?;
    Ok(())
}

/// How many blocks of [`BLOCK`] threads a kernel gets that walks over `count` items.
pub fn linear(count: usize) -> LaunchConfig {
    // Enough to fill the largest GPU several times over; a block then walks over several items.
    config((count.div_ceil(BLOCK as usize).min(1 << 14) as u32, 1), (BLOCK, 1))
}

/// One block a row: as many threads, a power of two from 32 to [`BLOCK`], as the row has elements.
pub fn block_per_row(rows: usize, columns: usize) -> LaunchConfig {
    let threads = columns.next_power_of_two().clamp(32, BLOCK as usize) as u32;
    config((rows.min(1 << 16) as u32, 1), (threads, 1))
}

/// The grid of the kernels that combine partial sums of this many columns.
pub fn combine(columns: usize) -> LaunchConfig {
    config((columns.div_ceil(8) as u32, 1), (8, 64))
}

fn config(grid: (u32, u32), block: (u32, u32)) -> LaunchConfig {
    LaunchConfig { grid_dim: (grid.0, grid.1, 1), block_dim: (block.0, block.1, 1), shared_mem_bytes: 0 }
}

/// Blocks that suffice to fill a GPU: 3 on each of 128 multiprocessors (`RESIDENT` of `ops/kernel.cuh`).
const FULL: usize = 384;

/// How \[rows, columns\] is cut: blocks of up to 32 packs of columns by as many rows as fill the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    rows: usize,
    lanes: u32,
    grid_columns: u32,
    /// Rows of one partial sum.
    pub chunk_rows: usize,
    /// Partial sums of each column.
    pub chunks: usize,
}

impl Tiles {
    /// The cut of \[rows, columns\] into packs of this many elements.
    pub fn new(rows: usize, columns: usize, pack: usize) -> Self {
        let columns = columns.div_ceil(pack);
        let lanes = columns.next_power_of_two().clamp(1, 32) as u32;
        let grid_columns = columns.div_ceil(lanes as usize) as u32;
        let mut tiles = Self { rows, lanes, grid_columns, chunk_rows: 0, chunks: 0 };
        // Sums in one wave of blocks, so that no block waits for another to end.
        let chunks = tiles.runs().min(FULL / grid_columns as usize).max(1);
        tiles.chunk_rows = rows.div_ceil(chunks).max(1);
        tiles.chunks = rows.div_ceil(tiles.chunk_rows).max(1);
        tiles
    }

    /// Runs of rows for blocks whose threads take 8 rows each, so that a thread's constants and the tree at the end of
    /// a block are little beside its rows; 4 or 2 where there would be too few blocks to fill a GPU.
    fn runs(&self) -> usize {
        let runs = |rows: usize| self.rows.div_ceil(rows * (BLOCK / self.lanes) as usize);
        let fills = |rows: &usize| runs(*rows) * self.grid_columns as usize >= FULL;
        runs([8, 4].into_iter().find(fills).unwrap_or(2))
    }

    /// The grid of a kernel with one partial sum a chunk of rows.
    pub fn sums(&self) -> LaunchConfig {
        config((self.grid_columns, self.chunks as u32), (self.lanes, BLOCK / self.lanes))
    }

    /// The grid of a kernel that treats each element alone.
    pub fn elements(&self) -> LaunchConfig {
        config((self.grid_columns, self.runs().min(1 << 12) as u32), (self.lanes, BLOCK / self.lanes))
    }
}

/// New memory for the result of a kernel that writes all of it.
///
/// # Errors
/// No memory.
pub fn uninitialised<T: Element>(device: &CudaDevice, count: usize) -> Result<CudaSlice<T>> {
    // SAFETY: any bits are a valid f32 or bf16, and the kernel that follows writes every element.
    #[allow(unsafe_code)] // zeroing first would be one more pass
    unsafe {
        device.alloc::<T>(count)
    }
}

/// An error where an operand has another length than its shape says.
pub(crate) fn check_length(what: &str, found: usize, expected: usize) -> Result<()> {
    if found != expected {
        candle_core::bail!("{what} has {found} elements, expected {expected}");
    }
    Ok(())
}

/// A size as a kernel's `int`.
pub(crate) fn int(what: &str, value: usize) -> Result<i32> {
    i32::try_from(value)
        .map_err(|_| candle_core::Error::msg(format!("{what}: {value} is more than a kernel counts to")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_row_once() {
        for rows in [1, 7, 255, 256, 8192, 8193, 2_097_152] {
            for columns in [1, 3, 8, 64, 512, 2048, 100_000] {
                for pack in [1, 4, 8] {
                    let tiles = Tiles::new(rows, columns, pack);
                    assert!(
                        (tiles.chunks - 1) * tiles.chunk_rows < rows
                            && tiles.chunks * tiles.chunk_rows >= rows
                    );
                    let (sums, elements) = (tiles.sums(), tiles.elements());
                    assert!(tiles.chunks == 1 || tiles.chunks * sums.grid_dim.0 as usize <= FULL);
                    assert!(sums.grid_dim.0 as usize * sums.block_dim.0 as usize * pack >= columns);
                    assert_eq!(sums.block_dim.0 * sums.block_dim.1, BLOCK);
                    assert!(elements.grid_dim.1 <= 65_535 && sums.block_dim.1.is_power_of_two());
                }
            }
        }
    }

    #[test]
    fn many_rows_are_shared_out_in_eights_and_few_fill_the_gpu() {
        // bf16 of ResNet-18: layer 1 at 2048 images, layer 4 at 64, blocks of 32 rows and of 8.
        let (many, few) = (Tiles::new(2048 * 1024, 64, 8), Tiles::new(64 * 16, 512, 8));
        assert_eq!((many.chunks, many.elements().grid_dim), (384, (1, 1 << 12, 1)));
        assert_eq!((few.chunks, few.elements().grid_dim), (64, (2, 64, 1)));
        assert_eq!(Tiles::new(64 * 1024, 64, 8).elements().grid_dim, (1, 512, 1));
    }

    #[test]
    fn odd_columns_and_addresses_are_not_packed() {
        assert!(packs(64, &[address(4096), NULL]));
        assert!(!packs(63, &[address(4096)]));
        assert!(!packs(64, &[address(4096), address(4100)]));
    }
}
