//! `dlmwire lab kernels`: what is there, and what is missing.

use std::io::Write;
use std::process::ExitCode;

use dlmwire_interop::lab::fetch;
use dlmwire_interop::lab::kernels::{self, Kernel, Machine, SERIES, Series, UML};
use dlmwire_interop::lab::tools::{self, Tool};

use crate::cli::error::Error;
use crate::cli::output::{Output, Paint};

/// Lists the kernels: which are there, what they are, and how to get the others
#[derive(clap::Args)]
pub(super) struct Args {
    /// One JSON object a kernel
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    for label in [UML].into_iter().chain(SERIES.map(|series| series.label)) {
        let kernel = Kernel::find(label, None, &cache);
        if args.json {
            let object = match &kernel {
                Ok(kernel) => serde_json::json!({
                    "kernel": label, "release": kernel.release, "dlm": kernel.protocol(),
                    "machine": kernel.machine, "packages": kernel.packages, "image": kernel.image,
                }),
                Err(error) => serde_json::json!({ "kernel": label, "missing": error.to_string() }),
            };
            writeln!(out, "{object}")?;
            continue;
        }
        let name = out.paint(Paint::Name, format_args!("{label:<6}")).to_string();
        match kernel {
            Ok(kernel) => {
                let guest = match kernel.machine {
                    Machine::Uml => "User-Mode Linux",
                    Machine::Qemu => "QEMU",
                };
                let (dlm, packages) = (kernel.protocol(), kernel.packages.join(", "));
                writeln!(out, "{name}  {}, DLM {dlm}, {guest} ({packages})", kernel.release)?;
            }
            Err(error) => {
                writeln!(out, "{name}  {error}")?;
                if let Some(series) = Series::named(label) {
                    writeln!(out, "        {}", fetch::wanted(series))?;
                }
            }
        }
    }
    if !args.json {
        for tool in [Tool::Qemu, Tool::Busybox, Tool::Depmod, Tool::Xz] {
            if let Err(missing) = tools::find(tool) {
                writeln!(out, "{}", out.paint(Paint::Bad, missing))?;
            }
        }
        writeln!(out, "kept in {}", cache.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
