//! Which link is sent on, and what happens when it goes.

use super::fixture::{STARTS, Script, Wrote, status, them, us};
use crate::engine::{Close, Config, Event, LinkRole};
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
