//! Losses of two views of a batch, and their gradients.

use super::formula::{Formula, Weight};
use crate::error::{Error, Result};
use crate::gemm::{self, Threads, multiply_add};
use crate::matrix::{Matrix, dot, times_transposed};
use crate::pool::{self, Stop};
use std::ops::Range;

/// Cosines that are held at once: 8 MB.
const BLOCK: usize = 1 << 20;
/// What an interruption gives up.
const DOING: &str = "computing a contrastive loss";

/// Which candidates an anchor's negatives are; the positive of view 1 of a sample is its view 2.
#[derive(Debug, Clone, Copy)]
pub enum Negatives<'a> {
    /// Both views of the other n−1 samples, 2n−2 of them; both views of every sample are anchors, 2n in all. This is the
    /// batch of SimCLR.
    BothViews,
    /// View 2 of the other samples, K = n−1; anchors are view 1. This is the batch of the bounds, and of `measure`.
    SecondView,
    /// K samples for each anchor \[n·K\], anchor by anchor, whose view 2 are its negatives; anchors are view 1.
    Samples(&'a [usize]),
    /// The same K constant rows \[K, d\] for every anchor, a queue; anchors are view 1.
    Shared(&'a Matrix),
    /// K constant rows for each anchor \[n·K, d\], anchor by anchor; anchors are view 1.
    Own(&'a Matrix),
}

/// What a loss is a function of.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Two views \[n, d\] of the same n samples.
    pub views: [&'a Matrix; 2],
    /// Which candidates are negatives.
    pub negatives: Negatives<'a>,
    /// The class of every sample: negatives of the anchor's class are left out. `None`: all count.
    pub classes: Option<&'a [usize]>,
    /// t > 0.
    pub temperature: f64,
    /// Whether rows, constant ones too, are scaled to unit length first; the gradient is then that with respect to the rows
    /// as given, at right angles to each. Otherwise dot products stand for cosines, whatever the rows' lengths.
    pub normalise: bool,
}

/// Rows of unit length, if asked for, with the lengths they had.
struct Unit {
    rows: Matrix,
    lengths: Option<Vec<f64>>,
}

impl Unit {
    fn new(rows: Matrix, name: &dyn Fn(usize) -> String, normalise: bool) -> Result<Self> {
        if rows.cols == 0 || rows.rows.checked_mul(rows.cols) != Some(rows.data.len()) {
            return Err(Error::argument(format!(
                "{} values are no features of shape [{}, {}]",
                rows.data.len(),
                rows.rows,
                rows.cols
            )));
        }
        if let Some(i) = rows.data.iter().position(|v| !v.is_finite()) {
            let (row, column) = (i / rows.cols, i % rows.cols);
            return Err(Error::argument(format!("{}, column {column}, is {}", name(row), rows.data[i])));
        }
        let mut unit = Self { rows, lengths: None };
        if normalise {
            unit.lengths = Some((0..unit.rows.rows).map(|i| to_unit(unit.rows.row_mut(i))).collect());
        }
        match unit.lengths.iter().flatten().position(|length| *length == 0.0) {
            Some(row) => Err(Error::argument(format!("{} is zero: it has no direction", name(row)))),
            None => Ok(unit),
        }
    }
}

/// Scales a row to unit length and returns the length it had; entries of 10²⁰⁰ neither overflow nor vanish.
fn to_unit(row: &mut [f64]) -> f64 {
    let largest = row.iter().fold(0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    row.iter_mut().for_each(|x| *x /= largest);
    let length = dot(row, row).sqrt();
    row.iter_mut().for_each(|x| *x /= length);
    length * largest
}

impl Batch<'_> {
    /// The loss, in nats, averaged over anchors.
    ///
    /// O(A·N·d) for A anchors with N negatives, in 8 MB beside a copy of the features.
    ///
    /// # Errors
    /// Views of different shapes or without rows; values that are not finite, rows that are zero where they are to be
    /// normalised; a temperature that is not positive; a parameter out of range; samples that are none of the n, or the
    /// anchor's own; a number of them that n does not divide; an anchor without negatives; classes beside constant
    /// negatives, which have none; a loss that overflows; `stop` says so.
    ///
    /// # Examples
    /// ```
    /// use measure::contrastive::{Batch, Formula, Negatives};
    /// use measure::matrix::Matrix;
    /// // Three samples that all look alike: ln(K + 1).
    /// let view = Matrix { rows: 3, cols: 2, data: vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0] };
    /// let batch = Batch {
    ///     views: [&view, &view],
    ///     negatives: Negatives::SecondView,
    ///     classes: None,
    ///     temperature: 0.5,
    ///     normalise: true,
    /// };
    /// assert!((batch.value(Formula::InfoNce, &measure::never)? - 3f64.ln()).abs() < 1e-15);
    /// let both = Batch { negatives: Negatives::BothViews, ..batch };
    /// assert!((both.value(Formula::InfoNce, &measure::never)? - 5f64.ln()).abs() < 1e-15);
    /// # Ok::<(), measure::Error>(())
    /// ```
    pub fn value(&self, formula: Formula, stop: Stop<'_>) -> Result<f64> {
        Ok(self.evaluate(formula, false, stop)?.0)
    }

    /// The loss and its gradients with respect to both views, \[n, d\] each.
    ///
    /// Three times the time of [`value`](Self::value), and room for the gradients.
    ///
    /// # Errors
    /// As [`value`](Self::value); a gradient that overflows, as that of a row of length 1e-310 does.
    pub fn value_and_gradient(&self, formula: Formula, stop: Stop<'_>) -> Result<(f64, [Matrix; 2])> {
        let (value, mut gradient) = self.evaluate(formula, true, stop)?;
        let (rows, cols) = (self.views[0].rows, self.views[0].cols);
        let second = gradient.split_off(rows * cols);
        Ok((value, [gradient, second].map(|data| Matrix { rows, cols, data })))
    }

    /// The loss, and, if asked for, the gradients of both views, one after the other.
    fn evaluate(&self, formula: Formula, gradient: bool, stop: Stop<'_>) -> Result<(f64, Vec<f64>)> {
        formula.check()?;
        let t = self.temperature;
        if !(t > 0.0 && t.is_finite()) {
            return Err(Error::argument(format!("temperature = {t:?} is not a positive finite number")));
        }
        let (n, d) = self.check_shapes()?;
        let name = |i: usize| format!("row {} of view {}", i % n, i / n + 1);
        let data = [&self.views[0].data[..], &self.views[1].data].concat();
        let both = Unit::new(Matrix { rows: 2 * n, cols: d, data }, &name, self.normalise)?;
        let constant = match self.negatives {
            Negatives::Shared(rows) | Negatives::Own(rows) => {
                let name = |i: usize| format!("row {i} of the negatives");
                Some(Unit::new(rows.clone(), &name, self.normalise)?.rows)
            }
            _ => None,
        };
        let task = Task { batch: self, formula, n, both: &both.rows, constant: constant.as_ref() };
        let (value, mut found) = task.run(gradient, stop)?;
        if let (Some(lengths), true) = (&both.lengths, gradient) {
            for (i, (row, length)) in found.chunks_exact_mut(d).zip(lengths).enumerate() {
                let unit = both.rows.row(i);
                let along = dot(row, unit);
                row.iter_mut().zip(unit).for_each(|(g, u)| *g = (*g - along * u) / length);
            }
        }
        // The gradient of a row of length 1e-310 may overflow only now.
        if !value.is_finite() || found.iter().any(|g| !g.is_finite()) {
            return Err(Error::NonFinite(format!("at temperature {t:e} the loss or its gradient overflows")));
        }
        Ok((value, found))
    }

    /// n and d.
    fn check_shapes(&self) -> Result<(usize, usize)> {
        let [shape, other] = self.views.map(|view| [view.rows, view.cols]);
        let [n, d] = shape;
        let refuse = |message: String| Err(Error::argument(message));
        if shape != other {
            return refuse(format!("view 1 has shape {shape:?}, view 2 has {other:?}"));
        }
        if n == 0 || d == 0 {
            return refuse(format!("views of shape {shape:?} hold no features"));
        }
        if let Some(classes) = self.classes.filter(|classes| classes.len() != n) {
            return refuse(format!("{} classes for {n} samples", classes.len()));
        }
        let (given, each) = match self.negatives {
            Negatives::BothViews | Negatives::SecondView => return Ok((n, d)),
            Negatives::Samples(list) => {
                if let Some(at) = list.iter().position(|&j| j >= n) {
                    return refuse(format!("negative {at} is sample {}, not one of 0..{n}", list[at]));
                }
                (list.len(), true)
            }
            Negatives::Shared(rows) | Negatives::Own(rows) => {
                if self.classes.is_some() {
                    return refuse("given negatives have no classes that could be left out".into());
                }
                if rows.cols != d {
                    return refuse(format!("negatives have {} columns, the views have {d}", rows.cols));
                }
                (rows.rows, matches!(self.negatives, Negatives::Own(_)))
            }
        };
        if given == 0 || (each && given % n != 0) {
            return refuse(format!("{given} negatives are no K ≥ 1 for each of {n} anchors"));
        }
        if let Negatives::Samples(list) = self.negatives {
            let k = list.len() / n;
            if let Some(at) = (0..list.len()).find(|&at| list[at] == at / k) {
                return refuse(format!("negative {} of anchor {} is its own sample", at % k, at / k));
            }
        }
        Ok((n, d))
    }
}

/// One loss over unit rows.
struct Task<'a> {
    batch: &'a Batch<'a>,
    formula: Formula,
    n: usize,
    /// Both views, one after the other.
    both: &'a Matrix,
    constant: Option<&'a Matrix>,
}

impl Task<'_> {
    fn anchors(&self) -> usize {
        if let Negatives::BothViews = self.batch.negatives { 2 * self.n } else { self.n }
    }

    /// Rows of `both` or of `constant` among which every anchor's negatives are; `None`: each has a list of its own.
    fn common(&self) -> Option<(&Matrix, Range<usize>)> {
        match self.batch.negatives {
            Negatives::BothViews => Some((self.both, 0..2 * self.n)),
            Negatives::SecondView => Some((self.both, self.n..2 * self.n)),
            Negatives::Shared(_) => self.constant.map(|rows| (rows, 0..rows.rows)),
            Negatives::Samples(_) | Negatives::Own(_) => None,
        }
    }

    /// Candidates of an anchor, negatives or not.
    fn width(&self) -> usize {
        match self.batch.negatives {
            Negatives::Samples(list) => list.len() / self.n,
            Negatives::Own(rows) => rows.rows / self.n,
            _ => self.common().map_or(0, |(_, range)| range.len()),
        }
    }

    /// The row of candidate k of an anchor, and the sample it is of; where each has a list of its own.
    fn own(&self, anchor: usize, k: usize) -> &[f64] {
        let place = anchor * self.width() + k;
        match (self.batch.negatives, self.constant) {
            (Negatives::Samples(list), _) => self.both.row(self.n + list[place]),
            (_, Some(rows)) => rows.row(place),
            _ => &[],
        }
    }

    /// Whether candidate k of an anchor is a negative that counts.
    fn counts(&self, anchor: usize, k: usize) -> bool {
        let (own, other) = match self.batch.negatives {
            Negatives::BothViews | Negatives::SecondView => (anchor % self.n, k % self.n),
            Negatives::Samples(list) => (anchor, list[anchor * self.width() + k]),
            Negatives::Shared(_) | Negatives::Own(_) => return true,
        };
        own != other && self.batch.classes.is_none_or(|classes| classes[own] != classes[other])
    }

    /// The loss, and, if asked for, its gradient by the rows of `both`.
    fn run(&self, gradient: bool, stop: Stop<'_>) -> Result<(f64, Vec<f64>)> {
        let (n, d, anchors, width) = (self.n, self.both.cols, self.anchors(), self.width());
        let other = |i: usize| (i + n) % (2 * n);
        let positives: Vec<f64> =
            (0..anchors).map(|i| dot(self.both.row(i), self.both.row(other(i)))).collect();
        let weights = self.formula.weights(&positives);
        let (mut sum, mut slope) = (0.0, vec![0.0; if gradient { 2 * n * d } else { 0 }]);
        let rows = (BLOCK / width.max(1)).clamp(1, anchors);
        for start in (0..anchors).step_by(rows) {
            pool::check(stop, DOING)?;
            let block = start..(start + rows).min(anchors);
            let mut values = self.cosines(block.clone())?;
            // Each anchor's loss and derivative by s⁺; its cosines become derivatives.
            let jobs = values.chunks_mut(width * (pool::CHUNK / width.max(1)).max(1)).enumerate();
            let found = pool::map(jobs, |(index, part)| -> Result<Vec<(f64, f64)>> {
                let first = start + index * (pool::CHUNK / width.max(1)).max(1);
                let of = |(i, row): (usize, &mut [f64])| {
                    let weight = weights.get(first + i).copied().unwrap_or_default();
                    self.anchor(first + i, positives[first + i], row, weight)
                };
                part.chunks_mut(width).enumerate().map(of).collect()
            });
            for (i, found) in block.clone().zip(found.into_iter().collect::<Result<Vec<_>>>()?.concat()) {
                sum += found.0;
                if gradient {
                    for (to, from) in [(i, other(i)), (other(i), i)] {
                        add(&mut slope[to * d..(to + 1) * d], found.1, self.both.row(from));
                    }
                }
            }
            if gradient {
                self.add_gradient(block, &values, &mut slope);
            }
        }
        let count = anchors as f64;
        slope.iter_mut().for_each(|g| *g /= count);
        Ok((sum / count, slope))
    }

    /// Cosines of these anchors with their candidates \[block, width\].
    fn cosines(&self, block: Range<usize>) -> Result<Vec<f64>> {
        let width = self.width();
        let mut values = vec![0.0; block.len() * width];
        match self.common() {
            Some((rows, range)) => {
                times_transposed(self.both.rows_in(block), rows.rows_in(range), &mut values, Threads::Pool)?;
            }
            None => pool::for_each(values.chunks_mut(width).zip(block), |(row, i)| {
                let anchor = self.both.row(i);
                row.iter_mut().enumerate().for_each(|(k, value)| *value = dot(anchor, self.own(i, k)));
            }),
        }
        Ok(values)
    }

    /// Loss of an anchor and derivative by s⁺; its cosines become derivatives, 0 where a candidate does not count.
    fn anchor(&self, anchor: usize, positive: f64, row: &mut [f64], weight: Weight) -> Result<(f64, f64)> {
        let counts: Vec<usize> = (0..row.len()).filter(|&k| self.counts(anchor, k)).collect();
        let mut negatives: Vec<f64> = counts.iter().map(|&k| row[k]).collect();
        if negatives.is_empty() {
            let why = match self.batch.classes {
                Some(classes) => format!("all candidates are of its class {}", classes[anchor % self.n]),
                None => format!("a batch of {} samples has none", self.n),
            };
            return Err(Error::argument(format!("anchor {} has no negatives: {why}", anchor % self.n)));
        }
        let found = self.formula.anchor(self.batch.temperature, positive, &mut negatives, weight);
        row.fill(0.0);
        counts.into_iter().zip(negatives).for_each(|(k, value)| row[k] = value);
        Ok(found)
    }

    /// Adds what derivatives \[block, width\] by cosines say of the rows of `both`.
    fn add_gradient(&self, block: Range<usize>, slopes: &[f64], gradient: &mut [f64]) {
        let (d, width) = (self.both.cols, self.width());
        let of = |values| gemm::Matrix::new(values, d);
        let anchors = &self.both.data[block.start * d..block.end * d];
        if let Some((rows, range)) = self.common() {
            let candidates = &rows.data[range.start * d..range.end * d];
            let by_anchor = gemm::Matrix::new(slopes, width);
            let place = &mut gradient[block.start * d..block.end * d];
            multiply_add(place, by_anchor, of(candidates), [block.len(), d, width]);
            if self.constant.is_none() {
                let place = &mut gradient[range.start * d..range.end * d];
                multiply_add(place, by_anchor.transposed(), of(anchors), [width, d, block.len()]);
            }
            return;
        }
        for (i, row) in block.zip(slopes.chunks(width)) {
            for (k, &slope) in row.iter().enumerate() {
                add(&mut gradient[i * d..(i + 1) * d], slope, self.own(i, k));
                if let Negatives::Samples(list) = self.batch.negatives {
                    let to = self.n + list[i * width + k];
                    add(&mut gradient[to * d..(to + 1) * d], slope, self.both.row(i));
                }
            }
        }
    }
}

/// y ← y + factor·x.
fn add(y: &mut [f64], factor: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}
