//! Arbitrary operations on engines: the fuzz target's corpus, and made-up ones, on stable and without a fuzzer.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "a panic is how an oracle reports"
)]
#![allow(unreachable_pub, reason = "the fuzz target includes the operations as well")]

mod operations;

use std::error::Error;
use std::fs;
use std::path::Path;

use operations::{hostile, pair};

/// Runs per oracle; the fuzz target goes on where they stop.
const RUNS: u64 = 20_000;

/// xorshift64*: the same bytes on every machine.
fn made_up(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[7]
    };
    (0..length).map(|_| next()).collect()
}

/// Proves A3, B14, B16, C31.
#[test]
fn any_operations_on_a_pair_keep_the_promise() {
    for seed in 0..RUNS {
        let bytes = made_up(seed, 40 + usize::try_from(seed % 900).unwrap_or(0));
        let outcome = std::panic::catch_unwind(|| pair(&bytes));
        assert!(outcome.is_ok(), "seed {seed}: {bytes:?}");
    }
}

#[test]
fn any_operations_of_a_hostile_peer_are_survived() {
    for seed in 0..RUNS {
        let bytes = made_up(seed, 200 + usize::try_from(seed % 3000).unwrap_or(0));
        let outcome = std::panic::catch_unwind(|| hostile(&bytes));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn every_file_of_the_corpus_keeps_the_promises() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/engine");
    let mut files = 0;
    for file in fs::read_dir(corpus)? {
        let path = file?.path();
        let bytes = fs::read(&path)?;
        println!("{}", path.display());
        pair(&bytes);
        hostile(&bytes);
        files += 1;
    }
    assert!(files > 0, "the corpus must not get lost silently");
    Ok(())
}
