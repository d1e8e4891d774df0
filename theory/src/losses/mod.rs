//! `LossComponents`: what was measured of one encoder at one number of draws, and the file `losses.csv`.
//!
//! One row per run, evaluated number of draws n = K+1 and temperature. `<name>_se` beside a mean is its standard error
//! over batches given the evaluated images, `<name>_image_se` its error over those images. A column that is absent
//! makes the bounds that need it not applicable, never zero; unknown columns are kept.

mod csv_file;
mod group;
mod official;
mod row;
mod schema;
mod value;

pub use csv_file::{measured_file, read, read_from, write, write_to};

/// The rows of a committed result, by the name of its folder.
#[cfg(test)]
pub(crate) fn committed(result: &str) -> Vec<LossComponents> {
    let results = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/results");
    read(&results.join(result).join("losses.csv")).expect("a committed result")
}
pub(crate) use group::differing_between_runs;
pub use group::{Group, Groups, group};
pub use official::{OfficialSettings, read_official, read_official_from};
pub use row::{Estimate, Origin, Positives};
pub use schema::{
    COLUMNS, Column, Domain, IMAGE_SE_SUFFIX, LossComponents, PAIRED_PREFIX, Quantity, Role, RunInfo,
    SE_SUFFIX,
};
pub use value::Value;
