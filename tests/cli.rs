//! The command as its users meet it: exit codes, what stands on which stream, the shipped captures.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};
use serde_json::Value;

const STATUS: &str = "02 00 03 00 52 7a 1f 6b 01 00 00 00 40 00 02 00 01 00 00 00 00 00 00 00 \
    88 77 66 55 44 33 22 11 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
    01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";

const STATUS_REPLY: &str = "02 00 03 00 52 7a 1f 6b 01 00 00 00 70 00 02 00 \
    05 00 00 00 03 00 00 00 88 77 66 55 44 33 22 11 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 \
    20 00 00 00 00 00 00 00 00 00 00 00 01 00 02 00 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
    01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00";

const REQUEST: &str = "02 00 03 00 29 00 00 00 01 00 00 00 75 00 03 00 01 00 00 00 00 00 00 00 \
    02 00 03 00 52 7a 1f 6b 01 00 00 00 5d 00 01 00 01 00 00 00 02 00 00 00 \
    d2 04 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 \
    00 00 00 00 96 cf 63 89 00 00 00 00 ff ff ff ff 05 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 \
    74 65 73 74 31";

const ACK: &str = "02 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00";

const FIN: &str = "02 00 03 00 2a 00 00 00 01 00 00 00 28 00 03 00 05 00 00 00 00 00 00 00 \
    02 00 03 00 00 00 00 00 01 00 00 00 10 00 05 00";

/// A capture with both kinds of carriage, recovery and a FIN.
const WORKLOAD: &str = "tcp-3.2-linux6.1-2node-workload.pcap.zst";

fn dlmwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlmwire"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn run<const N: usize>(args: [&str; N]) -> Output {
    dlmwire().args(args).output().expect("the command runs")
}

/// Runs with this on standard input.
fn run_with<const N: usize>(args: [&str; N], input: &[u8]) -> Output {
    let mut child = dlmwire()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    // The command may end without having read everything.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().expect("the command ends");
    writer.join().expect("the writer ends");
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended the command")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("the complaint is UTF-8")
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn capture(name: &str) -> String {
    captures().join(name).display().to_string()
}

fn expected() -> Value {
    let text = fs::read_to_string(captures().join("expected.json")).expect("expected.json is there");
    serde_json::from_str(&text).expect("expected.json is JSON")
}

/// A file of this content in the tests' own directory.
fn file(name: &str, content: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).expect("the directory can be written");
    path.display().to_string()
}

/// A capture without DLM traffic, cut behind this many bytes.
fn plain_capture(bytes: usize) -> Vec<u8> {
    let mut plain = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    plain.extend([0xff, 0xff, 0, 0, 1, 0, 0, 0]);
    // One Ethernet packet of 60 bytes that is no DLM traffic, again and again.
    let record = [[0; 8], [60, 0, 0, 0, 60, 0, 0, 0]].concat();
    while plain.len() < bytes {
        plain.extend(&record);
        plain.extend([0; 60]);
    }
    plain.truncate(bytes);
    plain
}

#[test]
fn help_is_there_for_every_verb_with_examples() {
    for verb in ["check", "dump", "decode", "stats", "completions", "man"] {
        let output = run([verb, "--help"]);
        assert_eq!(code(&output), 0, "{verb}");
        let text = stdout(&output);
        assert!(text.contains("Examples:"), "{verb}: {text}");
        assert!(text.contains(&format!("dlmwire {verb}")), "{verb}: {text}");
    }
    let version = stdout(&run(["--version"]));
    assert_eq!(version, concat!("dlmwire ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn command_lines_that_make_no_sense_end_with_2() {
    let rows: [&[&str]; 9] = [
        &[],
        &["nonsense"],
        &["dump"],
        &["dump", "--cmd", "NONSENSE", "x"],
        &["dump", "--seq", "..", "x"],
        &["dump", "--node", "0", "x"],
        &["stats", "--port", "0", "x"],
        &["stats", "--lockspace", "", "x"],
        &["completions", "command.com"],
    ];
    for args in rows {
        let output = dlmwire().args(args).output().expect("the command runs");
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        assert!(!stderr(&output).is_empty(), "{args:?}");
    }
}

#[test]
fn files_that_are_no_captures_end_with_2_and_one_line() {
    let noise: Vec<u8> = (0..4096_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    let rows = [
        (file("empty.pcap", b""), "empty"),
        (file("noise.pcap", &noise), "not a pcap"),
        (file("text.pcap", b"this is not a capture\n"), "not a pcap"),
        (file("short.pcap", &plain_capture(13)), "13 of the 24"),
        (
            file("broken.pcap.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03no gzip at all"),
            "gzip",
        ),
        (capture("no-such-file.pcap"), "No such file"),
        (captures().display().to_string(), "directory"),
    ];
    for verb in ["dump", "stats"] {
        for (path, reason) in &rows {
            let output = run([verb, path]);
            let complaint = stderr(&output);
            assert_eq!(code(&output), 2, "{verb} {path}: {complaint}");
            assert_eq!(stdout(&output), "", "{verb} {path}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
            assert!(
                complaint.starts_with(&format!("dlmwire: {path}: ")),
                "{complaint}"
            );
            assert!(complaint.contains(reason), "{reason:?} in {complaint}");
        }
    }
}

#[test]
fn capture_cut_in_a_packet_ends_with_1_behind_what_is_readable() {
    let whole = file("whole.pcap", &plain_capture(24 + 3 * 76));
    let cut = file("cut.pcap", &plain_capture(24 + 3 * 76 - 10));
    for verb in ["dump", "stats"] {
        assert_eq!(code(&run([verb, &whole])), 0, "{verb}");
        let output = run([verb, &cut]);
        assert_eq!(code(&output), 1, "{verb}");
        assert!(stderr(&output).contains("inside packet 3"), "{}", stderr(&output));
    }
}

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
fn closed_pipe_ends_quietly() {
    let path = capture("tcp-3.2-linux6.1-partition.pcap.zst");
    let mut child = dlmwire()
        .args(["dump", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut first = [0; 1];
    let mut pipe = child.stdout.take().expect("standard output is a pipe");
    pipe.read_exact(&mut first).expect("there is output");
    drop(pipe);
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(code(&output), 0);
    assert_eq!(stderr(&output), "");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_ends_with_2() {
    let full = File::create("/dev/full").expect("Linux has it");
    let path = capture(WORKLOAD);
    let child = dlmwire()
        .args(["dump", &path])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let output = child.wait_with_output().expect("the command ends");
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).starts_with("dlmwire: standard output: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn colour_follows_the_option() {
    let path = capture(WORKLOAD);
    let colored = run(["dump", "--color", "always", &path]);
    assert!(stdout(&colored).contains("\u{1b}["));
    let plain = dlmwire()
        .args(["dump", &path])
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .expect("the command runs");
    assert!(!stdout(&plain).contains('\u{1b}'));
}

#[test]
fn decode_shows_the_documented_examples() {
    let rows = [
        (
            STATUS,
            &["RCOM (2)", "STATUS (1)", "0x1122334455667788", "NEED_SLOTS (0x1)"][..],
        ),
        (
            STATUS_REPLY,
            &["STATUS_REPLY (5)", "NODES|NODES_ALL (3)", "dlm3.ro.slot"],
        ),
        (
            REQUEST,
            &["OPTS (3)", "REQUEST (1)", "EX (5)", "USER (0x1)", "\"test1\""],
        ),
        (ACK, &["ACK (4)", "42"]),
        (FIN, &["OPTS (3)", "FIN (5)"]),
    ];
    for (hex, words) in rows {
        let output = run(["decode", hex]);
        assert_eq!(code(&output), 0, "{}", stdout(&output));
        let text = stdout(&output);
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    }
    let all = [STATUS, STATUS_REPLY, REQUEST, ACK, FIN].join("\n");
    for output in [
        run_with(["decode"], all.as_bytes()),
        run_with(["decode", "-"], all.as_bytes()),
    ] {
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("frame 5 at byte 309: 40 bytes"));
    }
}

#[test]
fn decode_says_what_is_missing_or_damaged() {
    let rows = [
        (
            ACK.trim_end_matches(" 00").to_owned(),
            1,
            "1 bytes of the header are missing",
        ),
        (
            format!("{ACK} {}", &REQUEST[..3 * 100]),
            1,
            "17 bytes are missing",
        ),
        (
            FIN.replacen("28 00 03", "ff 7f 03", 1),
            1,
            "length 32767 exceeds limit 4096",
        ),
        (ACK.replacen("10 00 04", "10 00 09", 1), 1, "unknown command 9"),
        (
            FIN.replacen("10 00 05", "10 00 01", 1),
            1,
            "damaged at 0026: inner command 1",
        ),
    ];
    for (hex, expected, words) in rows {
        let output = run(["decode", &hex]);
        assert_eq!(code(&output), expected, "{hex}: {}", stdout(&output));
        assert!(
            stdout(&output).contains(words),
            "{words:?} in {}",
            stdout(&output)
        );
    }
    for (hex, words) in [
        (
            "02 00 0x",
            "argument: line 1, column 8: 'x' is not a hexadecimal digit",
        ),
        ("", "argument: no bytes to decode"),
    ] {
        let output = run(["decode", hex]);
        assert_eq!(code(&output), 2, "{hex}");
        assert_eq!(stderr(&output), format!("dlmwire: {words}\n"));
    }
}

#[test]
fn decode_of_anything_ends_with_a_code() {
    for seed in 0..200_u32 {
        let byte = |n: u32| seed.wrapping_mul(40_503).wrapping_add(n * n * 31).to_le_bytes()[1];
        let bytes: String = (0..seed % 70).map(|n| format!("{:02x}", byte(n))).collect();
        let output = run(["decode", &format!("020003{bytes}")]);
        assert!(matches!(code(&output), 0 | 1), "seed {seed}");
    }
}

/// A conversation with one damaged message, one of an unknown type, and one that comes behind a reset.
fn damaged_capture() -> Vec<u8> {
    let [one, two] = ["10.0.0.1:40000", "10.0.0.2:21064"].map(|address| address.parse().expect("an address"));
    let mut seconds = 0;
    let mut now = || {
        seconds += 1;
        Timestamp::from_nanos(seconds * 1_000_000_000)
    };
    let mut writer = CaptureWriter::new(Vec::new()).expect("memory can be written");
    let mut link = TcpLink::open(&mut writer, now(), one, two).expect("memory can be written");
    let mut send = |writer: &mut _, from, hex: &str| {
        let bytes: Vec<u8> = hex
            .split_whitespace()
            .map(|digits| u8::from_str_radix(digits, 16).expect("two digits"))
            .collect();
        link.send(writer, now(), from, &bytes)
            .expect("memory can be written");
    };
    let from_two = STATUS_REPLY.replacen("01 00 00 00 70", "02 00 00 00 70", 1);
    let unknown = REQUEST
        .replacen("5d 00 01 00 01 00", "5d 00 01 00 63 00", 1)
        .replacen("29 00 00 00", "2a 00 00 00", 1);
    let damaged = FIN
        .replacen("2a 00 00 00", "2b 00 00 00", 1)
        .replacen("10 00 05", "10 00 01", 1);
    send(&mut writer, End::Opener, STATUS);
    send(&mut writer, End::Acceptor, &from_two);
    send(&mut writer, End::Opener, &[REQUEST, &unknown, &damaged].join(" "));
    send(&mut writer, End::Opener, REQUEST);
    link.reset(&mut writer, now(), End::Opener)
        .expect("memory can be written");
    let ack: Vec<u8> = [2, 0, 3, 0, 44, 0, 0, 0, 2, 0, 0, 0, 16, 0, 4, 0].to_vec();
    link.send(&mut writer, now(), End::Acceptor, &ack)
        .expect("memory can be written");
    writer.finish().expect("memory can be written")
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

#[test]
fn completions_and_manual_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        assert!(stdout(&output).contains("messages-only"), "{shell}");
    }
    assert!(stdout(&run(["man"])).contains(".TH dlmwire"));
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let output = run(["man", "--dir", &dir.display().to_string()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for page in [
        "dlmwire.1",
        "dlmwire-dump.1",
        "dlmwire-decode.1",
        "dlmwire-stats.1",
    ] {
        let page = fs::read_to_string(dir.join(page)).expect("the page is there");
        assert!(page.contains(".TH"), "{page}");
    }
    let nowhere = run(["man", "--dir", "/dev/null/man"]);
    assert_eq!(code(&nowhere), 2);
    assert!(stderr(&nowhere).starts_with("dlmwire: /dev/null/man: "));
}
