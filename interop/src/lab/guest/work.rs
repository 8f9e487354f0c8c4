//! Many locks at once: EX and unlock of names in turn, counted so that no verdict can be lost or come twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::control::{LockFlags, LockOp, LockRequest, Mode, Notice, UNLOCKED};
use super::error::{At, LabError, Result};
use super::journal::Journal;
use super::locks::Device;
use super::wait;

/// How long to sleep without a result before the stall is looked at, in milliseconds.
const TICK_MS: u32 = 50;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Pairs of lock and unlock.
    pub pairs: u64,
    /// Names, used in turn: `PREFIX0`, `PREFIX1`, ...
    pub names: u64,
    /// What the names begin with.
    pub prefix: String,
    /// Pairs under way at a time.
    pub outstanding: u64,
    /// No result for so long is the end: what is under way counts as lost.
    pub stall: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Pairs that were locked and unlocked, each verdict once.
    pub pairs: u64,
    /// Verdicts other than granted and unlocked, and requests that the kernel did not take.
    pub errors: u64,
    /// Requests without a verdict at the end.
    pub lost: u64,
    /// Verdicts for requests that had theirs, or were never made.
    pub twice: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The longest time that a request waited.
    pub longest: Duration,
    /// The first error, in words.
    pub first_error: Option<String>,
}

/// Work under way in a thread of its own.
pub struct Worker {
    done: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Work>>,
    journal: Journal,
}

impl WorkPlan {
    /// So many pairs on 32 names, 32 under way, 20 s without a result is the end.
    pub fn pairs(pairs: u64) -> Self {
        Self {
            pairs,
            names: 32,
            prefix: "work".to_owned(),
            outstanding: 32,
            stall: Duration::from_secs(20),
        }
    }

    fn name(&self, pair: u64) -> String {
        format!("{}{}", self.prefix, pair % self.names.max(1))
    }
}

impl Work {
    /// Pairs per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            f64::from(u32::try_from(self.pairs).unwrap_or(u32::MAX)) / seconds
        } else {
            0.0
        }
    }

    /// Every request had its one verdict, and the right one, and all pairs were done.
    ///
    /// # Errors
    ///
    /// The counts, in words.
    pub fn require_clean(&self, pairs: u64) -> Result<()> {
        if self.pairs == pairs && self.errors + self.lost + self.twice == 0 {
            return Ok(());
        }
        let first = self.first_error.as_deref().unwrap_or("none");
        Err(LabError::unexpected(format!(
            "work: {} of {pairs} pairs, {} errors (first: {first}), {} lost, {} twice",
            self.pairs, self.errors, self.lost, self.twice
        )))
    }
}

impl Worker {
    /// Begins the work on lockspace `name`, through a file of its own.
    ///
    /// # Errors
    ///
    /// When the device cannot be opened.
    pub fn begin(lockspace: &str, plan: WorkPlan, journal: &Journal) -> Result<Self> {
        let device = Device::open(lockspace)?;
        let done = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        journal.note(
            "work",
            &[
                ("lockspace", lockspace.into()),
                ("pairs", plan.pairs.into()),
                ("outstanding", plan.outstanding.into()),
            ],
        );
        let (counter, stopped) = (Arc::clone(&done), Arc::clone(&stop));
        let thread = thread::Builder::new().name("work".into());
        let thread = thread
            .spawn(move || work(&device, &plan, &counter, &stopped))
            .on("start a thread")?;
        Ok(Self {
            done,
            stop,
            thread,
            journal: journal.clone(),
        })
    }

    /// Whether it has ended, well or not.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Pairs done so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Begins no new pair; those under way end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until it is done.
    ///
    /// # Errors
    ///
    /// When it is not within `limit`, or the device broke.
    pub fn finish(self, limit: Duration) -> Result<Work> {
        let done = self.done();
        let name = format!("the end of the work ({done} pairs done when the wait began)");
        let work = wait::join(&name, self.thread, limit)??;
        self.journal.note(
            "worked",
            &[
                ("pairs", work.pairs.into()),
                ("errors", work.errors.into()),
                ("lost", work.lost.into()),
                ("twice", work.twice.into()),
                ("seconds", work.elapsed.as_secs_f64().into()),
            ],
        );
        Ok(work)
    }
}

/// What is under way, by number; never the same number for two requests.
struct Pending {
    step: Step,
    since: Instant,
}

#[derive(Clone, Copy)]
enum Step {
    Locking,
    Unlocking,
}

fn work(device: &Device, plan: &WorkPlan, done: &AtomicU64, stop: &AtomicBool) -> Result<Work> {
    let begun = Instant::now();
    let mut last_result = begun;
    let mut work = Work::default();
    let mut pending = BTreeMap::new();
    let (mut begun_pairs, mut last_number) = (0, 0);
    loop {
        let more = begun_pairs < plan.pairs && !stop.load(Ordering::Relaxed);
        if more && (pending.len() as u64) < plan.outstanding.max(1) {
            let name = plan.name(begun_pairs);
            begun_pairs += 1;
            let op = LockOp::Lock {
                name: name.as_bytes(),
                mode: Mode::Ex,
            };
            send(
                device,
                op,
                Step::Locking,
                &mut last_number,
                &mut pending,
                &mut work,
            );
            continue;
        }
        if pending.is_empty() {
            break;
        }
        let Some(result) = device.result()? else {
            if last_result.elapsed() > plan.stall {
                break;
            }
            device.wait(TICK_MS)?;
            continue;
        };
        last_result = Instant::now();
        let Some(was) = pending.remove(&result.number) else {
            work.twice += 1;
            continue;
        };
        work.longest = work.longest.max(was.since.elapsed());
        let Notice::Completion { status, .. } = result.what else {
            work.error(|| "a blocking notice that was not asked for".to_owned());
            continue;
        };
        match (was.step, status) {
            (Step::Locking, 0) => {
                let op = LockOp::Unlock { id: result.id };
                send(
                    device,
                    op,
                    Step::Unlocking,
                    &mut last_number,
                    &mut pending,
                    &mut work,
                );
            }
            (Step::Unlocking, UNLOCKED) => {
                work.pairs += 1;
                done.store(work.pairs, Ordering::Relaxed);
            }
            (Step::Locking, _) => work.error(|| format!("lock ended with status {status}")),
            (Step::Unlocking, _) => work.error(|| format!("unlock ended with status {status}")),
        }
    }
    work.lost = pending.len() as u64;
    work.elapsed = begun.elapsed();
    Ok(work)
}

fn send(
    device: &Device,
    op: LockOp<'_>,
    step: Step,
    last_number: &mut u64,
    pending: &mut BTreeMap<u64, Pending>,
    work: &mut Work,
) {
    *last_number += 1;
    let request = LockRequest {
        op,
        flags: LockFlags::NONE,
        value: None,
        number: *last_number,
        blocking: false,
    };
    let since = Instant::now();
    match device.request(&request) {
        Ok(_) => {
            pending.insert(*last_number, Pending { step, since });
        }
        Err(error) => work.error(|| error.to_string()),
    }
}

impl Work {
    fn error(&mut self, text: impl FnOnce() -> String) {
        self.errors += 1;
        if self.first_error.is_none() {
            self.first_error = Some(text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_in_turn() {
        let plan = WorkPlan {
            names: 3,
            prefix: "n".to_owned(),
            ..WorkPlan::pairs(10)
        };
        let names: Vec<_> = (0..5).map(|pair| plan.name(pair)).collect();
        assert_eq!(names, ["n0", "n1", "n2", "n0", "n1"]);
        assert_eq!(WorkPlan { names: 0, ..plan }.name(7), "n0");
    }

    #[test]
    fn work_is_clean_only_if_every_verdict_came_once() {
        let clean = Work {
            pairs: 5,
            ..Work::default()
        };
        clean.require_clean(5).expect("clean");
        for bad in [
            Work {
                pairs: 4,
                ..clean.clone()
            },
            Work {
                errors: 1,
                ..clean.clone()
            },
            Work {
                lost: 1,
                ..clean.clone()
            },
            Work {
                twice: 1,
                ..clean.clone()
            },
        ] {
            bad.require_clean(5).expect_err("not clean");
        }
    }
}
