//! When what has come is acknowledged (V7).

use super::fixture::{STARTS, STATUS, Script, Wrote, rcom, them, us};
use crate::Time;
use crate::engine::{Config, ConfigError, LinkRole, Message, Violation};
use crate::state::State;
use dlmwire_codec::Seq;

/// As nodes are by default.
fn established(start: u32) -> Script {
    let mut script = Script::new(Config {
        start_seq: Seq::new(start),
        ..Config::new(us())
    });
    script.establish();
    script
}

/// The next moment at which late acknowledgements go out.
fn next_tick(script: &Script) -> Time {
    let delay = script.engine.config().ack_delay;
    Time((script.now.0 / delay + 1) * delay)
}

fn waits_for_tick(script: &mut Script) {
    let tick = next_tick(script);
    script.waits(tick.0 - script.now.0);
}

#[test]
fn few_bytes_are_acknowledged_at_the_next_tick_and_then_nothing_rings() {
    for start in STARTS {
        let mut script = established(start);
        script.receives_next(b"a").unwrap();
        script.receives_next(b"b").unwrap();
        script.is_silent();
        let tick = next_tick(&script);
        assert_eq!(script.engine.poll_timeout(), Some(tick));
        script.waits(tick.0 - script.now.0 - 1);
        script.is_silent();
        script.waits(1);
        assert_eq!(script.transmits(), [Wrote::Ack(2)]);
        assert_eq!(script.engine.poll_timeout(), None);
    }
}

#[test]
fn enough_bytes_are_acknowledged_at_the_end_of_the_read_run_that_brought_them() {
    for start in STARTS {
        let mut script = established(start);
        let payload = vec![7; 3888];
        let frame_bytes = 24 + 88 + payload.len();
        let enough = script.engine.config().ack_after_bytes.div_ceil(frame_bytes);
        for _ in 1..enough {
            script.receives_next(&payload).unwrap();
            script.is_silent();
        }
        script.receives_next(&payload).unwrap();
        let ack = Wrote::Ack(u32::try_from(enough).unwrap());
        assert_eq!(script.transmits(), [ack]);
        // The next ones count anew.
        script.receives_next(b"x").unwrap();
        script.is_silent();
    }
}

#[test]
fn whatever_is_sent_takes_the_ack_along_and_the_tick_has_nothing_to_do() {
    let status = Message::Rcom(rcom(STATUS));
    for start in STARTS {
        let mut script = established(start);
        script.receives_next(b"a").unwrap();
        script.sends(b"answer");
        assert_eq!(
            script.transmits(),
            [Wrote::Ack(1), Wrote::Message(0, b"answer".to_vec())]
        );
        script.receives_next(b"b").unwrap();
        script.engine.send(script.now, them(), &status).unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(2), Wrote::Status]);
        waits_for_tick(&mut script);
        script.is_silent();
        assert!(
            script.engine.poll_timeout() > Some(script.now),
            "only the age of what we sent is left"
        );
    }
}

#[test]
fn ack_that_the_link_has_not_taken_is_brought_up_to_date() {
    for start in STARTS {
        let mut script = established(start);
        let first = script.message(0, b"a");
        script.receives_next(b"a").unwrap();
        script.receives(&first).unwrap();
        script.receives_next(b"b").unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(2)]);
        waits_for_tick(&mut script);
        script.is_silent();
    }
}

#[test]
fn halted_peer_is_not_acknowledged_at_the_tick() {
    for start in STARTS {
        let mut script = established(start);
        script.receives_next(b"a").unwrap();
        let other = script.message(0, b"other bytes");
        assert_eq!(script.receives(&other), Err(Violation::Halted));
        script.events();
        waits_for_tick(&mut script);
        assert_eq!(script.transmits(), []);
    }
}

/// Proves C4.
#[test]
fn duplicate_is_acknowledged_at_once_with_all_that_came() {
    for start in STARTS {
        let mut script = established(start);
        let first = script.message(0, b"a");
        script.receives_next(b"a").unwrap();
        script.receives_next(b"b").unwrap();
        script.is_silent();
        script.receives(&first).unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(2)]);
    }
}

/// Proves D6.
#[test]
fn fin_is_acknowledged_at_once_with_all_that_came() {
    for start in STARTS {
        let mut script = established(start);
        script.receives_next(b"a").unwrap();
        script.is_silent();
        script.receives_fin().unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(2)]);
        assert_eq!(script.state(), State::CloseWait);
    }
}

#[test]
fn link_that_is_lost_with_an_ack_owed_leaves_it_to_the_next() {
    for start in STARTS {
        let mut script = established(start);
        script.receives_next(b"a").unwrap();
        let lost = script.link;
        script.goes_down(lost);
        let next = script.connect(LinkRole::Accepted);
        assert_eq!(script.transmits_on(next), [Wrote::Ack(1)]);
        script.events();
        waits_for_tick(&mut script);
        script.is_silent();
    }
}

#[test]
fn more_than_a_full_segment_holds_cannot_stay_unacknowledged() {
    let mut config = Config::new(us());
    config.ack_after_bytes = 60 << 10;
    assert_eq!(config.check(), Ok(()));
    config.ack_after_bytes += 1;
    let error = config.check().unwrap_err();
    assert!(matches!(
        error,
        ConfigError::TooLarge {
            name: "ack_after_bytes",
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "ack_after_bytes is 61441, at most 61440 is possible"
    );
}
