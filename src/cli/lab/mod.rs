//! `dlmwire lab`: real kernels in a guest, against this project's node.

mod cases;
mod exec;
mod fetch;
mod guest;
mod job;
mod kernels;
mod matrix;
mod run;
mod shell;
mod watch;

use std::process::ExitCode;

use super::error::Error;
use super::output::Output;

const MANUAL: &str = "\
A guest boots with a real kernel. The kernel's own DLM is node 1; this program's node is node 2, in
another network namespace of the same guest. The guest sees this machine's files read-only and can
write nothing but the folder for the evidence. Nothing is installed, no network is touched.

Kernels: uml is User-Mode Linux, one process, 3 s to boot, without debugfs. 5.10, 6.1, 6.12 and
newest are Debian's, in QEMU without acceleration, 8 s to boot; `dlmwire lab fetch` gets them.

Examples:
  dlmwire lab kernels                          what is there, and what is missing
  dlmwire lab fetch all                        get the kernels, some 400 MB
  dlmwire lab run --kernel uml                 every case
  dlmwire lab run --kernel 6.1 --case join     one
  dlmwire lab run --kernel linux/arch/x86/boot/bzImage --modules /tmp/modules
  dlmwire lab matrix --markdown matrix.md      every case against every kernel
  dlmwire lab shell --kernel 6.12              a shell in the guest, ready
  dlmwire lab exec --kernel uml -- ip link     a command in the guest

Where kernels and evidence are kept: $DLMWIRE_LAB, else dlmwire/lab in the user's cache directory.

Exit codes:
  0  every case passed or is not for this kernel
  1  a case failed
  2  the job could not be done; standard error says why";

/// Runs cases against real kernels, in a guest on this machine
#[derive(clap::Args)]
#[command(after_help = MANUAL)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Kernels(kernels::Args),
    Fetch(fetch::Args),
    Run(run::Args),
    Matrix(matrix::Args),
    Shell(shell::Args),
    Exec(exec::Args),
    Cases(cases::Args),
    #[command(hide = true)]
    Guest(guest::Args),
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    match &args.verb {
        Verb::Kernels(args) => kernels::run(args, out),
        Verb::Fetch(args) => fetch::run(args, out),
        Verb::Run(args) => run::run(args, out),
        Verb::Matrix(args) => matrix::run(args, out),
        Verb::Shell(args) => shell::run(args),
        Verb::Exec(args) => exec::run(args, out),
        Verb::Cases(args) => cases::run(args, out),
        Verb::Guest(args) => guest::run(args),
    }
}
