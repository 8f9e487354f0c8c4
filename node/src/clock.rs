//! The only clock of the workspace's library crates.

use std::time::{Duration, Instant};

use dlmwire_midcomms::Time;

/// Monotonic time since the node was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Time {
        Time(nanos(self.0.elapsed()))
    }
}

/// `duration` in the unit of [`Time`], the longest that it can say if it is longer.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The moment `duration` after `now`.
pub(crate) fn after(now: Time, duration: Duration) -> Time {
    Time(now.0.saturating_add(nanos(duration)))
}

/// How long it is from `now` to `then`, zero if that is over.
pub(crate) fn until(now: Time, then: Time) -> Duration {
    Duration::from_nanos(then.since(now))
}

/// The earlier of two moments that may never come.
pub(crate) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (only, None) | (None, only) => only,
    }
}
