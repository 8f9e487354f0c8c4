//! Many seeds at once, and what to say about them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::coverage::Coverage;
use crate::faults::Tally;
use crate::minimise::{kind, minimise};
use crate::plant::Plant;
use crate::run::{Verdict, run};
use crate::schedule::Schedule;

/// Threads, unless `SIM_THREADS` says otherwise.
const THREADS: u64 = 2;

/// Seeds that a thread takes at once.
const BATCH: u64 = 256;

/// Seeds shown for each way to fail.
const SHOWN_MAX: usize = 12;

/// Failed seeds after which a sweep gives up, unless `SIM_FAILED_MAX` says otherwise.
const FAILED_MAX: u64 = 20;

/// What a sweep found.
pub(crate) struct Sweep {
    /// The seeds that failed, lowest first.
    pub(crate) failed: Vec<u64>,
    /// The ways to fail, with their seeds.
    kinds: BTreeMap<String, Vec<u64>>,
    /// The faults that had an effect.
    pub(crate) tally: Tally,
    /// The cells that were entered.
    pub(crate) coverage: Coverage,
    seeds: u64,
    steps: u64,
    delivered: u64,
    seconds: f64,
}

/// Runs `count` seeds from `from` on.
pub(crate) fn sweep(from: u64, count: u64) -> Sweep {
    let started = Instant::now();
    let next = AtomicU64::new(from);
    let total = Mutex::new(Sweep::new());
    let failed_max = number_from_environment("SIM_FAILED_MAX").unwrap_or(FAILED_MAX);
    let threads = number_from_environment("SIM_THREADS").unwrap_or(THREADS);
    let work = || {
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            if first >= from + count {
                break;
            }
            let mut batch = Sweep::new();
            for seed in first..(first + BATCH).min(from + count) {
                batch.add(seed, run(&Schedule::of_seed(seed), Plant::Nothing, false));
            }
            let mut total = total.lock().expect("no panic while it is held");
            total.merge(batch);
            if total.failed.len() as u64 >= failed_max {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut total = total.into_inner().expect("no panic while it was held");
    total.failed.sort_unstable();
    total.seconds = started.elapsed().as_secs_f64();
    total
}

impl Sweep {
    const fn new() -> Self {
        Self {
            failed: Vec::new(),
            kinds: BTreeMap::new(),
            tally: Tally::new(),
            coverage: Coverage::new(),
            seeds: 0,
            steps: 0,
            delivered: 0,
            seconds: 0.0,
        }
    }

    fn add(&mut self, seed: u64, verdict: Verdict) {
        self.seeds += 1;
        self.steps += verdict.steps;
        self.delivered += verdict.delivered;
        self.tally.merge(&verdict.tally);
        self.coverage.merge(&verdict.coverage);
        if let Some(failure) = verdict.failure {
            self.failed.push(seed);
            self.kinds.entry(kind(&failure)).or_default().push(seed);
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.delivered += other.delivered;
        self.tally.merge(&other.tally);
        self.coverage.merge(&other.coverage);
        self.failed.extend(other.failed);
        for (kind, seeds) in other.kinds {
            self.kinds.entry(kind).or_default().extend(seeds);
        }
    }
}

/// The first of `count` seeds in which a planted bug is found, and how.
pub(crate) fn first_failure(plant: Plant, count: u64) -> Option<(u64, String)> {
    (0..count).find_map(|seed| Some((seed, run(&Schedule::of_seed(seed), plant, false).failure?)))
}

/// A failed seed for a person: how it fails, the shortest schedule that does, and how to run it again.
pub(crate) fn report(seed: u64, plant: Plant) -> String {
    let (schedule, failure) = minimise(&Schedule::of_seed(seed), plant);
    format!(
        "seed {seed} {failure}\n{schedule}again: SIM_SEED={seed} SIM_MINIMISE=1 \
         cargo test -p dlmwire-midcomms --test sim replay -- --nocapture"
    )
}

/// A number that the environment sets.
pub(crate) fn number_from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{name}={text}: {error}")),
    )
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} seeds in {:.1} s: {:.0} a second; {:.0} steps and {:.1} messages a seed; {} failed",
            self.seeds,
            self.seconds,
            self.seeds as f64 / self.seconds,
            self.steps as f64 / self.seeds as f64,
            self.delivered as f64 / self.seeds as f64,
            self.failed.len()
        )?;
        for (kind, seeds) in &self.kinds {
            let some = &seeds[..seeds.len().min(SHOWN_MAX)];
            writeln!(f, "  {} seeds, as {some:?}: {kind}", seeds.len())?;
        }
        write!(
            f,
            "faults that had an effect\n{}cells of the table\n{}",
            self.tally, self.coverage
        )
    }
}
