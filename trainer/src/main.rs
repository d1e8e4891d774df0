//! The `trainer` command: trains contrastive encoders, measures them, and reports bounds against K.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
