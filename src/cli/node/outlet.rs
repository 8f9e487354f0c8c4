//! What is on its way to standard output: lines of several threads, bounded.

use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::super::error::Error;
use super::super::output::Output;

/// Bytes that wait before whoever has more to say has to wait. One addition more may lie beyond it.
const BYTES_MAX: usize = 4 << 20;

/// A bounded buffer between the threads that speak and the one that writes.
#[derive(Default)]
pub(in crate::cli) struct Outlet {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    phase: Phase,
}

#[derive(Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Open,
    /// Nothing comes any more.
    Ended,
    /// Nobody reads: what is said is thrown away.
    Closed,
}

impl Outlet {
    /// Adds whole lines, when there is room.
    pub(in crate::cli) fn put(&self, lines: &[u8]) {
        let mut waiting = self.lock();
        while waiting.bytes.len() >= BYTES_MAX && waiting.phase == Phase::Open {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.phase == Phase::Open {
            waiting.bytes.extend_from_slice(lines);
            self.changed.notify_all();
        }
    }

    /// Adds a line.
    pub(in crate::cli) fn tell<T: Serialize>(&self, told: &T) {
        let mut line = Vec::new();
        write_line(&mut line, told);
        self.put(&line);
    }

    /// Says that nothing comes any more.
    pub(in crate::cli) fn end(&self) {
        self.become_phase(Phase::Ended);
    }

    /// Writes what is said until [`end`](Self::end), whole additions at a time.
    pub(in crate::cli) fn write_to(&self, out: &mut Output) -> Result<(), Error> {
        let mut bytes = Vec::new();
        while self.take(&mut bytes) {
            let written = out.write_all(&bytes).and_then(|()| out.flush());
            if let Err(error) = written {
                self.become_phase(Phase::Closed);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Exchanges what waits for the used-up `bytes`; false at the end.
    fn take(&self, bytes: &mut Vec<u8>) -> bool {
        bytes.clear();
        let mut waiting = self.lock();
        while waiting.bytes.is_empty() && waiting.phase == Phase::Open {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut waiting.bytes, bytes);
        self.changed.notify_all();
        !bytes.is_empty()
    }

    fn become_phase(&self, phase: Phase) {
        self.lock().phase = phase;
        self.changed.notify_all();
    }

    /// Nobody panics half-way through a line, so a poisoned lock guards whole lines all the same.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends a line of JSON.
pub(in crate::cli) fn write_line<T: Serialize>(line: &mut Vec<u8>, told: &T) {
    // Only maps whose keys are no strings cannot be written, and memory never says no.
    serde_json::to_writer(&mut *line, told)
        .unwrap_or_else(|error| unreachable!("a line can be written: {error}"));
    line.push(b'\n');
}
