//! A kernel's log held against the capture: what was delivered and yet not processed.

use std::collections::BTreeMap;

use dlmwire_codec::{NodeId, Seq};
use dlmwire_midcomms::observer::Verdict;

use crate::capture::Stamp;
use crate::check::kernel_log::KernelLog;
use crate::check::rules;
use crate::check::sentences::Sentence;

/// Sightings kept of one number; it is resent at most a few times.
const SIGHTINGS_MAX: usize = 8;

/// Packets named in one finding.
const PACKETS_NAMED_MAX: usize = 16;

/// Numbers that a log says were dropped as higher than expected, and where the capture shows them.
#[derive(Debug, Default)]
pub(crate) struct LogCheck {
    dropped: BTreeMap<(NodeId, Number, Option<NodeId>), Dropped>,
}

/// A sequence number as a key; [`Seq`] has no order.
type Number = u32;

/// What one log says of one number of one node; who logged it is part of the key.
#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    sightings: Vec<(NodeId, Stamp, bool)>,
}

/// Who it is about (receiver first), where it shows, what it is.
type Told = (Vec<NodeId>, Stamp, Sentence);

impl LogCheck {
    /// Takes what the logs say was dropped.
    pub(crate) fn new(logs: &[KernelLog]) -> Self {
        let mut dropped: BTreeMap<_, Dropped> = BTreeMap::new();
        for (line, seq) in logs.iter().flat_map(KernelLog::dropped_as_too_high) {
            let key = (line.about, seq.get(), line.logged_by);
            dropped.entry(key).or_default().lines += 1;
        }
        Self { dropped }
    }

    /// Notes a number that the capture shows on its way from one node to another.
    pub(crate) fn seen(&mut self, [from, to]: [NodeId; 2], seq: Seq, at: Stamp, verdict: Verdict) {
        if self.dropped.is_empty() {
            return;
        }
        for logged_by in [None, Some(to)] {
            if let Some(dropped) = self.dropped.get_mut(&(from, seq.get(), logged_by))
                && dropped.sightings.len() < SIGHTINGS_MAX
            {
                dropped.sightings.push((to, at, verdict == Verdict::Gap));
            }
        }
    }

    /// What the logs say and the capture does not explain by itself, per pair of nodes.
    pub(crate) fn end(&mut self, last: Stamp) -> Vec<Told> {
        let mut thrown_away: BTreeMap<(NodeId, NodeId), (u64, Vec<Stamp>)> = BTreeMap::new();
        let mut unexplained: BTreeMap<(Option<NodeId>, NodeId), u64> = BTreeMap::new();
        for ((from, _, logged_by), dropped) in std::mem::take(&mut self.dropped) {
            match dropped.sightings.first() {
                None => *unexplained.entry((logged_by, from)).or_default() += dropped.lines,
                // The capture shows a gap as well: log and wire agree.
                Some(_) if dropped.sightings.iter().any(|(.., gap)| *gap) => {}
                Some((to, at, _)) => {
                    let (lines, stamps) = thrown_away.entry((*to, from)).or_default();
                    *lines += dropped.lines;
                    stamps.push(*at);
                }
            }
        }
        let thrown_away = thrown_away
            .into_iter()
            .map(|((to, from), (lines, at))| told_thrown_away(to, from, lines, &at, last));
        let unexplained = unexplained
            .into_iter()
            .map(|((to, from), count)| told_unexplained(to, from, count, last));
        thrown_away.chain(unexplained).collect()
    }
}

fn told_thrown_away(to: NodeId, from: NodeId, lines: u64, at: &[Stamp], last: Stamp) -> Told {
    let text = format!(
        "the log of node {to} has {lines} messages of node {from} as higher than expected that the capture shows in \
         order: what came before them was received and thrown away",
    );
    let mut sentence = Sentence::new(&rules::KLOG_THROWN_AWAY, text);
    sentence.also = at.iter().map(|at| at.packet).take(PACKETS_NAMED_MAX).collect();
    (vec![from, to], at.first().copied().unwrap_or(last), sentence)
}

fn told_unexplained(to: Option<NodeId>, from: NodeId, count: u64, last: Stamp) -> Told {
    let who = to.map_or_else(|| "a node".to_owned(), |node| format!("node {node}"));
    let text = format!("the log of {who} has {count} messages of node {from} that the capture does not show");
    (
        std::iter::once(from).chain(to).collect(),
        last,
        Sentence::new(&rules::KLOG_UNEXPLAINED, text),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    /// Node 2 says that it dropped 181 of node 1 while it waited for 180.
    fn log() -> KernelLog {
        let line = "dlm: ignore dlm msg because seq mismatch, seq: 181, expected: 180, nodeid: 1\n";
        KernelLog::read(line.as_bytes(), Some(node(2))).expect("memory does not fail")
    }

    fn told(seen: &[(u32, Verdict)]) -> Vec<&'static str> {
        let mut check = LogCheck::new(&[log()]);
        for (seq, verdict) in seen {
            check.seen([node(1), node(2)], Seq::new(*seq), Stamp::default(), *verdict);
        }
        check
            .end(Stamp::default())
            .iter()
            .map(|(.., sentence)| sentence.rule.id)
            .collect()
    }

    #[test]
    fn dropped_number_in_order_on_the_wire_was_thrown_away() {
        assert_eq!(
            told(&[(180, Verdict::InOrder), (181, Verdict::InOrder)]),
            ["DLM-KLOG-001"]
        );
    }

    #[test]
    fn dropped_number_behind_a_gap_on_the_wire_is_no_news() {
        assert!(told(&[(181, Verdict::Gap)]).is_empty());
    }

    #[test]
    fn number_that_a_log_repeats_is_kept_once_and_counted_as_often() {
        let line = "dlm: ignore dlm msg because seq mismatch, seq: 181, expected: 180, nodeid: 1\n";
        let log = KernelLog::read(line.repeat(1000).as_bytes(), Some(node(2))).expect("memory does not fail");
        let mut check = LogCheck::new(&[log]);
        assert_eq!(check.dropped.len(), 1);
        check.seen(
            [node(1), node(2)],
            Seq::new(181),
            Stamp::default(),
            Verdict::InOrder,
        );
        let told = check.end(Stamp::default());
        assert_eq!(told.len(), 1);
        assert!(
            told[0].2.text.starts_with("the log of node 2 has 1000 messages"),
            "{}",
            told[0].2.text
        );
    }

    #[test]
    fn dropped_number_never_on_the_wire_is_unexplained() {
        assert_eq!(told(&[(180, Verdict::InOrder)]), ["DLM-KLOG-002"]);
    }
}
