//! The `theory` command: coverage and collision probabilities, bounds and reports.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
