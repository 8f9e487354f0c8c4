//! Work: locks and unlocks in turn, counted.

use std::collections::BTreeSet;

use dlmwire_codec::{ExFlags, Mode};
use dlmwire_midcomms::Time;

use super::command::Work;
use super::event::Event;
use super::holder::{Order, Wish};
use super::lock::LockId;
use super::lockspace::Lockspace;
use super::name::Name;

/// Work that is under way in one lockspace.
#[derive(Debug)]
pub(super) struct Job {
    work: Work,
    pub(super) tag: Option<String>,
    began: Time,
    started: u64,
    done: u64,
    errors: u64,
    locks: BTreeSet<LockId>,
}

/// What came of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worked {
    /// Pairs of lock and unlock, those that failed among them.
    pub pairs: u64,
    /// How long it took, in nanoseconds.
    pub nanoseconds: u64,
    /// Locks that were refused or failed.
    pub errors: u64,
}

impl Job {
    pub(super) const fn new(work: Work, tag: Option<String>, now: Time) -> Self {
        Self {
            work,
            tag,
            began: now,
            started: 0,
            done: 0,
            errors: 0,
            locks: BTreeSet::new(),
        }
    }

    /// Asks for as many locks as may be outstanding.
    pub(super) fn go_on(&mut self, now: Time, lockspace: &mut Lockspace) {
        let outstanding = usize::try_from(self.work.outstanding).unwrap_or(usize::MAX);
        while self.started < self.work.pairs && self.locks.len() < outstanding {
            let number = self.started;
            self.started += 1;
            let name = format!("{}{}", self.work.prefix, number % self.work.names.max(1));
            let flags = if self.work.lvb {
                ExFlags::VALBLK
            } else {
                ExFlags::new(0)
            };
            let wish = Wish {
                mode: Mode::Ex,
                exflags: flags,
                lvb: None,
            };
            let asked = Name::new(name.as_bytes())
                .ok()
                .and_then(|name| lockspace.lock(now, name, wish).ok());
            match asked {
                Some(lock) => {
                    self.locks.insert(lock);
                }
                None => self.fail(),
            }
        }
    }

    /// Takes an event of one of its locks. Says whether it was.
    pub(super) fn take(&mut self, now: Time, lockspace: &mut Lockspace, event: &Event) -> bool {
        let Some(lock) = event.lock().filter(|lock| self.locks.contains(lock)) else {
            return false;
        };
        match event {
            Event::Granted { .. } => {
                let number = self.done.to_le_bytes().to_vec();
                let lvb = self.work.lvb.then_some(number);
                if lockspace.order(now, lock, Order::Unlock(lvb)).is_err() {
                    self.locks.remove(&lock);
                    self.fail();
                }
            }
            Event::Unlocked { .. } => {
                self.locks.remove(&lock);
                self.done += 1;
            }
            Event::Refused { .. } | Event::Failed { .. } | Event::Cancelled { .. } => {
                self.locks.remove(&lock);
                self.fail();
            }
            _ => {}
        }
        self.go_on(now, lockspace);
        true
    }

    const fn fail(&mut self) {
        self.errors += 1;
        self.done += 1;
    }

    /// What came of it, when it is done.
    pub(super) fn outcome(&self, now: Time) -> Option<Worked> {
        (self.done >= self.work.pairs).then(|| Worked {
            pairs: self.done,
            nanoseconds: now.since(self.began),
            errors: self.errors,
        })
    }
}
