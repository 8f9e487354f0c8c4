//! What a node is told once, when it is made.

mod conf_lines;
mod corosync;
mod dlm_conf;
mod error;
mod file;

use std::fmt;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::engine;

pub use corosync::read_corosync_conf;
pub use dlm_conf::{DlmConf, read_dlm_conf};
pub use error::{FileError, Flaw};
pub use file::{Carrier, FileConfig, Member, PORT, Protocol, read_toml};

/// The settings of a [`Node`](crate::Node). Built once, checked by [`check`](Self::check).
#[derive(Clone, PartialEq, Debug)]
pub struct NodeConfig {
    /// The engine's settings, our node id among them.
    pub engine: engine::Config,
    /// The group's lockspace id: what the minimal hello names.
    pub lockspace: LockspaceId,
    /// Whether the node itself does the minimal STATUS exchange (spec: peer 2, 3). Off if an application on top
    /// takes part in recovery: then it sends and answers STATUS.
    pub hello: bool,
    /// How long an unanswered STATUS waits before the next, the kernel's `recover_timer`.
    pub recover_timer: Duration,
    /// How old an incomplete frame may be before its link is aborted.
    pub partial_frame_deadline: Duration,
    /// How long a link that is to be closed may take to send what is queued and to see the peer's close.
    pub flush_deadline: Duration,
    /// How long a dial may take before it counts as failed.
    pub dial_timeout: Duration,
    /// The pause after the first failed dial; doubled each time, with up to a quarter more or less by chance.
    pub redial_delay: Duration,
    /// The longest pause between dials.
    pub redial_delay_max: Duration,
    /// How long a removal or shutdown waits for messages that the handle has taken and the engine has not.
    pub drain_deadline: Duration,
    /// Bytes that a [`NodeHandle`](crate::NodeHandle) holds per peer before it says `QueueFull`. At most twice as
    /// much is held while the engine's queue is full.
    pub handle_queue_bytes_max: usize,
    /// Bytes that are read at once, shared by all links.
    pub read_buffer_bytes: usize,
    /// The seed of the dialer's jitter.
    pub seed: u64,
}

impl NodeConfig {
    /// The defaults for a node in the group `lockspace`.
    pub const fn new(node: NodeId, lockspace: LockspaceId) -> Self {
        Self {
            engine: engine::Config::new(node),
            lockspace,
            hello: true,
            recover_timer: Duration::from_secs(5),
            partial_frame_deadline: Duration::from_secs(30),
            flush_deadline: Duration::from_secs(5),
            dial_timeout: Duration::from_secs(5),
            redial_delay: Duration::from_secs(1),
            redial_delay_max: Duration::from_secs(8),
            drain_deadline: Duration::from_secs(10),
            handle_queue_bytes_max: 1 << 20,
            read_buffer_bytes: 256 << 10,
            seed: 0,
        }
    }

    /// Says what cannot work.
    ///
    /// # Errors
    ///
    /// The first setting that is too small.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.engine.check().map_err(ConfigError::Engine)?;
        let bytes = |name, value, least| {
            if value < least {
                return Err(ConfigError::TooFewBytes { name, value, least });
            }
            Ok(())
        };
        bytes(
            "handle_queue_bytes_max",
            self.handle_queue_bytes_max,
            HANDLE_QUEUE_BYTES_MIN,
        )?;
        bytes(
            "read_buffer_bytes",
            self.read_buffer_bytes,
            engine::FRAME_BYTES_MAX,
        )?;
        let durations = [
            ("recover_timer", self.recover_timer, TICK),
            ("partial_frame_deadline", self.partial_frame_deadline, TICK),
            ("dial_timeout", self.dial_timeout, TICK),
            ("redial_delay", self.redial_delay, TICK),
            ("redial_delay_max", self.redial_delay_max, self.redial_delay),
        ];
        match durations.into_iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(ConfigError::TooShort { name, value, least }),
            None => Ok(()),
        }
    }
}

/// A lockspace id as people write it: `0x` and hexadecimal digits, or a name, from which the id is made.
///
/// # Errors
///
/// What is expected instead.
pub fn parse_lockspace(text: &str) -> Result<LockspaceId, &'static str> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16)
            .map(LockspaceId::new)
            .map_err(|_| "up to 8 hexadecimal digits behind 0x"),
        None if text.is_empty() || text.len() > LOCKSPACE_NAME_LEN_MAX => Err("a name of 1 to 64 bytes"),
        None => Ok(LockspaceId::from_name(text.as_bytes())),
    }
}

/// The longest lockspace name in bytes, as in the kernel.
const LOCKSPACE_NAME_LEN_MAX: usize = 64;

/// One message of the longest kind and its entry in the handle's queue.
const HANDLE_QUEUE_BYTES_MIN: usize = engine::PAYLOAD_BYTES_MAX + crate::arena::ENTRY_BYTES;

/// Shorter timers would make the loop spin.
const TICK: Duration = Duration::from_millis(1);

/// A setting that cannot work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigError {
    /// One of the engine's.
    Engine(engine::ConfigError),
    /// A bound below what one message needs.
    TooFewBytes {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: usize,
        /// What it must be at least.
        least: usize,
    },
    /// A duration that would make the loop spin, or a longest one below the first.
    TooShort {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: Duration,
        /// What it must be at least.
        least: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::TooFewBytes { name, value, least } => {
                write!(f, "{name} is {value}, at least {least} is needed")
            }
            Self::TooShort { name, value, least } => {
                write!(f, "{name} is {value:?}, at least {least:?} is needed")
            }
        }
    }
}

impl std::error::Error for ConfigError {}
