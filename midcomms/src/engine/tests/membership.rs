//! What the cluster manager says.

use dlmwire_codec::LockspaceId;

use super::fixture::{GROUP, SECOND, STARTS, Script, Wrote, status, them, us};
use crate::engine::{CommandError, Config, Event, FenceCause, LinkRole, Outcome, SendError};
use crate::state::State;

const OTHER: LockspaceId = LockspaceId::new(7);

/// Proves C1.
#[test]
fn shutdown_removes_every_member_from_every_lockspace() {
    let mut script = Script::established(0);
    script.engine.add_member(script.now, them(), OTHER).unwrap();
    script.shuts_down();
    assert_eq!(
        script.engine.peer(script.now, them()).unwrap().lockspaces.len(),
        0
    );
    assert_eq!(script.state(), State::FinWait1);
}

#[test]
fn second_lockspace_changes_only_the_count() {
    let mut script = Script::established(0);
    script.engine.add_member(script.now, them(), OTHER).unwrap();
    script.is_silent();
    script.removes();
    script.is_silent();
    assert_eq!(
        script.engine.peer(script.now, them()).unwrap().lockspaces.len(),
        1
    );
}

/// Proves C2.
#[test]
fn fence_leaves_the_lockspaces_as_they_were_told() {
    let mut script = Script::established(0);
    script.engine.fence(script.now, them());
    let view = script.engine.peer(script.now, them()).unwrap();
    assert_eq!(
        (view.lockspaces.len(), view.flags, view.state),
        (1, 2, State::Closed)
    );
    script.removes();
    script.removes();
    assert_eq!(
        script.engine.peer(script.now, them()).unwrap().lockspaces.len(),
        0
    );
}

/// Proves C26.
#[test]
fn fence_empties_the_queue_and_says_what_is_lost() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"a");
        script.sends(b"b");
        script.events();
        script.engine.fence(script.now, them());
        let told = script.events();
        let node = them();
        assert!(told.contains(&Event::Lost { node, messages: 2 }), "{told:?}");
        assert!(told.contains(&Event::Finished {
            node,
            outcome: Outcome::Fenced
        }));
        assert_eq!(
            script.engine.peer(script.now, them()).unwrap().send_queue_count,
            0
        );
        assert_eq!(script.tries_to_send(b"x"), Err(SendError::Halted));
        assert_eq!(script.engine.poll_timeout(), None);
    }
}

#[test]
fn peer_added_again_after_a_fence_begins_at_the_first_number() {
    for start in STARTS {
        let mut script = Script::established(start);
        script.sends(b"old");
        let old = script.link;
        script.engine.fence(script.now, them());
        script.goes_down(old);
        script.removes();
        script.quiet();
        script.establish();
        assert_eq!(script.sends(b"new"), 0);
        assert_eq!(script.transmits(), [Wrote::Message(0, b"new".to_vec())]);
    }
}

#[test]
fn a_node_is_no_peer_of_its_own_and_nobody_joins_who_leaves() {
    let mut script = Script::established(0);
    assert_eq!(
        script.engine.add_member(script.now, us(), GROUP),
        Err(CommandError::OwnNode)
    );
    script.shuts_down();
    assert_eq!(
        script.engine.add_member(script.now, them(), GROUP),
        Err(CommandError::Leaving)
    );
}

/// Proves C13.
#[test]
fn close_wait_without_a_membership_change_is_reported_once() {
    let mut script = Script::peer_in(State::CloseWait, 0);
    let after = Config::new(us()).close_wait_warning_after;
    script.waits(after - 1);
    assert_eq!(script.events(), []);
    script.waits(1);
    assert_eq!(script.events(), [Event::MembershipMissing { node: them() }]);
    script.waits(10 * after);
    assert_eq!(script.events(), []);
    assert_eq!(script.state(), State::CloseWait);
}

/// Proves C37.
#[test]
fn old_unacknowledged_messages_ask_for_fencing() {
    let mut script = Script::established(0);
    script.sends(b"a");
    script.quiet();
    let age = Config::new(us()).unacked_age_max;
    script.waits(2 * age);
    assert_eq!(script.events(), [], "a newer kernel may leave it so for ever");
    let link = script.link;
    script.goes_down(link);
    script.quiet();
    script.waits(2 * age);
    assert!(matches!(script.events()[..], [Event::FenceNeeded { .. }]));
    script.connect(LinkRole::Dialed);
    script.quiet();
    for _ in 0..300 {
        script.sends(b"more");
    }
    script.quiet();
    script.waits(2 * age);
    assert!(matches!(script.events()[..], [Event::FenceNeeded { .. }]));
}

/// Proves B12.
#[test]
fn nodes_are_found_by_their_id_alone() {
    let mut script = Script::established(0);
    let stranger = dlmwire_codec::NodeId::new(9).unwrap();
    assert_eq!(
        script.engine.send_payload(script.now, stranger, GROUP, b"x"),
        Err(SendError::UnknownNode)
    );
    assert_eq!(script.engine.peer(script.now, stranger), None);
    script.engine.add_member(script.now, stranger, GROUP).unwrap();
    let known: Vec<_> = script.engine.peers(script.now).map(|peer| peer.nodeid).collect();
    assert_eq!(known, [them(), stranger]);
}

/// Proves C37.
#[test]
fn queue_that_stays_full_asks_for_fencing() {
    let mut script = Script::new(Config {
        queue_bytes_max: 128 << 10,
        ..Config::new(us())
    });
    script.establish();
    while script.tries_to_send(&[1; 2000]).is_ok() {}
    script.quiet();
    script.waits(Config::new(us()).unacked_age_max - 1);
    assert_eq!(script.events(), [], "only back-pressure");
    script.waits(1);
    let full = Event::FenceNeeded {
        node: them(),
        cause: FenceCause::QueueFull,
    };
    assert!(script.events().contains(&full));
}

/// Proves C5.
#[test]
fn adding_and_removing_a_node_leaves_the_queues_of_others_alone() {
    let mut script = Script::established(0);
    script.sends(b"a");
    let before = script.engine.peer(script.now, them());
    let third = dlmwire_codec::NodeId::new(3).unwrap();
    script.engine.add_member(script.now, third, GROUP).unwrap();
    script.engine.remove_member(script.now, third, GROUP);
    script.engine.fence(script.now, third);
    assert_eq!(script.engine.peer(script.now, them()), before);
}

#[test]
fn peer_that_spoke_before_it_was_a_member_keeps_its_numbers() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.connect(LinkRole::Accepted);
        script.receives(&status()).unwrap();
        assert_eq!(script.state(), State::Closed);
        script.receives_next(b"early").unwrap().unwrap();
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        assert_eq!(script.state(), State::Established);
        script.receives_next(b"later").unwrap().unwrap();
        assert_eq!(script.transmits(), [Wrote::Ack(2)]);
    }
}

#[test]
fn late_link_of_a_finished_peer_delivers_nothing_and_is_aborted_when_it_is_added_again() {
    for start in STARTS {
        let mut script = Script::established(start);
        let first = script.message(0, b"once");
        script.receives_next(b"once").unwrap().unwrap();
        script.removes();
        script.receives_fin().unwrap();
        script.quiet();
        let ack = script.ack(1);
        script.receives(&ack).unwrap();
        assert_eq!(script.state(), State::Closed);
        script.quiet();
        let late = script.connect(LinkRole::Accepted);
        assert_eq!(script.receives(&status()), Ok(None));
        assert_eq!(script.receives(&first), Ok(None));
        assert_eq!(script.transmits(), []);
        script.quiet();
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        assert_eq!(script.closes(), [(late, crate::engine::Close::Abort)]);
    }
}

#[test]
fn idle_conversation_sets_no_timer() {
    let mut script = Script::established(0);
    script.sends(b"a");
    script.transmits();
    let ack = script.ack(1);
    script.receives(&ack).unwrap();
    script.waits(100 * SECOND);
    assert_eq!(script.engine.poll_timeout(), None);
}
