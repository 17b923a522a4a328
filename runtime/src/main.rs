//! `purser`: one program, a subcommand per role and per command.

fn main() {}
