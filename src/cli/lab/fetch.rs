//! `dlmwire lab fetch`: kernels into the cache.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use dlmwire_interop::lab::fetch;
use dlmwire_interop::lab::kernels::{self, Kernel, SERIES, Series};

use super::watch::Line;
use crate::cli::FAILED;
use crate::cli::error::Error;
use crate::cli::output::Output;

const ALL: &str = "all";

const MANUAL: &str = "\
Kernels come from the mirror that this machine's apt already uses, whatever its own suite is, by lists
of their own: the machine's are not touched and nothing is installed. Without a mirror get the
package elsewhere and give it with --deb.

Exit codes:
  0  every kernel asked for is there
  2  one is not; standard error says why, and what to get by hand";

/// Gets kernels into the cache, the newest of each series
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(super) struct Args {
    /// 5.10, 6.1, 6.12, newest or all
    #[arg(value_name = "KERNEL", default_value = ALL)]
    kernels: Vec<String>,

    /// A package that was downloaded by hand, for the one kernel asked for; from 7.1 on there are two
    #[arg(long, value_name = "FILE", num_args = 1..)]
    deb: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let series = args.series()?;
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    let mut missing = false;
    for series in series {
        let line = Line::new(series.label);
        let mut step = |text: &str| line.say(&format!("{}: {text}", series.label));
        let fetched = if args.deb.is_empty() {
            fetch::fetch(series, &cache, &mut step)
        } else {
            fetch::unpack(series, &args.deb, &cache, &mut step)
        };
        line.clear();
        match fetched {
            Ok(kernel) => show(&kernel, out)?,
            Err(error) => {
                out.complain(format_args!("{}: {error}", series.label))?;
                missing = true;
            }
        }
        out.flush()?;
    }
    Ok(ExitCode::from(if missing { FAILED } else { 0 }))
}

impl Args {
    fn series(&self) -> Result<Vec<Series>, Error> {
        let refused = |reason: String| Error::Unread {
            place: "lab fetch".into(),
            reason,
        };
        let mut all = Vec::new();
        for label in &self.kernels {
            if label == ALL {
                all.extend(SERIES);
            } else if let Some(series) = Series::named(label) {
                all.push(series);
            } else {
                return Err(refused(format!(
                    "{label:?}: expected 5.10, 6.1, 6.12, newest or all"
                )));
            }
        }
        if !self.deb.is_empty() && all.len() != 1 {
            return Err(refused("--deb is for one kernel, name it".to_owned()));
        }
        Ok(all)
    }
}

fn show(kernel: &Kernel, out: &mut Output) -> Result<(), Error> {
    let (release, packages) = (&kernel.release, kernel.packages.join(", "));
    writeln!(
        out,
        "{}: {release}, DLM {} ({packages})",
        kernel.label,
        kernel.protocol()
    )?;
    Ok(())
}
