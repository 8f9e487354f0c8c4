//! Cutting a capture file into packets.
//!
//! pcap-parser reads file headers, packet records and interface descriptions. pcapng packet blocks are
//! read here, from fixed offsets: its own reader collects their options into a vector for every packet, and
//! knows neither the obsolete packet block nor time resolutions that are powers of two.

mod pcapng;

use std::io::Read;
use std::path::Path;

use pcap_parser::{PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header};

use super::End;
use super::error::CaptureError;
use super::event::{Stamp, Timestamp};
use super::layers::LinkType;
use super::source::Source;

/// No snapshot length in use is larger (tcpdump's and dumpcap's maximum).
pub(super) const RECORD_BYTES_MAX: u32 = 256 << 10;
const PCAP_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A packet as the capture has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Its number and time.
    pub stamp: Stamp,
    /// What its first bytes are.
    pub link_type: LinkType,
    /// What was captured of it.
    pub data: &'a [u8],
    /// Bytes that it had on the wire.
    pub wire_len: u32,
}

impl Packet<'_> {
    /// Whether the capture has only its beginning.
    pub const fn is_truncated(&self) -> bool {
        self.data.len() < self.wire_len as usize
    }
}

/// The packets of a capture file, one after the other.
pub struct Packets {
    source: Source,
    format: Format,
    /// Packets read so far.
    count: u64,
}

enum Format {
    Pcap(Pcap),
    Pcapng(pcapng::Sections),
}

impl Packets {
    /// Opens the capture at `path`, or standard input if that is `-`.
    ///
    /// # Errors
    ///
    /// What keeps the file from being read at all.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::start(Source::open(path)?)
    }

    /// Reads a capture from anything that can be read.
    ///
    /// # Errors
    ///
    /// What keeps it from being read at all.
    pub fn new(reader: impl Read + 'static) -> Result<Self, CaptureError> {
        Self::start(Source::new(reader)?)
    }

    /// The next packet.
    ///
    /// # Errors
    ///
    /// Why there is none: [`End::Complete`] behind the last one.
    #[inline]
    #[expect(
        clippy::should_implement_trait,
        reason = "a packet borrows from the reader, no Iterator can say that"
    )]
    pub fn next(&mut self) -> Result<Packet<'_>, End> {
        match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.source, &mut self.count),
            Format::Pcapng(sections) => sections.next(&mut self.source, &mut self.count),
        }
    }

    fn start(mut source: Source) -> Result<Self, CaptureError> {
        source.ensure(PCAP_HEADER_LEN)?;
        let bytes = source.bytes();
        match source.cut(0) {
            Some(cut) if bytes.len() < PCAP_HEADER_LEN => return Err(cut),
            None if bytes.is_empty() => return Err(CaptureError::Empty),
            _ => {}
        }
        let mut magic = [0; 4];
        for (to, from) in magic.iter_mut().zip(bytes) {
            *to = *from;
        }
        let format = match magic {
            [0x0a, 0x0d, 0x0d, 0x0a] => Format::Pcapng(pcapng::Sections::default()),
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1] => Format::Pcap(Pcap::start(&mut source)?),
            _ => return Err(CaptureError::NotACapture { magic }),
        };
        Ok(Self {
            source,
            format,
            count: 0,
        })
    }
}

/// The older format: one header, then records.
struct Pcap {
    link_type: LinkType,
    big_endian: bool,
    /// Nanoseconds of one unit of a time's second half.
    fraction_nanos: u64,
}

impl Pcap {
    fn start(source: &mut Source) -> Result<Self, CaptureError> {
        let have = source.bytes().len();
        let Ok((_, header)) = parse_pcap_header(source.bytes()) else {
            return Err(CaptureError::HeaderTruncated {
                have,
                needed: PCAP_HEADER_LEN,
            });
        };
        source.take(PCAP_HEADER_LEN);
        let link_type = link_type_of(&header);
        if let LinkType::Unsupported(link_type) = link_type {
            return Err(CaptureError::UnsupportedLinkType { link_type });
        }
        Ok(Self {
            link_type,
            big_endian: header.is_bigendian(),
            fraction_nanos: if header.is_nanosecond_precision() { 1 } else { 1000 },
        })
    }

    #[inline]
    fn next<'s>(&mut self, source: &'s mut Source, count: &mut u64) -> Result<Packet<'s>, End> {
        let packet = *count + 1;
        let offset = source.offset();
        if !source.ensure(RECORD_HEADER_LEN).map_err(End::Damaged)? {
            return Err(end_of(source, packet));
        }
        let Some(&[a, b, c, d]) = source.bytes().get(8..12) else {
            return Err(End::Truncated { packet, offset });
        };
        let captured = if self.big_endian {
            u32::from_be_bytes([a, b, c, d])
        } else {
            u32::from_le_bytes([a, b, c, d])
        };
        if captured > RECORD_BYTES_MAX {
            let limit = RECORD_BYTES_MAX;
            return Err(End::Damaged(CaptureError::RecordTooLong {
                packet,
                offset,
                length: captured,
                limit,
            }));
        }
        let length = RECORD_HEADER_LEN + captured as usize;
        if !source.ensure(length).map_err(End::Damaged)? {
            return Err(cut_in(source, packet));
        }
        let bytes = source.take(length);
        let parsed = if self.big_endian {
            parse_pcap_frame_be(bytes)
        } else {
            parse_pcap_frame(bytes)
        };
        let Ok((_, record)) = parsed else {
            return Err(End::Truncated { packet, offset });
        };
        *count = packet;
        let nanos =
            u64::from(record.ts_sec) * NANOS_PER_SECOND + u64::from(record.ts_usec) * self.fraction_nanos;
        Ok(Packet {
            stamp: Stamp {
                packet,
                time: Timestamp::from_nanos(nanos),
            },
            link_type: self.link_type,
            data: record.data,
            wire_len: record.origlen,
        })
    }
}

/// The upper half of the field holds flags about a frame check sequence.
fn link_type_of(header: &PcapHeader) -> LinkType {
    let [low, high, ..] = header.network.0.to_le_bytes();
    LinkType::from_number(u32::from(u16::from_le_bytes([low, high])))
}

/// Why there is no whole record header or block header in the window.
fn end_of(source: &Source, packet: u64) -> End {
    if source.bytes().is_empty() && source.cut(0).is_none() {
        End::Complete
    } else {
        cut_in(source, packet)
    }
}

/// The file ends inside the record or block that starts here.
#[cold]
fn cut_in(source: &Source, packet: u64) -> End {
    let offset = source.offset();
    source
        .cut(packet - 1)
        .map_or(End::Truncated { packet, offset }, End::Damaged)
}
