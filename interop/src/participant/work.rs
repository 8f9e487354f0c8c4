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

/// Failures in a row after which the rest is not tried: each may have cost many questions, and nobody answers them.
const FAILURES_MAX: u32 = 64;

/// Work that is under way in one lockspace.
#[derive(Debug)]
pub(super) struct Job {
    work: Work,
    pub(super) tag: Option<String>,
    began: Time,
    started: u64,
    done: u64,
    errors: u64,
    /// Failures since the last pair that worked.
    failures: u32,
    locks: BTreeSet<LockId>,
}

/// What came of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worked {
    /// Pairs of lock and unlock, those that failed among them. Fewer than were ordered if too many in a row failed.
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
            failures: 0,
            locks: BTreeSet::new(),
        }
    }

    /// Asks for as many locks as may be outstanding.
    pub(super) fn go_on(&mut self, now: Time, lockspace: &mut Lockspace) {
        let outstanding = usize::try_from(self.work.outstanding).unwrap_or(usize::MAX);
        while self.failures < FAILURES_MAX && self.started < self.work.pairs && self.locks.len() < outstanding
        {
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
                self.failures = 0;
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
        self.failures = self.failures.saturating_add(1);
    }

    /// What came of it, when it is done.
    pub(super) fn outcome(&self, now: Time) -> Option<Worked> {
        let given_up = self.failures >= FAILURES_MAX && self.locks.is_empty();
        (self.done >= self.work.pairs || given_up).then(|| Worked {
            pairs: self.done,
            nanoseconds: now.since(self.began),
            errors: self.errors,
        })
    }
}

#[cfg(test)]
mod tests {
    use dlmwire_codec::{LockspaceId, NodeId};

    use super::*;
    use crate::participant::lockspace::Config;

    #[test]
    fn work_of_which_nothing_succeeds_is_given_up() {
        let node = NodeId::new(2).expect("not 0");
        // Nobody is a member: every lock is refused.
        let mut lockspace = Lockspace::new(Config::new(node, LockspaceId::from_name(b"ls1")));
        let work = Work {
            pairs: u64::MAX,
            prefix: "work".to_owned(),
            names: 8,
            outstanding: 8,
            lvb: false,
        };
        let mut job = Job::new(work, None, Time(0));
        job.go_on(Time(0), &mut lockspace);
        let worked = job.outcome(Time(1)).expect("it is over");
        assert_eq!((worked.pairs, worked.errors), (64, 64));
    }
}
