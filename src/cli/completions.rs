//! `dlmwire completions`: what a shell needs to complete our command line.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

use super::error::Error;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  dlmwire completions bash > /etc/bash_completion.d/dlmwire
  dlmwire completions zsh > ~/.zfunc/_dlmwire
  dlmwire completions fish > ~/.config/fish/completions/dlmwire.fish";

/// Prints the completions for a shell.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    // The generator panics when it cannot write, so that it gets memory to write to.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "dlmwire", &mut script);
    out.write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}
