//! Windows of time in which both ends count, and what a thread used in them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// How long is run without counting, and how long is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What an end has done so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    /// Messages sent or received.
    pub(crate) messages: u64,
    pub(crate) writes: u64,
    pub(crate) reads: u64,
    pub(crate) acks: u64,
}

/// What an end has done within the window.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) counts: Counts,
    pub(crate) elapsed: Duration,
    /// Processor time of its thread, the kernel's part included.
    pub(crate) cpu: Duration,
    /// Nanoseconds that messages took, where that was looked at.
    pub(crate) latency: Histogram<u64>,
}

/// When it begins: as soon as all ends are there.
#[derive(Debug)]
pub(crate) struct Start {
    missing: AtomicUsize,
    at: OnceLock<Instant>,
    times: Times,
}

/// One end's window.
pub(crate) struct Meter {
    start: Arc<Start>,
    begun: Option<(Instant, Duration, Counts)>,
    latency: Histogram<u64>,
}

impl Start {
    pub(crate) fn new(ends: usize, times: Times) -> Self {
        Self {
            missing: AtomicUsize::new(ends),
            at: OnceLock::new(),
            times,
        }
    }

    /// One end more is there; to be said once by each.
    pub(crate) fn arrive(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.at.get_or_init(Instant::now);
        }
    }

    /// Nanoseconds since then, to stamp messages with.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        let since = self.at.get().map_or(Duration::ZERO, Instant::elapsed);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.at.get().is_some()
    }
}

impl Meter {
    pub(crate) fn new(start: Arc<Start>) -> Self {
        Self {
            start,
            begun: None,
            latency: latencies(),
        }
    }

    /// Waits until all ends are there.
    pub(crate) fn go(&self) {
        self.start.arrive();
        while !self.start.has_begun() {
            std::thread::yield_now();
        }
    }

    /// To be called once a turn. Whether the window is over.
    #[inline]
    pub(crate) fn is_over(&mut self, counts: impl FnOnce() -> Counts) -> bool {
        let Some(start) = self.start.at.get() else {
            return false;
        };
        let since = start.elapsed();
        let Times { warm_up, window } = self.start.times;
        if since < warm_up {
            return false;
        }
        if self.begun.is_none() {
            self.begun = Some((Instant::now(), cpu(), counts()));
        }
        since >= warm_up + window
    }

    /// Nanoseconds since the start, to stamp messages with.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.start.now()
    }

    /// Whether what happens now counts.
    #[inline]
    pub(crate) const fn is_counting(&self) -> bool {
        self.begun.is_some()
    }

    /// How long a message took that was stamped so.
    #[inline]
    pub(crate) fn took(&mut self, stamp: u64) {
        if self.is_counting() {
            self.latency
                .saturating_record(self.now().saturating_sub(stamp).max(1));
        }
    }

    /// The window's figures.
    pub(crate) fn end(self, counts: Counts) -> End {
        let (since, cpu_before, before) = self.begun.unwrap_or((Instant::now(), cpu(), counts));
        End {
            counts: Counts {
                messages: counts.messages - before.messages,
                writes: counts.writes - before.writes,
                reads: counts.reads - before.reads,
                acks: counts.acks - before.acks,
            },
            elapsed: since.elapsed(),
            cpu: cpu().saturating_sub(cpu_before),
            latency: self.latency,
        }
    }
}

/// Room for times from a nanosecond to a minute, to three digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Processor time of this thread.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let part = |value: i64| u64::try_from(value).unwrap_or_default();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Keeps this thread, and those it starts, on the first core that it may use.
pub(crate) fn stay(one_core: bool) -> io::Result<()> {
    if !one_core {
        return Ok(());
    }
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|core| allowed.is_set(*core));
    let mut set = CpuSet::new();
    set.set(first.unwrap_or_default());
    Ok(sched_setaffinity(None, &set)?)
}
