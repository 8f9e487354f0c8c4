//! Captures judged: a verdict, what it rests on, and everything found on the way.
//!
//! [`Checker`] takes a capture's events, drives the observer with them and turns its facts into [`Finding`]s by the
//! [`rules`]; requests and replies, recovery barriers and what single frames say of themselves are its own.
//!
//! ```no_run
//! use dlmwire_interop::capture;
//! use dlmwire_interop::check::{Checker, Known, Severity};
//!
//! let mut checker = Checker::new(&Known::default());
//! let summary = capture::read_path("cluster.pcap".as_ref(), &capture::Options::default(), &mut checker)?;
//! let report = checker.finish(&summary);
//! for finding in &report.findings {
//!     println!("{} {}: {}", finding.rule.id, finding.severity, finding.text);
//! }
//! assert_eq!(report.findings.count(Severity::Error), 0);
//! # Ok::<(), capture::CaptureError>(())
//! ```

mod evidence;
mod finding;
mod kernel_log;
mod log_check;
mod messages;
mod pairs;
mod recovery;
mod report;
pub mod rules;
mod sentences;
pub(crate) mod stations;
mod tally;
mod trace_check;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use dlmwire_codec::{Frame, LockspaceId, NodeId, RawFrame, Version};
use dlmwire_midcomms::Time;
use dlmwire_midcomms::observer::{
    At, Config, Ending as ConversationEnd, Ends, Fact, FactKind, HalfSent, LinkEnd, LinkId, LinkStart, Mark,
    Observer, StationId, Verdict as FrameVerdict,
};

use crate::capture::{self, Begun, Ending, Event, Gap, Side, Sink, Stamp, Summary};
use crate::check::log_check::LogCheck;
use crate::check::messages::Messages;
use crate::check::pairs::Pairs;
use crate::check::sentences::Sentence;
use crate::check::stations::Stations;
use crate::check::tally::Tally;
use crate::check::trace_check::TraceCheck;
use crate::trace::Trace;

pub use finding::{Finding, Findings, KEPT_PER_RULE, Party, Severity};
pub use kernel_log::{KernelLog, LogEntry, LogLine};
pub use recovery::{Phase, Recovery};
pub use report::{CheckSummary, DirectionReport, LinkCounts, LockspaceReport, NodeReport, Report, Verdict};

/// Ended links that are remembered.
const ENDED_LINKS_MAX: usize = 1024;

/// What the operator knows and the capture may not say.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Node ids with their addresses.
    pub nodes: Vec<(NodeId, IpAddr)>,
    /// Names of lockspaces by id.
    pub lockspaces: BTreeMap<LockspaceId, String>,
    /// Kernel logs of the nodes, to tell what was delivered from what was processed.
    pub kernel_logs: Vec<KernelLog>,
    /// Kernel traces and whose they are: what a node really took.
    pub traces: Vec<(NodeId, Arc<Trace>)>,
}

/// Judges a capture while it is read.
#[derive(Debug)]
pub struct Checker {
    known: Known,
    observer: Observer,
    stations: Stations,
    links: BTreeMap<capture::LinkId, Ends>,
    /// Links that ended, oldest first: kept for a while for what comes late on them.
    ended: VecDeque<capture::LinkId>,
    counts: LinkCounts,
    tally: Tally,
    messages: Messages,
    findings: Findings,
    log: LogCheck,
    traces: TraceCheck,
    pairs: Pairs,
    first: Option<Stamp>,
    last: Stamp,
}

impl Checker {
    /// A checker that has seen nothing.
    pub fn new(known: &Known) -> Self {
        Self {
            known: known.clone(),
            observer: Observer::new(Config::default()),
            stations: Stations::new(&known.nodes),
            links: BTreeMap::new(),
            ended: VecDeque::new(),
            counts: LinkCounts::default(),
            tally: Tally::default(),
            messages: Messages::default(),
            findings: Findings::default(),
            log: LogCheck::new(&known.kernel_logs),
            traces: TraceCheck::new(&known.nodes, &known.traces),
            pairs: Pairs::default(),
            first: None,
            last: Stamp::default(),
        }
    }

    /// Ends the capture: tells what never happened, and gives the verdict.
    pub fn finish(mut self, summary: &Summary) -> Report {
        self.end();
        self.versions();
        let limits = evidence::of_limits(self.counts, self.observer.given_up());
        for sentence in evidence::of_capture(summary).into_iter().chain(limits) {
            self.push(self.last, Vec::new(), sentence);
        }
        report::build(self, summary)
    }

    /// Tells what never happened.
    fn end(&mut self) {
        let at = at(self.last);
        self.observer.handle_end(at);
        self.drain(self.last);
        let last = self.last;
        let heard = self.heard();
        let told = self
            .messages
            .end(last, &heard)
            .into_iter()
            .chain(self.log.end(last))
            .chain(self.traces.end(last));
        for (nodes, stamp, sentence) in told.collect::<Vec<_>>() {
            let parties = nodes.into_iter().map(Party::Node).collect();
            self.push(stamp, parties, sentence);
        }
    }

    /// Who was heard by whom: what was never captured cannot be missed.
    fn heard(&self) -> BTreeSet<(NodeId, NodeId)> {
        let spoke = self.observer.summaries().filter(|one| one.frames > 0);
        spoke
            .filter_map(|one| Some((self.stations.node(one.from)?, self.stations.node(one.to)?)))
            .collect()
    }

    /// Tells which pairs have nothing but 3.1 to rely on.
    fn versions(&mut self) {
        let mut pairs: BTreeMap<(StationId, StationId), BTreeSet<Version>> = BTreeMap::new();
        for one in self.observer.summaries() {
            let pair = (one.from.min(one.to), one.from.max(one.to));
            pairs.entry(pair).or_default().extend(one.version);
        }
        for ((one, other), versions) in pairs {
            let rule = match (
                versions.contains(&Version::V3_1),
                versions.contains(&Version::V3_2),
            ) {
                (true, true) => &rules::VERS_MIXED,
                (true, false) => &rules::VERS_3_1,
                (false, _) => continue,
            };
            let parties = [one, other]
                .map(|station| party(&self.stations, station))
                .to_vec();
            let text = "nothing is numbered, acknowledged or resent between the two".to_owned();
            self.push(self.last, parties, Sentence::new(rule, text));
        }
    }

    fn frame(&mut self, stamp: Stamp, link: capture::LinkId, from: Side, frame: RawFrame<'_>) {
        let Some(&ends) = self.links.get(&link) else {
            return;
        };
        let (sender, receiver) = by_side(ends, from);
        let decoded = frame.decode();
        if let Ok(decoded) = &decoded {
            self.stations.learn(sender, decoded.node());
            self.tally.count(decoded);
        }
        let judgement = self
            .observer
            .handle_frame(at(stamp), link_id(link), sender, frame.bytes(), decoded);
        self.drain(stamp);
        let Ok(decoded) = decoded else { return };
        let nodes = [self.stations.node(sender), self.stations.node(receiver)];
        if let (Frame::Opts(opts), [Some(from), Some(to)]) = (&decoded, nodes) {
            self.log.seen([from, to], opts.seq, stamp, judgement.verdict);
        }
        let taken = match judgement.verdict {
            FrameVerdict::InOrder | FrameVerdict::Unnumbered => true,
            FrameVerdict::Duplicate { .. }
            | FrameVerdict::Gap
            | FrameVerdict::Refused(_)
            | FrameVerdict::Damaged
            | FrameVerdict::NoLink => false,
        };
        if taken {
            self.message(stamp, &decoded, [sender, receiver], nodes);
        }
    }

    /// Looks at what a frame says, once its receiver takes it.
    fn message(
        &mut self,
        stamp: Stamp,
        frame: &Frame<'_>,
        stations: [StationId; 2],
        nodes: [Option<NodeId>; 2],
    ) {
        let [sender, receiver] = stations;
        if nodes[1].is_none() {
            self.pairs.unaddressed(sender, receiver);
        }
        let asked_unseen = |pairs: &mut Pairs| {
            pairs.was_partial(sender, receiver) || pairs.was_unaddressed(receiver, sender)
        };
        for sentence in self
            .messages
            .take(stamp, frame, nodes, || asked_unseen(&mut self.pairs))
        {
            let parties = stations.map(|station| party(&self.stations, station)).to_vec();
            self.push(stamp, parties, sentence);
        }
        while let Some((nodes, stamp, sentence)) = self.messages.poll_overdue(stamp) {
            let parties = nodes.into_iter().map(Party::Node).collect();
            self.push(stamp, parties, sentence);
        }
    }

    /// Turns the observer's facts into findings, and keeps its books on those that are not worth one.
    fn drain(&mut self, stamp: Stamp) {
        while let Some(fact) = self.observer.poll_fact() {
            self.fact(stamp, &fact);
        }
    }

    fn fact(&mut self, stamp: Stamp, fact: &Fact) {
        self.pairs.fact(fact);
        let mut over = None;
        match fact.kind {
            FactKind::LinkUp { crosses: Some(_), .. } => self.counts.crossing += 1,
            // Links that go without the handshake answer nothing either, but there the silence is worth telling.
            FactKind::ConversationEnded {
                how: ConversationEnd::Clean | ConversationEnd::Unnumbered,
                ..
            } => {
                let nodes = [self.stations.node(fact.from), self.stations.node(fact.to)];
                over = self.messages.conversation_over(nodes, stamp);
            }
            _ => {}
        }
        let told = sentences::of(fact, self.pairs.lost_association(fact.from, fact.to));
        for mut sentence in told.into_iter().chain(over) {
            if self.pairs.is_partial(fact.from, fact.to, fact.session) {
                sentence.weigh_against_holes();
            }
            let parties = [fact.from, fact.to]
                .map(|station| party(&self.stations, station))
                .to_vec();
            self.push(stamp, parties, sentence);
        }
    }

    fn push(&mut self, stamp: Stamp, nodes: Vec<Party>, sentence: Sentence) {
        self.findings.push(finding(stamp, nodes, sentence));
    }

    fn link_up(
        &mut self,
        stamp: Stamp,
        link: capture::LinkId,
        begun: Begun,
        ends: [capture::Endpoint<'_>; 2],
    ) {
        let [Some(a), Some(b)] = ends.map(|end| self.stations.resolve(end.addresses)) else {
            self.counts.not_followed += 1;
            return;
        };
        let ends = Ends {
            dialled: a,
            accepted: b,
        };
        if a == b {
            let text =
                "both ends of the link have one address: whose frame is whose cannot be told".to_owned();
            self.push(
                stamp,
                vec![party(&self.stations, a)],
                Sentence::new(&rules::CAP_ONE_HOST, text),
            );
        }
        self.links.insert(link, ends);
        let how = match begun {
            Begun::Handshake => LinkStart::Handshake,
            Begun::MidStream => LinkStart::Midway,
        };
        self.observer.handle_link_up(at(stamp), link_id(link), ends, how);
    }

    fn link_down(
        &mut self,
        stamp: Stamp,
        link: capture::LinkId,
        why: Ending,
        half_sent: [Option<capture::HalfSent>; 2],
    ) {
        self.ended.push_back(link);
        if self.ended.len() > ENDED_LINKS_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.links.remove(&oldest);
        }
        let why = match why {
            // The observer hears of the capture's end by itself: these links are still up.
            Ending::EndOfCapture => {
                self.counts.open += 1;
                return;
            }
            Ending::Fin | Ending::Shutdown => {
                self.counts.closed += 1;
                LinkEnd::Closed
            }
            Ending::Reset { .. } => {
                self.counts.reset += 1;
                LinkEnd::Reset
            }
            Ending::Abort { .. } => {
                self.counts.aborted += 1;
                LinkEnd::Aborted
            }
            Ending::Replaced | Ending::Evicted => {
                self.counts.vanished += 1;
                LinkEnd::Vanished
            }
        };
        let [dialled, accepted] =
            half_sent.map(|half| half.map_or(0, |half| u32::try_from(half.have).unwrap_or(u32::MAX)));
        self.observer
            .handle_link_down(at(stamp), link_id(link), why, HalfSent { dialled, accepted });
    }
}

impl Sink for Checker {
    fn event(&mut self, stamp: Stamp, event: Event<'_>) {
        self.first.get_or_insert(stamp);
        self.last = stamp;
        self.traces.event(stamp, event);
        let sender = |link, from| self.links.get(&link).map(|ends| by_side(*ends, from).0);
        match event {
            // What was under way when a link was reset was sent all the same; the receiver may have read it.
            Event::Frame {
                link, from, frame, ..
            }
            | Event::Late {
                link, from, frame, ..
            } => {
                return self.frame(stamp, link, from, frame);
            }
            Event::LinkUp {
                link,
                begun,
                ends,
                transport,
            } => {
                self.counts.up(transport);
                self.link_up(stamp, link, begun, ends);
            }
            Event::LinkDown { link, why, half_sent } => self.link_down(stamp, link, why, half_sent),
            Event::FramingLost { link, from, error } => {
                if let Some(station) = sender(link, from) {
                    self.observer
                        .handle_framing_lost(at(stamp), link_id(link), station, error);
                }
            }
            Event::Missing { link, from, gap, .. } => {
                let bytes = match gap {
                    Gap::Bytes(bytes) => bytes,
                    // How many bytes the chunks had is not known; that something is missing is what counts.
                    Gap::Chunks(chunks) => chunks,
                };
                if let Some(station) = sender(link, from) {
                    self.observer
                        .handle_missing(at(stamp), link_id(link), station, bytes);
                }
            }
            Event::HalfClosed { link, from } => {
                if let Some(station) = sender(link, from) {
                    self.observer
                        .handle_half_closed(at(stamp), link_id(link), station);
                }
            }
            Event::AddressAdded { link, side, address } => {
                if let Some(station) = sender(link, side) {
                    self.stations.add_address(station, address);
                }
            }
            Event::Refused { .. } => self.counts.refused += 1,
            Event::Resynchronised { .. }
            | Event::Retransmitted { .. }
            | Event::SeenTwice { .. }
            | Event::Fragment { .. } => return,
        }
        self.drain(stamp);
    }
}

fn finding(stamp: Stamp, nodes: Vec<Party>, sentence: Sentence) -> Finding {
    let mut packets = vec![stamp.packet];
    packets.extend(sentence.also.into_iter().filter(|packet| *packet != stamp.packet));
    Finding {
        rule: sentence.rule,
        severity: sentence.rule.severity,
        packets,
        at: stamp,
        nodes,
        text: sentence.text,
    }
}

fn party(stations: &Stations, station: StationId) -> Party {
    match (stations.node(station), stations.addresses(station)) {
        (Some(node), _) => Party::Node(node),
        (None, [address, ..]) => Party::Address(*address),
        (None, []) => unreachable!("stations are made from addresses"),
    }
}

/// Sender and receiver of what comes from a side.
const fn by_side(ends: Ends, from: Side) -> (StationId, StationId) {
    match from {
        Side::A => (ends.dialled, ends.accepted),
        Side::B => (ends.accepted, ends.dialled),
    }
}

/// Nanoseconds as seconds, for people and for JSON.
#[allow(
    clippy::cast_precision_loss,
    reason = "a clock's nanoseconds are not exact to 2^-53 either"
)]
fn seconds_f64(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

const fn at(stamp: Stamp) -> At {
    At {
        time: Time(stamp.time.as_nanos()),
        mark: Mark(stamp.packet),
    }
}

const fn link_id(link: capture::LinkId) -> LinkId {
    LinkId(link.get())
}
