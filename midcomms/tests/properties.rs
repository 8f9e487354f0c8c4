//! What holds for every number, every cut and every order: two engines and the bytes between them.
//!
//! A failure prints the smallest input that shows it and a line for `properties.proptest-regressions`, from which
//! the next run replays it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test's own numbers are small, and what fails in it is a failure of the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use dlmwire_codec::{
    Limits, LockspaceId, MsgFields, MsgType, NodeId, Payload, RcomConfig, RcomFields, RcomType, Seq, Slots,
    Split, StatusFlags, Version, split,
};
use dlmwire_midcomms::engine::{Config, Content, Engine, LinkLimits, LinkRole, LinkUp, Message};
use dlmwire_midcomms::{LinkId, Time};
use proptest::collection::vec;
use proptest::prelude::*;

const NOW: Time = Time(0);
const LOCKSPACE: LockspaceId = LockspaceId::new(7);

/// One of two engines.
struct Node {
    engine: Engine,
    peer: NodeId,
    /// What came out, by the sender's count.
    delivered: Vec<u32>,
}

impl Node {
    fn new(id: u32, version: Version, start: Seq) -> Self {
        let mut config = Config::new(node(id));
        // Time stands still here: what comes is acknowledged at once.
        config.ack_after_bytes = 0;
        config.version = version;
        config.start_seq = start;
        Self {
            engine: Engine::new(config).unwrap(),
            peer: node(3 - id),
            delivered: Vec::new(),
        }
    }

    fn up(&mut self, link: u64, role: LinkRole) {
        let up = LinkUp {
            node: self.peer,
            role,
            limits: LinkLimits::STREAM,
        };
        self.engine.handle_link_up(NOW, LinkId(link), up);
    }

    fn down(&mut self, link: u64) {
        self.engine.handle_link_down(NOW, LinkId(link));
    }

    fn send(&mut self, count: u32) {
        let mut fields = MsgFields::new(LOCKSPACE, MsgType::Grant);
        fields.lkid = count;
        self.engine.send(NOW, self.peer, &Message::Msg(fields)).unwrap();
    }

    fn send_rcom(&mut self, id: u64, payload: Payload<'_>) {
        let fields = RcomFields {
            lockspace: LOCKSPACE,
            result: 0,
            id,
            seq: 1,
            seq_reply: 1,
            payload,
        };
        self.engine.send(NOW, self.peer, &Message::Rcom(fields)).unwrap();
    }

    /// Lets a socket take up to `limit` bytes.
    fn take(&mut self, link: u64, limit: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(transmit) = self.engine.poll_transmit(LinkId(link)) else {
                break;
            };
            let mut bytes: Vec<u8> = transmit
                .slices()
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            bytes.truncate(limit - taken.len());
            self.engine.handle_transmitted(NOW, LinkId(link), bytes.len());
            taken.extend(bytes);
        }
        taken
    }

    fn take_all(&mut self, link: u64) -> Vec<u8> {
        self.take(link, usize::MAX)
    }

    /// A read run of the whole frames at the front of `bytes`.
    fn read(&mut self, link: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut asked = Vec::new();
        while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
            rest = behind;
            let Ok(Some(delivery)) = self.engine.handle_frame(NOW, LinkId(link), frame) else {
                continue;
            };
            match delivery.content {
                Content::Msg(msg) => self.delivered.push(msg.lkid()),
                Content::Rcom(rcom) if rcom.rcom_type() == RcomType::Status => asked.push(rcom.id()),
                Content::Rcom(_) => {}
            }
        }
        for id in asked {
            let config = RcomConfig::default();
            let slots = Slots::from_list(&[]);
            self.send_rcom(id, Payload::StatusReply { config, slots });
        }
        self.engine.handle_read_done(NOW, LinkId(link));
    }

    fn queued(&self) -> u32 {
        self.engine.peer(NOW, self.peer).unwrap().send_queue_count
    }
}

fn node(id: u32) -> NodeId {
    NodeId::new(id).unwrap()
}

fn connect(a: &mut Node, b: &mut Node, link: u64) {
    a.up(link, LinkRole::Dialed);
    b.up(link, LinkRole::Accepted);
}

fn disconnect(a: &mut Node, b: &mut Node, link: u64) {
    a.down(link);
    b.down(link);
}

/// Bytes go back and forth until nobody has any.
fn settle(a: &mut Node, b: &mut Node, link: u64) {
    for _ in 0..100 {
        let to_b = a.take_all(link);
        b.read(link, &to_b);
        let to_a = b.take_all(link);
        a.read(link, &to_a);
        if to_a.is_empty() && to_b.is_empty() {
            return;
        }
    }
    panic!("the two never come to rest");
}

/// Two members of one lockspace that know each other, connected by link 1.
fn introduced(version: Version, start: Seq) -> (Node, Node) {
    let (mut a, mut b) = (Node::new(1, version, start), Node::new(2, version, start));
    for node in [&mut a, &mut b] {
        node.engine.add_member(NOW, node.peer, LOCKSPACE).unwrap();
    }
    connect(&mut a, &mut b, 1);
    for node in [&mut a, &mut b] {
        let flags = StatusFlags::new(0);
        node.send_rcom(9, Payload::Status { flags });
    }
    settle(&mut a, &mut b, 1);
    (a, b)
}

/// The whole frames of a stream.
///
/// # Panics
///
/// If it does not start with one, or ends within one.
fn frames(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !stream.is_empty() {
        let Split::Frame { frame, rest } = split(stream, Limits::KERNEL) else {
            panic!("not a stream of whole frames: {stream:02x?}");
        };
        frame.decode().expect("every frame is sound");
        found.push(frame.bytes());
        stream = rest;
    }
    found
}

/// Those of the frames that are numbered.
fn numbered<'a>(frames: &[&'a [u8]]) -> Vec<&'a [u8]> {
    const OPTS: u8 = 3;
    frames.iter().copied().filter(|frame| frame[14] == OPTS).collect()
}

/// Three messages on the wire, one frame each.
fn three_messages(a: &mut Node) -> Vec<Vec<u8>> {
    for count in 0..3 {
        a.send(count);
    }
    let stream = a.take_all(1);
    let sent: Vec<Vec<u8>> = frames(&stream).into_iter().map(<[u8]>::to_vec).collect();
    assert_eq!(sent.len(), 3);
    sent
}

const WRAP_STARTS: [u32; 2] = [0xffff_ff00, 0x7fff_ff00];

/// Proves C22.
#[test]
fn numbers_come_twice_each_is_delivered_once() {
    for start in [0, u32::MAX - 1, u32::MAX] {
        let (mut a, mut b) = introduced(Version::V3_2, Seq::new(start));
        let sent = three_messages(&mut a);
        for index in [0, 1, 1, 0, 2] {
            b.read(1, &sent[index]);
        }
        assert_eq!(b.delivered, [0, 1, 2]);
    }
}

/// Proves C24.
#[test]
fn third_before_second_is_dropped_until_it_is_sent_again() {
    let (mut a, mut b) = introduced(Version::V3_2, Seq::INITIAL);
    let sent = three_messages(&mut a);
    b.read(1, &sent[0]);
    b.read(1, &sent[2]);
    assert_eq!(b.delivered, [0], "nothing is held back to be sorted");
    b.read(1, &sent[1]);
    assert_eq!(b.delivered, [0, 1], "the next fitting number is taken");
    disconnect(&mut a, &mut b, 1);
    connect(&mut a, &mut b, 2);
    settle(&mut a, &mut b, 2);
    assert_eq!(b.delivered, [0, 1, 2]);
    assert_eq!(a.queued(), 0);
}

/// Proves C24.
#[test]
fn third_before_second_and_second_lost_both_come_after_the_resend() {
    let (mut a, mut b) = introduced(Version::V3_2, Seq::INITIAL);
    let sent = three_messages(&mut a);
    b.read(1, &sent[0]);
    b.read(1, &sent[2]);
    assert_eq!(b.delivered, [0]);
    disconnect(&mut a, &mut b, 1);
    connect(&mut a, &mut b, 2);
    settle(&mut a, &mut b, 2);
    assert_eq!(b.delivered, [0, 1, 2]);
}

/// Every split of what a socket took and what of it arrived, in a stream of three messages.
///
/// Proves B16.
#[test]
fn link_lost_at_every_byte_new_link_starts_with_a_header_and_nothing_is_missing() {
    let whole: usize = three_messages(&mut introduced(Version::V3_2, Seq::INITIAL).0)
        .iter()
        .map(Vec::len)
        .sum();
    for taken in 0..=whole {
        for arrived in (0..=taken).filter(|arrived| *arrived == taken || arrived % 34 == 0) {
            let (mut a, mut b) = introduced(Version::V3_2, Seq::INITIAL);
            for count in 0..3 {
                a.send(count);
            }
            let stream = a.take(1, taken);
            assert_eq!(stream.len(), taken);
            b.read(1, &stream[..arrived]);
            disconnect(&mut a, &mut b, 1);
            connect(&mut a, &mut b, 2);
            let again = a.take_all(2);
            frames(&again);
            b.read(2, &again);
            settle(&mut a, &mut b, 2);
            assert_eq!(b.delivered, [0, 1, 2], "taken {taken}, arrived {arrived}");
            assert_eq!(a.queued(), 0, "taken {taken}, arrived {arrived}");
        }
    }
}

/// Proves B11.
#[test]
fn resend_on_a_new_link_is_the_same_bytes() {
    let (mut a, mut b) = introduced(Version::V3_2, Seq::new(u32::MAX));
    let sent = three_messages(&mut a);
    disconnect(&mut a, &mut b, 1);
    connect(&mut a, &mut b, 2);
    let again = a.take_all(2);
    assert_eq!(numbered(&frames(&again)), sent);
}

/// Proves C14.
#[test]
fn links_lost_again_and_again_each_message_is_queued_once() {
    let (mut a, mut b) = introduced(Version::V3_2, Seq::INITIAL);
    let sent = three_messages(&mut a);
    for link in 2..6 {
        disconnect(&mut a, &mut b, link - 1);
        connect(&mut a, &mut b, link);
        a.take(link, 200);
        assert_eq!(a.queued(), 3);
    }
    disconnect(&mut a, &mut b, 5);
    connect(&mut a, &mut b, 6);
    let again = a.take_all(6);
    assert_eq!(numbered(&frames(&again)), sent);
}

/// Proves C29.
#[test]
fn version_3_1_link_lost_at_every_byte_at_most_the_half_sent_message_is_missing() {
    const MESSAGE: usize = 88;
    for taken in 0..=3 * MESSAGE {
        let (mut a, mut b) = introduced(Version::V3_1, Seq::INITIAL);
        for count in 0..3 {
            a.send(count);
        }
        let stream = a.take(1, taken);
        b.read(1, &stream);
        disconnect(&mut a, &mut b, 1);
        connect(&mut a, &mut b, 2);
        let rest = a.take_all(2);
        frames(&rest);
        b.read(2, &rest);
        let cut = (taken % MESSAGE != 0).then_some(taken / MESSAGE);
        let whole: Vec<u32> = (0..3).filter(|count| Some(*count as usize) != cut).collect();
        assert!(
            b.delivered == whole || b.delivered == [0, 1, 2],
            "{taken} bytes taken: {:?}",
            b.delivered
        );
    }
}

#[derive(Clone, Debug)]
enum Membership {
    Add(u32, u32),
    Remove(u32, u32),
    Fence(u32),
}

fn membership() -> impl Strategy<Value = Membership> {
    prop_oneof![
        4 => (2_u32..5, 0_u32..4).prop_map(|(node, lockspace)| Membership::Add(node, lockspace)),
        3 => (2_u32..5, 0_u32..4).prop_map(|(node, lockspace)| Membership::Remove(node, lockspace)),
        1 => (2_u32..5).prop_map(Membership::Fence),
    ]
}

proptest! {
    /// Proves C2.
    #[test]
    fn users_are_the_lockspaces_that_list_the_node(steps in vec(membership(), 0..60)) {
        let mut engine = Engine::new(Config::new(node(1))).unwrap();
        let mut listed: BTreeMap<u32, BTreeSet<LockspaceId>> = BTreeMap::new();
        for step in steps {
            match step {
                Membership::Add(peer, lockspace) => {
                    let lockspace = LockspaceId::new(lockspace);
                    engine.add_member(NOW, node(peer), lockspace).unwrap();
                    listed.entry(peer).or_default().insert(lockspace);
                }
                Membership::Remove(peer, lockspace) => {
                    let lockspace = LockspaceId::new(lockspace);
                    engine.remove_member(NOW, node(peer), lockspace);
                    listed.entry(peer).or_default().remove(&lockspace);
                }
                Membership::Fence(peer) => engine.fence(NOW, node(peer)),
            }
            while engine.poll_event().is_some() {}
            for peer in 2..5 {
                let users = engine.peer(NOW, node(peer)).map(|view| view.lockspaces).unwrap_or_default();
                prop_assert_eq!(&users, listed.entry(peer).or_default());
            }
        }
    }

    /// Proves C35.
    #[test]
    fn before_is_the_same_at_every_number(number: u32, distance in 1_u32..1 << 31) {
        let (early, late) = (Seq::new(number), Seq::new(number).plus(distance));
        prop_assert!(early.before(late));
        prop_assert!(!late.before(early));
        prop_assert!(!early.before(early));
        prop_assert_eq!(early.distance(late), distance);
    }

    /// Messages in both directions over the wrap, in pieces, with losses at any byte.
    ///
    /// Proves C35.
    #[test]
    fn flow_over_the_wrap_with_cuts_arrives_once_and_in_order(
        start in proptest::sample::select(&WRAP_STARTS[..]),
        rounds in vec((0_u32..80, 0_u32..80, 0_usize..9000, 0_usize..9000, any::<bool>()), 8..24),
    ) {
        let (mut a, mut b) = introduced(Version::V3_2, Seq::new(start));
        let (mut from_a, mut from_b) = (0..600, 0..600);
        let mut link = 1;
        for (sends_a, sends_b, arrives_b, arrives_a, cut) in rounds {
            from_a.by_ref().take(sends_a as usize).for_each(|count| a.send(count));
            from_b.by_ref().take(sends_b as usize).for_each(|count| b.send(count));
            let (to_b, to_a) = (a.take_all(link), b.take_all(link));
            if cut {
                b.read(link, &to_b[..arrives_b.min(to_b.len())]);
                a.read(link, &to_a[..arrives_a.min(to_a.len())]);
                disconnect(&mut a, &mut b, link);
                link += 1;
                connect(&mut a, &mut b, link);
            } else {
                b.read(link, &to_b);
                a.read(link, &to_a);
            }
        }
        from_a.for_each(|count| a.send(count));
        from_b.for_each(|count| b.send(count));
        settle(&mut a, &mut b, link);
        let all: Vec<u32> = (0..600).collect();
        prop_assert_eq!(&a.delivered, &all);
        prop_assert_eq!(&b.delivered, &all);
        prop_assert_eq!((a.queued(), b.queued()), (0, 0));
        let view = a.engine.peer(NOW, a.peer).unwrap();
        prop_assert_eq!(Seq::new(start).distance(view.send_seq), 600);
    }

    /// Any order of arrival, then a resend: the rule takes what fits, and the resend completes it.
    ///
    /// Proves C22, C24.
    #[test]
    fn frames_in_any_order_then_a_resend_arrive_once_and_in_order(order in vec(0_usize..5, 0..20), start: u32) {
        let (mut a, mut b) = introduced(Version::V3_2, Seq::new(start));
        for count in 0..5 {
            a.send(count);
        }
        let stream = a.take_all(1);
        let sent = frames(&stream);
        let mut next = 0;
        for index in order {
            b.read(1, sent[index]);
            next += usize::from(index == next);
            prop_assert_eq!(b.delivered.len(), next);
        }
        disconnect(&mut a, &mut b, 1);
        connect(&mut a, &mut b, 2);
        settle(&mut a, &mut b, 2);
        prop_assert_eq!(&b.delivered, &[0, 1, 2, 3, 4]);
        prop_assert_eq!(a.queued(), 0);
    }
}
