//! A good conversation, broken in one way at a time: the rule for it has to fire, and no other error.
//!
//! The frames are those of a real kernel's capture; the connections they travel on are made up around them,
//! so that a capture of the broken conversation is sound in every other respect.

mod mutations;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use dlmwire_interop::capture;
use dlmwire_interop::check::{Checker, KernelLog, Known, Report, Severity, rules};

use mutations::*;
use script::{Script, Step, check, check_between, numbered, workload, workload_3_1, workload_mixed};

/// What a broken conversation has to be reported as.
struct Case {
    name: &'static str,
    base: fn() -> Script,
    mutate: fn(&mut Script),
    expected: &'static [&'static str],
}

const CASES: &[Case] = &[
    case(
        "drop_message",
        workload,
        |s| drop(s.remove(numbered(s, 700))),
        &["DLM-SEQ-008"],
    ),
    case(
        "drop_message_and_stop",
        workload,
        drop_message_and_stop,
        &["DLM-SEQ-001"],
    ),
    case("repeat_message", workload, |s| repeat(s, 700), &["DLM-SEQ-004"]),
    case(
        "resend_after_reset",
        workload,
        resend_after_reset,
        &["DLM-LINK-001", "DLM-SEQ-003"],
    ),
    case(
        "cut_frame_at_reset",
        workload,
        |s| cut_frame(s, Step::Reset),
        &["DLM-LINK-003"],
    ),
    case(
        "cut_frame_at_close",
        workload,
        |s| cut_frame(s, Step::Close),
        &["DLM-LINK-004"],
    ),
    case(
        "go_on_with_cut_frame",
        workload,
        go_on_with_cut_frame,
        &["DLM-LINK-005", "DLM-FRAME-001"],
    ),
    case(
        "length_0",
        workload,
        |s| insert(s, 700, |bytes| bytes[12..14].fill(0)),
        &["DLM-FRAME-001"],
    ),
    case(
        "version_4_2",
        workload,
        |s| insert(s, 700, |bytes| bytes[2] = 4),
        &["DLM-FRAME-002"],
    ),
    case(
        "version_3_3",
        workload,
        |s| insert(s, 700, |bytes| bytes[0] = 3),
        &["DLM-FRAME-002"],
    ),
    case(
        "unknown_command",
        workload,
        |s| insert(s, 700, |bytes| bytes[14] = 9),
        &["DLM-FRAME-003"],
    ),
    case("short_msg", workload, short_msg, &["DLM-FRAME-004"]),
    case(
        "node_0",
        workload,
        |s| insert(s, 700, |bytes| bytes[8] = 0),
        &["DLM-FRAME-005"],
    ),
    case(
        "bare_fin",
        workload,
        |s| insert(s, 700, |bytes| bytes[14] = 5),
        &["DLM-FRAME-006"],
    ),
    case(
        "ack_marked_3_1",
        workload,
        |s| insert(s, 700, |bytes| bytes[0] = 1),
        &["DLM-FRAME-006"],
    ),
    case(
        "inner_command",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 14] = 2),
        &["DLM-FRAME-007"],
    ),
    case(
        "inner_version",
        workload,
        |s| change(s, 700, |bytes| bytes[24] = 1),
        &["DLM-FRAME-007"],
    ),
    case(
        "inner_length",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 12] += 1),
        &["DLM-FRAME-007"],
    ),
    case("slots", workload, slots_beyond_payload, &["DLM-FRAME-008"]),
    case(
        "status_marked_3_1",
        workload,
        status_marked_3_1,
        &["DLM-VERS-002"],
    ),
    case(
        "opened_by_message",
        workload,
        opened_by_message,
        &["DLM-VERS-003"],
    ),
    case("bare_msg", workload, bare_msg, &["DLM-VERS-004"]),
    case("opts_to_3_1", workload_3_1, opts_to_3_1, &["DLM-VERS-002"]),
    case(
        "foreign_node",
        workload,
        |s| insert(s, 700, |bytes| bytes[8] = 77),
        &["DLM-NODE-001"],
    ),
    case("other_bytes", workload, other_bytes, &["DLM-SEQ-005"]),
    case("restart", workload, restart, &["DLM-SEQ-006"]),
    case("ack_beyond", workload, |s| ack(s, 1000), &["DLM-ACK-001"]),
    case("ack_back", workload, |s| ack(s, -50), &["DLM-ACK-002"]),
    case("data_after_fin", workload, data_after_fin, &["DLM-FIN-001"]),
    case("no_last_ack", workload, no_last_ack, &["DLM-FIN-003"]),
    case(
        "ends_before_last_ack",
        workload,
        ends_before_last_ack,
        &["DLM-FIN-007"],
    ),
    case("no_second_fin", workload, no_second_fin, &["DLM-FIN-005"]),
    case("no_fin", workload, no_fin, &["DLM-FIN-004"]),
    case("late_ack", workload, late_ack, &["DLM-KERN-004"]),
    case("lvblen", workload, lvblen_differs, &["DLM-RCOM-003"]),
    case("recovery_stuck", workload, recovery_stuck, &["DLM-RCOM-001"]),
    case("no_reply", workload_3_1, no_reply, &["DLM-MSG-001"]),
    case("reply_twice", workload_3_1, reply_twice, &["DLM-MSG-003"]),
    case("hash", workload, wrong_hash, &["DLM-MSG-004"]),
    case(
        "unknown_type",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 16] = 99),
        &["DLM-MSG-005"],
    ),
    case(
        "queued_before_resent",
        workload,
        queued_before_resent,
        &["DLM-SEQ-002"],
    ),
    case(
        "old_ack_on_other_link",
        workload,
        old_ack_on_other_link,
        &["DLM-ACK-005"],
    ),
    case("second_fin", workload, second_fin, &["DLM-FIN-002"]),
    case("fin_resent", workload, fin_resent, &["DLM-FIN-006"]),
    case("not_ready", workload, not_ready, &["DLM-RCOM-004"]),
    case(
        "lost_with_clean_close",
        workload,
        lost_with_clean_close,
        &["DLM-KERN-003"],
    ),
    case(
        "status_while_terminating",
        workload,
        status_while_terminating,
        &["DLM-KERN-005"],
    ),
    case(
        "opts_to_node_of_3_1",
        workload_mixed,
        opts_to_node_of_3_1,
        &["DLM-VERS-005"],
    ),
    case(
        "two_hosts_one_node",
        workload,
        two_hosts_one_node,
        &["DLM-NODE-002"],
    ),
];

const fn case(
    name: &'static str,
    base: fn() -> Script,
    mutate: fn(&mut Script),
    expected: &'static [&'static str],
) -> Case {
    Case {
        name,
        base,
        mutate,
        expected,
    }
}

/// The control: without a mutation nothing is found that would be a warning.
#[test]
fn unbroken_conversations_conform() {
    for base in [workload, workload_3_1] {
        let report = check(&base());
        let worse: Vec<_> = report
            .findings
            .iter()
            .filter(|one| one.severity > Severity::Note)
            .collect();
        assert!(worse.is_empty(), "{worse:#?}");
    }
}

#[test]
fn every_violation_is_reported_and_nothing_else_is_an_error() {
    let mut wrong = Vec::new();
    for case in CASES {
        let mut script = (case.base)();
        (case.mutate)(&mut script);
        let report = check(&script);
        let fired: BTreeSet<&str> = report.findings.iter().map(|finding| finding.rule.id).collect();
        let errors = report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        let surplus: Vec<String> = errors
            .filter(|finding| !case.expected.contains(&finding.rule.id))
            .map(|finding| format!("{} {}", finding.rule.id, finding.text))
            .collect();
        if !case.expected.iter().all(|rule| fired.contains(rule)) || !surplus.is_empty() {
            wrong.push(format!(
                "{}: wanted {:?}, fired {fired:?}, surplus {surplus:?}",
                case.name, case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rules that neither a case above nor a shipped capture shows, each with where else it is shown.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("DLM-CAP-001", "tests/mutations.rs"),
    ("DLM-CAP-002", "tests/mutations.rs"),
    ("DLM-CAP-003", "tests/mutations.rs"),
    ("DLM-CAP-004", "tests/mutations.rs"),
    ("DLM-CAP-006", "tests/mutations.rs"),
    ("DLM-CAP-005", "link_from_an_address_to_itself_is_not_judged"),
    ("DLM-CAP-007", "check/evidence.rs"),
    ("DLM-KLOG-002", "check/log_check.rs"),
    ("DLM-KTRC-001", "tests/cross"),
    ("DLM-KTRC-002", "tests/cross"),
    ("DLM-KTRC-003", "tests/cross"),
    ("DLM-KTRC-004", "tests/cross"),
];

#[test]
fn link_from_an_address_to_itself_is_not_judged() {
    let [opener, acceptor] = ["10.0.0.1:40000", "10.0.0.1:21064"].map(|end| end.parse().expect("an address"));
    let report = check_between(&workload(), opener, acceptor);
    let fired: Vec<&str> = report.findings.iter().map(|finding| finding.rule.id).collect();
    assert_eq!(fired, ["DLM-CAP-005"]);
}

#[test]
fn every_rule_is_shown_to_fire() {
    let mut fired: BTreeSet<&str> = SHOWN_ELSEWHERE.iter().map(|(rule, _)| *rule).collect();
    for case in CASES {
        let mut script = (case.base)();
        (case.mutate)(&mut script);
        fired.extend(check(&script).findings.iter().map(|finding| finding.rule.id));
    }
    for entry in std::fs::read_dir(captures()).expect("captures") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains(".pcap") {
            let log = path
                .to_string_lossy()
                .split(".pcap")
                .next()
                .map(|name| format!("{name}.txt"));
            fired.extend(
                check_file(&path, log.as_deref())
                    .findings
                    .iter()
                    .map(|finding| finding.rule.id),
            );
        }
    }
    let silent: Vec<&str> = rules::RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !fired.contains(id))
        .collect();
    assert!(silent.is_empty(), "nothing shows {silent:?}");
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures")
}

fn check_file(path: &Path, log: Option<&str>) -> Report {
    let log = log.and_then(|log| std::fs::File::open(log).ok());
    let log = log.map(|log| KernelLog::read(std::io::BufReader::new(log), None).expect("a log"));
    let known = Known {
        kernel_logs: log.into_iter().collect(),
        ..Known::default()
    };
    let mut checker = Checker::new(&known);
    let summary =
        capture::read_path(path, &capture::Options::default(), &mut checker).expect("a shipped capture");
    checker.finish(&summary)
}
