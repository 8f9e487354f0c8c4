//! `dlmwire bench`: that it measures at all; how fast anything is, is nobody's test.

use std::fs;

use serde_json::Value;

use crate::support::{code, dlmwire, file, stderr, stdout};

/// As little as it takes.
const SHORT: [&str; 9] = [
    "bench",
    "--network",
    "here",
    "--seconds",
    "0.05",
    "--repetitions",
    "1",
    "--sizes",
    "64",
];

fn bench(more: &[&str]) -> std::process::Output {
    let output = dlmwire().args(SHORT).args(more).output();
    output.expect("the command runs")
}

#[test]
fn bench_measures_every_pattern_beside_plain_sockets() {
    let svg = file("bench.svg", b"");
    let output = bench(&[
        "--transport",
        "mem,tcp",
        "--connections",
        "3",
        "--json",
        "--svg",
        &svg,
    ]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).expect("the report is JSON");
    let rows = report["rows"].as_array().expect("a list of rows");
    for pattern in ["stream", "handle", "pingpong", "fanin"] {
        let of = |program: &str| {
            rows.iter()
                .find(|row| row["pattern"] == pattern && row["program"] == program)
                .unwrap_or_else(|| panic!("{pattern} of {program}"))
        };
        let (yardstick, wide) = match pattern {
            "pingpong" | "fanin" => ("raw", "raw-wide"),
            _ => ("raw-r1", "raw-r1-wide"),
        };
        let hand_written = if pattern == "pingpong" {
            wide
        } else {
            "raw-r1-wide"
        };
        for program in [yardstick, wide, hand_written, "mem", "tcp"] {
            let row = of(program);
            assert!(row["messages_per_second"]["median"].as_f64() > Some(0.0), "{row}");
            assert!(
                row["cpu_seconds_per_million"]["median"].as_f64() > Some(0.0),
                "{row}"
            );
        }
        assert_eq!(of(yardstick)["rate_ratio"]["median"], 1.0);
        if pattern == "fanin" {
            let acknowledges = |program| of(program)["acks_per_message"].as_f64() > Some(0.0);
            let told = ["raw", "raw-wide", "raw-r1-wide", "tcp"].map(acknowledges);
            assert_eq!(told, [false, false, true, true]);
        }
    }
    let picture = fs::read_to_string(svg).expect("the picture was written");
    assert!(
        picture.starts_with("<svg") && picture.contains("stream"),
        "{picture}"
    );
}

#[test]
fn saved_figures_are_compared_with() {
    let saved = file("bench.json", b"");
    let stream = ["--transport", "mem", "--pattern", "stream"];
    let output = bench(&[&stream[..], &["--save", &saved]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!stdout(&output).contains("x before"));
    let output = bench(&[&stream[..], &["--against", &saved]].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("x before"), "{}", stdout(&output));
}

#[test]
fn figures_that_cannot_be_read_end_with_2_before_anything_is_measured() {
    let broken = file("bench-broken.json", b"{}");
    let output = bench(&["--against", &broken]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("bench-broken.json"),
        "{}",
        stderr(&output)
    );
    let output = bench(&["--against", "/nonexistent/base.json"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("/nonexistent/base.json"),
        "{}",
        stderr(&output)
    );
}
