//! The command as its users meet it: exit codes, what stands on which stream, the shipped captures.

mod bench;
mod chaos;
mod check;
mod cross;
mod decode;
mod demo;
mod dump;
mod replay;
mod stats;
mod support;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use crate::support::{
    PACKED, WORKLOAD, assert_unread, capture, captures, code, damaged_capture, dlmwire, file, plain_capture,
    run, stderr, stdout, unreadable_files,
};

#[test]
fn help_is_there_for_every_verb_with_examples() {
    for verb in [
        "check",
        "dump",
        "decode",
        "stats",
        "demo",
        "node",
        "status",
        "member",
        "chaos",
        "replay",
        "bench",
        "cross",
        "trace2pcap",
        "completions",
        "man",
    ] {
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
    for verb in ["dump", "stats"] {
        for (path, reason) in unreadable_files() {
            let output = run([verb, &path]);
            assert_unread(&output, &path, reason);
            assert_eq!(stdout(&output), "", "{verb} {path}");
        }
    }
}

#[test]
fn capture_cut_in_a_packet_ends_with_2_behind_what_is_readable() {
    let whole = damaged_capture();
    let cut = file("cut.pcap", &whole[..whole.len() - 5]);
    let plain = file("whole.pcap", &plain_capture(24 + 3 * 76));
    for verb in ["dump", "stats"] {
        assert_eq!(code(&run([verb, &plain])), 0, "{verb}");
        let output = run([verb, &cut]);
        let complaint = stderr(&output);
        assert_eq!(code(&output), 2, "{verb}");
        assert!(stdout(&output).contains("STATUS_REPLY"), "{}", stdout(&output));
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        assert!(
            complaint.starts_with(&format!("dlmwire: {cut}: ")) && complaint.contains("inside packet "),
            "{complaint}"
        );
    }
}

#[test]
fn compressed_capture_cut_short_ends_with_2_behind_what_is_readable() {
    let whole = fs::read(captures().join(PACKED)).expect("the capture is there");
    let cut = file("cut.pcap.gz", &whole[..whole.len() / 2]);
    for verb in ["dump", "stats"] {
        let output = run([verb, &cut]);
        assert_eq!(code(&output), 2, "{verb}");
        assert!(stdout(&output).contains("REQUEST"), "{verb}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    }
}

#[test]
fn file_that_cannot_be_read_does_not_hide_the_others() {
    let noise = file("noise-between.pcap", b"this is not a capture\n");
    let (one, other) = (capture(WORKLOAD), capture("tcp-3.2-linux6.1-fenced.pcap.zst"));
    for verb in ["dump", "stats"] {
        let output = run([verb, &one, &noise, &other]);
        assert_eq!(code(&output), 2, "{verb}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        let text = stdout(&output);
        assert!(text.contains(&one) && text.contains(&other), "{verb}");
        assert!(!text.contains(&noise), "{verb}");
    }
}

#[test]
fn contradictions_end_with_2_and_say_what_they_are() {
    let path = capture(WORKLOAD);
    for verb in ["check", "dump", "stats"] {
        let output = run([verb, "--node", "1=10.0.0.1", "--node", "2=10.0.0.1", &path]);
        let expected = "dlmwire: --node: 10.0.0.1 cannot be both node 1 and node 2\n";
        assert_eq!((code(&output), stderr(&output).as_str()), (2, expected), "{verb}");
        assert_eq!(stdout(&output), "", "{verb}");
        let output = run([verb, "--lockspace", "0x1=a", "--lockspace", "0x1=b", &path]);
        let expected = "dlmwire: --lockspace: 0x00000001 cannot be both \"a\" and \"b\"\n";
        assert_eq!((code(&output), stderr(&output).as_str()), (2, expected), "{verb}");
        let output = run([verb, "--node", "1=10.0.0.1", "--node", "1=10.0.0.1", &path]);
        assert_eq!(code(&output), 0, "{verb}: {}", stderr(&output));
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
        "dlmwire-chaos.1",
        "dlmwire-check.1",
        "dlmwire-demo.1",
        "dlmwire-member.1",
        "dlmwire-node.1",
        "dlmwire-replay.1",
        "dlmwire-status.1",
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
