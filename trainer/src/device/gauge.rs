//! What a benchmark asks of a GPU: its name, the most memory that was in use, the rate of a matrix product.

use super::gemm::{Matrix, gemm};
use super::launch::{Element, uninitialised};
use crate::error::{Error, Result};
use candle_core::{CudaDevice, DType};
use cudarc::driver::{result, sys};
use half::bf16;
use std::time::Instant;

/// The name that the driver gives the GPU.
///
/// # Errors
/// The driver fails.
pub fn name(device: &CudaDevice) -> Result<String> {
    Ok(device.cuda_stream().context().name().map_err(candle_core::Error::wrap)?)
}

/// The most bytes that were in use at a time in the driver's memory pool, in which every tensor lies, cuDNN's workspace
/// too, or what is in use there now beside the most of a recorded graph, whose memory is apart, if that is more. cuBLAS'
/// workspace counts; code and the driver itself do not. `None` where the driver has no pools.
///
/// # Errors
/// The driver fails.
pub fn peak_memory(device: &CudaDevice) -> Result<Option<u64>> {
    if !super::has_memory_pools(device) {
        return Ok(None);
    }
    let of_pool = |attribute| -> Result<u64> {
        let mut bytes = 0u64;
        // SAFETY: the device is open; the attribute is an unsigned 64-bit number, written during the call.
        #[allow(unsafe_code)] // cudarc has no safe form of it
        unsafe {
            result::device::get_default_mem_pool(device.cuda_stream().context().cu_device())
                .and_then(|pool| result::mem_pool::get_attribute(pool, attribute, (&raw mut bytes).cast()))
        }
        .map_err(candle_core::Error::wrap)?;
        Ok(bytes)
    };
    let most = of_pool(sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)?;
    let mut of_graphs = 0u64;
    // SAFETY: as above.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let status = unsafe {
        sys::cuDeviceGetGraphMemAttribute(
            device.cuda_stream().context().cu_device(),
            sys::CUgraphMem_attribute::CU_GRAPH_MEM_ATTR_USED_MEM_HIGH,
            (&raw mut of_graphs).cast(),
        )
    };
    if status != sys::CUresult::CUDA_SUCCESS || of_graphs == 0 {
        return Ok(Some(most));
    }
    let now = of_pool(sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?;
    Ok(Some(most.max(of_graphs + now)))
}

/// Gives unused memory of the pool back to the driver; where that fails, nothing is lost but room.
pub(super) fn trim_pool(device: &CudaDevice) {
    // SAFETY: the device is open.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let _ = unsafe {
        result::device::get_default_mem_pool(device.cuda_stream().context().cu_device())
            .map(|pool| sys::cuMemPoolTrimTo(pool, 0))
    };
}

/// Gives the memory of graphs that are gone back to the driver; where that fails, nothing is lost but room.
pub(super) fn trim_graphs(device: &CudaDevice) {
    // SAFETY: the device is open.
    #[allow(unsafe_code)] // cudarc has no safe form of it
    let _ = unsafe { sys::cuDeviceGraphMemTrim(device.cuda_stream().context().cu_device()) };
}

/// FLOP/s of a product of two square matrices of this size and type: the best of several rounds, each of several
/// products.
///
/// # Errors
/// A type other than f32 and bf16; no memory; cuBLAS fails.
pub fn gemm_rate(device: &CudaDevice, dtype: DType, size: usize) -> Result<f64> {
    match dtype {
        DType::F32 => rate::<f32>(device, size),
        DType::BF16 => rate::<bf16>(device, size),
        other => Err(Error::argument(format!("products of f32 or bf16, not of {other:?}"))),
    }
}

fn rate<T: Element>(device: &CudaDevice, size: usize) -> Result<f64> {
    const ROUNDS: usize = 8;
    const PRODUCTS: usize = 4;
    // Random bits: a GPU multiplies zeros at a higher clock than it sustains.
    let mut state = 1u32;
    let values: Vec<T> = (0..size * size)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            T::from_f64(f64::from(state) / f64::from(u32::MAX) - 0.5)
        })
        .collect();
    let (a, mut c) = (device.clone_htod(&values)?, uninitialised::<T>(device, size * size)?);
    let stream = device.cuda_stream();
    let wait = || stream.synchronize().map_err(candle_core::Error::wrap);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        wait()?;
        let start = Instant::now();
        for _ in 0..PRODUCTS {
            let matrix = || Matrix::new(a.as_view(), size, size);
            gemm(device, matrix(), matrix(), 0.0, &mut c.as_view_mut())?;
        }
        wait()?;
        best = best.min(start.elapsed().as_secs_f64() / PRODUCTS as f64);
    }
    Ok(2.0 * (size as f64).powi(3) / best)
}
