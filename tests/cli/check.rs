//! `dlmwire check`.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{
    PACKED, WORKLOAD, assert_unread, capture, captures, code, damaged_capture, dlmwire, file, plain_capture,
    run, run_with, stderr, stdout, unreadable_files,
};

/// Two warns: an association that was never rebuilt.
const ABORT_STUCK: &str = "sctp-3.2-linux6.1-abort-stuck.pcap.zst";
/// An error: messages lost with an association.
const ABORTS: &str = "sctp-3.2-linux7.2-aborts.pcap.gz";
/// Many notes of one kind.
const RESETS: &str = "tcp-3.2-linux6.1-resets.pcap.zst";

fn objects(text: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(object).collect()
}

#[test]
fn severity_found_and_fail_on_decide_the_exit_code() {
    let rows = [
        (WORKLOAD, "error", 0),
        (WORKLOAD, "warn", 0),
        (WORKLOAD, "note", 1),
        (ABORT_STUCK, "error", 0),
        (ABORT_STUCK, "warn", 1),
        (ABORT_STUCK, "note", 1),
        (ABORTS, "error", 1),
        (ABORTS, "warn", 1),
    ];
    for (name, fail_on, expected) in rows {
        let output = run(["check", "--fail-on", fail_on, &capture(name)]);
        assert_eq!(code(&output), expected, "{name} --fail-on {fail_on}");
        assert_eq!(stderr(&output), "", "{name}");
        let verdict = ["conforms: ", "fails: "][usize::from(expected == 1)];
        let text = stdout(&output);
        let last = text.lines().last().expect("a verdict");
        assert!(last.contains(verdict), "{name} --fail-on {fail_on}: {last}");
    }
    for (name, expected) in [(WORKLOAD, 0), (ABORT_STUCK, 0), (ABORTS, 1)] {
        assert_eq!(code(&run(["check", &capture(name)])), expected, "{name}");
    }
}

#[test]
fn report_names_what_was_seen_and_found() {
    let text = stdout(&run(["check", &capture(ABORTS)]));
    for words in [
        "aborts.pcap.gz",
        "1 (10.0.0.1",
        "speaks 3.2",
        "SCTP",
        "error DLM-KERN-002",
        "warn  DLM-FIN-005",
        "note  DLM-LINK-001",
        "[packet ",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    assert!(!text.contains('\u{1b}'), "no colour where there is no terminal");
}

#[test]
fn file_that_cannot_be_read_ends_with_2_and_one_line() {
    for (path, reason) in unreadable_files() {
        for format in ["text", "jsonl"] {
            let output = run(["check", "--format", format, &path]);
            assert_unread(&output, &path, reason);
            assert_eq!(stdout(&output), "", "{path}");
        }
    }
}

#[test]
fn file_that_ends_too_early_is_judged_as_far_as_it_goes_and_ends_with_2() {
    let plain = damaged_capture();
    let packed = fs::read(captures().join(PACKED)).expect("the capture is there");
    let half = packed.len() / 2;
    let rows = [
        (file("check-cut.pcap", &plain[..plain.len() - 5]), "inside packet"),
        (file("check-cut.pcap.gz", &packed[..half]), ""),
    ];
    for (path, reason) in rows {
        let output = run(["check", &path]);
        assert_unread(&output, &path, reason);
        let text = stdout(&output);
        assert!(text.contains("not read to its end"), "{text}");
        assert!(text.contains("  verdict") && !text.contains("conforms"), "{text}");
    }
}

#[test]
fn capture_without_dlm_is_no_pass() {
    let path = file("check-plain.pcap", &plain_capture(24 + 3 * 76));
    let output = run(["check", &path]);
    assert_eq!(code(&output), 2);
    let expected = format!("dlmwire: {path}: no DLM frames on port 21064 in 3 packets\n");
    assert_eq!(stderr(&output), expected);
    assert!(
        stdout(&output).contains("nothing to judge"),
        "{}",
        stdout(&output)
    );
    let other = run(["check", "--port", "1", "--port", "2", &capture(WORKLOAD)]);
    assert_eq!(code(&other), 2);
    assert!(
        stderr(&other).contains("no DLM frames on ports 1, 2 in "),
        "{}",
        stderr(&other)
    );
}

#[test]
fn jsonl_has_a_line_per_finding_and_the_summary_last() {
    for (name, verdict) in [(WORKLOAD, "conforms"), (ABORTS, "fails"), (RESETS, "conforms")] {
        let path = capture(name);
        let output = run(["check", "--format", "jsonl", &path]);
        let objects = objects(&stdout(&output));
        let (summary, findings) = objects.split_last().expect("a summary");
        assert!(!findings.is_empty(), "{name}");
        for finding in findings {
            assert_eq!(finding["kind"], "finding", "{finding}");
            assert_eq!(finding["file"], path.as_str(), "{finding}");
            let rule = finding["rule"].as_str().expect("a rule");
            assert!(rule.starts_with("DLM-"), "{finding}");
            let severity = finding["severity"].as_str().expect("a severity");
            assert!(["note", "warn", "error"].contains(&severity), "{finding}");
            assert!(
                finding["packets"].as_array().is_some_and(|list| !list.is_empty()),
                "{finding}"
            );
            assert!(finding["nodes"].is_array(), "{finding}");
            assert!(
                finding["text"].as_str().is_some_and(|text| !text.is_empty()),
                "{finding}"
            );
        }
        assert_eq!(summary["kind"], "summary", "{name}");
        assert_eq!(summary["file"], path.as_str());
        assert_eq!(summary["verdict"], verdict, "{name}");
        assert_eq!(summary["complete"], true);
        let count = |severity| {
            let of = findings.iter().filter(|one| one["severity"] == severity);
            of.count() as u64
        };
        for severity in ["note", "warn", "error"] {
            assert_eq!(
                summary["findings"][severity],
                count(severity),
                "{name}: {severity}"
            );
        }
    }
}

#[test]
fn all_shows_every_finding() {
    let path = capture(RESETS);
    let some = stdout(&run(["check", &path]));
    let all = stdout(&run(["check", "--all", &path]));
    assert!(some.contains("more (--all shows them)"), "{some}");
    assert!(!all.contains("more (--all shows them)"), "{all}");
    assert!(all.lines().count() > some.lines().count() + 50);
}

#[test]
fn kernel_log_tells_what_was_not_processed() {
    let (path, log) = (capture(RESETS), capture("tcp-3.2-linux6.1-resets.txt"));
    assert!(!stdout(&run(["check", &path])).contains("DLM-KLOG-001"));
    let output = run(["check", "--kernel-log", &log, &path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("DLM-KLOG-001"), "{}", stdout(&output));
}

#[test]
fn kernel_log_that_says_nothing_of_dlm_ends_with_2_behind_the_report() {
    let path = capture(WORKLOAD);
    let foreign = file("foreign.txt", b"root:x:0:0:root:/root:/bin/sh\nd dl dlm\n");
    let output = run(["check", "--kernel-log", &foreign, &path]);
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        format!("dlmwire: {foreign}: no dlm lines in 2 lines\n")
    );
    assert!(stdout(&output).contains("conforms"), "{}", stdout(&output));
    let calm = file("calm.txt", b"[ 1.0] ddlm: Using TCP for communications\n");
    let output = run(["check", "--kernel-log", &format!("1={calm}"), &path]);
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
    let output = run(["check", "--kernel-log", "1=/no/such/log", &path]);
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).starts_with("dlmwire: /no/such/log: No such file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn standard_input_is_judged_like_a_file() {
    let bytes = fs::read(captures().join(ABORTS)).expect("the capture is there");
    let from_pipe = run_with(["check", "-"], &bytes);
    assert_eq!(code(&from_pipe), 1, "{}", stderr(&from_pipe));
    let body = |output| {
        stdout(output)
            .lines()
            .skip(1)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(body(&from_pipe), body(&run(["check", &capture(ABORTS)])));
    let nothing = run_with(["check", "-"], b"");
    assert_eq!(code(&nothing), 2);
    assert_eq!(stderr(&nothing).lines().count(), 1, "{}", stderr(&nothing));
}

#[test]
fn file_that_cannot_be_read_does_not_keep_the_others_from_being_judged() {
    let noise = file("among-others.pcap", b"this is not a capture\n");
    let output = run(["check", &capture(WORKLOAD), &noise, &capture(ABORTS)]);
    assert_eq!(code(&output), 2);
    let complaint = stderr(&output);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains("among-others.pcap"), "{complaint}");
    let text = stdout(&output);
    assert!(
        text.contains("  verdict   conforms") && text.contains("  verdict   fails"),
        "{text}"
    );
    let output = run(["check", &capture(ABORTS), &capture(WORKLOAD)]);
    assert_eq!(code(&output), 1, "the worst file decides");
}

#[test]
fn closed_pipe_is_quiet_and_keeps_the_exit_code() {
    for (name, expected) in [(WORKLOAD, 0), (ABORTS, 1)] {
        let mut child = dlmwire()
            .args(["check", "--all", &capture(name)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the command ends");
        assert_eq!(
            (code(&output), stderr(&output)),
            (expected, String::new()),
            "{name}"
        );
    }
}

#[test]
fn nodes_and_lockspaces_get_names() {
    let path = capture(WORKLOAD);
    let text = stdout(&run(["check", &path]));
    assert!(text.contains("0x8cffa40a of unknown name"), "{text}");
    let text = stdout(&run(["check", "--lockspace", "0x8cffa40a=ls1", &path]));
    assert!(text.contains("0x8cffa40a ls1: "), "{text}");
    let output = run(["check", "--node", "1=10.0.0.1", "--node", "2=10.0.0.2", &path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn lockspace_name_is_shown_for_the_id_that_it_gives() {
    let mut bytes = damaged_capture();
    let (lvm_clvg0, scratch) = (0x45d1_d4f1_u32.to_le_bytes(), 0x6b1f_7a52_u32.to_le_bytes());
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == scratch {
            bytes[at..at + 4].copy_from_slice(&lvm_clvg0);
        }
    }
    let path = file("lvm_clvg0.pcap", &bytes);
    for told in ["=lvm_clvg0", "lvm_clvg0"] {
        let text = stdout(&run(["check", "--lockspace", told, &path]));
        assert!(text.contains("0x45d1d4f1 lvm_clvg0: "), "{told}: {text}");
    }
}

#[test]
fn selecting_forms_are_usage_errors() {
    let path = capture(WORKLOAD);
    for args in [["--node", "99"], ["--lockspace", "0x8cffa40a"]] {
        let output = run(["check", args[0], args[1], &path]);
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        let complaint = stderr(&output);
        assert!(
            complaint.contains("cannot be selected here"),
            "{args:?}: {complaint}"
        );
    }
    let help = stdout(&run(["check", "--help"]));
    assert!(
        help.contains("--node <ID=ADDRESS>") && !help.contains("selects"),
        "{help}"
    );
}
