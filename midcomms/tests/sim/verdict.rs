//! What may happen and what may not: the books over every message from its acceptance to its delivery.
//!
//! The books know more than any node: which conversation of which sender a message belongs to, and which
//! conversation of the receiver took it. Within one conversation of both, numbers must come from the first
//! on, one after the other. Everything else follows from that.

use std::collections::BTreeSet;

use dlmwire_codec::Seq;
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Outcome, PeerView};

use crate::schedule::{NODES_MAX, Setup};

/// What has come between two nodes so that their conversations need not fit together any more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Disturbance {
    /// Nothing.
    Nothing,
    /// One side was fenced, and the manager will do the same to the other.
    Fenced,
    /// One side forgot, the manager knows, but the other side may have heard the new conversation already.
    Known,
    /// One side forgot and nobody was told.
    Untold,
    /// Bits were flipped: nothing that either side believes can be trusted.
    Corrupt,
}

/// What a `FIN` may take beyond the queue's bound, in bytes: it is what empties a full one.
const FIN_ROOM: usize = 64 << 10;

/// A sender's conversation with a receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Epoch {
    /// The first message's id.
    first: u64,
    /// Messages accepted.
    accepted: u64,
    /// Messages delivered, to whichever of the receiver's conversations had most.
    delivered: u64,
    /// Messages that the sender holds for acknowledged.
    acked: u64,
}

/// Messages from one node to another.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Flow {
    epochs: Vec<Epoch>,
    /// The sender's conversation that the receiver's present one is taking from, and the id due next.
    taking: Option<(usize, u64)>,
    /// A frame was changed on the way before anything was taken: it may have been the first number.
    first_changed: bool,
    /// Ids that came bare.
    bare: BTreeSet<u64>,
}

/// The books of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Books {
    start: Seq,
    old_node: Option<usize>,
    flows: Vec<Vec<Flow>>,
    disturbed: [[Disturbance; NODES_MAX]; NODES_MAX],
    alarm: [[bool; NODES_MAX]; NODES_MAX],
    /// Messages delivered in all.
    pub(crate) delivered: u64,
}

/// What the application reads out of a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Label {
    /// The sender's conversation.
    pub(crate) epoch: u32,
    /// The message.
    pub(crate) id: u64,
}

impl Books {
    /// Empty books.
    pub(crate) fn new(setup: &Setup) -> Self {
        let epoch = Epoch {
            first: 0,
            accepted: 0,
            delivered: 0,
            acked: 0,
        };
        let flow = Flow {
            epochs: vec![epoch],
            taking: None,
            first_changed: false,
            bare: BTreeSet::new(),
        };
        Self {
            start: Seq::new(setup.start_seq),
            old_node: setup.old_node,
            flows: vec![vec![flow; setup.nodes]; setup.nodes],
            disturbed: [[Disturbance::Nothing; NODES_MAX]; NODES_MAX],
            alarm: [[false; NODES_MAX]; NODES_MAX],
            delivered: 0,
        }
    }

    /// Whether nothing between the two is numbered.
    pub(crate) fn is_bare(&self, a: usize, b: usize) -> bool {
        self.old_node == Some(a) || self.old_node == Some(b)
    }

    /// What has come between two nodes.
    pub(crate) const fn disturbance(&self, a: usize, b: usize) -> Disturbance {
        self.disturbed[a][b]
    }

    /// Notes that something came between two nodes; the worst counts.
    pub(crate) fn disturb(&mut self, a: usize, b: usize, how: Disturbance) {
        let worst = self.disturbed[a][b].max(how);
        self.disturbed[a][b] = worst;
        self.disturbed[b][a] = worst;
    }

    /// Notes that both sides of a pair have forgotten everything and nothing is left on the way.
    pub(crate) const fn settle(&mut self, a: usize, b: usize) {
        self.disturbed[a][b] = Disturbance::Nothing;
        self.disturbed[b][a] = Disturbance::Nothing;
        self.alarm[a][b] = false;
        self.alarm[b][a] = false;
    }

    /// Notes that somebody was warned.
    pub(crate) const fn warn(&mut self, a: usize, b: usize) {
        self.alarm[a][b] = true;
        self.alarm[b][a] = true;
    }

    /// Whether somebody was warned since the pair was settled.
    pub(crate) const fn is_warned(&self, a: usize, b: usize) -> bool {
        self.alarm[a][b]
    }

    /// The label of the next message of a flow.
    pub(crate) fn next_label(&self, sender: usize, receiver: usize) -> Label {
        let flow = &self.flows[sender][receiver];
        let epoch = flow.current();
        Label {
            epoch: flow.epochs.len() as u32 - 1,
            id: epoch.first + epoch.accepted,
        }
    }

    /// The engine accepted the next message under a number.
    pub(crate) fn accept(&mut self, sender: usize, receiver: usize, seq: Option<Seq>) -> Result<(), String> {
        let bare = self.is_bare(sender, receiver);
        let due = self
            .start
            .plus(self.flows[sender][receiver].current().accepted as u32);
        if bare != seq.is_none() || seq.is_some_and(|seq| seq != due) {
            return Err(format!(
                "message {sender}->{receiver} accepted as {seq:?}, due was {due}"
            ));
        }
        self.flows[sender][receiver].current_mut().accepted += 1;
        Ok(())
    }

    /// A frame on which bits were flipped has come.
    pub(crate) fn changed(&mut self, sender: usize, receiver: usize) {
        let flow = &mut self.flows[sender][receiver];
        flow.first_changed |= flow.taking.is_none();
    }

    /// The application got a message; `intact`: no bit of its frame was flipped.
    pub(crate) fn deliver(
        &mut self,
        sender: usize,
        receiver: usize,
        label: Label,
        intact: bool,
    ) -> Result<(), String> {
        self.delivered += 1;
        let disturbed = self.disturbed[sender][receiver];
        let bare = self.is_bare(sender, receiver);
        let flow = &mut self.flows[sender][receiver];
        let told = format_args!(
            "message {} of conversation {} {sender}->{receiver}",
            label.id, label.epoch
        )
        .to_string();
        let at = label.epoch as usize;
        let Some(epoch) = flow.epochs.get(at).copied() else {
            return if intact {
                Err(format!("{told}: no such conversation"))
            } else {
                Ok(())
            };
        };
        if label.id < epoch.first || label.id >= epoch.first + epoch.accepted {
            return if intact {
                Err(format!("{told}: was never accepted"))
            } else {
                Ok(())
            };
        }
        if bare {
            let fresh = flow.bare.insert(label.id);
            flow.epochs[at].delivered += u64::from(fresh);
            return if fresh {
                Ok(())
            } else {
                Err(format!("{told}: delivered twice"))
            };
        }
        if disturbed == Disturbance::Corrupt {
            return flow.deliver_doubtful(at, label.id, intact, &told);
        }
        if disturbed == Disturbance::Nothing && at + 1 != flow.epochs.len() {
            return Err(format!("{told}: comes from a conversation that is over"));
        }
        match flow.taking {
            None if label.id == epoch.first => {}
            None => return Err(format!("{told}: taken first, {} is the first", epoch.first)),
            Some((taking, _)) if taking != at => {
                return Err(format!("{told}: mixed with conversation {taking}"));
            }
            Some((_, due)) if label.id < due => return Err(format!("{told}: delivered twice, {due} is due")),
            Some((_, due)) if label.id > due => return Err(format!("{told}: {due} is missing before it")),
            Some(_) => {}
        }
        flow.taking = Some((at, label.id + 1));
        let count = label.id + 1 - epoch.first;
        flow.epochs[at].delivered = epoch.delivered.max(count);
        Ok(())
    }

    /// What a sender holds for acknowledged was delivered, and its queue is within its bounds.
    pub(crate) fn check_view(
        &mut self,
        sender: usize,
        receiver: usize,
        view: &PeerView,
        bytes_max: usize,
    ) -> Result<(), String> {
        let fin = u64::from(matches!(
            view.state,
            State::FinWait1 | State::LastAck | State::Closing
        ));
        let bytes_max = bytes_max + fin as usize * FIN_ROOM;
        if view.send_queue_memory_bytes > bytes_max {
            return Err(format!(
                "send queue {sender}->{receiver} has {} bytes, {bytes_max} are allowed",
                view.send_queue_memory_bytes
            ));
        }
        if self.is_bare(sender, receiver) {
            return Ok(());
        }
        let fin = u64::from(matches!(
            view.state,
            State::FinWait1 | State::LastAck | State::Closing
        ));
        let disturbed = self.disturbed[sender][receiver];
        let epoch = self.flows[sender][receiver].current_mut();
        let queued = u64::from(view.send_queue_count);
        let Some(acked) = (epoch.accepted + fin).checked_sub(queued) else {
            return Err(format!(
                "{queued} messages {sender}->{receiver} are queued, {} were accepted",
                epoch.accepted
            ));
        };
        let acked = acked.min(epoch.accepted);
        epoch.acked = epoch.acked.max(acked);
        if acked > epoch.delivered && disturbed <= Disturbance::Fenced {
            return Err(format!(
                "{acked} messages {sender}->{receiver} are acknowledged, {} were delivered",
                epoch.delivered
            ));
        }
        Ok(())
    }

    /// `node`'s conversation with `peer` is over: what was not delivered must be given up aloud.
    pub(crate) fn end(
        &mut self,
        node: usize,
        peer: usize,
        outcome: Option<Outcome>,
        lost: u64,
    ) -> Result<(), String> {
        let disturbed = self.disturbed[node][peer];
        let bare = self.is_bare(node, peer);
        let epoch = *self.flows[node][peer].current();
        self.forget(node, peer);
        if bare || disturbed > Disturbance::Fenced {
            return Ok(());
        }
        let missing = epoch.accepted - epoch.delivered;
        if outcome == Some(Outcome::Clean) && (missing > 0 || lost > 0) {
            return Err(format!(
                "{node} ended with {peer} as clean: {missing} messages missing, {lost} given up"
            ));
        }
        if lost < missing {
            return Err(format!(
                "{node} ended with {peer}: {missing} messages missing, only {lost} given up"
            ));
        }
        if lost > epoch.accepted - epoch.acked + 1 {
            return Err(format!(
                "{node} ended with {peer}: {lost} messages given up, {} of {} were acknowledged",
                epoch.acked, epoch.accepted
            ));
        }
        Ok(())
    }

    /// `node` has forgotten `peer`, in both directions.
    pub(crate) fn forget(&mut self, node: usize, peer: usize) {
        let flow = &mut self.flows[node][peer];
        let epoch = flow.current();
        let first = epoch.first + epoch.accepted;
        flow.epochs.push(Epoch {
            first,
            accepted: 0,
            delivered: 0,
            acked: 0,
        });
        let flow = &mut self.flows[peer][node];
        flow.taking = None;
        flow.first_changed = false;
    }

    /// `node` was told that `peer` will say nothing more: then it has everything.
    pub(crate) fn check_finished(&self, node: usize, peer: usize) -> Result<(), String> {
        let epoch = self.flows[peer][node].current();
        if self.disturbed[node][peer] == Disturbance::Nothing && epoch.delivered < epoch.accepted {
            return Err(format!(
                "FIN {peer}->{node} taken, {} messages before it are missing",
                epoch.accepted - epoch.delivered
            ));
        }
        Ok(())
    }

    /// Messages of the present conversation that were accepted and not delivered.
    pub(crate) fn missing(&self, sender: usize, receiver: usize) -> u64 {
        let epoch = self.flows[sender][receiver].current();
        epoch.accepted - epoch.delivered
    }

    /// Whether the last of the messages that travel bare came: of those before it some may be lost.
    pub(crate) fn is_last_delivered(&self, sender: usize, receiver: usize) -> bool {
        let flow = &self.flows[sender][receiver];
        let epoch = flow.current();
        epoch.accepted == 0 || flow.bare.contains(&(epoch.first + epoch.accepted - 1))
    }
}

impl Flow {
    fn current(&self) -> &Epoch {
        self.epochs.last().expect("there is always one")
    }

    fn current_mut(&mut self) -> &mut Epoch {
        self.epochs.last_mut().expect("there is always one")
    }

    /// After flipped bits only this is left: what came whole comes in order and once in a conversation.
    fn deliver_doubtful(&mut self, at: usize, id: u64, intact: bool, told: &str) -> Result<(), String> {
        // Other bytes under the first number may look like a peer that begins again, whichever of them came first.
        if !intact {
            self.taking = None;
            return Ok(());
        }
        let begins_again = id == self.epochs[at].first && std::mem::take(&mut self.first_changed);
        match self.taking {
            Some((taking, due)) if taking == at && id < due && !begins_again => {
                return Err(format!("{told}: delivered again or too late, {due} is due"));
            }
            _ => {}
        }
        self.taking = Some((at, id + 1));
        let epoch = &mut self.epochs[at];
        epoch.delivered = epoch.delivered.max(id + 1 - epoch.first);
        Ok(())
    }
}
