//! `dlmwire lab exec`: a command in a guest.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};
use std::time::Duration;

use dlmwire_interop::lab::exec::{self, Outlets};
use dlmwire_interop::lab::kernels::{self, Kernel};
use dlmwire_interop::lab::plan::{Exec, Transport};
use dlmwire_interop::lab::run::Job;

use super::job::program;
use super::watch;
use crate::cli::error::Error;
use crate::cli::output::Output;

const MANUAL: &str = "\
The guest is as for the cases: the DLM and SCTP are loaded, there is a namespace `peer` with two lines
into it, and the kernel can load whatever else is asked for. The command is root there. Everything of
this machine is seen, at the same path, and nothing of it can be written: files of the command's own go
to $TMPDIR, which is empty and gone at the end, or to the folder given with --out. Standard input is
empty. Of the environment PATH and what begins with RUST_, CARGO_PKG_ or CARGO_MANIFEST_ is passed on, and what --env
names. `dlmwire` is this program.

As a runner of cargo:
  CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER=\"dlmwire lab exec --kernel uml --\" \\
      cargo test -p dlmwire-sctp -- --ignored

Exit codes:
  the command's own; 128 and the signal for one that a signal killed
  2  also when there is no guest, or it died, or the limit came first; standard error says why";

/// Cargo's and Rust's own, none of which is secret.
const PASSED_ON: [&str; 3] = ["RUST_", "CARGO_PKG_", "CARGO_MANIFEST_"];

/// Runs a command in a guest: its output and exit code are the command's
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(super) struct Args {
    /// uml, 5.10, 6.1, 6.12, newest; or the file that was built, with --modules
    #[arg(long, value_name = "KERNEL")]
    kernel: String,

    /// What `make modules_install INSTALL_MOD_PATH=DIR` filled
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// What the guest is prepared for: tcp or sctp
    #[arg(long, value_name = "TRANSPORT", default_value = "sctp")]
    transport: Transport,

    /// How long the command may run
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    limit: u64,

    /// The guest's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..=65_536))]
    memory: u32,

    /// A variable of the environment that the command gets too; may be given several times
    #[arg(long, value_name = "NAME")]
    env: Vec<String>,

    /// A folder that the guest can write to, kept with the guest's console
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    words: Vec<String>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    let kernel = Kernel::find(&args.kernel, args.modules.as_deref(), &cache).map_err(Error::Lab)?;
    // Several may run at once, each in a folder of its own.
    let folder = cache.join(format!("runs/{}-exec-{}", kernel.label, process::id()));
    let job = Job {
        transport: args.transport,
        cases: Vec::new(),
        case_deadline: Duration::from_secs(args.limit),
        program: program()?,
        out: args.out.clone().unwrap_or_else(|| folder.clone()),
        verbose: false,
    };
    let command = Exec {
        words: args.words.clone(),
        folder: env::current_dir().map_err(|error| Error::read(Path::new("."), error))?,
        environment: environment(&args.env),
        limit_s: args.limit,
    };
    let stop = watch::stop_on_signals()?;
    // Written from another thread: the lock on standard output is held by this one.
    let outlets = Outlets {
        out: &mut own(io::stdout())?,
        err: &mut own(io::stderr())?,
    };
    let code = exec::exec(&kernel, &job, args.memory, &command, outlets, &stop);
    if code.is_err() {
        out.complain(format_args!("the guest's console is in {}", job.out.display()))?;
    } else if args.out.is_none() {
        let _ = fs::remove_dir_all(&folder);
    }
    code.map(ExitCode::from).map_err(Error::Lab)
}

fn own(stream: impl AsFd) -> io::Result<File> {
    stream.as_fd().try_clone_to_owned().map(File::from)
}

fn environment(named: &[String]) -> BTreeMap<String, String> {
    let wanted = |name: &str| {
        name == "PATH"
            || named.iter().any(|other| other == name)
            || PASSED_ON.iter().any(|start| name.starts_with(start))
    };
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| wanted(name))
        .collect()
}
