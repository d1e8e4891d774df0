//! The `trainer` command: trains contrastive encoders, measures them, and reports bounds against K.

// It panics where standard error is closed or full; `theory::terminal::say` does not.
#![warn(clippy::print_stderr)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
