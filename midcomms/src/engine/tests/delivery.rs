//! What is delivered, and what is acknowledged.

use dlmwire_codec::{InnerFields, Options, Seq};

use super::fixture::{STARTS, Script, Wrote, numbered, raw, status, us};
use crate::engine::{Close, Config, Event, Evidence, FenceCause, LinkLimits, LinkRole, Violation};
use crate::state::State;

/// Proves C22, D13.
#[test]
fn established_takes_only_the_number_that_fits() {
    for start in STARTS {
        let mut script = Script::established(start);
        let taken: Vec<_> = [0, 1, 1, 0, 2]
            .map(|number| {
                let frame = script.message(number, &[u8::try_from(number).unwrap()]);
                script.receives(&frame).unwrap()
            })
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(taken, [[0], [1], [2]]);
    }
}

/// Proves C24.
#[test]
fn established_messages_out_of_order_are_delivered_after_the_resend() {
    for start in STARTS {
        let mut script = Script::established(start);
        let [first, second, third] = [0, 1, 2].map(|number| script.message(number, b"x"));
        assert_eq!(script.receives(&first).unwrap(), Some(b"x".to_vec()));
        assert_eq!(script.receives(&third).unwrap(), None);
        assert_eq!(script.receives(&second).unwrap(), Some(b"x".to_vec()));
        assert_eq!(script.receives(&third).unwrap(), Some(b"x".to_vec()));
        assert_eq!(
            script
                .engine
                .peer(script.now, super::fixture::them())
                .unwrap()
                .counters
                .gaps,
            1
        );
    }
}

/// Proves C4, D5.
#[test]
fn established_duplicate_is_acknowledged_again_and_not_delivered() {
    for start in STARTS {
        let mut script = Script::established(start);
        let first = script.message(0, b"a");
        assert_eq!(script.receives(&first).unwrap(), Some(b"a".to_vec()));
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        assert_eq!(script.receives(&first).unwrap(), None);
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        script.is_silent();
    }
}

#[test]
fn established_read_run_is_acknowledged_once_and_rides_with_data() {
    for start in STARTS {
        let mut script = Script::established(start);
        let run: Vec<_> = (0..5).map(|number| script.message(number, b"run")).collect();
        assert!(
            script
                .receives_run(&run)
                .iter()
                .all(|taken| taken.as_ref().is_ok_and(Option::is_some))
        );
        script.sends(b"answer");
        assert_eq!(
            script.transmits(),
            [Wrote::Ack(5), Wrote::Message(0, b"answer".to_vec())]
        );
        script.is_silent();
    }
}

#[test]
fn established_gap_is_dropped_without_an_answer() {
    let mut script = Script::established(0);
    let later = script.message(5, b"later");
    assert_eq!(script.receives(&later), Ok(None));
    script.is_silent();
}

/// The peer's new connection takes the place of the one that went down.
fn peer_connects(script: &mut Script) {
    script.link = script.connect(LinkRole::Accepted);
    script.quiet();
}

#[test]
fn gap_that_lasts_resets_every_link_with_growing_pauses_so_that_the_peer_sends_again() {
    for start in STARTS {
        let mut script = Script::established(start);
        let mut pause = Config::new(us()).gap_reset_after;
        for _ in 0..4 {
            let later = script.message(5, b"later");
            assert_eq!(script.receives(&later), Ok(None));
            script.waits(pause - 1);
            assert_eq!(script.closes(), []);
            script.waits(1);
            assert_eq!(script.closes(), [(script.link, Close::Abort)]);
            script.goes_down(script.link);
            peer_connects(&mut script);
            pause *= 2;
        }
        for number in 0..6 {
            let missing = script.message(number, b"again");
            assert_eq!(script.receives(&missing), Ok(Some(b"again".to_vec())));
        }
        script.waits(pause);
        assert_eq!(script.closes(), [], "nothing is missing any more");
    }
}

#[test]
fn gap_reset_that_finds_no_link_resets_the_next_one_soon_after_it_came_up() {
    let mut script = Script::established(0);
    let pause = Config::new(us()).gap_reset_after;
    let later = script.message(5, b"later");
    assert_eq!(script.receives(&later), Ok(None));
    script.goes_down(script.link);
    script.quiet();
    script.waits(pause);
    assert_eq!(script.closes(), []);
    peer_connects(&mut script);
    script.waits(pause / 8 - 1);
    assert_eq!(script.closes(), []);
    script.waits(1);
    assert_eq!(script.closes(), [(script.link, Close::Abort)]);
    // A link that is about to end is none to wait for.
    script.goes_down(script.link);
    peer_connects(&mut script);
    script.engine.handle_link_end(script.now, script.link);
    script.waits(2 * pause);
    assert!(script.closes().contains(&(script.link, Close::Abort)));
    script.goes_down(script.link);
    peer_connects(&mut script);
    script.waits(pause / 8);
    assert_eq!(script.closes(), [(script.link, Close::Abort)]);
    // What comes on the next link before that makes a reset needless.
    script.goes_down(script.link);
    script.waits(2 * pause);
    peer_connects(&mut script);
    let missing = script.message(0, b"again");
    assert_eq!(script.receives(&missing), Ok(Some(b"again".to_vec())));
    script.waits(4 * pause);
    assert_eq!(script.closes(), []);
}

/// As over SCTP.
const RECORDS: LinkLimits = LinkLimits {
    record_bytes_max: Some(4096),
};

#[test]
fn gap_over_records_is_left_to_whoever_decides() {
    let mut script = Script::established(0);
    let old = script.link;
    script.goes_down(old);
    let record = script.comes_up_with(LinkRole::Dialed, RECORDS);
    script.quiet();
    let later = script.message(5, b"later");
    assert_eq!(script.receives_on(record, &later), Ok(None));
    script.waits(Config::new(us()).unacked_age_max);
    assert_eq!(script.closes(), []);
}

#[test]
fn ack_beyond_sent_changes_nothing_and_asks_for_fencing() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"a");
        script.transmits();
        let ack = script.ack(2);
        let violation = Violation::AckBeyondSent {
            ack: script.seq(2),
            send_seq: script.seq(1),
        };
        assert_eq!(script.receives(&ack), Err(violation));
        let events = script.events();
        let node = super::fixture::them();
        let evidence = Evidence::AckBeyondSent {
            ack: script.seq(2),
            send_seq: script.seq(1),
        };
        assert!(
            events.contains(&Event::PeerRestarted { node, evidence }),
            "{events:?}"
        );
        assert!(events.contains(&Event::FenceNeeded {
            node,
            cause: FenceCause::Restarted
        }));
        assert_eq!(script.engine.peer(script.now, node).unwrap().send_queue_count, 1);
    }
}

#[test]
fn ack_of_what_waits_unsent_is_beyond_sent() {
    let mut script = Script::established(0);
    let link = script.link;
    script.goes_down(link);
    script.sends(b"a");
    script.connect(crate::engine::LinkRole::Dialed);
    let ack = script.ack(1);
    assert!(matches!(
        script.receives(&ack),
        Err(Violation::AckBeyondSent { .. })
    ));
}

#[test]
fn established_number_with_other_bytes_halts_the_peer() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.receives_next(b"one").unwrap();
        script.quiet();
        let again = script.message(0, b"two");
        assert_eq!(script.receives(&again), Err(Violation::Halted));
        let next = script.message(1, b"three");
        assert_eq!(script.receives(&next), Err(Violation::Halted));
        assert_eq!(script.transmits(), []);
        let evidence = Evidence::OtherBytes { seq: script.seq(0) };
        let node = super::fixture::them();
        assert!(script.events().contains(&Event::PeerRestarted { node, evidence }));
    }
}

#[test]
fn closed_peer_that_died_before_it_was_a_member_begins_again() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.connect(crate::engine::LinkRole::Accepted);
        script.receives(&status()).unwrap();
        let first = script.message(0, b"first life");
        assert_eq!(script.receives(&first).unwrap(), Some(b"first life".to_vec()));
        let second = script.message(0, b"second life");
        assert_eq!(script.receives(&second).unwrap(), Some(b"second life".to_vec()));
        assert_eq!(script.state(), State::Closed);
    }
}

#[test]
fn established_unreadable_content_is_counted_by_the_table_of_damage() {
    let mut script = Script::established(0);
    let mut frame = numbered(Seq::new(0), InnerFields::Fin);
    // The inner node id is another one: kernels count the number and drop the rest.
    frame[24 + 8] = 9;
    let Err(Violation::Damaged { consumed: true, .. }) = script.receives(&frame) else {
        panic!("damage in the content");
    };
    assert_eq!(script.transmits(), [Wrote::Ack(1)]);
    let mut frame = script.message(1, b"x");
    // `o_nextcmd` announces what may not be wrapped: kernels do not even count the number.
    frame[16] = 4;
    let Err(Violation::Damaged { consumed: false, .. }) = script.receives(&frame) else {
        panic!("damage in the wrapper");
    };
    assert_eq!(script.transmits(), []);
}

#[test]
fn missing_number_that_never_comes_asks_for_fencing() {
    let config = Config::new(us());
    let age = config.unacked_age_max;
    for start in STARTS {
        let mut script = Script::established(start);
        let [first, third] = [0, 2].map(|number| script.message(number, b"x"));
        script.receives(&third).unwrap();
        script.waits(config.gap_reset_after - 1);
        script.receives(&first).unwrap();
        script.quiet();
        script.waits(age);
        assert_eq!(script.events(), [], "something fitted since");
        script.receives(&third).unwrap();
        script.waits(age);
        let node = super::fixture::them();
        let cause = FenceCause::Gap;
        let alarm = Event::FenceNeeded { node, cause };
        assert_eq!(script.events().iter().filter(|told| **told == alarm).count(), 1);
    }
}

/// Proves C19.
#[test]
fn established_options_are_skipped() {
    let mut script = Script::established(0);
    let plain = script.message(0, b"x");
    let mut frame = plain[..24].to_vec();
    frame[18] = 10;
    let length = u16::try_from(plain.len() + 10).unwrap();
    frame[12..14].copy_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&[0x34, 0x12, 2, 0, 0xaa, 0xbb, 0x35, 0x12, 0, 0]);
    frame.extend_from_slice(&plain[24..]);
    assert_eq!(frame.len(), plain.len() + 10);
    assert_eq!(script.receives(&frame).unwrap(), Some(b"x".to_vec()));
    assert!(Options::NONE.is_empty());
}

/// Proves B2.
#[test]
fn a_flood_of_bad_frames_is_told_at_a_limited_rate() {
    let mut script = Script::established(0);
    let mut bad = script.ack(0);
    bad[14] = 6;
    let link = script.link;
    let mut told = 0;
    let mut suppressed_in_all = 0;
    for _ in 0..100_000 {
        script.now.0 += 100_000;
        let _ = script.engine.handle_frame(script.now, link, raw(&bad));
        for event in script.events() {
            let Event::Violation { suppressed, .. } = event else {
                panic!("{event:?}");
            };
            told += 1;
            suppressed_in_all += suppressed;
        }
    }
    assert!(told <= 10 + 11, "{told} told in ten seconds");
    assert!(suppressed_in_all > 80_000);
    assert_eq!(
        script
            .engine
            .peer(script.now, super::fixture::them())
            .unwrap()
            .counters
            .violations,
        100_000
    );
}
