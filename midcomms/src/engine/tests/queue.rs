//! The send queue: what stays, what is sent again, what is refused.

use super::fixture::{STARTS, Script, Wrote, them, us};
use crate::engine::{Config, Event, FRAME_BYTES_MAX, LinkRole, PAYLOAD_BYTES_MAX, SendError};

/// Proves D12, C21, A3.
#[test]
fn new_link_begins_with_everything_unacknowledged_in_order() {
    for start in STARTS {
        let mut script = Script::established(start);
        for payload in [b"a", b"b", b"c"] {
            script.sends(payload);
        }
        assert_eq!(script.transmits().len(), 3);
        let ack = script.ack(1);
        script.receives(&ack).unwrap();
        script.is_silent();
        let link = script.link;
        script.goes_down(link);
        script.sends(b"d");
        script.connect(LinkRole::Dialed);
        let expected = [
            Wrote::Ack(0),
            Wrote::Message(1, b"b".to_vec()),
            Wrote::Message(2, b"c".to_vec()),
            Wrote::Message(3, b"d".to_vec()),
        ];
        assert_eq!(script.transmits(), expected);
        assert_eq!(script.engine.peer(script.now, them()).unwrap().counters.resent, 2);
    }
}

/// Proves B11.
#[test]
fn resend_writes_the_same_bytes() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(&[7; 300]);
        script.sends(&[8; 3984]);
        let first = script.link;
        let once = script.writes(first, usize::MAX);
        script.goes_down(first);
        let second = script.connect(LinkRole::Accepted);
        let again = script.writes(second, usize::MAX);
        assert_eq!(again[16..], once);
    }
}

/// Proves B16.
#[test]
fn new_link_begins_at_a_frame_boundary_wherever_the_old_one_was_cut() {
    for start in STARTS {
        let whole = 3 * (24 + 88 + 5);
        for cut in 0..=whole {
            let mut script = Script::established(start);
            for payload in [b"first", b"secnd", b"third"] {
                script.sends(payload);
            }
            let old = script.link;
            assert_eq!(script.writes(old, cut).len(), cut);
            script.goes_down(old);
            script.connect(LinkRole::Dialed);
            let wrote = script.transmits();
            assert_eq!(wrote[0], Wrote::Ack(0));
            assert_eq!(wrote[1..].len(), 3, "cut at {cut}");
        }
    }
}

/// Proves C14.
#[test]
fn message_that_waits_for_its_resend_is_not_queued_twice() {
    let mut script = Script::established(0);
    script.sends(b"a");
    script.transmits();
    for _ in 0..3 {
        let link = script.link;
        script.goes_down(link);
        script.connect(LinkRole::Dialed);
    }
    assert_eq!(
        script.transmits(),
        [Wrote::Ack(0), Wrote::Message(0, b"a".to_vec())]
    );
    script.quiet();
    script.is_silent();
}

/// Proves C15, B10.
#[test]
fn dropped_reservation_leaves_no_hole_and_nothing_uncommitted_is_sent() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"a");
        let mut reservation = script
            .engine
            .reserve_payload(script.now, them(), super::fixture::GROUP, 9)
            .unwrap();
        reservation.bytes_mut().copy_from_slice(b"abandoned");
        let _ = reservation;
        let link = script.link;
        script.goes_down(link);
        script.connect(LinkRole::Dialed);
        let mut reservation = script
            .engine
            .reserve_payload(script.now, them(), super::fixture::GROUP, 4)
            .unwrap();
        reservation.bytes_mut().copy_from_slice(b"kept");
        assert_eq!(reservation.commit().seq, Some(script.seq(1)));
        let expected = [
            Wrote::Ack(0),
            Wrote::Message(0, b"a".to_vec()),
            Wrote::Message(1, b"kept".to_vec()),
        ];
        assert_eq!(script.transmits(), expected);
    }
}

/// Proves C32.
#[test]
fn queue_full_then_ack_is_writable() {
    for start in STARTS {
        let mut script = Script::new(Config {
            queue_bytes_max: 128 << 10,
            start_seq: dlmwire_codec::Seq::new(start),
            ..Config::new(us())
        });
        script.establish();
        let mut accepted = 0;
        let refused = loop {
            match script.tries_to_send(&[1; 1000]) {
                Ok(_) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused, SendError::QueueFull);
        assert!(accepted >= 110, "{accepted}");
        let view = script.engine.peer(script.now, them()).unwrap();
        assert!(view.send_queue_memory_bytes <= 128 << 10);
        script.events();
        assert_eq!(script.tries_to_send(&[1; 1000]), Err(SendError::QueueFull));
        assert_eq!(script.events(), [], "told once");
        script.transmits();
        let ack = script.ack(accepted);
        script.receives(&ack).unwrap();
        assert_eq!(script.events(), [Event::Writable { node: them() }]);
        assert_eq!(
            script
                .engine
                .peer(script.now, them())
                .unwrap()
                .send_queue_memory_bytes,
            0
        );
        script.sends(b"again");
    }
}

/// Proves C32.
#[test]
fn million_messages_against_a_stopped_reader_stay_within_the_bound() {
    let config = Config::new(us());
    let bound = config.queue_bytes_max;
    let mut script = Script::new(config);
    script.establish();
    let mut accepted = 0_u32;
    for attempt in 0..1_000_000_u32 {
        accepted += u32::from(script.tries_to_send(&attempt.to_le_bytes().repeat(32)).is_ok());
    }
    let view = script.engine.peer(script.now, them()).unwrap();
    assert_eq!(view.send_queue_count, accepted);
    assert!(
        view.send_queue_memory_bytes <= bound,
        "{} bytes",
        view.send_queue_memory_bytes
    );
    assert!(view.send_queue_bytes * 100 >= bound * 95, "and the bound is used");
}

#[test]
fn largest_payload_fits_and_one_byte_more_is_too_large() {
    let mut script = Script::established(0);
    script.sends(&[3; PAYLOAD_BYTES_MAX]);
    let link = script.link;
    assert_eq!(script.writes(link, usize::MAX).len(), FRAME_BYTES_MAX);
    let refused = script.tries_to_send(&[3; PAYLOAD_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(refused.to_string(), "3985 bytes exceed the limit of 3984");
}

#[test]
fn ack_that_passes_a_half_written_resend_lets_it_be_finished() {
    for start in STARTS {
        for cut in 1..117 {
            let mut script = Script::established(start);
            for payload in [b"first", b"secnd", b"third"] {
                script.sends(payload);
            }
            script.transmits();
            let old = script.link;
            script.goes_down(old);
            let link = script.connect(LinkRole::Dialed);
            let mut bytes = script.writes(link, 16 + cut);
            let ack = script.ack(2);
            script.receives(&ack).unwrap();
            bytes.extend(script.writes(link, usize::MAX));
            let expected = [
                Wrote::Ack(0),
                Wrote::Message(0, b"first".to_vec()),
                Wrote::Message(2, b"third".to_vec()),
            ];
            assert_eq!(script.reads(&bytes), expected, "cut at {cut}");
        }
    }
}

#[test]
fn ack_is_written_between_frames_wherever_the_link_stopped() {
    for start in STARTS {
        for cut in 0..=234 {
            let mut script = Script::established(start);
            script.sends(b"first");
            script.sends(b"secnd");
            let link = script.link;
            let mut bytes = script.writes(link, cut);
            script.receives_next(b"x").unwrap();
            bytes.extend(script.writes(link, usize::MAX));
            let wrote = script.reads(&bytes);
            assert_eq!(wrote.len(), 3, "cut at {cut}");
            assert!(wrote.contains(&Wrote::Ack(1)));
        }
    }
}

#[test]
fn queue_of_many_segments_survives_cuts_and_acks() {
    for start in STARTS {
        let mut script = Script::established(start);
        let count = 2_000_u32;
        for number in 0..count {
            script.sends(&number.to_le_bytes().repeat(50));
        }
        let mut acked = 0;
        for round in 0..12_u32 {
            let link = script.link;
            script.writes(link, usize::try_from(round * 40_001 + 7).unwrap());
            let sent = script.engine.peer(script.now, them()).unwrap().counters.resent;
            acked = (acked + 60).min(count);
            let ack = script.ack(if round == 0 { 0 } else { acked - 60 });
            script.receives(&ack).unwrap();
            script.goes_down(link);
            script.connect(LinkRole::Dialed);
            assert!(u64::from(round) == 0 || sent <= u64::from(round) * u64::from(count));
        }
        let wrote = script.transmits();
        let numbers: Vec<u32> = wrote
            .iter()
            .filter_map(|wrote| match wrote {
                Wrote::Message(number, payload) => {
                    assert_eq!(*payload, number.to_le_bytes().repeat(50));
                    Some(*number)
                }
                _ => None,
            })
            .collect();
        assert_eq!(numbers, (acked - 60..count).collect::<Vec<_>>());
    }
}
