//! The four-way end, in all orders.

use super::fixture::{GROUP, STARTS, Script, Wrote, status, them, us};
use crate::engine::{Close, Config, Event, FenceCause, LinkRole, Outcome, SendError};
use crate::state::State;

fn finished(outcome: Outcome) -> Event {
    Event::Finished {
        node: them(),
        outcome,
    }
}

/// Proves D6, D11, C10.
#[test]
fn we_leave_first() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"last");
        script.shuts_down();
        assert_eq!(
            script.transmits(),
            [Wrote::Message(0, b"last".to_vec()), Wrote::Fin(1)]
        );
        assert_eq!(script.state(), State::FinWait1);
        assert_eq!(script.tries_to_send(b"x"), Err(SendError::ShuttingDown));
        let ack = script.ack(2);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::FinWait2);
        assert!(script.receives_next(b"still talking").unwrap().is_some());
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        script.events();
        let link = script.link;
        script.receives_fin().unwrap();
        assert_eq!(script.state(), State::Closed);
        let told = script.events();
        assert!(told.contains(&finished(Outcome::Clean)), "{told:?}");
        assert!(told.contains(&Event::ShutdownComplete {
            outcome: Outcome::Clean
        }));
        assert!(told.contains(&Event::CloseLink {
            link,
            how: Close::AfterFlush
        }));
        assert_eq!(
            script.transmits(),
            [Wrote::Ack(2)],
            "the last ACK leaves before the link is closed"
        );
        script.is_silent();
        assert!(script.engine.is_shut_down());
    }
}

/// Proves C8, C9, C10.
#[test]
fn peer_leaves_first_and_is_removed_later() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.receives_fin().unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        assert_eq!(script.state(), State::CloseWait);
        script.sends(b"still listening");
        assert_eq!(
            script.transmits(),
            [Wrote::Message(0, b"still listening".to_vec())]
        );
        assert_eq!(
            script
                .engine
                .peer(script.now, them())
                .unwrap()
                .counters
                .violations,
            0
        );
        script.removes();
        assert_eq!(script.transmits(), [Wrote::Fin(1)]);
        assert_eq!(script.state(), State::LastAck);
        let ack = script.ack(2);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::Closed);
        assert!(script.events().contains(&finished(Outcome::Clean)));
    }
}

/// Proves C3, C9, D10.
#[test]
fn peer_is_removed_first_and_leaves_later() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.removes();
        script.is_silent();
        script.receives_fin().unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(1), Wrote::Fin(0)]);
        assert_eq!(script.state(), State::LastAck);
        script.removes();
        assert_eq!(script.transmits(), [], "exactly one FIN");
    }
}

#[test]
fn both_leave_at_once() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.shuts_down();
        assert_eq!(script.transmits(), [Wrote::Fin(0)]);
        script.receives_fin().unwrap();
        assert_eq!(script.state(), State::Closing);
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        let ack = script.ack(1);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::Closed);
    }
}

#[test]
fn repeated_fin_of_a_finished_peer_is_acknowledged_on_a_new_link() {
    for state in [State::FinWait2, State::Closing, State::LastAck] {
        for start in STARTS {
            let mut script = Script::peer_in(state, start);
            if state == State::FinWait2 {
                script.receives_fin().unwrap();
            } else {
                let ack = script.ack(1);
                script.receives(&ack).unwrap();
            }
            assert_eq!(script.state(), State::Closed);
            // Whatever was still to be said is lost with the link.
            let old = script.link;
            script.goes_down(old);
            script.quiet();
            script.connect(LinkRole::Accepted);
            script.quiet();
            let again = script.fin(0);
            assert_eq!(script.receives(&again), Ok(None));
            assert_eq!(script.transmits(), [Wrote::Ack(1)], "{state}");
            assert_eq!(script.state(), State::Closed, "nothing late re-establishes it");
            let lifetime = Config::new(us()).tombstone_lifetime;
            script.waits(lifetime);
            assert_eq!(script.receives(&again), Ok(None));
            assert_eq!(script.transmits(), [], "forgotten in the end");
            assert_eq!(script.engine.poll_timeout(), None);
        }
    }
}

#[test]
fn closing_on_a_new_link_acknowledges_the_peers_fin_behind_what_it_has_to_acknowledge() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"last");
        script.shuts_down();
        script.quiet();
        script.receives_fin().unwrap();
        script.quiet();
        assert_eq!(script.state(), State::Closing);
        let old = script.link;
        script.goes_down(old);
        script.connect(LinkRole::Dialed);
        let expected = [Wrote::Message(0, b"last".to_vec()), Wrote::Fin(1), Wrote::Ack(1)];
        assert_eq!(script.transmits(), expected);
    }
}

#[test]
fn last_ack_leaves_on_the_link_on_which_the_fin_came() {
    for start in STARTS {
        let mut script = Script::peer_in(State::FinWait2, start);
        let dead = script.link;
        let alive = script.comes_up(LinkRole::Accepted);
        let fin = script.fin(0);
        script.receives_on(alive, &fin).unwrap();
        assert_eq!(script.state(), State::Closed);
        assert_eq!(script.transmits_on(dead), []);
        assert_eq!(script.transmits_on(alive), [Wrote::Ack(1)]);
    }
}

#[test]
fn last_ack_is_finished_by_an_ack_on_another_link() {
    for start in STARTS {
        let mut script = Script::peer_in(State::LastAck, start);
        let old = script.link;
        script.goes_down(old);
        assert!(script.events().contains(&Event::LinkWanted { node: them() }));
        script.connect(LinkRole::Dialed);
        assert_eq!(script.transmits(), [Wrote::Ack(1), Wrote::Fin(0)]);
        let ack = script.ack(1);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::Closed);
    }
}

#[test]
fn unacknowledged_fin_is_sent_again_with_growing_pauses_until_the_deadline() {
    for state in [State::FinWait1, State::LastAck, State::Closing] {
        let mut script = Script::peer_in(state, 0);
        let Config {
            fin_resend_after,
            shutdown_deadline,
            ..
        } = Config::new(us());
        let mut resent = 0;
        let mut pause = fin_resend_after;
        let mut waited = 0;
        while waited + pause < shutdown_deadline {
            script.waits(pause - 1);
            assert_eq!(script.transmits(), []);
            script.waits(1);
            assert_eq!(script.transmits(), [Wrote::Fin(0)], "{state}");
            resent += 1;
            waited += pause;
            pause *= 2;
        }
        assert_eq!(resent, 4);
        assert_eq!(script.engine.peer(script.now, them()).unwrap().counters.resent, 4);
        script.waits(shutdown_deadline - waited);
        assert_eq!(script.state(), State::Closed);
        let told = script.events();
        assert!(told.contains(&finished(Outcome::TimedOut)), "{told:?}");
        assert!(told.contains(&Event::FenceNeeded {
            node: them(),
            cause: FenceCause::ShutdownDeadline
        }));
        assert_eq!(script.engine.poll_timeout(), None);
    }
}

/// Proves C25.
#[test]
fn fin_that_never_comes_ends_at_the_deadline() {
    let mut script = Script::peer_in(State::FinWait2, 0);
    let deadline = Config::new(us()).shutdown_deadline;
    script.waits(deadline - 1);
    assert_eq!(script.state(), State::FinWait2);
    assert_eq!(
        script.transmits(),
        [],
        "our FIN is acknowledged: nothing to resend"
    );
    script.waits(1);
    assert_eq!(script.state(), State::Closed);
    assert!(script.events().contains(&Event::ShutdownComplete {
        outcome: Outcome::TimedOut
    }));
}

#[test]
fn second_fin_is_a_violation_and_moves_nothing() {
    for state in [State::CloseWait, State::LastAck, State::Closing] {
        let mut script = Script::peer_in(state, 0);
        assert!(script.receives_fin().is_err());
        assert_eq!(script.state(), state);
    }
}

#[test]
fn message_behind_the_fin_is_a_violation_and_not_delivered() {
    let mut script = Script::peer_in(State::CloseWait, 0);
    let behind = script.message(1, b"x");
    assert!(script.receives(&behind).is_err());
    assert_eq!(
        script
            .engine
            .peer(script.now, them())
            .unwrap()
            .counters
            .unexpected,
        1
    );
}

#[test]
fn peer_added_while_it_terminates_begins_anew_on_a_new_link() {
    for state in [State::CloseWait, State::LastAck] {
        for start in STARTS {
            let mut script = Script::peer_in(state, start);
            if state == State::CloseWait {
                script.removes();
                script.quiet();
            }
            let old = script.link;
            script.engine.add_member(script.now, them(), GROUP).unwrap();
            assert_eq!(script.state(), State::Established);
            let told = script.events();
            assert!(
                told.contains(&Event::CloseLink {
                    link: old,
                    how: Close::Abort
                }),
                "{told:?}"
            );
            assert!(told.contains(&Event::LinkWanted { node: them() }));
            script.goes_down(old);
            script.connect(LinkRole::Dialed);
            script.receives(&status()).unwrap();
            script.quiet();
            assert_eq!(script.sends(b"new"), 0);
        }
    }
}

#[test]
fn status_while_terminating_moves_nothing_and_is_delivered_before_the_peers_fin() {
    for state in State::ALL.into_iter().filter(|state| state.is_terminating()) {
        let mut script = Script::peer_in(state, 0);
        let before_its_fin = matches!(state, State::FinWait1 | State::FinWait2);
        assert_eq!(script.receives(&status()).unwrap().is_some(), before_its_fin);
        assert_eq!(script.state(), state);
    }
}

#[test]
fn next_conversation_of_a_pair_ends_as_the_first_did() {
    for start in STARTS {
        let mut script = Script::established(start);
        for _ in 0..2 {
            script.shuts_down();
            script.quiet();
            let ack = script.ack(1);
            script.receives(&ack).unwrap();
            let fin = script.fin(0);
            script.receives(&fin).unwrap();
            assert_eq!(script.state(), State::Closed);
            script.quiet();
            let old = script.link;
            script.goes_down(old);
            script.establish();
        }
    }
}

#[test]
fn shutdown_without_any_conversation_is_complete_at_once() {
    let mut script = Script::starting_at(0);
    script.shuts_down();
    assert_eq!(
        script.events(),
        [Event::ShutdownComplete {
            outcome: Outcome::Clean
        }]
    );
}

#[test]
fn shutdown_waits_for_the_version_of_a_member_and_then_sends_its_fin() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        script.shuts_down();
        assert!(script.engine.wants_link(them()));
        script.connect(LinkRole::Dialed);
        script.quiet();
        assert_eq!(script.state(), State::Established);
        script.receives(&status()).unwrap();
        assert_eq!(script.state(), State::FinWait1);
        assert_eq!(script.transmits(), [Wrote::Fin(0)]);
    }
}

#[test]
fn shutdown_gives_up_a_member_that_never_shows() {
    let mut script = Script::starting_at(0);
    script.engine.add_member(script.now, them(), GROUP).unwrap();
    script.shuts_down();
    script.events();
    script.waits(Config::new(us()).version_wait);
    let told = script.events();
    let outcome = Outcome::WithoutFin;
    assert!(told.contains(&Event::ShutdownComplete { outcome }), "{told:?}");
    assert_eq!(script.engine.poll_timeout(), None);
}
