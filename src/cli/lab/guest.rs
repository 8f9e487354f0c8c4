//! `dlmwire lab guest`: the first process of a guest. Not for people.

use std::path::PathBuf;
use std::process::ExitCode;

use dlmwire_interop::lab::guest;
use dlmwire_interop::lab::plan::RunPlan;

use crate::cli::error::Error;

/// Is the first process of a guest; does nothing anywhere else
#[derive(clap::Args)]
pub(super) struct Args {
    /// What to do
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Error> {
    let plan = RunPlan::read(&args.plan).map_err(|error| Error::read(&args.plan, error))?;
    Ok(guest::run(&plan))
}
