//! `dlmwire replay`.

use std::fs;

use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};
use serde_json::Value;

use crate::support::{
    PACKED, REQUEST, STATUS, STATUS_REPLY, WORKLOAD, assert_unread, capture, captures, code, damaged_capture,
    file, plain_capture, run, run_with, stderr, stdout, unreadable_files,
};

/// Connections that are reset all the time.
const RESETS: &str = "tcp-3.2-linux6.1-resets.pcap.zst";

/// A kernel that cannot be: padding of node 1's only numbered message is not 0.
fn impossible_capture() -> String {
    let ends = ["10.0.0.1:40000", "10.0.0.2:21064"].map(|address| address.parse().expect("an address"));
    let mut writer = CaptureWriter::new(Vec::new()).expect("memory can be written");
    let now = Timestamp::from_nanos(1_000_000_000);
    let mut link = TcpLink::open(&mut writer, now, ends[0], ends[1]).expect("memory can be written");
    let reply = STATUS_REPLY.replacen("01 00 00 00 70", "02 00 00 00 70", 1);
    let request = REQUEST.replacen("29 00 00 00", "00 00 00 00", 1).replacen(
        "01 00 00 00 00 00 00 00 02",
        "01 01 00 00 00 00 00 00 02",
        1,
    );
    for (from, hex) in [
        (End::Opener, STATUS),
        (End::Acceptor, reply.as_str()),
        (End::Opener, request.as_str()),
    ] {
        let digits = hex.split_whitespace();
        let bytes: Vec<u8> = digits
            .map(|two| u8::from_str_radix(two, 16).expect("two digits"))
            .collect();
        link.send(&mut writer, now, from, &bytes)
            .expect("memory can be written");
    }
    file(
        "impossible.pcap",
        &writer.finish().expect("memory can be written"),
    )
}

#[test]
fn kernel_and_engine_agree_and_the_report_says_about_what() {
    let path = capture(RESETS);
    let output = run(["replay", "--as", "1", &path]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let text = stdout(&output);
    for words in [
        path.as_str(),
        "1 speaks 3.2, sends like Linux 6.1",
        "2510 of 2510 numbered and 27 of 27 bare alike",
        "thrown away",
        "--all shows them",
        "agrees: 0 unlisted differences",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let all = stdout(&run(["replay", "--all", "--as", "1", &path]));
    assert!(!all.contains("--all shows them") && all.lines().count() > text.lines().count());
}

#[test]
fn unlisted_difference_ends_with_1_and_names_packet_and_byte() {
    let path = impossible_capture();
    let output = run(["replay", "--as", "1", &path]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let text = stdout(&output);
    for words in [
        "byte 17 is 0x00, not 0x01",
        "[packet ",
        "differs: 1 unlisted difference",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let from_the_other_side = run(["replay", "--as", "2", &path]);
    assert_eq!(code(&from_the_other_side), 0, "{}", stdout(&from_the_other_side));
}

#[test]
fn file_that_cannot_be_read_ends_with_2_and_one_line() {
    for (path, reason) in unreadable_files() {
        for options in ["--all", "--json"] {
            let output = run(["replay", "--as", "1", options, &path]);
            assert_unread(&output, &path, reason);
            assert_eq!(stdout(&output), "", "{path}");
        }
    }
}

#[test]
fn node_that_is_not_there_ends_with_2_and_names_those_that_are() {
    let three = capture("tcp-3.2-linux6.1-3node-workload.pcap.zst");
    let nothing = file("replay-plain.pcap", &plain_capture(24 + 3 * 76));
    for (path, reason) in [
        (three, "node 9 is not in the capture; nodes 1, 2, 3 are"),
        (nothing, "node 9 is not in the capture, nor is any other"),
    ] {
        let output = run(["replay", "--as", "9", &path]);
        assert_unread(&output, &path, reason);
        assert_eq!(stdout(&output), "", "{path}");
    }
    for id in ["0", "-1", "one", "4294967296"] {
        assert_eq!(code(&run(["replay", &format!("--as={id}"), "x"])), 2, "{id}");
    }
}

#[test]
fn capture_that_lacks_something_is_replayed_as_far_as_it_goes_and_ends_with_2() {
    let packed = fs::read(captures().join(PACKED)).expect("the capture is there");
    let cut = file("replay-cut.pcap.gz", &packed[..packed.len() / 2]);
    let output = run(["replay", "--as", "1", &cut]);
    assert_unread(&output, &cut, "");
    assert!(
        stdout(&output).contains("agrees: 0 unlisted"),
        "{}",
        stdout(&output)
    );
    let midway = file("replay-midway.pcap", &damaged_capture());
    let output = run(["replay", "--as", "1", &midway]);
    assert_unread(
        &output,
        &midway,
        "not replayed: conversation 1 with node 2 (its beginning is not in the capture)",
    );
    assert!(
        stdout(&output).contains("conversation 1 is not replayed"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn json_has_a_line_per_peer_then_one_per_difference() {
    let path = capture("tcp-3.2-linux6.1-3node-workload.pcap.zst");
    let output = run(["replay", "--json", "--as", "2", &path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let (peers, differences) = objects.split_at(2);
    let mut counted = 0;
    for (peer, id) in peers.iter().zip([1, 3]) {
        assert_eq!(
            (&peer["kind"], &peer["peer"]),
            (&Value::from("peer"), &Value::from(id))
        );
        assert_eq!(
            (&peer["node"], &peer["kernel"]),
            (&Value::from(2), &Value::from("6.1"))
        );
        assert_eq!(peer["sent"], peer["identical"]);
        assert_eq!(peer["agrees"], true);
        assert_eq!(peer["differences_left_out"], 0);
        let by_class = peer["differences"].as_object().expect("counts by class");
        counted += by_class.values().filter_map(Value::as_u64).sum::<u64>();
    }
    assert_eq!(u64::try_from(differences.len()), Ok(counted));
    for difference in differences {
        assert_eq!(difference["kind"], "difference");
        assert!(
            difference["packet"].as_u64().is_some_and(|packet| packet > 0),
            "{difference}"
        );
        assert!(
            difference["time"].is_f64() && difference["text"].is_string(),
            "{difference}"
        );
    }
}

#[test]
fn capture_from_standard_input_is_the_same() {
    let bytes = fs::read(captures().join(WORKLOAD)).expect("the capture is there");
    let from_file = stdout(&run(["replay", "--as", "2", &capture(WORKLOAD)]));
    let piped = run_with(["replay", "--as", "2", "-"], &bytes);
    assert_eq!(code(&piped), 0, "{}", stderr(&piped));
    let behind_the_name = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(behind_the_name(&stdout(&piped)), behind_the_name(&from_file));
}

#[test]
fn help_is_there_with_examples() {
    let text = stdout(&run(["replay", "--help"]));
    assert!(
        text.contains("Examples:") && text.contains("Exit codes:"),
        "{text}"
    );
}
