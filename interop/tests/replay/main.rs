//! Every shipped capture with our engine in the place of each of its nodes, against the table in `docs/replay.md`.
//!
//! The table is made here: `UPDATE_DOCS=1 cargo test -p dlmwire-interop --test replay`.

mod mutants;
mod shipped;

use std::fmt::Write as _;
use std::path::Path;

use dlmwire_codec::NodeId;
use dlmwire_interop::replay::{Bounds, Class, PeerReport, Recorder, Recording, Report, replay};

use crate::mutants::mutated;
use crate::shipped::{cut, expected, read, recording};

/// Captures that were shipped when this was written: fewer prove less.
const CAPTURES_MIN: usize = 30;

/// Between two nodes, in the place of each of them: the captured kernel is our engine's partner.
///
/// Proves A3, D14 on real kernels' traffic: what the kernels sent again after a loss is taken, in order, and the
/// version is what the first message says.
#[test]
fn every_capture_as_every_node_agrees_but_for_listed_differences() {
    let mut wrong = Vec::new();
    let mut page = String::from(PAGE_HEAD);
    let captures = expected();
    assert!(captures.len() >= CAPTURES_MIN, "{} captures", captures.len());
    for (name, capture) in &captures {
        for report in reports(&recording(capture)) {
            for peer in &report.peers {
                wrong.extend(faults(name, &report, peer));
                page.push_str(&row(name, &report, peer));
            }
        }
    }
    print!("{page}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/replay.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/replay.md can be written");
    }
    let shown = std::fs::read_to_string(&path).expect("docs/replay.md is there");
    assert!(
        shown == page,
        "docs/replay.md is stale: UPDATE_DOCS=1 cargo test -p dlmwire-interop --test replay"
    );
}

/// What one of two nodes sent is what the other's stand-in delivers: all of it, but for the `FIN`s.
///
/// Proves A3 on real kernels' traffic.
#[test]
fn everything_that_a_node_sent_is_delivered_to_its_peers() {
    for (name, capture) in &expected() {
        let all = reports(&recording(capture));
        for (report, peer) in all
            .iter()
            .flat_map(|one| one.peers.iter().map(move |peer| (one, peer)))
        {
            let sender = all
                .iter()
                .find(|other| other.node == peer.peer)
                .expect("its own report");
            let sent = sender
                .peers
                .iter()
                .find(|other| other.peer == report.node)
                .expect("its row");
            let fins = (sent.own + sent.bare).checked_sub(peer.delivered);
            let numbered = sent.own > 0;
            let allowed = if numbered { 0..=peer.conversations } else { 0..=0 };
            assert!(
                fins.is_some_and(|fins| allowed.contains(&fins)),
                "{name}: {} of {} and {} of {}",
                peer.delivered,
                sent.own,
                sent.bare,
                sender.node
            );
        }
    }
}

/// Proves A6, D16: with a kernel of 3.1, on either side, everything travels bare; what our engine writes is byte for
/// byte what the kernels wrote, and no OPTS, ACK or FIN is among it.
#[test]
fn with_3_1_on_either_side_nothing_is_numbered() {
    let mut found = 0;
    for (name, capture) in &expected() {
        if !name.contains("-3.1-") && !name.contains("-mixed-") {
            continue;
        }
        for report in reports(&recording(capture)) {
            assert!(report.agrees(), "{name}: {:?}", report.differences);
            for peer in &report.peers {
                found += 1;
                let numbered = [
                    peer.own,
                    peer.acks_ours,
                    peer.resent_ours,
                    peer.duplicates,
                    peer.gaps,
                ];
                assert_eq!(numbered, [0; 5], "{name}");
                assert!(peer.bare > 1000, "{name}: {peer:?}");
                assert_eq!(peer.bare_identical, peer.bare, "{name}");
                assert_eq!(peer.delivered, peer.frames, "{name}");
            }
        }
    }
    assert_eq!(found, 12, "four captures of 3.1 and two mixed, two nodes each");
}

/// Proves C30: kernels send again after a reset, our engine drops what it has and delivers nothing twice.
#[test]
fn resets_bring_duplicates_and_none_is_delivered_twice() {
    let mut found = 0;
    for (name, capture) in &expected() {
        let is_reset = name.contains("resets") || name.contains("sockdestroy");
        if !is_reset || name.contains("-3.1-") {
            continue;
        }
        for report in reports(&recording(capture)) {
            for peer in &report.peers {
                found += 1;
                assert!(peer.duplicates > 0, "{name} as {}", report.node);
                assert_eq!(peer.delivered_twice, 0, "{name} as {}", report.node);
            }
        }
    }
    assert_eq!(found, 10, "five captures, two nodes each");
}

/// A capture that begins in the middle, or is cut in the middle, is told apart from a disagreement.
#[test]
fn captures_that_lack_their_beginning_or_end_accuse_nobody() {
    for (name, capture) in &expected() {
        let whole = recording(capture).nodes();
        for keep_first in [true, false] {
            let cut = cut(capture, keep_first);
            for node in &whole {
                let Ok(report) = replay(&cut, *node) else {
                    continue;
                };
                assert!(
                    report.agrees(),
                    "{name} as {node}, {}: {:#?}",
                    if keep_first { "first half" } else { "second half" },
                    report
                        .differences
                        .iter()
                        .filter(|one| one.class == Class::Unlisted)
                        .collect::<Vec<_>>()
                );
            }
        }
    }
}

/// Whatever a capture says, a replay ends, and without a panic: bytes changed, frames lost and frames doubled at random.
#[test]
fn damaged_captures_do_no_harm() {
    let captures = expected();
    for (name, seeds) in [
        ("tcp-3.2-linux7.2-leave-rejoin", 0..40),
        ("sctp-3.2-linux7.2-aborts", 40..120),
        ("tcp-mixed-linux5.10-linux6.1-workload", 120..140),
    ] {
        for seed in seeds {
            let mut random = Random(seed);
            let recording = mutated(&captures[name], |_, bytes| {
                let mut bytes = bytes.to_vec();
                match random.below(60) {
                    0 => Vec::new(),
                    1 => vec![bytes.clone(), bytes],
                    2 => {
                        // Not its length: then it would not be a frame of its own.
                        let at = random.below(bytes.len());
                        if !(12..14).contains(&at) {
                            bytes[at] ^= 1 << random.below(8);
                        }
                        vec![bytes]
                    }
                    _ => vec![bytes],
                }
            });
            // The damage may be to the very first node id that an address says.
            for node in recording.nodes() {
                let report = replay(&recording, node).expect("it is there");
                assert!(!report.peers.is_empty(), "{name}, seed {seed}, as {node}");
            }
        }
    }
}

/// SplitMix64: the same seed, the same damage.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % u64::try_from(bound).expect("64 bits")).expect("below a usize")
    }
}

#[test]
fn node_that_is_not_there_is_refused_with_those_that_are() {
    let recording = recording(&expected()["tcp-3.2-linux6.1-3node-workload"]);
    let error = replay(&recording, node(9)).expect_err("there is no node 9");
    assert_eq!(
        error.to_string(),
        "node 9 is not in the capture; nodes 1, 2, 3 are"
    );
}

#[test]
fn recording_beyond_its_bounds_says_so_and_keeps_what_came_first() {
    let capture = &expected()["tcp-3.2-linux6.1-2node-workload"];
    for bounds in [
        Bounds {
            frame_bytes_max: 10_000,
            ..Bounds::default()
        },
        Bounds {
            events_max: 100,
            ..Bounds::default()
        },
    ] {
        let recording = read(capture, Recorder::new(&[], bounds));
        assert!(!recording.is_whole(), "{bounds:?}");
        let report = as_node_1(&recording);
        assert!(report.agrees() && report.peers[0].frames > 0, "{bounds:?}");
    }
}

const PAGE_HEAD: &str = "\
# Captured kernels as partners of our engine

Made by `UPDATE_DOCS=1 cargo test -p dlmwire-interop --test replay`; the test fails when this page is stale.

Each row is one shipped capture with our engine in the place of one of its nodes, towards one peer: what the captured kernels
sent to the node was fed to the engine at the capture's times, what the node itself sent was given to the engine as its
application would. Then everything was compared: what is delivered and dropped, every acknowledgement, and every byte that
the engine wrote. `dlmwire replay --as NODE FILE` does the same with any capture.

| column | what |
|---|---|
| frames | the peer's frames, all of them given to the engine |
| delivered, dup, early | what became of its messages; none was delivered twice |
| acks | ACKs of the captured node / of our engine |
| numbered, bare | messages that our engine wrote byte for byte as the captured node did, of so many |
| resent | numbered messages that the captured node sent again / our engine |

The other columns count differences by their reason; whatever has none fails the test.

| column | reason |
|---|---|
| V1 | our engine sends again, and acknowledges first, on every new link; kernels send again after a reported error only |
| V3 | our engine repeats an unacknowledged FIN by a timer |
| V5 | our engine reports a peer that does not acknowledge |
| V7 | our engine sends one ACK for a run of frames, kernels may send several |
| V9 | our engine leaves all peers at once |
| timing | the same numbers were acknowledged at other moments |
| thrown away | the kernel threw away, with a link that was reset, what had been delivered to it |

| capture | as | peer | frames | delivered | dup | early | acks | numbered | bare | resent | V1 | V3 | V5 | V7 | V9 | timing | thrown away |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
";

fn row(name: &str, report: &Report, peer: &PeerReport) -> String {
    let mut row = format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} / {} | {} of {} | {} of {} | {} / {} |",
        report.node,
        peer.peer,
        peer.frames,
        peer.delivered,
        peer.duplicates,
        peer.gaps,
        peer.acks_captured,
        peer.acks_ours,
        peer.own_identical,
        peer.own,
        peer.bare_identical,
        peer.bare,
        peer.resent_captured,
        peer.resent_ours,
    );
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Unlisted) {
        match peer.differences.of(class) {
            0 => row.push_str("  |"),
            count => {
                let _ = write!(row, " {count} |");
            }
        }
    }
    row.push('\n');
    row
}

/// What may not be in a row.
fn faults(name: &str, report: &Report, peer: &PeerReport) -> Vec<String> {
    let place = format!("{name} as {} with {}", report.node, peer.peer);
    let unlisted = report
        .differences
        .iter()
        .filter(|one| one.class == Class::Unlisted && one.peer == peer.peer);
    let mut faults: Vec<String> = unlisted
        .map(|one| format!("{place}, packet {}: {}", one.at.packet, one.text))
        .collect();
    faults.extend(
        peer.partial
            .iter()
            .map(|(number, why)| format!("{place}: conversation {number}: {why}")),
    );
    for (what, is, should) in [
        ("delivered twice", peer.delivered_twice, 0),
        ("not read", peer.unread, 0),
        ("numbered messages alike", peer.own_identical, peer.own),
        ("bare messages alike", peer.bare_identical, peer.bare),
    ] {
        if is != should {
            faults.push(format!("{place}: {is} {what}, not {should}"));
        }
    }
    faults
}

fn reports(recording: &Recording) -> Vec<Report> {
    assert!(recording.is_whole());
    let nodes = recording.nodes();
    nodes
        .into_iter()
        .map(|node| replay(recording, node).expect("the node is there"))
        .collect()
}

fn as_node_1(recording: &Recording) -> Report {
    replay(recording, node(1)).expect("node 1 is there")
}

fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}
