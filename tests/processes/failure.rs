//! Nodes that stand still.

use std::thread;
use std::time::Duration;

use crate::support::{Group, Process, messages, wait};

fn queued(group: &Group, node: u32, peer: u32) -> u64 {
    group.peer(node, peer)["send_queue_count"].as_u64().unwrap_or(0)
}

/// Proves H4.
#[test]
fn stopped_node_gets_everything_when_it_goes_on() {
    const COUNT: usize = 3_000;
    let group = Group::new("stopped", 2);
    let (mut one, mut two) = (group.start(1), group.start(2));
    one.event("version_detected", 2);
    two.event("version_detected", 1);
    two.signal("-STOP");
    let saying = one.say_all(messages("2", "up", COUNT));
    one.said(saying);
    wait("the queue of a stopped node", || {
        (queued(&group, 1, 2) > 0).then_some(())
    });
    thread::sleep(Duration::from_secs(3));
    let peer = group.peer(1, 2);
    assert!(peer["send_queue_count"].as_u64() > Some(0), "{peer}");
    assert!(peer["oldest_unacked_age_ms"].as_u64() >= Some(2_000), "{peer}");
    assert_eq!(
        (&peer["state"], &peer["lost"]),
        (&"ESTABLISHED".into(), &0.into()),
        "{peer}"
    );
    two.signal("-CONT");
    two.assert_flow(1, "up", COUNT);
    wait("an empty queue", || (queued(&group, 1, 2) == 0).then_some(()));
    one.signal("-TERM");
    two.signal("-TERM");
    one.assert_clean_end();
    two.assert_clean_end();
}

#[test]
fn stopped_node_of_six_holds_up_nobody_else() {
    const COUNT: usize = 300;
    let group = Group::new("six", 6);
    let mut nodes: Vec<Process> = (1..=6).map(|node| group.start(node)).collect();
    for (node, process) in (1..).zip(&nodes) {
        for peer in (1..=6).filter(|peer| *peer != node) {
            process.event("version_detected", peer);
        }
    }
    nodes[5].signal("-STOP");
    for process in &mut nodes[..5] {
        let saying = process.say_all(messages(r#""all""#, "flow", COUNT));
        process.said(saying);
    }
    for (node, process) in (1..=5).zip(&nodes) {
        for peer in (1..=5).filter(|peer| *peer != node) {
            process.assert_flow(peer, "flow", COUNT);
        }
        assert_eq!(process.count("disconnected", 6), 0, "{process}");
    }
    nodes[5].signal("-CONT");
    for peer in 1..=5 {
        nodes[5].assert_flow(peer, "flow", COUNT);
    }
    for process in &nodes {
        process.signal("-TERM");
    }
    for process in &mut nodes {
        process.assert_clean_end();
    }
}

#[test]
fn full_queue_stops_the_reading_and_drops_nothing() {
    const COUNT: usize = 2_000;
    let group = Group::new("full", 2);
    let more = "queue_bytes_max = 1048576\nhandle_queue_bytes_max = 65536";
    let mut one = group.start_with(1, more, &[]);
    let mut two = group.start(2);
    one.event("version_detected", 2);
    two.event("version_detected", 1);
    two.signal("-STOP");
    let padding = "x".repeat(3_800);
    let lines = (0..COUNT).map(move |number| format!(r#"{{"to":2,"data":"up {number} {padding}"}}"#));
    let saying = one.say_all(lines);
    wait("a full queue", || {
        (one.count("fence_needed", 2) > 0).then_some(())
    });
    let bytes = || group.peer(1, 2)["send_queue_memory_bytes"].as_u64();
    assert!(bytes() <= Some(1 << 20), "{:?}", bytes());
    two.signal("-CONT");
    two.assert_flow(1, "up", COUNT);
    one.said(saying);
    assert!(one.count("writable", 2) > 0, "{one}");
    one.signal("-TERM");
    two.signal("-TERM");
    one.assert_clean_end();
    two.assert_clean_end();
}
