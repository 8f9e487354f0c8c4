//! TCP streams of which something is not in the capture.

use std::collections::HashSet;

use super::tcp::{END, UP, UP_MID_STREAM, between, open, tell};
use super::{frames_of, on_ethernet, told_whole, told_with};
use crate::capture::testkit::{PcapFile, TcpSegment, ethernet, frames};
use crate::capture::{Event, Options, Packet, Packets, Reassembler, Side, Stamp};

#[test]
fn hole_that_the_peer_acknowledged_is_missing() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    talk.data(Side::A, &frames::ack(1, 2));
    segments.push(talk.data(Side::A, &frames::ack(1, 3)));
    segments.push(talk.ack(Side::B));
    segments.push(talk.data(Side::A, &frames::ack(1, 4)));
    let (lines, stats) = tell(&segments);
    let expected = [
        "0 A 1",
        "0 A missing Bytes(16) Acknowledged",
        "0 A resync 0",
        "0 A 3",
        "0 A 4",
    ];
    assert_eq!(between(&lines, UP, END), expected);
    assert_eq!((stats.gaps, stats.missing_bytes), (1, 16));
}

#[test]
fn hole_inside_a_frame_does_not_lose_framing() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let message = frames::opts(1, 1, 200);
    segments.push(talk.data(Side::A, &message[..100]));
    talk.data(Side::A, &message[100..150]);
    segments.push(talk.data(Side::A, &[&message[150..], &frames::ack(1, 2)].concat()));
    segments.push(talk.ack(Side::B));
    let (lines, _) = tell(&segments);
    assert_eq!(
        between(&lines, UP, END),
        ["0 A missing Bytes(50) Acknowledged 100/224", "0 A 2"]
    );
}

#[test]
fn hole_that_nobody_filled_is_missing_at_the_end() {
    let (mut talk, mut segments) = open([1000, 2000]);
    talk.data(Side::A, &[0; 5]);
    segments.push(talk.data(Side::A, &frames::ack(1, 3)));
    talk.data(Side::B, &[0; 7]);
    segments.push(talk.ack(Side::A));
    let (lines, _) = tell(&segments);
    let expected = [
        "0 A missing Bytes(5) End",
        "0 A resync 0",
        "0 A 3",
        "0 B missing Bytes(7) Acknowledged",
    ];
    assert_eq!(between(&lines, UP, END), expected);
}

#[test]
fn full_waiting_room_gives_up_the_hole() {
    let (mut talk, mut segments) = open([1000, 2000]);
    talk.data(Side::A, &frames::ack(1, 0));
    segments.extend((1..20).map(|n| talk.data(Side::A, &frames::ack(1, n))));
    let packets: Vec<Vec<u8>> = segments.iter().map(TcpSegment::packet).collect();
    let options = Options {
        waiting_bytes_max: 1000,
        ..Options::default()
    };
    let (lines, summary) = told_with(on_ethernet(&packets), &options);
    assert_eq!(lines[1..3], ["0 A missing Bytes(16) Overflow", "0 A resync 0"]);
    assert_eq!(lines[3..22], frames_of(Side::A, 1..20));
    assert_eq!(summary.expect("a capture").stats.gaps, 1);
}

#[test]
fn mid_stream_start_finds_the_next_header() {
    let (mut talk, _) = open([1000, 2000]);
    let stream = [frames::opts(1, 1, 100), frames::opts(1, 2, 88), frames::ack(1, 3)].concat();
    let segments = [
        talk.data(Side::A, &stream[50..]),
        talk.data(Side::B, &frames::ack(2, 4)),
    ];
    let (lines, stats) = tell(&segments);
    assert_eq!(
        between(&lines, UP_MID_STREAM, END),
        ["0 A resync 74", "0 A 2", "0 A 3", "0 B 4"]
    );
    assert_eq!((stats.tcp.accepted, stats.skipped_bytes), (0, 74));
}

#[test]
fn mid_stream_start_behind_an_opts_header_skips_the_inner_message() {
    let (mut talk, _) = open([1000, 2000]);
    let stream = [frames::opts(1, 1, 100), frames::opts(1, 2, 88)].concat();
    let segments = [talk.data(Side::A, &stream[24..])];
    let (lines, _) = tell(&segments);
    assert_eq!(between(&lines, UP_MID_STREAM, END), ["0 A resync 100", "0 A 2"]);
}

#[test]
fn mid_stream_start_in_a_long_message_waits_for_its_end() {
    let (mut talk, _) = open([1000, 2000]);
    let message = frames::rcom(0x0003_0002, 1, 6, 4072);
    let segments: Vec<TcpSegment> = message
        .chunks(1448)
        .map(|piece| talk.data(Side::B, piece))
        .collect();
    let (lines, _) = tell(&segments);
    assert_eq!(
        between(&lines, UP_MID_STREAM, END),
        [format!("0 B {}", 0x6b1f_7a52)]
    );
}

#[test]
fn broken_length_is_reported_and_framing_found_again() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let mut broken = frames::opts(1, 1, 88);
    broken[12..14].copy_from_slice(&70_u16.to_le_bytes());
    broken[12] = 5;
    broken[13] = 0;
    segments.push(talk.data(Side::A, &[broken, frames::ack(1, 2), frames::ack(1, 3)].concat()));
    let (lines, stats) = tell(&segments);
    let lost = "0 A lost: frame length 5 is below the header's 16 (at offset 12)";
    assert_eq!(
        between(&lines, UP, END),
        [lost, "0 A resync 112", "0 A 2", "0 A 3"]
    );
    assert_eq!((stats.framing_lost, stats.skipped_bytes), (1, 112));
}

#[test]
fn snapshot_length_leaves_the_framing_alone() {
    let (mut talk, segments) = open([1000, 2000]);
    let mut file = PcapFile::new(1);
    for segment in &segments {
        file.packet(&ethernet(&segment.packet()));
    }
    for n in 0..3 {
        let packet = ethernet(
            &talk
                .data(
                    Side::A,
                    &[frames::opts(1, n, 300), frames::ack(1, 100 + n)].concat(),
                )
                .packet(),
        );
        file.packet_cut(&packet, if n == 1 { 128 } else { packet.len() });
    }
    let (lines, stats) = told_whole(file.bytes);
    let expected = [
        "0 A 0",
        "0 A 100",
        "0 A missing Bytes(266) Snapshot 74/324",
        "0 A resync 0",
        "0 A 2",
        "0 A 102",
    ];
    assert_eq!(between(&lines, UP, END), expected);
    assert_eq!((stats.truncated_packets, stats.missing_bytes), (1, 266));
}

#[test]
fn hole_behind_a_reset_is_missing() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.rst(Side::B));
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    talk.data(Side::A, &frames::ack(1, 2));
    segments.push(talk.data(Side::A, &frames::ack(1, 3)));
    segments.push(talk.data(Side::A, &frames::ack(1, 4)[..9]));
    let (lines, stats) = tell(&segments);
    assert_eq!(
        lines,
        [
            UP,
            "0 down Reset { from: B }",
            "0 A late 1",
            "0 A missing Bytes(16) End",
            "0 A late 3"
        ]
    );
    assert_eq!(
        (stats.gaps, stats.missing_bytes, stats.late_cut_directions),
        (1, 16, 1)
    );
}

#[test]
fn segment_that_starts_with_an_inner_message_does_not_mislead() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::B, &frames::ack(2, 1)));
    let message = frames::opts(1, 2, 100);
    talk.data(Side::A, &message[..24]);
    segments.push(talk.data(Side::A, &message[24..]));
    segments.push(talk.ack(Side::B));
    segments.push(talk.data(Side::A, &frames::opts(1, 3, 100)));
    let (lines, _) = tell(&segments);
    assert_eq!(
        between(&lines, UP, END),
        [
            "0 B 1",
            "0 A missing Bytes(24) Acknowledged",
            "0 A resync 100",
            "0 A 3"
        ]
    );
}

/// Frames of a shipped capture whose packets are cut as by a snapshot length.
fn frames_of_capture_cut_to(name: &str, snapshot_len: usize) -> HashSet<Vec<u8>> {
    let path = format!("{}/../captures/{name}.pcap.zst", env!("CARGO_MANIFEST_DIR"));
    let mut packets = Packets::open(path.as_ref()).expect("a shipped capture");
    let mut reassembler = Reassembler::new(Options::default());
    let mut frames = HashSet::new();
    let mut sink = |_: Stamp, event: Event<'_>| {
        if let Event::Frame { frame, .. } = event {
            frames.insert(frame.bytes().to_vec());
        }
    };
    while let Ok(packet) = packets.next() {
        let data = &packet.data[..packet.data.len().min(snapshot_len)];
        reassembler.packet(&Packet { data, ..packet }, &mut sink);
    }
    let _ = reassembler.finish(&mut sink);
    frames
}

#[test]
fn cut_packets_of_real_traffic_give_no_frame_that_was_not_sent() {
    for snapshot_len in [200, 500, 1000, 1200] {
        let name = "tcp-3.2-linux6.1-two-lockspaces";
        let sent = frames_of_capture_cut_to(name, usize::MAX);
        let frames = frames_of_capture_cut_to(name, snapshot_len);
        assert!(frames.len() > sent.len() / 20, "{} frames", frames.len());
        let invented = frames.difference(&sent).count();
        assert_eq!(invented, 0, "snapshot length {snapshot_len}");
    }
}

#[test]
fn data_far_ahead_of_its_stream_is_counted() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    let far = talk.data(Side::A, &frames::ack(1, 2)).at(1001 + 16 + (32 << 20));
    segments.push(far);
    let (lines, stats) = tell(&segments);
    assert_eq!(between(&lines, UP, END), ["0 A 1"]);
    assert_eq!(stats.unplaced_bytes, 16);
}

/// A packet of 40 bytes would walk over everything that waits, and the next one again.
#[test]
fn segment_cut_to_nothing_is_held_against_a_bounded_number_of_others() {
    let (mut talk, mut segments) = open([1000, 2000]);
    talk.data(Side::A, &[0; 16]);
    let first = talk.next[0];
    segments.extend((0..100).map(|_| talk.data(Side::A, &[0x55])));
    let mut file = PcapFile::new(1);
    for segment in &segments {
        file.packet(&ethernet(&segment.packet()));
    }
    let spanning = talk.data(Side::A, &[0x55; 100]).at(first).again();
    file.packet_cut(&ethernet(&spanning.packet()), 54);
    let (lines, stats) = told_whole(file.bytes);
    assert_eq!(lines[1], "0 A again 64");
    assert_eq!(stats.tcp.retransmitted_segments, 0);
}
