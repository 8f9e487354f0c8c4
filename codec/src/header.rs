//! The 16-byte header that starts every frame (spec: wire 2).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 4 | `h_version` | major << 16 \| minor |
//! | 4 | 4 | `u` | lockspace id (`MSG`, `RCOM`), sequence number (`OPTS`, `ACK`), 0 (`FIN`) |
//! | 8 | 4 | `h_nodeid` | sender |
//! | 12 | 2 | `h_length` | whole frame, this header included |
//! | 14 | 1 | `h_cmd` | command |
//! | 15 | 1 | `h_pad` | 0, not checked |

use crate::encode::{EncodeError, Writer};
use crate::error::{DecodeError, ErrorKind};
use crate::ids::{LockspaceId, NodeId};
use crate::parse::{le16, le32};
use crate::seq::Seq;
use crate::version::{Command, Version};

/// Bytes of a header.
pub const HEADER_LEN: usize = 16;

pub(crate) const AT_VERSION: usize = 0;
pub(crate) const AT_NODE: usize = 8;
pub(crate) const AT_LENGTH: usize = 12;
pub(crate) const AT_COMMAND: usize = 14;

/// The second word of a header, typed by the command.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HeaderUnion {
    /// `h_lockspace` of `MSG` and `RCOM`.
    Lockspace(LockspaceId),
    /// `h_seq` of `OPTS` (its own number) and `ACK` (the next number expected).
    Seq(Seq),
    /// `FIN` uses neither: written as 0, ignored when read.
    Unused,
}

/// A header, every field checked.
///
/// ```
/// use dlmwire_codec::{Command, Header, HeaderUnion, NodeId, Seq, Version};
///
/// let bytes = [2, 0, 3, 0, 42, 0, 0, 0, 2, 0, 0, 0, 16, 0, 4, 0];
/// let header = Header::decode(&bytes).unwrap();
/// assert_eq!(header.command, Command::Ack);
/// assert_eq!(header.union, HeaderUnion::Seq(Seq::new(42)));
///
/// let mut back = [0; 16];
/// header.encode_into(&mut back).unwrap();
/// assert_eq!(back, bytes);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// `h_version`.
    pub version: Version,
    /// The union of lockspace id and sequence number.
    pub union: HeaderUnion,
    /// `h_nodeid`, the sender.
    pub node: NodeId,
    /// `h_length`, bytes of the whole frame.
    pub length: u16,
    /// `h_cmd`.
    pub command: Command,
}

impl Header {
    /// Reads a header on its own; what follows it is not looked at.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LengthBelowHeader`], [`UnknownMajor`](ErrorKind::UnknownMajor),
    /// [`UnknownMinor`](ErrorKind::UnknownMinor), [`UnknownCommand`](ErrorKind::UnknownCommand) or
    /// [`NodeZero`](ErrorKind::NodeZero).
    #[inline]
    pub const fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let length = le16!(bytes, 12);
        if length < 16 {
            return Err(DecodeError::new(
                ErrorKind::LengthBelowHeader { length },
                AT_LENGTH,
            ));
        }
        let version = match Version::from_wire(le32!(bytes, 0)) {
            Ok(version) => version,
            Err(kind) => return Err(DecodeError::new(kind, AT_VERSION)),
        };
        let Some(command) = Command::from_wire(bytes[14]) else {
            return Err(DecodeError::new(
                ErrorKind::UnknownCommand { command: bytes[14] },
                AT_COMMAND,
            ));
        };
        let Some(node) = NodeId::new(le32!(bytes, 8)) else {
            return Err(DecodeError::new(ErrorKind::NodeZero, AT_NODE));
        };
        let word = le32!(bytes, 4);
        let union = match command {
            Command::Msg | Command::Rcom => HeaderUnion::Lockspace(LockspaceId::new(word)),
            Command::Opts | Command::Ack => HeaderUnion::Seq(Seq::new(word)),
            Command::Fin => HeaderUnion::Unused,
        };
        Ok(Self {
            version,
            union,
            node,
            length,
            command,
        })
    }

    /// Writes the header to the first 16 bytes of `out`.
    ///
    /// # Errors
    ///
    /// [`EncodeError::NoRoom`] when `out` is shorter.
    pub fn encode_into(&self, out: &mut [u8]) -> Result<(), EncodeError> {
        let mut writer = Writer::new(out, HEADER_LEN)?;
        self.write(&mut writer);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn write(&self, out: &mut Writer<'_>) {
        let word = match self.union {
            HeaderUnion::Lockspace(id) => id.get(),
            HeaderUnion::Seq(seq) => seq.get(),
            HeaderUnion::Unused => 0,
        };
        let head: &mut [u8; HEADER_LEN] = out.fixed();
        head[0..4].copy_from_slice(&self.version.wire().to_le_bytes());
        head[4..8].copy_from_slice(&word.to_le_bytes());
        head[8..12].copy_from_slice(&self.node.get().to_le_bytes());
        head[12..14].copy_from_slice(&self.length.to_le_bytes());
        head[14..16].copy_from_slice(&[self.command.wire(), 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{hex, node};

    /// `ACK` from 2 for everything before 42 (spec: wire 10).
    const ACK: &str = "02 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00";

    fn header(digits: &str) -> Result<Header, DecodeError> {
        Header::decode(hex(digits).as_array().expect("16 bytes"))
    }

    /// Proves B8.
    #[test]
    fn ack_header_field_by_field() {
        let ack = Header {
            version: Version::V3_2,
            union: HeaderUnion::Seq(Seq::new(42)),
            node: node(2),
            length: 16,
            command: Command::Ack,
        };
        assert_eq!(header(ACK), Ok(ack));
        let mut out = [0xaa; HEADER_LEN];
        assert_eq!(ack.encode_into(&mut out), Ok(()));
        assert_eq!(out, *hex(ACK));
    }

    /// Proves B13, D3.
    #[test]
    fn second_word_is_lockspace_or_number_by_command() {
        let lockspace = HeaderUnion::Lockspace(LockspaceId::new(0x8cff_a40a));
        let seq = HeaderUnion::Seq(Seq::new(0x8cff_a40a));
        let unions = [lockspace, lockspace, seq, seq, HeaderUnion::Unused];
        for (command, union) in Command::ALL.into_iter().zip(unions) {
            let mut bytes = hex("02 00 03 00 0a a4 ff 8c 01 00 00 00 58 00 00 00");
            bytes[AT_COMMAND] = command.wire();
            let read = Header::decode(bytes.as_array().expect("16 bytes"));
            assert_eq!(read.map(|header| header.union), Ok(union), "{command}");

            let mut out = [0xaa; HEADER_LEN];
            assert_eq!(read.map(|header| header.encode_into(&mut out)), Ok(Ok(())));
            if union == HeaderUnion::Unused {
                bytes[4..8].fill(0);
            }
            assert_eq!(out, *bytes, "{command}");
        }
    }

    #[test]
    fn header_that_makes_no_sense_names_the_field() {
        let rows = [
            (
                "02 00 03 00 2a 00 00 00 02 00 00 00 0f 00 04 00",
                ErrorKind::LengthBelowHeader { length: 15 },
                12,
            ),
            (
                "02 00 04 00 2a 00 00 00 02 00 00 00 10 00 04 00",
                ErrorKind::UnknownMajor { major: 4 },
                0,
            ),
            (
                "03 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00",
                ErrorKind::UnknownMinor { minor: 3 },
                0,
            ),
            (
                "02 00 03 00 2a 00 00 00 02 00 00 00 10 00 06 00",
                ErrorKind::UnknownCommand { command: 6 },
                14,
            ),
            (
                "02 00 03 00 2a 00 00 00 00 00 00 00 10 00 04 00",
                ErrorKind::NodeZero,
                8,
            ),
        ];
        for (digits, kind, offset) in rows {
            assert_eq!(header(digits), Err(DecodeError { kind, offset }));
        }
    }

    #[test]
    fn header_without_room_is_not_written() {
        let mut out = [0xaa; 15];
        let error = EncodeError::NoRoom { needed: 16, room: 15 };
        assert_eq!(header(ACK).map(|ack| ack.encode_into(&mut out)), Ok(Err(error)));
        assert_eq!(out, [0xaa; 15]);
    }
}
