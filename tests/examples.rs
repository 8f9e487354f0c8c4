//! Runs every example that needs no arguments: they are the first code that a user copies.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than any of them needs on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// Cargo builds them beside the tests.
fn example(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    profile.join("examples").join(name)
}

/// Runs to the end, and gives back what it printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let path = example(name);
    let mut child = Command::new(&path)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let started = Instant::now();
    while child.try_wait().expect("our own child").is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().expect("our own child");
            panic!("{name} does not end");
        }
        thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("our own child");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{name}: {}\n{printed}", output.status);
    printed
}

#[test]
fn decode_hex_names_both_frames() {
    let printed = run("decode_hex", &[]);
    assert!(
        printed.contains("number 41, REQUEST on \"test1\"") && printed.contains("ACK, 7 is expected next")
    );
}

#[test]
fn two_engines_deliver_over_two_links_and_close() {
    let printed = run("two_engines", &[]);
    assert!(
        printed.contains("bob got \"the second\"") && printed.contains("LAST_ACK -> CLOSED"),
        "{printed}"
    );
}

#[test]
fn tcp_pair_ends_clean() {
    let printed = run("tcp_pair", &[]);
    assert!(
        printed.contains("one ended: Clean") && printed.contains("two ended: Clean"),
        "{printed}"
    );
}

/// Proves C10.
#[test]
fn half_close_carries_data_behind_the_fin() {
    let printed = run("half_close", &[]);
    assert!(
        printed.contains("behind our FIN came \"and another\""),
        "{printed}"
    );
}

/// Proves A3.
#[test]
fn lossy_line_loses_nothing() {
    for seed in ["1", "2", "3"] {
        assert!(run("lossy_line", &[seed]).contains("messages came once and in order"));
    }
}

/// Proves H1.
#[test]
fn own_transport_passes_the_suite() {
    assert!(!run("own_transport", &[]).is_empty());
}
