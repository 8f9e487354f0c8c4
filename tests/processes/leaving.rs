//! Leaving: one after the other, too late, at once, and what is still said meanwhile.

use std::fs::File;
use std::process::Stdio;

use crate::support::{Group, dlmwire, messages, text, wait};

/// Proves C8, C10.
#[test]
fn node_that_leaves_hears_the_other_to_its_end() {
    const COUNT: usize = 2_000;
    let group = Group::new("half-close", 2);
    let (mut one, mut two) = (
        group.start_with(1, "", &["--shutdown-deadline", "60"]),
        group.start(2),
    );
    let before = one.say_all(messages("2", "up", 100));
    two.assert_flow(1, "up", 100);
    one.said(before);
    one.signal("-TERM");
    two.event("peer_finished", 1);
    let saying = two.say_all(messages("1", "down", COUNT));
    two.said(saying);
    one.assert_flow(2, "down", COUNT);
    assert_eq!(group.peer(2, 1)["state"], "CLOSE_WAIT");
    assert_eq!(group.peer(1, 2)["state"], "FIN_WAIT2");
    group.member(2, "remove", 1);
    one.assert_clean_end();
    assert_eq!(two.event("finished", 1)["outcome"], "clean");
    two.signal("-TERM");
    two.assert_clean_end();
}

#[test]
fn deadline_ends_a_node_whose_peer_does_not_answer() {
    let group = Group::new("deadline", 2);
    let (mut one, two) = (
        group.start_with(1, "", &["--shutdown-deadline", "1"]),
        group.start(2),
    );
    one.event("version_detected", 2);
    two.signal("-STOP");
    one.say(r#"{"to":2,"data":"never heard"}"#);
    one.say(r#"{"shutdown":true}"#);
    assert_eq!(one.ended().code(), Some(1), "{one}");
    let last = wait("the last line", || {
        one.find(|line| (line["event"] == "stopped").then(|| line.clone()))
    });
    assert_eq!(last["outcome"], "timed_out", "{last}");
    assert!(last["lost"].as_u64() >= Some(1), "{last}");
}

#[test]
fn second_signal_ends_a_node_at_once() {
    let group = Group::new("second", 2);
    let (mut one, two) = (
        group.start_with(1, "", &["--shutdown-deadline", "3600"]),
        group.start(2),
    );
    one.event("version_detected", 2);
    two.signal("-STOP");
    one.signal("-INT");
    wait("leaving", || {
        one.find(|line| (line["to"] == "FIN_WAIT1").then_some(()))
    });
    one.signal("-TERM");
    assert_eq!(one.ended().code(), Some(1), "{one}");
    assert!(!group.control(1).exists(), "the socket goes too");
}

#[test]
fn end_of_input_ends_a_node_only_if_that_is_wanted() {
    let group = Group::new("eof", 2);
    let mut wanted = group.start(1);
    let log = File::create(group.file("2.err")).expect("the file can be made");
    let mut child = dlmwire()
        .args(["node", "--config"])
        .arg(group.config(2, ""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the command runs");
    wanted.event("version_detected", 2);
    wanted.say(r#"{"to":2,"data":"last"}"#);
    wanted.close_input();
    let closing = wait("the other's status", || {
        Some(group.peer(2, 1)).filter(|peer| peer["state"] == "CLOSE_WAIT")
    });
    assert!(closing["delivered"].as_u64() >= Some(1), "{closing}");
    // It is still there without its input, and can be told by the socket alone.
    group.member(2, "remove", 1);
    wanted.assert_clean_end();
    let stopped = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(stopped.is_ok_and(|status| status.success()));
    let status = wait("the other's end", || child.try_wait().expect("it is our child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn closed_output_makes_a_node_leave() {
    let group = Group::new("output", 2);
    let mut two = group.start(2);
    let log = File::create(group.file("1.err")).expect("the file can be made");
    let mut child = dlmwire()
        .args(["node", "--config"])
        .arg(group.config(1, ""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the command runs");
    drop(child.stdout.take());
    two.say(r#"{"to":1,"data":"nobody reads this"}"#);
    two.event("peer_finished", 1);
    group.member(2, "remove", 1);
    let status = wait("its end", || child.try_wait().expect("it is our child"));
    let errors = std::fs::read(group.file("1.err")).unwrap_or_default();
    assert_eq!(status.code(), Some(1), "{}", text(&errors));
    assert!(
        text(&errors).contains("standard output: closed"),
        "{}",
        text(&errors)
    );
}
