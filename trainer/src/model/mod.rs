//! Encoders with a projection head, and the parameters behind them.
//!
//! With the default [`Options`], layers, names and initial weights are those of each architecture as published in
//! `data/results`.
//!
//! | architecture | encoder | its features h | head `default` | head `paper` |
//! |---|---|---|---|---|
//! | `mlp` | 2 × (linear 256, norm, ReLU) | 256 | linear 256, norm, ReLU, linear 64 | linear 256 + b, norm, ReLU, linear 128 |
//! | `conv` | 3 × (conv 3×3, norm, ReLU): 16, 32/2, 64/2 | 64·⌈H/4⌉·⌈W/4⌉ | linear 256, norm, ReLU, linear 64 | linear h + b, norm, ReLU, linear 128 |
//! | `plain-mlp` | linear + b, ReLU: 1024, 512, 512 | 512 | linear 128 + b | linear 512 + b, norm, ReLU, linear 128 |
//! | `small` | 4 × (conv 3×3, norm, ReLU): 32, 64/2, 128/2, 256/2; mean | 256 | linear 256 + b, ReLU, linear 128 | linear 256 + b, norm, ReLU, linear 128 |
//! | `resnet18` | stem to 64; 2, 2, 2, 2 blocks: 64, 128/2, 256/2, 512/2; mean | 512 | linear 512 + b, ReLU, linear 128 | linear 512 + b, norm, ReLU, linear 128 |
//! | `resnet34` | stem to 64; 3, 4, 6, 3 blocks of the same channels; mean | 512 | the same | the same |
//! | `resnet50` | stem to 64; 3, 4, 6, 3 bottlenecks: 256, 512/2, 1024/2, 2048/2; mean | 2048 | linear 2048 + b, ReLU, linear 128 | linear 2048 + b, norm, ReLU, linear 128 |
//! | `vit-tiny` | patches, class token, 12 blocks of 3 heads | 192 | linear h + b, ReLU, linear 128 | linear h + b, norm, ReLU, linear 128 |
//! | `transformer` | words in order, 2 blocks of 4 heads; mean | 128 | the same | the same |
//! | [registered](Architecture::register) | a function over `candle-nn` | its own | the same | the same |
//!
//! A stem is a conv 3×3, norm, ReLU (`stem = "small"`) or a conv 7×7/2, norm, ReLU, max pooling 3×3/2 (`imagenet`).
//!
//! The last three are trained by candle's autograd (`docs/encoders.md`), the others by backward passes of their own.
//!
//! `+ b`: with a bias; `/2`: with stride 2; norm: batch normalisation (ε = 1e-5, running statistics move by 0.1).
//!
//! Parameters in a checkpoint, in the order of construction: `encoder.INDEX.…` (ResNets: `encoder.0`, then
//! `encoder.layerS.B.{conv1,bn1,conv2,bn2,conv3,bn3,skip.0,skip.1}`, as far as block B = 0, 1, … of stage S = 1..4 has
//! them), `head.0.…`, `head.1.…`;
//! a normalisation adds `.norm` (blocks: `bnI`, `skip.1`) with `weight`, `bias`, `running_mean`, `running_var`.

mod architecture;
mod input;
mod layer;
mod momentum;
mod network;
pub mod onnx;
mod options;
mod own;
mod parameters;
mod precision;
mod residual;
pub(crate) mod sealed;
mod table;
pub(crate) mod tensors;
pub mod torch;
mod transformer;
mod unit;

pub use architecture::Architecture;
pub use input::{Bags, Input};
pub use layer::After;
pub use momentum::Momentum;
pub use network::{Network, Output, Tape};
pub use options::{Head, HeadLayer, HeadLayers, Model, Options};
pub use own::{Build, OwnEncoder};
pub use parameters::{Builder, Parameter, Parameters, Role, Slot};
pub use precision::Precision;
pub use residual::Stem;
pub use table::Table;
