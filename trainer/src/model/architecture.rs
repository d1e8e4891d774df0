//! The encoders that ship, each with its projection head: the layers of the table in `mod.rs`.

use super::layer::{After, Convolution, Dense};
use super::own::{Build, OwnEncoder};
use super::residual::{Depth, Stem};
use super::transformer::{text, vit};
use super::unit::Unit;
use super::{Builder, Head, HeadLayer, Model};
use crate::data::InputKind;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which encoder, and its head unless [`Options`](super::Options) name another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Architecture {
    /// Two linear layers of 256, each with batch normalisation and ReLU. Head: 256 with batch normalisation and ReLU,
    /// then 64.
    Mlp,
    /// 3×3 convolutions of 16, 32, 64 with strides 1, 2, 2, each with batch normalisation and ReLU, flattened; the head
    /// of [`Mlp`](Self::Mlp).
    Conv,
    /// Linear layers 1024, 512, 512 with bias and ReLU and no batch normalisation. Head: linear, 128.
    PlainMlp,
    /// 3×3 convolutions of 32, 64, 128, 256 with strides 1, 2, 2, 2, each with batch normalisation and ReLU, and the
    /// mean over the image. Head: 256 with bias and ReLU, then 128 without bias.
    Small,
    /// ResNet-18 (He et al. 2016), behind one of two [stems](super::Stem). Head: 512 with bias and ReLU, then 128
    /// without bias.
    Resnet18,
    /// ResNet-34, otherwise as [`Resnet18`](Self::Resnet18).
    Resnet34,
    /// ResNet-50: blocks of 1×1, 3×3 and 1×1 convolutions, the stride on the 3×3 one as torchvision has it ("v1.5").
    /// Head: 2048 with bias and ReLU, then 128 without bias.
    Resnet50,
    /// For texts: the mean of the words' embeddings of dimension 50, from N(0, 1). Head: 50 with batch normalisation
    /// and ReLU, then 50 without bias. `ContrastiveFastText` of the official code of Nozawa & Sato (2021); its linear
    /// layer before batch normalisation has a bias, which changes nothing, and its layers begin smaller, which neither
    /// batch normalisation, nor the unit length of the features, nor LARS lets through.
    EmbeddingBag,
    /// One written with `candle-nn`: `vit-tiny` and `transformer`, which ship, or one that was
    /// [registered](Self::register). Head: as many as the features with bias and ReLU, then 128 without bias.
    Own(OwnEncoder),
}

/// Those written with `candle-nn` that ship.
const SHIPPED: [OwnEncoder; 2] =
    [OwnEncoder::shipped("vit-tiny", vit::tiny), OwnEncoder::shipped("transformer", text::small)];

/// All others.
const FAST: [Architecture; 8] = [
    Architecture::Mlp,
    Architecture::Conv,
    Architecture::PlainMlp,
    Architecture::Small,
    Architecture::Resnet18,
    Architecture::Resnet34,
    Architecture::Resnet50,
    Architecture::EmbeddingBag,
];

/// Channels behind the stem of a residual network.
pub(super) const WIDTH: usize = 64;
/// Dimension of the embeddings.
const EMBEDDING: usize = 50;

/// The units of the encoder and of the head.
type Units = (Vec<Unit>, Vec<Unit>);

impl Architecture {
    /// All that have a name here: those that ship, then those that were registered.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = SHIPPED.into_iter().chain(OwnEncoder::registered()).map(Self::Own);
        FAST.into_iter().chain(own)
    }

    /// Gives an encoder written with `candle-nn` a name, by which settings, run folders and `losses.csv` know it from
    /// now on, in this process.
    ///
    /// # Errors
    /// A name that is taken, or has other characters than lower-case letters, digits, `-`, `_` and `.`.
    ///
    /// # Examples
    /// ```
    /// use candle_core::Device;
    /// use candle_nn::{Module, func_t, linear};
    /// use trainer::data::InputKind;
    /// use trainer::model::{Architecture, Network};
    /// let one_layer = Architecture::register("one-layer", |vb, input| {
    ///     let InputKind::Images([height, width, channels]) = input else {
    ///         candle_core::bail!("it reads images");
    ///     };
    ///     let layer = linear(height * width * channels, 32, vb.pp("layer"))?;
    ///     Ok(Box::new(func_t(move |x, _train| layer.forward(&x.flatten_from(1)?)?.relu())))
    /// })?;
    /// let network = Network::new(one_layer, [8, 8, 1], 7, &Device::Cpu)?;
    /// assert_eq!(network.head_name(), "32-32-128");
    /// assert_eq!(network.parameters().trained().next().unwrap().name, "encoder.layer.weight");
    /// # Ok::<(), trainer::Error>(())
    /// ```
    pub fn register(name: &str, build: Build) -> Result<Self> {
        let taken = FAST.into_iter().chain(SHIPPED.map(Self::Own)).any(|known| known.name() == name);
        OwnEncoder::register(name, build, taken).map(Self::Own)
    }

    /// Name in settings and in `losses.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Conv => "conv",
            Self::PlainMlp => "plain-mlp",
            Self::Small => "small",
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::EmbeddingBag => "embedding-bag",
            Self::Own(own) => own.name(),
        }
    }
}

impl TryFrom<String> for Architecture {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        Self::all().find(|known| known.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            let shown: String = name.escape_debug().take(80).collect();
            format!(
                "there is no encoder '{shown}' in this program, which has {} (one of your own is registered first)",
                names.join(", ")
            )
        })
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> Self {
        architecture.name().into()
    }
}

impl Model {
    /// Features before and after the head; a residual network has `stem` channels behind its stem.
    pub(super) fn sizes(self, input: InputKind, stem: usize) -> [usize; 2] {
        let [height, width, _] = match input {
            InputKind::Images(image) => image,
            InputKind::Texts { .. } => [1, 1, EMBEDDING],
        };
        let [features, outputs] = match self.architecture {
            Architecture::Mlp => [256, 64],
            Architecture::Conv => [64 * height.div_ceil(4) * width.div_ceil(4), 64],
            Architecture::PlainMlp => [512, 128],
            Architecture::Small => [256, 128],
            Architecture::Resnet18 | Architecture::Resnet34 | Architecture::Resnet50 => {
                [Depth::of(self.architecture).map_or(0, |depth| depth.features(stem)), 128]
            }
            Architecture::EmbeddingBag => [EMBEDDING, EMBEDDING],
            // How many features there are is seen when it is tried.
            Architecture::Own(_) => [0, 128],
        };
        match self.options.head {
            Head::Default => [features, outputs],
            Head::Paper if self.architecture == Architecture::EmbeddingBag => [features, EMBEDDING],
            Head::Paper => [features, 128],
            Head::Classifier(classes) => [features, classes],
            Head::Layers(layers) => [features, layers.outputs(features)],
        }
    }

    /// Adds the parameters to the builder and returns the units; a residual network has `width` channels behind its stem.
    ///
    /// # Errors
    /// Images without pixels, texts without words; images for an encoder of texts, and the other way round; options
    /// that the architecture has not.
    pub(super) fn build(self, builder: &mut Builder, input: InputKind, width: usize) -> Result<Units> {
        self.check()?;
        let sizes = self.sizes(input, width);
        if let Architecture::Own(own) = self.architecture {
            let (encoder, features) = own.unit(builder, input)?;
            return Ok((vec![Unit::Autograd(encoder)], self.head(builder, [features, sizes[1]])));
        }
        let [rows, columns, channels] = match (self.architecture, input) {
            (Architecture::EmbeddingBag, InputKind::Texts { vocabulary: 0 }) => {
                return Err(Error::argument("texts with a vocabulary of 0 words have nothing to embed"));
            }
            (Architecture::EmbeddingBag, InputKind::Texts { vocabulary }) => {
                builder.table("encoder.embedding", [vocabulary, EMBEDDING]);
                return Ok((Vec::new(), self.head(builder, sizes)));
            }
            (Architecture::EmbeddingBag, InputKind::Images(_)) => {
                return Err(Error::argument("encoder = embedding-bag reads texts, not images"));
            }
            (other, InputKind::Texts { .. }) => {
                let name = other.name();
                return Err(Error::argument(format!(
                    "encoder = {name} reads images, not texts; embedding-bag reads texts"
                )));
            }
            (_, InputKind::Images(image)) => image,
        };
        let pixels = rows * columns * channels;
        if pixels == 0 {
            return Err(Error::argument(format!("images of {rows}×{columns}×{channels} have no pixels")));
        }
        let mut encoder = Vec::new();
        match self.architecture {
            Architecture::Mlp => {
                encoder.push(Unit::Flatten);
                encoder.push(dense(builder, "encoder.0", [pixels, 256], After::NORM_RELU));
                encoder.push(dense(builder, "encoder.1", [256, 256], After::NORM_RELU));
            }
            Architecture::Conv => {
                convolutions(builder, &mut encoder, channels, &[(16, 1), (32, 2), (64, 2)]);
                encoder.push(Unit::Flatten);
            }
            Architecture::PlainMlp => {
                encoder.push(Unit::Flatten);
                for (index, sizes) in [[pixels, 1024], [1024, 512], [512, 512]].into_iter().enumerate() {
                    encoder.push(dense(builder, &format!("encoder.{index}"), sizes, After::BIAS_RELU));
                }
            }
            Architecture::Small => {
                convolutions(builder, &mut encoder, channels, &[(32, 1), (64, 2), (128, 2), (256, 2)]);
                encoder.push(Unit::Pool);
            }
            // Returned above.
            Architecture::EmbeddingBag | Architecture::Own(_) => {}
            Architecture::Resnet18 | Architecture::Resnet34 | Architecture::Resnet50 => {
                if let Some(depth) = Depth::of(self.architecture) {
                    depth.build(builder, &mut encoder, [channels, width], self.options);
                }
            }
        }
        Ok((encoder, self.head(builder, sizes)))
    }

    fn check(self) -> Result<()> {
        let Self { architecture, options } = self;
        let (stem, padding, name) = (options.stem, options.stem_padding, architecture.name());
        let fault = match (Depth::of(architecture), stem) {
            (None, Stem::Imagenet) => {
                format!(
                    "stem = {}: only a residual network has it, such as resnet18, not {name}",
                    stem.name()
                )
            }
            (None, _) if padding != 1 => format!(
                "stem_padding is {padding}; only a residual network, such as resnet18, can have another than 1, not \
                 {name}"
            ),
            (Some(_), Stem::Imagenet) if padding != 1 => {
                format!("stem_padding is {padding}; it is the small stem's, and stem = imagenet pads by 3")
            }
            (Some(_), Stem::Small) if !(1..=3).contains(&padding) => {
                format!("stem_padding is {padding}; {name} takes 1, 2 or 3")
            }
            _ => return Ok(()),
        };
        Err(Error::argument(fault))
    }

    fn head(self, builder: &mut Builder, [features, outputs]: [usize; 2]) -> Vec<Unit> {
        let (hidden, after) = match (self.options.head, self.architecture) {
            (Head::Classifier(_), _) => {
                return vec![dense(builder, "head.0", [features, outputs], After::BIAS)];
            }
            (Head::Layers(layers), _) => {
                let mut inputs = features;
                let unit = |(index, layer): (usize, &HeadLayer)| {
                    let sizes = [std::mem::replace(&mut inputs, layer.outputs), layer.outputs];
                    dense(builder, &format!("head.{index}"), sizes, layer.after)
                };
                return layers.iter().enumerate().map(unit).collect();
            }
            (Head::Paper, _) => (features, After::BIAS_NORM_RELU),
            (Head::Default, Architecture::Mlp | Architecture::Conv) => (256, After::NORM_RELU),
            (Head::Default, Architecture::EmbeddingBag) => (features, After::NORM_RELU),
            (Head::Default, Architecture::PlainMlp) => {
                return vec![dense(builder, "head.0", [features, outputs], After::BIAS)];
            }
            (Head::Default, _) => (features, After::BIAS_RELU),
        };
        vec![
            dense(builder, "head.0", [features, hidden], after),
            dense(builder, "head.1", [hidden, outputs], After::NOTHING),
        ]
    }
}

fn dense(builder: &mut Builder, name: &str, sizes: [usize; 2], after: After) -> Unit {
    Unit::Dense(Dense::new(builder, name, sizes, after))
}

/// 3×3 convolutions of these (channels, stride), each with batch normalisation and ReLU.
fn convolutions(builder: &mut Builder, units: &mut Vec<Unit>, mut inputs: usize, layers: &[(usize, usize)]) {
    for (index, &(channels, stride)) in layers.iter().enumerate() {
        let (name, norm) = (format!("encoder.{index}"), format!("encoder.{index}.norm"));
        let layer = Convolution::new(builder, (&name, &norm), [inputs, channels], 3, stride);
        units.push(Unit::Convolution(layer));
        inputs = channels;
    }
}
