use std::net::{IpAddr, SocketAddr};

use super::{frames_of, on_ethernet, told_whole};
use crate::capture::testkit::chunks::{
    FIRST, LAST, MIDDLE, UNORDERED, WHOLE, abort, chunk, cookie_ack, cookie_echo, data, init, init_ack,
    packet, sack,
};
use crate::capture::testkit::frames;
use crate::capture::{CaptureStats, Side};

const TAG_A: u32 = 0xaaaa_0001;
const TAG_B: u32 = 0xbbbb_0001;
const UP: &str = "0 up SCTP Handshake 10.0.0.1:40000 10.0.0.2:21064";
const END: &str = "0 down EndOfCapture";

/// An association that hands out packets; addresses may be changed on the way.
struct Association {
    ends: [SocketAddr; 2],
    tags: [u32; 2],
    id: u16,
    packets: Vec<Vec<u8>>,
}

impl Association {
    fn new() -> Self {
        let ends = ["10.0.0.1:40000", "10.0.0.2:21064"].map(|end| end.parse().expect("an address"));
        Self {
            ends,
            tags: [TAG_A, TAG_B],
            id: 1,
            packets: Vec::new(),
        }
    }

    /// One whose handshake is done; chunk numbers start at 100 and 200.
    fn open() -> Self {
        Self::new().handshake([100, 200], &[&[], &[]])
    }

    fn handshake(mut self, first: [u32; 2], addresses: &[&[IpAddr]; 2]) -> Self {
        let [tag_a, tag_b] = self.tags;
        self.push_tagged(Side::A, 0, &[init(tag_a, first[0], addresses[0])]);
        self.push_tagged(Side::B, tag_a, &[init_ack(tag_b, first[1], addresses[1])]);
        self.push(Side::A, &[cookie_echo()]);
        self.push(Side::B, &[cookie_ack()]);
        self
    }

    fn push(&mut self, from: Side, chunks: &[Vec<u8>]) {
        self.push_tagged(from, self.tags[from.other().index()], chunks);
    }

    fn push_tagged(&mut self, from: Side, tag: u32, chunks: &[Vec<u8>]) {
        self.id += 1;
        let (source, destination) = (self.ends[from.index()], self.ends[from.other().index()]);
        self.packets
            .push(packet(source, destination, tag, self.id, chunks));
    }

    fn told(&self) -> (Vec<String>, CaptureStats) {
        told_whole(on_ethernet(&self.packets))
    }
}

fn between<'l>(lines: &'l [String], first: &str, last: &str) -> &'l [String] {
    assert_eq!(
        (
            lines.first().map(String::as_str),
            lines.last().map(String::as_str)
        ),
        (Some(first), Some(last))
    );
    &lines[1..lines.len() - 1]
}

#[test]
fn chunks_of_one_packet_and_frames_of_one_chunk_come_in_order() {
    let mut association = Association::open();
    let two = [frames::ack(1, 1), frames::opts(1, 2, 91)].concat();
    association.push(
        Side::A,
        &[data(100, WHOLE, &two), data(101, WHOLE, &frames::ack(1, 3))],
    );
    association.push(Side::B, &[sack(101), data(200, WHOLE, &frames::ack(2, 4))]);
    let (lines, stats) = association.told();
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A 2", "0 A 3", "0 B 4"]);
    let counts = stats.sctp;
    assert_eq!(
        (
            counts.init,
            counts.init_ack,
            counts.cookie_echo,
            counts.cookie_ack
        ),
        (1, 1, 1, 1)
    );
    assert_eq!((counts.data, counts.sack, counts.fragmented_data), (3, 1, 0));
}

#[test]
fn message_in_pieces_is_one_frame() {
    let message = frames::opts(1, 5, 4000);
    let mut association = Association::open();
    for (tsn, flags, piece) in [
        (100, FIRST, &message[..1400]),
        (101, MIDDLE, &message[1400..2800]),
        (102, LAST, &message[2800..]),
    ] {
        association.push(Side::A, &[data(tsn, flags, piece)]);
    }
    let (lines, stats) = association.told();
    assert_eq!(between(&lines, UP, END), ["0 A 5"]);
    assert_eq!(stats.sctp.fragmented_data, 3);
}

#[test]
fn chunk_numbers_wrap_and_come_out_of_order() {
    for start in [0, 1, u32::MAX - 2, u32::MAX, (1 << 31) - 2] {
        let mut association = Association::new().handshake([start, 7], &[&[], &[]]);
        for n in [0, 2, 1, 3, 5, 4, 4] {
            association.push(Side::A, &[data(start.wrapping_add(n), WHOLE, &frames::ack(1, n))]);
        }
        let (lines, stats) = association.told();
        let mut expected = frames_of(Side::A, 0..6);
        expected.push("0 A again 16".to_owned());
        assert_eq!(between(&lines, UP, END), expected, "start {start}");
        assert_eq!(stats.sctp.retransmitted_data, 1);
    }
}

#[test]
fn unordered_message_does_not_wait() {
    let mut association = Association::open();
    association.push(Side::A, &[data(101, WHOLE | UNORDERED, &frames::ack(1, 1))]);
    association.push(Side::A, &[data(102, WHOLE, &frames::ack(1, 2))]);
    association.push(Side::A, &[data(100, WHOLE, &frames::ack(1, 0))]);
    assert_eq!(
        between(&association.told().0, UP, END),
        ["0 A 1", "0 A 0", "0 A 2"]
    );
}

#[test]
fn hole_that_was_acknowledged_is_missing() {
    let mut association = Association::open();
    association.push(Side::A, &[data(101, WHOLE, &frames::ack(1, 1))]);
    association.push(Side::B, &[sack(99)]);
    association.push(Side::B, &[sack(101)]);
    let (lines, stats) = association.told();
    assert_eq!(
        between(&lines, UP, END),
        ["0 A missing Chunks(1) Acknowledged", "0 A resync 0", "0 A 1"]
    );
    assert_eq!((stats.gaps, stats.missing_chunks), (1, 1));
}

#[test]
fn forward_tsn_gives_up_a_hole() {
    let mut association = Association::open();
    association.push(Side::A, &[data(102, WHOLE, &frames::ack(1, 2))]);
    association.push(Side::A, &[chunk(192, 0, &101_u32.to_be_bytes())]);
    association.push(Side::A, &[data(103, WHOLE, &frames::ack(1, 3))]);
    let (lines, _) = association.told();
    assert_eq!(
        between(&lines, UP, END),
        ["0 A missing Chunks(2) Forward", "0 A resync 0", "0 A 2", "0 A 3"]
    );
}

#[test]
fn packets_on_any_address_belong_to_their_association() {
    let [a1, a2, b1, b2, b3] = ["10.0.0.1", "10.1.0.1", "10.0.0.2", "10.1.0.2", "10.2.0.2"]
        .map(|a| a.parse::<IpAddr>().expect("one"));
    let mut association = Association::new().handshake([100, 200], &[&[a1, a2], &[b1, b2]]);
    association.push(Side::A, &[data(100, FIRST, &frames::ack(1, 1)[..7])]);
    association.ends[0].set_ip(a2);
    association.ends[1].set_ip(b2);
    association.push(Side::A, &[data(101, LAST, &frames::ack(1, 1)[7..])]);
    association.ends[1].set_ip(b3);
    association.push(Side::B, &[data(200, WHOLE, &frames::ack(2, 2))]);
    let up = "0 up SCTP Handshake 10.0.0.1+10.1.0.1:40000 10.0.0.2+10.1.0.2:21064";
    assert_eq!(
        between(&association.told().0, up, END),
        ["0 A 1", "0 B at 10.2.0.2", "0 B 2"]
    );
}

#[test]
fn abort_ends_the_link_and_what_follows_is_late() {
    for reflected in [false, true] {
        let mut association = Association::open();
        association.push(Side::A, &[data(100, WHOLE, &frames::ack(1, 1)[..9])]);
        let tag = if reflected { TAG_B } else { TAG_A };
        association.push_tagged(Side::B, tag, &[abort(reflected)]);
        association.push(Side::A, &[data(101, WHOLE, &frames::ack(1, 1)[9..])]);
        let (lines, stats) = association.told();
        assert_eq!(lines, [UP, "0 down Abort { from: B } 9/16", "0 A late 1"]);
        assert_eq!(
            (stats.sctp.abort, stats.cut_directions, stats.late_frames),
            (1, 1, 1)
        );
    }
}

#[test]
fn refused_association_is_no_link() {
    let mut association = Association::new();
    association.push_tagged(Side::A, 0, &[init(TAG_A, 1, &[])]);
    association.push(Side::B, &[abort(false)]);
    let (lines, _) = association.told();
    assert_eq!(lines, ["refused SCTP 10.0.0.1:40000 10.0.0.2:21064"]);
}

#[test]
fn shutdown_ends_the_link() {
    let mut association = Association::open();
    association.push(Side::A, &[data(100, WHOLE, &frames::ack(1, 1))]);
    association.push(Side::B, &[chunk(7, 0, &100_u32.to_be_bytes())]);
    association.push(Side::A, &[chunk(8, 0, &[])]);
    association.push(Side::B, &[chunk(14, 0, &[])]);
    association.push(Side::A, &[data(100, WHOLE, &frames::ack(1, 1))]);
    let (lines, stats) = association.told();
    assert_eq!(lines, [UP, "0 A 1", "0 down Shutdown"]);
    assert_eq!(
        (
            stats.sctp.shutdown,
            stats.sctp.shutdown_ack,
            stats.sctp.shutdown_complete
        ),
        (1, 1, 1)
    );
    assert_eq!(stats.stray_packets, 1);
}

#[test]
fn restart_replaces_the_association() {
    let mut association = Association::open();
    association.push(Side::A, &[data(100, WHOLE, &frames::ack(1, 1))]);
    association.tags = [TAG_A + 1, TAG_B + 1];
    let mut association = association.handshake([5, 6], &[&[], &[]]);
    association.push(Side::A, &[data(5, WHOLE, &frames::ack(1, 2))]);
    let (lines, _) = association.told();
    let again = "1 up SCTP Handshake 10.0.0.1:40000 10.0.0.2:21064";
    assert_eq!(
        lines,
        [
            UP,
            "0 A 1",
            "0 down Replaced",
            again,
            "1 A 2",
            "1 down EndOfCapture"
        ]
    );
}

#[test]
fn mid_stream_directions_find_together() {
    let up = "0 up SCTP MidStream 10.0.0.1:40000 10.0.0.2:21064";
    for path in ["10.0.0.2", "10.1.0.2"] {
        let mut association = Association::new();
        association.push(
            Side::A,
            &[data(
                500,
                WHOLE,
                &[&[9; 5][..], &frames::ack(1, 1), &frames::ack(1, 2)].concat(),
            )],
        );
        association.ends[1].set_ip(path.parse().expect("an address"));
        association.push(Side::B, &[data(900, WHOLE, &frames::ack(2, 3))]);
        let (lines, _) = association.told();
        let told: Vec<&String> = between(&lines, up, END)
            .iter()
            .filter(|line| !line.contains(" at "))
            .collect();
        assert_eq!(told, ["0 A resync 5", "0 A 1", "0 A 2", "0 B 3"]);
    }
}

#[test]
fn snapshot_length_cuts_a_chunk() {
    let mut association = Association::open();
    association.push(
        Side::A,
        &[data(
            100,
            WHOLE,
            &[frames::opts(1, 1, 200), frames::ack(1, 2)].concat(),
        )],
    );
    association.push(Side::A, &[data(101, WHOLE, &frames::ack(1, 3))]);
    let mut file = crate::capture::testkit::PcapFile::new(101);
    for packet in &association.packets {
        file.packet_cut(packet, packet.len().min(160));
    }
    let (lines, _) = told_whole(file.bytes);
    let expected = ["0 A missing Bytes(128) Snapshot 112/224", "0 A resync 0", "0 A 3"];
    assert_eq!(between(&lines, UP, END), expected);
}

#[test]
fn broken_chunk_lengths_are_counted() {
    let mut association = Association::open();
    let mut broken = data(100, WHOLE, &frames::ack(1, 1));
    broken[2] = 0xff;
    association.push(Side::A, &[broken]);
    association.push(Side::A, &[vec![0, 3, 0, 2]]);
    let (lines, stats) = association.told();
    assert_eq!(lines, [UP, END]);
    assert_eq!(stats.sctp.bad_chunks, 2);
}

#[test]
fn addresses_beyond_the_bound_are_counted() {
    let many: Vec<IpAddr> = (1..=40).map(|host| IpAddr::from([10, 1, 0, host])).collect();
    let association = Association::new().handshake([100, 200], &[&many, &[]]);
    let (_, stats) = association.told();
    assert_eq!(stats.sctp.addresses_ignored, 9);
}

#[test]
fn chunk_far_ahead_of_its_stream_is_counted() {
    let mut association = Association::open();
    association.push(Side::A, &[data(100 + (1 << 21), WHOLE, &frames::ack(1, 1))]);
    let (_, stats) = association.told();
    assert_eq!((stats.sctp.bad_chunks, stats.unplaced_bytes), (1, 16));
}

#[test]
fn data_without_an_association_is_counted() {
    let mut association = Association::open();
    association.push_tagged(Side::A, 0x1234_5678, &[data(100, WHOLE, &frames::ack(1, 1))]);
    let (_, stats) = association.told();
    assert_eq!((stats.stray_packets, stats.stray_data_packets), (1, 1));
}

/// The place of a refused association may be another one's when its time is over.
#[test]
fn association_that_was_refused_long_ago_takes_no_other_one_with_it() {
    const SHUTDOWN_COMPLETE: u8 = 14;
    let mut association = Association::new();
    association.push_tagged(Side::A, 0, &[init(1, 1, &[])]);
    association.push_tagged(Side::B, 1, &[abort(false)]);
    association.push_tagged(Side::B, 1, &[chunk(SHUTDOWN_COMPLETE, 0, &[])]);
    association.push_tagged(Side::A, 0, &[init(TAG_A, 100, &[])]);
    association.push_tagged(Side::B, TAG_A, &[init_ack(TAG_B, 200, &[])]);
    association.push_tagged(Side::A, 0, &[init(2, 1, &[])]);
    for _ in 0..1025 {
        association.push_tagged(Side::B, 2, &[abort(false)]);
    }
    association.push(Side::A, &[cookie_echo(), data(100, WHOLE, &frames::ack(1, 7))]);
    let (lines, _) = association.told();
    assert_eq!(lines[lines.len() - 3..], [UP, "0 A 7", END]);
}
