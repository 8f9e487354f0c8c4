//! What all peers of an engine share.

use dlmwire_codec::{LockspaceId, MsgFields, MsgTemplate, MsgType};

use super::directory::Directory;
use super::events::Events;
use super::link::Link;
use super::segment_pool::SegmentPool;
use super::timers::Timers;
use super::{APPLICATION_MSG, Config, Outcome};
use crate::LinkId;

/// The engine without its peers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Common {
    pub(super) config: Config,
    /// Of application messages.
    pub(super) template: MsgTemplate,
    pub(super) links: Directory<LinkId, Link>,
    pub(super) events: Events,
    pub(super) timers: Timers,
    pub(super) pool: SegmentPool,
    pub(super) departure: Departure,
}

/// Whether this node is about to leave all its lockspaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Departure {
    Staying,
    /// The worst outcome so far.
    Leaving(Outcome),
    Left,
}

impl Common {
    pub(super) fn new(config: Config) -> Self {
        let application = MsgFields::new(LockspaceId::new(0), MsgType::Other(APPLICATION_MSG));
        Self {
            template: MsgTemplate::new(config.version, config.node, application),
            config,
            links: Directory::new(),
            events: Events::default(),
            timers: Timers::default(),
            pool: SegmentPool::default(),
            departure: Departure::Staying,
        }
    }
}
