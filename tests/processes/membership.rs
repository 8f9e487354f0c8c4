//! What a cluster manager says, and what happens when it says nothing.

use serde_json::Value;

use crate::support::{Group, Process, messages, text, wait};

/// Says fence and removal of a peer that is gone.
fn gone(group: &Group, node: u32, peer: u32) {
    group.member(node, "fence", peer);
    group.member(node, "remove", peer);
}

fn queued(peer: &Value) -> u64 {
    peer["send_queue_count"].as_u64().unwrap_or(0)
}

/// Proves B15, H4.
#[test]
fn killed_node_keeps_its_queue_until_it_is_fenced_and_is_served_again_when_added() {
    const KEPT: usize = 100;
    let group = Group::new("killed", 2);
    let (mut one, two) = (group.start(1), group.start(2));
    let saying = one.say_all(messages("2", "before", 5_000));
    wait("messages on their way", || {
        (two.flow(1, "before").len() > 500).then_some(())
    });
    two.kill();
    one.said(saying);
    one.event("disconnected", 2);
    for line in messages("2", "kept", KEPT) {
        one.say(&line);
    }
    let peer = wait("the queue of an unreachable node", || {
        Some(group.peer(1, 2)).filter(|peer| queued(peer) >= KEPT as u64)
    });
    assert_eq!(
        peer["state"], "ESTABLISHED",
        "nobody said that it is gone: {peer}"
    );
    assert_eq!(peer["users"], 1, "{peer}");
    assert_eq!(peer["links"], Value::Array(Vec::new()), "{peer}");
    assert!(peer["oldest_unacked_age_ms"].is_u64(), "{peer}");
    let table = text(&group.ask(1, &["status"]).stdout);
    assert!(
        table.contains("ESTABLISHED") && table.contains("send_queue_count"),
        "{table}"
    );

    gone(&group, 1, 2);
    let lost = one.event("lost", 2)["messages"].as_u64();
    assert_eq!(one.event("finished", 2)["outcome"], "fenced");
    let peer = wait("the fence in the status", || {
        Some(group.peer(1, 2)).filter(|peer| peer["state"] == "CLOSED")
    });
    assert_eq!((queued(&peer), peer["users"].as_u64()), (0, Some(0)), "{peer}");
    assert_eq!(peer["lost"].as_u64(), lost, "{peer}");

    let mut two = group.start(2);
    group.member(1, "add", 2);
    let from_one = one.say_all(messages("2", "after", 1_000));
    let from_two = two.say_all(messages("1", "back", 1_000));
    two.assert_flow(1, "after", 1_000);
    one.assert_flow(2, "back", 1_000);
    one.said(from_one);
    two.said(from_two);
    assert_eq!(two.flow(1, "kept"), [0; 0], "what was lost stays lost");
    let peer = wait("an empty queue", || {
        Some(group.peer(1, 2)).filter(|peer| queued(peer) == 0)
    });
    assert_eq!(
        (&peer["state"], &peer["users"]),
        (&"ESTABLISHED".into(), &1.into()),
        "{peer}"
    );
    one.signal("-TERM");
    two.signal("-TERM");
    two.assert_clean_end();
    assert_eq!(one.ended().code(), Some(1), "messages were lost: {one}");
}

#[test]
fn node_restarted_untold_is_reported_and_not_heard_until_it_is_fenced_and_added() {
    let group = Group::new("untold", 2);
    let (mut one, mut two) = (group.start(1), group.start(2));
    for (process, peer, name) in [(&mut one, "2", "up"), (&mut two, "1", "down")] {
        let saying = process.say_all(messages(peer, name, 200));
        process.said(saying);
    }
    one.assert_flow(2, "down", 200);
    two.assert_flow(1, "up", 200);
    two.kill();

    let mut two = group.start(2);
    let saying = two.say_all(messages("1", "reborn", 50));
    two.said(saying);
    // Whoever gets the other's numbers first finds out.
    let nodes = [(1, &one, 2), (2, &two, 1)];
    let (node, process, peer) = wait("an incarnation that does not fit", || {
        nodes
            .into_iter()
            .find(|(_, process, peer)| process.count("fence_needed", *peer) > 0)
    });
    process.event("peer_restarted", peer);
    assert_eq!(process.event("fence_needed", peer)["cause"], "restarted");
    let known = group.peer(node, peer);
    assert_eq!(
        (&known["halted"], &known["users"]),
        (&true.into(), &1.into()),
        "{known}"
    );
    let table = text(&group.ask(node, &["status"]).stdout);
    assert!(table.contains("restarted: halted"), "{table}");

    // Both have met what the other remembers.
    gone(&group, 1, 2);
    gone(&group, 2, 1);
    for (process, peer) in [(&one, 2), (&two, 1)] {
        assert_eq!(process.event("finished", peer)["outcome"], "fenced");
    }
    assert_eq!(
        one.flow(2, "reborn"),
        [0; 0],
        "nothing of it before the cluster manager knew\n{one}"
    );
    group.member(1, "add", 2);
    group.member(2, "add", 1);
    let from_one = one.say_all(messages("2", "after", 300));
    let from_two = two.say_all(messages("1", "again", 300));
    two.assert_flow(1, "after", 300);
    one.assert_flow(2, "again", 300);
    one.said(from_one);
    two.said(from_two);
    assert_eq!(one.flow(2, "reborn"), [0; 0], "what was fenced stays so\n{one}");
}

/// Proves A7.
#[test]
fn peer_that_speaks_3_1_is_shown_as_unreliable() {
    let group = Group::new("old", 2);
    let mut one = group.start(1);
    let mut two = group.start_with(2, "speak = \"3.1\"", &[]);
    assert_eq!(one.event("version_detected", 2)["version"], "0x00030001");
    assert_eq!(group.peer(1, 2)["delivery"], "3.1, unreliable");
    for arguments in [&["status"][..], &["status", "2"]] {
        let shown = text(&group.ask(1, arguments).stdout);
        assert!(shown.contains("3.1, unreliable"), "{shown}");
    }
    let warnings = one
        .errors()
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("3.1, unreliable"))
        .count();
    assert_eq!(warnings, 1, "{}", one.errors());
    one.say(r#"{"to":2,"data":"bare"}"#);
    let message = wait("the message", || {
        two.find(|line| (line["data"] == "bare").then(|| line.clone()))
    });
    assert!(message["seq"].is_null(), "what is bare has no number: {message}");
    one.signal("-TERM");
    two.signal("-TERM");
    let ends: Vec<_> = [&mut one, &mut two]
        .into_iter()
        .map(|process: &mut Process| process.ended().code())
        .collect();
    assert_eq!(ends, [Some(0), Some(0)], "{one}\n{two}");
}
