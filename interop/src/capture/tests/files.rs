use std::io::Cursor;

use super::compressed::gzip;
use super::{on_ethernet, told, told_whole};
use crate::capture::testkit::{
    PcapFile, PcapngFile, TcpSegment, TcpTalk, cooked, cooked2, ethernet, ethernet_tagged, frames, ip,
};
use crate::capture::{End, LinkType, Packets, Side, Timestamp, read_path};

const UP: &str = "0 up TCP Handshake 10.0.0.1:40000 10.0.0.2:21064";

fn segments() -> Vec<TcpSegment> {
    let mut talk = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064");
    vec![
        talk.syn(),
        talk.syn_ack(),
        talk.data(Side::A, &frames::ack(1, 1)),
        talk.data(Side::B, &frames::ack(2, 2)),
    ]
}

pub(super) fn packets() -> Vec<Vec<u8>> {
    segments().iter().map(TcpSegment::packet).collect()
}

pub(super) const EXPECTED: [&str; 4] = [UP, "0 A 1", "0 B 2", "0 down EndOfCapture"];

#[test]
fn link_layers_lead_to_the_same_frames() {
    let loopback = |ip: &[u8]| [&[2, 0, 0, 0], ip].concat();
    let padded = |ip: &[u8]| [&ethernet(ip)[..], &[0x55; 9]].concat();
    type Wrap = dyn Fn(&[u8]) -> Vec<u8>;
    let wraps: [(u32, &Wrap); 10] = [
        (1, &ethernet),
        (1, &padded),
        (1, &|ip| ethernet_tagged(&[0x8100], ip)),
        (1, &|ip| ethernet_tagged(&[0x88a8, 0x8100], ip)),
        (113, &cooked),
        (276, &cooked2),
        (101, &<[u8]>::to_vec),
        (228, &<[u8]>::to_vec),
        (0, &loopback),
        (108, &|ip| [&[0, 0, 0, 2], ip].concat()),
    ];
    for (link_type, wrap) in wraps {
        let mut file = PcapFile::new(link_type);
        for packet in packets() {
            file.packet(&wrap(&packet));
        }
        assert_eq!(told_whole(file.bytes).0, EXPECTED, "link type {link_type}");
    }
}

#[test]
fn ipv6_with_extension_headers_is_followed() {
    let mut talk = TcpTalk::new("[fd00::1]:40000", "[fd00::2]:21064");
    let mut file = PcapFile::new(1);
    for segment in [talk.syn(), talk.syn_ack(), talk.data(Side::A, &frames::ack(1, 1))] {
        let plain = segment.packet();
        let extended = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &plain[40..]].concat();
        file.packet(&ethernet(&ip(
            segment.from.ip(),
            segment.to.ip(),
            60,
            0,
            &extended,
        )));
    }
    let up = "0 up TCP Handshake fd00::1:40000 fd00::2:21064";
    assert_eq!(told_whole(file.bytes).0, [up, "0 A 1", "0 down EndOfCapture"]);
}

#[test]
fn fragments_are_counted_not_used() {
    let mut file = PcapFile::new(101);
    for (n, mut packet) in packets().into_iter().enumerate() {
        if n >= 2 {
            packet[6] = 0x20;
        }
        if n == 3 {
            packet[7] = 10;
        }
        file.packet(&packet);
    }
    let (lines, stats) = told_whole(file.bytes);
    assert_eq!(lines, [UP, "fragment 10.0.0.1 10.0.0.2", "0 down EndOfCapture"]);
    assert_eq!(stats.ip_fragments, 2);
}

#[test]
fn other_traffic_is_counted() {
    let mut file = PcapFile::new(1);
    file.packet(&ethernet_tagged(&[0x0806], &[]));
    file.packet(&ethernet(&ip(
        [10, 0, 0, 1].into(),
        [10, 0, 0, 2].into(),
        17,
        1,
        &[0; 8],
    )));
    file.packet(&[0; 9]);
    file.packet(&ethernet(&[0x45, 0]));
    let (lines, stats) = told_whole(file.bytes);
    assert!(lines.is_empty());
    assert_eq!((stats.packets, stats.other_packets, stats.undecodable), (4, 2, 2));
}

#[test]
fn pcap_in_either_byte_order_and_resolution() {
    let little = on_ethernet(&packets());
    let swapped = swapped(&little);
    for (bytes, step) in [(little, 1_013_000), (swapped, 1_013_000)] {
        for nano in [false, true] {
            let mut bytes = bytes.clone();
            if nano {
                let at = if bytes[0] == 0xd4 { 0 } else { 3 };
                bytes[at] = 0x4d;
                bytes[if at == 0 { 1 } else { 2 }] = 0x3c;
            }
            assert_eq!(told_whole(bytes.clone()).0, EXPECTED);
            let times = times(&bytes);
            let step = if nano { step / 1000 } else { step };
            assert_eq!(times[0].as_nanos(), 1_700_000_000_000_000_000);
            assert_eq!(times[1].nanos_since(times[0]), step);
        }
    }
}

#[test]
fn pcapng_in_either_byte_order_and_resolution() {
    for big_endian in [false, true] {
        for (resolution, ticks_per_second) in [
            (6, 1_000_000),
            (9, 1_000_000_000),
            (3, 1000),
            (0x80 | 20, 1 << 20),
        ] {
            let mut file = PcapngFile::new(big_endian);
            file.block(0x0000_0bad, &[1, 2, 3, 4, 5]);
            file.interface(1, resolution);
            for packet in packets() {
                file.packet(
                    0,
                    1_700_000_000 * ticks_per_second + ticks_per_second / 2,
                    &ethernet(&packet),
                );
            }
            assert_eq!(told_whole(file.bytes.clone()).0, EXPECTED);
            assert_eq!(
                times(&file.bytes)[3].as_nanos(),
                1_700_000_000_500_000_000,
                "{resolution:#x}"
            );
        }
    }
}

#[test]
fn pcapng_interfaces_and_sections_have_their_own_link_types() {
    let [a, b, c, d] = packets().try_into().expect("four");
    let mut file = PcapngFile::new(true);
    file.interface(1, 6);
    file.interface(276, 9);
    file.interface(147, 6);
    file.packet(0, 1, &ethernet(&a));
    file.packet(1, 2, &cooked2(&b));
    file.packet(2, 3, &[1, 2, 3]);
    file.packet(7, 3, &[1, 2, 3]);
    file.section();
    file.interface(101, 6);
    let length = u32::try_from(c.len()).expect("short");
    let simple = [&file.word(length)[..], &c].concat();
    file.block(3, &simple);
    let obsolete = [
        &file.half(0)[..],
        &file.half(9),
        &[0; 8],
        &file.word(length),
        &file.word(length),
        &d,
    ]
    .concat();
    file.block(2, &obsolete);
    let (lines, stats) = told_whole(file.bytes);
    assert_eq!(lines, EXPECTED);
    assert_eq!((stats.packets, stats.unknown_link_layer), (6, 2));
    assert_eq!(
        (stats.undescribed_interface, stats.unsupported_link_type),
        (1, Some(147))
    );
}

#[test]
fn pcapng_of_which_nothing_is_known_says_so() {
    let mut file = PcapngFile::new(false);
    for packet in packets() {
        file.packet(0, 1, &ethernet(&packet));
    }
    let (lines, stats) = told_whole(file.bytes);
    assert!(lines.is_empty());
    assert_eq!((stats.unknown_link_layer, stats.undescribed_interface), (4, 4));
    assert_eq!(stats.unsupported_link_type, None);
    let mut file = PcapngFile::new(false);
    file.interface(127, 6);
    file.packet(0, 1, &[0; 40]);
    let (_, stats) = told_whole(file.bytes);
    assert_eq!((stats.unknown_link_layer, stats.undescribed_interface), (1, 0));
    assert_eq!(stats.unsupported_link_type, Some(127));
}

#[test]
fn file_cut_anywhere_is_truncated_and_the_rest_is_read() {
    let plain = on_ethernet(&packets());
    let mut boundaries = vec![24];
    for packet in packets() {
        boundaries.push(boundaries[boundaries.len() - 1] + 16 + 14 + packet.len());
    }
    for cut in 24..plain.len() {
        let whole = boundaries.iter().filter(|&&at| at <= cut).count() as u64 - 1;
        let (_, summary) = told(plain[..cut].to_vec());
        let summary = summary.expect("the header is there");
        assert_eq!(summary.stats.packets, whole, "cut at {cut}");
        match summary.end {
            End::Complete => assert!(boundaries.contains(&cut)),
            End::Truncated { packet, offset } => {
                assert_eq!(packet, whole + 1);
                assert_eq!(offset, boundaries[usize::try_from(whole).expect("few")] as u64);
            }
            End::Damaged(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_no_capture_is_refused() {
    let error = |bytes: &[u8]| told(bytes.to_vec()).1.expect_err("no capture").to_string();
    assert_eq!(error(&[]), "the capture is empty");
    assert_eq!(
        error(b"GET / HTTP"),
        "not a pcap or pcapng capture: it starts with 47 45 54 20"
    );
    assert_eq!(
        error(&[1]),
        "not a pcap or pcapng capture: it starts with 01 00 00 00"
    );
    assert_eq!(
        error(&PcapFile::new(1).bytes[..20]),
        "the capture ends after 20 of the 24 bytes of its header"
    );
    assert_eq!(error(&PcapFile::new(147).bytes), "link type 147 is not supported");
    assert_eq!(error(&gzip(b"")), "the capture is empty");
    let missing = read_path(
        "/nonexistent/capture".as_ref(),
        &Default::default(),
        &mut |_, _: crate::capture::Event<'_>| {},
    );
    assert_eq!(
        missing.expect_err("no file").to_string(),
        "cannot open /nonexistent/capture"
    );
}

#[test]
fn absurd_lengths_end_the_reading() {
    let end = |bytes: Vec<u8>| match told(bytes).1.expect("a capture").end {
        End::Damaged(error) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let mut file = PcapFile::new(1);
    file.packet(&[0; 30]);
    let second = file.bytes.len();
    file.packet(&[0; 30]);
    file.bytes[second + 8..second + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert_eq!(
        end(file.bytes),
        "packet 2 at byte 70 states 2147483647 bytes, limit 262144"
    );
    let mut file = PcapngFile::new(false);
    file.bytes.extend([5, 0, 0, 0, 0, 0, 0, 0x70, 0, 0, 0, 0]);
    assert_eq!(
        end(file.bytes),
        "block at byte 28 states 1879048192 bytes, limit 16777216"
    );
    let mut file = PcapngFile::new(false);
    file.bytes.extend([5, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        end(file.bytes),
        "damaged block at byte 28: length 13 is impossible"
    );
    let mut file = PcapngFile::new(true);
    file.block(5, &[0; 8]);
    let last = file.bytes.len() - 1;
    file.bytes[last] = 24;
    assert_eq!(
        end(file.bytes),
        "damaged block at byte 28: length 20 at its start, 24 at its end"
    );
    let mut file = PcapngFile::new(true);
    file.block(6, &[0; 12]);
    assert_eq!(
        end(file.bytes),
        "damaged block at byte 28: its content does not fit into it"
    );
}

#[test]
fn repeated_capture_is_as_many_new_links() {
    let path = std::env::temp_dir().join(format!("dlmwire-repeat-{}.pcap", std::process::id()));
    std::fs::write(&path, on_ethernet(&packets())).expect("a temporary file");
    let mut long = Vec::new();
    let rounds = crate::capture::repeat(&path, &mut long, &[21064], 5000).expect("a capture");
    std::fs::remove_file(&path).expect("it was there");
    let (_, stats) = told_whole(long);
    assert!(rounds > 10);
    assert_eq!(
        (stats.links, stats.frames, stats.gaps, stats.seen_twice),
        (rounds, 2 * rounds, 0, 0)
    );
}

#[test]
fn capture_at_the_end_of_time_is_repeated() {
    let mut file = PcapngFile::new(false);
    file.interface(1, 9);
    for packet in packets() {
        file.packet(0, u64::MAX, &ethernet(&packet));
    }
    let path = std::env::temp_dir().join(format!("dlmwire-repeat-late-{}.pcapng", std::process::id()));
    std::fs::write(&path, file.bytes).expect("a temporary file");
    let rounds = crate::capture::repeat(&path, Vec::new(), &[21064], 1000).expect("a capture");
    std::fs::remove_file(&path).expect("it was there");
    assert!(rounds > 1);
}

#[test]
fn interface_described_by_more_than_a_list_may_hold_is_refused() {
    let mut file = PcapngFile::new(false);
    let options = [2, 0, 0, 0].repeat(100_000);
    file.block(1, &[&[1, 0, 0, 0, 0, 0, 0, 0], &options[..]].concat());
    let (lines, summary) = told(file.bytes);
    assert!(lines.is_empty());
    match summary.expect("a capture").end {
        End::Damaged(error) => assert_eq!(
            error.to_string(),
            "block at byte 28 states 400020 bytes, limit 262144"
        ),
        end => panic!("{end:?}"),
    }
}

fn times(bytes: &[u8]) -> Vec<Timestamp> {
    let mut packets = Packets::new(Cursor::new(bytes.to_vec())).expect("a capture");
    let mut times = Vec::new();
    while let Ok(packet) = packets.next() {
        assert_eq!(packet.link_type, LinkType::Ethernet);
        times.push(packet.stamp.time);
    }
    times
}

/// A little-endian pcap file in the other byte order.
fn swapped(file: &[u8]) -> Vec<u8> {
    let mut swapped = file.to_vec();
    let mut swap = |at: usize, len: usize| swapped[at..at + len].reverse();
    for (at, len) in [(0, 4), (4, 2), (6, 2), (8, 4), (12, 4), (16, 4), (20, 4)] {
        swap(at, len);
    }
    let mut at = 24;
    while at < file.len() {
        for word in 0..4 {
            swap(at + word * 4, 4);
        }
        at += 16 + usize::from(u16::from_le_bytes([file[at + 8], file[at + 9]]));
    }
    swapped
}
