//! What runs on top of the node: it sends at a rate, and checks what comes.

use std::num::TryFromIntError;
use std::ops::RangeInclusive;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::{Delivery, Event, Outcome};
use dlmwire_node::{Application, NodeEvent, NodeStatus, Outbox};
use serde::Serialize;

/// From one look at the rate to the next.
const PACE: Duration = Duration::from_millis(2);

/// How long an end stays when it has been left in order, to acknowledge the other end's `FIN` once more, should the
/// acknowledgement be lost.
const LINGER: Duration = Duration::from_millis(1500);

/// How long messages are, in words of 8 bytes.
const WORDS: RangeInclusive<u64> = 1..=32;

/// Who sends what to whom.
pub(crate) struct Plan {
    pub(crate) own: NodeId,
    pub(crate) peer: NodeId,
    pub(crate) lockspace: LockspaceId,
    pub(crate) messages: u64,
    pub(crate) rate: u64,
    /// Somebody else says when to leave.
    pub(crate) hold: bool,
}

pub(crate) struct Flow {
    plan: Plan,
    /// When the first message was taken.
    begun: Option<Time>,
    /// Which of the other end's messages have come.
    came: Vec<bool>,
    next: u64,
    /// Everything is sent; everything has come, too.
    sent: bool,
    complete: bool,
    stop_at: Option<Time>,
    report: Report,
}

/// What the last line tells.
#[derive(Clone, Serialize, Debug, Default)]
pub(crate) struct Report {
    sent: u64,
    received: u64,
    /// Of the other end's messages: never came, came again, came elsewhere than behind their predecessor.
    lost: u64,
    doubled: u64,
    reordered: u64,
    /// Not what the other end sends.
    damaged: u64,
    /// Of our own: not acknowledged in the end.
    given_up: u64,
    resent: u64,
    duplicates: u64,
    reconnects: u64,
    /// Connections of strangers that were turned away.
    refused: u64,
    /// Both `FIN`s came and were acknowledged.
    closed: bool,
}

impl Flow {
    pub(crate) fn new(plan: Plan) -> Result<Self, TryFromIntError> {
        Ok(Self {
            came: vec![false; usize::try_from(plan.messages)?],
            plan,
            begun: None,
            next: 0,
            sent: false,
            complete: false,
            stop_at: None,
            report: Report::default(),
        })
    }

    pub(crate) fn report(&self, status: &NodeStatus) -> Report {
        let mut report = self.report.clone();
        report.lost = self.plan.messages - report.received;
        report.refused = status.refused;
        if let Some(peer) = status
            .peers
            .iter()
            .find(|peer| peer.nodeid == self.plan.peer.get())
        {
            report.given_up += u64::from(peer.send_queue_count) + (self.plan.messages - report.sent);
            (report.resent, report.duplicates, report.reconnects) =
                (peer.resent, peer.duplicates, peer.reconnects);
        }
        report
    }

    fn check(&mut self, payload: &[u8]) {
        let number = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let Some(number) = number.filter(|number| payload == message(self.plan.peer, *number)) else {
            self.report.damaged += 1;
            return;
        };
        let at = usize::try_from(number).ok();
        let Some(came) = at.and_then(|at| self.came.get_mut(at)) else {
            self.report.damaged += 1;
            return;
        };
        if std::mem::replace(came, true) {
            self.report.doubled += 1;
            return;
        }
        self.report.received += 1;
        self.report.reordered += u64::from(number != self.next);
        self.next = number + 1;
    }

    /// How many messages should have been sent by now.
    fn due(&self, now: Time) -> u64 {
        let begun = self.begun.unwrap_or(now);
        let due = u128::from(now.since(begun)) * u128::from(self.plan.rate) / 1_000_000_000;
        u64::try_from(due)
            .unwrap_or(u64::MAX)
            .saturating_add(1)
            .min(self.plan.messages)
    }
}

impl Report {
    /// Whether everything came, once, in order and intact, and both ends left in order.
    pub(crate) fn is_sound(&self) -> bool {
        let wrong = [
            self.lost,
            self.doubled,
            self.reordered,
            self.damaged,
            self.given_up,
        ];
        self.closed && wrong == [0; 5]
    }
}

impl Application for Flow {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        let payload = delivery.payload().filter(|_| delivery.node == self.plan.peer);
        self.check(payload.map_or(&[], |(_, payload)| payload));
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        eprintln!("{} ms: {event}", outbox.now().0 / 1_000_000);
        match event {
            NodeEvent::Engine(Event::Lost { messages, .. }) => self.report.given_up += messages,
            NodeEvent::Engine(Event::ShutdownComplete { outcome }) => {
                self.report.closed = *outcome == Outcome::Clean;
                let linger = u64::try_from(LINGER.as_nanos()).unwrap_or(u64::MAX);
                self.stop_at = Some(Time(outbox.now().0 + linger));
                outbox.wake_after(LINGER);
            }
            _ => {}
        }
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        let now = outbox.now();
        let due = self.due(now);
        while self.report.sent < due {
            let payload = message(self.plan.own, self.report.sent);
            // Not connected yet, or the queue is full: later.
            if outbox
                .send_payload(self.plan.peer, self.plan.lockspace, &payload)
                .is_err()
            {
                break;
            }
            self.begun.get_or_insert(now);
            self.report.sent += 1;
        }
        let sent = self.report.sent == self.plan.messages;
        let complete = sent && self.report.received == self.plan.messages;
        if !sent {
            outbox.wake_after(PACE);
        } else if !std::mem::replace(&mut self.sent, true) {
            eprintln!("{} ms: sent", now.0 / 1_000_000);
        }
        if complete && !std::mem::replace(&mut self.complete, true) {
            eprintln!("{} ms: complete", now.0 / 1_000_000);
            if !self.plan.hold {
                outbox.shutdown();
            }
        }
        match self.stop_at {
            Some(at) if at.0 <= now.0 => outbox.stop(),
            Some(at) => outbox.wake_after(Duration::from_nanos(at.since(now))),
            None => {}
        }
    }
}

/// What `node` sends under a number: the number, and words that follow from both.
fn message(node: NodeId, number: u64) -> Vec<u8> {
    let mut word = number ^ u64::from(node.get()).rotate_right(8);
    let mut random = || {
        word = word
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        word ^ (word >> 29)
    };
    let words = WORDS.start() + random() % (WORDS.end() - WORDS.start() + 1);
    let words = std::iter::once(number)
        .chain(std::iter::repeat_with(random).take(usize::try_from(words).unwrap_or(1)));
    words.flat_map(u64::to_le_bytes).collect()
}
