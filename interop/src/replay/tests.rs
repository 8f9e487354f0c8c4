//! Captures made by hand, replayed: what no shipped capture shows.

use std::io::Cursor;

use dlmwire_codec::NodeId;

use super::report::{Class, Report};
use super::script::Partial;
use super::{Bounds, Recorder, Recording, replay};
use crate::capture::testkit::{PcapFile, TcpTalk, ethernet, frames};
use crate::capture::{self, Options, Side};

const VERSION_3_2: u32 = 0x0003_0002;

/// Node 1 opens links to node 2; every segment is a packet of its own.
struct Lab {
    file: PcapFile,
    talk: TcpTalk,
    port: u16,
}

impl Lab {
    fn new() -> Self {
        let mut lab = Self {
            file: PcapFile::new(1),
            talk: TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064"),
            port: 40_000,
        };
        lab.handshake();
        lab
    }

    fn handshake(&mut self) {
        for segment in [self.talk.syn(), self.talk.syn_ack()] {
            self.file.packet(&ethernet(&segment.packet()));
        }
    }

    /// The next link, from another port.
    fn dial_again(&mut self) {
        self.port += 1;
        self.talk = TcpTalk::new(&format!("10.0.0.1:{}", self.port), "10.0.0.2:21064");
        self.handshake();
    }

    fn reset(&mut self) {
        let segment = self.talk.rst(Side::A);
        self.file.packet(&ethernet(&segment.packet()));
    }

    fn close(&mut self) {
        for side in Side::BOTH {
            let segment = self.talk.fin(side);
            self.file.packet(&ethernet(&segment.packet()));
        }
    }

    /// Frames in one packet.
    fn says(&mut self, node: u32, frames: &[Vec<u8>]) {
        let side = Side::BOTH[usize::from(node == 2)];
        let segment = self.talk.data(side, &frames.concat());
        self.file.packet(&ethernet(&segment.packet()));
    }

    fn hello(&mut self) {
        self.says(1, &[status(1)]);
        self.says(2, &[status(2)]);
    }

    fn recording(self) -> Recording {
        let mut recorder = Recorder::new(&[], Bounds::default());
        let _ = capture::read(Cursor::new(self.file.bytes), &Options::default(), &mut recorder)
            .expect("a capture");
        recorder.finish()
    }

    fn with_us_as(self, id: u32) -> Report {
        replay(&self.recording(), NodeId::new(id).expect("not 0")).expect("the node is there")
    }
}

/// A `STATUS`.
fn status(node: u32) -> Vec<u8> {
    let mut bytes = frames::header(VERSION_3_2, 7, node, 64, 2);
    bytes.extend([1, 0, 0, 0]);
    bytes.resize(64, 0);
    bytes
}

/// A numbered message; `mark` makes its bytes its own.
fn numbered(node: u32, seq: u32, mark: u8) -> Vec<u8> {
    let mut bytes = frames::opts(node, seq, 96);
    if let Some(last) = bytes.last_mut() {
        *last = mark;
    }
    bytes
}

fn unlisted(report: &Report) -> Vec<&str> {
    let all = report.differences.iter();
    let unlisted = all.filter(|one| one.class == Class::Unlisted);
    unlisted.map(|one| one.text.as_str()).collect()
}

/// Node 2 leaves, node 1 answers.
fn leave(lab: &mut Lab, next: [u32; 2], at_once: bool) {
    lab.says(2, &[frames::fin(2, next[1])]);
    let ack = frames::ack(1, next[1] + 1);
    let fin = frames::fin(1, next[0]);
    if at_once {
        lab.says(1, &[ack, fin]);
    } else {
        lab.says(1, &[ack]);
        lab.says(1, &[fin]);
    }
    lab.says(2, &[frames::ack(2, next[0] + 1)]);
    lab.close();
}

#[test]
fn both_orders_of_removal_and_fin_end_a_conversation_and_the_next_begins_at_0() {
    for at_once in [true, false] {
        for node in [1, 2] {
            let mut lab = Lab::new();
            for round in [1, 2] {
                lab.hello();
                lab.says(1, &[numbered(1, 0, round), numbered(1, 1, round)]);
                lab.says(2, &[frames::ack(2, 2), numbered(2, 0, round)]);
                lab.says(1, &[frames::ack(1, 1)]);
                leave(&mut lab, [2, 1], at_once);
                if round == 1 {
                    lab.dial_again();
                }
            }
            let report = lab.with_us_as(node);
            assert_eq!(unlisted(&report), [""; 0], "as {node}, at once: {at_once}");
            let peer = &report.peers[0];
            assert_eq!((peer.conversations, peer.unread), (2, 0));
            assert_eq!(
                (peer.own, peer.own_identical),
                if node == 1 { (6, 6) } else { (4, 4) }
            );
        }
    }
}

#[test]
fn node_that_begins_again_without_fin_is_a_conversation_of_its_own() {
    for node in [1, 2] {
        let mut lab = Lab::new();
        for round in [1, 2] {
            lab.hello();
            lab.says(1, &[numbered(1, 0, round)]);
            lab.says(2, &[frames::ack(2, 1), numbered(2, 0, round)]);
            lab.reset();
            if round == 1 {
                lab.dial_again();
            }
        }
        let report = lab.with_us_as(node);
        assert_eq!(unlisted(&report), [""; 0], "as {node}");
        assert_eq!(report.peers[0].conversations, 2);
        assert_eq!(report.peers[0].duplicates, 0);
    }
}

#[test]
fn kernel_that_expects_less_than_was_delivered_before_a_reset_threw_it_away() {
    let mut lab = Lab::new();
    lab.hello();
    lab.says(2, &[numbered(2, 0, 0)]);
    lab.says(1, &[frames::ack(1, 1)]);
    lab.says(2, &[numbered(2, 1, 0), numbered(2, 2, 0)]);
    lab.reset();
    lab.dial_again();
    // 0 once more, so that node 1 has to say what it expects: not 3.
    lab.says(2, &[numbered(2, 0, 0)]);
    lab.says(1, &[frames::ack(1, 1)]);
    lab.says(2, &[numbered(2, 1, 0), numbered(2, 2, 0)]);
    lab.says(1, &[frames::ack(1, 3)]);
    let report = lab.with_us_as(1);
    assert_eq!(unlisted(&report), [""; 0]);
    let peer = &report.peers[0];
    assert_eq!((peer.delivered, peer.duplicates, peer.delivered_twice), (4, 3, 0));
    assert!(
        peer.differences.of(Class::ThrownAway) > 0,
        "{:?}",
        report.differences
    );
}

#[test]
fn message_that_nobody_sends_again_leaves_a_gap_on_both_sides() {
    let mut lab = Lab::new();
    lab.hello();
    lab.says(2, &[numbered(2, 0, 0)]);
    lab.says(1, &[frames::ack(1, 1)]);
    lab.says(2, &[numbered(2, 2, 0)]);
    let report = lab.with_us_as(1);
    assert_eq!(unlisted(&report), [""; 0]);
    let peer = &report.peers[0];
    assert_eq!((peer.delivered, peer.gaps), (2, 1));
}

#[test]
fn kernel_that_acknowledges_a_gap_is_not_replayed() {
    let mut lab = Lab::new();
    lab.hello();
    lab.says(2, &[numbered(2, 0, 0), numbered(2, 2, 0)]);
    lab.says(1, &[frames::ack(1, 3)]);
    let report = lab.with_us_as(1);
    assert_eq!(report.peers[0].partial, [(1, Partial::PeerMissing { seq: 1 })]);
    assert!(!report.is_complete());
}

#[test]
fn conversation_without_its_beginning_is_not_replayed() {
    let mut lab = Lab::new();
    lab.says(1, &[numbered(1, 7, 0)]);
    lab.says(2, &[frames::ack(2, 8)]);
    let report = lab.with_us_as(1);
    assert_eq!(report.peers[0].partial, [(1, Partial::Midway)]);
    assert_eq!(report.peers[0].frames, 0);
}

#[test]
fn ack_of_what_never_came_is_a_difference_of_the_kernel_that_sent_it() {
    let mut lab = Lab::new();
    lab.hello();
    lab.says(1, &[frames::ack(1, 1)]);
    lab.says(2, &[numbered(2, 0, 0)]);
    let report = lab.with_us_as(1);
    assert_eq!(
        unlisted(&report),
        ["the kernel acknowledged 1, our engine expects 0"]
    );
    assert!(!report.agrees());
}

#[test]
fn bytes_that_our_engine_would_not_write_are_named() {
    let mut lab = Lab::new();
    lab.hello();
    let mut bare = status(1);
    bare[63] = 1;
    lab.says(1, &[bare]);
    let mut wrapped = numbered(1, 0, 0);
    wrapped[20] = 1;
    lab.says(1, &[wrapped]);
    let report = lab.with_us_as(1);
    let told = unlisted(&report);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("byte 63 is 0x00, not 0x01"), "{told:?}");
    assert!(told[1].ends_with("byte 20 is 0x00, not 0x01"), "{told:?}");
}

/// There is nothing that an application could be made to send.
#[test]
fn message_of_the_node_that_cannot_be_read_is_not_replayed() {
    let mut lab = Lab::new();
    lab.hello();
    let mut lookup = numbered(1, 0, 0);
    // An RCOM LOOKUP without a name.
    lookup.truncate(24);
    let mut inner = frames::header(VERSION_3_2, 7, 1, 48, 2);
    inner.extend([3, 0, 0, 0]);
    inner.resize(48, 0);
    lookup[12] = 72;
    lookup[16] = 2;
    lookup.extend(inner);
    lab.says(1, &[lookup]);
    let report = lab.with_us_as(1);
    let partial = &report.peers[0].partial;
    assert!(
        matches!(partial[..], [(1, Partial::OwnUnreadable { .. })]),
        "{partial:?}"
    );
}
