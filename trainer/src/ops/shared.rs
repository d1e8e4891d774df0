//! A buffer that several tasks write at disjoint places which are no slices, such as the pixels of one residue class.

use std::marker::PhantomData;

/// Hands out pointers into one slice.
pub struct Shared<'a, T> {
    pointer: *mut T,
    length: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

#[allow(unsafe_code)] // tasks on several threads need the pointer
// SAFETY: the pointer is only handed out; who writes through it answers for disjointness.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Shares a slice.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), length: slice.len(), lifetime: PhantomData }
    }

    /// Pointer to place `index`.
    pub fn at(&self, index: usize) -> *mut T {
        assert!(index <= self.length);
        self.pointer.wrapping_add(index)
    }
}
