//! Shortening a schedule that fails, by leaving actions out while it still does.

use crate::plant::Plant;
use crate::run::run;
use crate::schedule::Schedule;

/// Runs that a minimisation may cost.
const RUNS_MAX: usize = 3_000;

/// A schedule that fails as well, with as few actions as leaving out gives; and how it fails.
pub(crate) fn minimise(schedule: &Schedule, plant: Plant) -> (Schedule, String) {
    let mut best = schedule.clone();
    let Some(mut failure) = run(&best, plant, false).failure else {
        return (best, String::from("does not fail"));
    };
    let mut runs = 0;
    let mut size = best.actions.len().div_ceil(2);
    while size > 0 && runs < RUNS_MAX {
        let mut from = 0;
        let mut shorter = false;
        while from < best.actions.len() {
            let mut candidate = best.clone();
            let to = (from + size).min(candidate.actions.len());
            candidate.actions.drain(from..to);
            runs += 1;
            match run(&candidate, plant, false).failure {
                Some(why) if kind(&why) == kind(&failure) => {
                    failure = why;
                    best = candidate;
                    shorter = true;
                }
                Some(_) | None => from = to,
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    (best, failure)
}

/// The words of a failure without its numbers: another failure is another bug.
pub(crate) fn kind(failure: &str) -> String {
    let line = failure.split_once(": ").map_or(failure, |(_, why)| why);
    line.lines()
        .next()
        .unwrap_or("")
        .chars()
        .filter(|c| c.is_alphabetic())
        .take(40)
        .collect()
}
