//! What all tests of the command share: running it, files to give it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};
use serde_json::Value;

pub(crate) const STATUS: &str = "02 00 03 00 52 7a 1f 6b 01 00 00 00 40 00 02 00 01 00 00 00 00 00 00 00 \
    88 77 66 55 44 33 22 11 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
    01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";

pub(crate) const STATUS_REPLY: &str = "02 00 03 00 52 7a 1f 6b 01 00 00 00 70 00 02 00 \
    05 00 00 00 03 00 00 00 88 77 66 55 44 33 22 11 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 \
    20 00 00 00 00 00 00 00 00 00 00 00 01 00 02 00 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
    01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00";

pub(crate) const REQUEST: &str = "02 00 03 00 29 00 00 00 01 00 00 00 75 00 03 00 01 00 00 00 00 00 00 00 \
    02 00 03 00 52 7a 1f 6b 01 00 00 00 5d 00 01 00 01 00 00 00 02 00 00 00 \
    d2 04 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 \
    00 00 00 00 96 cf 63 89 00 00 00 00 ff ff ff ff 05 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 \
    74 65 73 74 31";

pub(crate) const ACK: &str = "02 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00";

pub(crate) const FIN: &str = "02 00 03 00 2a 00 00 00 01 00 00 00 28 00 03 00 05 00 00 00 00 00 00 00 \
    02 00 03 00 00 00 00 00 01 00 00 00 10 00 05 00";

/// A capture with both kinds of carriage, recovery and a FIN.
pub(crate) const WORKLOAD: &str = "tcp-3.2-linux6.1-2node-workload.pcap.zst";

/// One whose first half can be unpacked: the others are a single block.
pub(crate) const PACKED: &str = "tcp-3.2-linux6.1-ipv6-workload.pcap.gz";

pub(crate) fn dlmwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlmwire"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn run<const N: usize>(args: [&str; N]) -> Output {
    dlmwire().args(args).output().expect("the command runs")
}

/// Runs with this on standard input.
pub(crate) fn run_with<const N: usize>(args: [&str; N], input: &[u8]) -> Output {
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

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal ended the command")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("the complaint is UTF-8")
}

pub(crate) fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

pub(crate) fn capture(name: &str) -> String {
    captures().join(name).display().to_string()
}

pub(crate) fn expected() -> Value {
    let text = fs::read_to_string(captures().join("expected.json")).expect("expected.json is there");
    serde_json::from_str(&text).expect("expected.json is JSON")
}

/// A file of this content in the tests' own directory.
pub(crate) fn file(name: &str, content: &[u8]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Tests run at the same time and may share a file: it is there whole or not at all.
    let thread = format!("{name}.{:?}", std::thread::current().id());
    let unfinished = path.with_file_name(thread);
    fs::write(&unfinished, content).expect("the directory can be written");
    fs::rename(&unfinished, &path).expect("the directory can be written");
    path.display().to_string()
}

/// A capture without DLM traffic, cut behind this many bytes.
pub(crate) fn plain_capture(bytes: usize) -> Vec<u8> {
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

/// A conversation with one damaged message, one of an unknown type, and one that comes behind a reset.
pub(crate) fn damaged_capture() -> Vec<u8> {
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

/// Asserts that the job could not be done, and that one line says of which file and why.
pub(crate) fn assert_unread(output: &Output, path: &str, reason: &str) {
    let complaint = stderr(output);
    assert_eq!(code(output), 2, "{path}: {complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(
        complaint.starts_with(&format!("dlmwire: {path}: ")),
        "{complaint}"
    );
    assert!(complaint.contains(reason), "{reason:?} in {complaint}");
}

/// Files that cannot be read as captures, and a word of what is wrong with each.
pub(crate) fn unreadable_files() -> Vec<(String, &'static str)> {
    let noise: Vec<u8> = (0..4096_u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2])
        .collect();
    let no_gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03no gzip at all";
    vec![
        (file("empty.pcap", b""), "empty"),
        (file("noise.pcap", &noise), "not a pcap"),
        (file("text.pcap", b"this is not a capture\n"), "not a pcap"),
        (file("short.pcap", &plain_capture(13)), "13 of the 24"),
        (file("broken.pcap.gz", no_gzip), "gzip"),
        (capture("no-such-file.pcap"), "No such file"),
        (captures().display().to_string(), "directory"),
    ]
}
