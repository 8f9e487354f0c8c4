//! Bytes, in order and whole, and what is told of them.

use std::io::{self, IoSlice};

use super::site::{Joined, World, pattern};
use super::{Outcome, ensure};
use crate::{Link, Token, Transport};

/// Pieces of many sizes arrive whole and in order, however they are cut on the way.
pub(super) fn pieces_arrive_in_order<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(2, 60_000);
    let (mut taken, mut size) = (0, 1);
    world.wait_for("all pieces have arrived", || {
        let until = sent.len().min(taken + size);
        taken += joined.a.end(joined.at_a)?.send(&sent[taken..until])?;
        size = size % 1500 + 7;
        joined.a.turn()?;
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(&sent[..taken])?;
        Ok((end.received.len() == sent.len()).then_some(()))
    })
}

/// To receive what has not come gives `WouldBlock`, not bytes and no end.
pub(super) fn nothing_to_receive_would_block<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    joined.b.settle()?;
    match joined.b.end(joined.at_b)?.link.receive(&mut [0; 16]) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => Err(format!("a receive of nothing gave {other:?}")),
    }
}

/// A send of no bytes takes none and harms nothing.
pub(super) fn empty_send_takes_nothing<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    for slices in [
        &[][..],
        &[IoSlice::new(b"")][..],
        &[IoSlice::new(b""), IoSlice::new(b"")][..],
    ] {
        match joined.a.end(joined.at_a)?.link.send(slices) {
            Ok(0) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => return Err(format!("a send of no bytes gave {other:?}")),
        }
    }
    send_all(world, &mut joined, &pattern(3, 100))
}

/// Slices go out in their order, empty ones among them, wherever a send was cut.
pub(super) fn slices_keep_their_order<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(4, 400_000);
    let most = joined
        .a
        .transport
        .capabilities()
        .record_bytes_max
        .unwrap_or(20_000);
    let mut taken = 0;
    world.wait_for("all slices have arrived", || {
        let piece = &sent[taken..sent.len().min(taken + most)];
        let mut slices = vec![IoSlice::new(b"")];
        // Slices of 1, 4, 7, ... bytes.
        let mut rest = piece;
        for size in (1..).step_by(3) {
            let (slice, more) = rest.split_at(rest.len().min(size));
            slices.push(IoSlice::new(slice));
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        taken += joined.a.end(joined.at_a)?.send_slices(&slices)?;
        joined.a.turn()?;
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(&sent)?;
        Ok((end.received.len() == sent.len()).then_some(()))
    })
}

/// Of several links, the one with bytes is told, and no bytes stray to another.
pub(super) fn readiness_names_the_token<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    let mut links = Vec::new();
    for number in 0..8_u8 {
        let (at_a, at_b) = world.join(&mut a, &mut b)?;
        links.push((at_a, at_b, [number; 5]));
    }
    for (at_a, at_b, sent) in links.iter().rev() {
        let taken = a.fill(*at_a, sent)?;
        ensure!(
            taken == sent.len(),
            "an idle link took {taken} of {} bytes",
            sent.len()
        );
        world.wait_for("a link's bytes are told under its token", || {
            b.read()?;
            Ok((b.end(*at_b)?.received == sent).then_some(()))
        })?;
    }
    let strayed = links
        .iter()
        .find(|(_, at_b, sent)| b.ends.get(at_b).is_none_or(|end| end.received != sent));
    match strayed {
        Some((_, Token(at_b), _)) => Err(format!("link {at_b} received another link's bytes")),
        None => Ok(()),
    }
}

/// Bytes that came before the accept are told after it.
pub(super) fn bytes_before_the_accept_are_told<T: Transport>(world: &World<'_, T>) -> Outcome {
    let (mut a, mut b) = world.pair()?;
    let dialed = a.dial(b.node)?;
    let sent = pattern(5, 100);
    let (mut taken, mut accepted) = (0, None);
    world
        .wait_for("a connection is accepted", || {
            a.turn()?;
            taken += a.end(dialed)?.send(&sent[taken..])?;
            b.turn()?;
            // Only a connection that already has bytes is what is checked, where a dial ends before the accept.
            if taken == sent.len() || !a.end(dialed)?.dialed {
                accepted = b.accept()?;
            }
            Ok(accepted)
        })
        .and_then(|accepted| {
            world.wait_for("bytes from before the accept arrive", || {
                a.turn()?;
                taken += a.end(dialed)?.send(&sent[taken..])?;
                b.read()?;
                let end = b.end(accepted)?;
                end.is_intact(&sent)?;
                Ok((end.received.len() == sent.len()).then_some(()))
            })
        })
}

/// A peer that does not read stops the sender within the limit.
pub(super) fn stopped_reader_blocks_the_sender<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let most = world.limits.in_flight_bytes_max;
    let piece = pattern(6, 1 << 20);
    let mut taken = 0;
    loop {
        let count = joined.a.fill(joined.at_a, &piece)?;
        taken += count;
        ensure!(
            joined.a.end(joined.at_a)?.lost.is_none(),
            "a stopped reader lost the link"
        );
        ensure!(
            taken <= most,
            "a sender got rid of {taken} bytes, with a limit of {most}, and nobody read"
        );
        if count < piece.len() {
            return Ok(());
        }
    }
}

/// A sender that was blocked is told when there is room, and nothing is lost.
pub(super) fn blocked_sender_is_told_of_room<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(7, world.limits.in_flight_bytes_max);
    let mut taken = joined.a.fill(joined.at_a, &sent)?;
    let goal = sent.len().min(taken + taken / 2 + 1);
    ensure!(taken < goal, "a sender got rid of {taken} bytes and nobody read");
    world.wait_for("a blocked sender goes on", || {
        joined.b.read()?;
        joined.a.turn()?;
        taken += joined.a.end(joined.at_a)?.send(&sent[taken..goal])?;
        let end = joined.b.end(joined.at_b)?;
        ensure!(
            end.lost.is_none() && !end.ended,
            "the link of a blocked sender ended"
        );
        Ok((end.received.len() >= goal).then_some(()))
    })?;
    joined.b.end(joined.at_b)?.has_brought(&sent[..goal])
}

/// Much in both directions at once arrives intact.
pub(super) fn large_transfers_cross_intact<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let count = world.limits.transfer_bytes;
    let (from_a, from_b) = (pattern(8, count), pattern(9, count));
    let (mut taken_a, mut taken_b) = (0, 0);
    world.wait_for("large transfers have crossed", || {
        taken_a += joined.a.end(joined.at_a)?.send(&from_a[taken_a..])?;
        taken_b += joined.b.end(joined.at_b)?.send(&from_b[taken_b..])?;
        joined.a.read()?;
        joined.b.read()?;
        let (a, b) = (joined.a.end(joined.at_a)?, joined.b.end(joined.at_b)?);
        ensure!(
            !a.is_over() && !b.is_over(),
            "a link ended in the middle of a transfer"
        );
        Ok((a.received.len() >= count && b.received.len() >= count).then_some(()))
    })?;
    joined.a.end(joined.at_a)?.has_brought(&from_b)?;
    joined.b.end(joined.at_b)?.has_brought(&from_a)
}

/// Sends bytes from `a` to `b` and sees that all arrive.
fn send_all<T: Transport>(world: &World<'_, T>, joined: &mut Joined<T>, sent: &[u8]) -> Outcome {
    let mut taken = 0;
    world.wait_for("all bytes have arrived", || {
        taken += joined.a.end(joined.at_a)?.send(&sent[taken..])?;
        joined.a.turn()?;
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(sent)?;
        Ok((end.received.len() == sent.len()).then_some(()))
    })
}
