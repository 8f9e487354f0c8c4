//! What we owe a peer: an `ACK` of what was counted since the last one (spec: midcomms 5.1).
//!
//! Deviation (V7): it rides with whatever is sent anyway; else it goes out at the end of a read run, once enough
//! bytes have come; else after a while. Kernels of 2021 acknowledge each message, 6.1 each read run, 6.12 and later
//! count to 32 or 256 and have no timer. A kernel peer keeps what it has sent a moment longer than with 6.1.

use super::turn::Turn;
use crate::Time;

/// What has been received and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Owed {
    /// Of its frames, in bytes.
    bytes: usize,
    /// The peer waits for it.
    at_once: bool,
}

impl Owed {
    /// A frame of so many bytes was counted.
    #[inline]
    pub(super) const fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    /// The end of the read run is the time for it, whatever has come.
    pub(super) const fn at_once(&mut self) {
        self.at_once = true;
    }

    pub(super) const fn is_some(self) -> bool {
        self.at_once || self.bytes > 0
    }

    const fn is_due(self, after_bytes: usize) -> bool {
        self.at_once || (self.bytes > 0 && self.bytes >= after_bytes)
    }
}

impl Turn<'_> {
    /// A read run ended.
    pub(super) fn read_done(&mut self) {
        if self.peer.owed.is_due(self.common.config.ack_after_bytes) {
            self.queue_ack();
        } else if self.peer.owed.is_some() && self.peer.alarms.ack.is_none() {
            let tick = self.next_tick();
            self.peer.alarms.ack.set(tick);
            self.rearm();
        }
    }

    /// The same moment for all peers, so that one wake-up serves all.
    fn next_tick(&self) -> Time {
        let delay = self.common.config.ack_delay;
        let ticks = self.now.0.checked_div(delay).unwrap_or_default();
        Time(ticks.saturating_add(1).saturating_mul(delay))
    }

    /// The tick has come. What was owed when it was set may have been acknowledged since: it is not worth moving it.
    pub(super) fn tick(&mut self) {
        self.peer.alarms.ack.clear();
        if self.peer.owed.is_some() {
            self.queue_ack();
        }
    }

    /// An `ACK` of everything received goes out with whatever is written next.
    pub(super) fn queue_ack(&mut self) {
        self.peer.queue_ack(self.common.config.node);
    }
}
