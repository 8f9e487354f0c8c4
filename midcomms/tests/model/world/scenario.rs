//! What is explored: the nodes, what they do, and what may happen to them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use dlmwire_codec::Seq;
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::Config;

use crate::side::Side;

/// What the application or the cluster manager of one node does, in order; when, is explored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Command {
    /// The other node becomes a member. A later one waits until the conversation before it is over.
    Add,
    /// The other node becomes a member, whatever the state.
    AddAtOnce,
    /// A message is sent, as soon as one is taken.
    Send,
    /// The other node is no member any more.
    Remove,
    /// The node leaves, once the other was told of it as a member.
    Shutdown,
    /// The node leaves, whatever is known.
    ShutdownAtOnce,
}

/// What is explored.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The sides at the beginning.
    pub(crate) sides: [Side; 2],
    /// What the nodes do.
    pub(crate) scripts: [&'static [Command]; 2],
    /// Connections that may be cut.
    pub(crate) cuts: u8,
    /// Timers that may fire although something else could happen first, per node.
    pub(crate) early_timers: u8,
    /// Timers fire when nothing else can happen.
    pub(crate) idle_timers: bool,
    /// A connection that is being made is not there at once at the node that makes it.
    pub(crate) slow_dials: bool,
    /// Node 1 is told of its member only when a connection of node 0 is up, so that they do not cross.
    pub(crate) one_dials: bool,
    /// A read run may take everything that is there; else one frame.
    pub(crate) long_reads: bool,
    /// Sockets take bytes only now and then, also half a frame.
    pub(crate) lazy_sockets: bool,
    /// The states at the end.
    pub(crate) ends: [State; 2],
    /// What shows in the states in which nothing can happen any more: the promises that are broken, each in some of
    /// them and no other in any, and [`CLEAN`](super::CLEAN) if some break none.
    pub(crate) shows: &'static [&'static str],
    /// Those that showed, and `clean` if a state showed none.
    pub(crate) found: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// A configuration for models: no timer but that of an unacknowledged `FIN`.
pub(crate) fn quiet(node: u32, start: Seq) -> Config {
    const NEVER: u64 = u64::MAX / 4;
    let mut config = Config::new(dlmwire_codec::NodeId::new(node).expect("not 0"));
    config.start_seq = start;
    config.unacked_age_max = NEVER;
    config.shutdown_deadline = NEVER;
    config.version_wait = NEVER;
    config.tombstone_lifetime = NEVER;
    config.close_wait_warning_after = NEVER;
    config.ack_after_bytes = 0;
    config
}

/// The same, but what comes is acknowledged only together with something else, or by the timer if those fire.
pub(crate) fn late(node: u32, start: Seq) -> Config {
    let mut config = quiet(node, start);
    config.ack_after_bytes = 60 << 10;
    config
}
