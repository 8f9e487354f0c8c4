//! What the verbs that boot a guest are told alike.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dlmwire_interop::lab::cases;
use dlmwire_interop::lab::kernels;
use dlmwire_interop::lab::plan::Transport;
use dlmwire_interop::lab::run::Job;

use crate::cli::error::Error;

/// Boots and powers off, no case.
const NONE: &str = "none";
const SECONDS_MAX: u64 = 86_400;

/// Which cases, and how long each may take.
#[derive(clap::Args)]
pub(super) struct CaseArgs {
    /// A case; may be given several times. Every case if left out; `none` boots, sets up and powers off
    #[arg(long = "case", alias = "cases", value_name = "NAME", value_delimiter = ',')]
    cases: Vec<String>,

    /// Every case, which is also what happens if none is named
    #[arg(long, conflicts_with = "cases")]
    all: bool,

    /// Seconds that one case may take
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    timeout: u64,

    /// Where the evidence goes; else below the cache, in place of the last run's
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// More on the guest's console
    #[arg(long)]
    verbose: bool,
}

impl CaseArgs {
    /// The cases by name, each of which there is.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let known = || cases::all().iter().map(|case| case.name);
        if self.cases.is_empty() {
            return Ok(known().map(str::to_owned).collect());
        }
        if self.cases == [NONE] {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = Vec::new();
        for name in &self.cases {
            if !known().any(|known| known == name) {
                return Err(Error::Unread {
                    place: "--case".into(),
                    reason: format!("{name:?}: no such case; see dlmwire lab cases"),
                });
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }

    /// What to run on the kernel with this label.
    pub(super) fn job(&self, kernel: &str, transport: Transport, cases: &[String]) -> Result<Job, Error> {
        let base = match &self.out {
            Some(out) => out.clone(),
            None => kernels::cache_dir().map_err(Error::Lab)?.join("runs"),
        };
        Ok(Job {
            transport,
            cases: cases.to_vec(),
            case_deadline: Duration::from_secs(self.timeout),
            program: program()?,
            out: base.join(format!("{kernel}-{transport}")),
            verbose: self.verbose,
        })
    }
}

/// This program, as the guest finds it.
pub(super) fn program() -> Result<PathBuf, Error> {
    env::current_exe().map_err(|error| Error::read(Path::new("/proc/self/exe"), error))
}
