//! The report: who talked, over what, how much, and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dlmwire_codec::Version;
use dlmwire_midcomms::observer::{DirectionSummary, Ending, StationId};
use serde::Serialize;

use crate::capture::{CaptureStats, End, Summary, Transport};
use crate::check::finding::{Findings, Party, Severity};
use crate::check::{Checker, party, rules, seconds_f64};

/// Everything that a check has to say about a capture.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was found, in order.
    pub findings: Findings,
    /// The figures.
    pub summary: CheckSummary,
    /// What the capture reader counted.
    pub stats: CaptureStats,
}

impl Report {
    /// Whether nothing was found at or above this severity.
    pub fn conforms(&self, fail_on: Severity) -> bool {
        self.findings.worst().is_none_or(|worst| worst < fail_on)
    }

    /// Whether there was anything to judge: at least one DLM frame.
    pub fn judged(&self) -> bool {
        !self.summary.messages.is_empty()
    }

    /// The verdict: [`Verdict::Fails`] if something was found at or above this severity.
    pub fn verdict(&self, fail_on: Severity) -> Verdict {
        if !self.conforms(fail_on) {
            Verdict::Fails
        } else if !self.judged() {
            Verdict::NothingToJudge
        } else if !self.summary.complete {
            Verdict::Incomplete
        } else {
            Verdict::Conforms
        }
    }

    /// The rules that were applied, and how often.
    pub fn rules_applied(&self) -> impl Iterator<Item = (&'static rules::Rule, u64)> + '_ {
        self.summary
            .rules
            .iter()
            .filter_map(|(id, count)| Some((rules::rule(id)?, *count)))
    }
}

/// What a check comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Nothing was found that would make it fail.
    Conforms,
    /// Something was.
    Fails,
    /// Nothing was found, but the file could not be read to its end.
    Incomplete,
    /// The capture holds no DLM frame on the ports looked at.
    NothingToJudge,
}

impl Verdict {
    /// The words in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conforms => "conforms",
            Self::Fails => "fails",
            Self::Incomplete => "incomplete",
            Self::NothingToJudge => "nothing to judge",
        }
    }
}

/// The figures of a report.
#[derive(Clone, Debug, Serialize)]
pub struct CheckSummary {
    /// Packets in the file.
    pub packets: u64,
    /// Bytes captured of them.
    pub bytes: u64,
    /// Whether the file was read to its end.
    pub complete: bool,
    /// From the first to the last packet with DLM traffic, in seconds.
    pub seconds: f64,
    /// Hosts that took part.
    pub nodes: Vec<NodeReport>,
    /// Links.
    pub links: LinkCounts,
    /// Frames by version and command.
    pub messages: BTreeMap<String, u64>,
    /// Messages by type, bare and wrapped together.
    pub types: BTreeMap<String, u64>,
    /// What each host sent to each other.
    pub directions: Vec<DirectionReport>,
    /// Lockspaces by id or name.
    pub lockspaces: Vec<LockspaceReport>,
    /// Numbered messages lost for good, as far as the capture shows.
    pub lost: u64,
    /// Findings by severity.
    pub findings: BTreeMap<&'static str, u64>,
    /// Findings by rule.
    pub rules: BTreeMap<&'static str, u64>,
}

/// A host.
#[derive(Clone, Debug, Serialize)]
pub struct NodeReport {
    /// Its node id, or an address where it never said.
    pub node: Party,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Versions that it spoke.
    pub versions: Vec<String>,
}

/// How links began and ended.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct LinkCounts {
    /// TCP connections.
    pub tcp: u64,
    /// SCTP associations.
    pub sctp: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Links that crossed another one of the same two nodes.
    pub crossing: u64,
    /// Links that ended by RST.
    pub reset: u64,
    /// Links that ended by ABORT.
    pub aborted: u64,
    /// Links that were closed in order.
    pub closed: u64,
    /// Links that ended without a word: ports used anew.
    pub vanished: u64,
    /// Links that were open when the capture ended.
    pub open: u64,
    /// Links that were not followed because there were too many hosts.
    pub not_followed: u64,
    /// RST and ABORT packets; both ends may send several per link.
    pub rst_or_abort: u64,
}

impl LinkCounts {
    /// Counts one that came up.
    pub(crate) const fn up(&mut self, transport: Transport) {
        match transport {
            Transport::Tcp => self.tcp += 1,
            Transport::Sctp => self.sctp += 1,
        }
    }

    /// Links that ended by RST or ABORT.
    pub const fn lost(&self) -> u64 {
        self.reset + self.aborted
    }
}

/// What one host sent to another, over all links and conversations.
#[derive(Clone, Debug, Serialize)]
pub struct DirectionReport {
    /// The sender.
    pub from: Party,
    /// The receiver.
    pub to: Party,
    /// The sender's version.
    pub version: Option<String>,
    /// Conversations of the two.
    pub sessions: u32,
    /// Frames.
    pub frames: u64,
    /// Numbered messages, each counted once.
    pub sent: u64,
    /// Numbered messages that came again with the same bytes, as often as they did.
    pub resent: u64,
    /// How many different messages those were.
    pub resent_distinct: u64,
    /// Messages that the receiver drops because it has had them.
    pub duplicates_dropped: u64,
    /// Messages that the receiver drops because earlier ones are missing.
    pub early_dropped: u64,
    /// Gaps, and how many of them were filled.
    pub gaps: u64,
    /// Of the gaps.
    pub gaps_filled: u64,
    /// Acknowledgements from the receiver.
    pub acks: u64,
    /// The most messages ever unacknowledged.
    pub unacked_max: u32,
    /// Messages unacknowledged at the end.
    pub unacked_at_end: u32,
    /// The sender's states, in the kernel's words.
    pub states: Vec<&'static str>,
    /// How the last conversation ended.
    pub ending: Option<&'static str>,
}

/// A lockspace.
#[derive(Clone, Debug, Serialize)]
pub struct LockspaceReport {
    /// Its id.
    pub id: String,
    /// Its name, where known.
    pub name: Option<String>,
    /// Messages that name it.
    pub messages: u64,
    /// Recoveries that finished, counted at each node that took part.
    pub recoveries: u64,
    /// Recoveries that did not.
    pub recoveries_unfinished: u64,
    /// The longest finished recovery, in seconds.
    pub recovery_seconds_max: f64,
}

/// Makes the report of a checker that has been told the end.
pub(super) fn build(checker: Checker, capture: &Summary) -> Report {
    let stats = &capture.stats;
    let mut links = checker.counts;
    links.rst_or_abort = stats.tcp.rst + stats.sctp.abort;
    let directions: Vec<DirectionSummary> = checker.observer.summaries().collect();
    let findings = BTreeMap::from_iter(
        Severity::ALL.map(|severity| (severity.name(), checker.findings.count(severity))),
    );
    let summary = CheckSummary {
        packets: stats.packets,
        bytes: stats.bytes,
        complete: matches!(capture.end, End::Complete),
        seconds: checker.first.map_or(0.0, |first| {
            seconds_f64(checker.last.time.nanos_since(first.time))
        }),
        nodes: nodes(&checker, &directions),
        links,
        messages: checker.tally.by_command(),
        types: checker.tally.by_type(),
        directions: directions
            .iter()
            .map(|direction| direction_report(&checker, direction))
            .collect(),
        lockspaces: lockspaces(&checker),
        lost: checker.pairs.lost(),
        findings,
        rules: checker.findings.by_rule().clone(),
    };
    Report {
        findings: checker.findings,
        summary,
        stats: stats.clone(),
    }
}

fn nodes(checker: &Checker, directions: &[DirectionSummary]) -> Vec<NodeReport> {
    let took_part: BTreeSet<StationId> = directions.iter().flat_map(|one| [one.from, one.to]).collect();
    let mut spoken: BTreeMap<StationId, BTreeSet<Version>> = BTreeMap::new();
    for one in directions {
        spoken.entry(one.from).or_default().extend(one.version);
    }
    let report = |station: StationId| {
        let versions = spoken
            .get(&station)
            .into_iter()
            .flatten()
            .map(ToString::to_string)
            .collect();
        NodeReport {
            node: party(&checker.stations, station),
            addresses: checker.stations.addresses(station).to_vec(),
            versions,
        }
    };
    let mut nodes: Vec<NodeReport> = took_part.into_iter().map(report).collect();
    nodes.sort_by_key(|report| report.node.order());
    nodes
}

fn direction_report(checker: &Checker, direction: &DirectionSummary) -> DirectionReport {
    let numbers = &direction.numbers;
    DirectionReport {
        from: party(&checker.stations, direction.from),
        to: party(&checker.stations, direction.to),
        version: direction.version.map(|version| version.to_string()),
        sessions: direction.sessions,
        frames: direction.frames,
        sent: numbers.sent,
        resent: numbers.resent,
        resent_distinct: numbers.resent_distinct,
        duplicates_dropped: numbers.duplicates,
        early_dropped: numbers.early,
        gaps: numbers.gaps,
        gaps_filled: numbers.gaps_filled,
        acks: numbers.acks,
        unacked_max: numbers.unacked_max,
        unacked_at_end: numbers.unacked_at_end,
        states: direction.states.iter().map(|state| state.name()).collect(),
        ending: direction.ending.map(ending),
    }
}

const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Clean => "clean",
        Ending::Open => "open",
        Ending::WithoutFin => "without FIN",
        Ending::Unfinished => "FIN handshake unfinished",
        Ending::Restarted => "restarted",
        Ending::Unnumbered => "closed (3.1)",
        Ending::OneSided => "one side only",
    }
}

fn lockspaces(checker: &Checker) -> Vec<LockspaceReport> {
    let report = |(id, book): (&dlmwire_codec::LockspaceId, &super::messages::Lockspace)| LockspaceReport {
        id: id.to_string(),
        name: checker.known.lockspaces.get(id).cloned(),
        messages: book.messages,
        recoveries: book.recoveries_finished,
        recoveries_unfinished: book.recoveries_unfinished,
        recovery_seconds_max: seconds_f64(book.recovery_ns_max),
    };
    checker.messages.lockspaces().iter().map(report).collect()
}
