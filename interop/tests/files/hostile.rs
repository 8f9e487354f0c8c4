//! Packets that no stack would send: any number, flag, length and address, on links without end, under small bounds.

use std::net::SocketAddr;

use dlmwire_interop::capture::testkit::{ACK, FIN, RST, SYN, TcpSegment, chunks, frames, ip};
use dlmwire_interop::capture::{DLM_PORT, LinkType, Options, Side};

use super::stage::{Envelope, Stage};
use super::{Choices, PACKET_PAYLOAD_MAX};

const VERSIONS: [u32; 3] = [0x0003_0001, 0x0003_0002, 0x0003_0003];

/// Places that talk are few, so that packets meet.
const PLACES: usize = 4;

/// Bytes as packets of hostile senders.
pub fn hostile(bytes: &[u8]) {
    let run = || {
        let mut choices = Choices { bytes };
        let mut hostile = Hostile::new(&mut choices);
        while !choices.is_empty() {
            hostile.step(&mut choices);
        }
        hostile.stage.finish().2
    };
    assert_eq!(run(), run(), "the same packets tell the same");
}

struct Hostile {
    stage: Stage,
    envelope: Envelope,
    /// Where each direction of each place's connection stands.
    next: [[u32; 2]; PLACES],
    /// Tags by place and owner.
    tags: [[u32; 2]; PLACES],
    tsn: [[u32; 2]; PLACES],
    /// The number of the next message of each node.
    numbers: [u32; 2],
    id: u16,
}

impl Hostile {
    fn new(choices: &mut Choices<'_>) -> Self {
        let options = match choices.below(4) {
            0 => Options::default(),
            _ => Options {
                links_max: 1 + choices.below(12),
                waiting_bytes_max: 16 * usize::from(choices.half()),
                waiting_bytes_total_max: 64 * usize::from(choices.half()),
                ..Options::default()
            },
        };
        let start = choices.word();
        Self {
            stage: Stage::new(options),
            envelope: Envelope::PLAIN,
            next: [[start, !start]; PLACES],
            tags: [[7, 8], [7, 9], [start, 10], [0, 0]],
            tsn: [[start, !start]; PLACES],
            numbers: [0; 2],
            id: 0,
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        self.stage.nanos = match choices.below(32) {
            0 => u64::from(choices.word()) << choices.below(33),
            1 => self.stage.nanos.wrapping_sub(u64::from(choices.word())),
            2 => self.stage.nanos.wrapping_add(121_000_000_000),
            _ => self.stage.nanos.wrapping_add(u64::from(choices.byte()) * 100_000),
        };
        let (place, from) = (choices.below(PLACES), choices.side());
        match choices.below(20) {
            0 => self.handshake(place),
            1..=4 => self.in_order(place, from, choices),
            5..=7 => self.near(place, from, choices),
            8 => self.anywhere(place, from, choices),
            9 => self.associate(place),
            10..=12 => self.chunks_in_order(place, from, choices),
            13..=15 => self.chunks_anyhow(place, from, choices),
            16 => self.crowd(choices),
            17 => self.envelope(choices),
            18 => self.fragment(place, from, choices),
            _ => {
                let (bytes, protocol) = (choices.some(60), [6, 132, 17][place % 3]);
                let [a, b] = self.ends(place);
                self.packet(&ip(a.ip(), b.ip(), protocol, 0, bytes));
            }
        }
    }

    fn ends(&self, place: usize) -> [SocketAddr; 2] {
        let ends = [
            ["10.0.0.1:40000", "10.0.0.2:21064"],
            ["10.0.0.2:40000", "10.0.0.1:21064"],
            ["[fd00::1]:21064", "[fd00::2]:21064"],
            ["10.0.0.2:21064", "10.0.0.2:21064"],
        ];
        ends[place].map(|end| end.parse().expect("an address"))
    }

    fn packet(&mut self, ip: &[u8]) {
        self.stage.packet(ip, self.envelope);
    }

    fn segment(&mut self, place: usize, from: Side, [seq, ack]: [u32; 2], flags: u8, bytes: Vec<u8>) {
        self.id = self.id.wrapping_add(1);
        let ends = self.ends(place);
        let segment = TcpSegment {
            from: ends[from.index()],
            to: ends[from.other().index()],
            seq,
            ack,
            flags,
            id: self.id,
            bytes,
        };
        self.packet(&segment.packet());
    }

    fn handshake(&mut self, place: usize) {
        let [a, b] = self.next[place];
        self.segment(place, Side::A, [a, 0], SYN, Vec::new());
        self.segment(place, Side::B, [b, a.wrapping_add(1)], SYN | ACK, Vec::new());
        self.next[place] = [a.wrapping_add(1), b.wrapping_add(1)];
    }

    fn in_order(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let bytes = self.payload(from, choices);
        let flags = [ACK, ACK, ACK, ACK | FIN, ACK | RST, ACK, ACK, ACK][choices.below(8)];
        let [seq, ack] = [from, from.other()].map(|side| self.next[place][side.index()]);
        let length = u32::try_from(bytes.len()).expect("a segment is short");
        self.next[place][from.index()] = seq.wrapping_add(length);
        self.segment(place, from, [seq, ack], flags, bytes);
    }

    fn near(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let bytes = self.payload(from, choices);
        let [seq, ack] = [from, from.other()].map(|side| {
            let offset = match choices.below(4) {
                0 => i32::from(choices.half().cast_signed()) * 64,
                1 => i32::from(choices.half().cast_signed()),
                _ => i32::from(choices.byte().cast_signed()),
            };
            self.next[place][side.index()].wrapping_add_signed(offset)
        });
        let flags = if choices.below(8) == 0 {
            choices.byte()
        } else {
            ACK
        };
        self.segment(place, from, [seq, ack], flags, bytes);
    }

    fn anywhere(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let bytes = self.payload(from, choices);
        let numbers = [choices.word(), choices.word()];
        self.segment(place, from, numbers, choices.byte(), bytes);
    }

    fn payload(&mut self, from: Side, choices: &mut Choices<'_>) -> Vec<u8> {
        let node = 1 + u32::try_from(from.index()).expect("0 or 1");
        let number = &mut self.numbers[from.index()];
        let mut bytes = Vec::new();
        match choices.below(6) {
            0 => return choices.some(256).to_vec(),
            1 => return vec![choices.byte(); usize::from(choices.half()).min(PACKET_PAYLOAD_MAX)],
            2 => bytes.extend(choices.some(24)),
            _ => {}
        }
        for _ in 0..=choices.below(8) {
            let version = VERSIONS[choices.below(3)];
            let extra = u16::from(choices.byte());
            bytes.extend(match choices.below(8) {
                0 => frames::fin(node, *number),
                1 => frames::ack(node, *number),
                2 => frames::msg(version, node, 88 + extra),
                3 => frames::rcom(version, node, choices.byte(), 48 + extra),
                4 => frames::header(version, choices.word(), node, choices.half(), choices.byte()),
                _ => frames::opts(node, *number, 88 + extra),
            });
            *number = number.wrapping_add(1);
        }
        let spoilt = usize::from(choices.half());
        if let (0, Some(byte)) = (choices.below(4), bytes.get_mut(spoilt)) {
            *byte = choices.byte();
        }
        let kept = match choices.below(4) {
            0 => usize::from(choices.byte()),
            _ => bytes.len(),
        };
        bytes.truncate(kept);
        bytes
    }

    fn sctp(&mut self, place: usize, from: Side, tag: u32, chunks: &[Vec<u8>]) {
        self.id = self.id.wrapping_add(1);
        let ends = self.ends(place);
        let (from, to) = (ends[from.index()], ends[from.other().index()]);
        let packet = chunks::packet(from, to, tag, self.id, chunks);
        self.packet(&packet);
    }

    fn associate(&mut self, place: usize) {
        let ([a, b], [first, second]) = (self.tags[place], self.tsn[place]);
        let [one, other] = self.ends(place).map(|end| end.ip());
        self.sctp(place, Side::A, 0, &[chunks::init(a, first, &[one])]);
        self.sctp(place, Side::B, a, &[chunks::init_ack(b, second, &[other])]);
        self.sctp(place, Side::A, b, &[chunks::cookie_echo()]);
    }

    fn chunks_in_order(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let mut packet = Vec::new();
        for _ in 0..=choices.below(4) {
            let mut bytes = self.payload(from, choices);
            bytes.truncate(8000);
            let tsn = &mut self.tsn[place][from.index()];
            packet.push(chunks::data(*tsn, chunks::WHOLE, &bytes));
            *tsn = tsn.wrapping_add(1);
        }
        let tag = self.tags[place][from.other().index()];
        self.sctp(place, from, tag, &packet);
    }

    fn chunks_anyhow(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let mut packet = Vec::new();
        for _ in 0..=choices.below(4) {
            let [ours, theirs] = [from, from.other()].map(|side| {
                let offset = match choices.below(8) {
                    0 => choices.word().cast_signed(),
                    1 => i32::from(choices.half().cast_signed()),
                    _ => i32::from(choices.byte().cast_signed() / 8),
                };
                self.tsn[place][side.index()].wrapping_add_signed(offset)
            });
            let tag = self.tags[place][from.index()];
            packet.push(match choices.below(12) {
                0 => chunks::init(choices.word(), ours, &[]),
                1 => chunks::init_ack(tag, ours, &[]),
                2 => chunks::abort(choices.flip()),
                3 => chunks::chunk(14, choices.byte(), &[]),
                4 => chunks::chunk(192, 0, &ours.to_be_bytes()),
                5 => chunks::chunk(choices.byte(), choices.byte(), choices.some(40)),
                6 => chunks::sack(theirs),
                7 => chunks::chunk(7, 0, &theirs.to_be_bytes()),
                _ => {
                    let mut bytes = self.payload(from, choices);
                    bytes.truncate(8000);
                    chunks::data(ours, choices.byte(), &bytes)
                }
            });
        }
        let tag = match choices.below(8) {
            0 => choices.word(),
            1 => self.tags[place][from.index()],
            _ => self.tags[place][from.other().index()],
        };
        self.sctp(place, from, tag, &packet);
    }

    /// Very many openings, or connections with a little data, of either transport.
    fn crowd(&mut self, choices: &mut Choices<'_>) {
        let (count, kind, hold) = (
            usize::from(choices.half()) % 250,
            choices.below(4),
            choices.below(64),
        );
        let first = choices.half();
        for nth in 0..count {
            let nth = u16::try_from(nth).expect("below 250");
            let [high, low] = first.wrapping_add(nth).to_be_bytes();
            let from = SocketAddr::from(([10, 1, high, low], 1024 + nth));
            let to = SocketAddr::from(([10, 0, 0, 2], DLM_PORT));
            let segment = |seq, flags, bytes| {
                let id = nth.wrapping_add(1);
                TcpSegment {
                    from,
                    to,
                    seq,
                    ack: 1,
                    flags,
                    id,
                    bytes,
                }
            };
            let tag = u32::from(nth);
            match kind {
                0 => self.packet(&segment(1, SYN, Vec::new()).packet()),
                1 => {
                    self.packet(&segment(1, SYN, Vec::new()).packet());
                    self.packet(&segment(100, ACK, vec![0x55; hold]).packet());
                }
                2 => self.packet(&chunks::packet(from, to, 0, nth, &[chunks::init(tag, 1, &[])])),
                _ => self.packet(&chunks::packet(
                    from,
                    to,
                    tag,
                    nth,
                    &[chunks::data(9, 3, &frames::ack(1, 1)[..8])],
                )),
            }
        }
    }

    fn envelope(&mut self, choices: &mut Choices<'_>) {
        let kinds = [101, 1, 113, 276, 0, 101, 101, 7777];
        self.envelope = Envelope {
            link_type: LinkType::from_number(kinds[choices.below(8)]),
            snap: match choices.below(4) {
                0 => usize::from(choices.byte()),
                _ => usize::MAX,
            },
            beyond: match choices.below(8) {
                0 => choices.word(),
                1 => u32::from(choices.half()),
                _ => 0,
            },
        };
    }

    /// A packet whose IP header says something else: fragments, lengths, options.
    fn fragment(&mut self, place: usize, from: Side, choices: &mut Choices<'_>) {
        let ends = self.ends(place);
        let segment = TcpSegment {
            from: ends[from.index()],
            to: ends[from.other().index()],
            seq: self.next[place][from.index()],
            ack: 0,
            flags: ACK,
            id: choices.half(),
            bytes: self.payload(from, choices),
        };
        let mut packet = segment.packet();
        for _ in 0..=choices.below(3) {
            // The places where headers keep lengths and flags, and any other.
            let at = [0, 2, 3, 4, 6, 7, 9, 32][choices.below(8)];
            let at = if choices.below(4) == 0 {
                choices.below(60)
            } else {
                at
            };
            let value = choices.byte();
            if let Some(byte) = packet.get_mut(at) {
                *byte = value;
            }
        }
        self.packet(&packet);
    }
}
