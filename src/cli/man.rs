//! `dlmwire man`: manual pages.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap_mangen::Man;

use super::error::Error;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  dlmwire man | man -l -
  dlmwire man --dir /usr/local/share/man/man1";

/// Prints the manual page, or writes one page per verb.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Write dlmwire.1 and one page per verb (dlmwire-dump.1, ...) to this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let mut command = super::command();
    // Gives verbs the names and versions that their pages show.
    command.build();
    match &args.dir {
        None => out.write_all(&page(&command)?)?,
        Some(dir) => write_pages(&command, dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_pages(command: &clap::Command, dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|error| Error::write(dir, error))?;
    let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    for command in std::iter::once(command).chain(verbs) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page(command)?).map_err(|error| Error::write(&path, error))?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
