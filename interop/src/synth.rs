//! Captures made up from messages: TCP connections as a kernel would have had them.
//!
//! For what was never on a wire (a test's variations of a real conversation, an engine's own traffic) but has
//! to be readable by every tool that reads captures. Checksums and lengths are right; time is the caller's.
//! Packets are written as they are made and nothing is kept, so that a capture may be longer than memory.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};

use crate::capture::Timestamp;

/// Payload bytes of one packet; what fits an Ethernet of 1500.
const SEGMENT_BYTES: usize = 1400;

/// Payload bytes of one packet of a loopback interface, whose packets are as long as IP allows.
const LOOPBACK_SEGMENT_BYTES: usize = 32 * 1024;

/// A classic pcap file's first four words: nanoseconds, version 2.4, no time zone, no accuracy.
const FILE_HEADER: [u32; 4] = [0xa1b2_3c4d, 0x0004_0002, 0, 0];

/// The last two: the largest packet, and Ethernet.
const SNAPLEN_AND_LINK: [u32; 2] = [262_144, 1];

/// pcapng's block types.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// What a section header says behind its type and length: the byte order, version 1.0, a length that is not told.
const SECTION: [u32; 4] = [0x1a2b_3c4d, 1, u32::MAX, u32::MAX];

/// What an interface says first: Ethernet, and no limit of the packets' length.
const INTERFACE: [u32; 2] = [1, 0];

/// An interface's options as code and length: its name, nanoseconds (`if_tsresol` of one byte), the end.
const IF_NAME: u16 = 2;
const IF_TSRESOL: [u8; 8] = [9, 0, 1, 0, 9, 0, 0, 0];
const END_OF_OPTIONS: [u8; 4] = [0; 4];

/// A packet's comment, and how much of one is written.
const OPT_COMMENT: u16 = 1;
const COMMENT_BYTES_MAX: usize = 4096;

/// The longest name of an interface in Linux.
const IF_NAME_BYTES_MAX: usize = 15;

/// One end of a made-up connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The one that connected.
    Opener,
    /// The one that accepted.
    Acceptor,
}

impl End {
    const fn index(self) -> usize {
        match self {
            Self::Opener => 0,
            Self::Acceptor => 1,
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Opener => Self::Acceptor,
            Self::Acceptor => Self::Opener,
        }
    }
}

/// Writes a capture file, Ethernet, nanoseconds, packet by packet.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    packet: Vec<u8>,
    format: Format,
    segment_bytes: usize,
    /// What initial sequence numbers are moved by: a port that is used again must not look like the same connection.
    offset: u32,
    /// What the next packet's comment says.
    comment: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Pcap,
    Pcapng,
}

impl<W: Write> CaptureWriter<W> {
    /// Starts a classic pcap file.
    ///
    /// # Errors
    ///
    /// What writing to `out` gives.
    pub fn new(mut out: W) -> io::Result<Self> {
        for word in FILE_HEADER.into_iter().chain(SNAPLEN_AND_LINK) {
            out.write_all(&word.to_le_bytes())?;
        }
        Ok(Self {
            out,
            packet: Vec::new(),
            format: Format::Pcap,
            segment_bytes: SEGMENT_BYTES,
            offset: 0,
            comment: None,
        })
    }

    /// Starts a pcapng file of one loopback interface, whose packets may be long.
    ///
    /// # Errors
    ///
    /// What writing to `out` gives; a name that no interface can have.
    pub fn pcapng_of_loopback(mut out: W, name: &str) -> io::Result<Self> {
        if name.is_empty() || name.len() > IF_NAME_BYTES_MAX {
            let text = format!("interface name {name:?} has not 1 to {IF_NAME_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        write_block(&mut out, SECTION_HEADER, &SECTION, &[])?;
        let name_bytes = u16::try_from(name.len()).map_err(io::Error::other)?;
        let mut options = Vec::new();
        options.extend_from_slice(&IF_NAME.to_le_bytes());
        options.extend_from_slice(&name_bytes.to_le_bytes());
        options.extend_from_slice(name.as_bytes());
        options.resize(options.len().next_multiple_of(4), 0);
        options.extend_from_slice(&IF_TSRESOL);
        options.extend_from_slice(&END_OF_OPTIONS);
        write_block(&mut out, INTERFACE_DESCRIPTION, &INTERFACE, &options)?;
        Ok(Self {
            out,
            packet: Vec::new(),
            format: Format::Pcapng,
            segment_bytes: LOOPBACK_SEGMENT_BYTES,
            offset: 0,
            comment: None,
        })
    }

    /// Gives the next packet a comment, of which the first 4096 bytes are kept; classic pcap has none.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comment = Some(text.into());
    }

    /// Ends the file and gives the output back.
    ///
    /// # Errors
    ///
    /// What flushing gives.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(
        &mut self,
        time: Timestamp,
        step: PacketBuilderStep<TcpHeader>,
        payload: &[u8],
    ) -> io::Result<()> {
        self.packet.resize(step.size(payload.len()), 0);
        step.write_to_slice(&mut self.packet, payload)
            .map_err(io::Error::other)?;
        let length = u32::try_from(self.packet.len()).map_err(io::Error::other)?;
        let nanoseconds = time.as_nanos();
        if self.format == Format::Pcapng {
            let [a, b, c, d, high @ ..] = nanoseconds.to_le_bytes();
            let [high, low] = [high, [a, b, c, d]].map(u32::from_le_bytes);
            let interface = 0;
            let head = [interface, high, low, length, length];
            if let Some(comment) = self.comment.take() {
                self.packet.resize(self.packet.len().next_multiple_of(4), 0);
                self.packet.extend_from_slice(&comment_option(&comment)?);
            }
            return write_block(&mut self.out, ENHANCED_PACKET, &head, &self.packet);
        }
        let seconds = u32::try_from(nanoseconds / 1_000_000_000).map_err(io::Error::other)?;
        let fraction = u32::try_from(nanoseconds % 1_000_000_000).map_err(io::Error::other)?;
        for word in [seconds, fraction, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&self.packet)
    }
}

/// The options of a packet with this comment.
fn comment_option(text: &str) -> io::Result<Vec<u8>> {
    let text = text
        .get(..text.floor_char_boundary(COMMENT_BYTES_MAX))
        .unwrap_or_default();
    let length = u16::try_from(text.len()).map_err(io::Error::other)?;
    let mut option = Vec::new();
    option.extend_from_slice(&OPT_COMMENT.to_le_bytes());
    option.extend_from_slice(&length.to_le_bytes());
    option.extend_from_slice(text.as_bytes());
    option.resize(option.len().next_multiple_of(4), 0);
    option.extend_from_slice(&END_OF_OPTIONS);
    Ok(option)
}

/// Writes a block of pcapng: its type, words, bytes padded to whole words, and its length at both ends.
fn write_block(out: &mut impl Write, kind: u32, words: &[u32], bytes: &[u8]) -> io::Result<()> {
    let padded = bytes.len().next_multiple_of(4);
    let length = u32::try_from(12 + 4 * words.len() + padded).map_err(io::Error::other)?;
    for word in [kind, length].iter().chain(words) {
        out.write_all(&word.to_le_bytes())?;
    }
    out.write_all(bytes)?;
    out.write_all(&[0; 3][..padded - bytes.len()])?;
    out.write_all(&length.to_le_bytes())
}

/// A made-up TCP connection.
#[derive(Clone, Debug)]
pub struct TcpLink {
    addresses: [SocketAddr; 2],
    next: [u32; 2],
}

impl TcpLink {
    /// Writes the three packets of a handshake.
    ///
    /// # Errors
    ///
    /// What writing gives; addresses of different families.
    pub fn open<W: Write>(
        writer: &mut CaptureWriter<W>,
        time: Timestamp,
        opener: SocketAddr,
        acceptor: SocketAddr,
    ) -> io::Result<Self> {
        let mut link = Self {
            addresses: [opener, acceptor],
            next: [1_000_000, 2_000_000].map(|next: u32| next.wrapping_add(writer.offset)),
        };
        writer.offset = writer.offset.wrapping_add(100_000_007);
        link.packet(writer, time, End::Opener, TcpFlags::SYN, &[])?;
        link.packet(writer, time, End::Acceptor, TcpFlags::SYN_ACK, &[])?;
        link.packet(writer, time, End::Opener, TcpFlags::ACK, &[])?;
        Ok(link)
    }

    /// Writes bytes from one end, in as many packets as they need, and their acknowledgement.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn send<W: Write>(
        &mut self,
        writer: &mut CaptureWriter<W>,
        time: Timestamp,
        from: End,
        bytes: &[u8],
    ) -> io::Result<()> {
        for segment in bytes.chunks(writer.segment_bytes) {
            self.packet(writer, time, from, TcpFlags::ACK, segment)?;
        }
        self.packet(writer, time, from.other(), TcpFlags::ACK, &[])
    }

    /// Writes an orderly end of one direction, and its acknowledgement.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn close<W: Write>(
        &mut self,
        writer: &mut CaptureWriter<W>,
        time: Timestamp,
        from: End,
    ) -> io::Result<()> {
        self.packet(writer, time, from, TcpFlags::FIN, &[])?;
        self.packet(writer, time, from.other(), TcpFlags::ACK, &[])
    }

    /// Writes a reset from one end.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn reset<W: Write>(
        &mut self,
        writer: &mut CaptureWriter<W>,
        time: Timestamp,
        from: End,
    ) -> io::Result<()> {
        self.packet(writer, time, from, TcpFlags::RST, &[])
    }

    fn packet<W: Write>(
        &mut self,
        writer: &mut CaptureWriter<W>,
        time: Timestamp,
        from: End,
        flags: TcpFlags,
        payload: &[u8],
    ) -> io::Result<()> {
        let [opener, acceptor] = self.addresses;
        let (source, destination) = match from {
            End::Opener => (opener, acceptor),
            End::Acceptor => (acceptor, opener),
        };
        let ethernet = PacketBuilder::ethernet2(mac(source.ip()), mac(destination.ip()));
        let ip = match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet.ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ethernet.ipv6(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "addresses of two families",
                ));
            }
        };
        let sequence = self.next[from.index()];
        let acknowledged = self.next[from.other().index()];
        let tcp = ip.tcp(source.port(), destination.port(), sequence, 65_535);
        let tcp = match flags {
            TcpFlags::SYN => tcp.syn(),
            TcpFlags::SYN_ACK => tcp.syn().ack(acknowledged),
            TcpFlags::ACK if payload.is_empty() => tcp.ack(acknowledged),
            TcpFlags::ACK => tcp.psh().ack(acknowledged),
            TcpFlags::FIN => tcp.fin().ack(acknowledged),
            TcpFlags::RST => tcp.rst().ack(acknowledged),
        };
        let counted = match flags {
            TcpFlags::SYN | TcpFlags::SYN_ACK | TcpFlags::FIN => 1,
            TcpFlags::ACK | TcpFlags::RST => u32::try_from(payload.len()).unwrap_or(u32::MAX),
        };
        self.next[from.index()] = sequence.wrapping_add(counted);
        writer.write(time, tcp, payload)
    }
}

/// The combinations of flags that are needed here.
#[derive(Clone, Copy, PartialEq, Eq)]
#[allow(
    non_camel_case_types,
    clippy::upper_case_acronyms,
    reason = "the flags' own names"
)]
enum TcpFlags {
    SYN,
    SYN_ACK,
    ACK,
    FIN,
    RST,
}

/// A locally administered MAC address that shows the IP address's last bytes.
fn mac(address: IpAddr) -> [u8; 6] {
    let [.., a, b, c] = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    [0x02, 0, 0, a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{self, Event, Options, Stamp};

    #[test]
    fn pcapng_of_loopback_is_read_back_with_its_times_and_long_packets() {
        let time = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let ends = ["127.0.0.1:40000", "127.0.0.2:21064"].map(|end| end.parse().expect("an address"));
        let ack: Vec<u8> = [0x0003_0002_u32, 7, 1, 0x0005_0010]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let bytes = ack.repeat(5000);
        let mut writer = CaptureWriter::pcapng_of_loopback(Vec::new(), "lo").expect("a vector takes all");
        let mut link = TcpLink::open(&mut writer, time, ends[0], ends[1]).expect("a vector takes all");
        link.send(&mut writer, time, End::Opener, &bytes)
            .expect("a vector takes all");
        link.reset(&mut writer, time, End::Acceptor)
            .expect("a vector takes all");
        let file = writer.finish().expect("a vector takes all");

        let mut frames = 0;
        let mut count = |at: Stamp, event: Event<'_>| {
            if matches!(event, Event::Frame { .. }) {
                assert_eq!(at.time, time);
                frames += 1;
            }
        };
        let summary =
            capture::read(io::Cursor::new(file), &Options::default(), &mut count).expect("it is a capture");
        assert!(matches!(summary.end, capture::End::Complete));
        assert_eq!(frames, 5000);
        // Three of the handshake, 80000 bytes in three, their acknowledgement, the reset.
        assert_eq!(summary.stats.packets, 8);
    }

    #[test]
    fn interface_name_that_cannot_be_is_refused() {
        for name in ["", "sixteen-bytes-lo"] {
            let refused = CaptureWriter::pcapng_of_loopback(Vec::new(), name);
            assert_eq!(
                refused.map(drop).map_err(|e| e.kind()),
                Err(io::ErrorKind::InvalidInput)
            );
        }
    }
}
