//! `dlmwire dump`: the messages of captures, one a line.

mod events;
mod filter;
mod json;
mod text;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use dlmwire_codec::{DecodeError, Frame, NodeId, RawFrame};
use dlmwire_interop::capture::{Event, LinkId, Place, Side, Sink, Stamp, Timestamp, Transport};

use self::filter::{Kind, SeqRange};
use super::cluster::{ClusterArgs, LockspaceNames};
use super::error::Error;
use super::message::Message;
use super::nodes::{End, Nodes, Party};
use super::output::Output;
use super::reading::{self, FrameEvent, Stop};
use super::sequence::{Sequences, Turn};
use super::time::TimeFormat;
use super::{FAILED, FOUND};

const EXAMPLES: &str = "\
Examples:
  dlmwire dump dlm.pcap
  dlmwire dump --node 2 --cmd RCOM --time absolute dlm.pcapng.zst
  dlmwire dump --lockspace gfs2vol --cmd REQUEST --cmd REQUEST_REPLY dlm.pcap
  dlmwire dump --seq 100..120 --hex dlm.pcap
  dlmwire dump --format jsonl dlm.pcap | jq -c 'select(.[\"dlm3.m.result\"] == -11)'
  tcpdump -i eth0 -w - 'port 21064' | dlmwire dump -

Columns: frame number (as in Wireshark), time, sender -> receiver, link, message, sequence number
(ACK: the next one expected), lockspace, then what the message says: lkid is the lock id at the
sender, remid at the receiver, gr the granted and rq the requested mode, ex, sb and fl the flags.

(sent again) is a guess from the numbers alone, looser than what `dlmwire check` counts as resent:
any number lower than one already sent, also with other bytes, or one that was left out and comes
after all. See docs/json.md.

Exit codes: 0 all was read; 1 a message is damaged; 2 a file cannot be read, or not to its end.";

/// Shows the messages of captures, one a line.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Captures: pcap or pcapng, plain, .gz or .zst; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// One line for people, or one JSON object for programs (see docs/json.md)
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// How points in time are shown
    #[arg(long, value_enum, default_value_t = TimeFormat::Relative)]
    time: TimeFormat,

    /// Show the bytes of each message, too
    #[arg(long)]
    hex: bool,

    /// Messages only: nothing about links, resets and what the capture does not have
    #[arg(long)]
    messages_only: bool,

    /// Only messages of a command (MSG, RCOM, OPTS, ACK, FIN) or a type (REQUEST, STATUS_REPLY, ...). May be
    /// given several times. OPTS is all that is numbered; MSG:LOOKUP and RCOM:LOOKUP tell the two apart
    #[arg(long, value_name = "KIND", help_heading = "Selection")]
    cmd: Vec<Kind>,

    /// Only sequence numbers from A to B, both included (also A.., ..B, A); with A > B across the wrap at 2^32.
    /// An ACK counts with the number that it expects
    #[arg(long, value_name = "A..B", help_heading = "Selection")]
    seq: Option<SeqRange>,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// JSON lines
    Jsonl,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let options = args.cluster.options();
    let stop = Stop::default();
    let mut dump = Dump::new(args, out, stop.clone())?;
    let mut code = 0;
    for path in &args.files {
        reading::learn_nodes(path, &options, &mut dump.nodes);
        dump.start_file(path);
        let read = reading::read(path, &options, &stop, &mut dump);
        if let Some(error) = dump.failed.take() {
            return Err(error.into());
        }
        let unread = match read {
            Ok(summary) => reading::unread(path, &summary),
            Err(error) => Some(error),
        };
        if let Some(unread) = unread {
            dump.out.complain(unread)?;
            code = FAILED;
        }
        dump.nodes.forget_links();
    }
    if dump.damaged {
        code = code.max(FOUND);
    }
    Ok(ExitCode::from(code))
}

/// A message with all that is known of it besides its bytes.
struct Shown<'a> {
    at: Stamp,
    link: LinkId,
    transport: Option<Transport>,
    from: Option<&'a End>,
    to: Option<&'a End>,
    frame: RawFrame<'a>,
    place: Place,
    /// It came behind a reset of its link.
    late: bool,
    turn: Option<Turn>,
}

impl Shown<'_> {
    fn parties(&self) -> [Party; 2] {
        [self.from, self.to].map(|end| end.map_or(Party::Unknown, End::party))
    }

    fn nodes(&self) -> [Option<NodeId>; 2] {
        [self.from, self.to].map(|end| end.and_then(|end| end.node))
    }
}

/// What lines look like; the rest of [`Dump`] decides which there are.
struct Layout<'a> {
    args: &'a Args,
    lockspaces: LockspaceNames,
    start: Option<Timestamp>,
    json: super::json::JsonLine,
}

struct Dump<'a> {
    layout: Layout<'a>,
    out: &'a mut Output,
    nodes: Nodes,
    /// The file whose first line is still to come.
    heading: Option<&'a Path>,
    sequences: Sequences,
    stop: Stop,
    failed: Option<io::Error>,
    /// A message was not sound.
    damaged: bool,
}

impl<'a> Dump<'a> {
    fn new(args: &'a Args, out: &'a mut Output, stop: Stop) -> Result<Self, Error> {
        Ok(Self {
            layout: Layout {
                args,
                lockspaces: args.cluster.lockspace_names()?,
                start: None,
                json: super::json::JsonLine::default(),
            },
            out,
            nodes: Nodes::new(args.cluster.addresses()?),
            heading: None,
            sequences: Sequences::default(),
            stop,
            failed: None,
            damaged: false,
        })
    }

    /// Starts a file.
    fn start_file(&mut self, path: &'a Path) {
        self.sequences.clear();
        self.heading = Some(path);
    }

    /// Names the file in front of its first line, so that nothing is said of one that cannot be read.
    fn heading(&mut self) -> io::Result<()> {
        let Some(path) = self.heading.take() else {
            return Ok(());
        };
        let layout = &mut self.layout;
        match layout.args.format {
            _ if layout.args.messages_only => Ok(()),
            Format::Text => layout.file_text(path, self.out),
            Format::Jsonl => layout.file_json(path, self.out),
        }
    }

    fn frame(&mut self, at: Stamp, event: &FrameEvent<'_>) -> io::Result<()> {
        let FrameEvent {
            link,
            from: side,
            frame,
            place,
            late,
        } = *event;
        let ends = self.nodes.link(link);
        let end = |side: Side| ends.map(|link| &link.ends[side.index()]);
        let mut shown = Shown {
            at,
            link,
            transport: ends.map(|link| link.transport),
            from: end(side),
            to: end(side.other()),
            frame,
            place,
            late,
            turn: None,
        };
        let decoded = frame.decode();
        let message = decoded.as_ref().ok().map(Message::new);
        if let Ok(Frame::Opts(opts)) = &decoded {
            shown.turn = self.sequences.take(shown.parties(), opts, frame.bytes());
        }
        let verdict = decoded.and_then(|frame| frame.fields()).map(drop);
        self.damaged |= verdict.is_err();
        if !selects(self.layout.args, &shown, message.as_ref()) {
            return Ok(());
        }
        match self.layout.args.format {
            Format::Text => self
                .layout
                .message_text(&shown, message.as_ref(), verdict, self.out),
            Format::Jsonl => self
                .layout
                .message_json(&shown, message.as_ref(), verdict, self.out),
        }
    }

    fn other(&mut self, at: Stamp, event: &Event<'_>) -> io::Result<()> {
        if let Event::FramingLost { .. } = event {
            self.damaged = true;
        }
        let args = self.layout.args;
        if args.messages_only || !selects_event(args, &self.nodes, event) {
            return Ok(());
        }
        match args.format {
            Format::Text => self.layout.event_text(at, event, &self.nodes, self.out),
            Format::Jsonl => self.layout.event_json(at, event, &self.nodes, self.out),
        }
    }
}

impl Sink for Dump<'_> {
    fn event(&mut self, at: Stamp, event: Event<'_>) {
        if self.failed.is_some() {
            return;
        }
        self.layout.start.get_or_insert(at.time);
        self.nodes.take(&event);
        let written = self.heading().and_then(|()| match FrameEvent::new(&event) {
            Some(frame) => self.frame(at, &frame),
            None => self.other(at, &event),
        });
        if let Event::LinkDown { link, .. } = event {
            self.nodes.link_down(link);
        }
        if let Err(error) = written {
            self.failed = Some(error);
            self.stop.stop();
        }
    }
}

/// Whether a message is to be shown. What cannot be decoded is neither a command nor of a lockspace.
fn selects(args: &Args, shown: &Shown<'_>, message: Option<&Message<'_>>) -> bool {
    let lockspace = message.and_then(Message::lockspace);
    let seq = message.and_then(|message| message.seq);
    let is_kind = |kind: &Kind| message.is_some_and(|message| kind.selects(message));
    let [from, to] = shown.nodes();
    args.cluster.selects_nodes(from, to)
        && args.cluster.selects_lockspace(lockspace)
        && (args.cmd.is_empty() || args.cmd.iter().any(is_kind))
        && args.seq.is_none_or(|range| range.selects(seq))
}

/// Whether something on a link is to be shown: only nodes are selected there.
fn selects_event(args: &Args, nodes: &Nodes, event: &Event<'_>) -> bool {
    let node = |address: &std::net::SocketAddr| nodes.node(address.ip());
    let [one, other] = match event {
        Event::Refused { opener, target, .. } => [node(opener), node(target)],
        Event::Fragment {
            source, destination, ..
        } => [nodes.node(*source), nodes.node(*destination)],
        event => match link_of(event).and_then(|link| nodes.link(link)) {
            Some(link) => [link.ends[0].node, link.ends[1].node],
            None => [None, None],
        },
    };
    args.cluster.selects_nodes(one, other)
}

/// The link that an event is about.
fn link_of(event: &Event<'_>) -> Option<LinkId> {
    match event {
        Event::LinkUp { link, .. }
        | Event::Frame { link, .. }
        | Event::Late { link, .. }
        | Event::FramingLost { link, .. }
        | Event::Missing { link, .. }
        | Event::Resynchronised { link, .. }
        | Event::Retransmitted { link, .. }
        | Event::AddressAdded { link, .. }
        | Event::HalfClosed { link, .. }
        | Event::LinkDown { link, .. } => Some(*link),
        Event::Refused { .. } | Event::SeenTwice { .. } | Event::Fragment { .. } => None,
    }
}

/// The codec's word on a message.
type Verdict = Result<(), DecodeError>;
