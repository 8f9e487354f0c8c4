//! What a participant tells.

use dlmwire_codec::{Mode, MsgResult, NodeId};
use serde::{Serialize, Serializer};

use super::lock::LockId;
use super::name::Name;

/// Something that happened in a lockspace. Serialized it is an object with its name in `event`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Recovery has come so far.
    Recovery {
        /// What was finished.
        phase: Milestone,
        /// Of the slots; counts recoveries of the whole lockspace.
        generation: u32,
        /// The members, ourselves among them, by ascending id.
        members: Vec<u32>,
        /// Their slots, pairs of node and slot.
        slots: Vec<(u32, u16)>,
    },
    /// The first recovery since we joined is over: locks can be had.
    Joined {
        /// Of the slots.
        generation: u32,
    },
    /// A node asked us something. Told for every question, answered or not.
    Asked {
        /// The node.
        #[serde(serialize_with = "node_id")]
        node: NodeId,
        /// `STATUS`, `NAMES`, `LOOKUP` or `LOCK`.
        what: &'static str,
    },
    /// A lock of ours was asked for.
    Requested {
        /// Its id from now on.
        #[serde(serialize_with = "number")]
        lock: LockId,
        /// The resource.
        #[serde(serialize_with = "shown")]
        name: Name,
        /// The mode.
        #[serde(serialize_with = "shown")]
        mode: Mode,
        /// The resource's master, if it is known.
        #[serde(serialize_with = "maybe_node_id")]
        master: Option<NodeId>,
    },
    /// A lock of ours has its mode.
    Granted {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
        /// The mode.
        #[serde(serialize_with = "shown")]
        mode: Mode,
        /// The value block, if it was asked for.
        #[serde(serialize_with = "hex", skip_serializing_if = "Option::is_none")]
        lvb: Option<Vec<u8>>,
        /// The value block is not to be trusted: who could have written it is gone, or said so.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        lvb_invalid: bool,
        /// How.
        by: By,
    },
    /// A lock of ours has to wait; `Granted` follows.
    Queued {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
    },
    /// A request or conversion of ours was refused. A refused request is gone, a refused conversion leaves the lock
    /// as it was.
    Refused {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
        /// Why.
        #[serde(serialize_with = "shown")]
        result: MsgResult,
    },
    /// A lock of ours blocks another.
    Bast {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
        /// What is wanted.
        #[serde(serialize_with = "shown")]
        mode: Mode,
    },
    /// A lock of ours is given back, and gone.
    Unlocked {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
    },
    /// A request of ours was taken back and is gone, or a conversion and the lock is as it was.
    Cancelled {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
    },
    /// An operation of ours came to nothing.
    Failed {
        /// The lock.
        #[serde(serialize_with = "number")]
        lock: LockId,
        /// Why; 0 for a cancel that found nothing to cancel.
        #[serde(serialize_with = "shown")]
        result: MsgResult,
    },
    /// As directory we know a resource's master.
    Mastered {
        /// The resource.
        #[serde(serialize_with = "shown")]
        name: Name,
        /// Its master.
        #[serde(serialize_with = "node_id")]
        node: NodeId,
    },
    /// Another node asked for a lock that is mastered here.
    Request(Held),
    /// It asked for another mode.
    Convert(Held),
    /// It gave the lock back.
    Unlock(Held),
    /// It took a request or conversion back.
    Cancel(Held),
    /// It got what it waited for.
    Grant(Held),
    /// Something that should not be. Told for people.
    Trouble {
        /// The node that did it, or with which it shows.
        #[serde(serialize_with = "node_id")]
        node: NodeId,
        /// What.
        text: String,
    },
}

impl Event {
    /// The lock of ours that it is about.
    pub const fn lock(&self) -> Option<LockId> {
        match self {
            Self::Requested { lock, .. }
            | Self::Granted { lock, .. }
            | Self::Queued { lock }
            | Self::Refused { lock, .. }
            | Self::Bast { lock, .. }
            | Self::Unlocked { lock }
            | Self::Cancelled { lock }
            | Self::Failed { lock, .. } => Some(*lock),
            Self::Recovery { .. }
            | Self::Joined { .. }
            | Self::Asked { .. }
            | Self::Mastered { .. }
            | Self::Request(_)
            | Self::Convert(_)
            | Self::Unlock(_)
            | Self::Cancel(_)
            | Self::Grant(_)
            | Self::Trouble { .. } => None,
        }
    }

    /// Whether it may be the last that is told of a lock of ours.
    pub const fn may_end_lock(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Unlocked { .. } | Self::Cancelled { .. } | Self::Failed { .. }
        )
    }

    /// Whether it tells what other nodes ask of us, in order.
    pub const fn is_of_others(&self) -> bool {
        matches!(
            self,
            Self::Asked { .. }
                | Self::Mastered { .. }
                | Self::Request(_)
                | Self::Convert(_)
                | Self::Unlock(_)
                | Self::Cancel(_)
                | Self::Grant(_)
        )
    }
}

/// A lock of another node that is mastered here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Held {
    /// Its holder.
    #[serde(serialize_with = "node_id")]
    pub node: NodeId,
    /// The resource.
    #[serde(serialize_with = "shown")]
    pub name: Name,
    /// The mode: requested, or granted now.
    #[serde(serialize_with = "shown")]
    pub mode: Mode,
    /// Our id of the lock, 0 if it got none.
    #[serde(serialize_with = "number")]
    pub lock: LockId,
    /// The holder's id of it.
    pub remote: u32,
    /// What was answered.
    #[serde(serialize_with = "shown")]
    pub result: MsgResult,
}

/// How a lock was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By the master's answer.
    Reply,
    /// Later, after waiting.
    Grant,
    /// Here: we are the master, or the conversion only gave something up.
    Local,
}

/// How far recovery is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// It begins.
    Start,
    /// All members are there.
    Nodes,
    /// The directory is rebuilt.
    Dir,
    /// The locks of those who left are gone, and what they mastered has new masters.
    Locks,
    /// It is over everywhere.
    Done,
}

fn node_id<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(node.get())
}

fn maybe_node_id<S: Serializer>(node: &Option<NodeId>, serializer: S) -> Result<S::Ok, S::Error> {
    node.map(NodeId::get).serialize(serializer)
}

fn number<S: Serializer>(lock: &LockId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(lock.0)
}

fn shown<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn hex<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = bytes.as_deref().unwrap_or_default();
    let digits: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&digits)
}
