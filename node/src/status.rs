//! What a node says about itself: the kernel's names where the kernel has one (spec: midcomms 8), ours besides.

use std::net::SocketAddr;
use std::time::Duration;

use dlmwire_codec::Version;
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::PeerView;
use serde::{Deserialize, Serialize};

use crate::clock::until;
use crate::dialer::Phase;

/// The version of the form of [`NodeStatus`] and of the control socket's language. Fields are added without a new
/// number; one that goes or changes its meaning needs one.
pub const STATUS_VERSION: u32 = 1;

/// A node at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// [`STATUS_VERSION`].
    pub v: u32,
    /// Our own node id.
    pub nodeid: u32,
    /// The address that peers dial.
    pub local_address: SocketAddr,
    /// The newest version that we speak, as `h_version`: `0x00030002`.
    pub version: String,
    /// Milliseconds since the node was made.
    pub uptime_ms: u64,
    /// Turns of the loop: how often it was woken.
    pub turns: u64,
    /// Connections closed because no configured node has their address.
    pub refused: u64,
    /// Whether everything is being left.
    pub shutting_down: bool,
    /// All peers, by node id.
    pub peers: Vec<PeerStatus>,
}

/// A peer at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The peer's node id.
    pub nodeid: u32,
    /// debugfs `state`: `CLOSED`, `ESTABLISHED`, ...
    pub state: String,
    /// debugfs `flags`: 2 `CLOSE` (fenced), 4 `STOP_TX` (our `FIN` is queued), 8 `STOP_RX` (the peer's came too).
    pub flags: u32,
    /// debugfs `version`: `0x%08x`, `0x00000000` while it is not detected.
    pub version: String,
    /// What can be promised: `exactly once`, `3.1, unreliable`, or `unknown` while no version is detected.
    pub delivery: String,
    /// debugfs `send_queue_count`: messages queued or unacknowledged.
    pub send_queue_count: u32,
    /// Their bytes on the wire.
    pub send_queue_bytes: u64,
    /// Memory of the send queue, in bytes.
    pub send_queue_memory_bytes: u64,
    /// Bytes that handles have given and the engine has not taken yet.
    pub handle_queue_bytes: u64,
    /// For how long the oldest unacknowledged message has waited, in milliseconds.
    pub oldest_unacked_age_ms: Option<u64>,
    /// The kernel's `users`: lockspaces that list the peer as a member.
    pub users: u32,
    /// These lockspaces' ids: `0x12aabd2d`.
    pub lockspaces: Vec<String>,
    /// The number of the next message to send.
    pub send_seq: u32,
    /// The number expected next.
    pub recv_next: u32,
    /// Whether the peer was found to have restarted, so that nothing of it is taken.
    pub halted: bool,
    /// Numbered messages accepted for sending.
    pub sent: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Messages sent again.
    pub resent: u64,
    /// Messages that came again and were dropped.
    pub duplicates: u64,
    /// Messages that came too early and were dropped.
    pub gaps: u64,
    /// Breaches of the protocol.
    pub violations: u64,
    /// Of these: something came or was to be sent when nothing should.
    pub unexpected: u64,
    /// `ACK` frames given to a link.
    pub acks_sent: u64,
    /// `ACK` frames that came.
    pub acks_received: u64,
    /// Messages given up.
    pub lost: u64,
    /// Links that came up beyond the first.
    pub reconnects: u64,
    /// What the dialer does: `idle`, `waiting` or `dialing`.
    pub dial: String,
    /// Dials that failed in a row.
    pub dial_attempts: u32,
    /// Milliseconds until the next dial, while `waiting`.
    pub dial_retry_in_ms: Option<u64>,
    /// The links.
    pub links: Vec<LinkStatus>,
}

/// A link at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Its number, never used twice.
    pub link: u64,
    /// The other end's address.
    pub peer_address: SocketAddr,
    /// `dialed` or `accepted`.
    pub role: String,
    /// Whether we send on it; any other is only received from.
    pub sending: bool,
    /// `up`, `flushing` (to be closed after what is queued) or `draining` (waits for the peer's close).
    pub phase: String,
}

/// What the node adds to the engine's view of a peer.
#[derive(Debug)]
pub(crate) struct PeerSide {
    pub(crate) handle_queue_bytes: usize,
    pub(crate) dial: Phase,
    pub(crate) dial_attempts: u32,
    pub(crate) links: Vec<LinkStatus>,
}

/// The number that the kernel prints with `0x%08x`.
pub(crate) fn version_text(version: Option<Version>) -> String {
    format!("{:#010x}", version.map_or(0, Version::wire))
}

impl PeerStatus {
    pub(crate) fn new(now: Time, view: &PeerView, side: PeerSide) -> Self {
        let (dial, retry_in) = match side.dial {
            Phase::Idle => ("idle", None),
            Phase::Waiting { at } => ("waiting", Some(until(now, at))),
            Phase::Dialing { .. } => ("dialing", None),
        };
        let counters = &view.counters;
        Self {
            nodeid: view.nodeid.get(),
            state: view.state.name().to_owned(),
            flags: view.flags,
            version: version_text(view.version),
            delivery: delivery_text(view.version).to_owned(),
            send_queue_count: view.send_queue_count,
            send_queue_bytes: wide(view.send_queue_bytes),
            send_queue_memory_bytes: wide(view.send_queue_memory_bytes),
            handle_queue_bytes: wide(side.handle_queue_bytes),
            oldest_unacked_age_ms: view.oldest_unacked_age.map(|age| age / 1_000_000),
            users: u32::try_from(view.lockspaces.len()).unwrap_or(u32::MAX),
            lockspaces: view.lockspaces.iter().map(ToString::to_string).collect(),
            send_seq: view.send_seq.get(),
            recv_next: view.recv_next.get(),
            halted: view.halted,
            sent: counters.sent,
            delivered: counters.delivered,
            resent: counters.resent,
            duplicates: counters.duplicates,
            gaps: counters.gaps,
            violations: counters.violations,
            unexpected: counters.unexpected,
            acks_sent: counters.acks_sent,
            acks_received: counters.acks_received,
            lost: counters.lost,
            reconnects: counters.links_up.saturating_sub(1),
            dial: dial.to_owned(),
            dial_attempts: side.dial_attempts,
            dial_retry_in_ms: retry_in.map(milliseconds),
            links: side.links,
        }
    }
}

/// What a version promises.
const fn delivery_text(version: Option<Version>) -> &'static str {
    match version {
        None => "unknown",
        Some(Version::V3_1) => "3.1, unreliable",
        Some(Version::V3_2) => "exactly once",
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
