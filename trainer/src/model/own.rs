//! Encoders written with `candle-nn`: registered under a name, trained by candle's autograd.
//!
//! An encoder is a function that asks a `VarBuilder` for its tensors and returns a module ([`Build`]). Its tensors lie
//! in the flat memory of [`Parameters`], so that optimisers, checkpoints and the momentum network treat them as any
//! others. The module is made anew for every pass: in training over variables, which are copies, so that candle records
//! what it computes; in evaluation over views, so that nothing is copied or recorded. For the gradient g of the
//! features y, backward is candle's of Σ y·g, whose gradients are copied into the flat memory.

use super::layer::Mode;
use super::parameters::{Builder, Parameters, Role, Slot};
use crate::data::InputKind;
use crate::error::{Error, Result};
use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, ModuleT, VarBuilder};
use measure::rng::normal;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

/// Makes an encoder: asks for its tensors and returns its forward pass.
///
/// The pass gets images as f32 \[N, channels, height, width\], or texts as u32 \[N, L\]: the numbers of their words in
/// order, L being the length of the longest of the batch, with the number V of no word behind the end of a text
/// ([`Bags::padded`](super::Bags::padded)). It returns features, f32 \[N, h\], and is told whether it trains.
pub type Build = fn(VarBuilder<'_>, InputKind) -> candle_core::Result<Box<dyn ModuleT>>;

/// An encoder written with `candle-nn`, and its name.
#[derive(Debug, Clone, Copy)]
pub struct OwnEncoder {
    name: &'static str,
    build: Build,
}

impl PartialEq for OwnEncoder {
    /// By name: there is one encoder of a name.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OwnEncoder {}

/// Those that [`OwnEncoder::register`] was told of.
static REGISTERED: RwLock<Vec<OwnEncoder>> = RwLock::new(Vec::new());

/// Names that cannot stand in settings, files and folders as they are.
fn is_odd(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    name.is_empty() || !name.chars().all(fits)
}

impl OwnEncoder {
    /// One that ships.
    pub(super) const fn shipped(name: &'static str, build: Build) -> Self {
        Self { name, build }
    }

    /// Name in settings and files.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Remembers an encoder for the rest of the process. The name must not be `taken`.
    pub(super) fn register(name: &str, build: Build, taken: bool) -> Result<Self> {
        if is_odd(name) {
            let shown = name.escape_debug();
            return Err(Error::argument(format!(
                "'{shown}' cannot name an encoder: lower-case letters, digits, '-', '_' and '.' can"
            )));
        }
        let mut known = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        if taken || known.iter().any(|one| one.name == name) {
            return Err(Error::argument(format!("there is an encoder '{name}' already")));
        }
        let own = Self { name: Box::leak(name.to_string().into_boxed_str()), build };
        known.push(own);
        Ok(own)
    }

    /// All that were registered.
    pub(super) fn registered() -> Vec<Self> {
        REGISTERED.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Draws the tensors and tries the encoder on two samples of zeros: it must give features, and candle a gradient of
    /// every tensor.
    ///
    /// # Errors
    /// What the encoder refuses, or does wrong, with its name.
    pub(super) fn unit(self, builder: &mut Builder<'_>, input: InputKind) -> Result<(Autograd, usize)> {
        let asked = Asked(Mutex::new((builder, Vec::new())));
        let vb = VarBuilder::from_backend(Box::new(&asked), DType::F32, Device::Cpu);
        // The first line: where RUST_BACKTRACE is set, candle shows its stack behind it.
        let refused = |e: candle_core::Error| self.refusal(e.to_string().lines().next().unwrap_or_default());
        let module = (self.build)(vb.pp("encoder"), input).map_err(refused)?;
        drop(vb);
        let (_, tensors) = asked.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let zeros = match input {
            InputKind::Images([height, width, channels]) => {
                Tensor::zeros((2, channels, height, width), DType::F32, &Device::Cpu)?
            }
            InputKind::Texts { .. } => Tensor::zeros((2, 3), DType::U32, &Device::Cpu)?,
        };
        let y = module.forward_t(&zeros, true).map_err(refused)?;
        let features = match *y.dims() {
            [2, features] if features > 0 && y.dtype() == DType::F32 => features,
            _ => {
                let (shape, of) = (y.dims(), y.dtype().as_str());
                return Err(self.refusal(&format!(
                    "of 2 samples it makes {of} numbers of shape {shape:?} instead of f32 [2, features]"
                )));
            }
        };
        let gradients = y.sum_all()?.backward().map_err(refused)?;
        for (name, slot, var) in &tensors {
            if slot.role() != Role::Buffer && gradients.get(var).is_none() {
                return Err(self.no_gradient(name));
            }
        }
        let slots = tensors.into_iter().map(|(name, slot, _)| (name, slot)).collect();
        Ok((Autograd { own: self, input, slots }, features))
    }

    fn refusal(self, why: &str) -> Error {
        Error::argument(format!("encoder = {}: {why}", self.name))
    }

    fn no_gradient(self, tensor: &str) -> Error {
        self.refusal(&format!(
            "'{tensor}' has no gradient: it is not used, or what follows it has none in candle, such as LayerNorm and \
             softmax_last_dim (docs/encoders.md)"
        ))
    }
}

/// An encoder of the user's own as the unit of a network.
#[derive(Debug, Clone)]
pub struct Autograd {
    own: OwnEncoder,
    input: InputKind,
    slots: Vec<(String, Slot)>,
}

/// What [`Autograd`] keeps: the variables of a pass, and its features with what candle recorded.
pub struct AutogradTape {
    vars: Vec<Var>,
    y: Tensor,
}

impl Autograd {
    /// Features \[N, h\] of images \[N, height, width, channels\], or of padded texts \[N, L\].
    pub fn forward(&self, parameters: &Parameters, x: &Tensor, mode: Mode) -> Result<(Tensor, AutogradTape)> {
        let trains = mode == Mode::Train;
        let (mut vars, mut tensors) = (Vec::new(), HashMap::with_capacity(self.slots.len()));
        for (name, slot) in &self.slots {
            let is_buffer = slot.role() == Role::Buffer;
            let view = if is_buffer { parameters.buffer(slot)? } else { parameters.value(slot)? };
            let tensor = if trains {
                let var = Var::from_tensor(&view)?;
                vars.push(var.clone());
                var.into_inner()
            } else {
                view
            };
            tensors.insert(name.clone(), tensor);
        }
        let vb = VarBuilder::from_backend(Box::new(Given(tensors)), DType::F32, x.device().clone());
        let module = (self.own.build)(vb.pp("encoder"), self.input)?;
        let x = match self.input {
            InputKind::Images(_) => x.permute((0, 3, 1, 2))?.contiguous()?,
            InputKind::Texts { .. } => x.clone(),
        };
        let y = module.forward_t(&x, trains)?;
        // Batch normalisation has moved its running statistics.
        for ((_, slot), var) in self.slots.iter().zip(&vars) {
            if slot.role() == Role::Buffer {
                parameters.buffer(slot)?.slice_set(var, 0, 0)?;
            }
        }
        // The head has a backward pass of its own.
        Ok((y.detach().contiguous()?, AutogradTape { vars, y }))
    }

    /// Writes the gradients of all tensors for the gradient `dy` of the features.
    pub fn backward(&self, parameters: &Parameters, tape: &AutogradTape, dy: &Tensor) -> Result<()> {
        let gradients = (&tape.y * dy)?.sum_all()?.backward()?;
        for ((name, slot), var) in self.slots.iter().zip(&tape.vars) {
            if slot.role() != Role::Buffer {
                let gradient = gradients.get(var).ok_or_else(|| self.own.no_gradient(name))?;
                parameters.gradient(slot)?.slice_set(&gradient.contiguous()?, 0, 0)?;
            }
        }
        Ok(())
    }

    /// Which encoder.
    pub fn own(&self) -> OwnEncoder {
        self.own
    }
}

/// The tensors that an encoder asks for when it is made first: drawn, and remembered.
struct Asked<'a, 'b>(Mutex<(&'a mut Builder<'b>, Drawn)>);

/// Names, places and values.
type Drawn = Vec<(String, Slot, Var)>;

impl SimpleBackend for &Asked<'_, '_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        require_f32(name, dtype)?;
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (builder, tensors) = &mut *asked;
        if let Some((_, _, var)) = tensors.iter().find(|(known, ..)| known == name) {
            return of_shape(name, var, &shape);
        }
        let values = draw(init, &shape, builder.rng());
        let var = Var::from_slice(&values, &shape, &Device::Cpu)?;
        let slot = builder.add(name.to_string(), values, shape.dims(), role(name, &shape));
        tensors.push((name.to_string(), slot, var.clone()));
        Ok(var.into_inner())
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("'{name}' is asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}

/// The tensors of a pass, under their names.
struct Given(HashMap<String, Tensor>);

impl SimpleBackend for Given {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        require_f32(name, dtype)?;
        match self.0.get(name) {
            Some(tensor) => of_shape(name, tensor, &shape),
            None => candle_core::bail!("'{name}' was not asked for when the encoder was made first"),
        }
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("'{name}' is asked for without a shape")
    }

    /// As when the encoder was made first, so that it is made the same again.
    fn contains_tensor(&self, _: &str) -> bool {
        false
    }
}

fn require_f32(name: &str, dtype: DType) -> candle_core::Result<()> {
    if dtype == DType::F32 {
        return Ok(());
    }
    candle_core::bail!("'{name}' is asked for as {}; parameters are f32", dtype.as_str())
}

fn of_shape(name: &str, tensor: &Tensor, shape: &Shape) -> candle_core::Result<Tensor> {
    if tensor.shape() == shape {
        return Ok(tensor.clone());
    }
    candle_core::bail!("'{name}' is asked for with shapes {:?} and {shape:?}", tensor.shape())
}

/// A tensor of one dimension, a bias or the scale of a normalisation, does not decay; `running_mean` and `running_var`
/// are the statistics of batch normalisation.
fn role(name: &str, shape: &Shape) -> Role {
    match name.rsplit('.').next() {
        Some("running_mean" | "running_var") => Role::Buffer,
        _ if shape.rank() < 2 => Role::Exempt,
        _ => Role::Weight,
    }
}

/// Initial values by candle's laws, from our stream: candle's own has no seed on the CPU.
fn draw(init: Init, shape: &Shape, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let count = shape.elem_count();
    match init {
        Init::Const(value) => vec![value as f32; count],
        Init::Randn { mean, stdev } => (0..count).map(|_| mean as f32 + stdev as f32 * normal(rng)).collect(),
        Init::Uniform { lo, up } => {
            (0..count).map(|_| lo as f32 + (up - lo) as f32 * rng.random::<f32>()).collect()
        }
        Init::Kaiming { dist, fan, non_linearity } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            let bound = 3f64.sqrt() * stdev;
            let init = match dist {
                NormalOrUniform::Normal => Init::Randn { mean: 0.0, stdev },
                NormalOrUniform::Uniform => Init::Uniform { lo: -bound, up: bound },
            };
            draw(init, shape, rng)
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
