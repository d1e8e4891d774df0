//! The `trainer` command: trains contrastive encoders, measures them, and reports bounds against K.

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
