//! Captures made up from messages: TCP connections as a kernel would have had them.
//!
//! For what was never on a wire (a test's variations of a real conversation, an engine's own traffic) but has
//! to be readable by every tool that reads captures. Checksums and lengths are right; time is the caller's.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader};

use crate::capture::Timestamp;

/// Payload bytes of one packet; what fits an Ethernet of 1500.
const SEGMENT_BYTES: usize = 1400;

/// A classic pcap file's first four words: nanoseconds, version 2.4, no time zone, no accuracy.
const FILE_HEADER: [u32; 4] = [0xa1b2_3c4d, 0x0004_0002, 0, 0];

/// The last two: the largest packet, and Ethernet.
const SNAPLEN_AND_LINK: [u32; 2] = [262_144, 1];

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

/// Writes a capture file, Ethernet, packet by packet.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    packet: Vec<u8>,
}

impl<W: Write> CaptureWriter<W> {
    /// Starts a file.
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
        })
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
        let seconds = u32::try_from(nanoseconds / 1_000_000_000).map_err(io::Error::other)?;
        let fraction = u32::try_from(nanoseconds % 1_000_000_000).map_err(io::Error::other)?;
        for word in [seconds, fraction, length, length] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(&self.packet)
    }
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
            next: [1_000_000, 2_000_000],
        };
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
        for segment in bytes.chunks(SEGMENT_BYTES) {
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
