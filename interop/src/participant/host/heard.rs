//! What a [`Host`](super::Host) has to say.

use dlmwire_codec::NodeId;
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::{Outcome, SendError};
use dlmwire_node::NodeEvent;

use crate::participant::event::Event;
use crate::participant::view::{LockspaceView, PeerLine};
use crate::participant::work::Worked;

/// What hears what a [`Host`](super::Host) has to say. Called from the node's loop: it must not wait for the loop.
pub trait Listener {
    /// Something happened.
    fn hear(&mut self, heard: Heard<'_>);
}

/// Something that happened, and where.
#[derive(Debug)]
pub struct Heard<'a> {
    /// When, in nanoseconds since the node was made.
    pub at: Time,
    /// In which lockspace.
    pub lockspace: Option<&'a str>,
    /// The tag of the command that caused it.
    pub tag: Option<&'a str>,
    /// What.
    pub what: What<'a>,
}

/// What happened.
#[derive(Debug)]
pub enum What<'a> {
    /// Something in a lockspace.
    Lockspace(&'a Event),
    /// Something of the node.
    Node(&'a NodeEvent),
    /// Work is done.
    Worked(Worked),
    /// Links were cut: how many now, and how many cuts there were.
    Cut {
        /// To whom; all if not told.
        node: Option<NodeId>,
        /// Links.
        links: usize,
        /// Cuts since the command.
        count: u64,
    },
    /// Everybody is left.
    Left(Outcome),
    /// One of several lockspaces is left.
    LeftLockspace,
    /// What there is.
    Status {
        /// All peers that have an address.
        peers: Vec<PeerLine>,
        /// The lockspaces, by name.
        lockspaces: Vec<(&'a str, LockspaceView)>,
    },
    /// What other nodes ask is to be told from now on, or not.
    Verbose(bool),
    /// A message could not be sent.
    Unsent {
        /// To whom.
        node: NodeId,
        /// Why.
        error: SendError,
    },
    /// A command could not be carried out.
    Error {
        /// Where the command came from.
        line: u64,
        /// Why.
        text: String,
    },
    /// Told to end at once.
    Quit,
}
