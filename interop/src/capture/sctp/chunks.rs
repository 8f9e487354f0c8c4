//! Chunks of an SCTP packet (RFC 9260 section 3).

use std::net::IpAddr;

use crate::capture::layers::Datagram;

const COMMON_HEADER_LEN: usize = 12;
const CHUNK_HEADER_LEN: usize = 4;
const DATA_HEADER_LEN: usize = 16;
const INIT_LEN: usize = 20;

const PARAMETER_IPV4: u16 = 5;
const PARAMETER_IPV6: u16 = 6;

/// A chunk, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chunk<'a> {
    Data(Data<'a>),
    Init(Init<'a>),
    InitAck(Init<'a>),
    Sack {
        cumulative: u32,
    },
    Heartbeat,
    HeartbeatAck,
    Abort {
        reflected: bool,
    },
    Shutdown {
        cumulative: u32,
    },
    ShutdownAck,
    Error,
    CookieEcho,
    CookieAck,
    ShutdownComplete {
        reflected: bool,
    },
    ForwardTsn {
        cumulative: u32,
    },
    Unknown,
    /// Its length cannot be right, or its fixed part is cut off. The last one.
    Bad,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) tsn: u32,
    pub(super) unordered: bool,
    /// First piece of a user message.
    pub(super) begins: bool,
    /// Last piece of a user message.
    pub(super) ends: bool,
    pub(super) bytes: &'a [u8],
    /// Bytes that the snapshot length cut off.
    pub(super) cut: u64,
}

/// INIT and INIT ACK.
#[derive(Clone, Copy, Debug)]
pub(super) struct Init<'a> {
    pub(super) tag: u32,
    pub(super) tsn: u32,
    parameters: &'a [u8],
}

impl Init<'_> {
    /// The addresses that it lists.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let mut rest = self.parameters;
        std::iter::from_fn(move || {
            loop {
                let &[t0, t1, l0, l1] = rest.first_chunk::<4>()?;
                let length = usize::from(u16::from_be_bytes([l0, l1]));
                let value = rest.get(4..length)?;
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                match (u16::from_be_bytes([t0, t1]), value.len()) {
                    (PARAMETER_IPV4, 4) => return value.first_chunk::<4>().map(|&octets| octets.into()),
                    (PARAMETER_IPV6, 16) => return value.first_chunk::<16>().map(|&octets| octets.into()),
                    _ => {}
                }
            }
        })
    }
}

/// The common header's verification tag and the chunks, or `None` if the header is cut off.
#[inline]
pub(super) fn chunks<'a>(datagram: &Datagram<'a>) -> Option<(u32, Chunks<'a>)> {
    let rest = datagram.payload.get(COMMON_HEADER_LEN..)?;
    let tag = be32(datagram.payload, 4)?;
    let wire_len = datagram.wire_len.saturating_sub(COMMON_HEADER_LEN);
    Some((tag, Chunks { rest, wire_len }))
}

/// The chunks of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks<'a> {
    rest: &'a [u8],
    /// Bytes that were on the wire from here.
    wire_len: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let Some(&[kind, flags, l0, l1]) = self.rest.first_chunk::<CHUNK_HEADER_LEN>() else {
            let left = !self.rest.is_empty();
            self.rest = &[];
            return left.then_some(Chunk::Bad);
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if !(CHUNK_HEADER_LEN..=self.wire_len).contains(&length) {
            self.rest = &[];
            return Some(Chunk::Bad);
        }
        let chunk = self.rest.get(..length).unwrap_or(self.rest);
        let cut = (length - chunk.len()) as u64;
        let step = length.next_multiple_of(4);
        self.rest = self.rest.get(step..).unwrap_or_default();
        self.wire_len = self.wire_len.saturating_sub(step);
        Some(read(kind, flags, chunk, cut).unwrap_or(Chunk::Bad))
    }
}

#[inline]
fn read(kind: u8, flags: u8, chunk: &[u8], cut: u64) -> Option<Chunk<'_>> {
    let reflected = flags & 1 != 0;
    Some(match kind {
        0 => Chunk::Data(Data {
            tsn: be32(chunk, 4)?,
            unordered: flags & 4 != 0,
            begins: flags & 2 != 0,
            ends: flags & 1 != 0,
            bytes: chunk.get(DATA_HEADER_LEN..)?,
            cut,
        }),
        1 => Chunk::Init(init(chunk)?),
        2 => Chunk::InitAck(init(chunk)?),
        3 => Chunk::Sack {
            cumulative: be32(chunk, 4)?,
        },
        4 => Chunk::Heartbeat,
        5 => Chunk::HeartbeatAck,
        6 => Chunk::Abort { reflected },
        7 => Chunk::Shutdown {
            cumulative: be32(chunk, 4)?,
        },
        8 => Chunk::ShutdownAck,
        9 => Chunk::Error,
        10 => Chunk::CookieEcho,
        11 => Chunk::CookieAck,
        14 => Chunk::ShutdownComplete { reflected },
        192 => Chunk::ForwardTsn {
            cumulative: be32(chunk, 4)?,
        },
        _ => Chunk::Unknown,
    })
}

fn init(chunk: &[u8]) -> Option<Init<'_>> {
    Some(Init {
        tag: be32(chunk, 4)?,
        tsn: be32(chunk, 16)?,
        parameters: chunk.get(INIT_LEN..)?,
    })
}

#[inline]
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|&word| u32::from_be_bytes(word))
}
