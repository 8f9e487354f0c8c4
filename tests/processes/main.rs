//! Nodes as their users run them: real processes on loopback addresses, spoken to by JSON lines and by the control
//! socket, killed, stopped, cut off and left.

mod chaos;
mod command;
mod failure;
mod leaving;
mod membership;
mod stub;
mod support;

use crate::support::{Group, messages};

#[test]
fn two_nodes_exchange_ten_thousand_messages_and_leave_in_order() {
    const COUNT: usize = 10_000;
    let group = Group::new("exchange", 2);
    let (mut one, mut two) = (group.start(1), group.start(2));
    let from_one = one.say_all(messages("2", "up", COUNT));
    let from_two = two.say_all(messages(r#""all""#, "down", COUNT));
    one.assert_flow(2, "down", COUNT);
    two.assert_flow(1, "up", COUNT);
    one.said(from_one);
    two.said(from_two);
    let numbers: Vec<_> = two
        .lines()
        .iter()
        .filter_map(|line| line["seq"].as_u64())
        .collect();
    assert!(
        numbers.is_sorted() && numbers.first() == Some(&0),
        "numbers begin at 0 and rise"
    );
    one.signal("-TERM");
    two.signal("-TERM");
    one.assert_clean_end();
    two.assert_clean_end();
    for (process, peer) in [(&one, 2), (&two, 1)] {
        let state = |line: &serde_json::Value| (line["event"] == "state_changed").then(|| line["to"].clone());
        let states: Vec<_> = process.lines().iter().filter_map(state).collect();
        assert_eq!(
            states.last().and_then(|state| state.as_str()),
            Some("CLOSED"),
            "{states:?}"
        );
        assert_eq!(process.event("finished", peer)["outcome"], "clean");
        assert_eq!(process.count("violation", peer), 0, "{process}");
    }
    assert!(
        !group.control(1).exists() && !group.control(2).exists(),
        "sockets go with their nodes"
    );
}
