//! Another thread's messages, given to a node through its handle.

use std::sync::Arc;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_node::{HandleError, NodeHandle};

use super::super::raw::{Counts, End, Meter, Start};
use super::Failure;
use super::party::GROUP;

/// Messages between two looks at the clock.
const STAMPED_EVERY: u64 = 64;

/// How long it waits for room, so that it sees the end of its window.
const PATIENCE: Duration = Duration::from_millis(20);

/// Sends one message after the other, as fast as they are taken.
pub(super) struct Feeder {
    handle: NodeHandle,
    peer: NodeId,
    payload: Vec<u8>,
    start: Arc<Start>,
}

impl Feeder {
    pub(super) const fn new(handle: NodeHandle, peer: NodeId, payload: Vec<u8>, start: Arc<Start>) -> Self {
        Self {
            handle,
            peer,
            payload,
            start,
        }
    }

    /// Until its window is over.
    pub(super) fn run(mut self) -> Result<Fed, Failure> {
        let mut meter = Meter::new(Arc::clone(&self.start));
        let mut counts = Counts::default();
        while !meter.is_over(|| counts) {
            if let Some(place) = self.payload.first_chunk_mut() {
                *place = meter.now().to_le_bytes();
            }
            for _ in 0..STAMPED_EVERY {
                match self.handle.send_wait(self.peer, GROUP, &self.payload, PATIENCE) {
                    Ok(()) => counts.messages += 1,
                    Err(HandleError::TimedOut) => break,
                    Err(error) => return Err(Failure::Handle(error)),
                }
            }
        }
        Ok(Fed(meter.end(counts)))
    }
}

/// What the thread did.
pub(super) struct Fed(End);

impl Fed {
    /// The whole sending end: its messages, and the processor time of both threads.
    pub(super) fn together_with(self, node: End) -> End {
        let mut end = node;
        end.counts.messages = self.0.counts.messages;
        end.cpu += self.0.cpu.mul_f64(end.elapsed.div_duration_f64(self.0.elapsed));
        end
    }
}
