//! Arbitrary files: the fuzz targets' corpora, and made-up ones, on stable and without a fuzzer.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a panic is how a property reports"
)]
#![allow(unreachable_pub, reason = "the fuzz targets include the properties as well")]

mod files;

use std::error::Error;
use std::fs;
use std::path::Path;

use files::{capture, hostile, pieces, texts};

/// Runs per property; the fuzz targets go on where they stop.
const RUNS: u64 = 1000;

/// Changed files per file of the corpora that are not made of choices.
const CHANGES: u64 = 40;

/// xorshift64*: the same bytes on every machine.
struct Random(u64);

impl Random {
    const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn byte(&mut self) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()[7]
    }

    fn below(&mut self, bound: usize) -> usize {
        let number = u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
        usize::try_from(number).unwrap_or(0) % bound.max(1)
    }
}

fn holds_for_made_up_bytes(property: fn(&[u8])) {
    for seed in 0..RUNS {
        let mut random = Random::new(seed);
        let length = 40 + random.below(900);
        let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        let outcome = std::panic::catch_unwind(|| property(&bytes));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

/// Every file of a corpus, and what it becomes by a few changes.
fn holds_for_the_corpus(target: &str, property: fn(&[u8]), changes: u64) -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files = 0;
    for file in fs::read_dir(corpus)? {
        let path = file?.path();
        let bytes = fs::read(&path)?;
        println!("{}", path.display());
        property(&bytes);
        for seed in 0..changes {
            let changed = changed(&bytes, seed);
            let outcome = std::panic::catch_unwind(|| property(&changed));
            assert!(outcome.is_ok(), "{} changed by seed {seed}", path.display());
        }
        files += 1;
    }
    assert!(files > 0, "the corpus must not get lost silently");
    Ok(())
}

fn changed(bytes: &[u8], seed: u64) -> Vec<u8> {
    let (mut random, mut bytes) = (Random::new(seed), bytes.to_vec());
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes.get_mut(at..end).unwrap_or_default().fill(0xff),
            _ => {
                let value = random.byte();
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
        }
    }
    bytes
}

#[test]
fn sound_conversations_cut_into_any_packets_come_out_whole() {
    holds_for_made_up_bytes(pieces);
}

#[test]
fn any_packets_of_hostile_senders_are_survived_within_bounds() {
    holds_for_made_up_bytes(hostile);
}

#[test]
fn any_capture_file_is_read_to_an_end_that_adds_up() -> Result<(), Box<dyn Error>> {
    holds_for_the_corpus("capture", capture, CHANGES)
}

#[test]
fn any_text_for_a_trace_log_or_schedule_is_read_to_its_end() -> Result<(), Box<dyn Error>> {
    holds_for_the_corpus("texts", texts, CHANGES)
}

#[test]
fn every_file_of_the_packets_corpus_keeps_the_promises() -> Result<(), Box<dyn Error>> {
    holds_for_the_corpus("packets", pieces, 0)?;
    holds_for_the_corpus("packets", hostile, 0)
}
