//! Writing: what the engine has goes out, a few writes a link and turn.

use std::io;

use dlmwire_midcomms::{LinkId, Time};
use dlmwire_transport::{Link, Transport};

use super::Phase;
use crate::clock::{after, earlier};
use crate::node::Node;

/// Writes to one link in one turn, before the others get theirs.
const WRITES_PER_TURN_MAX: usize = 16;

impl<T: Transport> Node<T> {
    pub(in crate::node) fn unblock(&mut self, id: LinkId) {
        if let Some(slot) = self.links.get_mut(&id) {
            slot.blocked = false;
            self.core.touch(slot.node);
        }
    }

    /// Writes for every touched peer.
    pub(in crate::node) fn write(&mut self) {
        for _ in 0..self.core.touched.len() {
            let Some(node) = self.core.next_touched() else {
                break;
            };
            let mut at = 0;
            while let Some((id, links)) = self.core.link_of(node, at) {
                at = match self.write_link(id) {
                    Wrote::Fine => at + 1,
                    Wrote::Lost => 0,
                };
                // As nearly always: the peer is not looked up once more.
                if at == links {
                    break;
                }
            }
        }
    }

    fn write_link(&mut self, id: LinkId) -> Wrote {
        let Some(slot) = self.links.get_mut(&id) else {
            return Wrote::Fine;
        };
        if slot.blocked
            || matches!(
                slot.phase,
                Phase::Dialing | Phase::Draining { .. } | Phase::Broken { .. }
            )
        {
            return Wrote::Fine;
        }
        for _ in 0..WRITES_PER_TURN_MAX {
            let Some(transmit) = self.core.engine.poll_transmit(id) else {
                let Phase::Flushing { by } = slot.phase else {
                    return Wrote::Fine;
                };
                return self.flushed(id, by);
            };
            let offered = transmit.len();
            match slot.link.send(transmit.slices()) {
                Ok(taken) => {
                    self.core.engine.handle_transmitted(self.core.now, id, taken);
                    if taken < offered {
                        slot.blocked = true;
                        return Wrote::Fine;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    slot.blocked = true;
                    return Wrote::Fine;
                }
                Err(error) => {
                    self.write_failed(id, &error);
                    return Wrote::Fine;
                }
            }
        }
        self.core.touch(slot.node);
        Wrote::Fine
    }

    /// Nothing can be written any more. What came before is read first: its sender believes it taken.
    fn write_failed(&mut self, id: LinkId, error: &io::Error) {
        if let Some(slot) = self.links.get_mut(&id) {
            tracing::debug!("node {}: link {} takes nothing: {error}", slot.node, id.0);
            let by = after(self.core.now, self.core.config.flush_deadline);
            slot.phase = Phase::Broken { by };
            self.links_due = earlier(self.links_due, Some(by));
            self.queue_read(id);
        }
    }

    /// Nothing is left to write on a link that is to be closed: it is closed now, so that the peer gets everything.
    fn flushed(&mut self, id: LinkId, by: Time) -> Wrote {
        let Some(slot) = self.links.get_mut(&id) else {
            return Wrote::Fine;
        };
        // Without half-close the peer may still have sent what it now never sends again: it is heard to the end, too.
        if slot.ended || slot.link.close_send().is_err() {
            self.drop_link(id);
            return Wrote::Lost;
        }
        slot.phase = Phase::Draining { by };
        Wrote::Fine
    }
}

/// Whether the link is still there.
#[derive(PartialEq, Eq)]
enum Wrote {
    Fine,
    Lost,
}
