//! What the application sends (spec: midcomms 4).

use std::fmt;

use dlmwire_codec::{
    Carriage, Content, EncodeError, FrameFields, InnerFields, LockspaceId, MessageClass, MsgFields,
    MsgTemplate, RcomFields, Seq, Version,
};

use super::common::Departure;
use super::turn::Turn;
use super::{FRAME_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// A message of the lock layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// `DLM_MSG`.
    Msg(MsgFields<'a>),
    /// `DLM_RCOM`.
    Rcom(RcomFields<'a>),
}

/// A message was accepted: it will be delivered once, or told as lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sent {
    /// Its number; `None` if it travels bare: then a lost link may lose it.
    pub seq: Option<Seq>,
}

/// Why a message was not accepted. Nothing has been sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SendError {
    /// Nobody named this node a member, nor has it ever had a link.
    UnknownNode,
    /// The peer's version is not known yet: wait for [`Event::VersionDetected`](super::Event::VersionDetected).
    NotConnected,
    /// The peer's queue is full: wait for [`Event::Writable`](super::Event::Writable).
    QueueFull,
    /// The message is longer than any receiver takes.
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The longest possible, in bytes.
        limit_bytes: usize,
    },
    /// Our `FIN` is queued, or this node leaves: nothing can follow.
    ShuttingDown,
    /// The peer restarted or was fenced: the cluster manager has to add it again.
    Halted,
    /// The fields make no frame.
    Encode(EncodeError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownNode => f.write_str("the node is not known"),
            Self::NotConnected => f.write_str("the node's version is not known yet"),
            Self::QueueFull => f.write_str("the node's send queue is full"),
            Self::TooLarge { bytes, limit_bytes } => {
                write!(f, "{bytes} bytes exceed the limit of {limit_bytes}")
            }
            Self::ShuttingDown => f.write_str("the conversation is being ended"),
            Self::Halted => f.write_str("the node restarted or was fenced"),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

impl From<EncodeError> for SendError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

/// Zeros in the place of a payload that is still to be filled in.
static BLANK: [u8; PAYLOAD_BYTES_MAX] = [0; PAYLOAD_BYTES_MAX];

impl<'e> Turn<'e> {
    /// Sends a message of the lock layer, bare or wrapped as its class and the peer's version want it.
    pub(super) fn send(mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        self.check_alive()?;
        let class = class_of(message);
        let version = match (self.common.config.version, self.peer.version) {
            (Version::V3_1, _) => Version::V3_1,
            (Version::V3_2, Some(version)) => version,
            (Version::V3_2, None) if class.opens_conversation() => Version::V3_2,
            (Version::V3_2, None) => return Err(SendError::NotConnected),
        };
        match class.row().sent_by(self.common.config.generation, version) {
            Carriage::Bare
                if self.peer.is_numbered(self.common.config.version) || self.peer.version.is_none() =>
            {
                self.send_beside(message)
            }
            Carriage::Bare => self.send_unnumbered(message),
            Carriage::Wrapped if self.peer.version.is_none() => Err(SendError::NotConnected),
            Carriage::Wrapped => self.send_numbered(inner_of(message)),
            Carriage::Never => unreachable!("only ACK and FIN are never sent, and the engine makes those"),
        }
    }

    /// Sends an application message, encoded where it is sent from.
    #[inline]
    pub(super) fn send_payload(mut self, lockspace: LockspaceId, payload: &[u8]) -> Result<Sent, SendError> {
        let Payload { numbered, length, .. } = self.encode_payload(lockspace, payload)?;
        let seq = self.commit(length);
        Ok(Sent {
            seq: numbered.then_some(seq),
        })
    }

    /// Room for an application message whose payload the caller fills in.
    pub(super) fn reserve_payload(
        mut self,
        lockspace: LockspaceId,
        bytes: usize,
    ) -> Result<Reservation<'e>, SendError> {
        let Some(blank) = BLANK.get(..bytes) else {
            return Err(SendError::TooLarge {
                bytes,
                limit_bytes: PAYLOAD_BYTES_MAX,
            });
        };
        let payload = self.encode_payload(lockspace, blank)?;
        Ok(Reservation { turn: self, payload })
    }

    /// An application message at the queue's tail, not committed.
    #[inline]
    fn encode_payload(&mut self, lockspace: LockspaceId, payload: &[u8]) -> Result<Payload, SendError> {
        self.check_alive()?;
        self.check_open()?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(SendError::TooLarge {
                bytes: payload.len(),
                limit_bytes: PAYLOAD_BYTES_MAX,
            });
        }
        if self.peer.version.is_none() {
            return Err(SendError::NotConnected);
        }
        let numbered = self.peer.is_numbered(self.common.config.version);
        let length = if numbered {
            MsgTemplate::wrapped_len(payload)
        } else {
            MsgTemplate::bare_len(payload)
        };
        let (seq, nodeid) = (self.peer.queue.next_seq(), self.peer.node.get());
        let limit = self.common.config.queue_bytes_max;
        let Some(room) = self.peer.queue.room(length, limit, &mut self.common.pool) else {
            return Err(self.full());
        };
        if numbered {
            self.common
                .template
                .encode_wrapped(seq, lockspace, nodeid, payload, room)?;
        } else {
            self.common
                .template
                .encode_bare(lockspace, nodeid, payload, room)?;
        }
        Ok(Payload {
            numbered,
            head: length.saturating_sub(payload.len()),
            length,
        })
    }

    fn send_numbered(&mut self, inner: InnerFields<'_>) -> Result<Sent, SendError> {
        self.check_open()?;
        match self.queue_numbered(inner, self.common.config.queue_bytes_max)? {
            Some(seq) => Ok(Sent { seq: Some(seq) }),
            None => Err(self.full()),
        }
    }

    /// To a peer that numbers nothing everything goes through the queue, so that it keeps its order.
    fn send_unnumbered(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        let frame = self.bare(message);
        let length = frame.encoded_len();
        check_length(length)?;
        match self
            .peer
            .queue
            .room(length, self.common.config.queue_bytes_max, &mut self.common.pool)
        {
            Some(room) => frame.encode_into(room)?,
            None => return Err(self.full()),
        };
        self.commit(length);
        Ok(Sent { seq: None })
    }

    /// What is bare between numbered messages overtakes them at the next frame boundary.
    fn send_beside(&mut self, message: &Message<'_>) -> Result<Sent, SendError> {
        let frame = self.bare(message);
        let length = frame.encoded_len();
        check_length(length)?;
        let Some(room) = self.peer.outlet.room(length, self.common.config.bare_bytes_max) else {
            return Err(self.full());
        };
        if let Err(error) = frame.encode_into(room) {
            self.peer.outlet.take_back(length);
            return Err(error.into());
        }
        self.ask_for_link();
        Ok(Sent { seq: None })
    }

    fn bare<'m>(&self, message: &Message<'m>) -> FrameFields<'m> {
        FrameFields {
            version: self.common.config.version,
            node: self.common.config.node,
            content: match *message {
                Message::Msg(fields) => Content::Msg(fields),
                Message::Rcom(fields) => Content::Rcom(fields),
            },
        }
    }

    const fn check_alive(&self) -> Result<(), SendError> {
        if self.peer.halted || self.peer.fenced {
            return Err(SendError::Halted);
        }
        Ok(())
    }

    /// Whether numbered messages may still follow.
    const fn check_open(&self) -> Result<(), SendError> {
        let leaves = !matches!(self.common.departure, Departure::Staying);
        if leaves || self.peer.fin.is_some() {
            return Err(SendError::ShuttingDown);
        }
        Ok(())
    }

    #[cold]
    fn full(&mut self) -> SendError {
        if !self.peer.refused_full {
            self.peer.refused_full = true;
            self.peer
                .alarms
                .full
                .set(self.later(self.common.config.unacked_age_max));
            self.rearm();
        }
        SendError::QueueFull
    }
}

/// Room at the tail of a peer's queue that the caller fills in: a message built in place.
///
/// Nothing is sent before [`commit`](Self::commit), and dropping it leaves no trace: the number is given at the
/// commit (requirements B10, C15).
#[doc(alias = "mhandle")]
pub struct Reservation<'e> {
    turn: Turn<'e>,
    payload: Payload,
}

/// An application message at a queue's tail that is not committed.
#[derive(Clone, Copy)]
struct Payload {
    numbered: bool,
    /// Bytes of the frame before the payload.
    head: usize,
    /// All bytes of the frame.
    length: usize,
}

impl Reservation<'_> {
    /// The payload, to be filled in; it begins as zeros.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.turn
            .peer
            .queue
            .uncommitted(self.payload.length)
            .get_mut(self.payload.head..)
            .unwrap_or_default()
    }

    /// The message is complete and goes out in its turn.
    pub fn commit(mut self) -> Sent {
        let seq = self.turn.commit(self.payload.length);
        Sent {
            seq: self.payload.numbered.then_some(seq),
        }
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("node", &self.turn.peer.node)
            .field("length", &self.payload.length)
            .finish_non_exhaustive()
    }
}

pub(super) const fn check_length(bytes: usize) -> Result<(), SendError> {
    if bytes > FRAME_BYTES_MAX {
        return Err(SendError::TooLarge {
            bytes,
            limit_bytes: FRAME_BYTES_MAX,
        });
    }
    Ok(())
}

const fn class_of(message: &Message<'_>) -> MessageClass {
    match message {
        Message::Msg(_) => MessageClass::Msg,
        Message::Rcom(fields) => MessageClass::of_rcom_type(fields.payload.rcom_type(), fields.result),
    }
}

const fn inner_of<'m>(message: &Message<'m>) -> InnerFields<'m> {
    match *message {
        Message::Msg(fields) => InnerFields::Msg(fields),
        Message::Rcom(fields) => InnerFields::Rcom(fields),
    }
}
