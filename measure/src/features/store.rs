//! Features \[N, d\] in the type of their file, as f64 where they are asked for.
//!
//! Up to 2²² values (32 MiB) are made a matrix of f64 at once. More stay as they are, in the file where they are stored
//! plainly, else in memory at their own width; Fortran order is turned on reading. A row is then converted, and scaled to unit length
//! where it is one of a view, each time it is asked for: the same bits as those of the matrix.

use super::arrays::Array;
use super::bytes::Bytes;
use super::decode::decode;
use crate::error::{Error, Result};
use crate::matrix::{Matrix, normalise};
use crate::rows::FeatureRows;
use safetensors::Dtype;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Values that are made f64 at once.
pub(super) const FEW: usize = 1 << 22;
/// Values that are converted at once.
const PIECE: usize = 1 << 16;
/// Columns of an array in Fortran order that are turned at once.
const COLUMNS: usize = 16;
/// By how much rounding may have lengthened a mean of unit rows.
const LENGTHENED: f64 = 1e-6;

/// Features in the type of their file; a copy shares them.
#[derive(Debug, Clone)]
pub struct Store(Kept);

#[derive(Debug, Clone)]
enum Kept {
    Whole(Arc<Matrix>),
    Packed(Arc<Packed>),
}

#[derive(Debug)]
struct Packed {
    name: String,
    rows: usize,
    cols: usize,
    dtype: Dtype,
    /// In C order.
    bytes: Bytes,
    role: Role,
}

/// What rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Scaled to unit length.
    Unit,
    /// Means of unit rows, which stay as they are.
    Mean,
}

pub(super) type Checked<T> = std::result::Result<T, String>;

impl Store {
    /// An array \[N, d\] whose rows are what they should be; at most `few` values are made f64 at once.
    pub(super) fn of(array: Array, role: Role, few: usize) -> Checked<Self> {
        let Array { name, shape, dtype, fortran_order, bytes } = array;
        let &[rows, cols] = &shape[..] else {
            return Err(format!("'{name}' has shape {shape:?}, not [rows, d]"));
        };
        let read = |message: String| format!("'{name}' is not readable: {message}");
        decode(dtype, &[], &mut []).map_err(read)?;
        let mut packed = Packed { name, rows, cols, dtype, bytes, role };
        if rows == 0 || cols == 0 {
            let name = &packed.name;
            return Err(format!("'{name}' has shape [{rows}, {cols}]: there is nothing to measure"));
        }
        if fortran_order && cols > 1 {
            packed.bytes =
                turned(&packed.bytes, [rows, cols], dtype.bitsize() / 8).map_err(|e| e.to_string())?;
        }
        if rows.saturating_mul(cols) <= few {
            let mut matrix = Matrix { rows, cols, data: Vec::new() };
            packed.convert(0..rows, &mut matrix.data).map_err(|e| e.to_string())?;
            return Self::of_matrix(&packed.name, matrix, role);
        }
        let mut values = Vec::new();
        for start in (0..rows).step_by(packed.piece()) {
            values.clear();
            let rows = start..(start + packed.piece()).min(rows);
            packed.convert(rows.clone(), &mut values).map_err(|e| e.to_string())?;
            check(&packed.name, rows.start, cols, &mut values, role)?;
        }
        Ok(Self(Kept::Packed(Arc::new(packed))))
    }

    /// A matrix whose rows are what they should be.
    pub(super) fn of_matrix(name: &str, mut m: Matrix, role: Role) -> Checked<Self> {
        if m.rows.checked_mul(m.cols) != Some(m.data.len()) {
            return Err(format!("'{name}' has {} values, not {} × {}", m.data.len(), m.rows, m.cols));
        }
        if m.data.is_empty() {
            return Err(format!("'{name}' has shape [{}, {}]: there is nothing to measure", m.rows, m.cols));
        }
        check(name, 0, m.cols, &mut m.data, role)?;
        Ok(Self(Kept::Whole(Arc::new(m))))
    }

    /// As a matrix, at 8 bytes a value.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn into_matrix(self) -> Result<Matrix> {
        match self.0 {
            Kept::Whole(matrix) => Ok(Arc::unwrap_or_clone(matrix)),
            Kept::Packed(packed) => packed.matrix(),
        }
    }
}

/// Refuses what is not finite, rows without direction and means that are too long; scales rows to unit length.
fn check(name: &str, first: usize, cols: usize, values: &mut [f64], role: Role) -> Checked<()> {
    if let Some(i) = values.iter().position(|v| !v.is_finite()) {
        return Err(format!("'{name}' row {}, column {} is {}", first + i / cols, i % cols, values[i]));
    }
    for (row, values) in (first..).zip(values.chunks_exact_mut(cols)) {
        match role {
            Role::Unit if !normalise(values) => {
                return Err(format!("'{name}' row {row} is zero: it has no direction"));
            }
            Role::Unit => {}
            Role::Mean => {
                let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
                if norm > 1.0 + LENGTHENED {
                    return Err(format!(
                        "'{name}' row {row} has norm {norm:.6}, above 1: f̄ is the mean of normalised features, so \
                         normalise the rows of each view before averaging"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The bytes of an array \[rows, cols\] in Fortran order in C order.
fn turned(bytes: &Bytes, [rows, cols]: [usize; 2], size: usize) -> Result<Bytes> {
    let mut turned = vec![0; rows * cols * size];
    let mut buffer = Vec::new();
    for first in (0..cols).step_by(COLUMNS) {
        let last = (first + COLUMNS).min(cols);
        let columns = bytes.get(first * rows * size..last * rows * size, &mut buffer)?;
        for (row, out) in turned.chunks_exact_mut(cols * size).enumerate() {
            for (column, out) in out[first * size..last * size].chunks_exact_mut(size).enumerate() {
                let place = (column * rows + row) * size;
                out.copy_from_slice(&columns[place..place + size]);
            }
        }
    }
    Ok(Bytes::Held(turned, 0))
}

impl Packed {
    /// Rows that are converted at once.
    fn piece(&self) -> usize {
        (PIECE / self.cols).max(1)
    }

    /// Adds rows as they stand in the file.
    fn convert(&self, rows: Range<usize>, out: &mut Vec<f64>) -> Result<()> {
        let (size, mut buffer) = (self.cols * self.dtype.bitsize() / 8, Vec::new());
        out.reserve(rows.len() * self.cols);
        for start in rows.clone().step_by(self.piece()) {
            let end = (start + self.piece()).min(rows.end);
            let bytes = self.bytes.get(start * size..end * size, &mut buffer)?;
            let before = out.len();
            out.resize(before + (end - start) * self.cols, 0.0);
            let refused = |message| Error::argument(format!("'{}' is not readable: {message}", self.name));
            decode(self.dtype, bytes, &mut out[before..]).map_err(refused)?;
        }
        Ok(())
    }

    /// Adds rows as they are measured.
    fn add(&self, rows: Range<usize>, out: &mut Vec<f64>) -> Result<()> {
        let before = out.len();
        self.convert(rows, out)?;
        if self.role == Role::Unit {
            out[before..].chunks_exact_mut(self.cols).for_each(|row| {
                normalise(row);
            });
        }
        Ok(())
    }

    fn matrix(&self) -> Result<Matrix> {
        let mut data = Vec::new();
        self.add(0..self.rows, &mut data)?;
        Ok(Matrix { rows: self.rows, cols: self.cols, data })
    }
}

/// Rows that are taken as they are.
impl From<Matrix> for Store {
    fn from(matrix: Matrix) -> Self {
        Self(Kept::Whole(Arc::new(matrix)))
    }
}

impl FeatureRows for Store {
    fn count(&self) -> usize {
        match &self.0 {
            Kept::Whole(matrix) => matrix.rows,
            Kept::Packed(packed) => packed.rows,
        }
    }

    fn width(&self) -> usize {
        match &self.0 {
            Kept::Whole(matrix) => matrix.cols,
            Kept::Packed(packed) => packed.cols,
        }
    }

    fn run(&self, rows: Range<usize>) -> Result<Cow<'_, [f64]>> {
        match &self.0 {
            Kept::Whole(matrix) => matrix.run(rows),
            Kept::Packed(packed) => {
                let mut values = Vec::new();
                packed.add(rows, &mut values)?;
                Ok(Cow::Owned(values))
            }
        }
    }

    fn pick(&self, rows: &[usize]) -> Result<Matrix> {
        match &self.0 {
            Kept::Whole(matrix) => matrix.pick(rows),
            Kept::Packed(packed) => {
                let mut data = Vec::with_capacity(rows.len() * packed.cols);
                rows.iter().try_for_each(|&row| packed.add(row..row + 1, &mut data))?;
                Ok(Matrix { rows: rows.len(), cols: packed.cols, data })
            }
        }
    }

    fn whole(&self) -> Result<Cow<'_, Matrix>> {
        match &self.0 {
            Kept::Whole(matrix) => matrix.whole(),
            Kept::Packed(packed) => Ok(Cow::Owned(packed.matrix()?)),
        }
    }
}
