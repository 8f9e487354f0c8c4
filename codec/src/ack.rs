//! `DLM_ACK`: a header alone, never numbered, never acknowledged (spec: wire 5.2).
//!
//! | offset | size | C name | meaning |
//! |---|---|---|---|
//! | 0 | 16 | header | command 4, the union is the lowest number not yet accepted, length 16 |

use crate::error::{DecodeError, ErrorKind};
use crate::header::AT_LENGTH;
use crate::ids::NodeId;
use crate::parse::{fixed, le32};
use crate::seq::Seq;
use crate::version::Version;

/// `DLM_ACK`: its sender has accepted every number before [`seq`](Self::seq).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ack {
    /// `h_version`, 3.2.
    pub version: Version,
    /// `h_nodeid`, the node that accepted.
    pub node: NodeId,
    /// `h_seq`, the next number expected.
    pub seq: Seq,
}

impl Ack {
    #[inline(always)]
    pub(crate) fn decode(bytes: &[u8], version: Version, node: NodeId) -> Result<Self, DecodeError> {
        match fixed::<16>(bytes) {
            Some((head, [])) => Ok(Self {
                version,
                node,
                seq: Seq::new(le32!(head, 4)),
            }),
            _ => Err(too_long(bytes)),
        }
    }
}

#[cold]
fn too_long(bytes: &[u8]) -> DecodeError {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    DecodeError::new(ErrorKind::AckTooLong { length }, AT_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Content, Frame, FrameFields};
    use crate::testkit::{fields, frame, hex, node};

    /// `tcp-3.2-linux6.1-2node-workload`, frame 119.
    const ACK: &str = "02 00 03 00 03 00 00 00 02 00 00 00 10 00 04 00";

    /// Proves D5.
    #[test]
    fn ack_is_a_header_with_the_next_number_expected() {
        let bytes = hex(ACK);
        let ack = Ack {
            version: Version::V3_2,
            node: node(2),
            seq: Seq::new(3),
        };
        assert_eq!(frame(&bytes), Ok(Frame::Ack(ack)));
        let read = FrameFields {
            version: Version::V3_2,
            node: node(2),
            content: Content::Ack(Seq::new(3)),
        };
        assert_eq!(fields(&bytes), read);
    }

    #[test]
    fn ack_with_anything_behind_its_header_is_refused() {
        let mut bytes = hex(ACK);
        bytes.push(0);
        bytes[AT_LENGTH] = 17;
        let error = DecodeError {
            kind: ErrorKind::AckTooLong { length: 17 },
            offset: AT_LENGTH,
        };
        assert_eq!(frame(&bytes), Err(error));
    }
}
