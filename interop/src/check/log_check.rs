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
    dropped: BTreeMap<(NodeId, Number), Vec<Dropped>>,
}

/// A sequence number as a key; [`Seq`] has no order.
type Number = u32;

#[derive(Debug)]
struct Dropped {
    logged_by: Option<NodeId>,
    sightings: Vec<(NodeId, Stamp, bool)>,
}

/// Who it is about (receiver first), where it shows, what it is.
type Told = (Vec<NodeId>, Stamp, Sentence);

impl LogCheck {
    /// Takes what the logs say was dropped.
    pub(crate) fn new(logs: &[KernelLog]) -> Self {
        let mut dropped: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (line, seq) in logs.iter().flat_map(KernelLog::dropped_as_too_high) {
            let entry = Dropped {
                logged_by: line.logged_by,
                sightings: Vec::new(),
            };
            dropped.entry((line.about, seq.get())).or_default().push(entry);
        }
        Self { dropped }
    }

    /// Notes a number that the capture shows on its way from one node to another.
    pub(crate) fn seen(&mut self, [from, to]: [NodeId; 2], seq: Seq, at: Stamp, verdict: Verdict) {
        if self.dropped.is_empty() {
            return;
        }
        for dropped in self.dropped.get_mut(&(from, seq.get())).into_iter().flatten() {
            let receiver = dropped.logged_by.is_none_or(|node| node == to);
            if receiver && dropped.sightings.len() < SIGHTINGS_MAX {
                dropped.sightings.push((to, at, verdict == Verdict::Gap));
            }
        }
    }

    /// What the logs say and the capture does not explain by itself, per pair of nodes.
    pub(crate) fn end(&mut self, last: Stamp) -> Vec<Told> {
        let mut thrown_away: BTreeMap<(NodeId, NodeId), Vec<Stamp>> = BTreeMap::new();
        let mut unexplained: BTreeMap<(Option<NodeId>, NodeId), u64> = BTreeMap::new();
        for ((from, _), entries) in std::mem::take(&mut self.dropped) {
            for dropped in entries {
                match dropped.sightings.first() {
                    None => *unexplained.entry((dropped.logged_by, from)).or_default() += 1,
                    // The capture shows a gap as well: log and wire agree.
                    Some(_) if dropped.sightings.iter().any(|(.., gap)| *gap) => {}
                    Some((to, at, _)) => thrown_away.entry((*to, from)).or_default().push(*at),
                }
            }
        }
        let thrown_away = thrown_away
            .into_iter()
            .map(|((to, from), at)| told_thrown_away(to, from, &at, last));
        let unexplained = unexplained
            .into_iter()
            .map(|((to, from), count)| told_unexplained(to, from, count, last));
        thrown_away.chain(unexplained).collect()
    }
}

fn told_thrown_away(to: NodeId, from: NodeId, at: &[Stamp], last: Stamp) -> Told {
    let text = format!(
        "the log of node {to} has {} messages of node {from} as higher than expected that the capture shows in \
         order: what came before them was received and thrown away",
        at.len(),
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
    fn dropped_number_never_on_the_wire_is_unexplained() {
        assert_eq!(told(&[(180, Verdict::InOrder)]), ["DLM-KLOG-002"]);
    }
}
