//! The minimal hello: what a node says when nobody on top takes part in recovery (spec: peer 2, 3).
//!
//! A version is learned only from what the peer sends, and the first message may be a STATUS. So each node asks
//! for the other's STATUS and answers the other's question. The answers promise nothing: a node without a
//! participant has finished no phase of any recovery.

use dlmwire_codec::{
    LockspaceId, NOT_READY, Payload, Rcom, RcomConfig, RcomFields, RcomType, Slots, StatusFlags,
};
use dlmwire_midcomms::engine::{Content, Delivery, Message};

/// The message, if it belongs to the hello: `STATUS` or its reply.
pub(crate) fn is_hello<'a>(delivery: &Delivery<'a>) -> Option<Rcom<'a>> {
    match delivery.content {
        Content::Rcom(rcom) if matches!(rcom.rcom_type(), RcomType::Status | RcomType::StatusReply) => {
            Some(rcom)
        }
        Content::Rcom(_) | Content::Msg(_) => None,
    }
}

/// Our own question.
pub(crate) fn status(lockspace: LockspaceId, id: u64) -> Message<'static> {
    Message::Rcom(RcomFields {
        lockspace,
        result: 0,
        id,
        seq: 1,
        seq_reply: 0,
        payload: Payload::Status {
            flags: StatusFlags::new(0),
        },
    })
}

/// What a peer's STATUS asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) lockspace: LockspaceId,
    id: u64,
    seq: u64,
}

impl Question {
    pub(crate) fn of(rcom: &Rcom<'_>) -> Option<Self> {
        (rcom.rcom_type() == RcomType::Status).then(|| Self {
            lockspace: rcom.lockspace(),
            id: rcom.id(),
            seq: rcom.seq(),
        })
    }

    /// The reply to a member of the lockspace, or to anybody else.
    pub(crate) fn answer(self, member: bool) -> Message<'static> {
        let lvblen = if member { 0 } else { u32::MAX };
        Message::Rcom(RcomFields {
            lockspace: self.lockspace,
            result: if member { 0 } else { NOT_READY },
            id: self.id,
            seq: 1,
            seq_reply: self.seq,
            payload: Payload::StatusReply {
                config: RcomConfig {
                    lvblen,
                    ..RcomConfig::default()
                },
                slots: Slots::NONE,
            },
        })
    }
}
