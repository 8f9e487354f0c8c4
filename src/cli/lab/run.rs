//! `dlmwire lab run`: cases against one kernel.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use dlmwire_interop::lab::kernels::{self, Kernel};
use dlmwire_interop::lab::plan::{CaseResult, Transport, Verdict};
use dlmwire_interop::lab::run::{self, KernelRun};

use super::job::CaseArgs;
use super::watch::{self, Line};
use crate::cli::FOUND;
use crate::cli::error::Error;
use crate::cli::output::{Output, Paint};

/// Findings of one case that are shown; the rest is in the evidence.
const FINDINGS_SHOWN: usize = 8;

/// Runs cases against one kernel
#[derive(clap::Args)]
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

    #[command(flatten)]
    cases: CaseArgs,

    /// One JSON object at the end
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let names = args.cases.names()?;
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    let kernel = Kernel::find(&args.kernel, args.modules.as_deref(), &cache).map_err(Error::Lab)?;
    let job = args.cases.job(&kernel.label, args.transport, &names)?;
    let stop = watch::stop_on_signals()?;
    let line = Line::new(&kernel.label);
    let outcome = run::run(&kernel, &job, &stop, &mut |progress| line.show(progress));
    line.clear();
    let run = outcome.map_err(Error::Lab)?;
    if args.json {
        serde_json::to_writer(&mut *out, &run).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        show(&run, out)?;
    }
    Ok(ExitCode::from(if run.is_good() { 0 } else { FOUND }))
}

fn show(run: &KernelRun, out: &mut Output) -> Result<(), Error> {
    let width = run
        .results
        .iter()
        .map(|result| result.case.len())
        .max()
        .unwrap_or(0);
    for result in &run.results {
        show_case(result, width, out)?;
    }
    if let Some(reason) = &run.broken {
        let word = out.paint(Paint::Bad, "FAIL");
        writeln!(out, "{word}  {reason}")?;
    }
    let packages = match run.packages.join(", ") {
        none if none.is_empty() => "own build".to_owned(),
        packages => packages,
    };
    writeln!(
        out,
        "kernel {} ({packages}), DLM {}, {}, {:.1} s in {} boot{}",
        run.release,
        run.protocol,
        run.transport,
        run.seconds,
        run.boots,
        if run.boots == 1 { "" } else { "s" }
    )?;
    writeln!(out, "evidence in {}", run.out.display())?;
    Ok(())
}

fn show_case(result: &CaseResult, width: usize, out: &mut Output) -> Result<(), Error> {
    let (case, seconds) = (&result.case, result.seconds);
    let (word, reason) = match &result.verdict {
        Verdict::Pass => (out.paint(Paint::Lock, "pass       "), ""),
        Verdict::Fail { reason } => (out.paint(Paint::Bad, "FAIL       "), reason.as_str()),
        Verdict::Unsupported { reason } => (out.paint(Paint::Dim, "unsupported"), reason.as_str()),
    };
    let mut line = format!("{word}  {case:<width$}  {seconds:>6.1} s");
    if !reason.is_empty() {
        line.push_str("  ");
        line.push_str(reason);
    }
    writeln!(out, "{line}")?;
    let (notes, worse): (Vec<_>, Vec<_>) = result
        .findings
        .iter()
        .partition(|finding| finding.starts_with("note "));
    for finding in worse.iter().take(FINDINGS_SHOWN) {
        writeln!(out, "             {finding}")?;
    }
    let hidden = worse.len().saturating_sub(FINDINGS_SHOWN);
    if notes.len() + hidden > 0 {
        let more = if hidden > 0 {
            format!("{hidden} more and ")
        } else {
            String::new()
        };
        let notes = notes.len();
        writeln!(
            out,
            "             {more}notes: {notes}, in {}/check.txt",
            result.case
        )?;
    }
    for (name, figure) in &result.figures {
        writeln!(out, "             {name} {figure}")?;
    }
    Ok(())
}
