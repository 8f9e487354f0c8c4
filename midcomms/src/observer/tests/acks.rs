use super::fixture::Wire;
use super::*;
use crate::observer::FactKind;

#[test]
fn ack_advances_by_what_is_new() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("B ack 3", "bare; A acked 3 +1"),
    ]);
}

#[test]
fn ack_delay_is_that_of_the_oldest_newly_acknowledged() {
    let mut wire = Wire::joined(u32::MAX - 1);
    for line in ["A opts 1", "A opts 2", "B opts 1", "B status"] {
        wire.does(line);
    }
    let sent = wire.packet_time();
    wire.act("B ack 3");
    let fact = wire.observer.poll_fact().unwrap();
    // A opts 1 went out three packets before the last, the ACK one after it.
    assert!(
        matches!(
            fact.kind,
            FactKind::AckAdvanced {
                count: 2,
                delay: Some(4),
                ..
            }
        ),
        "{fact:?}"
    );
    assert_eq!(fact.at.time.since(sent), 1);
}

#[test]
fn ack_repeated_answers_a_duplicate_or_nothing() {
    at_every_start(&[
        ("B ack 1", "bare; A acked 1 again"),
        ("A opts 1", "in order"),
        ("A opts 1", "duplicate"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("B ack 2", "bare; A acked 2 again for duplicate"),
        ("B ack 2", "bare; A acked 2 again"),
    ]);
}

#[test]
fn ack_going_back_changes_nothing() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("B ack 3", "bare; A acked 3 +2"),
        ("B ack 2", "bare; A acked 2 back from 3"),
        ("B ack 2 @1", "bare; A acked 2 back from 3 other link"),
        ("B ack 3", "bare; A acked 3 again"),
    ]);
}

#[test]
fn ack_beyond_sent_is_believed_where_the_capture_lacks_bytes() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A hole", "A hole 100"),
        ("B ack 5", "bare; A acked 5 beyond 2 in hole"),
        ("A opts 5", "in order"),
        ("B ack 6", "bare; A acked 6 +1"),
    ]);
}

#[test]
fn ack_on_either_link_counts() {
    at_every_start(&[
        ("A opts 1 @1", "in order"),
        ("B ack 2 @1", "bare; A acked 2 +1"),
        ("A opts 2 @1", "in order"),
        ("B ack 3 @2", "bare; A acked 3 +1"),
    ]);
}

/// Kernels from 6.12 on leave up to 256 messages unacknowledged on an idle link.
#[test]
fn unacked_on_a_live_link_says_that_it_is_up() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+2 lost 0 link up",
        ),
    ]);
}

#[test]
fn unacked_with_a_hole_in_the_ack_direction_says_so() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B hole", "B hole 100"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+1 lost 0 link up in hole",
        ),
    ]);
}

/// Spec: kernel-lab 7. No kernel resends after an SCTP ABORT.
#[test]
fn unacked_over_rebuilt_links_was_never_resent() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("abort 1", ""),
        ("abort 2", ""),
        ("up 3 A", ""),
        ("A opts 3", "in order"),
        ("abort 3", ""),
        ("up 4 A", ""),
        ("A opts 4", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+4 lost 3 link up; A never resent 1+3 lost 3",
        ),
    ]);
}

#[test]
fn unacked_and_resent_on_the_last_link_is_not_lost() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("abort 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 2", "in order"),
        ("A opts 1", "duplicate; A new 1 before 1"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A resent 1+1 acked 0 after 1 Aborted; A unacked 1+2 lost 0 link up",
        ),
    ]);
}

#[test]
fn fin_behind_messages_lost_for_good_has_no_last_ack_to_lose() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("abort 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("B fin 1", "in order; B fin 1; B ESTABLISHED>FIN_WAIT1"),
        ("A ack 2", "bare; B acked 2 +1; B FIN_WAIT1>FIN_WAIT2"),
        ("A fin 2", "in order; A ESTABLISHED>LAST_ACK; A fin 2"),
        (
            "end",
            "A ended Unfinished LAST_ACK FIN_WAIT2; A unacked 1+2 lost 1 link up; A never resent 1+1 lost 1",
        ),
    ]);
}

#[test]
fn unacked_on_an_older_link_that_is_up_is_not_lost() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("abort 2", ""),
        ("up 3 A", ""),
        ("A opts 2", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+2 lost 1 link up",
        ),
    ]);
}

#[test]
fn unacked_in_a_capture_of_one_direction_is_not_judged() {
    for start in [0, 1 << 31] {
        Wire::silent(start).plays(&[
            ("up 1 A", ""),
            ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
            (
                "A opts 0",
                if start == 0 {
                    "in order"
                } else {
                    "in order; A midway at 0"
                },
            ),
            ("A opts 1", "in order"),
            ("A msg", "bare"),
            ("end", "A ended OneSided ESTABLISHED CLOSED"),
        ]);
    }
}
