//! `cross`, `trace2pcap` and `check --trace`, on samples of real kernels.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{code, run, stderr, stdout};

/// A sample of the lab: a capture and the trace of node 1's kernel.
fn sample(name: &str) -> [String; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("interop/tests/data/lab")
        .join(name);
    ["link.pcapng.gz", "trace.txt.gz"].map(|file| folder.join(file).display().to_string())
}

const SAMPLE: &str = "7.2-join";

/// A file of this test alone.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cross-{name}"))
}

#[test]
fn real_trace_agrees_with_its_capture() {
    let [capture, trace] = sample(SAMPLE);
    let output = run(["cross", &capture, "--trace", &trace, "--node", "1"]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    let text = stdout(&output);
    for word in [
        "clock",
        "as the trace says",
        "peer",
        "paired",
        "bytes",
        "time",
        "agree: 0 error",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let output = run([
        "cross", &capture, "--trace", &trace, "--node", "1", "--peer", "2", "--json",
    ]);
    let lines: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["kind"], "summary");
    assert_eq!(summary["agrees"], true);
    assert!(
        lines
            .iter()
            .any(|line| line["kind"] == "peer" && line["peer"] == 2)
    );
}

#[test]
fn trace_of_another_run_does_not_agree_and_strange_nodes_are_refused() {
    let [capture, _] = sample(SAMPLE);
    let [_, trace] = sample("6.1-join");
    let output = run(["cross", &capture, "--trace", &trace, "--node", "1"]);
    assert_ne!(code(&output), 0, "{}", stdout(&output));
    let output = run(["cross", &capture, "--trace", &trace, "--node", "9"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("node 9 is not in the capture"),
        "{}",
        stderr(&output)
    );
    let output = run(["cross", &capture, "--trace", &trace, "--node", "2=10.77.0.2"]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("--node: one ID says whose trace it is"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn samples_with_resets_agree_in_cross_and_in_check() {
    for kernel in ["6.1", "6.12", "7.2"] {
        let [capture, trace] = sample(&format!("{kernel}-resets"));
        let output = run(["cross", &capture, "--trace", &trace, "--node", "1"]);
        let text = stdout(&output);
        assert_eq!(code(&output), 0, "{kernel}: {text}{}", stderr(&output));
        assert!(text.contains("agree: 0 error, 0 warn"), "{kernel}: {text}");
        let output = run(["check", "--trace", &format!("1={trace}"), &capture]);
        let text = stdout(&output);
        assert_eq!(code(&output), 0, "{kernel}: {text}{}", stderr(&output));
        assert!(!text.contains("DLM-KTRC-002"), "{kernel}: {text}");
    }
}

/// A trace of which one line is gone does not agree, and the exit code says so.
#[test]
fn trace_without_one_of_its_lines_does_not_agree() {
    let [capture, trace] = sample("6.1-resets");
    let unpacked = std::process::Command::new("gzip").args(["-dc", &trace]).output();
    let text = unpacked.expect("gzip is there").stdout;
    let text = String::from_utf8(text).expect("a trace is text");
    let taken: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("dlm_recv_message:"))
        .map(|(place, _)| place)
        .collect();
    let gone = taken[taken.len() / 2];
    let lines: Vec<&str> = text
        .lines()
        .enumerate()
        .filter(|(place, _)| *place != gone)
        .map(|(_, line)| line)
        .collect();
    let path = scratch("one-line-less.txt");
    fs::write(&path, lines.join("\n")).expect("a scratch file");
    let path = path.display().to_string();
    let output = run(["cross", &capture, "--trace", &path, "--node", "1"]);
    let told = stdout(&output);
    assert_eq!(code(&output), 1, "{told}{}", stderr(&output));
    assert!(told.contains("error frame-without-event: 1"), "{told}");
    let output = run(["check", "--trace", &format!("1={path}"), &capture]);
    assert_eq!(code(&output), 1, "{}", stdout(&output));
    assert!(stdout(&output).contains("DLM-KTRC-002"), "{}", stdout(&output));
}

#[test]
fn nothing_but_bare_messages_is_nothing_to_compare() {
    let [capture, trace] = sample("6.12-we-speak-3-1");
    let output = run(["cross", &capture, "--trace", &trace, "--node", "1"]);
    assert_eq!(code(&output), 2, "{}", stdout(&output));
    let told = stderr(&output);
    assert!(
        told.contains("nothing to compare") && told.contains("travels bare"),
        "{told}"
    );
}

#[test]
fn file_that_is_no_trace_ends_with_2_and_names_its_first_line() {
    let [capture, _] = sample(SAMPLE);
    let path = scratch("no-trace.txt");
    fs::write(&path, "hello\n").expect("a scratch file");
    let path = path.display().to_string();
    for args in [
        vec!["cross", &capture, "--trace", &path, "--node", "1"],
        vec!["trace2pcap", &path, "/dev/null", "--node", "1"],
    ] {
        let output = crate::support::dlmwire()
            .args(&args)
            .output()
            .expect("the command runs");
        assert_eq!(code(&output), 2, "{args:?}");
        let told = stderr(&output);
        assert!(
            told.contains("no dlm event in 1 lines; line 1: neither an event nor a comment"),
            "{told}"
        );
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn rebuilt_capture_is_read_by_check_and_dump() {
    let [_, trace] = sample(SAMPLE);
    let out = scratch("rebuilt.pcapng").display().to_string();
    let output = run(["trace2pcap", &trace, &out, "--node", "1"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("frames of"), "{}", stdout(&output));
    let output = run(["dump", &out]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("NAMES"), "{}", stdout(&output));
    let output = run(["check", &out]);
    assert!(code(&output) < 2, "{}", stderr(&output));
}

#[test]
fn check_takes_a_trace_and_refuses_one_of_nobody() {
    let [capture, trace] = sample(SAMPLE);
    let output = run(["check", "--trace", &format!("1={trace}"), &capture]);
    assert_eq!(code(&output), 0, "{}{}", stdout(&output), stderr(&output));
    assert!(!stdout(&output).contains("DLM-KTRC-002"), "{}", stdout(&output));
    let output = run(["check", "--trace", &trace, &capture]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("a trace has to say whose it is"),
        "{}",
        stderr(&output)
    );
}
