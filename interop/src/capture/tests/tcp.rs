use super::{frames_of, on_ethernet, told, told_whole, told_with};
use crate::capture::testkit::{PcapFile, TcpSegment, TcpTalk, ethernet, frames};
use crate::capture::{CaptureStats, Options, Side};

const A: &str = "10.0.0.1:40000";
const B: &str = "10.0.0.2:21064";
pub(super) const UP: &str = "0 up TCP Handshake 10.0.0.1:40000 10.0.0.2:21064";
pub(super) const UP_MID_STREAM: &str = "0 up TCP MidStream 10.0.0.1:40000 10.0.0.2:21064";

/// A connection whose handshake is done, and its packets so far.
pub(super) fn open(next: [u32; 2]) -> (TcpTalk, Vec<TcpSegment>) {
    let mut talk = TcpTalk::new(A, B).starting_at(next);
    let segments = vec![talk.syn(), talk.syn_ack(), talk.ack(Side::A)];
    (talk, segments)
}

pub(super) fn tell(segments: &[TcpSegment]) -> (Vec<String>, CaptureStats) {
    let packets: Vec<Vec<u8>> = segments.iter().map(TcpSegment::packet).collect();
    told_whole(on_ethernet(&packets))
}

/// The lines without the first and last, which must be these.
pub(super) fn between<'l>(lines: &'l [String], first: &str, last: &str) -> &'l [String] {
    assert_eq!(
        (
            lines.first().map(String::as_str),
            lines.last().map(String::as_str)
        ),
        (Some(first), Some(last))
    );
    &lines[1..lines.len() - 1]
}

pub(super) const END: &str = "0 down EndOfCapture";

#[test]
fn handshake_data_and_both_fins_are_told_in_order() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &[frames::opts(1, 0, 88), frames::ack(1, 9)].concat()));
    segments.push(talk.data(Side::B, &frames::opts(2, 0, 100)));
    segments.push(talk.fin(Side::A));
    segments.push(talk.fin(Side::B));
    segments.push(talk.ack(Side::A));
    let (lines, stats) = tell(&segments);
    assert_eq!(
        lines,
        [
            UP,
            "0 A 0",
            "0 A 9",
            "0 B 0",
            "0 A closes",
            "0 B closes",
            "0 down Fin"
        ]
    );
    assert_eq!(
        (
            stats.tcp.syn,
            stats.tcp.accepted,
            stats.tcp.fin,
            stats.stray_packets
        ),
        (1, 1, 2, 1)
    );
    assert_eq!(
        (stats.frames, stats.frame_bytes, stats.tcp.data_segments),
        (3, 112 + 16 + 124, 2)
    );
}

#[test]
fn sequence_numbers_wrap() {
    for start in [0, 1, (1 << 31) - 60, u32::MAX - 120, u32::MAX - 1, u32::MAX] {
        let (mut talk, mut segments) = open([start, start]);
        let sent: Vec<TcpSegment> = (0..8).map(|n| talk.data(Side::A, &frames::ack(1, n))).collect();
        segments.extend([0, 2, 1, 3, 3, 7, 6, 5, 4].map(|n: usize| sent[n].clone()));
        let (lines, _) = tell(&segments);
        let mut expected = frames_of(Side::A, 0..4);
        expected.push("twice 7".to_owned());
        expected.extend(frames_of(Side::A, 4..8));
        assert_eq!(between(&lines, UP, END), expected, "start {start}");
    }
}

#[test]
fn message_over_segments_is_one_frame_and_knows_its_segments() {
    let message = frames::opts(1, 5, 4000);
    let (mut talk, mut segments) = open([1000, 2000]);
    for piece in [
        &message[..10],
        &message[10..15],
        &message[15..3000],
        &message[3000..],
    ] {
        segments.push(talk.data(Side::A, piece));
    }
    let packets: Vec<Vec<u8>> = segments.iter().map(TcpSegment::packet).collect();
    let mut places = Vec::new();
    let mut sink = |at: crate::capture::Stamp, event: crate::capture::Event<'_>| {
        if let crate::capture::Event::Frame { frame, place, .. } = event {
            assert_eq!(frame.bytes(), message);
            places.push((
                at.packet,
                place.first.packet,
                place.first_segment,
                place.segment,
                place.nth,
                place.offset,
            ));
        }
    };
    let bytes = std::io::Cursor::new(on_ethernet(&packets));
    let summary = crate::capture::read(bytes, &Options::default(), &mut sink).expect("a capture");
    assert_eq!(summary.stats.frames, 1);
    assert_eq!(places, [(7, 4, 1, 4, 1, 0)]);
}

#[test]
fn retransmission_is_not_delivered_again() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let first = talk.data(Side::A, &frames::ack(1, 1));
    segments.push(first.clone());
    segments.push(first.again());
    segments.push(talk.data(Side::A, &frames::ack(1, 2)));
    let (lines, stats) = tell(&segments);
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A again 16", "0 A 2"]);
    assert_eq!(
        (stats.tcp.data_segments, stats.tcp.retransmitted_segments),
        (3, 1)
    );
}

#[test]
fn overlap_keeps_the_first_copy() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let stream = [frames::ack(1, 1), frames::ack(1, 2), frames::ack(1, 3)].concat();
    let whole = talk.data(Side::A, &stream);
    let piece = |from: usize, to: usize| {
        let mut piece = whole.clone().again();
        piece.seq += u32::try_from(from).expect("short");
        piece.bytes = stream[from..to].to_vec();
        piece
    };
    let mut forged = piece(16, 32);
    forged.bytes[4] = 99;
    segments.extend([piece(20, 40), forged, piece(8, 48), piece(0, 12)]);
    let (lines, stats) = tell(&segments);
    let expected = [
        "0 A again 12 other bytes",
        "0 A again 24",
        "0 A 1",
        "0 A 2",
        "0 A 3",
        "0 A again 4",
    ];
    assert_eq!(between(&lines, UP, END), expected);
    assert_eq!(
        (stats.tcp.out_of_order_segments, stats.tcp.retransmitted_segments),
        (3, 0)
    );
}

#[test]
fn differing_copy_behind_a_hole_is_noted() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let first = talk.data(Side::A, &frames::ack(1, 1));
    let second = talk.data(Side::A, &frames::ack(1, 2));
    let mut forged = second.clone().again();
    forged.bytes[4] = 99;
    segments.extend([second, forged, first]);
    let (lines, stats) = tell(&segments);
    assert_eq!(
        between(&lines, UP, END),
        ["0 A again 16 other bytes", "0 A 1", "0 A 2"]
    );
    assert_eq!(stats.tcp.differing_segments, 1);
}

#[test]
fn one_direction_alone_is_followed() {
    let (mut talk, segments) = open([1000, 2000]);
    let mut from_a = vec![segments[0].clone(), segments[2].clone()];
    from_a.push(talk.data(Side::A, &frames::ack(1, 1)));
    from_a.push(talk.fin(Side::A));
    let (lines, stats) = tell(&from_a);
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A closes"]);
    assert_eq!(stats.tcp.accepted, 1);
    let from_b = [segments[1].clone(), talk.data(Side::B, &frames::ack(2, 2))];
    // A's FIN looks like a byte to one who sees only that it was acknowledged.
    assert_eq!(
        between(&tell(&from_b).0, UP, END),
        ["0 B 2", "0 A missing Bytes(17) Acknowledged"]
    );
}

#[test]
fn port_reuse_ends_the_old_link() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)[..9]));
    let (mut again, opening) = open([900_000, 5]);
    segments.extend(opening);
    segments.push(again.data(Side::A, &frames::ack(1, 2)));
    let (lines, stats) = tell(&segments);
    let expected = [
        UP,
        "0 down Replaced 9/16",
        "1 up TCP Handshake 10.0.0.1:40000 10.0.0.2:21064",
        "1 A 2",
        "1 down EndOfCapture",
    ];
    assert_eq!(lines, expected);
    assert_eq!((stats.links, stats.tcp.accepted, stats.cut_directions), (2, 2, 1));
}

#[test]
fn repeated_handshake_segments_change_nothing() {
    let (mut talk, opening) = open([1000, 2000]);
    let mut segments: Vec<TcpSegment> = opening
        .iter()
        .flat_map(|s| [s.clone(), s.clone().again()])
        .collect();
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    segments.push(opening[1].clone().again().again());
    segments.push(talk.data(Side::A, &frames::ack(1, 2)));
    let (lines, stats) = tell(&segments);
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A 2"]);
    assert_eq!((stats.tcp.syn, stats.tcp.accepted), (2, 1));
}

#[test]
fn refused_connection_is_no_link() {
    let mut talk = TcpTalk::new(A, B);
    let syn = talk.syn();
    let mut rst = talk.rst(Side::B);
    rst.seq = 0;
    let (lines, stats) = tell(&[syn, rst]);
    assert_eq!(lines, ["refused TCP 10.0.0.1:40000 10.0.0.2:21064"]);
    assert_eq!((stats.links, stats.tcp.refused, stats.tcp.rst), (0, 1, 1));
}

#[test]
fn reset_ends_the_link_and_what_follows_is_late() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    segments.push(talk.data(Side::B, &frames::ack(2, 2)[..5]));
    let mut rst = talk.rst(Side::B);
    rst.bytes = frames::ack(2, 66);
    segments.push(rst);
    segments.push(talk.data(Side::A, &frames::ack(1, 3)));
    segments.push(talk.rst(Side::A));
    let (lines, stats) = tell(&segments);
    assert_eq!(
        lines,
        [UP, "0 A 1", "0 down Reset { from: B } 5/16", "0 A late 3"]
    );
    assert_eq!(
        (
            stats.frames,
            stats.late_frames,
            stats.cut_directions,
            stats.tcp.rst
        ),
        (1, 1, 1, 2)
    );
}

#[test]
fn reset_outside_the_window_is_ignored() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    segments.push(talk.ack(Side::B));
    segments.push(talk.rst(Side::A).at(1003));
    segments.push(talk.data(Side::A, &frames::ack(1, 2)));
    let (lines, stats) = tell(&segments);
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A 2"]);
    assert_eq!((stats.tcp.rst, stats.tcp.rst_ignored), (1, 1));
}

#[test]
fn fin_waits_for_what_is_before_it() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let data = talk.data(Side::A, &frames::ack(1, 1));
    segments.extend([talk.fin(Side::A), data, talk.fin(Side::B)]);
    let (lines, _) = tell(&segments);
    assert_eq!(
        between(&lines, UP, "0 down Fin"),
        ["0 A 1", "0 A closes", "0 B closes"]
    );
}

#[test]
fn late_data_of_a_closed_connection_opens_none() {
    let (mut talk, mut segments) = open([1000, 2000]);
    let data = talk.data(Side::A, &frames::ack(1, 1));
    segments.extend([
        data.clone(),
        talk.fin(Side::A),
        talk.fin(Side::B),
        data.again(),
        talk.rst(Side::B),
    ]);
    let (lines, stats) = tell(&segments);
    assert_eq!(lines.last().map(String::as_str), Some("0 down Fin"));
    assert_eq!((stats.links, stats.stray_packets), (1, 2));
    assert_eq!(stats.stray_data_packets, 1);
}

#[test]
fn keepalive_is_neither_data_nor_retransmission() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    let mut probe = talk.ack(Side::A);
    probe.seq -= 1;
    let mut probe_with_byte = talk.ack(Side::A);
    probe_with_byte.seq -= 1;
    probe_with_byte.bytes = vec![0];
    segments.extend([probe, probe_with_byte, talk.data(Side::A, &frames::ack(1, 2))]);
    let (lines, stats) = tell(&segments);
    assert_eq!(between(&lines, UP, END), ["0 A 1", "0 A 2"]);
    assert_eq!(
        (
            stats.tcp.keepalives,
            stats.tcp.retransmitted_segments,
            stats.tcp.data_segments
        ),
        (2, 0, 2)
    );
}

#[test]
fn packets_captured_twice_count_once() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    let twice: Vec<TcpSegment> = segments.iter().flat_map(|s| [s.clone(), s.clone()]).collect();
    let (lines, stats) = tell(&twice);
    let expected = ["twice 1", UP, "twice 3", "twice 5", "0 A 1", "twice 7", END];
    assert_eq!(lines, expected);
    assert_eq!(
        (
            stats.seen_twice,
            stats.tcp.data_segments,
            stats.tcp.syn,
            stats.packets
        ),
        (4, 1, 1, 8)
    );
}

#[test]
fn copy_without_identification_must_be_quick() {
    let (mut talk, mut segments) = open([1000, 2000]);
    segments.push(talk.data(Side::A, &frames::ack(1, 1)));
    for (pause, expected) in [(0, "twice 4"), (900, "twice 4"), (1100, "0 A again 16")] {
        let mut file = PcapFile::new(1);
        for segment in &mut segments {
            segment.id = 0;
            file.packet(&ethernet(&segment.packet()));
        }
        file.micros += pause;
        file.micros -= 1013;
        file.packet(&ethernet(&segments[3].packet()));
        let (lines, _) = told_whole(file.bytes);
        assert_eq!(between(&lines, UP, END), ["0 A 1", expected], "{pause} us");
    }
}

#[test]
fn links_beyond_the_bound_evict_the_idlest() {
    let mut packets = Vec::new();
    for port in 0..40 {
        let mut talk = TcpTalk::new(&format!("10.0.0.1:{}", 40_000 + port), B);
        packets
            .extend([talk.syn(), talk.syn_ack(), talk.data(Side::A, &frames::ack(1, 1))].map(|s| s.packet()));
    }
    let options = Options {
        links_max: 32,
        ..Options::default()
    };
    let (lines, summary) = told_with(on_ethernet(&packets), &options);
    let evicted: Vec<&String> = lines
        .iter()
        .filter(|line| line.ends_with("down Evicted"))
        .collect();
    assert_eq!(
        evicted,
        ["0", "1", "2", "3", "4", "5", "6", "7"]
            .map(|link| format!("{link} down Evicted"))
            .iter()
            .collect::<Vec<_>>()
    );
    assert_eq!(summary.expect("a capture").stats.links_evicted, 8);
}

#[test]
fn openings_given_up_are_counted() {
    let packets: Vec<Vec<u8>> = (0..5)
        .map(|port| TcpTalk::new(&format!("10.0.0.1:{}", 40_000 + port), B))
        .map(|mut talk| talk.syn().packet())
        .collect();
    let options = Options {
        links_max: 2,
        ..Options::default()
    };
    let (lines, summary) = told_with(on_ethernet(&packets), &options);
    assert!(lines.is_empty());
    let stats = summary.expect("a capture").stats;
    assert_eq!((stats.openings_evicted, stats.links_evicted), (3, 0));
}

#[test]
fn bytes_waiting_on_all_links_are_bounded() {
    let mut packets = Vec::new();
    for port in 0..64 {
        let mut talk = TcpTalk::new(&format!("10.0.0.1:{}", 40_000 + port), B);
        packets.extend([talk.syn(), talk.syn_ack()].map(|s| s.packet()));
        talk.data(Side::A, &[0; 10]);
        packets.push(talk.data(Side::A, &[7; 1000]).packet());
    }
    let options = Options {
        waiting_bytes_total_max: 20_000,
        ..Options::default()
    };
    let (lines, _) = told_with(on_ethernet(&packets), &options);
    let open = lines
        .iter()
        .filter(|line| line.ends_with("down EndOfCapture"))
        .count();
    assert!((10..=17).contains(&open), "{open} links kept what waits");
}

#[test]
fn other_ports_are_ignored_and_more_can_be_asked_for() {
    let mut talk = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:7000");
    let packets = [talk.syn(), talk.syn_ack(), talk.data(Side::A, &frames::ack(1, 1))].map(|s| s.packet());
    let (lines, summary) = told(on_ethernet(&packets));
    assert_eq!(
        (lines.len(), summary.expect("a capture").stats.other_packets),
        (0, 3)
    );
    let options = Options {
        ports: vec![21064, 7000],
        ..Options::default()
    };
    assert_eq!(told_with(on_ethernet(&packets), &options).0.len(), 3);
}
