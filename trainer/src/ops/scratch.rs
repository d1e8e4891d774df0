//! Work buffers that a thread keeps from one call to the next.
//!
//! A fresh buffer of megabytes costs a page fault for each 4 KiB and a pass that zeroes it, at every call.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers that a thread keeps at most.
const KEPT: usize = 8;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer with whatever an earlier use left in it; it goes back to the thread that drops it.
pub struct Scratch {
    values: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// A buffer of this length.
    pub fn new(length: usize) -> Self {
        if length == 0 {
            return Self { values: Vec::new(), length };
        }
        let kept = FREE.with_borrow_mut(|free| {
            // The smallest that is large enough; `free` is in order of length.
            let place = free.partition_point(|values| values.len() < length);
            (place < free.len()).then(|| free.remove(place))
        });
        Self { values: kept.unwrap_or_else(|| vec![0.0; length]), length }
    }

    /// A buffer of zeros.
    pub fn zeroed(length: usize) -> Self {
        let mut scratch = Self::new(length);
        scratch.fill(0.0);
        scratch
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if values.is_empty() {
            return;
        }
        // A thread that is ending has no list any more.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            let place = free.partition_point(|other| other.len() < values.len());
            free.insert(place, values);
            if free.len() > KEPT {
                free.remove(0);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back() {
        let mut first = Scratch::new(100);
        first.fill(3.0);
        let address = first.as_ptr();
        drop(first);
        let second = Scratch::new(60);
        assert_eq!((second.as_ptr(), second.len(), second[59]), (address, 60, 3.0));
        let third = Scratch::zeroed(60);
        assert!(third.as_ptr() != address && third.iter().all(|&v| v == 0.0));
    }

    #[test]
    fn the_largest_are_kept() {
        let buffers: Vec<Scratch> = (1..=KEPT + 2).map(|i| Scratch::new(1000 * i)).collect();
        drop(buffers);
        assert_eq!(FREE.with_borrow(Vec::len), KEPT);
        assert!(FREE.with_borrow(|free| free[0].len() >= 3000));
    }
}
