//! Every shipped capture, checked, against what an independent program counted in it (`captures/expected.json`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dlmwire_interop::capture::{self, Options};
use dlmwire_interop::check::{Checker, DirectionReport, Known, Report, Severity};
use serde_json::Value;

/// Proves A4, A6, D4 on real kernels' traffic, and that nothing is lost or invented on the way to a frame.
#[test]
fn counts_are_those_of_the_manifest() {
    let mut differ = Differences::default();
    for (name, expected) in expected() {
        let report = check(&expected);
        let summary = &report.summary;
        let stats = &report.stats;
        let mut same = |what: &str, ours: u64, theirs: &Value| differ.compare(&name, what, ours, theirs);

        same("packets", summary.packets, &expected["packets"]);
        same(
            "connections",
            stats.tcp.accepted + stats.sctp.cookie_ack,
            &expected["connections"],
        );
        same(
            "RST and ABORT packets",
            summary.links.rst_or_abort,
            &expected["rst_or_abort"],
        );
        same(
            "directions that end inside a message",
            stats.cut_directions,
            &expected["cut"],
        );
        let resent = |of: fn(&DirectionReport) -> u64| summary.directions.iter().map(of).sum::<u64>();
        same(
            "resent",
            resent(|one| one.resent),
            &expected["resent"]["messages"],
        );
        same(
            "resent, distinct",
            resent(|one| one.resent_distinct),
            &expected["resent"]["distinct"],
        );
        differ.compare_all(&name, &summary.messages, &counts(&expected["messages"]));
        let mut types = summary.types.clone();
        types.remove("FIN");
        differ.compare_all(&name, &types, &types_of(&expected["by_type"]));
    }
    differ.none();
}

#[test]
fn transport_counts_are_those_of_the_manifest() {
    let mut differ = Differences::default();
    for (name, expected) in expected() {
        let stats = check(&expected).stats;
        let pairs = [
            ("tcp_syn", stats.tcp.syn),
            ("tcp_accepted", stats.tcp.accepted),
            ("tcp_fin", stats.tcp.fin),
            ("tcp_rst", stats.tcp.rst),
            (
                "tcp_data_segments",
                stats.tcp.data_segments - stats.tcp.retransmitted_segments,
            ),
            ("tcp_segments_retransmitted", stats.tcp.retransmitted_segments),
            ("sctp_init", stats.sctp.init),
            ("sctp_init_ack", stats.sctp.init_ack),
            ("sctp_cookie_echo", stats.sctp.cookie_echo),
            ("sctp_cookie_ack", stats.sctp.cookie_ack),
            ("sctp_data", stats.sctp.data),
            ("sctp_fragmented_data", stats.sctp.fragmented_data),
            ("sctp_sack", stats.sctp.sack),
            ("sctp_heartbeat", stats.sctp.heartbeat),
            ("sctp_abort", stats.sctp.abort),
            ("sctp_shutdown", stats.sctp.shutdown),
            ("sctp_shutdown_complete", stats.sctp.shutdown_complete),
        ];
        for (key, ours) in pairs {
            let theirs = &expected["streams"][key];
            if !theirs.is_null() {
                differ.compare(&name, key, ours, theirs);
            }
        }
    }
    differ.none();
}

/// What a healthy kernel does is not a warning.
#[test]
fn undisturbed_captures_are_clean() {
    let mut plain = 0;
    for (name, expected) in expected() {
        if expected["plain"].as_bool() != Some(true) {
            continue;
        }
        plain += 1;
        let report = check(&expected);
        let worse: Vec<_> = report
            .findings
            .iter()
            .filter(|finding| finding.severity > Severity::Note)
            .collect();
        assert!(worse.is_empty(), "{name}: {worse:#?}");
        assert_eq!(report.summary.lost, 0, "{name}");
    }
    assert!(plain >= 14, "{plain} captures are marked as undisturbed");
}

/// TCP kernels of 3.2 lose nothing, whatever is done to their connections.
#[test]
fn captures_with_resets_lose_nothing() {
    for (name, expected) in expected() {
        let report = check(&expected);
        if report.summary.links.sctp > 0 || report.summary.links.reset == 0 {
            continue;
        }
        assert_eq!(report.summary.lost, 0, "{name}");
        assert_eq!(
            report.findings.count(Severity::Error),
            0,
            "{name}: {:#?}",
            report.summary.rules
        );
    }
}

/// The kernels' own defects over SCTP have rules of their own.
#[test]
fn aborts_over_sctp_show_the_known_defects() {
    let expected = expected();
    let stuck = check(&expected["sctp-3.2-linux6.1-abort-stuck"]).summary.rules;
    assert!(stuck.contains_key("DLM-KERN-001"), "{stuck:?}");
    let lossy = check(&expected["sctp-3.2-linux7.2-aborts"]).summary;
    assert!(lossy.lost > 0);
    let lossy = lossy.rules;
    for rule in ["DLM-KERN-002", "DLM-MSG-001"] {
        assert!(lossy.contains_key(rule), "{rule} not in {lossy:?}");
    }
}

/// Counts that differ, all of them before the test fails.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, name: &str, what: &str, ours: u64, theirs: &Value) {
        if theirs.as_u64() != Some(ours) {
            self.0.push(format!("{name}: {what}: {ours}, not {theirs}"));
        }
    }

    fn compare_all(&mut self, name: &str, ours: &BTreeMap<String, u64>, theirs: &BTreeMap<String, u64>) {
        if ours != theirs {
            self.0.push(format!("{name}: {ours:?}, not {theirs:?}"));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures")
}

fn expected() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(captures().join("expected.json")).expect("captures/expected.json");
    serde_json::from_str(&text).expect("an object of objects")
}

fn check(expected: &Value) -> Report {
    let path = captures().join(expected["file"].as_str().expect("a file name"));
    let mut checker = Checker::new(&Known::default());
    let summary = capture::read_path(&path, &Options::default(), &mut checker)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    checker.finish(&summary)
}

fn counts(object: &Value) -> BTreeMap<String, u64> {
    let object = object.as_object().expect("counts by name");
    object
        .iter()
        .filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
        .collect()
}

/// The manifest tells `MSG_GRANT` and `MSG_GRANT (bare)` apart; here they are one.
fn types_of(object: &Value) -> BTreeMap<String, u64> {
    let mut types = BTreeMap::new();
    for (name, count) in counts(object) {
        let name = name.trim_end_matches(" (bare)").replacen('_', " ", 1);
        *types.entry(name).or_default() += count;
    }
    types
}
