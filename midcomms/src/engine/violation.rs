//! What a peer can do wrong, as an engine sees it.

use std::fmt;

use dlmwire_codec::{DecodeError, Seq};

use crate::admission::Refusal;
use crate::state;

/// A peer broke the protocol. The engine has counted and told it and goes on; a policy may fence the peer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// The link is not known, or was told to be closed.
    UnknownLink,
    /// The frame makes no sense.
    Unreadable(DecodeError),
    /// The stream makes no sense: no frame can be found in it any more. The link is to be aborted.
    FramingLost(DecodeError),
    /// The frame is sound and not acceptable now.
    Refused(Refusal),
    /// A numbered frame's content makes no sense.
    Damaged {
        /// Its number.
        seq: Seq,
        /// What is wrong.
        error: DecodeError,
        /// Whether the number counts all the same; if not, everything after it is a gap.
        consumed: bool,
    },
    /// An acknowledgement of what was never sent.
    AckBeyondSent {
        /// What was acknowledged.
        ack: Seq,
        /// The next number to send.
        send_seq: Seq,
    },
    /// A `FIN` or the acknowledgement of one where none can be.
    Termination(state::Violation),
    /// A message behind the peer's `FIN`.
    MessageAfterFin {
        /// Its number.
        seq: Seq,
    },
    /// The peer was found to have restarted: nothing of it is taken.
    Halted,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownLink => f.write_str("frame on a link that is not known"),
            Self::Unreadable(error) => write!(f, "unreadable frame: {error}"),
            Self::FramingLost(error) => write!(f, "no frame can be found any more: {error}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
            Self::Damaged { seq, error, consumed } => {
                let counted = if *consumed { "counted" } else { "not counted" };
                write!(
                    f,
                    "unreadable content of number {seq}, which is {counted}: {error}"
                )
            }
            Self::AckBeyondSent { ack, send_seq } => {
                write!(
                    f,
                    "acknowledges up to {ack}, the next number to send is {send_seq}"
                )
            }
            Self::Termination(violation) => violation.fmt(f),
            Self::MessageAfterFin { seq } => write!(f, "message number {seq} behind the FIN"),
            Self::Halted => f.write_str("frame of a peer that restarted"),
        }
    }
}

impl std::error::Error for Violation {}
