use super::*;

#[test]
fn in_order_messages_tell_nothing() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("B opts 1", "in order"),
        ("A opts 3", "in order"),
    ]);
}

#[test]
fn gap_filled_is_told_twice_and_early_ones_must_come_again() {
    at_every_start(&[
        ("A opts 3", "gap; A lacks 1+2"),
        ("A opts 4", "gap"),
        ("A opts 1", "in order"),
        ("A opts 2", "in order; A filled 1+2 early 2"),
        ("A opts 3", "in order"),
        ("A opts 4", "in order"),
        ("A opts 5", "in order; A resent 3+2 acked 0"),
    ]);
}

#[test]
fn gap_open_at_the_end_was_never_filled() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 4", "gap; A lacks 2+2"),
        ("A opts 2", "in order"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A never filled 2+2 at 3 lost 0; A unacked 1+4 lost 0 link up",
        ),
    ]);
}

#[test]
fn gap_behind_a_capture_hole_is_nobodys_fault() {
    at_every_start(&[
        ("A hole", "A hole 100"),
        ("A opts 4", "in order; A unseen 1+3"),
        ("A opts 5", "in order"),
        ("B ack 6", "bare; A acked 6 +5"),
    ]);
}

#[test]
fn hole_without_a_gap_excuses_nothing_later() {
    at_every_start(&[
        ("A hole", "A hole 100"),
        ("A opts 1", "in order"),
        ("A opts 3", "gap; A lacks 2+1"),
    ]);
}

#[test]
fn gap_too_wide_for_the_window_keeps_the_expected_number() {
    at_every_start(&[
        ("A opts 1000", "gap; A lacks 1+999"),
        ("A opts 900", "gap"),
        ("A opts 1", "in order"),
        ("A opts 1", "duplicate"),
        ("A opts 2", "in order; A resent 1+1 acked 0"),
        ("B ack 1001", "bare; A acked 1001 +1000"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A filled 1+999 early 2 by ack",
        ),
    ]);
}

#[test]
fn duplicate_is_told_as_a_run_when_it_is_over() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("A opts 1", "duplicate acked"),
        ("A opts 2", "duplicate"),
        ("A opts 3", "in order; A resent 1+2 acked 1"),
    ]);
}

#[test]
fn duplicate_after_a_reset_names_the_lost_link() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("reset 1", ""),
        ("reset 2", ""),
        ("up 3 A", ""),
        ("A opts 1", "duplicate"),
        ("A opts 2", "duplicate"),
        ("A opts 3", "in order; A resent 1+2 acked 0 after 2 Reset"),
    ]);
}

#[test]
fn duplicate_after_an_abort_or_a_close_says_so() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("abort 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 1", "duplicate"),
        ("eof 2", "A resent 1+1 acked 0 after 1 Aborted"),
        ("A opts 2", "in order"),
        ("eof 3", ""),
        ("up 4 A", ""),
        ("A opts 2", "duplicate"),
        ("A opts 3", "in order; A resent 2+1 acked 0 after 3 Closed"),
    ]);
}

#[test]
fn duplicate_after_a_reset_and_a_close_names_the_reset() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("reset 1", ""),
        ("eof 2", ""),
        ("up 3 A", ""),
        ("A opts 1", "duplicate"),
        ("A opts 2", "in order; A resent 1+1 acked 0 after 1 Reset"),
    ]);
}

#[test]
fn duplicate_of_an_early_message_names_the_reset_before_it() {
    at_every_start(&[
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 2", "gap; A lacks 1+1"),
        ("A opts 3", "gap"),
        ("A opts 1", "in order; A filled 1+1 early 2"),
        ("A opts 2", "in order"),
        ("A opts 4", "gap; A resent 2+1 acked 0 after 1 Reset; A lacks 3+1"),
        ("A opts 3", "in order; A filled 3+1 early 1"),
        ("A opts 5", "gap; A resent 3+1 acked 0 after 1 Reset; A lacks 4+1"),
    ]);
}

/// The oldest unacknowledged message was queued and not sent when the link was lost: original, then copy.
#[test]
fn duplicate_first_of_all_on_a_rebuilt_link_names_the_reset() {
    at_every_start(&[
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 1", "in order"),
        ("A opts 1", "duplicate"),
        ("A opts 2", "in order; A resent 1+1 acked 0 after 1 Reset"),
    ]);
}

#[test]
fn duplicate_behind_resent_ones_names_their_reset() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 2", "in order"),
        ("A opts 1", "duplicate; A new 1 before 1"),
        ("A opts 3", "in order; A resent 1+1 acked 0 after 1 Reset"),
        ("A opts 2", "duplicate"),
        ("A opts 4", "in order; A resent 2+1 acked 0 after 1 Reset"),
    ]);
}

#[test]
fn resend_twice_after_two_error_reports_counts_messages_and_numbers() {
    for start in [0, 1 << 31, u32::MAX] {
        let mut wire = Wire::joined(start);
        wire.plays(&[
            ("A opts 1", "in order"),
            ("A opts 2", "in order"),
            ("reset 1", ""),
            ("reset 2", ""),
            ("up 3 A", ""),
            ("A opts 1", "duplicate"),
            ("A opts 2", "duplicate"),
            ("A opts 1", "duplicate; A resent 1+2 acked 0 after 2 Reset"),
            ("A opts 2", "duplicate"),
            ("end", "A ended Open ESTABLISHED ESTABLISHED; A resent 1+2 acked 0 after 2 Reset; A unacked 1+2 lost 0 link up"),
        ]);
        let numbers = wire.observer.summaries().next().unwrap().numbers;
        assert_eq!(
            (
                numbers.sent,
                numbers.resent,
                numbers.resent_distinct,
                numbers.duplicates
            ),
            (3, 4, 2, 4)
        );
    }
}

/// Spec: kernel-observed. A new connection begins 181, 182, 179, 180, 181, 182.
#[test]
fn new_messages_before_the_resent_ones_are_dropped_and_come_again() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 3", "gap; A lacks 2+1"),
        ("A opts 4", "gap"),
        ("A opts 1", "duplicate; A new 2 before 1"),
        (
            "A opts 2",
            "in order; A resent 1+1 acked 0 after 1 Reset; A filled 2+1 early 2",
        ),
        ("A opts 3", "in order"),
        ("A opts 4", "in order"),
        ("A opts 5", "in order; A resent 3+2 acked 0 after 1 Reset"),
    ]);
}

/// What reached the wire and was thrown away at the reset: no gap on the wire, a resend from before it.
#[test]
fn delivered_is_not_processed_and_no_gap_is_told() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 3", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("A opts 2", "duplicate; A new 1 before 2"),
        ("A opts 3", "duplicate"),
        ("B ack 4", "bare; A acked 4 +2"),
        ("A opts 4", "in order; A resent 2+2 acked 0 after 1 Reset"),
    ]);
}

#[test]
fn frame_behind_a_reset_counts_as_sent() {
    at_every_start(&[
        ("reset 1", ""),
        ("A opts 1 @1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 2", "in order"),
        ("reset 3", ""),
        ("A opts 3 @3", "in order"),
        ("up 4 A", "A crosses 2 of 2"),
        ("A opts 2", "duplicate"),
        ("A opts 3", "duplicate"),
        ("A opts 4", "in order; A resent 2+2 acked 0 after 3 Reset"),
    ]);
}

#[test]
fn frame_behind_a_reset_went_down_with_the_link() {
    at_every_start(&[
        ("reset 1", ""),
        ("A opts 1 @1", "in order"),
        ("up 3 A", "A crosses 2 of 2"),
        (
            "end",
            "A ended Open ESTABLISHED ESTABLISHED; A unacked 1+1 lost 1 link up",
        ),
    ]);
}

#[test]
fn number_with_other_bytes_on_the_same_link_is_corruption() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("A opts 2", "in order"),
        ("A opts 2 other", "duplicate; A changed 2"),
        ("A opts 3", "in order"),
    ]);
}

#[test]
fn damaged_message_counts_or_not_by_the_kind_of_damage() {
    at_every_start(&[
        ("A broken 1", "damaged; A damaged 1"),
        ("A opts 1", "in order"),
        ("A wrong 2", "damaged; A damaged 2 counted"),
        ("A opts 3", "in order"),
        ("A broken 4", "damaged; A damaged 4"),
        ("A opts 5", "gap; A lacks 4+1"),
        ("A junk", "damaged; A damaged"),
    ]);
}

#[test]
fn midway_start_takes_the_first_number_as_it_comes() {
    for start in STREAM_STARTS {
        Wire::silent(start).plays(&[
            ("up 1 A midway", ""),
            ("up 2 B midway", "B crosses 1 of 2"),
            (
                "A opts 5",
                "in order; A is 3.2; A CLOSED>ESTABLISHED; A midway at 5",
            ),
            ("A opts 6", "in order"),
            (
                "B ack 4",
                "bare; B midway; B is 3.2; B CLOSED>ESTABLISHED; A acked 4 +0",
            ),
            ("B ack 6", "bare; A acked 6 +2"),
            ("A opts 7", "in order"),
        ]);
    }
}

/// Starts that are no beginning, whatever the script adds.
const STREAM_STARTS: [u32; 4] = [1, 1 << 31, u32::MAX - 20, u32::MAX - 7];

#[test]
fn midway_ack_before_any_message_cannot_be_judged() {
    for start in STREAM_STARTS {
        Wire::silent(start).plays(&[
            ("up 1 A midway", ""),
            ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
            ("B ack 9 @1", "bare; B midway; B is 3.2; B CLOSED>ESTABLISHED"),
            ("A opts 7", "duplicate acked; A midway at 7"),
            ("A opts 9", "in order"),
            ("B ack 10 @1", "bare; A acked 10 +1"),
        ]);
    }
}
