//! `dlmwire stats`: who sends what to whom, and how long answers take.

mod delays;
mod pair;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use dlmwire_codec::{Frame, Inner, LockspaceId, NodeId, RawFrame, Rcom, RcomType, Version};
use dlmwire_interop::capture::{Event, Place, Side, Sink, Stamp, Timestamp};
use dlmwire_interop::exchange::{Exchanges, Step};

use self::pair::PairStats;
use super::cluster::ClusterArgs;
use super::error::Error;
use super::message::Message;
use super::nodes::{End, Nodes, Party};
use super::output::Output;
use super::reading::{self, FrameEvent, Stop};
use super::sequence::{Sequences, Turn};
use super::{FAILED, FOUND};

const EXAMPLES: &str = "\
Examples:
  dlmwire stats dlm.pcap
  dlmwire stats --node 1 --lockspace gfs2vol dlm.pcapng.zst
  dlmwire stats --format json dlm.pcap | jq '.pairs[] | {from, to, ack_delay_ns}'

Delays run from the packet that completes a message to the one that completes what answers it, as
the capturing host saw them. An ACK answers every OPTS before its number; a reply answers its
request; a CONVERT to a lower mode has none. Delays take a message that is sent again once.

Sent again is a guess from the numbers alone, looser than what `dlmwire check` counts as resent: any
number lower than one already sent, also with other bytes, or one that was left out and comes after
all. See docs/json.md.

Exit codes: 0 all was read; 1 a message is damaged; 2 a file cannot be read, or not to its end.";

/// Pairs of nodes that are counted; 32 nodes make 992.
const PAIRS_MAX: usize = 1024;

/// Nodes in lockspaces whose recovery numbers are remembered.
const RECOVERIES_MAX: usize = 65_536;

/// Requests without a reply that are remembered.
const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(1 << 18).expect("not 0");

/// Counts messages per ordered pair of nodes, and measures how long acknowledgements and replies take.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Captures: pcap or pcapng, plain, .gz or .zst; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// A table for people, or JSON for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let options = args.cluster.options();
    let mut stats = Stats::new(args)?;
    let mut files: Vec<&Path> = Vec::new();
    let mut unread = Vec::new();
    for path in &args.files {
        reading::learn_nodes(path, &options, &mut stats.nodes);
        let summary = match reading::read(path, &options, &Stop::default(), &mut stats) {
            Ok(summary) => summary,
            Err(error) => {
                unread.push(error);
                continue;
            }
        };
        files.push(path);
        unread.extend(reading::unread(path, &summary));
        stats.totals.packets += summary.stats.packets;
        stats.totals.links += summary.stats.links;
        stats.totals.gaps += summary.stats.gaps;
        stats.end_of_file();
    }
    match args.format {
        _ if files.is_empty() => {}
        Format::Text => report::text(&stats.totals, &stats.pairs, &files, out)?,
        Format::Json => report::json(&stats.totals, &stats.pairs, &files, out)?,
    }
    let mut code = if stats.totals.damaged { FOUND } else { 0 };
    for error in unread {
        out.complain(error)?;
        code = FAILED;
    }
    Ok(ExitCode::from(code))
}

/// What is counted over everything.
#[derive(Default)]
struct Totals {
    packets: u64,
    links: u64,
    gaps: u64,
    messages: u64,
    undecodable: u64,
    /// Messages of pairs beyond [`PAIRS_MAX`].
    uncounted: u64,
    times: Option<[Timestamp; 2]>,
    /// A message was not sound.
    damaged: bool,
}

/// Sender and receiver.
type Pair = [Party; 2];

struct Stats<'a> {
    args: &'a Args,
    nodes: Nodes,
    totals: Totals,
    pairs: BTreeMap<Pair, PairStats>,
    sequences: Sequences,
    exchanges: Exchanges<Timestamp>,
    /// The recovery number that a node last named in a lockspace.
    recoveries: HashMap<(NodeId, LockspaceId), u64>,
}

impl<'a> Stats<'a> {
    fn new(args: &'a Args) -> Result<Self, Error> {
        // No name is shown, but what contradicts itself selects something else than was meant.
        args.cluster.lockspace_names()?;
        Ok(Self {
            args,
            nodes: Nodes::new(args.cluster.addresses()?),
            totals: Totals::default(),
            pairs: BTreeMap::new(),
            sequences: Sequences::default(),
            exchanges: Exchanges::new(OPEN_MAX),
            recoveries: HashMap::new(),
        })
    }

    /// The next file may be another day.
    fn end_of_file(&mut self) {
        for (key, _) in self.exchanges.open() {
            let pair = [key.asker, key.answerer].map(Party::Node);
            if let Some(stats) = self.pairs.get_mut(&pair) {
                stats.unanswered(key.ask);
            }
        }
        self.exchanges.clear();
        for stats in self.pairs.values_mut() {
            stats.end_of_file();
        }
        self.sequences.clear();
        self.recoveries.clear();
        self.nodes.forget_links();
    }

    fn frame(&mut self, at: Stamp, event: &FrameEvent<'_>) {
        let FrameEvent {
            link,
            from: side,
            frame: raw,
            place,
            ..
        } = *event;
        let Ok(frame) = raw.decode() else {
            self.totals.undecodable += 1;
            self.totals.damaged = true;
            return;
        };
        self.totals.damaged |= frame.fields().is_err();
        let message = Message::new(&frame);
        let end = |side: Side| self.nodes.link(link).map(|link| &link.ends[side.index()]);
        let pair = [side, side.other()].map(|side| end(side).map_or(Party::Unknown, End::party));
        let nodes = [side, side.other()].map(|side| end(side).and_then(|end| end.node));
        let turn = match &frame {
            Frame::Opts(opts) => self.sequences.take(pair, opts, raw.bytes()),
            Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => None,
        };
        let cluster = &self.args.cluster;
        if !cluster.selects_nodes(nodes[0], nodes[1]) {
            return;
        }
        // Acknowledgements and the end are of no lockspace but are needed to measure.
        let selected = message
            .lockspace()
            .is_none_or(|id| cluster.selects_lockspace(Some(id)));
        if selected {
            self.count(at, pair, &message, raw, place, turn);
        }
        self.acknowledge(at, pair, &frame);
        if turn != Some(Turn::Again) && selected {
            self.exchange(at, pair, nodes, &message, turn);
        }
    }

    fn count(
        &mut self,
        at: Stamp,
        pair: Pair,
        message: &Message<'_>,
        raw: RawFrame<'_>,
        place: Place,
        turn: Option<Turn>,
    ) {
        let [start, end] = self.totals.times.unwrap_or([at.time; 2]);
        self.totals.times = Some([start.min(at.time), end.max(at.time)]);
        self.totals.messages += 1;
        match self.pair(pair) {
            Some(stats) => stats.count(message, raw.bytes().len(), place, turn, at.time),
            None => self.totals.uncounted += 1,
        }
    }

    /// An `ACK` answers what went the other way.
    fn acknowledge(&mut self, at: Stamp, [from, to]: Pair, frame: &Frame<'_>) {
        if let Frame::Ack(ack) = frame
            && let Some(stats) = self.pairs.get_mut(&[to, from])
        {
            stats.acknowledged(ack.seq, at.time);
        }
    }

    fn exchange(
        &mut self,
        at: Stamp,
        pair: Pair,
        nodes: [Option<NodeId>; 2],
        message: &Message<'_>,
        turn: Option<Turn>,
    ) {
        let ([Some(from), Some(to)], Some(inner)) = (nodes, &message.inner) else {
            return;
        };
        if turn == Some(Turn::Restart) {
            // What the other side has asked since is void only if its own direction starts anew.
            self.exchanges.forget_between(from, to, |_, _| {});
        }
        if let Inner::Rcom(rcom) = inner {
            self.recovery(from, rcom);
        }
        match self.exchanges.observe(to, inner, at.time) {
            Step::Apart
            | Step::Asked {
                again: None,
                crowded_out: None,
                ..
            } => {}
            Step::Asked {
                key,
                again,
                crowded_out,
            } => {
                let lost = again.map(|_| key).into_iter();
                for key in lost.chain(crowded_out.map(|(key, _)| key)) {
                    let pair = [key.asker, key.answerer].map(Party::Node);
                    if let Some(stats) = self.pairs.get_mut(&pair) {
                        stats.unanswered(key.ask);
                    }
                }
            }
            Step::Answered { key, asked } => {
                let asked_by = [pair[1], pair[0]];
                if let Some(stats) = self.pairs.get_mut(&asked_by) {
                    stats.answered(key.ask, at.time.nanos_since(asked));
                }
            }
            Step::Unasked { key } => {
                let asked_by = [pair[1], pair[0]];
                if let Some(stats) = self.pairs.get_mut(&asked_by) {
                    stats.unasked(key.ask);
                }
            }
        }
    }

    /// A node whose recovery number goes back to the start is there anew: 3.1 shows it in no other way.
    fn recovery(&mut self, from: NodeId, rcom: &Rcom<'_>) {
        if rcom.version() == Version::V3_1 && rcom.rcom_type() == RcomType::Status {
            let key = (from, rcom.lockspace());
            if self.recoveries.len() >= RECOVERIES_MAX && !self.recoveries.contains_key(&key) {
                return;
            }
            let before = self.recoveries.insert(key, rcom.seq());
            if before.is_some_and(|before| rcom.seq() < before) {
                self.exchanges.forget_member(from, rcom.lockspace());
            }
        }
    }

    fn pair(&mut self, pair: Pair) -> Option<&mut PairStats> {
        if self.pairs.len() >= PAIRS_MAX && !self.pairs.contains_key(&pair) {
            return None;
        }
        Some(self.pairs.entry(pair).or_default())
    }
}

impl Sink for Stats<'_> {
    fn event(&mut self, at: Stamp, event: Event<'_>) {
        self.nodes.take(&event);
        match event {
            Event::FramingLost { .. } => self.totals.damaged = true,
            Event::LinkDown { link, .. } => self.nodes.link_down(link),
            event => {
                if let Some(frame) = FrameEvent::new(&event) {
                    self.frame(at, &frame);
                }
            }
        }
    }
}
