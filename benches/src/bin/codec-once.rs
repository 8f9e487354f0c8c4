//! Goes through the cached buffer once with one loop, for tools that count instructions; see `README.md`.
//!
//! `codec-once {view|full|deframe|encode} {hand|codec}`

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use dlmwire_benches::{codec, hand, mix};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (bytes, messages) = mix::generate(mix::CACHED_BYTES);
    let fields = codec::fields(&bytes);
    let plain = hand::plain(&bytes);
    let mut out = vec![1; bytes.len()];
    match arguments.as_slice() {
        ["deframe", "hand"] => _ = black_box(hand::deframe(&bytes)),
        ["deframe", "codec"] => _ = black_box(codec::deframe(&bytes)),
        ["view", "hand"] => _ = black_box(hand::view(&bytes)),
        ["view", "codec"] => _ = black_box(codec::view(&bytes)),
        ["full", "hand"] => _ = black_box(hand::full(&bytes)),
        ["full", "codec"] => _ = black_box(codec::full(&bytes)),
        ["encode", "hand"] => _ = black_box(hand::encode(&plain, &mut out)),
        ["encode", "codec"] => _ = black_box(codec::encode(&fields, &mut out)),
        _ => {
            eprintln!("codec-once {{view|full|deframe|encode}} {{hand|codec}}");
            return ExitCode::FAILURE;
        }
    }
    println!("{messages}");
    ExitCode::SUCCESS
}
