//! What an engine is told once, when it is made.

use std::fmt;

use dlmwire_codec::{Generation, NodeId, Seq, Version};

/// The longest frame, `OPTS` header included, in bytes (spec: wire 1).
pub const FRAME_BYTES_MAX: usize = 4096;

/// The longest application payload in bytes: what kernels' longest message leaves behind its fixed part.
pub const PAYLOAD_BYTES_MAX: usize = 3984;

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// The settings of an [`Engine`](super::Engine). Every bound has its unit in its name.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// Our own node id, `h_nodeid` of everything that is sent.
    pub node: NodeId,
    /// The newest version that we speak. As 3.1 everything travels bare, towards every peer.
    pub version: Version,
    /// The kernels that we send like: decides whether `NAMES` travels bare or in `OPTS`.
    pub generation: Generation,
    /// Whether peers that speak 3.1 are taken at all. They lose messages with every lost connection.
    pub accept_3_1: bool,
    /// The first number that is sent and expected after a reset. Kernels use 0; tests start near the wrap.
    pub start_seq: Seq,
    /// Memory of a peer's send queue, in bytes: what is sent and unacknowledged, and what is not sent yet. Kernels
    /// from 6.12 on leave up to 256 messages unacknowledged: towards them it has to hold more than twice as many of
    /// the longest that are sent.
    pub queue_bytes_max: usize,
    /// Bytes of frames that wait outside the send queue because they travel bare (`STATUS`, `NAMES`).
    pub bare_bytes_max: usize,
    /// Links that a peer may have at once; the oldest that is only received from gives way.
    pub links_per_peer_max: usize,
    /// Unacknowledged messages older than this make a peer a candidate for fencing, in nanoseconds, and so does a
    /// missing number. Up to 256 messages on a live link do not count: newer kernels leave them unacknowledged for
    /// ever.
    pub unacked_age_max: u64,
    /// How long a number may be missing before the peer's links are reset, so that it sends again, in nanoseconds;
    /// doubled each time. If none is up then, the next one is reset an eighth of it after it came up.
    pub gap_reset_after: u64,
    /// Bytes of frames that may be received before they are acknowledged, at most 60 KiB: what a full segment of the
    /// sender's queue holds, which is freed as a whole. 0 acknowledges at the end of every read run. What is sent takes
    /// an `ACK` along in any case, and a duplicate or a `FIN` is acknowledged at once.
    pub ack_after_bytes: usize,
    /// How long what was received may stay unacknowledged otherwise, in nanoseconds; on average half as long. Shorter
    /// than [`unacked_age_max`](Self::unacked_age_max).
    pub ack_delay: u64,
    /// How long an unacknowledged `FIN` waits before the queue is sent again, in nanoseconds; doubled each time.
    pub fin_resend_after: u64,
    /// How long a termination may take, in nanoseconds, counted for all peers at once from the shutdown, and for
    /// a peer that leaves from our own `FIN`.
    pub shutdown_deadline: u64,
    /// How long a leaving node waits for the version of a member that it has not heard of, in nanoseconds.
    pub version_wait: u64,
    /// How long a finished conversation is remembered to answer a repeated `FIN`, in nanoseconds.
    pub tombstone_lifetime: u64,
    /// How long a peer may be in `CLOSE_WAIT` before the missing membership change is reported, in nanoseconds.
    pub close_wait_warning_after: u64,
}

impl Config {
    /// The defaults for a node.
    pub const fn new(node: NodeId) -> Self {
        Self {
            node,
            version: Version::V3_2,
            generation: Generation::Linux6_12,
            accept_3_1: true,
            start_seq: Seq::INITIAL,
            queue_bytes_max: 16 << 20,
            bare_bytes_max: 64 << 10,
            links_per_peer_max: 4,
            unacked_age_max: 30_000 * MILLISECOND,
            gap_reset_after: 500 * MILLISECOND,
            ack_after_bytes: 32 << 10,
            ack_delay: 100 * MILLISECOND,
            fin_resend_after: 500 * MILLISECOND,
            shutdown_deadline: 10_000 * MILLISECOND,
            version_wait: 5_000 * MILLISECOND,
            tombstone_lifetime: 60_000 * MILLISECOND,
            close_wait_warning_after: 30_000 * MILLISECOND,
        }
    }

    /// Says what cannot work.
    ///
    /// # Errors
    ///
    /// The first bound that is too small.
    pub const fn check(&self) -> Result<(), ConfigError> {
        if self.queue_bytes_max < QUEUE_BYTES_MIN {
            return Err(ConfigError::TooSmall {
                name: "queue_bytes_max",
                value: self.queue_bytes_max,
                least: QUEUE_BYTES_MIN,
            });
        }
        if self.bare_bytes_max < FRAME_BYTES_MAX {
            return Err(ConfigError::TooSmall {
                name: "bare_bytes_max",
                value: self.bare_bytes_max,
                least: FRAME_BYTES_MAX,
            });
        }
        if self.links_per_peer_max < LINKS_PER_PEER_MIN {
            return Err(ConfigError::TooSmall {
                name: "links_per_peer_max",
                value: self.links_per_peer_max,
                least: LINKS_PER_PEER_MIN,
            });
        }
        if self.ack_after_bytes > ACK_AFTER_BYTES_MAX {
            return Err(ConfigError::TooLarge {
                name: "ack_after_bytes",
                value: self.ack_after_bytes,
                most: ACK_AFTER_BYTES_MAX,
            });
        }
        if self.gap_reset_after == 0 {
            return Err(ConfigError::TooShort {
                name: "gap_reset_after",
                nanoseconds: 0,
                least: 1,
            });
        }
        if self.fin_resend_after == 0 {
            return Err(ConfigError::TooShort {
                name: "fin_resend_after",
                nanoseconds: 0,
                least: 1,
            });
        }
        if self.unacked_age_max <= self.ack_delay {
            // Our own peers wait so long for an ACK.
            return Err(ConfigError::TooShort {
                name: "unacked_age_max",
                nanoseconds: self.unacked_age_max,
                least: self.ack_delay.saturating_add(1),
            });
        }
        if self.tombstone_lifetime < self.shutdown_deadline {
            // A peer may repeat its FIN until its own deadline.
            return Err(ConfigError::TooShort {
                name: "tombstone_lifetime",
                nanoseconds: self.tombstone_lifetime,
                least: self.shutdown_deadline,
            });
        }
        Ok(())
    }
}

/// Two segments of the send queue: one can be full while the other is acknowledged.
const QUEUE_BYTES_MIN: usize = 2 * super::send_queue::SEGMENT_BYTES;

/// What a segment of a send queue holds at least when it is full, as frames do not lie across two: the smallest queue
/// has two, and one is free again when so much is acknowledged.
const ACK_AFTER_BYTES_MAX: usize = super::send_queue::SEGMENT_BYTES - FRAME_BYTES_MAX;

/// Both nodes dial: a peer may have one link that we made and one that it made.
const LINKS_PER_PEER_MIN: usize = 2;

/// A setting that cannot work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// A bound below what one message or one pair of links needs.
    TooSmall {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// What it must be at least.
        least: usize,
    },
    /// A bound above what a peer may rely on.
    TooLarge {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// What it may be at most.
        most: usize,
    },
    /// A time that ends before another one that it has to cover.
    TooShort {
        /// The setting.
        name: &'static str,
        /// What it was set to, in nanoseconds.
        nanoseconds: u64,
        /// What it must be at least, in nanoseconds.
        least: u64,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { name, value, least } => {
                write!(f, "{name} is {value}, at least {least} is needed")
            }
            Self::TooLarge { name, value, most } => {
                write!(f, "{name} is {value}, at most {most} is possible")
            }
            Self::TooShort {
                name,
                nanoseconds,
                least,
            } => write!(f, "{name} is {nanoseconds} ns, at least {least} ns are needed"),
        }
    }
}

impl std::error::Error for ConfigError {}
