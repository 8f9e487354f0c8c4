//! What waits to be told.

use std::collections::VecDeque;

use super::Event;

/// Breaches that may wait. A driver that drains after every call never reaches it; everything else that is told
/// follows from what the driver does.
const VIOLATIONS_MAX: usize = 1024;

/// Room that is kept for events when none waits.
const KEPT: usize = 64;

/// Events in the order in which they happened.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Events {
    queue: VecDeque<Event>,
}

impl Events {
    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front();
        if event.is_none() && self.queue.capacity() > KEPT {
            // After a burst, as when many members are added at once.
            self.queue.shrink_to(KEPT);
        }
        event
    }

    pub(super) fn has_room_for_violations(&self) -> bool {
        self.queue.len() < VIOLATIONS_MAX
    }
}
