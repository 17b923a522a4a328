//! `kubectl purser`: kubectl finds this program in PATH. See `--help`.

use std::process::ExitCode;

use clap::Parser;
use operator::plugin;

fn main() -> ExitCode {
    plugin::main(&plugin::Arguments::parse())
}
