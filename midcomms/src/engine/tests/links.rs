//! Which link is sent on, and what happens when it goes.

use super::fixture::{STARTS, Script, Wrote, rcom, status, status_reply, them, us};
use crate::LinkId;
use crate::engine::{Close, Config, Event, LinkLimits, LinkRole, Message};
use crate::state::State;

/// Proves B4.
#[test]
fn lost_sending_link_moves_to_the_accepted_one_and_resends() {
    for start in STARTS {
        let mut script = Script::established(start);
        let dialed = script.link;
        let accepted = script.comes_up(LinkRole::Accepted);
        script.sends(b"a");
        assert_eq!(script.transmits_on(dialed), [Wrote::Message(0, b"a".to_vec())]);
        assert_eq!(script.transmits_on(accepted), []);
        script.goes_down(dialed);
        assert_eq!(
            script.transmits_on(accepted),
            [Wrote::Ack(0), Wrote::Message(0, b"a".to_vec())]
        );
    }
}

#[test]
fn lost_accepted_link_leaves_the_sending_one_alone() {
    let mut script = Script::established(0);
    let dialed = script.link;
    let accepted = script.comes_up(LinkRole::Accepted);
    script.quiet();
    script.goes_down(accepted);
    script.is_silent();
    assert_eq!(script.engine.sending_link(them()), Some(dialed));
}

/// Proves B5.
#[test]
fn lost_idle_link_is_wanted_again() {
    let mut script = Script::established(0);
    let link = script.link;
    script.goes_down(link);
    assert_eq!(
        script.events(),
        [
            Event::Disconnected { node: them() },
            Event::LinkWanted { node: them() }
        ]
    );
    assert!(script.engine.wants_link(them()));
}

/// Proves C20, D9.
#[test]
fn crossing_links_are_both_received_from() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script
            .engine
            .add_member(script.now, them(), super::fixture::GROUP)
            .unwrap();
        let dialed = script.connect(LinkRole::Dialed);
        let accepted = script.comes_up(LinkRole::Accepted);
        script.receives_on(accepted, &status()).unwrap();
        let [one, two] = [script.message(0, b"one"), script.message(1, b"two")];
        assert!(script.receives_on(dialed, &one).unwrap().is_some());
        assert!(script.receives_on(accepted, &two).unwrap().is_some());
        assert_eq!(script.engine.sending_link(them()), Some(dialed));
        assert_eq!(script.transmits_on(accepted), []);
        assert_eq!(script.transmits_on(dialed), [Wrote::Ack(2)]);
    }
}

#[test]
fn newer_connection_of_a_peer_replaces_the_one_it_made_before() {
    for start in STARTS {
        for cut in [0, 1, 60, 117, 130, 234] {
            let mut script = Script::starting_at(start);
            script
                .engine
                .add_member(script.now, them(), super::fixture::GROUP)
                .unwrap();
            let old = script.connect(LinkRole::Accepted);
            script.receives(&status()).unwrap();
            script.sends(b"first");
            script.sends(b"secnd");
            let mut on_old = script.writes(old, cut);
            let new = script.connect(LinkRole::Accepted);
            assert_eq!(script.engine.sending_link(them()), Some(new));
            assert_eq!(script.transmits_on(new).len(), 3, "the ACK and both messages");
            on_old.extend(script.writes(old, usize::MAX));
            assert_eq!(
                script.reads(&on_old).len(),
                cut.div_ceil(117),
                "what it began it finishes"
            );
        }
    }
}

#[test]
fn too_many_links_abort_the_oldest_that_is_only_received_from() {
    let mut script = Script::new(Config {
        links_per_peer_max: 3,
        ..Config::new(us())
    });
    script.establish();
    let second = script.comes_up(LinkRole::Accepted);
    script.comes_up(LinkRole::Accepted);
    assert_eq!(script.closes(), []);
    script.comes_up(LinkRole::Accepted);
    assert_eq!(script.closes(), [(second, Close::Abort)]);
    assert!(
        script.receives_on(second, &status()).is_err(),
        "nothing of it counts any more"
    );
}

#[test]
fn end_of_the_sending_link_is_flushed_before_it_is_closed() {
    let mut script = Script::established(0);
    let link = script.link;
    script.sends(b"a");
    script.engine.handle_link_end(script.now, link);
    assert_eq!(script.closes(), [(link, Close::AfterFlush)]);
    assert_eq!(script.transmits(), [Wrote::Message(0, b"a".to_vec())]);
    script.goes_down(link);
    script.connect(LinkRole::Dialed);
    assert_eq!(
        script.transmits(),
        [Wrote::Ack(0), Wrote::Message(0, b"a".to_vec())]
    );
    assert_eq!(script.state(), State::Established);
}

/// Proves E12.
#[test]
fn frame_of_another_node_counts_for_nothing_and_aborts_its_link() {
    for start in STARTS {
        let mut script = Script::established(start);
        let impostor = script.comes_up(LinkRole::Accepted);
        let mut frame = script.message(0, b"not from the peer");
        for at in [8, 24 + 8] {
            frame[at] = 3;
        }
        assert!(script.receives_on(impostor, &frame).is_err());
        assert_eq!(script.transmits(), [], "not acknowledged");
        assert!(script.closes().contains(&(impostor, Close::Abort)));
        assert_eq!(
            script.receives_next(b"the peer").unwrap(),
            Some(b"the peer".to_vec())
        );
    }
}

#[test]
fn link_of_a_fenced_peer_is_aborted_until_it_is_added_again() {
    let mut script = Script::established(0);
    let link = script.link;
    script.engine.fence(script.now, them());
    assert_eq!(script.closes(), [(link, Close::Abort)]);
    script.goes_down(link);
    let refused = script.comes_up(LinkRole::Accepted);
    assert_eq!(
        script.closes(),
        [(refused, Close::AfterFlush)],
        "a reset would make it dial again at once"
    );
    script.goes_down(refused);
    script
        .engine
        .add_member(script.now, them(), super::fixture::GROUP)
        .unwrap();
    assert!(script.events().contains(&Event::LinkWanted { node: them() }));
    script.connect(LinkRole::Dialed);
    assert_eq!(script.closes(), []);
}

/// Links that carry records.
const RECORDS: LinkLimits = LinkLimits {
    record_bytes_max: Some(4096),
};

/// An established conversation over two associations: what we send on, and what the peer made.
fn two_associations(start: u32) -> (Script, [LinkId; 2]) {
    let mut script = Script::starting_at(start);
    script
        .engine
        .add_member(script.now, them(), super::fixture::GROUP)
        .unwrap();
    let dialed = script.comes_up_with(LinkRole::Dialed, RECORDS);
    let accepted = script.comes_up_with(LinkRole::Accepted, RECORDS);
    script.receives_on(accepted, &status()).unwrap();
    script.quiet();
    (script, [dialed, accepted])
}

#[test]
fn fin_that_went_out_on_an_association_that_ended_waits_for_its_ack_on_the_other() {
    for start in STARTS {
        for comes in [true, false] {
            let (mut script, [dialed, accepted]) = two_associations(start);
            script.sends(b"a");
            script.shuts_down();
            assert_eq!(
                script.transmits_on(dialed),
                [Wrote::Message(0, b"a".to_vec()), Wrote::Fin(1)]
            );
            script.engine.handle_link_end(script.now, dialed);
            script.goes_down(dialed);
            assert_eq!(script.transmits_on(accepted), []);
            if comes {
                let ack = script.ack(2);
                script.receives_on(accepted, &ack).unwrap();
                assert_eq!(script.state(), State::FinWait2);
                assert_eq!(script.transmits_on(accepted), []);
            } else {
                script.waits(script.engine.config().fin_resend_after);
                assert_eq!(
                    script.transmits_on(accepted),
                    [Wrote::Message(0, b"a".to_vec()), Wrote::Fin(1)]
                );
            }
        }
    }
}

#[test]
fn association_that_is_lost_behind_a_fin_is_replaced_at_once() {
    let (mut script, [dialed, accepted]) = two_associations(0);
    script.shuts_down();
    assert_eq!(script.transmits_on(dialed), [Wrote::Fin(0)]);
    script.goes_down(dialed);
    assert_eq!(script.transmits_on(accepted), [Wrote::Ack(0), Wrote::Fin(0)]);
}

#[test]
fn conversation_that_moves_before_its_first_number_is_not_opened_by_an_ack() {
    for start in STARTS {
        let mut script = Script::established(start);
        // A conversation is over, and the next begins on new links.
        script.receives_fin().unwrap();
        script.removes();
        script.transmits();
        let ack = script.ack(1);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::Closed);
        script.quiet();
        script
            .engine
            .add_member(script.now, them(), super::fixture::GROUP)
            .unwrap();
        script.comes_up(LinkRole::Dialed);
        let accepted = script.comes_up(LinkRole::Accepted);
        let hello = Message::Rcom(rcom(status_reply()));
        script.engine.send(script.now, them(), &hello).unwrap();
        script.receives_on(accepted, &status()).unwrap();
        assert_eq!(script.engine.sending_link(them()), Some(accepted));
        let written = script.transmits_on(accepted);
        assert!(
            !matches!(written.first(), None | Some(Wrote::Ack(_))),
            "{written:?}"
        );
    }
}

#[test]
fn association_on_which_a_peer_spoke_too_early_is_kept_for_what_it_says_again() {
    let (mut script, [dialed, accepted]) = two_associations(0);
    script.receives_on(accepted, &script.fin(0)).unwrap();
    script.removes();
    script.transmits_on(dialed);
    script.receives_on(accepted, &script.ack(1)).unwrap();
    assert_eq!(script.state(), State::Closed);
    script.quiet();
    script.goes_down(dialed);
    script.goes_down(accepted);
    // It is told sooner than we that the next one begins.
    let early = script.comes_up_with(LinkRole::Accepted, RECORDS);
    script.receives_on(early, &status()).unwrap();
    script
        .engine
        .add_member(script.now, them(), super::fixture::GROUP)
        .unwrap();
    assert_eq!(script.closes(), []);
    script.receives_on(early, &status()).unwrap();
    assert_eq!(script.engine.sending_link(them()), Some(early));
    assert_eq!(script.closes(), []);
}
