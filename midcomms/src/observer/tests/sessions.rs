use super::*;

/// `FIN`s and their `ACK`s in both directions, after message 0.
const LEAVE: [&str; 4] = ["A fin 1", "B ack 2", "B fin 1", "A ack 2"];

#[test]
fn rejoin_after_clean_end_numbers_from_0_on_the_same_links() {
    let mut wire = Wire::joined(0);
    for line in LEAVE {
        wire.does(line);
    }
    wire.plays(&[
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("B status", "bare; B is 3.2; B CLOSED>ESTABLISHED"),
        ("A opts 0 other", "in order"),
        ("B ack 1", "bare; A acked 1 +1"),
        ("A opts 2", "gap; A lacks 1+1"),
    ]);
    let sessions: Vec<u32> = wire
        .observer
        .summaries()
        .map(|summary| summary.sessions)
        .collect();
    assert_eq!(sessions, [2, 2]);
}

#[test]
fn rejoin_that_does_not_begin_at_0_has_a_gap() {
    for start in [0, 1, 1000] {
        let mut wire = Wire::joined(start);
        for line in LEAVE {
            wire.does(line);
        }
        wire.does("A status");
        wire.does("B status");
        let told = wire.does("A opts 7");
        assert!(told.starts_with("gap; A lacks "), "{told}");
    }
}

#[test]
fn rejoin_without_status_cannot_open() {
    let mut wire = Wire::joined(0);
    for line in LEAVE {
        wire.does(line);
    }
    wire.plays(&[(
        "A opts 0 other",
        "in order; A opens with OPTS; A is 3.2; A CLOSED>ESTABLISHED",
    )]);
}

/// A node that was fenced comes back and numbers from 0; its survivor, which has forgotten it, too.
#[test]
fn restart_after_a_fence_is_told_once_for_both_directions() {
    let mut wire = Wire::joined(0);
    wire.plays(&[
        ("A opts 1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("B opts 1", "in order"),
        ("gone 1", ""),
        ("reset 2", ""),
        ("up 3 A", ""),
        ("A status", "bare"),
        (
            "A opts 0 other",
            "in order; A restarted OtherBytes at 0 instead of 2 status; \
             A ended Restarted ESTABLISHED ESTABLISHED; B unacked 1+1 lost 2 link up; A CLOSED>ESTABLISHED",
        ),
        ("B ack 1 @3", "bare; B CLOSED>ESTABLISHED; A acked 1 +1"),
        ("B opts 0 other @3", "in order"),
        ("A opts 1 other", "in order"),
        ("end", "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+1 lost 0 link up; B unacked 0+1 lost 0 link up"),
    ]);
}

/// The same without the fence: the survivor goes on where it was, and the pair is dead (spec: kernel-lab 6).
#[test]
fn restart_that_the_peer_did_not_follow_shows_in_acks_and_gaps() {
    let mut wire = Wire::joined(0);
    wire.plays(&[
        ("A opts 1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("reset 1", ""),
        ("reset 2", ""),
        ("up 3 A", ""),
        ("A status", "bare"),
        (
            "A opts 0 other",
            "in order; A restarted OtherBytes at 0 instead of 2 status; \
             A ended Restarted ESTABLISHED ESTABLISHED; A CLOSED>ESTABLISHED",
        ),
        ("B ack 2 @3", "bare; B CLOSED>ESTABLISHED"),
        ("B opts 1 @3", "gap; B lacks 0+1"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A acked 2 beyond 1 in hole; A unacked 0+1 lost 0 link up; \
             B never filled 0+1 at 0 lost 0; B unacked 0+2 lost 0 link up",
        ),
    ]);
}

/// Spec: design 4 V1 and V6. A resend may begin at 0, whatever was acknowledged behind the capture.
#[test]
fn resend_from_0_on_a_new_link_is_no_restart() {
    let mut wire = Wire::joined(0);
    wire.plays(&[
        ("A opts 1", "in order"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A status", "bare"),
        ("A opts 0", "duplicate acked"),
        ("A opts 1", "duplicate"),
        ("A opts 2", "in order; A resent 0+2 acked 1 after 1 Reset"),
    ]);
}

#[test]
fn status_on_a_new_link_alone_is_no_restart() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("gone 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A status", "bare"),
        ("A opts 2", "in order"),
    ]);
}

#[test]
fn restart_seen_late_takes_the_numbers_from_there() {
    let mut wire = Wire::joined(0);
    for line in ["A opts 1", "A opts 2", "B ack 3", "gone 1", "up 3 A", "A status"] {
        wire.does(line);
    }
    wire.plays(&[
        (
            "A opts 2 other",
            "in order; A restarted OtherBytes at 2 instead of 3 status; \
             A ended Restarted ESTABLISHED ESTABLISHED; A CLOSED>ESTABLISHED; A midway at 2",
        ),
        ("A opts 3", "in order"),
    ]);
}

#[test]
fn restart_is_told_also_when_digests_are_gone() {
    let mut wire = Wire::joined(0);
    for number in 1..40 {
        wire.does(&format!("A opts {number}"));
    }
    wire.plays(&[
        ("B ack 40", "bare; A acked 40 +39"),
        ("gone 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A status", "bare"),
        (
            "A opts 0",
            "in order; A restarted LongAcknowledged at 0 instead of 40 status; \
             A ended Restarted ESTABLISHED ESTABLISHED; A CLOSED>ESTABLISHED",
        ),
    ]);
}

#[test]
fn old_number_without_digest_and_ack_is_a_duplicate() {
    let mut wire = Wire::joined(0);
    for number in 1..40 {
        wire.does(&format!("A opts {number}"));
    }
    wire.plays(&[
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 1", "duplicate"),
        ("A opts 2", "duplicate"),
    ]);
}

#[test]
fn restart_in_another_version_is_told() {
    at_every_start(&[
        ("gone 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        (
            "A status 3.1",
            "bare; A restarted OtherVersion instead of 1; A ended Restarted ESTABLISHED ESTABLISHED; \
             A CLOSED>ESTABLISHED; A is 3.1",
        ),
        ("A msg 3.1", "bare"),
    ]);
}

#[test]
fn restart_inside_a_termination_happens_on_the_same_link() {
    let mut wire = Wire::joined(0);
    wire.plays(&[
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("B ack 2", "bare; A acked 2 +1; A FIN_WAIT1>FIN_WAIT2"),
        (
            "B status",
            "bare; B ESTABLISHED>CLOSE_WAIT; B status to FIN_WAIT2",
        ),
        (
            "A opts 0 other",
            "in order; A restarted OtherBytes at 0 instead of 2 status; \
             A ended Restarted FIN_WAIT2 CLOSE_WAIT; A CLOSED>ESTABLISHED",
        ),
    ]);
}

#[test]
fn conversation_open_without_links_ended_without_fin() {
    at_every_start(&[
        ("A closes", ""),
        ("B closes @1", ""),
        ("eof 1", ""),
        ("eof 2", ""),
        ("end", "A ended WithoutFin ESTABLISHED ESTABLISHED"),
    ]);
}

#[test]
fn midway_link_beside_a_number_0_does_not_say_that_it_came_first() {
    let mut wire = Wire::silent(0);
    wire.plays(&[
        ("up 1 A", ""),
        ("up 2 B midway", "B crosses 1 of 2"),
        ("A opts 0", "in order; A is 3.2; A CLOSED>ESTABLISHED"),
    ]);
}

#[test]
fn one_direction_fin_and_number_0_begin_another_conversation() {
    let mut wire = Wire::silent(0);
    wire.plays(&[
        ("up 1 A", ""),
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("A opts 0", "in order"),
        ("A ack 40", "bare"),
        ("A fin 1", "in order; A fin 1; A ESTABLISHED>FIN_WAIT1"),
        ("A ack 41", "bare"),
        (
            "A opts 0 other",
            "in order; A ended OneSided FIN_WAIT1 CLOSED; A CLOSED>ESTABLISHED",
        ),
        ("A ack 3", "bare"),
        ("A opts 3", "gap; A lacks 1+2"),
        ("end", "A ended OneSided ESTABLISHED CLOSED; A unseen 1+2"),
    ]);
}
