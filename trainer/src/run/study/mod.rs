//! Studies: several sweeps, and one page that sets them side by side.

mod command;
mod studies;

pub use command::command;
pub use studies::{NamedSweep, Studies, studies};
