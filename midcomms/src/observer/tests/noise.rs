//! Lines in no sensible order: nothing may break, and nothing may grow.

use super::fixture::Wire;
use crate::observer::{Ending, FactKind};

const LINES: [&str; 34] = [
    "A opts 0",
    "A opts 1",
    "A opts 2",
    "A opts 3",
    "A opts 5",
    "A opts 900",
    "A opts 1 other",
    "A opts 0 other",
    "A fin 2",
    "A fin 4",
    "B opts 0",
    "B opts 1",
    "B opts 2",
    "B fin 2",
    "B fin 3",
    "A ack 1",
    "A ack 3",
    "B ack 2",
    "B ack 3",
    "B ack 900",
    "A status",
    "B status",
    "A reply",
    "A status 3.1",
    "B msg",
    "A names 0",
    "A broken 1",
    "B wrong 1",
    "A junk",
    "B lost framing",
    "A hole",
    "B closes",
    "end",
    "B not ready 0",
];

/// A step of xorshift64: the seed is never 0.
fn step(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn noise_breaks_nothing_and_tells_little_at_a_time() {
    let mut clean = 0;
    for seed in 1..=4000_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = [0, 1, 1 << 31, u32::MAX - 1][usize::try_from(seed % 4).unwrap()];
        let mut wire = Wire::silent(start);
        let (mut links, mut up) = (0, Vec::new());
        for _ in 0..60 {
            let line = match step(&mut state) % 12 {
                0 => {
                    links += 1;
                    up.push(links);
                    format!(
                        "up {links} {}",
                        if step(&mut state).is_multiple_of(2) {
                            "A"
                        } else {
                            "B"
                        }
                    )
                }
                1 if !up.is_empty() => {
                    let end =
                        ["reset", "abort", "eof", "gone"][usize::try_from(step(&mut state) % 4).unwrap()];
                    format!("{end} {}", up.remove(0))
                }
                _ => {
                    let count = u64::try_from(LINES.len()).unwrap();
                    String::from(LINES[usize::try_from(step(&mut state) % count).unwrap()])
                }
            };
            wire.act(&line);
            let facts: Vec<_> = core::iter::from_fn(|| wire.observer.poll_fact()).collect();
            assert!(facts.len() <= 16, "seed {seed}, {line}: {facts:?}");
            let ended = |kind| {
                matches!(
                    kind,
                    FactKind::ConversationEnded {
                        how: Ending::Clean,
                        ..
                    }
                )
            };
            clean += facts.iter().filter(|fact| ended(fact.kind)).count();
        }
        for summary in wire.observer.summaries() {
            let numbers = summary.numbers;
            assert!(numbers.gaps_filled <= numbers.gaps, "seed {seed}");
            assert!(numbers.resent_distinct <= numbers.resent, "seed {seed}");
            assert!(
                numbers.resent <= numbers.duplicates + numbers.early + numbers.sent,
                "seed {seed}"
            );
            assert!(summary.states.len() <= 256, "seed {seed}");
        }
    }
    assert!(
        clean > 20,
        "{clean} conversations ended cleanly: the noise says too little"
    );
}
