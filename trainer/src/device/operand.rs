//! From candle's storages to the slices that a launch takes, and back.
//!
//! An operation of `ops` is called with storages and layouts; here they become views of contiguous memory of one
//! element type.

use super::launch::Element;
use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape, Storage, Tensor, bail};
use cudarc::driver::{CudaSlice, CudaView, CudaViewMut};

/// A tensor as an operation receives it.
pub type Source<'a> = (&'a CudaStorage, &'a Layout);

/// Evaluates `$body` with `$T` standing for the element type of a storage: f32 or bf16.
macro_rules! for_element {
    ($storage:expr, $T:ident => $body:expr) => {
        match candle_core::backend::BackendStorage::dtype($storage) {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            other => candle_core::bail!("on a GPU activations are f32 or bf16, not {other:?}"),
        }
    };
}
pub(crate) use for_element;

/// A tensor's elements in contiguous memory: a view of its storage, or a copy where its layout has gaps or another
/// order.
pub enum Operand<'a, T> {
    /// A view.
    View(CudaView<'a, T>),
    /// A copy.
    Copy(CudaStorage),
}

impl<'a, T: Element> Operand<'a, T> {
    /// The elements of a tensor in row-major order.
    ///
    /// # Errors
    /// Another element type; no memory for the copy.
    pub fn new((storage, layout): Source<'a>) -> Result<Self> {
        if let Some((start, end)) = layout.contiguous_offsets() {
            return Ok(Self::View(T::as_cuda_slice(storage)?.slice(start..end)));
        }
        // SAFETY: the next line writes every element.
        #[allow(unsafe_code)] // zeroing first would be one more pass
        let mut copy = unsafe { storage.device().alloc_uninit(layout.shape(), T::DTYPE)? };
        storage.copy_strided_src(&mut copy, 0, layout)?;
        Ok(Self::Copy(copy))
    }

    /// The elements.
    ///
    /// # Errors
    /// Another element type.
    pub fn view(&self) -> Result<CudaView<'_, T>> {
        match self {
            Self::View(view) => Ok(view.slice(..)),
            Self::Copy(storage) => Ok(T::as_cuda_slice(storage)?.as_view()),
        }
    }
}

/// The elements of a tensor that an operation overwrites.
///
/// # Errors
/// Another element type; elements that do not lie in row-major order.
pub fn overwritten<'a, T: Element>(
    name: &str,
    storage: &'a mut CudaStorage,
    layout: &Layout,
) -> Result<CudaViewMut<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(T::as_cuda_slice_mut(storage)?.slice_mut(start..end)),
        None => bail!("{name}: cannot overwrite a tensor of strides {:?}: not row-major", layout.stride()),
    }
}

/// Calls a function with the elements of a tensor that an operation carries beside its arguments.
///
/// # Errors
/// A tensor on another device or of another element type; whatever the function returns.
pub fn with<T: Element, R>(tensor: &Tensor, run: impl FnOnce(&CudaView<T>) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else {
        bail!("a tensor of shape {:?} lies on another device than its partners", tensor.dims())
    };
    run(&Operand::new((storage, layout))?.view()?)
}

/// New elements as the result of an operation.
pub fn result<T: Element>(device: &CudaDevice, elements: CudaSlice<T>) -> CudaStorage {
    T::wrap_cuda_slice(elements, device.clone())
}

/// New elements as a tensor outside candle's graph.
pub fn tensor<T: Element>(device: &CudaDevice, elements: CudaSlice<T>, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_storage(Storage::Cuda(result(device, elements)), shape, BackpropOp::none(), false)
}
