//! Two engines without any I/O: a message, a lost connection, the resend, an orderly end. `cargo run --example two_engines`

use dlmwire::codec::{Limits, LockspaceId, NodeId, Payload, RcomFields, Split, StatusFlags, split};
use dlmwire::midcomms::engine::{Config, Engine, Event, LinkLimits, LinkRole, LinkUp, Message};
use dlmwire::midcomms::{LinkId, State, Time};

const NOW: Time = Time(0);

struct Side {
    name: &'static str,
    engine: Engine,
    peer: NodeId,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [alice, bob] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
    let group = LockspaceId::from_name(b"example");
    let mut sides = [("alice", alice, bob), ("bob", bob, alice)].map(|(name, node, peer)| Side {
        name,
        engine: Engine::new(Config::new(node)).expect("the defaults work"),
        peer,
    });
    for side in &mut sides {
        side.engine.add_member(NOW, side.peer, group)?;
    }

    connect(&mut sides, LinkId(1));
    talk(&mut sides, LinkId(1), group, usize::MAX);
    sides[0].engine.send_payload(NOW, bob, group, b"the first")?;
    sides[0].engine.send_payload(NOW, bob, group, b"the second")?;

    println!("-- the connection breaks in the middle of the second message");
    talk(&mut sides, LinkId(1), group, 150);
    for side in &mut sides {
        side.engine.handle_link_down(NOW, LinkId(1));
    }
    connect(&mut sides, LinkId(2));
    talk(&mut sides, LinkId(2), group, usize::MAX);

    println!("-- alice leaves; bob is told, and leaves too");
    sides[0].engine.shutdown(NOW);
    talk(&mut sides, LinkId(2), group, usize::MAX);
    sides[1].engine.shutdown(NOW);
    talk(&mut sides, LinkId(2), group, usize::MAX);
    assert!(
        sides
            .iter()
            .all(|side| side.engine.state(side.peer) == State::Closed)
    );
    Ok(())
}

fn connect(sides: &mut [Side; 2], link: LinkId) {
    for (side, role) in sides.iter_mut().zip([LinkRole::Dialed, LinkRole::Accepted]) {
        let (node, limits) = (side.peer, LinkLimits::STREAM);
        side.engine
            .handle_link_up(NOW, link, LinkUp { node, role, limits });
    }
}

/// Carries bytes both ways until nobody has any, or until `budget` are carried.
fn talk(sides: &mut [Side; 2], link: LinkId, group: LockspaceId, mut budget: usize) {
    for turn in (0..2).cycle().take(20) {
        let [first, second] = &mut *sides;
        let (from, to) = if turn == 0 {
            (first, second)
        } else {
            (second, first)
        };
        drain_events(from, group);
        let mut wire = Vec::new();
        while budget > 0
            && let Some(transmit) = from.engine.poll_transmit(link)
        {
            let taken = transmit.len().min(budget);
            wire.extend(
                transmit
                    .slices()
                    .iter()
                    .flat_map(|slice| slice.iter())
                    .take(taken),
            );
            from.engine.handle_transmitted(NOW, link, taken);
            budget = budget.saturating_sub(taken);
        }
        receive(to, link, &wire);
    }
}

fn receive(side: &mut Side, link: LinkId, mut wire: &[u8]) {
    while let Split::Frame { frame, rest } = split(wire, Limits::KERNEL) {
        wire = rest;
        match side.engine.handle_frame(NOW, link, frame) {
            Ok(Some(delivery)) => {
                if let Some((_, payload)) = delivery.payload() {
                    println!("{} got {:?}", side.name, String::from_utf8_lossy(payload));
                }
            }
            Ok(None) => {}
            Err(violation) => println!("{} was told nonsense: {violation}", side.name),
        }
    }
    side.engine.handle_read_done(NOW, link);
}

fn drain_events(side: &mut Side, group: LockspaceId) {
    while let Some(event) = side.engine.poll_event() {
        match event {
            Event::Connected { .. } => say_hello(side, group),
            Event::StateChanged { from, to, .. } => println!("{}: {from} -> {to}", side.name),
            _ => {}
        }
    }
}

/// A version is learned from the first message only.
fn say_hello(side: &mut Side, lockspace: LockspaceId) {
    let flags = StatusFlags::new(0);
    let hello = RcomFields {
        lockspace,
        result: 0,
        id: 1,
        seq: 1,
        seq_reply: 0,
        payload: Payload::Status { flags },
    };
    if let Err(error) = side.engine.send(NOW, side.peer, &Message::Rcom(hello)) {
        println!("{} says nothing: {error}", side.name);
    }
}
