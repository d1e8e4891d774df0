//! Named parameters in one flat tensor: initialised from our own stream, saved and loaded as safetensors.
//!
//! Values, gradients and the optimiser's state lie in the order of construction, so that one pass over flat memory
//! updates all of them; a layer sees its parameter as a view.

use super::sealed::{self, Notes, Opened, Part};
use super::{Precision, Table};
use crate::error::{Error, Result};
use crate::ops::cast;
use crate::ops::optimiser::Halves;
use candle_core::{DType, Device, Tensor};
use measure::rng::normal;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::Path;

/// How an optimiser treats a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A weight: decays.
    Weight,
    /// A bias or a batch-norm parameter: does not decay.
    Exempt,
    /// A running statistic: not trained.
    Buffer,
}

/// A named part of the flat tensor of values or of buffers.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name in the checkpoint, such as `encoder.0.weight`.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Where it begins among the trained values, or among the buffers.
    pub start: usize,
    /// How an optimiser treats it.
    pub role: Role,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its gradient is in bf16 where activations are.
    pub(crate) fn has_half_gradient(&self) -> bool {
        is_filter(self.role, &self.shape)
    }
}

/// Whether a parameter is the filter of a convolution, \[out, height, width, in\]: cuDNN writes its gradient in the type
/// of the activations.
fn is_filter(role: Role, shape: &[usize]) -> bool {
    role == Role::Weight && shape.len() == 4
}

/// Where a layer finds one of its parameters.
#[derive(Debug, Clone)]
pub struct Slot {
    start: usize,
    shape: Vec<usize>,
    role: Role,
}

impl Slot {
    /// Dimensions of the parameter.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How an optimiser treats it.
    pub fn role(&self) -> Role {
        self.role
    }

    fn of(&self, flat: &Tensor) -> Result<Tensor> {
        Ok(flat.narrow(0, self.start, self.shape.iter().product())?.reshape(&self.shape[..])?)
    }
}

/// All parameters of a network, in the order of construction.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
    trained: usize,
    /// \[values; optimiser state…\], a multiple of `trained` numbers.
    state: Tensor,
    gradients: Tensor,
    buffers: Tensor,
    /// The values, and the gradients of filters, in bf16, where activations are bf16.
    half: Option<Halves>,
    /// Embeddings, which have a place of their own: most of their rows have no gradient in a step.
    table: Option<Table>,
}

impl Parameters {
    /// The embeddings of an encoder of texts.
    pub fn table(&self) -> Option<&Table> {
        self.table.as_ref()
    }

    /// Parameters that an optimiser moves.
    pub fn trained(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|p| p.role != Role::Buffer)
    }

    /// Parameters and running statistics.
    pub(super) fn all(&self) -> &[Parameter] {
        &self.list
    }

    /// Where in [`all`](Self::all) what lies in a slot begins; a slot of batch normalisation holds two of them.
    pub(super) fn position(&self, slot: &Slot) -> Option<usize> {
        let place = |start: usize, role: Role| (start, role == Role::Buffer);
        self.list.iter().position(|known| place(known.start, known.role) == place(slot.start, slot.role))
    }

    /// Whether there is batch normalisation, which keeps running statistics.
    pub fn has_running_statistics(&self) -> bool {
        self.list.iter().any(|parameter| parameter.role == Role::Buffer)
    }

    /// P: how many numbers are trained.
    pub fn num_trained(&self) -> usize {
        self.trained
    }

    /// Where the parameters live.
    pub fn device(&self) -> &Device {
        self.state.device()
    }

    /// The values behind a slot, a view; weights in the type of the activations, biases and batch-norm parameters in
    /// f32.
    ///
    /// # Errors
    /// The slot lies outside: it belongs to other parameters.
    pub fn value(&self, slot: &Slot) -> Result<Tensor> {
        match &self.half {
            Some(half) if slot.role == Role::Weight => slot.of(&half.values),
            _ => slot.of(&self.state),
        }
    }

    /// Keeps a copy of the values in bf16 from now on, or gives it up.
    pub(super) fn set_precision(&mut self, precision: Precision) -> Result<()> {
        self.half = match precision {
            Precision::F32 => None,
            Precision::Bf16 => {
                let zeros = || Tensor::zeros(self.trained, DType::BF16, self.device());
                Some(Halves { values: zeros()?, gradient: zeros()? })
            }
        };
        self.refresh()
    }

    /// Writes the copy in bf16 anew, where there is one. An optimiser's step does so itself.
    pub(super) fn refresh(&self) -> Result<()> {
        let Some(half) = &self.half else { return Ok(()) };
        Ok(cast::refresh(&half.values, &self.state.narrow(0, 0, self.trained)?)?)
    }

    /// What stands beside values and gradients in bf16, where activations are bf16.
    pub(crate) fn half(&self) -> Option<&Halves> {
        self.half.as_ref()
    }

    /// The gradient behind a slot, a view to be overwritten: that of a filter in the type of the activations, others in
    /// f32.
    ///
    /// # Errors
    /// The slot lies outside: it belongs to other parameters.
    pub fn gradient(&self, slot: &Slot) -> Result<Tensor> {
        match &self.half {
            Some(half) if is_filter(slot.role, &slot.shape) => slot.of(&half.gradient),
            _ => slot.of(&self.gradients),
        }
    }

    /// The running statistics behind a slot, a view.
    ///
    /// # Errors
    /// The slot lies outside: it belongs to other parameters.
    pub fn buffer(&self, slot: &Slot) -> Result<Tensor> {
        slot.of(&self.buffers)
    }

    /// All running statistics.
    pub fn buffers(&self) -> &Tensor {
        &self.buffers
    }

    /// All gradients in f32 \[P\]: the tensor that layers write, or a copy where activations are bf16.
    ///
    /// # Errors
    /// The device has no room.
    pub fn gradients(&self) -> Result<Tensor> {
        let Some(half) = &self.half else { return Ok(self.gradients.clone()) };
        let all = self.gradients.copy()?;
        for filter in self.trained().filter(|parameter| parameter.has_half_gradient()) {
            let gradient = half.gradient.narrow(0, filter.start, filter.len())?;
            all.slice_set(&cast::cast(&gradient, DType::F32)?, 0, filter.start)?;
        }
        Ok(all)
    }

    /// The gradients that are held in f32 \[P\]: on the CPU all of them.
    pub(crate) fn single_gradients(&self) -> &Tensor {
        &self.gradients
    }

    /// All values, then the optimiser's state.
    pub fn flat(&self) -> &Tensor {
        &self.state
    }

    /// All trained values \[P\], but for embeddings: a view.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn trained_values(&self) -> Result<Tensor> {
        Ok(self.state.narrow(0, 0, self.trained)?)
    }

    /// Makes room for this many numbers of optimiser state per parameter, all zero, behind the values.
    ///
    /// # Errors
    /// The device has no room.
    pub fn reserve(&mut self, states: usize) -> Result<()> {
        let values = self.state.narrow(0, 0, self.trained)?;
        let zeros = Tensor::zeros(states * self.trained, DType::F32, self.device())?;
        self.state = Tensor::cat(&[&values, &zeros], 0)?;
        if let Some(table) = &self.table {
            table.reserve(states);
        }
        Ok(())
    }

    fn tensor(&self, parameter: &Parameter) -> Result<Tensor> {
        let flat = if parameter.role == Role::Buffer { &self.buffers } else { &self.state };
        Slot { start: parameter.start, shape: parameter.shape.clone(), role: parameter.role }.of(flat)
    }

    /// All values and running statistics under their names, but for embeddings.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        self.list.iter().map(|parameter| Ok((parameter.name.clone(), self.tensor(parameter)?))).collect()
    }

    /// The optimiser's state, behind the values: a view.
    ///
    /// # Errors
    /// The tensor library fails.
    pub fn optimiser_state(&self) -> Result<Tensor> {
        Ok(self.state.narrow(0, self.trained, self.state.elem_count() - self.trained)?)
    }

    /// Replaces the optimiser's state.
    ///
    /// # Errors
    /// A state of another length.
    fn set_optimiser_state(&self, state: &Tensor) -> Result<()> {
        let place = self.optimiser_state()?;
        if place.elem_count() == 0 {
            return Ok(());
        }
        Ok(place.slice_set(&state.contiguous()?, 0, 0)?)
    }

    /// Writes all values, running statistics included, atomically, as ordinary safetensors with checksums in the
    /// metadata.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes(&Notes::new()).map_err(|e| match e {
            Error::Argument(message) => Error::data(path, message),
            other => other,
        })?;
        Ok(theory::files::write_atomically(path, &bytes)?)
    }

    /// What [`save`](Self::save) writes, with these notes.
    pub(crate) fn to_bytes(&self, notes: &Notes) -> Result<Vec<u8>> {
        let mut tensors = self.tensors()?;
        tensors.extend(self.table.iter().map(Table::tensor).collect::<Result<Vec<_>>>()?);
        let parts = tensors.into_iter().map(|(name, t)| Part::new(name, &t)).collect::<Result<Vec<_>>>()?;
        sealed::seal(&parts, notes).map_err(|e| Error::argument(format!("cannot be written: {e}")))
    }

    /// Replaces all values by those of a file that [`save`](Self::save) wrote; checksums are compared where there are
    /// any.
    ///
    /// # Errors
    /// Unreadable or damaged file; a parameter that is missing there, or has another shape or type of numbers. Nothing
    /// is replaced then.
    pub fn load(&self, path: &Path) -> Result<()> {
        let bytes = measure::input::read(path)?;
        let file = Opened::new(bytes).map_err(|e| Error::data(path, format!("not a checkpoint: {e}")))?;
        self.load_from(path, &file)
    }

    /// [`load`](Self::load) from what was read of `path`.
    pub(crate) fn load_from(&self, path: &Path, file: &Opened) -> Result<()> {
        let tensors = file.tensors(self.device()).map_err(|e| Error::data(path, e))?;
        let values = self.singles(path, &tensors)?;
        if let Some(table) = &self.table {
            table.load(&tensors).map_err(|e| Error::data(path, e.to_string()))?;
        }
        self.replace(&values)
    }

    /// Goes on after `done` steps from the tensors of a checkpoint, read from `path`: [`tensors`](Self::tensors), those
    /// of the table, and the optimiser's state.
    ///
    /// # Errors
    /// A tensor that is missing, or has another shape.
    pub(crate) fn resume(
        &self,
        path: &Path,
        tensors: &HashMap<String, Tensor>,
        state: &Tensor,
        done: usize,
    ) -> Result<()> {
        let values = self.singles(path, tensors)?;
        if state.dtype() != DType::F32 || state.dims() != self.optimiser_state()?.dims() {
            let message = format!("the optimiser's state has shape {:?}", state.dims());
            return Err(Error::data(path, message));
        }
        if let Some(table) = &self.table {
            table.resume(tensors, done).map_err(|e| Error::data(path, e.to_string()))?;
        }
        self.replace(&values)?;
        self.set_optimiser_state(state)
    }

    /// Replaces values and running statistics, but for embeddings, by tensors that come from `path`.
    ///
    /// # Errors
    /// A tensor that is missing, or has another shape. Nothing is replaced then.
    pub(crate) fn set(&self, path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
        self.replace(&self.named(path, tensors)?)
    }

    /// The values of [`all`](Self::all) among tensors that come from `path`.
    fn named(&self, path: &Path, tensors: &HashMap<String, Tensor>) -> Result<Vec<Tensor>> {
        let mut values = Vec::with_capacity(self.list.len());
        for parameter in &self.list {
            let name = &parameter.name;
            let value = tensors
                .get(name)
                .ok_or_else(|| Error::data(path, format!("there is no parameter '{name}'")))?;
            if value.dims() != parameter.shape {
                let (found, expected) = (value.dims(), &parameter.shape);
                return Err(Error::data(
                    path,
                    format!("'{name}' has shape {found:?} instead of {expected:?}"),
                ));
            }
            values.push(value.clone());
        }
        Ok(values)
    }

    /// [`named`](Self::named) in f32, as they were saved: other numbers were put there by somebody else.
    fn singles(&self, path: &Path, tensors: &HashMap<String, Tensor>) -> Result<Vec<Tensor>> {
        let values = self.named(path, tensors)?;
        let names = self.list.iter().map(|parameter| parameter.name.clone());
        for name in names.chain(self.table.as_ref().map(Table::name)) {
            if let Some(other) = tensors.get(&name).map(Tensor::dtype).filter(|found| *found != DType::F32) {
                let found = other.as_str();
                return Err(Error::data(
                    path,
                    format!("'{name}' holds numbers of type {found} instead of f32"),
                ));
            }
        }
        Ok(values)
    }

    /// Replaces the values of [`all`](Self::all) by these, one for one, of the same shapes.
    pub(super) fn replace(&self, values: &[Tensor]) -> Result<()> {
        let convert = |value: &Tensor| value.to_dtype(DType::F32)?.to_device(self.device())?.contiguous();
        let values = values.iter().map(convert).collect::<candle_core::Result<Vec<_>>>()?;
        for (parameter, value) in self.list.iter().zip(values) {
            self.tensor(parameter)?.slice_set(&value, 0, 0)?;
        }
        self.refresh()
    }
}

/// Collects parameters, drawing initial weights from one stream in the order of construction.
pub struct Builder<'a> {
    list: Vec<Parameter>,
    values: Vec<f32>,
    buffers: Vec<f32>,
    table: Option<Table>,
    rng: &'a mut ChaCha8Rng,
}

impl<'a> Builder<'a> {
    /// A builder without parameters.
    pub fn new(rng: &'a mut ChaCha8Rng) -> Self {
        Self { list: Vec::new(), values: Vec::new(), buffers: Vec::new(), table: None, rng }
    }

    /// The stream of initial weights.
    pub(super) fn rng(&mut self) -> &mut ChaCha8Rng {
        self.rng
    }

    /// A tensor with these values, row by row.
    pub(super) fn add(
        &mut self,
        name: String,
        values: impl IntoIterator<Item = f32>,
        shape: &[usize],
        role: Role,
    ) -> Slot {
        let flat = if role == Role::Buffer { &mut self.buffers } else { &mut self.values };
        let start = flat.len();
        flat.extend(values);
        debug_assert_eq!(flat.len() - start, shape.iter().product::<usize>());
        self.list.push(Parameter { name, shape: shape.to_vec(), start, role });
        Slot { start, shape: shape.to_vec(), role }
    }

    /// Weights of this shape, whose first dimension is the output, from N(0, 2/fan_in) (He et al. 2015).
    pub fn weight(&mut self, name: &str, shape: &[usize]) -> Slot {
        let fan_in: usize = shape[1..].iter().product();
        let deviation = (2.0 / fan_in as f32).sqrt();
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| deviation * normal(self.rng)).collect();
        self.add(format!("{name}.weight"), values, shape, Role::Weight)
    }

    /// Embeddings \[V, d\] from N(0, 1), as `torch.nn.EmbeddingBag`; a network has one such table at most.
    pub fn table(&mut self, name: &str, shape: [usize; 2]) {
        let values = (0..shape[0] * shape[1]).map(|_| normal(self.rng)).collect();
        self.table = Some(Table::new(name, shape, values));
    }

    /// A bias, zero.
    pub fn bias(&mut self, name: &str, outputs: usize) -> Slot {
        self.add(format!("{name}.bias"), vec![0.0; outputs], &[outputs], Role::Exempt)
    }

    /// Batch normalisation of this many channels: \[2, C\] scales 1 and shifts 0, and \[2, C\] running means 0 and
    /// variances 1.
    pub fn batch_norm(&mut self, name: &str, channels: usize) -> (Slot, Slot) {
        let mut pair = |parts: [(&str, f32); 2], role| {
            let slots = parts.map(|(part, value)| {
                self.add(format!("{name}.{part}"), vec![value; channels], &[channels], role)
            });
            Slot { start: slots[0].start, shape: vec![2, channels], role }
        };
        let affine = pair([("weight", 1.0), ("bias", 0.0)], Role::Exempt);
        (affine, pair([("running_mean", 0.0), ("running_var", 1.0)], Role::Buffer))
    }

    /// The parameters, on this device.
    ///
    /// # Errors
    /// The device has no room.
    pub fn finish(self, device: &Device) -> Result<Parameters> {
        let trained = self.values.len();
        // A network without running statistics has one number that nobody reads: a GPU allocates no empty memory.
        let buffers = match self.buffers.is_empty() {
            true => vec![0.0],
            false => self.buffers,
        };
        Ok(Parameters {
            list: self.list,
            trained,
            state: Tensor::from_vec(self.values, trained, device)?,
            gradients: Tensor::zeros(trained, DType::F32, device)?,
            buffers: Tensor::from_slice(&buffers, buffers.len(), device)?,
            half: None,
            table: self.table,
        })
    }
}
