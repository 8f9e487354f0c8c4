//! Packets and capture files made by hand: for tests, and for captures of things that no kernel does.
//!
//! Checksums are left 0; nothing here reads them.
//!
//! ```
//! use dlmwire_interop::capture::testkit::{PcapFile, TcpTalk, ethernet, frames};
//! use dlmwire_interop::capture::{self, Event, Options, Side, Stamp};
//!
//! let mut talk = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064");
//! let mut file = PcapFile::new(1);
//! for segment in [talk.syn(), talk.syn_ack(), talk.data(Side::A, &frames::ack(1, 7))] {
//!     file.packet(&ethernet(&segment.packet()));
//! }
//! let mut frames = 0;
//! let mut sink = |_: Stamp, event: Event<'_>| frames += u32::from(matches!(event, Event::Frame { .. }));
//! let summary = capture::read(std::io::Cursor::new(file.bytes), &Options::default(), &mut sink)?;
//! assert_eq!((summary.stats.links, frames), (1, 1));
//! # Ok::<(), capture::CaptureError>(())
//! ```

pub mod chunks;
pub mod frames;

use std::net::{IpAddr, SocketAddr};

use super::event::Side;

/// Flag of a TCP segment: nothing comes behind it.
pub const FIN: u8 = 0x01;
/// Flag of a TCP segment: the connection begins.
pub const SYN: u8 = 0x02;
/// Flag of a TCP segment: the connection is lost.
pub const RST: u8 = 0x04;
const PSH: u8 = 0x08;
/// Flag of a TCP segment: its acknowledgement number counts.
pub const ACK: u8 = 0x10;

/// A TCP segment, every field for the taking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TcpSegment {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver, of the same address family.
    pub to: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; sent if the ACK flag is set.
    pub ack: u32,
    /// TCP flags.
    pub flags: u8,
    /// IPv4 identification.
    pub id: u16,
    /// Data.
    pub bytes: Vec<u8>,
}

impl TcpSegment {
    /// The segment with another sequence number.
    #[must_use]
    pub fn at(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    /// The segment as sent once more: with another IPv4 identification.
    #[must_use]
    pub fn again(mut self) -> Self {
        self.id = self.id.wrapping_add(0x4000);
        self
    }

    /// The IP packet.
    pub fn packet(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(20 + self.bytes.len());
        tcp.extend(self.from.port().to_be_bytes());
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([0x50, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&self.bytes);
        ip(self.from.ip(), self.to.ip(), 6, self.id, &tcp)
    }
}

/// A TCP connection that hands out its segments one by one, in order and without loss. What happens to
/// them then is up to the caller.
#[derive(Clone, Debug)]
pub struct TcpTalk {
    /// Both ends, by side.
    pub ends: [SocketAddr; 2],
    /// The next sequence number of each side.
    pub next: [u32; 2],
    /// Identification of the last packet.
    pub id: u16,
}

impl TcpTalk {
    /// A connection that A will open, with initial sequence numbers 1000 and 2000.
    ///
    /// # Panics
    ///
    /// If an end is not an address and port.
    pub fn new(a: &str, b: &str) -> Self {
        let ends = [a, b].map(|end| end.parse().expect("an address and a port"));
        Self {
            ends,
            next: [1000, 2000],
            id: 0,
        }
    }

    /// The same with other initial sequence numbers.
    #[must_use]
    pub fn starting_at(mut self, next: [u32; 2]) -> Self {
        self.next = next;
        self
    }

    /// A's SYN.
    pub fn syn(&mut self) -> TcpSegment {
        self.segment(Side::A, SYN, &[])
    }

    /// B's answer.
    pub fn syn_ack(&mut self) -> TcpSegment {
        self.segment(Side::B, SYN | ACK, &[])
    }

    /// A segment without data.
    pub fn ack(&mut self, from: Side) -> TcpSegment {
        self.segment(from, ACK, &[])
    }

    /// A segment with data.
    pub fn data(&mut self, from: Side, bytes: &[u8]) -> TcpSegment {
        self.segment(from, ACK | PSH, bytes)
    }

    /// A FIN.
    pub fn fin(&mut self, from: Side) -> TcpSegment {
        self.segment(from, FIN | ACK, &[])
    }

    /// A RST.
    pub fn rst(&mut self, from: Side) -> TcpSegment {
        self.segment(from, RST | ACK, &[])
    }

    fn segment(&mut self, from: Side, flags: u8, bytes: &[u8]) -> TcpSegment {
        self.id = self.id.wrapping_add(1).max(1);
        let segment = TcpSegment {
            from: self.ends[from.index()],
            to: self.ends[from.other().index()],
            seq: self.next[from.index()],
            ack: self.next[from.other().index()],
            flags,
            id: self.id,
            bytes: bytes.to_vec(),
        };
        let length = u32::try_from(bytes.len()).expect("a segment is short");
        let length = length + u32::from(flags & (SYN | FIN) != 0);
        let next = &mut self.next[from.index()];
        *next = next.wrapping_add(length);
        segment
    }
}

/// An IPv4 or IPv6 packet around a payload.
///
/// # Panics
///
/// If the addresses are of different families or the payload is too long.
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = u16::try_from(20 + payload.len()).expect("an IP packet is short");
            packet.extend([0x45, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend(id.to_be_bytes());
            packet.extend([0x40, 0, 64, protocol, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let length = u16::try_from(payload.len()).expect("an IP packet is short");
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(from.octets());
            packet.extend(to.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("one family"),
    }
    packet.extend(payload);
    packet
}

fn ethertype(ip: &[u8]) -> [u8; 2] {
    match ip.first() {
        Some(&first) if first >> 4 == 6 => [0x86, 0xdd],
        _ => [0x08, 0x00],
    }
}

/// An Ethernet frame around an IP packet.
pub fn ethernet(ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ethertype(ip));
    frame.extend(ip);
    frame
}

/// An Ethernet frame with VLAN tags around an IP packet; each tag by its EtherType, outermost first.
pub fn ethernet_tagged(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 42]);
    }
    frame.extend(ethertype(ip));
    frame.extend(ip);
    frame
}

/// A Linux "cooked" packet, version 1, around an IP packet.
pub fn cooked(ip: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0];
    packet.extend(ethertype(ip));
    packet.extend(ip);
    packet
}

/// A Linux "cooked" packet, version 2, around an IP packet.
pub fn cooked2(ip: &[u8]) -> Vec<u8> {
    let mut packet = ethertype(ip).to_vec();
    packet.extend([0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0]);
    packet.extend(ip);
    packet
}

/// A pcap file in memory, little-endian, in microseconds.
#[derive(Clone, Debug)]
pub struct PcapFile {
    /// The file so far.
    pub bytes: Vec<u8>,
    /// Time of the next packet in microseconds. Every packet adds a millisecond and a bit.
    pub micros: u64,
}

impl PcapFile {
    /// A file without packets, of a link type by its number.
    pub fn new(link_type: u32) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend(262_144_u32.to_le_bytes());
        bytes.extend(link_type.to_le_bytes());
        Self {
            bytes,
            micros: 1_700_000_000_000_000,
        }
    }

    /// Adds a packet.
    pub fn packet(&mut self, data: &[u8]) {
        self.packet_cut(data, data.len());
    }

    /// Adds the first `captured` bytes of a packet.
    ///
    /// # Panics
    ///
    /// If the packet is longer than a record can be.
    pub fn packet_cut(&mut self, data: &[u8], captured: usize) {
        let length = |length: usize| u32::try_from(length).expect("a packet is short").to_le_bytes();
        let half = |half: u64| u32::try_from(half).expect("a time before 2106").to_le_bytes();
        self.bytes.extend(half(self.micros / 1_000_000));
        self.bytes.extend(half(self.micros % 1_000_000));
        let data_captured = data.get(..captured).unwrap_or(data);
        self.bytes.extend(length(data_captured.len()));
        self.bytes.extend(length(data.len()));
        self.bytes.extend(data_captured);
        self.micros += 1013;
    }
}

/// A pcapng file in memory.
#[derive(Clone, Debug)]
pub struct PcapngFile {
    /// The file so far.
    pub bytes: Vec<u8>,
    big_endian: bool,
}

impl PcapngFile {
    /// A file with one section and no interface.
    pub fn new(big_endian: bool) -> Self {
        let mut file = Self {
            bytes: Vec::new(),
            big_endian,
        };
        file.section();
        file
    }

    /// Starts a section.
    pub fn section(&mut self) {
        let mut body = self.word(0x1a2b_3c4d).to_vec();
        body.extend(self.half(1));
        body.extend(self.half(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body);
    }

    /// Describes an interface; `resolution` is `if_tsresol`.
    pub fn interface(&mut self, link_type: u16, resolution: u8) {
        let mut body = self.half(link_type).to_vec();
        body.extend([0, 0]);
        body.extend(self.word(0));
        body.extend(self.half(9));
        body.extend(self.half(1));
        body.extend([resolution, 0, 0, 0]);
        body.extend([0; 4]);
        self.block(1, &body);
    }

    /// Adds an enhanced packet block.
    ///
    /// # Panics
    ///
    /// If the packet is longer than a block can say.
    pub fn packet(&mut self, interface: u32, ticks: u64, data: &[u8]) {
        let [high, low] =
            [ticks >> 32, ticks & 0xffff_ffff].map(|half| u32::try_from(half).expect("32 bits"));
        let length = u32::try_from(data.len()).expect("a packet is short");
        let mut body = Vec::new();
        for word in [interface, high, low, length, length] {
            body.extend(self.word(word));
        }
        body.extend(data);
        self.block(6, &body);
    }

    /// Adds any block; the body is padded.
    ///
    /// # Panics
    ///
    /// If the body is longer than a block can say.
    pub fn block(&mut self, kind: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let length = self.word(u32::try_from(padded + 12).expect("a block is short"));
        self.bytes.extend(self.word(kind));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(vec![0; padded - body.len()]);
        self.bytes.extend(length);
    }

    /// A word in the file's byte order.
    pub const fn word(&self, word: u32) -> [u8; 4] {
        if self.big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }

    /// Half a word in the file's byte order.
    pub const fn half(&self, half: u16) -> [u8; 2] {
        if self.big_endian {
            half.to_be_bytes()
        } else {
            half.to_le_bytes()
        }
    }
}
