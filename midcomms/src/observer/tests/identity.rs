use dlmwire_codec::{Limits, Split, split};

use super::*;
use crate::observer::{At, Ends, FactKind, LinkId, LinkStart, StationId};

#[test]
fn version_is_detected_by_the_first_message_that_opens() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("B not ready 0 @1", "in order; B is 3.2; B CLOSED>ESTABLISHED"),
        ("A names 0", "in order"),
        ("A opts 1", "in order"),
    ]);
}

#[test]
fn version_can_be_detected_by_a_wrapped_names() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        ("A names 0", "in order; A is 3.2; A CLOSED>ESTABLISHED"),
    ]);
}

#[test]
fn first_message_0_that_cannot_open_is_told_and_taken() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        (
            "A opts 0",
            "in order; A opens with OPTS; A is 3.2; A CLOSED>ESTABLISHED",
        ),
        ("A opts 1", "in order"),
    ]);
}

#[test]
fn version_other_than_the_detected_one_is_refused() {
    at_every_start(&[
        (
            "A status 3.1",
            "refused; A is 3.2, marked 3.1; A refused VersionDiffers",
        ),
        (
            "A msg 3.1",
            "refused; A is 3.2, marked 3.1; A refused VersionDiffers",
        ),
        ("A opts 1", "in order"),
    ]);
}

#[test]
fn version_3_1_conversation_has_no_numbers_and_no_fin() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        ("A status 3.1", "bare; A is 3.1; A CLOSED>ESTABLISHED"),
        ("B status 3.1 @1", "bare; B is 3.1; B CLOSED>ESTABLISHED"),
        ("A msg 3.1", "bare"),
        ("B msg 3.1 @1", "bare"),
        ("A closes", ""),
        ("B closes @1", ""),
        ("eof 1", ""),
        ("end", "A ended Unnumbered ESTABLISHED ESTABLISHED"),
    ]);
}

#[test]
fn bare_messages_marked_3_2_to_a_3_1_node_are_legal() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("B status 3.1 @1", "bare; B is 3.1; B CLOSED>ESTABLISHED"),
        ("A msg", "bare"),
        ("B msg 3.1 @1", "bare"),
        ("A opts 0", "refused; A refused NumberedTo3_1 0"),
        ("A ack 0", "refused; A refused NumberedTo3_1"),
        ("A fin 0", "refused; A refused NumberedTo3_1 0"),
    ]);
}

#[test]
fn bare_message_between_3_2_nodes_is_refused() {
    at_every_start(&[
        ("A msg", "refused; A refused MustBeWrapped"),
        ("A opts 1", "in order"),
    ]);
}

#[test]
fn station_that_speaks_as_two_nodes_is_told_once() {
    let mut wire = Wire::joined(0);
    wire.nodes = [5, 2];
    wire.plays(&[
        (
            "A opts 1",
            "refused; A node 1 now 5; A refused OtherNode 1 counted",
        ),
        ("A ack 1", "refused; A refused OtherNode"),
    ]);
    wire.nodes = [1, 2];
    wire.plays(&[("A opts 2", "in order")]);
}

#[test]
fn station_that_speaks_as_its_peer_is_refused() {
    let mut wire = Wire::joined(0);
    wire.nodes = [2, 2];
    wire.plays(&[("A opts 1", "refused; A refused OwnNode 1 counted")]);
    wire.nodes = [1, 2];
    wire.plays(&[("A opts 2", "in order")]);
}

#[test]
fn two_stations_that_speak_as_one_node_are_told() {
    let mut wire = Wire::silent(0);
    wire.plays(&[
        ("up 1 A", ""),
        ("A status", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
    ]);
    let third = StationId(3);
    let at = At::default();
    let ends = Ends {
        dialled: third,
        accepted: StationId(2),
    };
    wire.observer
        .handle_link_up(at, LinkId(9), ends, LinkStart::Handshake);
    let bytes = wire.frame("A", &["status"]);
    let Split::Frame { frame, .. } = split(&bytes, Limits::KERNEL) else {
        unreachable!("a frame")
    };
    wire.observer
        .handle_frame(at, LinkId(9), third, frame.bytes(), frame.decode());
    let told = core::iter::from_fn(|| wire.observer.poll_fact()).any(|fact| {
        matches!(
            fact.kind,
            FactKind::NodeClaimedTwice {
                other: StationId(1),
                ..
            }
        )
    });
    assert!(told);
    assert_eq!(wire.observer.node(third), wire.observer.node(StationId(1)));
}
