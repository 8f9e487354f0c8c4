//! `dlmwire lab cases`: what there is to run.

use std::io::Write;
use std::process::ExitCode;

use dlmwire_interop::lab::cases;

use crate::cli::error::Error;
use crate::cli::output::{Output, Paint};

/// Lists the cases
#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let width = cases::all().iter().map(|case| case.name.len()).max().unwrap_or(0);
    for case in cases::all() {
        let name = out
            .paint(Paint::Name, format_args!("{:<width$}", case.name))
            .to_string();
        writeln!(out, "{name}  {}", case.about)?;
    }
    Ok(ExitCode::SUCCESS)
}
