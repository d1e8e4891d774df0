//! Encoders with a projection head, and the parameters behind them.

mod network;
mod parameters;

pub use network::{Architecture, ENCODER_FEATURES, HEAD_FEATURES, Network, Output, normalise};
pub use parameters::{Builder, Parameter, Parameters, Role};
