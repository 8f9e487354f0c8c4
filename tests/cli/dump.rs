//! `dlmwire dump`.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::{
    WORKLOAD, capture, captures, code, damaged_capture, dlmwire, expected, file, run, run_with, stderr,
    stdout,
};

#[test]
fn dump_shows_every_message_of_every_shipped_capture_once() {
    let expected = expected();
    let expected = expected.as_object().expect("an object by capture");
    assert!(expected.len() >= 30);
    for (name, capture_facts) in expected {
        let path = capture(capture_facts["file"].as_str().expect("a file name"));
        let messages: u64 = capture_facts["messages"]
            .as_object()
            .expect("counts by command")
            .values()
            .filter_map(Value::as_u64)
            .sum();
        let output = run(["dump", "--messages-only", &path]);
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        let text = stdout(&output);
        assert_eq!(text.lines().count() as u64, messages, "{name}");
        let again = text.lines().filter(|line| line.contains("(sent again)")).count();
        let resent = capture_facts["resent"]["messages"].as_u64();
        assert_eq!(Some(again as u64), resent, "{name}: sent again");
        assert!(
            !text.contains('\u{1b}'),
            "{name}: no colour where there is no terminal"
        );
    }
}

#[test]
fn dump_jsonl_has_one_object_a_line_and_every_key_once() {
    let output = run(["dump", "--format", "jsonl", "--hex", &capture(WORKLOAD)]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    let mut requests = 0;
    for line in text.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let keys = object.as_object().expect("an object").keys();
        for key in keys {
            assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "{key} in {line}");
        }
        let kind = object["kind"].as_str().expect("a kind");
        if kind != "message" {
            continue;
        }
        for key in ["frame", "time_epoch", "time_relative", "link", "from", "to"] {
            assert!(
                object[format!("dlm3.analysis.{key}")].is_number(),
                "{key} in {line}"
            );
        }
        for key in ["version", "nodeid", "length", "cmd"] {
            assert!(object[format!("dlm3.h.{key}")].is_u64(), "{key} in {line}");
        }
        let hex = object["dlm3.analysis.hex"].as_str().expect("the bytes");
        assert!(hex.starts_with("02000300"), "{line}");
        if object["dlm3.analysis.type"] == "REQUEST" {
            requests += 1;
            assert_eq!(object["dlm3.analysis.cmd"], "MSG");
            assert_eq!(object["dlm3.analysis.wrapped"], true);
            assert_eq!(object["dlm3.analysis.hash_matches"], true);
            assert_eq!(object["dlm3.h.cmd"], 1);
            assert_eq!(object["dlm3.m.type"], 1);
            assert!(object["dlm3.h.seq"].is_u64());
            assert!(object["dlm3.analysis.name"].is_string());
            assert!(object["dlm3.analysis.exflags"].is_array());
        }
    }
    let by_type = &expected()["tcp-3.2-linux6.1-2node-workload"]["by_type"];
    assert_eq!(Some(requests), by_type["MSG_REQUEST"].as_u64());
}

#[test]
fn dump_shows_what_is_selected() {
    let path = capture(WORKLOAD);
    let by_type = &expected()["tcp-3.2-linux6.1-2node-workload"]["by_type"];
    let count = |args: &[&str]| {
        let base = ["dump", "--messages-only", &path];
        let output = dlmwire()
            .args(base)
            .args(args)
            .output()
            .expect("the command runs");
        assert_eq!(code(&output), 0, "{args:?}");
        stdout(&output).lines().count() as u64
    };
    let all = count(&[]);
    assert_eq!(Some(count(&["--cmd", "BAST"])), by_type["MSG_BAST"].as_u64());
    assert_eq!(
        Some(count(&["--cmd", "rcom:status"])),
        by_type["RCOM_STATUS (bare)"].as_u64()
    );
    assert_eq!(count(&["--cmd", "FIN"]), 2);
    assert_eq!(count(&["--cmd", "OPTS", "--seq", "10..19"]), 20);
    assert_eq!(count(&["--cmd", "OPTS", "--seq", "..9"]), 20);
    assert_eq!(count(&["--node", "1"]), all);
    assert_eq!(count(&["--node", "1", "--node", "3"]), all);
    assert_eq!(count(&["--node", "3"]), 0);
    assert_eq!(count(&["--node", "3=10.0.0.9"]), all);
    let in_lockspace = count(&["--lockspace", "0x8cffa40a"]);
    assert_eq!(
        in_lockspace + count(&["--cmd", "ACK"]) + count(&["--cmd", "FIN"]),
        all
    );
    assert_eq!(count(&["--lockspace", "lvm_global"]), 0);
}

#[test]
fn dump_names_lockspaces_that_it_was_told() {
    let path = capture(WORKLOAD);
    let output = run([
        "dump",
        "--lockspace",
        "0x8cffa40a=gfs2vol",
        "--cmd",
        "LOOKUP",
        &path,
    ]);
    let text = stdout(&output);
    assert!(text.contains(" gfs2vol "), "{text}");
    assert!(!text.contains("0x8cffa40a"), "{text}");
}

#[test]
fn dump_reads_standard_input() {
    let bytes = fs::read(captures().join(WORKLOAD)).expect("the capture is there");
    let from_file = run(["dump", "--messages-only", &capture(WORKLOAD)]);
    let lines = |output: &Output| stdout(output).lines().count();
    for name in ["-", "/dev/stdin"] {
        let from_pipe = run_with(["dump", "--messages-only", name], &bytes);
        assert_eq!(code(&from_pipe), 0, "{name}: {}", stderr(&from_pipe));
        assert_eq!(lines(&from_pipe), lines(&from_file), "{name}");
    }
}

#[test]
fn dump_marks_what_is_damaged_repeated_or_late() {
    let path = file("damaged.pcap", &damaged_capture());
    let output = run(["dump", "--messages-only", &path]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    let rows: [&[&str]; 7] = [
        &["1 -> 2", "RCOM STATUS", "NEED_SLOTS"],
        &["2 -> 1", "RCOM STATUS_REPLY", "slots=1:1,2:2"],
        &["MSG  REQUEST", " 41 ", "lkid=1 rq=EX", "name=\"test1\""],
        &["MSG  unknown", " 42 ", "type=99"],
        &["OPTS", " 43", "damaged: inner command 1 is not the announced FIN"],
        &["MSG  REQUEST", "(sent again)"],
        &["2 -> 1", "ACK", " 44", "(behind the reset)"],
    ];
    assert_eq!(lines.len(), rows.len(), "{text}");
    for (line, words) in lines.iter().zip(rows) {
        for word in words {
            assert!(line.contains(word), "{word:?} in {line}");
        }
    }
    let with_links = stdout(&run(["dump", &path]));
    assert!(with_links.contains("L0 down: reset by node 1"), "{with_links}");
}

#[test]
fn jsonl_of_damaged_messages_has_every_key_once() {
    let path = file("damaged-json.pcap", &damaged_capture());
    let output = run(["dump", "--format", "jsonl", "--messages-only", &path]);
    assert_eq!(code(&output), 1);
    let text = stdout(&output);
    let objects: Vec<Value> = text
        .lines()
        .map(|line| {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for key in object.as_object().expect("an object").keys() {
                assert_eq!(line.matches(&format!("\"{key}\":")).count(), 1, "{key} in {line}");
            }
            object
        })
        .collect();
    assert_eq!(objects[1]["dlm3.ro.nodeid"], serde_json::json!([1, 2]));
    assert_eq!(
        objects[1]["dlm3.analysis.recovery_status"],
        serde_json::json!(["NODES", "NODES_ALL"])
    );
    assert_eq!(objects[1]["dlm3.analysis.rc_id"], "0x1122334455667788");
    assert_eq!(objects[2]["dlm3.h.length"], 93);
    assert_eq!(objects[2]["dlm3.h.seq"], 41);
    let damaged = &objects[4];
    assert_eq!(damaged["dlm3.h.cmd"], 3);
    assert_eq!(damaged["dlm3.h.length"], 40);
    assert_eq!(damaged["dlm3.analysis.error_offset"], 38);
    assert_eq!(objects[5]["dlm3.analysis.sent_again"], true);
    assert_eq!(objects[6]["dlm3.analysis.late"], true);
}
