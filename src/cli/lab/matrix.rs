//! `dlmwire lab matrix`: cases against kernels.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::lab::cases::probes::page::page;
use dlmwire_interop::lab::error::LabError;
use dlmwire_interop::lab::kernels::{self, Kernel, SERIES, Series, UML};
use dlmwire_interop::lab::matrix::{Column, Matrix, Outcome};
use dlmwire_interop::lab::plan::Transport;
use dlmwire_interop::lab::run;

use super::job::CaseArgs;
use super::watch::{self, Line};
use crate::cli::error::Error;
use crate::cli::output::Output;
use crate::cli::{FAILED, FOUND, time};

/// Runs cases against several kernels and shows what became of each
#[derive(clap::Args)]
pub(super) struct Args {
    /// Kernels; all that there could be if left out, and those that are missing are shown as unsupported
    #[arg(long, value_name = "KERNEL,..", value_delimiter = ',')]
    kernels: Vec<String>,

    /// What carries it: tcp, sctp, or both, one table each
    #[arg(
        long,
        value_name = "TRANSPORT,..",
        value_delimiter = ',',
        default_value = "tcp"
    )]
    transport: Vec<Transport>,

    #[command(flatten)]
    cases: CaseArgs,

    /// Write the tables for a document, with date and exact versions
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,

    /// Write what the probes saw of each kernel, for a document
    #[arg(long, value_name = "FILE")]
    probes: Option<PathBuf>,

    /// One JSON object a table instead of the table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let names = args.cases.names()?;
    args.known_kernels()?;
    let stop = watch::stop_on_signals()?;
    let mut document = String::from("# Cases against kernels\n\nMade by `dlmwire lab matrix`.\n");
    let (mut failed, mut broken) = (false, false);
    for transport in &args.transport {
        let matrix = matrix(args, *transport, &names, &stop)?;
        if args.json {
            serde_json::to_writer(&mut *out, &matrix).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            write!(out, "{}", matrix.text())?;
        }
        out.flush()?;
        document.push('\n');
        document.push_str(&matrix.markdown());
        // The probes are about TCP; another table has none.
        if let (Some(path), Transport::Tcp) = (&args.probes, transport) {
            fs::write(path, page(&matrix.runs())).map_err(|error| Error::write(path, error))?;
        }
        failed |= !matrix.is_good();
        broken |= matrix
            .columns
            .iter()
            .any(|column| matches!(column.outcome, Outcome::Broken { .. }));
    }
    if let Some(path) = &args.markdown {
        fs::write(path, document).map_err(|error| Error::write(path, error))?;
    }
    Ok(ExitCode::from(match (broken, failed) {
        (true, _) => FAILED,
        (false, true) => FOUND,
        (false, false) => 0,
    }))
}

impl Args {
    /// Refuses a misspelt kernel before the first one has run for minutes.
    fn known_kernels(&self) -> Result<(), Error> {
        let unknown = |label: &&String| *label != UML && Series::named(label).is_none();
        match self.kernels.iter().find(unknown) {
            None => Ok(()),
            Some(label) => Err(Error::Lab(LabError::UnknownKernel { label: label.clone() })),
        }
    }
}

fn matrix(args: &Args, transport: Transport, names: &[String], stop: &AtomicBool) -> Result<Matrix, Error> {
    let mut columns = Vec::new();
    let labels: Vec<&str> = if args.kernels.is_empty() {
        [UML]
            .into_iter()
            .chain(SERIES.map(|series| series.label))
            .collect()
    } else {
        args.kernels.iter().map(String::as_str).collect()
    };
    for label in labels {
        columns.push(Column {
            kernel: label.to_owned(),
            outcome: outcome(args, label, transport, names, stop)?,
        });
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = now.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
    let now = time::absolute(Timestamp::from_nanos(nanos)).to_string();
    Ok(Matrix {
        date: now.get(..10).unwrap_or(&now).to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        transport,
        cases: names.to_vec(),
        columns,
    })
}

/// Runs one kernel. That it cannot be run is a column as well; that we are told to stop is not.
fn outcome(
    args: &Args,
    label: &str,
    transport: Transport,
    names: &[String],
    stop: &AtomicBool,
) -> Result<Outcome, Error> {
    let cache = kernels::cache_dir().map_err(Error::Lab)?;
    let job = args.cases.job(label, transport, names)?;
    let line = Line::new(label);
    let run = Kernel::find(label, None, &cache)
        .and_then(|kernel| run::run(&kernel, &job, stop, &mut |progress| line.show(progress)));
    line.clear();
    match run {
        Ok(run) => Ok(Outcome::Run(Box::new(run))),
        Err(error @ LabError::Stopped) => Err(Error::Lab(error)),
        Err(error) if error.is_absence() => Ok(Outcome::Absent {
            reason: error.to_string(),
        }),
        Err(error) => Ok(Outcome::Broken {
            reason: error.to_string(),
        }),
    }
}
