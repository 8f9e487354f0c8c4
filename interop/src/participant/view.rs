//! Looking at a lockspace.

use dlmwire_codec::NodeId;
use dlmwire_midcomms::engine::PeerView;
use serde::Serialize;

use super::lock::Owner;
use super::lockspace::Lockspace;

/// Locks, resources and records of a lockspace that are listed; there may be more.
const LISTED_MAX: usize = 1000;

/// A lockspace at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LockspaceView {
    /// Its id: `0x00001234`.
    pub id: String,
    /// What it is doing: `stopped`, `recovering` or `running`.
    pub phase: &'static str,
    /// Recovery status bits.
    pub status: u32,
    /// Our recovery number.
    pub seq: u64,
    /// Of the slots.
    pub generation: u32,
    /// Our slot, 0 for none.
    pub slot: u16,
    /// The members.
    pub members: Vec<u32>,
    /// Their slots, pairs of node and slot.
    pub slots: Vec<(u32, u16)>,
    /// What we know as directory.
    pub directory: Vec<Record>,
    /// How many records there are.
    pub directory_count: usize,
    /// What we master or use.
    pub resources: Vec<ResourceView>,
    /// How many resources there are.
    pub resource_count: usize,
    /// Ours, and others' that are mastered here.
    pub locks: Vec<LockView>,
    /// How many locks there are.
    pub lock_count: usize,
    /// Messages that wait for the end of a recovery.
    pub saved: usize,
}

/// A resource and its master, as directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Record {
    /// The resource.
    pub name: String,
    /// The master.
    pub master: u32,
}

/// A resource.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ResourceView {
    /// Its name.
    pub name: String,
    /// Its master, if known.
    pub master: Option<u32>,
    /// Ids of granted locks, if we are master.
    pub granted: Vec<u32>,
    /// Of those being converted.
    pub converting: Vec<u32>,
    /// Of those waiting.
    pub waiting: Vec<u32>,
    /// How often the value block was written.
    pub lvb_seq: u32,
    /// Whether it is not to be trusted.
    pub lvb_invalid: bool,
}

/// A lock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LockView {
    /// Our id.
    pub lock: u32,
    /// The resource.
    pub name: String,
    /// The holder.
    pub node: u32,
    /// The id at the other side, 0 if there is none.
    pub remote: u32,
    /// `NONE`, `WAITING`, `GRANTED` or `CONVERT`.
    pub status: String,
    /// The granted mode, `IV` for none.
    pub granted: String,
    /// The requested mode, `IV` for none.
    pub requested: String,
    /// What the master has not answered.
    pub awaited: Option<String>,
}

/// A peer's conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PeerLine {
    /// The peer.
    pub node: u32,
    /// `CLOSED`, `ESTABLISHED`, ...
    pub state: &'static str,
    /// `0x00030002`, if it is detected.
    pub version: Option<String>,
    /// Lockspaces that list it as a member.
    pub users: usize,
    /// The number of the next message to send.
    pub send_seq: u32,
    /// The number expected next.
    pub recv_next: u32,
    /// The first number that is not acknowledged.
    pub acked: u32,
    /// Messages queued or unacknowledged.
    pub unacked: u32,
    /// Whether it was found to have restarted, so that nothing of it is taken.
    pub halted: bool,
    /// How many links there are.
    pub links: usize,
    /// Numbered messages accepted for sending.
    pub sent: u64,
    /// Messages delivered, bare ones included.
    pub delivered: u64,
    /// Messages sent again.
    pub resent: u64,
    /// Messages that came again and were dropped.
    pub duplicates: u64,
    /// Messages that came too early and were dropped.
    pub gaps: u64,
    /// Breaches of the protocol.
    pub violations: u64,
    /// `ACK` frames given to a link.
    pub acks_sent: u64,
    /// `ACK` frames that came.
    pub acks_received: u64,
    /// Links that came up.
    pub links_up: u64,
    /// Messages given up.
    pub lost: u64,
}

impl From<&PeerView> for PeerLine {
    fn from(peer: &PeerView) -> Self {
        let counters = peer.counters;
        let send_seq = peer.send_seq.get();
        Self {
            node: peer.nodeid.get(),
            state: peer.state.name(),
            version: peer.version.map(|version| format!("{:#010x}", version.wire())),
            users: peer.lockspaces.len(),
            send_seq,
            recv_next: peer.recv_next.get(),
            acked: send_seq.wrapping_sub(peer.send_queue_count),
            unacked: peer.send_queue_count,
            halted: peer.halted,
            links: peer.links.len(),
            sent: counters.sent,
            delivered: counters.delivered,
            resent: counters.resent,
            duplicates: counters.duplicates,
            gaps: counters.gaps,
            violations: counters.violations,
            acks_sent: counters.acks_sent,
            acks_received: counters.acks_received,
            links_up: counters.links_up,
            lost: counters.lost,
        }
    }
}

impl Lockspace {
    /// Everything at this moment.
    pub fn view(&self) -> LockspaceView {
        let ids = |queue: &[super::LockId]| queue.iter().map(|id| id.0).collect();
        let resources = self.resources.iter().take(LISTED_MAX);
        LockspaceView {
            id: self.config.lockspace.to_string(),
            phase: self.recovery.phase_name(),
            status: self.recovery.status,
            seq: self.recovery.seq,
            generation: self.members.generation,
            slot: self.members.slot(),
            members: self.members.nodes().map(NodeId::get).collect(),
            slots: self
                .members
                .slots()
                .map(|(node, slot)| (node.get(), slot))
                .collect(),
            directory: self.records(),
            directory_count: self.directory.len(),
            resources: resources
                .map(|(name, resource)| ResourceView {
                    name: name.to_string(),
                    master: resource.master.map(NodeId::get),
                    granted: ids(&resource.granted),
                    converting: ids(&resource.converting),
                    waiting: ids(&resource.waiting),
                    lvb_seq: resource.lvb.seq,
                    lvb_invalid: resource.lvb.invalid,
                })
                .collect(),
            resource_count: self.resources.len(),
            locks: self.lock_views(),
            lock_count: self.locks.len(),
            saved: self.saved.len(),
        }
    }

    fn records(&self) -> Vec<Record> {
        let records = self.directory.iter().take(LISTED_MAX);
        records
            .map(|(name, master)| Record {
                name: name.to_string(),
                master: master.get(),
            })
            .collect()
    }

    fn lock_views(&self) -> Vec<LockView> {
        let holder = |owner| match owner {
            Owner::Us { .. } => self.config.node,
            Owner::Node(node) => node,
        };
        let locks = self.locks.iter().take(LISTED_MAX);
        locks
            .map(|(id, lock)| LockView {
                lock: id.0,
                name: lock.name.to_string(),
                node: holder(lock.owner).get(),
                remote: lock.remid,
                status: lock.status.to_string(),
                granted: lock.granted.to_string(),
                requested: lock.requested.to_string(),
                awaited: lock.waiting().map(|waiting| waiting.to_string()),
            })
            .collect()
    }
}
