//! Which frames a receiver drops although they are sound: the refusals that need state (spec: wire 7, midcomms 3).
//!
//! Bytes that make no sense never come here, the codec refuses them.

use core::fmt;

use dlmwire_codec::{Carriage, Command, Disposition, Frame, MessageClass, NodeId, Version};

/// What is known when a frame comes.
///
/// An engine is the receiver and knows its own version and node; a passive observer may know less, and what it
/// does not know is not held against the frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Known {
    /// The version that the sender was detected as.
    pub sender: Option<Version>,
    /// The version that the receiver speaks.
    pub receiver: Option<Version>,
    /// The node at the link's other end.
    pub sender_node: Option<NodeId>,
    /// The receiver's own node.
    pub receiver_node: Option<NodeId>,
}

/// Why a sound frame is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The sender's version is unknown and this message does not set it.
    CannotOpen {
        /// Its command.
        command: Command,
        /// Its class, unless it is an `OPTS` with unreadable content.
        class: Option<MessageClass>,
    },
    /// The frame is marked with another version than the sender's.
    VersionDiffers {
        /// The version that the sender was detected as.
        detected: Version,
        /// The frame's.
        marked: Version,
    },
    /// `OPTS` or `ACK` towards a 3.1 node, which knows neither.
    NumberedTo3_1 {
        /// The frame's command.
        command: Command,
    },
    /// A bare message that has to travel in `OPTS` between 3.2 nodes.
    MustBeWrapped {
        /// The message's class.
        class: MessageClass,
    },
    /// The sender claims to be the receiver.
    OwnNode {
        /// The node.
        node: NodeId,
    },
    /// The sender claims to be another node than the one at the link's other end.
    OtherNode {
        /// The node that the frame names.
        claimed: NodeId,
        /// The node at the link's other end.
        expected: NodeId,
    },
}

impl Refusal {
    /// What a receiver does: the frame is skipped, the link stays.
    pub const fn disposition(self) -> Disposition {
        Disposition::SkipFrame
    }

    /// Whether the number of a refused `OPTS` counts all the same and is acknowledged.
    ///
    /// Kernels look at the node of a message only after they have counted its number.
    pub const fn consumes_number(self) -> bool {
        match self {
            Self::OwnNode { .. } | Self::OtherNode { .. } => true,
            Self::CannotOpen { .. }
            | Self::VersionDiffers { .. }
            | Self::NumberedTo3_1 { .. }
            | Self::MustBeWrapped { .. } => false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CannotOpen { command, .. } => {
                write!(
                    f,
                    "{command} from a node of unknown version cannot open a conversation"
                )
            }
            Self::VersionDiffers { detected, marked } => {
                write!(f, "frame of version {marked} from a node detected as {detected}")
            }
            Self::NumberedTo3_1 { command } => write!(f, "{command} to a node that speaks 3.1"),
            Self::MustBeWrapped { class } => write!(f, "{} outside OPTS between 3.2 nodes", name(class)),
            Self::OwnNode { node } => write!(f, "node id {node} is the receiver's own"),
            Self::OtherNode { claimed, expected } => {
                write!(f, "node id {claimed} on a link of node {expected}")
            }
        }
    }
}

/// What kernels call the messages of a class.
const fn name(class: MessageClass) -> &'static str {
    match class {
        MessageClass::Msg => "MSG",
        MessageClass::Status => "RCOM STATUS",
        MessageClass::StatusReply | MessageClass::StatusReplyNotReady => "RCOM STATUS_REPLY",
        MessageClass::Names => "RCOM NAMES",
        MessageClass::Locks => "RCOM LOOKUP/LOCK",
        MessageClass::Ack => "ACK",
        MessageClass::Fin => "FIN",
    }
}

/// Whether a receiver takes `frame`.
///
/// Deviation: kernels let any framed message of a configured node set the version; here only `STATUS`, `NAMES`
/// and their replies do, which kernels always send first. Kernels do not look at the node of an `OPTS` around a
/// `FIN` nor of an `ACK`; here it has to be the link's in every frame.
///
/// # Errors
///
/// The first [`Refusal`] that applies, in the order of the enum.
#[inline]
pub const fn admit(frame: &Frame<'_>, known: &Known) -> Result<(), Refusal> {
    let marked = frame.version();
    match known.sender {
        Some(detected) if matches_version(detected, marked) => {}
        Some(detected) => return Err(Refusal::VersionDiffers { detected, marked }),
        None => {
            let class = class_of(frame);
            if !matches!(class, Some(class) if class.opens_conversation()) {
                return Err(Refusal::CannotOpen {
                    command: frame.command(),
                    class,
                });
            }
        }
    }
    if let Err(refusal) = admit_carriage(frame, marked, known.receiver) {
        return Err(refusal);
    }
    admit_node(frame.node(), known)
}

/// What may travel bare and what may be numbered, by the versions of both ends.
#[inline]
const fn admit_carriage(
    frame: &Frame<'_>,
    sender: Version,
    receiver: Option<Version>,
) -> Result<(), Refusal> {
    match (frame, receiver) {
        (Frame::Opts(_) | Frame::Ack(_), Some(Version::V3_1)) => Err(Refusal::NumberedTo3_1 {
            command: frame.command(),
        }),
        (Frame::Opts(_) | Frame::Ack(_), Some(Version::V3_2) | None) => Ok(()),
        // 3.2 kernels mark bare messages to a 3.1 node as 3.2; a receiver whose version is unknown may be one.
        (Frame::Msg(_) | Frame::Rcom(_), Some(Version::V3_1) | None) => Ok(()),
        (Frame::Msg(_) | Frame::Rcom(_), Some(Version::V3_2)) => match class_of(frame) {
            Some(class) if !class.row().accepted(Carriage::Bare, sender) => {
                Err(Refusal::MustBeWrapped { class })
            }
            Some(_) | None => Ok(()),
        },
    }
}

#[inline]
const fn admit_node(claimed: NodeId, known: &Known) -> Result<(), Refusal> {
    if let Some(own) = known.receiver_node
        && own.get() == claimed.get()
    {
        return Err(Refusal::OwnNode { node: claimed });
    }
    match known.sender_node {
        Some(expected) if expected.get() != claimed.get() => Err(Refusal::OtherNode { claimed, expected }),
        Some(_) | None => Ok(()),
    }
}

/// The class of a frame's message, `None` for an `OPTS` whose content is unreadable.
pub(crate) const fn class_of(frame: &Frame<'_>) -> Option<MessageClass> {
    match MessageClass::of_frame(frame) {
        Some((class, _)) => Some(class),
        None => None,
    }
}

const fn matches_version(a: Version, b: Version) -> bool {
    matches!(
        (a, b),
        (Version::V3_1, Version::V3_1) | (Version::V3_2, Version::V3_2)
    )
}

#[cfg(test)]
mod tests;
