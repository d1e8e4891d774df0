//! Features row by row, however they are kept: a [`Matrix`] of f64, or a file's own type
//! ([`Store`](crate::features::Store)).
//!
//! What is measured of features asks for runs of rows or for some rows, as f64, and never for all of them where there
//! are many. Runs are as long as 2²⁴ values (128 MiB) allow, by their shape alone: features of fewer values are one
//! run, and whatever is summed over them is summed as if they were never cut.

use crate::error::Result;
use crate::matrix::Matrix;
use std::borrow::Cow;
use std::ops::Range;

/// Values of a run of rows, at most: 128 MiB.
pub(crate) const RUN: usize = 1 << 24;

/// Features \[N, d\] that are read by rows.
///
/// # Examples
/// ```
/// use measure::{FeatureRows, matrix::Matrix};
/// let features = Matrix { rows: 3, cols: 2, data: vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8] };
/// assert_eq!((features.count(), features.width()), (3, 2));
/// assert_eq!(features.run(1..3)?[..], [0.0, 1.0, 0.6, 0.8]);
/// assert_eq!(features.pick(&[2, 0])?.data, [0.6, 0.8, 1.0, 0.0]);
/// # Ok::<(), measure::Error>(())
/// ```
pub trait FeatureRows: Sync {
    /// N.
    fn count(&self) -> usize;

    /// d.
    fn width(&self) -> usize;

    /// The rows of this range, one after the other; borrowed where they are f64 at hand.
    ///
    /// # Errors
    /// A file that can no longer be read.
    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>>;

    /// These rows, in this order.
    ///
    /// # Errors
    /// A file that can no longer be read.
    fn pick(&self, rows: &[usize]) -> Result<Matrix>;

    /// All rows, at 8 bytes a value; borrowed where they are a matrix already.
    ///
    /// # Errors
    /// A file that can no longer be read.
    fn whole(&self) -> Result<Cow<'_, Matrix>> {
        let data = self.run(0..self.count())?.into_owned();
        Ok(Cow::Owned(Matrix { rows: self.count(), cols: self.width(), data }))
    }
}

impl<F: FeatureRows> FeatureRows for &F {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn width(&self) -> usize {
        (**self).width()
    }

    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
        (**self).run(rows)
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        (**self).pick(rows)
    }

    fn whole(&self) -> Result<Cow<'_, Matrix>> {
        (**self).whole()
    }
}

impl FeatureRows for Matrix {
    fn count(&self) -> usize {
        self.rows
    }

    fn width(&self) -> usize {
        self.cols
    }

    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
        Ok(Cow::Borrowed(self.rows_in(rows).values))
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        Ok(self.gather(rows))
    }

    fn whole(&self) -> Result<Cow<'_, Matrix>> {
        Ok(Cow::Borrowed(self))
    }
}

/// Some rows of others, in this order.
pub(crate) struct Picked<'a, F> {
    pub of: &'a F,
    pub rows: &'a [usize],
}

impl<F: FeatureRows> FeatureRows for Picked<'_, F> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn width(&self) -> usize {
        self.of.width()
    }

    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
        Ok(Cow::Owned(self.of.pick(&self.rows[rows])?.data))
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        self.of.pick(&rows.iter().map(|&row| self.rows[row]).collect::<Vec<_>>())
    }
}

/// Rows that are changed one by one: all at once where they are few, each time they are asked for where they are many.
pub(crate) struct Changed<'a, F, C> {
    features: &'a F,
    width: usize,
    change: C,
    few: Option<Matrix>,
}

impl<'a, F: FeatureRows, C: Fn(&[f64], &mut Vec<f64>) + Sync> Changed<'a, F, C> {
    /// `change` adds the new row of `width` values to what it is given.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn new(features: &'a F, width: usize, change: C) -> Result<Self> {
        let mut changed = Self { features, width, change, few: None };
        let rows = features.count();
        if rows * width <= RUN {
            changed.few = Some(Matrix { rows, cols: width, data: changed.run(0..rows)?.into_owned() });
        }
        Ok(changed)
    }

    fn change(&self, rows: &[f64]) -> Vec<f64> {
        let cols = self.features.width().max(1);
        let mut changed = Vec::with_capacity(rows.len() / cols * self.width);
        rows.chunks_exact(cols).for_each(|row| (self.change)(row, &mut changed));
        changed
    }
}

impl<F: FeatureRows, C: Fn(&[f64], &mut Vec<f64>) + Sync> FeatureRows for Changed<'_, F, C> {
    fn count(&self) -> usize {
        self.features.count()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
        match &self.few {
            Some(few) => few.run(rows),
            None => Ok(Cow::Owned(self.change(&self.features.run(rows)?))),
        }
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        let data = self.change(&self.features.pick(rows)?.data);
        Ok(Matrix { rows: rows.len(), cols: self.width, data })
    }
}

/// The samples of each class, in their order.
pub(crate) fn by_class(labels: &[usize], num_classes: usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); num_classes];
    labels.iter().enumerate().for_each(|(sample, &class)| members[class].push(sample));
    members
}

/// The runs of `count` rows of `width` values.
pub(crate) fn runs(count: usize, width: usize) -> impl Iterator<Item = Range<usize>> {
    let length = (RUN / width.max(1)).max(1);
    (0..count).step_by(length).map(move |start| start..(start + length).min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many rows those that are asked for are what all of few are.
    #[test]
    fn rows_are_changed_at_once_or_as_they_are_read() {
        let features = Matrix { rows: 3, cols: 2, data: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0] };
        let change = |row: &[f64], out: &mut Vec<f64>| out.extend([row[1], 10.0 * row[0], 1.0]);
        let few = Changed::new(&features, 3, change).unwrap();
        let many = Changed { features: &features, width: 3, change, few: None };
        assert!(few.few.is_some());
        for changed in [&few, &many] {
            assert_eq!((changed.count(), changed.width()), (3, 3));
            assert_eq!(changed.run(1..3).unwrap()[..], [4.0, 30.0, 1.0, 6.0, 50.0, 1.0]);
            assert_eq!(changed.pick(&[2, 0]).unwrap().data, [6.0, 50.0, 1.0, 2.0, 10.0, 1.0]);
        }
        let picked = Picked { of: &many, rows: &[2, 0, 1] };
        assert_eq!((picked.count(), &picked.run(1..2).unwrap()[..]), (3, &[2.0, 10.0, 1.0][..]));
        assert_eq!(picked.pick(&[0]).unwrap().data, [6.0, 50.0, 1.0]);
    }

    #[test]
    fn runs_cover_every_row_once_and_few_rows_are_one() {
        let few: Vec<_> = runs(10_000, 1000).collect();
        assert_eq!((few.len(), &few[0]), (1, &(0..10_000)));
        let cut: Vec<_> = runs(3 * RUN / 8 + 5, 8).collect();
        assert_eq!(cut.iter().map(ExactSizeIterator::len).sum::<usize>(), 3 * RUN / 8 + 5);
        assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start) && cut.len() == 4);
        assert_eq!(runs(3, 2 * RUN).collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
        assert_eq!(runs(0, 3).count(), 0);
    }
}
