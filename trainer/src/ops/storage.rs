//! Slices of candle's storages, and checks of shapes.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};
use std::borrow::Cow;
use std::mem::MaybeUninit;

/// A vector of this length without a first pass that zeroes it.
///
/// # Safety
/// `fill` writes every element.
#[allow(unsafe_code)] // The output of every operation is written once; zeroing it first would double that traffic.
pub unsafe fn filled(length: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    fill(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: the capacity is at least `length`, and the caller promises that `fill` wrote every element.
    unsafe { values.set_len(length) };
    values
}

/// A slice that is about to be overwritten, as the kernels that write fresh vectors take it.
///
/// # Safety
/// Through the result only numbers are written: `MaybeUninit::uninit()` stored into it would become a live f32.
#[allow(unsafe_code)] // One kernel for outputs that exist and outputs that do not.
pub unsafe fn overwritten(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: same layout, and the caller promises that what was initialised stays so.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [MaybeUninit<f32>]) }
}

/// The elements of a tensor in row-major order: borrowed where they lie so, gathered otherwise.
///
/// # Errors
/// Elements that are not f32.
pub fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    let all = storage.as_slice::<f32>()?;
    Ok(match layout.contiguous_offsets() {
        Some((start, end)) => Cow::Borrowed(&all[start..end]),
        None => {
            let mut values = Vec::with_capacity(layout.shape().elem_count());
            gather(all, layout.start_offset(), layout.dims(), layout.stride(), &mut values);
            Cow::Owned(values)
        }
    })
}

fn gather(all: &[f32], start: usize, dims: &[usize], strides: &[usize], values: &mut Vec<f32>) {
    match (dims, strides) {
        ([length], [stride]) => values.extend((0..*length).map(|i| all[start + i * stride])),
        ([length, dims @ ..], [stride, strides @ ..]) => {
            (0..*length).for_each(|i| gather(all, start + i * stride, dims, strides, values));
        }
        _ => values.push(all[start]),
    }
}

/// The elements of a tensor that an operation overwrites.
///
/// # Errors
/// Elements that are not f32; a tensor whose elements do not lie in row-major order.
pub fn contiguous_mut<'a>(name: &str, storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("{name}: can overwrite f32 only, not {:?}", storage_type(storage))
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&mut all[start..end]),
        None => bail!("{name}: cannot overwrite a tensor of strides {:?}: not row-major", layout.stride()),
    }
}

fn storage_type(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// A copy of a small tensor that lies on the CPU.
///
/// # Errors
/// Elements that are not f32, or that lie on another device.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => Ok(contiguous(storage, layout)?.into_owned()),
        _ => bail!("a tensor of shape {:?} lies on another device than its partners", tensor.dims()),
    }
}

/// Whether two tensors share one buffer, so that writing the one changes the other.
pub fn share_storage(a: &Tensor, b: &Tensor) -> bool {
    // One lock at a time: a tensor may be compared with itself.
    let address = |t: &Tensor| std::ptr::from_ref(&*t.storage_and_layout().0).addr();
    address(a) == address(b)
}

/// \[rows, columns\] of a tensor of rank at least 2 whose last dimension is `columns`.
///
/// # Errors
/// A lower rank, or an empty tensor.
pub fn rows_and_columns(name: &str, layout: &Layout) -> Result<(usize, usize)> {
    match layout.dims() {
        [leading @ .., columns] if !leading.is_empty() && layout.shape().elem_count() > 0 => {
            Ok((leading.iter().product(), *columns))
        }
        dims => bail!("{name}: needs at least two dimensions and one element, not shape {dims:?}"),
    }
}

/// Checks a shape.
///
/// # Errors
/// Another shape.
pub fn expect_shape(name: &str, what: &str, found: &[usize], expected: &[usize]) -> Result<()> {
    if found != expected {
        bail!("{name}: {what} has shape {found:?} instead of {expected:?}")
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn a_strided_tensor_is_gathered_in_row_major_order() {
        let x = Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap().reshape((4, 6)).unwrap();
        let view = x.t().unwrap().narrow(0, 1, 3).unwrap();
        assert_eq!(
            values(&view).unwrap(),
            view.contiguous().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        );
        let tail = x.narrow(0, 2, 2).unwrap();
        assert_eq!(values(&tail).unwrap()[0], 12.0);
        assert!(values(&x.to_dtype(DType::F64).unwrap()).is_err());
    }

    #[test]
    fn sharing_is_seen_through_views() {
        let x = Tensor::zeros((4, 6), DType::F32, &Device::Cpu).unwrap();
        assert!(share_storage(&x, &x.narrow(0, 1, 2).unwrap()));
        assert!(!share_storage(&x, &x.copy().unwrap()));
    }
}
