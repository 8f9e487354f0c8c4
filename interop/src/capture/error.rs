//! Why a capture cannot be read, and where.

use std::path::PathBuf;
use std::{error, fmt, io};

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Compression {
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// What is wrong with a pcapng block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlockFault {
    /// Its length is not a multiple of 4 or too small for its kind.
    Length {
        /// The length it states, in bytes.
        length: u32,
    },
    /// The length at its end is not the one at its start.
    Trailer {
        /// The length at its start.
        length: u32,
        /// The length at its end.
        trailer: u32,
    },
    /// A section starts with a byte order mark that is none.
    ByteOrder {
        /// The mark, read as little-endian.
        mark: u32,
    },
    /// Its content does not fit into it.
    Content,
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { length } => write!(f, "length {length} is impossible"),
            Self::Trailer { length, trailer } => {
                write!(f, "length {length} at its start, {trailer} at its end")
            }
            Self::ByteOrder { mark } => write!(f, "{mark:#010x} is not a byte order mark"),
            Self::Content => f.write_str("its content does not fit into it"),
        }
    }
}

/// Why a capture cannot be read (any further). Offsets count bytes of the capture after decompression, those
/// called compressed bytes of the file.
#[derive(Debug)]
pub enum CaptureError {
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Reading failed.
    Read {
        /// Bytes read so far.
        offset: u64,
        /// What the operating system said.
        source: io::Error,
    },
    /// Compressed data is damaged. What was decompressed before was read; of what gzip holds, up to its window of
    /// 32 KiB may be lost before the damage.
    Decompress {
        /// How it is compressed.
        compression: Compression,
        /// Bytes of the file that the decompressor took.
        compressed_offset: u64,
        /// Bytes decompressed so far.
        offset: u64,
        /// What the decompressor said.
        source: io::Error,
    },
    /// A compressed file ends in the middle. What could be decompressed before was read.
    CompressedCut {
        /// How it is compressed.
        compression: Compression,
        /// Bytes of the file.
        compressed_offset: u64,
        /// Whole packets in it.
        packets: u64,
    },
    /// There is not a single byte.
    Empty,
    /// The first bytes are not those of a capture.
    NotACapture {
        /// The first bytes; what the file does not have is 0.
        magic: [u8; 4],
    },
    /// The file ends inside its header.
    HeaderTruncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that the header has.
        needed: usize,
    },
    /// The only link type of the file is not known here.
    UnsupportedLinkType {
        /// The number, see <https://www.tcpdump.org/linktypes.html>.
        link_type: u32,
    },
    /// A packet record states a length that no packet has.
    RecordTooLong {
        /// Number of the packet.
        packet: u64,
        /// Where its record starts.
        offset: u64,
        /// Bytes it states.
        length: u32,
        /// The limit in force.
        limit: u32,
    },
    /// A pcapng block states a length above the limit.
    BlockTooLong {
        /// Where the block starts.
        offset: u64,
        /// Bytes it states.
        length: u32,
        /// The limit in force.
        limit: u32,
    },
    /// A pcapng block is damaged.
    BadBlock {
        /// Where the block starts.
        offset: u64,
        /// What is wrong with it.
        fault: BlockFault,
    },
    /// The file cannot be written (only when captures are made).
    Write {
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, .. } => write!(f, "cannot open {}", path.display()),
            Self::Read { offset, .. } => write!(f, "reading failed at byte {offset}"),
            Self::Decompress {
                compression,
                compressed_offset,
                offset,
                source,
            } => {
                write!(
                    f,
                    "{compression} data is damaged at or before byte {compressed_offset} of the file, behind \
                     byte {offset} of what it holds: {source}"
                )
            }
            Self::CompressedCut {
                compression,
                compressed_offset,
                packets,
            } => {
                write!(
                    f,
                    "{compression} data breaks off where the file ends, at byte {compressed_offset}; it holds \
                     {packets} whole packets"
                )
            }
            Self::Empty => f.write_str("the capture is empty"),
            Self::NotACapture { magic: [a, b, c, d] } => {
                write!(
                    f,
                    "not a pcap or pcapng capture: it starts with {a:02x} {b:02x} {c:02x} {d:02x}"
                )
            }
            Self::HeaderTruncated { have, needed } => {
                write!(
                    f,
                    "the capture ends after {have} of the {needed} bytes of its header"
                )
            }
            Self::UnsupportedLinkType { link_type } => write!(f, "link type {link_type} is not supported"),
            Self::RecordTooLong {
                packet,
                offset,
                length,
                limit,
            } => {
                write!(
                    f,
                    "packet {packet} at byte {offset} states {length} bytes, limit {limit}"
                )
            }
            Self::BlockTooLong {
                offset,
                length,
                limit,
            } => {
                write!(f, "block at byte {offset} states {length} bytes, limit {limit}")
            }
            Self::BadBlock { offset, fault } => write!(f, "damaged block at byte {offset}: {fault}"),
            Self::Write { .. } => f.write_str("writing failed"),
        }
    }
}

impl error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Write { source } => Some(source),
            // What the decompressor said is part of the message.
            Self::Decompress { .. }
            | Self::CompressedCut { .. }
            | Self::Empty
            | Self::NotACapture { .. }
            | Self::HeaderTruncated { .. }
            | Self::UnsupportedLinkType { .. }
            | Self::RecordTooLong { .. }
            | Self::BlockTooLong { .. }
            | Self::BadBlock { .. } => None,
        }
    }
}
