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
