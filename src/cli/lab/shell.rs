//! `dlmwire lab shell`: a shell in a guest.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use dlmwire_interop::lab::kernels::{self, Kernel};
use dlmwire_interop::lab::plan::Transport;
use dlmwire_interop::lab::run::{self, Job};

use super::job::program;
use crate::cli::error::Error;

const MANUAL: &str = "\
The kernel's DLM is loaded, configfs and debugfs are mounted, network and namespace are there; leave
with `exit`. What is written to the evidence folder stays. In QEMU, Ctrl-A x ends a guest that hangs.";

/// Boots a kernel and gives a shell in the guest, on this terminal
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(super) struct Args {
    /// uml, 5.10, 6.1, 6.12, newest; or the file that was built, with --modules
    #[arg(long, value_name = "KERNEL")]
    kernel: String,

    /// What `make modules_install INSTALL_MOD_PATH=DIR` filled
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// What carries it: tcp or sctp
    #[arg(long, value_name = "TRANSPORT", default_value = "tcp")]
    transport: Transport,

    /// The folder that can be written in the guest; else below the cache
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Error> {
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    let kernel = Kernel::find(&args.kernel, args.modules.as_deref(), &cache).map_err(Error::Lab)?;
    let base = args.out.clone().unwrap_or_else(|| cache.join("runs"));
    let job = Job {
        transport: args.transport,
        cases: Vec::new(),
        // Nothing in it has a deadline: somebody sits there.
        case_deadline: Duration::from_secs(86_400),
        program: program()?,
        out: base.join(format!("{}-shell", kernel.label)),
        verbose: true,
    };
    run::shell(&kernel, &job).map_err(Error::Lab)?;
    Ok(ExitCode::SUCCESS)
}
