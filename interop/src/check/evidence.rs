//! What there is to say about the capture itself: what it lacks, and what was given up while reading it.

use dlmwire_midcomms::observer::GivenUp;

use crate::capture::{CaptureStats, End, Summary};
use crate::check::report::LinkCounts;
use crate::check::rules;
use crate::check::sentences::Sentence;

/// What the capture lacks.
pub(crate) fn of_capture(summary: &Summary) -> Vec<Sentence> {
    let stats = &summary.stats;
    let mut told = counted(stats);
    match &summary.end {
        End::Complete => {}
        End::Truncated { packet, offset, .. } => {
            let text = format!("file ends inside packet {packet} (offset {offset})");
            told.push(Sentence::new(&rules::CAP_RECORDS, text));
        }
        End::Damaged(error) => {
            let text = format!("file cannot be read to its end: {error}");
            told.push(Sentence::new(&rules::CAP_RECORDS, text));
        }
    }
    told
}

/// What was not looked at because there was too much at once.
pub(crate) fn of_limits(links: LinkCounts, given_up: GivenUp) -> impl Iterator<Item = Sentence> {
    let counts = [
        (links.not_followed, "links were not followed: too many hosts"),
        (
            given_up.links,
            "links were not followed: too many pairs of hosts, or too many links",
        ),
        (
            given_up.pairs,
            "pairs of hosts made room for others: their figures are not in the summary",
        ),
        (
            given_up.windows,
            "pairs of hosts were forgotten in part: what they resent is not recognised",
        ),
    ];
    let told = counts.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| Sentence::new(&rules::CAP_GIVEN_UP, format!("{count} {what}")))
}

fn counted(stats: &CaptureStats) -> Vec<Sentence> {
    let counts = [
        (
            stats.seen_twice,
            &rules::CAP_TWICE,
            "packets are in the capture twice",
        ),
        (
            stats.truncated_packets,
            &rules::CAP_RECORDS,
            "packets were cut by the snap length",
        ),
        (
            stats.ip_fragments,
            &rules::CAP_RECORDS,
            "IP fragments were not put together",
        ),
        (
            stats.undecodable,
            &rules::CAP_RECORDS,
            "packets have damaged headers",
        ),
        (
            stats.unknown_link_layer,
            &rules::CAP_RECORDS,
            "packets have a link layer that is not known here",
        ),
        (
            stats.links_evicted,
            &rules::CAP_GIVEN_UP,
            "links were given up: too many were open, or too much waited",
        ),
    ];
    let told = counts.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, rule, what)| Sentence::new(rule, format!("{count} {what}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_told_and_nothing_else_is() {
        let none = of_limits(LinkCounts::default(), GivenUp::default());
        assert_eq!(none.count(), 0);
        let links = LinkCounts {
            not_followed: 3,
            ..LinkCounts::default()
        };
        let told: Vec<Sentence> = of_limits(links, GivenUp::default()).collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].rule.id, "DLM-CAP-007");
        assert!(told[0].text.starts_with("3 links"), "{}", told[0].text);
    }
}
