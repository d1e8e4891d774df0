//! Encoders with a projection head, and the parameters behind them.

mod architecture;
mod input;
mod layer;
mod network;
mod options;
mod parameters;
mod precision;
mod table;
pub mod torch;
mod unit;

pub use architecture::Architecture;
pub use input::{Bags, Input};
pub use network::{Network, Output, Tape};
pub use options::{Head, Model, Options};
pub use parameters::{Builder, Parameter, Parameters, Role, Slot};
pub use precision::Precision;
pub use table::Table;
