//! `dlmwire demo`.

use std::path::Path;

use serde_json::Value;

use crate::support::{code, dlmwire, run, stderr, stdout};

/// Runs a small demo with many resets to its end.
fn demo(args: &[&str]) -> (i32, String) {
    run_demo(&[&["--messages", "20000", "--kill-every", "500"], args].concat())
}

fn run_demo(args: &[&str]) -> (i32, String) {
    let output = dlmwire()
        .args(["demo", "--port", "0"])
        .args(args)
        .output()
        .expect("the command runs");
    assert_eq!(stderr(&output), "", "{args:?}");
    (code(&output), stdout(&output))
}

fn number(object: &Value, key: &str) -> u64 {
    object[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {object}"))
}

/// What `check` says at all but a note. A node that has left and is dialed once more still greets: that is let
/// through here.
fn complaints(path: &str) -> Vec<String> {
    let output = run(["check", "--format", "jsonl", path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let lines = stdout(&output);
    let findings = lines.lines().filter(|line| {
        let finding: Value = serde_json::from_str(line).expect("it is JSON");
        let severity = finding["severity"].as_str();
        severity.is_some() && severity != Some("note")
    });
    findings.map(str::to_owned).collect()
}

/// Proves A1, D6.
#[test]
fn connections_reset_on_the_way_every_message_arrives_once_and_both_close() {
    for seed in ["1", "2", "3"] {
        let (code, text) = demo(&["--json", "--seed", seed]);
        assert_eq!(code, 0, "seed {seed}: {text}");
        let demo: Value = serde_json::from_str(&text).expect("it is one JSON object");
        assert_eq!(demo["kept"], true);
        assert_eq!(demo["broken"], Value::Null);
        assert_eq!(number(&demo, "delivered"), 40_000);
        for wrong in ["lost", "duplicated", "reordered", "damaged"] {
            assert_eq!(number(&demo, wrong), 0, "seed {seed}: {wrong}");
        }
        for work in ["resets", "resets_inside_a_frame", "reconnects", "resent", "acks"] {
            assert!(number(&demo, work) > 0, "seed {seed}: {work} in {demo}");
        }
        assert_eq!(demo["seed"], seed.parse::<u64>().expect("a number"));
        let states = demo["nodes"]
            .as_array()
            .expect("two nodes")
            .iter()
            .map(|node| &node["states"]);
        let states: Vec<&Value> = states.collect();
        let first = ["CLOSED", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSED"];
        let second = ["CLOSED", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSED"];
        assert_eq!(
            states,
            [&Value::from(first.to_vec()), &Value::from(second.to_vec())]
        );
        assert_eq!(number(&demo["nodes"][1], "sent_behind_fin"), 200);
    }
}

#[test]
fn text_says_what_it_took_and_that_the_promise_was_kept() {
    let (code, text) = demo(&["--seed", "4"]);
    assert_eq!(code, 0, "{text}");
    for words in [
        "20,000 messages of 128 bytes each way",
        "--seed 4",
        "20,000 messages from node 1 to node 2, 20,000 back",
        "0 lost, 0 delivered twice, 0 out of order, 0 damaged",
        "inside a frame",
        "CLOSED -> ESTABLISHED -> FIN_WAIT1 -> FIN_WAIT2 -> CLOSED",
        "node 2 sent 200 more messages behind node 1's FIN",
        "kept: every message once, in order, as it was sent",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn sizes_at_both_ends_and_nothing_cut() {
    for size in ["16", "17", "3984"] {
        let (code, text) = run_demo(&["--json", "--size", size, "--messages", "300", "--kill-every", "0"]);
        assert_eq!(code, 0, "{text}");
        let demo: Value = serde_json::from_str(&text).expect("it is one JSON object");
        assert_eq!(number(&demo, "delivered"), 600);
        assert_eq!(number(&demo, "resets"), 0);
        assert_eq!(demo["kill_every"], Value::Null);
    }
    let (code, text) = run_demo(&["--messages", "1"]);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn recorded_demo_passes_check_and_is_read_by_the_other_verbs() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("demo.pcapng")
        .display()
        .to_string();
    for seed in ["1", "2"] {
        let (code_of_demo, text) = demo(&["--seed", seed, "--record", &path]);
        assert_eq!(code_of_demo, 0, "{text}");
        assert!(text.contains(&format!("dlmwire check {path}")), "{text}");
        assert_eq!(complaints(&path), [""; 0], "seed {seed}");
        let output = run(["check", &path]);
        let report = stdout(&output);
        for words in [
            "1 (127.0.0.1) speaks 3.2; 2 (127.0.0.2) speaks 3.2",
            "MSG application",
            ", 0 lost",
        ] {
            assert!(report.contains(words), "{words:?} in {report}");
        }
        for verb in ["dump", "stats"] {
            assert_eq!(code(&run([verb, &path])), 0, "{verb}");
        }
    }
}

#[test]
fn record_that_cannot_be_written_ends_with_2_and_says_so() {
    let output = run(["demo", "--record", "/nowhere/demo.pcapng", "--port", "0"]);
    assert_eq!(code(&output), 2);
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).starts_with("dlmwire: /nowhere/demo.pcapng: "),
        "{}",
        stderr(&output)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn record_on_a_full_disk_ends_with_2_behind_the_summary() {
    let output = run([
        "demo",
        "--port",
        "0",
        "--messages",
        "20000",
        "--record",
        "/dev/full",
    ]);
    assert_eq!(code(&output), 2);
    assert!(stdout(&output).contains("kept: "), "{}", stdout(&output));
    assert!(
        stderr(&output).starts_with("dlmwire: /dev/full: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn help_says_what_happens_and_what_every_exit_code_means() {
    let output = run(["demo", "--help"]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    for words in [
        "--messages",
        "--size",
        "--kill-every",
        "--port",
        "--seed",
        "--record",
        "--json",
        "What happens:",
        "Examples:",
        "Exit codes:",
        "127.0.0.2",
        "dlmwire demo --record demo.pcapng",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    for args in [
        ["--messages", "0"],
        ["--messages", "1000000001"],
        ["--size", "15"],
        ["--size", "3985"],
        ["--size", "big"],
        ["--kill-every", "1000000001"],
        ["--seed", "x"],
        ["--port", "65536"],
    ] {
        let output = run(["demo", args[0], args[1]]);
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(stderr(&output).contains(args[0]), "{args:?}: {}", stderr(&output));
    }
}
