//! Slices of candle storage, and outputs that are written once without being zeroed first.

use candle_core::{CpuStorage, Layout, Result, bail};
use std::borrow::Cow;
use std::marker::PhantomData;

/// The values of a tensor in row-major order: borrowed where they lie so, else gathered.
///
/// # Errors
/// Not f32.
pub fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    let CpuStorage::F32(all) = storage else {
        bail!("our operations take f32 tensors on the CPU");
    };
    Ok(match layout.contiguous_offsets() {
        Some((begin, end)) => Cow::Borrowed(&all[begin..end]),
        None => Cow::Owned(gather(all, layout)),
    })
}

fn gather(all: &[f32], layout: &Layout) -> Vec<f32> {
    let (dims, strides) = (layout.dims(), layout.stride());
    let mut offsets = vec![layout.start_offset()];
    for (&dim, &stride) in dims.iter().zip(strides) {
        offsets = offsets.iter().flat_map(|&offset| (0..dim).map(move |i| offset + i * stride)).collect();
    }
    offsets.into_iter().map(|offset| all[offset]).collect()
}

/// The values of a contiguous tensor, to be overwritten.
///
/// # Errors
/// Not f32, or not contiguous.
pub fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(all) = storage else {
        bail!("our operations take f32 tensors on the CPU");
    };
    match layout.contiguous_offsets() {
        Some((begin, end)) => Ok(&mut all[begin..end]),
        None => bail!("an in-place operation needs a contiguous target, not {layout:?}"),
    }
}

/// A buffer that several tasks write at disjoint places.
pub struct Shared<'a> {
    pointer: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

#[allow(unsafe_code)] // tasks get raw pointers and promise disjoint places
// SAFETY: the pointer is only handed out; who writes through it answers for disjointness.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    /// Shares a slice.
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { pointer: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// Pointer to place `index`.
    pub fn at(&self, index: usize) -> *mut f32 {
        assert!(index <= self.length);
        self.pointer.wrapping_add(index)
    }
}

/// A vector of `length` values, all of which `write` writes. Zeroing first would cost a pass over memory.
#[allow(unsafe_code)] // the length is set after every value was written
pub fn uninitialised(length: usize, write: impl FnOnce(&Shared<'_>)) -> Vec<f32> {
    let mut vector = Vec::with_capacity(length);
    write(&Shared { pointer: vector.as_mut_ptr(), length, lifetime: PhantomData });
    // SAFETY: the capacity is `length`, and `write` promised to fill it.
    unsafe { vector.set_len(length) };
    vector
}
