//! Downloads of data sets: DATA/NAME/FILE is either the published file, byte for byte, or not there.
//!
//! A file grows as `FILE.partial`, with a note `FILE.partial.json` that says which version of which address it holds.
//! Its length and MD5 are compared with the published ones before it takes its name. What is cut off goes on where it
//! ended, in the same call or in a later one; a partial file whose complete content has the wrong MD5 is removed, since
//! nobody knows which of its bytes is wrong. A file that stands there already is kept if it is the published one and is
//! an error otherwise.
//!
//! Needs the feature `download`. What can be downloaded stands in [`registry`](crate::data::registry).

mod fetch;
mod meter;
mod options;
mod partial;
mod proxy;
mod store;
#[cfg(test)]
mod tests;

pub use options::Options;
pub use store::{Origin, Stored, download};
