//! A buffer that several tasks write at disjoint places which are no slices, such as the pixels of one residue class.

use std::marker::PhantomData;

/// Hands out places in one slice.
pub struct Shared<'a, T> {
    pointer: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

#[allow(unsafe_code)] // tasks on several threads need the pointer
// SAFETY: places are only handed out; who writes through them answers for disjointness.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

/// Room for numbers, from some place of a shared buffer to its end.
#[derive(Clone, Copy)]
pub struct Room {
    /// The place.
    pub pointer: *mut f32,
    /// Numbers from there to the end.
    pub length: usize,
}

impl<'a, T> Shared<'a, T> {
    /// Shares a slice of numbers, initialised or not.
    pub fn new(slice: &'a mut [T]) -> Self {
        const { assert!(size_of::<T>() == size_of::<f32>(), "numbers of 32 bits") };
        Self { pointer: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// The room from place `index` on.
    pub fn at(&self, index: usize) -> Room {
        assert!(index <= self.length);
        Room { pointer: self.pointer.wrapping_add(index).cast(), length: self.length - index }
    }
}
