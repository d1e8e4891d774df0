//! The launch of `kernel.cu`: one block of 256 threads for each view, on the stream of the device.

use super::augment::{Augment, contiguous};
use super::cpu::LANES;
use super::parameters::Sampler;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaViewMut, DeviceRepr, LaunchConfig, PushKernelArg};
use candle_core::{CudaStorage, DType, Layout, Result, Shape, bail};
use measure::rng::philox::Counter;

const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/simclr.ptx"));

/// `Counter` of `ops/philox.cuh`.
#[repr(C)]
#[derive(Clone, Copy)]
struct DeviceCounter {
    key: [u32; 2],
    purpose: u32,
    step: u32,
}

impl From<&Counter> for DeviceCounter {
    fn from(counter: &Counter) -> Self {
        Self { key: counter.key(), purpose: counter.tag(), step: counter.step }
    }
}

// A kernel takes its arguments as bytes, so that their layout is promised here. SAFETY: plain numbers of four
// bytes in `repr(C)`, hence without padding, in the order of `Counter` in ops/philox.cuh.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for DeviceCounter {}
// SAFETY: likewise, in the order of `Sampler` in kernel.cu (its `CropBox` too is `repr(C)`).
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sampler {}

/// Images and indices, with their layouts.
pub(super) type Inputs<'a> = [(&'a CudaStorage, &'a Layout); 2];

/// The views, f32.
pub(super) fn forward(op: &Augment, inputs: Inputs) -> Result<(CudaStorage, Shape)> {
    let shape = op.shape(inputs[0].1, inputs[1].1).map_err(candle_core::Error::wrap)?;
    let device = inputs[0].0.device().clone();
    // SAFETY: the kernel writes every element, and nothing reads before it on this stream.
    #[allow(unsafe_code)] // zeros would cost another pass over the views
    let mut views = unsafe { device.alloc::<f32>(shape.elem_count())? };
    launch(op, "augment_simclr_f32", inputs, &mut views.as_view_mut())?;
    Ok((CudaStorage::wrap_cuda_slice(views, device), shape))
}

/// The views, f32 or bf16, written where `views` lies.
pub(super) fn forward_into(
    op: &Augment,
    views: &mut CudaStorage,
    layout: &Layout,
    inputs: Inputs,
) -> Result<()> {
    let shape = op.shape(inputs[0].1, inputs[1].1).map_err(candle_core::Error::wrap)?;
    let (start, end) = op.target(layout, &shape).map_err(candle_core::Error::wrap)?;
    match views.dtype() {
        DType::F32 => {
            let views = views.as_cuda_slice_mut::<f32>()?;
            launch(op, "augment_simclr_f32", inputs, &mut views.slice_mut(start..end))
        }
        DType::BF16 => {
            let views = views.as_cuda_slice_mut::<half::bf16>()?;
            launch(op, "augment_simclr_bf16", inputs, &mut views.slice_mut(start..end))
        }
        other => bail!("on a GPU views are {:?} or {:?}, not {other:?}", DType::F32, DType::BF16),
    }
}

fn launch<T: DeviceRepr>(
    op: &Augment,
    kernel: &str,
    [(images, images_layout), (indices, indices_layout)]: Inputs,
    views: &mut CudaViewMut<T>,
) -> Result<()> {
    let (counts, most) = ((images_layout.dims()[0], indices_layout.dims()[0]), i32::MAX as usize);
    let blocks = op.views as usize * counts.1;
    if counts.0 > u32::MAX as usize || blocks > most {
        bail!("{} images in the data set and {blocks} views; at most {} and {most} fit", counts.0, u32::MAX);
    }
    if blocks == 0 {
        return Ok(());
    }
    let (num_images, count) = (counts.0 as u32, counts.1 as u32);
    let ((i, j), (k, l)) = (contiguous(images_layout)?, contiguous(indices_layout)?);
    let device = images.device();
    let room = if op.sampler.blurs() { blocks * op.sampler.view_len() } else { 1 };
    // SAFETY: of `scratch` the kernel reads what it wrote there itself.
    #[allow(unsafe_code)] // zeros would cost another pass over it
    let mut scratch = unsafe { device.alloc::<f32>(room)? };
    let images = images.as_cuda_slice::<u8>()?.slice(i..j);
    let indices = indices.as_cuda_slice::<u32>()?.slice(k..l);
    let counter = DeviceCounter::from(&op.counter);
    let function = device.get_or_load_custom_func(kernel, "simclr", PTX)?;
    let mut arguments = function.builder();
    arguments
        .arg(&images)
        .arg(&num_images)
        .arg(&indices)
        .arg(&count)
        .arg(&op.sampler)
        .arg(&counter)
        .arg(views)
        .arg(&mut scratch);
    let config = LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (LANES as u32, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: arguments are of the number, order and types of the kernel; `Augment::shape` checked that
    // images have the size of the sampler, an index is compared with `num_images` by the kernel, and `views`
    // has views · B · size² · channels elements, as has `scratch` where a view may be blurred.
    #[allow(unsafe_code)] // a launch cannot be checked by the compiler
    unsafe { arguments.launch(config) }.w()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    /// Without `-fmad=false`, nvcc contracts products and sums, and leaves others (those not marked `.rn`) to the
    /// driver to contract; views then differ from the CPU's in their last bits.
    #[test]
    fn nothing_is_contracted() {
        for contracted in ["fma.rn.f32", "mul.f32", "add.f32", "sub.f32"] {
            assert!(!super::PTX.contains(contracted), "{contracted}: compile this kernel with -fmad=false");
        }
        assert!(super::PTX.contains("div.rn.f32") && super::PTX.contains("sqrt.rn.f32"), "exact / and √");
    }
}
