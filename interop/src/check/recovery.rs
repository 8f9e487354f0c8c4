//! Recovery as its `RCOM` traffic shows it: barriers, and who keeps whom waiting (spec: peer 4, 5).
//!
//! A node polls with `STATUS` under one `rc_seq` per recovery. The lowest node polls every member for a phase's
//! bit; the others poll the lowest for the `_ALL` bit. What a node has been answered is thus what it knows,
//! and a recovery is over for it when it has heard `DONE` (from all) or `DONE_ALL` (from the lowest).

use std::collections::BTreeMap;

use dlmwire_codec::{LockspaceId, NOT_READY, NodeId, Rcom, RcomType, RecoveryStatus};

use crate::capture::Stamp;

/// Recoveries under way, by lockspace and the node that polls. Nodes and lockspaces beyond this are not
/// followed: a lockspace has at most 249 members with slots.
const UNDER_WAY_MAX: usize = 4096;

/// Polled members kept per recovery.
const MEMBERS_MAX: usize = 256;

/// A phase of recovery, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Nothing heard yet.
    Started,
    /// Members are known everywhere.
    Nodes,
    /// The directory is rebuilt everywhere.
    Dir,
    /// Locks are recovered everywhere.
    Locks,
    /// Finished.
    Done,
}

impl Phase {
    /// The kernel's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "start",
            Self::Nodes => "NODES",
            Self::Dir => "DIR",
            Self::Locks => "LOCKS",
            Self::Done => "DONE",
        }
    }

    /// The furthest phase that these bits show, `all` for the `_ALL` ones.
    fn reached(status: RecoveryStatus, all: bool) -> Self {
        let pairs = [
            (RecoveryStatus::DONE, RecoveryStatus::DONE_ALL, Self::Done),
            (RecoveryStatus::LOCKS, RecoveryStatus::LOCKS_ALL, Self::Locks),
            (RecoveryStatus::DIR, RecoveryStatus::DIR_ALL, Self::Dir),
            (RecoveryStatus::NODES, RecoveryStatus::NODES_ALL, Self::Nodes),
        ];
        let hit = pairs
            .iter()
            .find(|(one, every, _)| status.contains(if all { *every } else { *one }));
        hit.map_or(Self::Started, |(.., phase)| *phase)
    }
}

/// One node's recovery of one lockspace.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The lockspace.
    pub lockspace: LockspaceId,
    /// The node that polls.
    pub node: NodeId,
    /// Its `rc_seq`.
    pub rc_seq: u64,
    /// Its first `STATUS`.
    pub first: Stamp,
    /// The last message of it.
    pub last: Stamp,
    /// `STATUS` messages sent.
    pub polls: u64,
    /// How far it got.
    pub phase: Phase,
    answers: BTreeMap<NodeId, RecoveryStatus>,
}

impl Recovery {
    /// The polled members that have not yet said that the next phase is done, and what they said last.
    pub fn waits_for(&self) -> impl Iterator<Item = (NodeId, RecoveryStatus)> {
        let all = !self.is_lowest();
        let phase = self.phase;
        self.answers
            .iter()
            .filter(move |(_, status)| phase != Phase::Done && Phase::reached(**status, all) <= phase)
            .map(|(node, status)| (*node, *status))
    }

    /// Whether any member was heard to answer.
    pub fn was_answered(&self) -> bool {
        !self.answers.is_empty()
    }

    /// From the first to the last message.
    pub fn duration_ns(&self) -> u64 {
        self.last.time.nanos_since(self.first.time)
    }

    fn is_lowest(&self) -> bool {
        self.answers.keys().all(|member| self.node < *member)
    }

    fn answered(&mut self, from: NodeId, status: RecoveryStatus, at: Stamp) {
        self.last = at;
        if self.answers.len() < MEMBERS_MAX || self.answers.contains_key(&from) {
            self.answers.insert(from, status);
        }
        let phase = if self.is_lowest() {
            self.answers
                .values()
                .map(|status| Phase::reached(*status, false))
                .min()
        } else {
            self.answers
                .iter()
                .next()
                .map(|(_, status)| Phase::reached(*status, true))
        };
        self.phase = self.phase.max(phase.unwrap_or(Phase::Started));
    }
}

/// Two members that do not agree on a value that all must share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ConfigDiffers {
    pub(crate) lockspace: LockspaceId,
    pub(crate) nodes: [NodeId; 2],
    pub(crate) lvblen: [u32; 2],
    pub(crate) lsflags: [u32; 2],
}

/// What a recovery message meant.
#[derive(Debug)]
pub(crate) enum Progress {
    Nothing,
    /// A recovery has begun, maybe in place of an unfinished one of the same node.
    Began {
        instead_of: Option<Recovery>,
    },
    /// A recovery has finished.
    Finished(Recovery),
    /// The sender does not have the lockspace (yet).
    NotReady {
        lockspace: LockspaceId,
    },
    ConfigDiffers(ConfigDiffers),
}

/// All recoveries of a capture.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    under_way: BTreeMap<(LockspaceId, NodeId), Recovery>,
    configs: BTreeMap<LockspaceId, (NodeId, u32, u32)>,
}

impl Recoveries {
    /// Takes one message that its receiver accepted; `to` is the receiver, once it has a name.
    pub(crate) fn rcom(&mut self, at: Stamp, rcom: &Rcom<'_>, to: Option<NodeId>) -> Progress {
        match rcom.rcom_type() {
            RcomType::Status => self.polled(at, rcom),
            RcomType::StatusReply => to.map_or(Progress::Nothing, |to| self.answered(at, rcom, to)),
            RcomType::Names
            | RcomType::Lookup
            | RcomType::Lock
            | RcomType::NamesReply
            | RcomType::LookupReply
            | RcomType::LockReply
            | RcomType::Other(_) => {
                if let Some(recovery) = self.under_way.get_mut(&(rcom.lockspace(), rcom.node())) {
                    recovery.last = at;
                }
                Progress::Nothing
            }
        }
    }

    /// Forgets finished recoveries of these nodes: who leaves and comes again may count from the start.
    pub(crate) fn conversation_over(&mut self, nodes: [NodeId; 2]) {
        self.under_way
            .retain(|(_, node), recovery| recovery.phase != Phase::Done || !nodes.contains(node));
    }

    /// Ends all that is still unfinished.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = Recovery> + use<> {
        std::mem::take(&mut self.under_way)
            .into_values()
            .filter(|recovery| recovery.phase != Phase::Done)
    }

    fn polled(&mut self, at: Stamp, rcom: &Rcom<'_>) -> Progress {
        let key = (rcom.lockspace(), rcom.node());
        let full = self.under_way.len() >= UNDER_WAY_MAX;
        match self.under_way.get_mut(&key) {
            Some(recovery) if recovery.rc_seq == rcom.seq() => {
                recovery.polls += 1;
                recovery.last = at;
                Progress::Nothing
            }
            None if full => Progress::Nothing,
            _ => {
                let recovery = Recovery {
                    lockspace: key.0,
                    node: key.1,
                    rc_seq: rcom.seq(),
                    first: at,
                    last: at,
                    polls: 1,
                    phase: Phase::Started,
                    answers: BTreeMap::new(),
                };
                let before = self.under_way.insert(key, recovery);
                Progress::Began {
                    instead_of: before.filter(|before| before.phase != Phase::Done),
                }
            }
        }
    }

    fn answered(&mut self, at: Stamp, rcom: &Rcom<'_>, to: NodeId) -> Progress {
        let lockspace = rcom.lockspace();
        if rcom.result() == NOT_READY {
            return Progress::NotReady { lockspace };
        }
        let status = RecoveryStatus::new(rcom.result().cast_unsigned());
        let Some(recovery) = self.under_way.get_mut(&(lockspace, to)) else {
            return Progress::Nothing;
        };
        if recovery.rc_seq != rcom.seq_reply() || recovery.phase == Phase::Done {
            return Progress::Nothing;
        }
        recovery.answered(rcom.node(), status, at);
        if recovery.phase == Phase::Done {
            return Progress::Finished(recovery.clone());
        }
        self.compare_config(rcom, status)
    }

    /// Members compare `lvblen` and `lsflags` as soon as the answerer takes part in the recovery.
    fn compare_config(&mut self, rcom: &Rcom<'_>, status: RecoveryStatus) -> Progress {
        let Ok(dlmwire_codec::Payload::StatusReply { config, .. }) = rcom.payload() else {
            return Progress::Nothing;
        };
        if !status.contains(RecoveryStatus::NODES) || self.configs.len() >= UNDER_WAY_MAX {
            return Progress::Nothing;
        }
        let lockspace = rcom.lockspace();
        let mine = (rcom.node(), config.lvblen, config.lsflags);
        let first = *self.configs.entry(lockspace).or_insert(mine);
        if (first.1, first.2) == (mine.1, mine.2) {
            return Progress::Nothing;
        }
        Progress::ConfigDiffers(ConfigDiffers {
            lockspace,
            nodes: [first.0, mine.0],
            lvblen: [first.1, mine.1],
            lsflags: [first.2, mine.2],
        })
    }
}
