//! `dlmwire stats`.

use serde_json::Value;

use crate::support::{WORKLOAD, capture, code, damaged_capture, file, run, stdout};

#[test]
fn stats_of_damage_end_with_1_and_count_it() {
    let path = file("damaged-stats.pcap", &damaged_capture());
    let output = run(["stats", "--format", "json", &path]);
    assert_eq!(code(&output), 1);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("the report is JSON");
    let first = &report["pairs"][0];
    assert_eq!(first["messages"], 5);
    assert_eq!(first["sent_again"], 1);
    assert_eq!(first["exchanges"]["REQUEST"]["unanswered"], 1);
    assert_eq!(first["exchanges"]["RCOM STATUS"]["delay_ns"]["count"], 1);
    assert_eq!(
        first["exchanges"]["RCOM STATUS"]["delay_ns"]["max"],
        1_000_000_000
    );
    assert_eq!(first["ack_delay_ns"]["count"], 3);
}

#[test]
fn stats_of_an_undisturbed_capture_add_up() {
    let output = run(["stats", "--format", "json", &capture(WORKLOAD)]);
    assert_eq!(code(&output), 0);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("the report is JSON");
    assert_eq!(report["messages"], 3798);
    let pairs = report["pairs"].as_array().expect("a list of pairs");
    assert_eq!(pairs.len(), 2);
    let mut messages = 0;
    for pair in pairs {
        messages += pair["messages"].as_u64().expect("a count");
        assert_eq!(pair["sent_again"], 0);
        assert_eq!(pair["left_out"], 0);
        assert_eq!(pair["unacked_at_end"], 0);
        let acked = pair["ack_delay_ns"]["count"].as_u64().expect("a count");
        assert!(acked > 1000, "{pair}");
        let delays = &pair["ack_delay_ns"];
        assert!(delays["p50"].as_u64() <= delays["p99"].as_u64());
        assert!(delays["p99"].as_u64() <= delays["max"].as_u64());
        for (ask, answers) in pair["exchanges"].as_object().expect("an object by request") {
            assert_eq!(answers["unanswered"], 0, "{ask}");
            assert_eq!(answers["unasked"], 0, "{ask}");
            assert!(answers["delay_ns"]["count"].as_u64() > Some(0), "{ask}");
        }
    }
    assert_eq!(messages, 3798);
    let text = stdout(&run(["stats", &capture(WORKLOAD)]));
    assert!(
        text.contains("node 1 -> node 2") && text.contains("OPTS, by ACK"),
        "{text}"
    );
}
