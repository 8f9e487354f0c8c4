//! The simulator: whole clusters of engines on a virtual clock, on links that lose, cut, delay and repeat
//! bytes.
//!
//! A seed stands for a set-up and a list of actions (`schedule`). A run (`run`) carries them out, lets
//! peace come, and demands that everything accepted was delivered once and in order or given up aloud
//! (`verdict`), that every queue empties, and that everybody can leave. A failure prints its seed, the
//! shortest list of actions that still fails, and how to run it again:
//!
//!     SIM_SEED=42 cargo test -p dlmwire-midcomms --test sim replay -- --nocapture
//!
//! `SIM_SEEDS` (100000) seeds are run from `SIM_FROM` (0) on, by `SIM_THREADS` (2) threads.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a test harness: its own overflow or panic is a failure that is seen"
)]

mod app;
mod coverage;
mod driver;
mod events;
mod faults;
mod inject;
mod links;
mod manager;
mod minimise;
mod network;
mod plant;
mod rng;
mod run;
mod schedule;
mod sweep;
mod verdict;
mod world;

use crate::faults::Fault;
use crate::plant::Plant;
use crate::run::run;
use crate::schedule::Schedule;
use crate::sweep::{first_failure, number_from_environment, report, sweep};

/// Runs many seeds; every class of faults must have had its effect, every lively cell of the table its turn.
///
/// Proves C31, C35, D12, D13.
#[test]
fn seeds_keep_every_promise() {
    let from = number_from_environment("SIM_FROM").unwrap_or(0);
    let count = number_from_environment("SIM_SEEDS").unwrap_or(100_000);
    let swept = sweep(from, count);
    println!("{swept}");
    if let Some(seed) = swept.failed.first() {
        panic!(
            "{}\n{} seeds failed",
            report(*seed, Plant::Nothing),
            swept.failed.len()
        );
    }
    if count >= 50_000 {
        for fault in Fault::ALL {
            assert!(swept.tally.of(*fault) > 0, "no effect of: {}", fault.name());
        }
        let missing = swept.coverage.missing();
        assert!(missing.is_empty(), "cells never entered: {missing:?}");
    }
}

/// The same seed does the same, byte for byte, in whatever order runs follow each other.
#[test]
fn same_seed_same_trace() {
    let forwards: Vec<u64> = (0..200)
        .map(|seed| run(&Schedule::of_seed(seed), Plant::Nothing, false).hash)
        .collect();
    let mut backwards: Vec<u64> = (0..200)
        .rev()
        .map(|seed| run(&Schedule::of_seed(seed), Plant::Nothing, false).hash)
        .collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
    let mut distinct = forwards;
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 200);
}

/// Runs the seed `SIM_SEED` and tells the story; with `SIM_MINIMISE=1` the shortest story that fails.
#[test]
fn replay() {
    let Some(seed) = number_from_environment("SIM_SEED") else {
        return;
    };
    let mut schedule = Schedule::of_seed(seed);
    if number_from_environment("SIM_MINIMISE") == Some(1) {
        schedule = minimise::minimise(&schedule, Plant::Nothing).0;
    }
    print!("{schedule}");
    let verdict = run(&schedule, Plant::Nothing, true);
    println!(
        "hash {:016x}, {} steps, {} messages",
        verdict.hash, verdict.steps, verdict.delivered
    );
    if let Some(failure) = verdict.failure {
        panic!("seed {seed} {failure}");
    }
}

/// Seeds within which every planted bug must be found.
const PLANT_SEEDS: u64 = 3_000;

fn catches(plant: Plant) {
    let found = first_failure(plant, PLANT_SEEDS);
    let (seed, failure) = found.unwrap_or_else(|| panic!("{plant:?} was not found in {PLANT_SEEDS} seeds"));
    println!(
        "{plant:?}: seed {seed} {}",
        failure.lines().next().unwrap_or_default()
    );
    assert!(
        run(&Schedule::of_seed(seed), Plant::Nothing, false)
            .failure
            .is_none(),
        "fails without {plant:?} too"
    );
}

#[test]
fn sim_catches_forgotten_close() {
    catches(Plant::ForgetsToClose);
}

#[test]
fn sim_catches_forgotten_link_down() {
    catches(Plant::ForgetsLinkDown);
}

#[test]
fn sim_catches_double_delivery() {
    catches(Plant::DeliversTwice);
}

#[test]
fn sim_catches_dropped_delivery() {
    catches(Plant::DropsDelivery);
}

#[test]
fn sim_catches_swapped_deliveries() {
    catches(Plant::SwapsDeliveries);
}

#[test]
fn sim_catches_forgotten_read_done() {
    catches(Plant::ForgetsReadDone);
}

#[test]
fn sim_catches_missing_redial() {
    catches(Plant::DialsOnce);
}

#[test]
fn sim_catches_forgotten_writable() {
    catches(Plant::ForgetsWritable);
}

#[test]
fn sim_catches_overstated_transmission() {
    catches(Plant::OverstatesTransmitted);
}

#[test]
fn sim_catches_forgotten_timeout() {
    catches(Plant::ForgetsTimeout);
}

#[test]
fn sim_catches_changed_payload() {
    catches(Plant::ChangesPayload);
}

#[test]
fn sim_catches_forgotten_fence() {
    catches(Plant::ForgetsFence);
}

#[test]
fn sim_catches_hidden_restart() {
    catches(Plant::HidesRestart);
}
