//! Writes a folder of images damaged in every way that is known here, beside good ones of every kind.
//!
//! Run: `cargo run --release -p trainer --example hostile_images DIR [COUNT]`, 2,000 by default. Then
//! `trainer train --preset digits --set dataset=folder --set images.side=8 --set images.colour=grey --data DIR
//! --out RUN` says in one line what it leaves out, and trains on the rest.

#[path = "../src/data/own/tests/hostile.rs"]
#[allow(dead_code)] // the tests of the reader use the rest
mod hostile;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let folder = words.next().map(PathBuf::from);
    let count = words.next().map_or(Ok(2000), |count| count.parse::<usize>());
    let (Some(folder), Ok(count)) = (folder, count) else {
        theory::terminal::say("usage: hostile_images DIR [COUNT]");
        return ExitCode::from(2);
    };
    hostile::write_folder(&folder, count);
    ExitCode::SUCCESS
}
