//! `purser`.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::program::main()
}
