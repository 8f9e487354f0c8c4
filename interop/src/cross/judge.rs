//! What becomes of pairs, of events without a frame and of frames without an event.

use std::collections::BTreeMap;

use dlmwire_codec::{NodeId, Seq};
use dlmwire_midcomms::observer::Verdict;

use super::Addressed;
use super::differ::first_difference;
use super::latency::Latency;
use super::pairing::{COPIES_MAX, Match, Told};
use super::report::{ClockSource, DirectionReport, Finding, Findings, Kind, Outcome, PeerReport, Report};
use super::sockets;
use super::traffic::{Carried, Sighting, Traffic};
use super::wire::Wire;
use crate::capture::{LinkId, Stamp};
use crate::trace::{Direction, Trace};

/// The shortest message that may be too long for a kernel's trace, in bytes: as hexadecimal it is twice as long, and
/// older kernels' lines have 4096 bytes.
const LONG_BYTES: usize = 1700;

/// Peers that are compared; clusters have some dozens.
pub(super) const PEERS_MAX: usize = 256;

/// How far two clocks may be apart before it is told, in nanoseconds.
const CLOCK_SLACK: u64 = 1_000_000;

/// One direction between the kernel and a peer.
pub(super) struct Direct<'a> {
    pub(super) peer: NodeId,
    pub(super) direction: Direction,
    pub(super) traffic: Traffic<'a>,
    pub(super) told: Vec<Told<'a>>,
    pub(super) matches: Vec<Match>,
    /// Whether a link between the two was reset.
    pub(super) was_reset: bool,
}

/// Judges direction after direction.
pub(super) struct Judge<'a> {
    wire: &'a Wire,
    trace: &'a Trace,
    node: NodeId,
    clock: ClockSource,
    /// From the first to the last event of any kind, on the capture's clock.
    window: Option<[u64; 2]>,
    sums: sockets::Sums,
    findings: Findings,
    peers: Vec<PeerReport>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(wire: &'a Wire, trace: &'a Trace, node: NodeId, clock: ClockSource) -> Self {
        let window = clock.offset().and_then(|offset| {
            let times = || trace.events.iter().map(|event| event.time.as_nanos());
            let on_wire = |time: u64| time.checked_add_signed(offset);
            Some([on_wire(times().min()?)?, on_wire(times().max()?)?])
        });
        Self {
            wire,
            trace,
            node,
            clock,
            window,
            sums: sockets::sums(trace),
            findings: Findings::default(),
            peers: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Report {
        Report {
            node: self.node,
            peers: self.peers,
            clock: self.clock,
            findings: self.findings,
        }
    }

    /// What is wrong with the trace itself, or with what was kept of the capture.
    pub(super) fn of_input(&mut self, peers: usize) {
        for loss in &self.trace.losses {
            let text = match loss.events {
                Some(count) => format!("the kernel lost {count} events before this line"),
                None => "the kernel lost events before this line".to_owned(),
            };
            self.push(Kind::EventsLost, None, None, Some(loss.line), text);
        }
        for bad in &self.trace.bad {
            self.push(
                Kind::TraceLines,
                None,
                None,
                Some(bad.line),
                bad.fault.to_string(),
            );
        }
        if self.trace.too_big > 0 {
            let text = format!(
                "{} events were too long for the kernel's trace and cannot be compared",
                self.trace.too_big
            );
            self.push(Kind::TooLongForTrace, None, None, None, text);
        }
        if self.trace.left_out > 0 {
            let text = format!("{} events of the trace were left out", self.trace.left_out);
            self.push(Kind::LeftOut, None, None, None, text);
        }
        if peers > PEERS_MAX {
            let text = format!("{peers} peers are more than {PEERS_MAX}: the rest were left out");
            self.push(Kind::LeftOut, None, None, None, text);
        }
        if !self.wire.is_whole() {
            let text = "the capture is longer than what is kept of one".to_owned();
            self.push(Kind::LeftOut, None, None, None, text);
        }
    }

    /// Events about nodes that the capture does not show.
    pub(super) fn strangers(&mut self, addressed: &Addressed<'_>, only: Option<NodeId>) {
        let known = self.wire.peers(self.node);
        for ((peer, direction), events) in addressed {
            let is_known = peer.is_some_and(|peer| known.contains(&peer));
            if is_known || (only.is_some() && *peer != only) {
                continue;
            }
            for (event, message) in events {
                let text = format!(
                    "{} {}: no frame",
                    direction,
                    describe(&message.frame, Some(message.seq))
                );
                self.push(Kind::EventWithoutFrame, *peer, None, Some(event.line), text);
            }
        }
    }

    /// Both directions between the kernel and one peer; sent comes first.
    pub(super) fn peer(&mut self, peer: NodeId, [sent, received]: [Direct<'_>; 2]) {
        let mut reports = [
            self.direction(&sent, &received.traffic),
            self.direction(&received, &sent.traffic),
        ];
        let lasts =
            [&sent, &received].map(|direct| direct.traffic.sightings.last().map(|last| last.frame.stamp));
        for ((report, direction), last) in reports.iter_mut().zip(Direction::BOTH).zip(lasts) {
            let bytes = sockets::compare(
                self.wire,
                [self.node, peer],
                direction,
                last,
                self.window,
                (&self.sums, self.trace.is_whole()),
            );
            report.wire_bytes = bytes.wire;
            report.socket_bytes = bytes.socket;
            report.bytes_comparable = bytes.comparable;
            if let Some(text) = bytes.fault() {
                self.push(Kind::SocketBytes, Some(peer), None, None, text);
            }
        }
        let [sent, received] = reports;
        self.peers.push(PeerReport { peer, sent, received });
    }

    fn direction(&mut self, direct: &Direct<'_>, other_way: &Traffic<'_>) -> DirectionReport {
        let mut report = DirectionReport {
            frames: count(direct.traffic.sightings.len()),
            events: count(direct.told.len()),
            ..DirectionReport::default()
        };
        let mut times = Vec::new();
        let mut early: Option<(u64, &Told<'_>, u64)> = None;
        for (told, found) in direct.told.iter().zip(&direct.matches) {
            let Match::Frame(frame) = *found else {
                self.event_alone(direct, told, *found);
                continue;
            };
            let Some(sighting) = direct.traffic.sightings.get(frame) else {
                continue;
            };
            report.identical += u64::from(self.is_identical(direct.peer, told, sighting));
            match latency(direct.direction, told, sighting) {
                Some(Ok(time)) => times.push(time),
                Some(Err(before)) => {
                    times.push(0);
                    let known = early.map_or((0, told, 0), |known| known);
                    let worst = if before > known.2 {
                        (told, before)
                    } else {
                        (known.1, known.2)
                    };
                    early = Some((known.0 + 1, worst.0, worst.1));
                }
                None => {}
            }
        }
        if let Some((count, told, before)) = early.filter(|(.., before)| *before > CLOCK_SLACK) {
            let text = format!(
                "{count} events lie before their cause, this one by {before} ns: the clocks of trace and capture \
                 do not agree"
            );
            self.push(Kind::Clock, Some(direct.peer), None, Some(told.line), text);
        }
        report.latency = Latency::of(times);
        self.order(direct);
        for (index, sighting) in direct.traffic.sightings.iter().enumerate() {
            let outcome = self.outcome(direct, index, sighting, other_way);
            *report.outcomes.entry(outcome).or_default() += 1;
            self.frame_alone(direct, sighting, outcome);
        }
        let outside = report.of(Outcome::Outside);
        if outside > 0 {
            let text = format!(
                "{outside} frames were {} before the trace began or after it ended",
                direct.direction
            );
            self.push(Kind::OutsideTrace, Some(direct.peer), None, None, text);
        }
        report
    }

    fn is_identical(&mut self, peer: NodeId, told: &Told<'_>, sighting: &Sighting<'_>) -> bool {
        let Carried::Message { bytes, .. } = sighting.carried else {
            return false;
        };
        let difference = first_difference(&told.message.frame, told.message.stated_length, bytes);
        let Some(difference) = difference else {
            return true;
        };
        let text = format!("{}: {difference}", describe(bytes, number(sighting)));
        let at = Some(sighting.frame.stamp);
        self.push(Kind::FieldDiffers, Some(peer), at, Some(told.line), text);
        false
    }

    /// An event that has no frame.
    fn event_alone(&mut self, direct: &Direct<'_>, told: &Told<'_>, found: Match) {
        let what = describe(&told.message.frame, Some(told.message.seq));
        let direction = direct.direction;
        let (kind, text) = match found {
            Match::Twice => (
                Kind::EventTwice,
                format!("{direction} {what}: its number has an event already"),
            ),
            Match::Nothing {
                session: Some(session),
            } if direction == Direction::Sent && Self::never_sent(direct, session, told.message.seq) => (
                Kind::NeverSent,
                format!("{what} was committed behind everything that its conversation has on the wire"),
            ),
            Match::Nothing { .. } | Match::Frame(_) => (
                Kind::EventWithoutFrame,
                format!("{direction} {what}: the capture does not have it"),
            ),
        };
        self.push(kind, Some(direct.peer), None, Some(told.line), text);
    }

    /// Whether a number lies behind everything on the wire, and no link was left to send it on.
    fn never_sent(direct: &Direct<'_>, session: u32, seq: Seq) -> bool {
        let highest = direct.traffic.highest(session);
        let is_behind = highest.is_none_or(|highest| Seq::new(highest).before(seq));
        is_behind && direct.was_reset
    }

    /// What the kernel took, or committed, in another order than it came, or was numbered.
    fn order(&mut self, direct: &Direct<'_>) {
        let mut on_link: BTreeMap<LinkId, (usize, u64)> = BTreeMap::new();
        let mut numbered: Option<(u32, Seq, u64)> = None;
        for (told, found) in direct.told.iter().zip(&direct.matches) {
            let Match::Frame(frame) = *found else { continue };
            let Some(sighting) = direct.traffic.sightings.get(frame) else {
                continue;
            };
            let before = on_link.insert(sighting.frame.link, (frame, told.line));
            let mut wrong = before.filter(|(last, _)| *last > frame).map(|(_, line)| line);
            if let Some(seq) = number(sighting) {
                let session = sighting.frame.session;
                let last = numbered.filter(|(last, ..)| *last == session);
                wrong = match last {
                    Some((_, last, line)) if seq.before(last) => Some(line),
                    // What came over another link may lie anywhere; its number is right.
                    Some(_) => wrong.filter(|_| direct.direction == Direction::Received),
                    None => wrong,
                };
                numbered = Some((session, seq, told.line));
            }
            if let Some(line) = wrong {
                let what = describe(&told.message.frame, number(sighting));
                let (kind, text) = match direct.direction {
                    Direction::Received => (
                        Kind::OrderDiffers,
                        format!("{what} came before the message of line {line} and was taken after it"),
                    ),
                    Direction::Sent => (
                        Kind::CommitOrder,
                        format!(
                            "{what} was numbered before the message of line {line} and committed after it"
                        ),
                    ),
                };
                let at = Some(sighting.frame.stamp);
                self.push(kind, Some(direct.peer), at, Some(told.line), text);
            }
        }
    }

    /// What became of a frame.
    fn outcome<'d>(
        &self,
        direct: &Direct<'d>,
        index: usize,
        sighting: &Sighting<'d>,
        other_way: &Traffic<'_>,
    ) -> Outcome {
        if sighting.event.is_some() {
            return Outcome::Paired;
        }
        let is_received = direct.direction == Direction::Received;
        let verdict = sighting.frame.verdict;
        let (seq, bytes) = match sighting.carried {
            Carried::Fin | Carried::Ack(_) => return Outcome::Control,
            Carried::Unreadable => return Outcome::Refused,
            Carried::Message { .. }
                if is_received
                    && matches!(verdict, Verdict::Refused(_) | Verdict::Damaged | Verdict::NoLink) =>
            {
                return Outcome::Refused;
            }
            Carried::Message { seq: None, .. } => return Outcome::Bare,
            Carried::Message {
                seq: Some(seq),
                bytes,
            } => (seq, bytes),
        };
        let session = sighting.frame.session;
        // Events are looked for among the first copies only.
        let mut copies = direct
            .traffic
            .copies(session, seq)
            .iter()
            .copied()
            .take(COPIES_MAX);
        let taken = copies.find(|copy| {
            let copy = direct.traffic.sightings.get(*copy);
            copy.is_some_and(|copy| copy.event.is_some())
        });
        match taken {
            Some(_) if !is_received => return Outcome::Resent,
            Some(taken) if taken < index => return Outcome::Duplicate,
            _ if is_received && verdict == Verdict::Gap => return Outcome::Gap,
            // It came again, and that was taken.
            Some(_) => return Outcome::ThrownAway,
            None => {}
        }
        let time = sighting.frame.stamp.time.as_nanos();
        if self
            .window
            .is_none_or(|[first, last]| time < first || last < time)
        {
            return Outcome::Outside;
        }
        if bytes.len() >= LONG_BYTES {
            return Outcome::TooLong;
        }
        if !self.trace.is_whole() {
            return Outcome::EventLost;
        }
        let link = self.wire.links.get(&sighting.frame.link);
        let was_reset = link.is_some_and(|link| link.reset.is_some());
        let was_acked = other_way.has_acked(session, seq);
        if is_received && was_reset && !was_acked {
            return Outcome::ThrownAway;
        }
        Outcome::Unexplained
    }

    /// Tells of a frame that has no event where that is worth it.
    fn frame_alone(&mut self, direct: &Direct<'_>, sighting: &Sighting<'_>, outcome: Outcome) {
        let Carried::Message { bytes, .. } = sighting.carried else {
            return;
        };
        let what = describe(bytes, number(sighting));
        let (kind, text) = match outcome {
            Outcome::Unexplained if direct.direction == Direction::Received => (
                Kind::FrameWithoutEvent,
                format!("{what} was delivered and never processed"),
            ),
            Outcome::Unexplained => (
                Kind::FrameWithoutEvent,
                format!("{what} is on the wire and was never committed"),
            ),
            Outcome::ThrownAway => (
                Kind::ThrownAway,
                format!("{what} was delivered and not processed: thrown away unread when its link was reset"),
            ),
            Outcome::TooLong => (
                Kind::TooLongForTrace,
                format!("{what} of {} bytes has no event", bytes.len()),
            ),
            Outcome::EventLost => (
                Kind::EventsLost,
                format!("{what} has no event; the trace lost some"),
            ),
            Outcome::Paired
            | Outcome::Control
            | Outcome::Bare
            | Outcome::Duplicate
            | Outcome::Resent
            | Outcome::Gap
            | Outcome::Refused
            | Outcome::Outside => return,
        };
        let at = Some(sighting.frame.stamp);
        self.push(kind, Some(direct.peer), at, None, text);
    }

    fn push(&mut self, kind: Kind, peer: Option<NodeId>, at: Option<Stamp>, line: Option<u64>, text: String) {
        self.findings.push(Finding {
            kind,
            severity: kind.severity(),
            peer,
            packet: at.map(|at| at.packet),
            at,
            line,
            text,
        });
    }
}

/// From the wire to the event, or from the event to the wire; the distance the wrong way round where it is one.
fn latency(direction: Direction, told: &Told<'_>, sighting: &Sighting<'_>) -> Option<Result<u64, u64>> {
    let event = told.time?;
    let frame = sighting.frame.stamp.time.as_nanos();
    let [first, second] = match direction {
        Direction::Received => [frame, event],
        Direction::Sent => [event, frame],
    };
    Some(second.checked_sub(first).ok_or_else(|| first - second))
}

fn number(sighting: &Sighting<'_>) -> Option<Seq> {
    match sighting.carried {
        Carried::Message { seq, .. } => seq,
        Carried::Fin | Carried::Ack(_) | Carried::Unreadable => None,
    }
}

/// A message in a few words.
fn describe(bytes: &[u8], seq: Option<Seq>) -> String {
    use dlmwire_codec::{MsgType, RcomType};
    let kind = bytes
        .get(16..20)
        .and_then(|kind| kind.try_into().ok())
        .map_or(0, u32::from_le_bytes);
    let name = match bytes.get(14) {
        Some(2) => format!("RCOM {}", RcomType::from_wire(kind)),
        _ => format!("MSG {}", MsgType::from_wire(kind)),
    };
    match seq {
        Some(seq) => format!("number {} ({name})", seq.get()),
        None => format!("a bare message ({name})"),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
