//! `dlmwire trace2pcap`: a capture made of a kernel's trace.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use dlmwire_codec::NodeId;
use dlmwire_interop::trace::rebuild;

use super::FAILED;
use super::cross::{node_id, read_trace};
use super::error::Error;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  dlmwire trace2pcap trace.txt rebuilt.pcapng --node 1       what node 1 sent and took, as a capture
  dlmwire dump rebuilt.pcapng                                which every verb reads
  dlmwire trace2pcap t.txt r.pcapng --node 1 --peer 2        6.1 does not say whom a message is for

What no event tells is not in the capture: ACK and FIN frames, bare messages, what was sent again, dropped or thrown
away. The connections are made up. Comments on the packets say so.

Exit codes:
  0  the capture has every message of the trace
  2  the trace could not be read, or the capture not written, or messages had to be left out";

/// Makes a capture of a kernel's trace, when nobody captured
///
/// Every message that the kernel sent or took is written from the fields of its event, in the order and at the times of the
/// trace. The result is a pcapng file for check, dump, stats and Wireshark.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The kernel's trace: text of tracefs or of trace-cmd report, plain or .gz
    #[arg(value_name = "TRACE")]
    trace: PathBuf,

    /// The capture to write, pcapng
    #[arg(value_name = "OUT")]
    out: PathBuf,

    /// The node whose kernel traced
    #[arg(long, value_name = "ID", value_parser = node_id)]
    node: NodeId,

    /// Who messages are for, where the trace does not say it and there are several
    #[arg(long, value_name = "ID", value_parser = node_id)]
    peer: Option<NodeId>,
}

/// Rebuilds and says what is in the capture.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let trace = read_trace(&args.trace)?;
    let error = |error| Error::write(&args.out, error);
    let file = BufWriter::new(File::create(&args.out).map_err(error)?);
    let (_, done) = rebuild(&trace, args.node, args.peer, file).map_err(error)?;
    writeln!(
        out,
        "{}: {} frames of {} conversations",
        args.out.display(),
        done.frames,
        done.conversations
    )?;
    let left_out = [
        (
            done.receiver_unknown,
            "messages are for nobody that is known: --peer says for whom",
        ),
        (
            done.length_differs,
            "messages have another length than their events say",
        ),
        (trace.bad_lines, "lines cannot be read"),
        (trace.left_out, "events are more than is kept"),
    ];
    let mut code = 0;
    for (count, what) in left_out.into_iter().filter(|(count, _)| *count > 0) {
        code = FAILED;
        out.complain(format!("{}: left out: {count} {what}", args.trace.display()))?;
    }
    Ok(ExitCode::from(code))
}
