//! SCTP packets and chunks.

use std::net::{IpAddr, SocketAddr};

use super::ip;

/// An SCTP packet in an IP packet.
pub fn packet(from: SocketAddr, to: SocketAddr, tag: u32, id: u16, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut sctp = Vec::new();
    sctp.extend(from.port().to_be_bytes());
    sctp.extend(to.port().to_be_bytes());
    sctp.extend(tag.to_be_bytes());
    sctp.extend([0; 4]);
    for chunk in chunks {
        sctp.extend(chunk);
    }
    ip(from.ip(), to.ip(), 132, id, &sctp)
}

/// Any chunk, padded.
///
/// # Panics
///
/// If the body is longer than a chunk can say.
pub fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + body.len()).expect("a chunk is short");
    let mut bytes = vec![kind, flags];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Flags of a DATA chunk: the only piece of an ordered user message.
pub const WHOLE: u8 = 3;
/// The first piece.
pub const FIRST: u8 = 2;
/// A piece in the middle.
pub const MIDDLE: u8 = 0;
/// The last piece.
pub const LAST: u8 = 1;
/// Added to the others: unordered.
pub const UNORDERED: u8 = 4;

/// A DATA chunk on stream 0.
pub fn data(tsn: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut body = tsn.to_be_bytes().to_vec();
    body.extend([0; 8]);
    body.extend(bytes);
    chunk(0, flags, &body)
}

/// An INIT.
pub fn init(tag: u32, tsn: u32, addresses: &[IpAddr]) -> Vec<u8> {
    chunk(1, 0, &init_body(tag, tsn, addresses))
}

/// An INIT ACK.
pub fn init_ack(tag: u32, tsn: u32, addresses: &[IpAddr]) -> Vec<u8> {
    chunk(2, 0, &init_body(tag, tsn, addresses))
}

/// A SACK of everything up to and with `cumulative`.
pub fn sack(cumulative: u32) -> Vec<u8> {
    let mut body = cumulative.to_be_bytes().to_vec();
    body.extend([0; 8]);
    chunk(3, 0, &body)
}

/// A COOKIE ECHO.
pub fn cookie_echo() -> Vec<u8> {
    chunk(10, 0, &[9; 10])
}

/// A COOKIE ACK.
pub fn cookie_ack() -> Vec<u8> {
    chunk(11, 0, &[])
}

/// An ABORT; `reflected` if its packet carries the sender's own tag.
pub fn abort(reflected: bool) -> Vec<u8> {
    chunk(6, u8::from(reflected), &[])
}

fn init_body(tag: u32, tsn: u32, addresses: &[IpAddr]) -> Vec<u8> {
    let mut body = tag.to_be_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0, 10, 0, 10]);
    body.extend(tsn.to_be_bytes());
    for address in addresses {
        match address {
            IpAddr::V4(address) => {
                body.extend([0, 5, 0, 8]);
                body.extend(address.octets());
            }
            IpAddr::V6(address) => {
                body.extend([0, 6, 0, 20]);
                body.extend(address.octets());
            }
        }
    }
    body
}
