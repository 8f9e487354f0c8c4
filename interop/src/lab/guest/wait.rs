//! Waiting with an end: for a condition that is looked at again and again, and for lines that other threads collect.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{LabError, Result};

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks until `look` has something, for `limit` at most.
///
/// # Errors
///
/// What `look` ends with, or [`LabError::Deadline`] that names `waited_for`.
pub fn until<T>(waited_for: &str, limit: Duration, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() >= limit {
            return Err(late(waited_for, limit, String::new()));
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until `look` returns one of the values that `good` accepts; the last value is in the error.
///
/// # Errors
///
/// What `look` ends with, or [`LabError::Deadline`] with the value that was seen last.
pub fn until_value<T: std::fmt::Debug>(
    waited_for: &str,
    limit: Duration,
    mut look: impl FnMut() -> Result<T>,
    good: impl Fn(&T) -> bool,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        let value = look()?;
        if good(&value) {
            return Ok(value);
        }
        if begun.elapsed() >= limit {
            return Err(late(waited_for, limit, format!("{value:?}")));
        }
        thread::sleep(PAUSE);
    }
}

/// Waits for a thread, for `limit` at most.
///
/// # Errors
///
/// [`LabError::Deadline`] when it still runs (it goes on running), [`LabError::Unexpected`] when it panicked.
pub fn join<T>(waited_for: &str, thread: thread::JoinHandle<T>, limit: Duration) -> Result<T> {
    until(waited_for, limit, || Ok(thread.is_finished().then_some(())))?;
    thread
        .join()
        .map_err(|_| LabError::unexpected(format!("the thread of {waited_for} panicked")))
}

/// Things that one thread appends and others wait for. Clones are the same log.
///
/// Holds the first `max` only; what comes later is counted.
pub struct Log<T> {
    shared: Arc<Shared<T>>,
    max: usize,
}

struct Shared<T> {
    entries: Mutex<Entries<T>>,
    grown: Condvar,
}

struct Entries<T> {
    kept: Vec<T>,
    beyond: u64,
    closed: bool,
}

impl<T: Clone> Log<T> {
    /// An empty log that keeps `max` entries.
    pub fn new(max: usize) -> Self {
        let entries = Entries {
            kept: Vec::new(),
            beyond: 0,
            closed: false,
        };
        let shared = Shared {
            entries: Mutex::new(entries),
            grown: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
            max,
        }
    }

    /// Appends.
    pub fn push(&self, entry: T) {
        let mut entries = self.lock();
        if entries.kept.len() < self.max {
            entries.kept.push(entry);
        } else {
            entries.beyond += 1;
        }
        self.shared.grown.notify_all();
    }

    /// No more will come: whoever waits need not wait longer.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.grown.notify_all();
    }

    /// How many entries there are: a place in the log, for [`Log::wait_from`].
    pub fn mark(&self) -> usize {
        self.lock().kept.len()
    }

    /// How many entries were not kept.
    pub fn beyond(&self) -> u64 {
        self.lock().beyond
    }

    /// The entries from `mark` on.
    pub fn from(&self, mark: usize) -> Vec<T> {
        self.lock().kept.get(mark..).unwrap_or_default().to_vec()
    }

    /// The first entry from `mark` on that `good` accepts, and its place; waits for it for `limit` at most.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`] when none came in time, [`LabError::Unexpected`] when none can come any more.
    pub fn wait_from(
        &self,
        waited_for: &str,
        mark: usize,
        limit: Duration,
        mut good: impl FnMut(&T) -> bool,
    ) -> Result<(usize, T)> {
        let end = Instant::now() + limit;
        let mut looked = mark;
        let mut entries = self.lock();
        loop {
            while let Some(entry) = entries.kept.get(looked) {
                if good(entry) {
                    return Ok((looked, entry.clone()));
                }
                looked += 1;
            }
            if entries.closed {
                return Err(LabError::unexpected(format!(
                    "{waited_for} did not come before the end"
                )));
            }
            let now = Instant::now();
            if now >= end {
                return Err(late(waited_for, limit, String::new()));
            }
            let waited = self.shared.grown.wait_timeout(entries, end - now);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            max: self.max,
        }
    }
}

fn late(waited_for: &str, after: Duration, seen: String) -> LabError {
    LabError::Deadline {
        waited_for: waited_for.to_owned(),
        after,
        seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);
    const NOT_AT_ALL: Duration = Duration::ZERO;

    #[test]
    fn log_waited_for_from_a_mark_ignores_what_came_before() {
        let log = Log::new(8);
        log.push(1);
        let mark = log.mark();
        assert!(log.wait_from("a one", mark, NOT_AT_ALL, |n| *n == 1).is_err());
        let other = log.clone();
        let pusher = thread::spawn(move || other.push(1));
        assert_eq!(
            log.wait_from("a one", mark, SOON, |n| *n == 1).expect("it comes"),
            (1, 1)
        );
        pusher.join().expect("pushed");
    }

    #[test]
    fn log_closed_ends_the_wait_at_once() {
        let log = Log::<u8>::new(8);
        log.close();
        let error = log.wait_from("anything", 0, SOON, |_| true).expect_err("closed");
        assert!(error.to_string().contains("before the end"), "{error}");
    }

    #[test]
    fn log_full_keeps_the_first_and_counts_the_rest() {
        let log = Log::new(2);
        for n in 0..5 {
            log.push(n);
        }
        assert_eq!((log.from(0), log.beyond()), (vec![0, 1], 3));
    }

    #[test]
    fn value_that_never_becomes_good_is_in_the_error() {
        let error = until_value("nine", NOT_AT_ALL, || Ok(7), |n| *n == 9).expect_err("never");
        assert_eq!(error.to_string(), "waited 0 ms for nine; seen: 7");
    }
}
