//! Damaged captures: nothing may panic, hang, or use memory by what the damage states.

use super::compressed::{gzip, zstd};
use super::told;
use crate::capture::testkit::chunks::{
    WHOLE, abort, cookie_ack, cookie_echo, data, init, init_ack, packet, sack,
};
use crate::capture::testkit::{PcapFile, PcapngFile, TcpTalk, cooked2, ethernet, frames};
use crate::capture::{Event, Options, Side, Stamp, read};

/// Numbers that look random; the seed tells all of them.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).expect("31 bits") % bound.max(1)
    }
}

/// IP packets of two connections and an association, interleaved.
fn traffic() -> Vec<Vec<u8>> {
    let mut four = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064");
    let mut six = TcpTalk::new("[fd00::1]:40001", "[fd00::2]:21064");
    let [a, b] = ["10.0.0.1:40002", "10.0.0.2:21064"].map(|end| end.parse().expect("an address"));
    let mut packets = vec![
        four.syn().packet(),
        four.syn_ack().packet(),
        packet(a, b, 0, 1, &[init(7, 100, &["10.1.0.1".parse().expect("one")])]),
        packet(b, a, 7, 2, &[init_ack(8, 200, &[])]),
        packet(a, b, 8, 3, &[cookie_echo(), data(100, WHOLE, &frames::ack(1, 0))]),
        packet(b, a, 7, 4, &[cookie_ack()]),
        six.syn().packet(),
        six.syn_ack().packet(),
    ];
    for n in 0..12 {
        let message = [
            frames::opts(1, n, 90),
            frames::ack(1, n),
            frames::rcom(0x0003_0002, 1, 1, 64),
        ]
        .concat();
        packets.push(four.data(Side::A, &message).packet());
        packets.push(six.data(Side::B, &message[..100]).packet());
        packets.push(six.data(Side::B, &message[100..]).packet());
        packets.push(packet(a, b, 8, 5, &[data(101 + n, WHOLE, &message), sack(200)]));
        packets.push(four.ack(Side::B).packet());
    }
    packets.push(packet(b, a, 7, 6, &[abort(false)]));
    packets.push(four.fin(Side::A).packet());
    packets.push(six.rst(Side::A).packet());
    packets
}

fn files() -> Vec<Vec<u8>> {
    let mut pcap = PcapFile::new(1);
    let mut pcapng = PcapngFile::new(true);
    pcapng.interface(276, 9);
    for (n, packet) in (0..).zip(traffic()) {
        pcap.packet(&ethernet(&packet));
        pcapng.packet(0, n, &cooked2(&packet));
    }
    let compressed = [gzip(&pcap.bytes), zstd(&pcap.bytes)];
    [vec![pcap.bytes, pcapng.bytes], compressed.to_vec()].concat()
}

#[test]
fn mutated_captures_do_no_harm() {
    let mut told_some = 0;
    for (kind, file) in files().into_iter().enumerate() {
        for seed in 0..1500 {
            let mut random = Lcg(seed * 4 + kind as u64);
            let mut bytes = file.clone();
            for _ in 0..=random.below(6) {
                mutate(&mut bytes, &mut random);
            }
            let (lines, _) = told(bytes);
            told_some += usize::from(lines.len() > 20);
        }
    }
    assert!(
        told_some > 1000,
        "most mutations leave something to tell, {told_some} did"
    );
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Lcg) {
    let at = random.below(bytes.len());
    match random.below(6) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
        3 => bytes.truncate(at.max(1)),
        4 => {
            let end = (at + random.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let end = (at + random.below(200)).min(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
    }
    if bytes.is_empty() {
        bytes.push(0);
    }
}

#[test]
fn shuffled_and_damaged_packets_keep_the_grammar() {
    for seed in 0..400 {
        let mut random = Lcg(seed);
        let mut packets = traffic();
        for _ in 0..random.below(30) {
            let (a, b) = (random.below(packets.len()), random.below(packets.len()));
            match random.below(4) {
                0 => packets.swap(a, b),
                1 => {
                    packets.remove(a);
                }
                2 => packets.insert(a, packets[b].clone()),
                _ => {
                    let at = random.below(packets[a].len());
                    packets[a][at] ^= 1 << random.below(8);
                }
            }
        }
        grammar_holds(&packets, seed);
    }
}

/// Nothing is told of a link before it is up, and only late frames and what is missing once it is down; every link goes down.
fn grammar_holds(packets: &[Vec<u8>], seed: u64) {
    let mut up: Vec<bool> = Vec::new();
    let mut sink = |_: Stamp, event: Event<'_>| {
        let (link, alive) = match event {
            Event::LinkUp { link, .. } => {
                assert_eq!(link.get(), up.len() as u64, "seed {seed}");
                up.push(true);
                return;
            }
            Event::Late { link, .. } => (link, false),
            Event::Missing { link, .. } => {
                assert!(link.get() < up.len() as u64, "seed {seed}: {event:?}");
                return;
            }
            Event::Frame { link, .. }
            | Event::FramingLost { link, .. }
            | Event::Resynchronised { link, .. }
            | Event::Retransmitted { link, .. }
            | Event::AddressAdded { link, .. }
            | Event::HalfClosed { link, .. }
            | Event::LinkDown { link, .. } => (link, true),
            Event::Refused { .. } | Event::SeenTwice { .. } | Event::Fragment { .. } => return,
        };
        let state = &mut up[usize::try_from(link.get()).expect("few")];
        assert_eq!(*state, alive, "seed {seed}: {event:?}");
        *state = alive && !matches!(event, Event::LinkDown { .. });
    };
    let bytes = std::io::Cursor::new(super::on_ethernet(packets));
    let options = Options {
        links_max: 2,
        waiting_bytes_max: 600,
        ..Options::default()
    };
    assert!(read(bytes, &options, &mut sink).is_ok());
    assert!(up.iter().all(|up| !up), "seed {seed}");
}

#[test]
fn random_bytes_do_no_harm() {
    for seed in 0..300 {
        let mut random = Lcg(seed);
        let mut bytes: Vec<u8> = (0..random.below(3000))
            .map(|_| u8::try_from(random.below(256)).expect("a byte"))
            .collect();
        let heads: [&[u8]; 5] = [
            &[],
            &[0xd4, 0xc3, 0xb2, 0xa1],
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a],
            &[0x1f, 0x8b, 8, 0],
            &[0x28, 0xb5, 0x2f, 0xfd],
        ];
        bytes.splice(0..0, heads[random.below(5)].iter().copied());
        let _ = told(bytes);
    }
}

#[test]
fn garbage_streams_do_not_confuse_the_links() {
    for seed in 0..60 {
        let mut random = Lcg(seed);
        let mut talk = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064");
        let mut packets = vec![talk.syn().packet(), talk.syn_ack().packet()];
        for n in 0..40 {
            let mut bytes = [frames::opts(1, n, 88), frames::ack(1, n)].concat();
            for _ in 0..random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = u8::try_from(random.below(256)).expect("a byte");
            }
            packets.push(talk.data(Side::A, &bytes).packet());
        }
        packets.push(
            talk.data(
                Side::A,
                &[[0; 5000].to_vec(), frames::ack(1, 1), frames::ack(1, 77)].concat(),
            )
            .packet(),
        );
        let (lines, _) = told(super::on_ethernet(&packets));
        assert_eq!(lines[lines.len() - 2], "0 A 77", "seed {seed}");
    }
}
