//! What a [`Host`](super::Host) can be told to do.

use std::time::Duration;

use dlmwire_codec::NodeId;

use super::holder::{Order, Wish};
use super::lock::LockId;
use super::name::Name;

/// A command and whom it concerns.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// Given back with every event that the command causes.
    pub tag: Option<String>,
    /// Where the command comes from, for complaints: a line's number.
    pub line: u64,
    /// The lockspace's name; the first unless told.
    pub lockspace: Option<String>,
    /// The command.
    pub command: Command,
}

/// A command.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Be a member with these others; with all configured nodes if none is named.
    Join(Vec<NodeId>),
    /// Leave the lockspace; with the last one everybody is left by `FIN`.
    Leave,
    /// Leave everything, and stop when everybody is left.
    LeaveAll,
    /// The cluster manager says that a node is a member now.
    Add(NodeId),
    /// The cluster manager says that a node is no member any more.
    Remove(NodeId),
    /// The node is gone: it is removed everywhere, and nothing of it is delivered.
    Fence(NodeId),
    /// A lock is wanted.
    Lock {
        /// The resource.
        name: Name,
        /// What is wanted.
        wish: Wish,
        /// Nothing is told of it but what fails.
        quiet: bool,
    },
    /// Something is done with a lock.
    Order(LockId, Order),
    /// Locks and unlocks in turn.
    Work(Work),
    /// Tells what there is.
    Status,
    /// Resets links to a node, or all.
    Cut {
        /// The node.
        node: Option<NodeId>,
        /// Again and again.
        every: Option<Duration>,
        /// For so long.
        lasting: Option<Duration>,
    },
    /// No repeated cuts any more.
    CutOff,
    /// Closes links to a node, or all, without the `FIN` of DLM.
    Close(Option<NodeId>),
    /// Reads nothing from any link.
    Deaf(bool),
    /// Answers nothing: what comes waits, acknowledged, until this is over.
    Mute(bool),
    /// Withholds acknowledgements.
    NoAck(bool),
    /// Every question of a recovery waits for so long before it is answered.
    Slow(Duration),
    /// So many `STATUS` are answered "not ready".
    NotReady(u32),
    /// A false value, or the truth again.
    Lie(Lie),
    /// Bytes between two frames.
    Raw {
        /// To whom; to the first peer unless told.
        node: Option<NodeId>,
        /// What.
        bytes: Vec<u8>,
        /// As inner frame of an `OPTS` with this number.
        number: Option<Number>,
    },
    /// Whether we make ourselves master of what nobody masters, as directory.
    Claim(bool),
    /// Whether what other nodes ask of us is told.
    Verbose(bool),
    /// Ends at once.
    Quit,
}

/// What to lie about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// An `ACK` of everything before this number, at once.
    Ack(u32),
    /// `rf_our_slot`.
    Slot(Option<u16>),
    /// `rf_lvblen`.
    LvbLen(Option<u32>),
    /// `rf_lsflags`.
    LsFlags(Option<u32>),
    /// `h_nodeid`.
    Node(Option<NodeId>),
    /// About nothing any more.
    Off,
}

/// A number of an `OPTS` that the engine knows nothing of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    /// This one.
    Of(u32),
    /// The engine's next and so many more.
    Ahead(u32),
}

/// Pairs of lock and unlock, in turn over some names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    /// How many pairs.
    pub pairs: u64,
    /// Over how many names.
    pub names: u64,
    /// What the names begin with.
    pub prefix: String,
    /// How many locks are wanted at once.
    pub outstanding: u64,
    /// Whether the value block is read and written.
    pub lvb: bool,
}
