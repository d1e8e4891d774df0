//! An encoder with its projection head, trained by explicit backward passes.

use super::architecture::WIDTH;
use super::layer::Mode;
use super::unit::{Unit, UnitTape};
use super::{Architecture, Bags, Builder, Input, Model, Options, Parameters, Precision};
use crate::data::InputKind;
use crate::error::{Error, Result};
use crate::ops::cast::cast;
use candle_core::{DType, Device, Tensor};
use measure::rng::{Purpose, stream};

/// What a forward pass gives.
pub struct Output {
    /// Encoder features \[N, encoder_features\]; f32, but for a pass in training, which leaves them in the precision of
    /// the network.
    pub encoder: Tensor,
    /// Head features \[N, head_features\], not normalised, f32.
    pub head: Tensor,
}

/// What the backward pass needs of a forward pass, unit by unit.
pub struct Tape {
    units: Vec<UnitTape>,
    /// What was read, where it was texts.
    bags: Option<Bags>,
}

/// An encoder and its projection head.
pub struct Network {
    model: Model,
    pub(super) input: InputKind,
    pub(super) encoder: Vec<Unit>,
    pub(super) head: Vec<Unit>,
    parameters: Parameters,
    precision: Precision,
}

impl Network {
    /// A freshly initialised network for images \[height, width, channels\] or for texts: of an [`Architecture`] with
    /// its default options, or of a [`Model`].
    ///
    /// # Errors
    /// Inputs or options that the architecture does not take; a device without room, and for texts any but the CPU.
    ///
    /// # Examples
    /// ```
    /// use candle_core::Device;
    /// use trainer::model::{Architecture, Head, Model, Network, Options};
    /// let image = [8, 8, 1];
    /// let plain = Network::new(Architecture::Mlp, image, 7, &Device::Cpu)?;
    /// assert_eq!(plain.head_name(), "256-256-64");
    /// let options = Options { head: Head::Paper, ..Options::default() };
    /// let paper = Network::new(Model { architecture: Architecture::Mlp, options }, image, 7, &Device::Cpu)?;
    /// assert_eq!(paper.head_name(), "256-256-128");
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn new(
        model: impl Into<Model>,
        input: impl Into<InputKind>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        Self::of_width(model.into(), WIDTH, input.into(), seed, device)
    }

    /// [`new`](Self::new), with this many channels behind the stem of a residual network.
    pub(super) fn of_width(
        model: Model,
        width: usize,
        input: InputKind,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        if matches!(input, InputKind::Texts { .. }) && !device.is_cpu() {
            return Err(Error::argument("encoders of texts compute on the CPU only: leave the device cpu"));
        }
        let mut rng = stream(seed, Purpose::Initialisation, 0);
        let mut builder = Builder::new(&mut rng);
        let (encoder, head) = model.build(&mut builder, input, width)?;
        let (parameters, precision) = (builder.finish(device)?, Precision::F32);
        Ok(Self { model, input, encoder, head, parameters, precision })
    }

    /// The same network, computing in this precision.
    ///
    /// # Errors
    /// bf16 on the CPU; a device without room.
    pub fn in_precision(mut self, precision: Precision) -> Result<Self> {
        if precision == Precision::Bf16 && self.parameters.device().is_cpu() {
            return Err(Error::argument("bf16 needs a GPU; on the CPU networks compute in f32"));
        }
        if precision == Precision::Bf16 && self.uses_autograd() {
            let name = self.model.architecture.name();
            return Err(Error::argument(format!(
                "encoder = {name} is written with candle-nn and computes in f32 only"
            )));
        }
        self.parameters.set_precision(precision)?;
        self.precision = precision;
        Ok(self)
    }

    /// In which numbers it computes.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Which architecture.
    pub fn architecture(&self) -> Architecture {
        self.model.architecture
    }

    /// With which head and stem.
    pub fn options(&self) -> Options {
        self.model.options
    }

    /// Features before, within and after the head, as in column `head` of `losses.csv`: `512-512-128`; `none` without
    /// one.
    pub fn head_name(&self) -> String {
        let mut name = String::new();
        for [inputs, outputs] in self.head_sizes() {
            if name.is_empty() {
                name = inputs.to_string();
            }
            name.push_str(&format!("-{outputs}"));
        }
        if name.is_empty() { "none".into() } else { name }
    }

    /// d: numbers of a head feature.
    pub fn head_features(&self) -> usize {
        // Without a head they are those of the encoder.
        self.head_sizes().last().map_or_else(|| self.model.sizes(self.input, WIDTH)[0], |sizes| sizes[1])
    }

    /// \[in, out\] of the linear layers of the head.
    fn head_sizes(&self) -> impl Iterator<Item = [usize; 2]> {
        self.head.iter().filter_map(|unit| match unit {
            Unit::Dense(dense) => Some(dense.sizes()),
            _ => None,
        })
    }

    /// Whether its encoder is written with `candle-nn`: candle's operations allocate and copy as they go, so that its
    /// steps are not recorded on a GPU.
    pub(crate) fn uses_autograd(&self) -> bool {
        matches!(self.model.architecture, Architecture::Own(_))
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameters, for an optimiser that keeps its state beside them.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    /// Multiplications of one training step per sample: forward, and both gradients but that of the images themselves.
    /// Counted as direct products, whatever the algorithm; of texts without the embeddings.
    ///
    /// # Errors
    /// Images too small for a kernel.
    pub fn multiplications_per_image(&self) -> Result<f64> {
        let (mut shape, mut total, mut stem) = match self.input {
            InputKind::Images(image) => (image, 0.0, None),
            // Texts: the head's first layer hands a gradient on to the embeddings.
            InputKind::Texts { .. } => {
                ([1, 1, self.head_sizes().next().unwrap_or_default()[0]], 0.0, Some(0.0))
            }
        };
        for unit in self.encoder.iter().chain(&self.head) {
            let (count, next) = unit.multiplications(shape)?;
            if count > 0.0 {
                stem.get_or_insert(count);
            }
            total += 3.0 * count;
            shape = next;
        }
        Ok(total - stem.unwrap_or(0.0))
    }

    /// Features of images, f32 or in the precision of the network, or of texts, with the running statistics.
    ///
    /// # Errors
    /// A batch of another shape.
    pub fn forward(&self, input: &Input) -> Result<Output> {
        self.run(input, Mode::Evaluate, &mut |_| {})
    }

    /// Features with the batch's own statistics, which also move the running ones, and the tape of the pass.
    ///
    /// # Errors
    /// A batch of another shape, or of one sample.
    pub fn forward_train(&self, input: &Input) -> Result<(Output, Tape)> {
        let mut units = Vec::with_capacity(self.encoder.len() + self.head.len());
        let output = self.run(input, Mode::Train, &mut |unit| units.push(unit))?;
        let bags = match input {
            Input::Bags(bags) => Some(bags.clone()),
            Input::Images(_) => None,
        };
        Ok((output, Tape { units, bags }))
    }

    /// Writes the gradients of all parameters for the gradient `d_head` of the head features, which is used up.
    ///
    /// # Errors
    /// A gradient of another shape.
    pub fn backward(&self, tape: Tape, d_head: Tensor) -> Result<()> {
        let mut gradient = cast(&d_head, self.precision.dtype())?;
        let stem = self.encoder.iter().position(|unit| !matches!(unit, Unit::Flatten)).unwrap_or(0);
        for (index, unit_tape) in tape.units.into_iter().enumerate().rev() {
            let unit = match index.checked_sub(self.encoder.len()) {
                Some(index) => &self.head[index],
                None => &self.encoder[index],
            };
            // Nobody needs the gradient of the images.
            let needed = index > stem || tape.bags.is_some();
            match unit.backward(&self.parameters, unit_tape, gradient, needed)? {
                Some(next) => gradient = next,
                None => return Ok(()),
            }
        }
        match (self.parameters.table(), &tape.bags) {
            (Some(table), Some(bags)) => table.backward(bags, &gradient),
            _ => Ok(()),
        }
    }

    /// A batch as the first unit takes it: the images, or the means of the words' embeddings.
    fn read(&self, input: &Input, mode: Mode) -> Result<Tensor> {
        let image = match (self.input, self.parameters.table(), input) {
            (InputKind::Images(image), _, _) => image,
            (InputKind::Texts { .. }, Some(table), Input::Bags(bags)) => return table.forward(bags, mode),
            (InputKind::Texts { vocabulary }, None, Input::Bags(bags)) => {
                return bags.padded(vocabulary, self.parameters.device());
            }
            _ => return Err(Error::argument("an encoder of texts cannot read images")),
        };
        let (images, [height, width, channels]) = (input.images()?, image);
        let count = images.dim(0)?;
        let found = images.dims();
        if found[1..] != [height * width * channels] && found[1..] != image {
            return Err(Error::argument(format!(
                "images of shape {found:?} are not {height}×{width}×{channels}"
            )));
        }
        Ok(cast(images, self.precision.dtype())?.reshape((count, height, width, channels))?)
    }

    fn run(&self, input: &Input, mode: Mode, keep: &mut dyn FnMut(UnitTape)) -> Result<Output> {
        let mut x = self.read(input, mode)?;
        for unit in &self.encoder {
            let (y, tape) = unit.forward(&self.parameters, &x, mode)?;
            keep(tape);
            x = y;
        }
        let encoder = if mode == Mode::Evaluate { cast(&x, DType::F32)? } else { x.clone() };
        for unit in &self.head {
            let (y, tape) = unit.forward(&self.parameters, &x, mode)?;
            keep(tape);
            x = y;
        }
        Ok(Output { encoder, head: cast(&x, DType::F32)? })
    }
}

#[cfg(test)]
mod tests;
