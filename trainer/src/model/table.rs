//! A table of embeddings E \[V, d\] with its optimiser's state, read as means over bags of words.
//!
//! In a step only the rows of the batch's words have a gradient. Where the rates of all steps were scheduled, the other
//! rows are brought up to date when they are read next ([`crate::ops::optimiser`], `lazy`), and the time of a step grows
//! with its words alone. Otherwise, and under AdamW or weight decay, each step passes over the whole table. On the CPU only.

use super::Bags;
use super::layer::Mode;
use crate::error::{Error, Result};
use crate::ops::embedding_bag::{self, SparseGradient};
use crate::ops::optimiser::{Optimiser, Rule, lazy::Lazy};
use crate::ops::storage::values;
use candle_core::{Device, Tensor};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A table of embeddings.
#[derive(Debug)]
pub struct Table {
    name: String,
    /// \[V, d\].
    shape: [usize; 2],
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// \[values | states…\], each V·d numbers.
    state: Vec<f32>,
    lazy: Option<Lazy>,
    /// Of the last backward pass.
    gradient: Option<SparseGradient>,
    /// Room for [`embedding_bag::backward`].
    places: Vec<u32>,
}

impl Inner {
    /// Values and velocities, where there is a lazy optimiser.
    fn lazy(&mut self) -> Option<(&mut Lazy, &mut [f32], &mut [f32])> {
        let half = self.state.len() / 2;
        let (values, velocities) = self.state.split_at_mut(half);
        self.lazy.as_mut().map(|lazy| (lazy, values, velocities))
    }

    fn flush(&mut self) {
        if let Some((lazy, values, velocities)) = self.lazy() {
            lazy.flush(values, velocities);
        }
    }
}

impl Table {
    /// A table with these values, row by row; its name in a checkpoint is `NAME.weight`.
    pub(super) fn new(name: &str, shape: [usize; 2], values: Vec<f32>) -> Self {
        let inner = Inner { state: values, ..Inner::default() };
        Self { name: name.to_string(), shape, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Name of its values in a checkpoint.
    pub fn name(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// \[V, d\].
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    fn len(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Means over bags \[N, d\].
    ///
    /// # Errors
    /// A word outside the table.
    pub fn forward(&self, bags: &Bags, mode: Mode) -> Result<Tensor> {
        let of = embedding_bag::Bags::new(&bags.words, &bags.ends, self.shape[0])?;
        let mut inner = self.inner();
        let means = match (inner.lazy(), mode) {
            // Nothing moves, so that looking at a network in training does not change the roundings of the training.
            (Some((lazy, values, velocities)), Mode::Evaluate) => {
                embedding_bag::forward(&lazy.current(values, velocities), self.shape, of)?
            }
            (Some((lazy, values, velocities)), Mode::Train) => {
                lazy.catch_up(bags.words.iter().copied(), values, velocities);
                embedding_bag::forward(values, self.shape, of)?
            }
            (None, _) => embedding_bag::forward(&inner.state[..self.len()], self.shape, of)?,
        };
        Ok(Tensor::from_vec(means, (bags.ends.len(), self.shape[1]), &Device::Cpu)?)
    }

    /// Keeps the gradient of the table for the gradient `dy` \[N, d\] of the means.
    ///
    /// # Errors
    /// A gradient of another shape.
    pub fn backward(&self, bags: &Bags, dy: &Tensor) -> Result<()> {
        let of = embedding_bag::Bags::new(&bags.words, &bags.ends, self.shape[0])?;
        let mut inner = self.inner();
        let gradient = embedding_bag::backward(&values(dy)?, self.shape, of, &mut inner.places)?;
        inner.gradient = Some(gradient);
        Ok(())
    }

    /// The gradient of the last backward pass, \[V, d\].
    ///
    /// # Errors
    /// There was none.
    pub fn gradient(&self) -> Result<Tensor> {
        let inner = self.inner();
        let gradient = inner.gradient.as_ref().ok_or_else(no_gradient)?;
        let mut all = vec![0f32; self.len()];
        for (&row, values) in gradient.rows.iter().zip(gradient.values.chunks_exact(self.shape[1])) {
            all[row as usize * self.shape[1]..][..self.shape[1]].copy_from_slice(values);
        }
        Ok(Tensor::from_vec(all, &self.shape[..], &Device::Cpu)?)
    }

    /// Makes room for this many numbers of optimiser state per value, all zero.
    pub(crate) fn reserve(&self, states: usize) {
        let mut inner = self.inner();
        inner.flush();
        inner.lazy = None;
        inner.state.truncate(self.len());
        inner.state.resize((1 + states) * self.len(), 0.0);
    }

    /// Sets the learning rates of all steps, of which `done` were made before: from now on rows are brought up to date
    /// when they are read, where the rule has such a form and nothing decays.
    ///
    /// # Errors
    /// A rate that is not finite; fewer rates than steps made.
    pub(crate) fn set_rates(
        &self,
        rule: Rule,
        weight_decay: f64,
        rates: Vec<f64>,
        done: usize,
    ) -> Result<()> {
        let mut inner = self.inner();
        inner.flush();
        inner.lazy = None;
        if weight_decay == 0.0 && rule.num_states() == 1 && inner.state.len() == 2 * self.len() {
            let state = inner.state.split_at(self.len());
            inner.lazy = Lazy::new(rule, (rates, done), self.shape[1], state)?;
        }
        Ok(())
    }

    /// The step that the optimiser has prepared, along the gradient of the last backward pass.
    ///
    /// # Errors
    /// There was no backward pass; a rate that was not scheduled.
    pub(crate) fn step(&self, optimiser: &Optimiser) -> Result<()> {
        let mut inner = self.inner();
        let gradient = inner.gradient.take().ok_or_else(no_gradient)?;
        let Inner { state, lazy, .. } = &mut *inner;
        optimiser.apply_rows(state, &gradient, self.shape[1], lazy.as_mut())?;
        inner.gradient = Some(gradient);
        Ok(())
    }

    /// Whether every number of the last gradient, and every value and state, is finite.
    pub fn is_finite(&self) -> bool {
        let inner = self.inner();
        let gradient = inner.gradient.iter().flat_map(|gradient| &gradient.values);
        gradient.chain(&inner.state).fold(true, |all, v| all & v.is_finite())
    }

    /// The values \[V, d\], all rows up to date, under their name; nothing changes.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn tensor(&self) -> Result<(String, Tensor)> {
        let mut inner = self.inner();
        let values = match inner.lazy() {
            Some((lazy, values, velocities)) => lazy.current(values, velocities),
            None => inner.state[..self.len()].to_vec(),
        };
        Ok((self.name(), Tensor::from_vec(values, &self.shape[..], &Device::Cpu)?))
    }

    /// Where a run stands, with nothing rounded: values `NAME.weight` and state `NAME.state` \[states, V, d\] as they
    /// lie, and for lazy updates `NAME.last` \[V\] and `NAME.totals` \[3\].
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn checkpoint(&self) -> Result<Vec<(String, Tensor)>> {
        let [rows, columns] = self.shape;
        let inner = self.inner();
        let (values, state) = inner.state.split_at(self.len());
        let states = state.len() / self.len().max(1);
        let named = |name: &str| format!("{}.{name}", self.name);
        let mut tensors = vec![
            (self.name(), Tensor::from_slice(values, (rows, columns), &Device::Cpu)?),
            (named("state"), Tensor::from_slice(state, (states, rows, columns), &Device::Cpu)?),
        ];
        if let Some(lazy) = &inner.lazy {
            let (last, totals) = lazy.position();
            tensors.push((named("last"), Tensor::from_slice(last, rows, &Device::Cpu)?));
            tensors.push((named("totals"), Tensor::new(&totals, &Device::Cpu)?));
        }
        Ok(tensors)
    }

    /// Takes the values from what [`tensor`](Self::tensor) gave. Rates must be scheduled again after.
    ///
    /// # Errors
    /// Values that are missing; another shape. Nothing is replaced then.
    pub fn load(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let values = self.find(tensors, &self.name(), &self.shape)?;
        let mut inner = self.inner();
        inner.flush();
        inner.lazy = None;
        inner.state[..self.len()].copy_from_slice(&values);
        Ok(())
    }

    /// Goes on from a [`checkpoint`](Self::checkpoint) after `done` steps; an optimiser has made room for the state,
    /// and rates are scheduled.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape; a position that does not fit. Nothing is replaced then.
    pub fn resume(&self, tensors: &HashMap<String, Tensor>, done: usize) -> Result<()> {
        let [rows, columns] = self.shape;
        let mut inner = self.inner();
        let states = inner.state.len() / self.len().max(1) - 1;
        let named = |name: &str| format!("{}.{name}", self.name);
        let values = self.find(tensors, &self.name(), &self.shape)?;
        let state = self.find(tensors, &named("state"), &[states, rows, columns])?;
        if let Some(lazy) = &mut inner.lazy {
            let get = |name: &str| tensors.get(&named(name)).ok_or_else(|| missing(&named(name)));
            let totals = get("totals")?.to_vec1::<f64>()?;
            let totals = <[f64; 3]>::try_from(totals).map_err(|_| missing(&named("totals")))?;
            lazy.set_position(done, get("last")?.to_vec1::<u32>()?, totals)?;
        }
        let (old_values, old_state) = inner.state.split_at_mut(rows * columns);
        old_values.copy_from_slice(&values);
        old_state.copy_from_slice(&state);
        Ok(())
    }

    fn find(&self, tensors: &HashMap<String, Tensor>, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = tensors.get(name).ok_or_else(|| missing(name))?;
        if tensor.dims() != shape {
            let found = tensor.dims();
            return Err(Error::argument(format!("'{name}' has shape {found:?} instead of {shape:?}")));
        }
        Ok(tensor.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?)
    }
}

fn missing(name: &str) -> Error {
    Error::argument(format!("there is no parameter '{name}'"))
}

fn no_gradient() -> Error {
    Error::argument("the embeddings have no gradient: no backward pass came before the step")
}
