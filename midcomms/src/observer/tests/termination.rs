use super::*;
use crate::observer::{Ending, FactKind};

#[test]
fn leave_after_the_removal_passes_last_ack_at_once() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
        (
            "A ack 2",
            "bare; B acked 2 +1; A FIN_WAIT2>CLOSED; B LAST_ACK>CLOSED; A ended Clean CLOSED CLOSED",
        ),
        ("eof 1", ""),
        ("eof 2", ""),
        ("end", ""),
    ]);
}

#[test]
fn leave_before_the_removal_passes_close_wait_and_data_flows_on() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B opts 1", "in order; B ESTABLISHED>CLOSE_WAIT"),
        ("B opts 2", "in order"),
        ("B fin 3", "in order; B fin 3; B CLOSE_WAIT>LAST_ACK"),
        (
            "A ack 4",
            "bare; B acked 4 +3; A FIN_WAIT2>CLOSED; B LAST_ACK>CLOSED; A ended Clean CLOSED CLOSED",
        ),
    ]);
}

#[test]
fn crossing_fins_pass_closing_on_both_sides() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B fin 1", "in order; B fin 1; B ESTABLISHED>FIN_WAIT1"),
        (
            "A ack 2",
            "bare; B acked 2 +1; A FIN_WAIT1>CLOSING; B FIN_WAIT1>CLOSING; B CLOSING>CLOSED",
        ),
        (
            "B ack 2",
            "bare; A acked 2 +1; A CLOSING>CLOSED; A ended Clean CLOSED CLOSED",
        ),
    ]);
}

#[test]
fn fin_lost_with_its_link_is_sent_again() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("reset 1", ""),
        ("reset 2", ""),
        ("up 3 A", ""),
        ("A fin 1", "duplicate; A fin 1 again to ESTABLISHED"),
        ("B ack 2 @3", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1 @3", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
    ]);
}

#[test]
fn data_after_fin_is_told() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A fin 2", "in order; A fin 2; A ESTABLISHED>FIN_WAIT1"),
        ("A opts 1", "duplicate"),
        ("A opts 3", "in order; A resent 1+1 acked 0; A data 3 after fin 2"),
    ]);
}

#[test]
fn second_fin_under_a_new_number_is_in_the_wrong_state() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("A fin 2", "in order; A fin 2 in FIN_WAIT1"),
        ("B ack 3", "bare; A acked 3 +2; A FIN_WAIT1>FIN_WAIT2"),
    ]);
}

#[test]
fn fin_in_a_gap_is_not_taken() {
    at_every_start(&[
        ("A fin 2", "gap; A lacks 1+1; A fin 2; A ESTABLISHED>FIN_WAIT1"),
        ("B opts 1", "in order"),
        ("A opts 1", "in order; A filled 1+1 early 1"),
        ("A fin 2", "in order; A fin 2 again to ESTABLISHED"),
        ("B ack 3", "bare; A acked 3 +2; A FIN_WAIT1>FIN_WAIT2"),
    ]);
}

#[test]
fn last_ack_never_seen_leaves_the_passive_side_waiting() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
        ("reset 1", ""),
        ("reset 2", ""),
        (
            "end",
            "A ended Unfinished FIN_WAIT2 LAST_ACK; B unacked 1+1 lost 2; B last ack of 1 lost; A never rebuilt 2 Reset",
        ),
    ]);
}

#[test]
fn last_ack_lost_behind_the_capture_shows_by_the_repeated_fin() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
        (
            "A ack 2",
            "bare; B acked 2 +1; A FIN_WAIT2>CLOSED; B LAST_ACK>CLOSED; A ended Clean CLOSED CLOSED",
        ),
        ("reset 2", ""),
        ("up 3 B", "B crosses 1 of 2"),
        (
            "B fin 1",
            "duplicate acked; B fin 1 again acked to CLOSED; B last ack of 1 lost seen",
        ),
        // A peer that remembers it answers once more; anything else comes too late.
        ("A ack 2", "bare"),
        ("A ack 2", "bare; A ACK after CLOSED"),
        ("end", "B resent 1+1 acked 1 after 2 Reset"),
    ]);
}

#[test]
fn repeated_fin_after_closed_excuses_only_its_own_ack() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
        (
            "A ack 2",
            "bare; B acked 2 +1; A FIN_WAIT2>CLOSED; B LAST_ACK>CLOSED; A ended Clean CLOSED CLOSED",
        ),
        (
            "B fin 1",
            "duplicate acked; B fin 1 again acked to CLOSED; B last ack of 1 lost seen",
        ),
        ("A ack 0", "bare; A ACK after CLOSED"),
    ]);
}

#[test]
fn message_after_closed_is_told() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        ("B fin 1", "in order; B ESTABLISHED>LAST_ACK; B fin 1"),
        (
            "A ack 2",
            "bare; B acked 2 +1; A FIN_WAIT2>CLOSED; B LAST_ACK>CLOSED; A ended Clean CLOSED CLOSED",
        ),
        ("B ack 2", "bare; B ACK after CLOSED"),
        ("B opts 9", "gap; B OPTS after CLOSED"),
        ("B opts 0", "duplicate acked; B OPTS after CLOSED"),
        ("A msg", "refused; A refused MustBeWrapped"),
    ]);
}

#[test]
fn status_to_a_terminating_node_is_told() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        (
            "B status",
            "bare; B ESTABLISHED>CLOSE_WAIT; B status to FIN_WAIT2",
        ),
    ]);
}

#[test]
fn ack_that_is_not_believed_acknowledges_no_fin() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 900", "bare"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
    ]);
}

#[test]
fn unfinished_termination_is_told_at_the_end() {
    at_every_start(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        (
            "end",
            "B ESTABLISHED>CLOSE_WAIT; A ended Unfinished FIN_WAIT2 CLOSE_WAIT",
        ),
    ]);
}

#[test]
fn ack_captured_before_its_fin_acknowledges_it() {
    at_every_start(&[
        ("B ack 2", "bare"),
        (
            "A fin 1",
            "in order; A fin 1; A ESTABLISHED>FIN_WAIT1; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2",
        ),
    ]);
}

#[test]
fn endings_say_how_long_nothing_came() {
    let mut wire = Wire::joined(0);
    for line in ["B fin 1", "A ack 2", "A fin 1", "later", "eof 1", "eof 2"] {
        wire.does(line);
    }
    wire.act("end");
    let facts: Vec<_> = core::iter::from_fn(|| wire.observer.poll_fact()).collect();
    // The FIN, the wait, two link ends, the end.
    let waits = 2_000_000_000 + 4;
    assert!(facts.iter().any(|fact| {
        matches!(fact.kind, FactKind::ConversationEnded { how: Ending::Unfinished, silent, .. } if silent == waits)
    }));
    assert!(facts.iter().any(|fact| {
        matches!(fact.kind, FactKind::LastAckLost { waited, ack_seen: false, .. } if waited == waits)
    }));
}
