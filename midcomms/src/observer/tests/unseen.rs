//! `ACK`s of what was not seen: late, lost in the capture, or never sent.

use super::*;

#[test]
fn ack_beyond_sent_is_told_once_eight_packets_below_it_follow() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B ack 1000", "bare"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("A opts 2", "in order"),
        ("A opts 3", "in order"),
        ("A opts 4", "in order"),
        ("A opts 5", "in order"),
        ("A opts 6", "in order"),
        ("A opts 7", "in order"),
        ("A opts 8", "in order"),
        ("A opts 9", "in order; A acked 1000 beyond 2"),
        ("A opts 10", "in order"),
        ("B ack 11", "bare; A acked 11 +9"),
    ]);
}

#[test]
fn ack_beyond_sent_is_told_once_its_message_follows_long_after() {
    at_every_start(&[
        ("B ack 4", "bare"),
        ("later", ""),
        ("A opts 1", "in order; A acked 4 beyond 1"),
        ("A opts 2", "in order"),
    ]);
}

#[test]
fn ack_captured_before_its_messages_is_believed_when_they_come() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B ack 3", "bare"),
        ("B ack 4", "bare"),
        ("A opts 2", "in order"),
        ("A opts 3", "in order; A acked 4 +3"),
        ("end", "A ended Open ESTABLISHED ESTABLISHED"),
    ]);
}

#[test]
fn ack_captured_before_a_hole_is_explained_by_it() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B ack 4", "bare"),
        ("A hole", "A hole 100; A acked 4 beyond 2 in hole"),
        ("A opts 4", "in order"),
        ("B ack 5", "bare; A acked 5 +1"),
    ]);
}

#[test]
fn ack_far_beyond_a_hole_is_not_believed() {
    at_every_start(&[
        ("B ack 1000", "bare"),
        ("A hole", "A hole 100"),
        ("A opts 1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A acked 1000 beyond 1 in hole",
        ),
    ]);
}

#[test]
fn ack_beyond_sent_at_the_end_is_explained_if_little_is_missing() {
    for (ack, told) in [(9, " in hole"), (10, "")] {
        let mut wire = Wire::joined(0);
        wire.does(&format!("B ack {ack}"));
        let ended = format!("A ended Open ESTABLISHED ESTABLISHED; A acked {ack} beyond 1{told}");
        assert_eq!(wire.does("end"), ended);
    }
}

#[test]
fn ack_beyond_sent_before_a_reset_may_be_explained_by_resends() {
    at_every_start(&[
        ("B ack 100", "bare"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("later", ""),
        ("A opts 1", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A acked 100 beyond 1 in hole; A unacked 1+1 lost 0 link up",
        ),
    ]);
}

#[test]
fn ack_for_a_direction_that_was_not_seen_is_never_beyond() {
    let mut wire = Wire::silent(0);
    wire.plays(&[
        ("up 1 A", ""),
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("A ack 5", "bare"),
        ("A ack 900", "bare"),
        ("end", "A ended OneSided ESTABLISHED CLOSED"),
    ]);
}

#[test]
fn gap_covered_by_an_ack_was_filled_unseen() {
    at_every_start(&[
        ("A opts 3", "gap; A lacks 1+2"),
        ("B ack 4", "bare; A acked 4 +3"),
        ("A opts 4", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A filled 1+2 early 1 by ack; A unacked 4+1 lost 0 link up",
        ),
    ]);
}

#[test]
fn gap_covered_by_an_ack_and_filled_late_was_reordered() {
    at_every_start(&[
        ("A opts 3", "gap; A lacks 1+2"),
        ("B ack 4", "bare; A acked 4 +3"),
        ("A opts 1", "in order"),
        ("A opts 4", "in order"),
        ("A opts 2", "in order; A filled 1+2 early 1"),
    ]);
}

#[test]
fn gap_covered_by_an_ack_before_a_hole_is_of_the_captures_making() {
    at_every_start(&[
        ("A opts 3", "gap; A lacks 1+2"),
        ("B ack 4", "bare; A acked 4 +3"),
        ("A hole", "A hole 100; A unseen 1+2"),
    ]);
}

#[test]
fn gap_after_a_hole_that_no_ack_has_passed_is_of_the_captures_making() {
    at_every_start(&[
        ("A hole", "A hole 100"),
        ("A opts 1", "in order"),
        ("A opts 3", "gap; A lacks 2+1"),
        ("B ack 4", "bare; A acked 4 +3; A unseen 2+1"),
        ("A opts 5", "gap; A lacks 4+1"),
        ("B ack 6", "bare; A acked 6 +2"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A filled 4+1 early 1 by ack",
        ),
    ]);
}

#[test]
fn gap_of_messages_in_another_order_is_filled_by_none_but_them() {
    at_every_start(&[
        ("A opts 2", "gap; A lacks 1+1"),
        ("A opts 1", "in order; A filled 1+1 early 1"),
        ("A opts 3", "gap; A lacks 2+1"),
        ("B ack 3", "bare; A acked 3 +2; A filled 2+1 early 1"),
        ("A opts 4", "in order"),
        ("B ack 5", "bare; A acked 5 +2"),
        ("end", "A ended Open ESTABLISHED ESTABLISHED"),
    ]);
}
