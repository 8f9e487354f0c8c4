//! When which peer wants to be looked at.

use std::collections::BTreeSet;

use dlmwire_codec::NodeId;

use crate::Time;

/// At most one moment per peer: the earliest of its own. The cost of a change does not depend on how many peers
/// wait.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Timers {
    due: BTreeSet<(Time, NodeId)>,
}

impl Timers {
    /// Replaces a peer's moment.
    pub(super) fn rearm(&mut self, node: NodeId, armed: &mut Option<Time>, wanted: Option<Time>) {
        if *armed == wanted {
            return;
        }
        if let Some(at) = *armed {
            self.due.remove(&(at, node));
        }
        if let Some(at) = wanted {
            self.due.insert((at, node));
        }
        *armed = wanted;
    }

    pub(super) fn first(&self) -> Option<(Time, NodeId)> {
        self.due.first().copied()
    }
}
