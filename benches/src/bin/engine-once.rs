//! Sends a number of batches through two engines, for tools that count instructions; see `README.md`.
//!
//! `engine-once [BATCHES]`

use std::env;
use std::hint::black_box;

use dlmwire_benches::engine::{BATCH, Pair};

fn main() {
    let batches = env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let payload = [7; 128];
    let mut pair = Pair::connected();
    let mut delivered = 0;
    for _ in 0..batches {
        delivered += pair.turn(black_box(&payload));
    }
    assert_eq!(delivered, batches * BATCH, "each once");
    println!("{delivered}");
}
