//! `dlmwire chaos`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{code, dlmwire, file, run, stderr, stdout};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

/// A proxy at work, and a server behind it that sends back what it gets.
struct Chaos {
    child: Child,
    /// What it says: read as it comes, because it waits for its reader.
    rest: JoinHandle<String>,
    err: ChildStderr,
    /// What it said first.
    start: Value,
}

impl Chaos {
    fn start(args: &[&str]) -> Self {
        let to = echo();
        let mut child = dlmwire()
            .args([
                "chaos",
                "--listen",
                "127.0.0.2:0",
                "--to",
                &to,
                "--from",
                "127.0.0.1",
            ])
            .args(["--for", "40", "--log", "json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut out = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
        let err = child.stderr.take().expect("standard error is a pipe");
        let mut line = String::new();
        out.read_line(&mut line).expect("there is output");
        let start = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let rest = thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).expect("the output is UTF-8");
            text
        });
        Self {
            child,
            rest,
            err,
            start,
        }
    }

    fn connect(&self) -> TcpStream {
        let route = self.start["routes"][0].as_str().expect("a route");
        let (listen, _) = route.split_once('=').expect("LISTEN=TO");
        let stream = TcpStream::connect(listen).expect("the proxy listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream
    }

    /// Sends these bytes through and tells what comes back.
    fn echo(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("the connection is there");
        stream.shutdown(Shutdown::Write).expect("the connection is there");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("all comes back");
        back
    }

    /// Tells it to stop, and takes what it has said since the start.
    fn stop(mut self, signal: &str) -> (ExitStatus, Vec<Value>, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill is there");
        assert!(sent.success(), "{sent}");
        let text = self.rest.join().expect("the reader ends");
        let mut complaint = String::new();
        self.err
            .read_to_string(&mut complaint)
            .expect("the complaint is UTF-8");
        let status = self.child.wait().expect("the command ends");
        (status, objects(&text), complaint)
    }
}

fn objects(text: &str) -> Vec<Value> {
    let object = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(object).collect()
}

/// A server for ever; its address.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.3:0").expect("loopback has this address");
    let address = listener.local_addr().expect("it listens").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream).is_ok());
        }
    });
    address
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().filter_map(|line| line["kind"].as_str()).collect()
}

#[test]
fn help_says_how_two_nodes_stand_behind_it_and_what_every_fault_takes() {
    let output = run(["chaos", "--help"]);
    assert_eq!(code(&output), 0);
    let text = stdout(&output);
    for words in [
        "--route 127.0.0.1:31064=127.0.0.1:21064,127.0.0.2",
        "B's says that A is at 127.0.0.1:31064",
        "Examples:",
        "--write-schedule",
        "--schedule found.jsonl",
        "Exit codes:",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let faults = [
        ("--split", "gap_us="),
        ("--coalesce", "bytes="),
        ("--delay", "ms="),
        ("--stall", "ms="),
        ("--half-open", "ms="),
        ("--rst", "side="),
        ("--fin", "the other way goes on"),
        ("--close", "End both ways"),
        ("--bandwidth", "rate="),
        ("--flip", "mask="),
        ("--refuse", "ms="),
    ];
    for (option, parameter) in faults {
        let (_, behind) = text
            .split_once(&format!("  {option} "))
            .unwrap_or_else(|| panic!("{option} in {text}"));
        let own: String = behind.lines().take(4).collect();
        assert!(own.contains(parameter), "{parameter} in {own}");
    }
}

#[test]
fn bad_arguments_end_with_2_and_say_place_and_value() {
    let (listen, to) = ("127.0.0.2:0", "127.0.0.2:9");
    let rows: [(&[&str], &[&str]); 12] = [
        (&[], &["--listen"]),
        (&["--listen", listen], &["--to"]),
        (
            &["--listen", "127.0.0.2", "--to", to],
            &["--listen", "'127.0.0.2'"],
        ),
        (
            &["--route", "127.0.0.2:0"],
            &["--route", "127.0.0.2:0", "not LISTEN=TO[,FROM]"],
        ),
        (
            &["--route", "127.0.0.2:0=x:1"],
            &["--route", "`x:1` is not ADDRESS:PORT"],
        ),
        (
            &["--listen", listen, "--to", to, "--from", "B"],
            &["--from", "`B` is not an address"],
        ),
        (
            &["--listen", listen, "--to", to, "--delay", "0"],
            &["--delay", "when `0`"],
        ),
        (
            &["--listen", listen, "--to", to, "--stall", "1,ms=9..1"],
            &["--stall", "ms `9..1`"],
        ),
        (
            &["--listen", listen, "--to", to, "--rst", "1,ms=9"],
            &["--rst", "takes no `ms`", "side="],
        ),
        (&["--listen", listen, "--to", to, "--for", "0"], &["--for", "'0'"]),
        (
            &["--listen", listen, "--to", to, "--log", "xml"],
            &["--log", "'xml'"],
        ),
        (
            &["--listen", listen, "--to", to, "--seed", "1", "--schedule", "x"],
            &["--seed", "--schedule"],
        ),
    ];
    for (args, words) in rows {
        let output = dlmwire()
            .arg("chaos")
            .args(args)
            .output()
            .expect("the command runs");
        assert_eq!(code(&output), 2, "{args:?}");
        assert_eq!(stdout(&output), "", "{args:?}");
        for word in words {
            assert!(stderr(&output).contains(word), "{word:?} in {}", stderr(&output));
        }
    }
}

#[test]
fn what_the_system_or_a_file_refuses_ends_with_2_and_one_line() {
    let bad = file("bad.schedule", b"\n{\"route\":1}\n");
    let far = r#"{"route":3,"connection":1,"direction":"back","at_byte":0,"fault":{"kind":"fin"}}"#;
    let far = file("far.schedule", far.as_bytes());
    let rows: [(&[&str], String); 6] = [
        (
            &["--schedule", &bad],
            format!("{bad}: line 2: column 11: missing field `connection`"),
        ),
        (
            &["--schedule", &far],
            "chaos: schedule: line 1: route 3 of 1".to_owned(),
        ),
        (
            &["--schedule", "/no/such.schedule"],
            "/no/such.schedule: No such file".to_owned(),
        ),
        (
            &["--write-schedule", "/no/such.schedule"],
            "/no/such.schedule: No such file".to_owned(),
        ),
        (
            &["--from", "192.0.2.1"],
            "chaos: route 1: cannot dial 127.0.0.2:9 from 192.0.2.1: ".to_owned(),
        ),
        (
            &["--route", "192.0.2.1:7=127.0.0.2:9"],
            "chaos: route 2: cannot listen on 192.0.2.1:7: ".to_owned(),
        ),
    ];
    for (args, complaint) in rows {
        let output = dlmwire()
            .args([
                "chaos",
                "--listen",
                "127.0.0.2:0",
                "--to",
                "127.0.0.2:9",
                "--for",
                "1",
            ])
            .args(args)
            .output()
            .expect("the command runs");
        let text = stderr(&output);
        assert_eq!(code(&output), 2, "{args:?}: {text}");
        assert!(
            text.starts_with(&format!("dlmwire: {complaint}")),
            "{complaint:?} in {text:?}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(stdout(&output), "", "{args:?}");
    }
}

#[test]
fn short_run_ends_by_itself_with_a_summary() {
    for (log, last) in [("json", r#""kind":"summary""#), ("text", "faults: none")] {
        let output = run([
            "chaos",
            "--listen",
            "127.0.0.2:0",
            "--to",
            "127.0.0.2:9",
            "--for",
            "1",
            "--seed",
            "7",
            "--log",
            log,
        ]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let text = stdout(&output);
        assert!(
            text.lines().last().is_some_and(|line| line.contains(last)),
            "{text}"
        );
        assert!(text.contains("127.0.0.2:9"), "{text}");
        if log == "json" {
            let lines = objects(&text);
            assert_eq!(kinds(&lines), ["start", "summary"]);
            assert_eq!(lines[0]["seed"], 7);
            assert_eq!(lines[1]["connections"], 0);
        }
    }
}

#[test]
fn signals_end_it_cleanly_with_what_happened_and_a_summary() {
    for signal in ["-INT", "-TERM"] {
        let chaos = Chaos::start(&["--seed", "1", "--flip", "@3,mask=1,way=forward"]);
        assert_eq!(chaos.echo(b"aaaaaa"), b"aaa`aa", "{signal}");
        let idle = chaos.connect();
        let (status, lines, complaint) = chaos.stop(signal);
        drop(idle);
        assert_eq!(status.code(), Some(0), "{signal}: {complaint}");
        assert_eq!(complaint, "", "{signal}");
        let fault = lines
            .iter()
            .find(|line| line["kind"] == "fault")
            .expect("the flip is told");
        assert_eq!(fault["fault"]["kind"], "flip");
        assert_eq!(
            (&fault["at_byte"], &fault["direction"]),
            (&3.into(), &"forward".into())
        );
        let ended = lines
            .iter()
            .find(|line| line["kind"] == "ended")
            .expect("the end is told");
        assert_eq!(
            (&ended["forward_bytes"], &ended["back_bytes"]),
            (&6.into(), &6.into())
        );
        let summary = lines.last().expect("a summary");
        assert_eq!(summary["kind"], "summary");
        assert_eq!(summary["faults"]["flip"], 1);
        assert_eq!(summary["open"], 0);
    }
}

#[test]
fn written_schedule_does_the_same_again() {
    let written = ["one.schedule", "other.schedule"].map(|name| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        path.display().to_string()
    });
    let bytes: Vec<u8> = (0..20_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let first = Chaos::start(&[
        "--split",
        "1K,gap_us=0",
        "--flip",
        "1K",
        "--write-schedule",
        &written[0],
    ]);
    let damaged = first.echo(&bytes);
    assert_ne!(damaged, bytes);
    first.stop("-INT");
    let again = Chaos::start(&["--schedule", &written[0], "--write-schedule", &written[1]]);
    assert!(again.start["seed"].is_null(), "{}", again.start);
    assert!(again.echo(&bytes) == damaged);
    again.stop("-INT");
    let sorted = written.map(|path| {
        let text = fs::read_to_string(path).expect("it was written");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    });
    assert!(sorted[0].len() > 40, "{}", sorted[0].len());
    assert_eq!(sorted[0], sorted[1]);
}

#[cfg(target_os = "linux")]
#[test]
fn two_hundred_connections_leave_no_descriptor_behind() {
    let chaos = Chaos::start(&[
        "--seed", "5", "--rst", "2K", "--fin", "2K", "--close", "2K", "--refuse", "20,ms=1",
    ]);
    let descriptors = format!("/proc/{}/fd", chaos.child.id());
    let count = || fs::read_dir(&descriptors).expect("the command runs").count();
    let before = count();
    let route = chaos.start["routes"][0].as_str().expect("a route").to_owned();
    let (listen, _) = route.split_once('=').expect("LISTEN=TO");
    let mut through = 0;
    let start = Instant::now();
    while through < 200 {
        assert!(start.elapsed() < DEADLINE, "{through} connections");
        // Nobody listens at times; that is what is asked for.
        let Ok(mut stream) = TcpStream::connect(listen) else {
            thread::yield_now();
            continue;
        };
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        // However it ends is what the faults are for.
        let _ = stream.write_all(&[7; 3000]);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
        through += 1;
    }
    while count() > before {
        assert!(
            start.elapsed() < DEADLINE,
            "{} descriptors are left",
            count() - before
        );
        thread::sleep(Duration::from_millis(5));
    }
    let (status, lines, _) = chaos.stop("-INT");
    assert_eq!(status.code(), Some(0));
    let summary = lines.last().expect("a summary");
    assert!(summary["connections"].as_u64() >= Some(200), "{summary}");
    for kind in ["rst", "fin", "close", "refuse"] {
        assert!(summary["faults"][kind].as_u64() > Some(0), "{kind}: {summary}");
    }
}
