//! Connections over which nothing goes.

use std::thread;
use std::time::{Duration, Instant};

use crate::flow::Flow;
use crate::lab::{Lab, Whose};
use crate::tools::wait;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Few messages, and then silence.
const BRIEF: &str = "--messages 100 --hold";

/// Two nodes that have said everything.
fn idle_pair(lab: &Lab) -> [Flow; 2] {
    let pair = [Flow::start(lab, 1, 2, BRIEF), Flow::start(lab, 2, 1, BRIEF)];
    for flow in &pair {
        flow.wait_for("complete", 1, LIMIT);
    }
    pair
}

/// Waits until none of these connections is left, and another stands at both ends.
fn wait_for_others(lab: &Lab, before: &[String]) {
    wait("another connection", LIMIT, || {
        let now = lab.connections(1);
        let other = !now.is_empty() && !now.iter().any(|known| before.contains(known));
        (other && !lab.connections(2).is_empty()).then_some(())
    });
}

fn leave(mut pair: [Flow; 2]) {
    pair.iter_mut().for_each(Flow::release);
    for mut flow in pair {
        flow.assert_sound(LIMIT);
    }
}

/// Proves B5.
#[test]
fn idle_connection_that_is_killed_is_replaced_without_traffic() {
    let Some(lab) = Lab::new("idle_kill", 2, &[]) else {
        return;
    };
    let pair = idle_pair(&lab);
    for node in [1, 2] {
        let before = lab.connections(1);
        assert!(!before.is_empty(), "they are connected");
        let killed = Instant::now();
        lab.kill_connections(node, Whose::All);
        wait_for_others(&lab, &before);
        eprintln!(
            "root_idle_kill: at node {node}, replaced after {:?}",
            killed.elapsed()
        );
    }
    leave(pair);
}

/// Proves B5.
///
/// The only traffic is the system's own: a keepalive probe after 5 s, answered by a reset.
#[test]
fn idle_connection_whose_probe_is_reset_is_replaced_without_traffic() {
    let Some(lab) = Lab::new("idle_probe", 2, &[]) else {
        return;
    };
    let pair = idle_pair(&lab);
    let before = lab.connections(1);
    assert!(!before.is_empty(), "they are connected");
    let known = [1, 2].map(|node| lab.connections(node).len());
    lab.reject(1);
    let begun = Instant::now();
    wait("somebody to notice", LIMIT, || {
        (known != [1, 2].map(|node| lab.connections(node).len())).then_some(())
    });
    eprintln!("root_idle_probe: noticed after {:?}", begun.elapsed());
    lab.unfilter(1);
    wait_for_others(&lab, &before);
    leave(pair);
}

/// Proves C34.
#[test]
fn idle_nodes_sleep() {
    const TIME: Duration = Duration::from_secs(5);
    let Some(lab) = Lab::new("idle_sleep", 2, &[]) else {
        return;
    };
    let pair = idle_pair(&lab);
    // What the end of the flow left to be acknowledged is over by then.
    thread::sleep(Duration::from_secs(1));
    let before = pair.each_ref().map(Flow::sleeps);
    thread::sleep(TIME);
    let after = pair.each_ref().map(Flow::sleeps);
    for (before, after) in before.into_iter().zip(after) {
        let wakes = after - before;
        eprintln!("root_idle_sleep: {wakes} wakes in {TIME:?}");
        assert!(
            wakes < 2 * TIME.as_secs(),
            "{wakes} wakes of an idle node in {TIME:?}"
        );
    }
    leave(pair);
}
