//! Dialing, accepting, and who is let in.

use super::site::{Site, World, node, pattern};
use super::{Outcome, ensure};
use crate::{Link, Transport};

/// A dial gives a link that is told once, and the other side accepts exactly one.
pub(super) fn dial_is_told_and_accepted<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    joined.a.settle()?;
    joined.b.settle()?;
    ensure!(
        joined.b.accept()?.is_none(),
        "one dial gave two connections to accept"
    );
    ensure!(
        joined.a.end(joined.at_a)?.failed.is_none(),
        "the dial was told as done and as failed"
    );
    Ok(())
}

/// The accepted link carries the dialer's node and address, in both directions.
pub(super) fn accepted_link_has_the_dialers_node<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    check_identity(world, &mut a, &mut b)?;
    check_identity(world, &mut b, &mut a)
}

fn check_identity<T: Transport>(world: &World<'_, T>, from: &mut Site<T>, to: &mut Site<T>) -> Outcome {
    let (at_from, at_to) = world.join(from, to)?;
    let accepted = to.end(at_to)?;
    ensure!(
        accepted.node == Some(from.node),
        "a link from node {} has node {:?}",
        from.node,
        accepted.node
    );
    let address = accepted.link.peer_address();
    ensure!(
        address.ip() == from.address.ip(),
        "a link from {} comes from {address}",
        from.address
    );
    let address = from.end(at_from)?.link.peer_address();
    ensure!(
        address == to.address,
        "a link dialed to {} goes to {address}",
        to.address
    );
    Ok(())
}

/// The local address is the one that a peer can dial.
pub(super) fn local_address_carries_the_bound_port<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (a, b) = world.pair()?;
    ensure!(
        a.address.port() != 0,
        "the local address {} has no port",
        a.address
    );
    ensure!(
        a.address != b.address,
        "both nodes have the local address {}",
        a.address
    );
    Ok(())
}

/// A node that the roster does not know cannot be dialed: `NotFound`.
pub(super) fn unknown_node_is_not_dialed<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, _b) = world.pair()?;
    let token = a.token();
    match a.transport.dial(node(99)?, token).map(drop) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => a.settle(),
        other => Err(format!("a dial to a node outside the roster gave {other:?}")),
    }
}

/// A stranger's connection is closed before a byte crosses, is counted, and is not given to the caller.
pub(super) fn stranger_is_refused_without_a_byte<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (_a, mut b) = world.pair()?;
    let mut stranger = world.site(3)?;
    stranger.knows(&[&b])?;
    let token = stranger.dial(b.node)?;
    world.wait_for("a stranger is refused", || {
        b.read()?;
        ensure!(b.accept()?.is_none(), "a stranger was accepted");
        stranger.read()?;
        // It may send what it wants.
        stranger.end(token)?.send(b"let me in")?;
        let end = stranger.end(token)?;
        let over = end.is_over() || end.failed.is_some();
        Ok((over && b.transport.refused() > 0).then_some(()))
    })?;
    let received = stranger.end(token)?.received.len();
    ensure!(received == 0, "a stranger received {received} bytes");
    ensure!(
        b.transport.refused() == 1,
        "one stranger was counted as {}",
        b.transport.refused()
    );
    Ok(())
}

/// Strangers before and after a peer do not keep it out.
pub(super) fn stranger_does_not_hold_up_a_peer<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    let mut stranger = world.site(3)?;
    stranger.knows(&[&b])?;
    for _ in 0..5 {
        stranger.dial(b.node)?;
    }
    let dialed = a.dial(b.node)?;
    for _ in 0..5 {
        stranger.dial(b.node)?;
    }
    let mut accepted = 0;
    world.wait_for("a peer among strangers is accepted", || {
        stranger.turn()?;
        a.turn()?;
        b.turn()?;
        while b.accept()?.is_some() {
            accepted += 1;
        }
        let told = a.end(dialed)?.dialed && accepted > 0;
        Ok((told && b.transport.refused() == 10).then_some(()))
    })?;
    ensure!(
        accepted == 1,
        "one peer and ten strangers gave {accepted} connections"
    );
    Ok(())
}

/// A dial to where nobody listens fails, at once or by being told, and is never told as done.
pub(super) fn refused_dial_fails<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, b) = world.pair()?;
    let peer = b.node;
    drop(b);
    let token = a.token();
    let Ok(link) = a.transport.dial(peer, token) else {
        return Ok(());
    };
    drop(link);
    a.settle()?;
    let Ok(token) = a.dial(peer) else { return Ok(()) };
    world.wait_for("a refused dial is told", || {
        a.turn()?;
        let end = a.end(token)?;
        ensure!(!end.dialed, "a dial to nobody was told as done");
        Ok(end.failed.map(drop))
    })
}

/// A dial whose link is dropped before it is told is never told.
pub(super) fn given_up_dial_is_silent<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    for _ in 0..10 {
        let token = a.dial(b.node)?;
        drop(a.remove(token)?);
        // Whatever is told of it now is a flaw by itself.
        a.turn()?;
        b.read()?;
        b.accept()?;
    }
    a.settle()
}

/// All of twenty waiting connections are accepted, each with one token.
pub(super) fn waiting_connections_are_all_accepted<T: Transport>(world: &World<'_, T>) -> Outcome {
    const LINKS: usize = 20;
    let (mut a, mut b) = world.pair()?;
    for _ in 0..LINKS {
        a.dial(b.node)?;
    }
    world.wait_for("twenty connections are accepted", || {
        a.turn()?;
        b.turn()?;
        while b.accept()?.is_some() {}
        let dialed = a.ends.values().filter(|end| end.dialed).count();
        Ok((dialed == LINKS && b.ends.len() == LINKS).then_some(()))
    })?;
    b.settle()?;
    ensure!(b.accept()?.is_none(), "twenty dials gave more connections");
    Ok(())
}

/// A new roster lets a stranger in and keeps a former peer out, and leaves links alone.
pub(super) fn roster_change_counts_for_later_connections<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let mut third = world.site(3)?;
    third.knows(&[&joined.b])?;
    joined.b.knows(&[&third])?;
    let (_, at_b) = world.join(&mut third, &mut joined.b)?;
    let accepted = joined.b.end(at_b)?.node;
    ensure!(
        accepted == Some(third.node),
        "after the change a link from node 3 has node {accepted:?}"
    );
    let b = joined.b.node;
    let late = joined.a.dial(b)?;
    world.wait_for("a former peer is refused", || {
        joined.a.read()?;
        joined.b.turn()?;
        ensure!(joined.b.accept()?.is_none(), "a former peer was accepted");
        let end = joined.a.end(late)?;
        Ok((joined.b.transport.refused() == 1 && (end.is_over() || end.failed.is_some())).then_some(()))
    })?;
    let sent = pattern(1, 1000);
    let taken = joined.a.fill(joined.at_a, &sent)?;
    ensure!(
        taken == sent.len(),
        "a link from before the change took {taken} of {} bytes",
        sent.len()
    );
    world.wait_for("a link from before the change goes on", || {
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(&sent)?;
        Ok((end.received.len() == sent.len()).then_some(()))
    })
}

/// Making and dropping a link many times leaves no descriptor behind.
///
/// Other threads of the process may hold some meanwhile: only a growth by a quarter of the reconnects that does not
/// go away is a leak.
pub(super) fn reconnects_leak_no_descriptor<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    let before = descriptors();
    for _ in 0..world.limits.reconnects {
        let (at_a, at_b) = world.join(&mut a, &mut b)?;
        drop(a.remove(at_a)?);
        drop(b.remove(at_b)?);
    }
    let Some(before) = before else { return Ok(()) };
    let allowed = before + world.limits.reconnects / 4;
    world.wait_for("no more descriptors are open than before", || {
        a.turn()?;
        Ok(descriptors().is_none_or(|now| now <= allowed).then_some(()))
    })
}

/// How many descriptors this process has open, where the system tells.
fn descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}
