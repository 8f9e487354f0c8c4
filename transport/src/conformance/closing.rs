//! Half-closes, ends, aborts and drops, and what the other end sees of them.

use super::site::{World, pattern};
use super::{Outcome, ensure};
use crate::{Link, Received, Transport};

/// One direction ends and the other goes on, where the transport can.
pub(super) fn half_close_leaves_the_other_direction<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    joined
        .a
        .end(joined.at_a)?
        .link
        .close_send()
        .map_err(|e| format!("close_send failed: {e}"))?;
    world.wait_for("a half-close is seen", || {
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(&[])?;
        Ok(end.ended.then_some(()))
    })?;
    if !joined.a.transport.capabilities().half_close {
        return Ok(());
    }
    let sent = pattern(10, 1 << 20);
    let mut taken = 0;
    world.wait_for("the open direction has brought everything", || {
        taken += joined.b.end(joined.at_b)?.send(&sent[taken..])?;
        joined.b.turn()?;
        ensure!(
            joined.b.end(joined.at_b)?.lost.is_none(),
            "a half-closed link was lost at its other end"
        );
        joined.a.read()?;
        let end = joined.a.end(joined.at_a)?;
        ensure!(
            end.lost.is_none() && !end.ended,
            "the open direction of a half-closed link ended"
        );
        Ok((end.received.len() >= sent.len()).then_some(()))
    })?;
    joined.a.end(joined.at_a)?.is_intact(&sent)?;
    joined
        .b
        .end(joined.at_b)?
        .link
        .close_send()
        .map_err(|e| format!("the second close_send failed: {e}"))?;
    world.wait_for("the second half-close is seen", || {
        joined.a.read()?;
        let end = joined.a.end(joined.at_a)?;
        end.is_intact(&sent)?;
        Ok(end.ended.then_some(()))
    })
}

/// What was taken before the close arrives, and then the end.
pub(super) fn queued_bytes_come_before_the_end<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(11, 1 << 20);
    let taken = joined.a.fill(joined.at_a, &sent)?;
    joined
        .a
        .end(joined.at_a)?
        .link
        .close_send()
        .map_err(|e| format!("close_send failed: {e}"))?;
    world.wait_for("the end comes after the queued bytes", || {
        joined.b.read()?;
        joined.a.turn()?;
        let end = joined.b.end(joined.at_b)?;
        ensure!(end.lost.is_none(), "a closed direction was seen as a loss");
        Ok(end.ended.then_some(()))
    })?;
    let end = joined.b.end(joined.at_b)?;
    end.is_intact(&sent)?;
    ensure!(
        end.received.len() == taken,
        "{} bytes came before the end, {taken} were taken",
        end.received.len()
    );
    Ok(())
}

/// The end that came together with the last bytes is told, though their receive was short.
pub(super) fn end_after_a_short_receive_is_told<T: Transport>(world: &World<'_, T>) -> Outcome {
    for size in [1, 100, 4095] {
        let mut joined = world.joined()?;
        let sent = pattern(12, size);
        let taken = joined.a.fill(joined.at_a, &sent)?;
        ensure!(taken == size, "an idle link took {taken} of {size} bytes");
        joined
            .a
            .end(joined.at_a)?
            .link
            .close_send()
            .map_err(|e| format!("close_send failed: {e}"))?;
        // Both have come when the other end looks first; it reads in buffers that these bytes fill, and others.
        joined.a.settle()?;
        world.wait_for("the end is told after a short receive", || {
            joined.b.turn()?;
            let end = joined.b.end(joined.at_b)?;
            end.receive(if size == 100 { 50 } else { 64 })?;
            end.is_intact(&sent)?;
            Ok(end.ended.then_some(()))
        })?;
    }
    Ok(())
}

/// An end is not an error, and it stays.
pub(super) fn end_stays_the_end<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    joined
        .a
        .end(joined.at_a)?
        .link
        .close_send()
        .map_err(|e| format!("close_send failed: {e}"))?;
    world.wait_for("an end is seen", || {
        joined.b.read()?;
        let end = joined.b.end(joined.at_b)?;
        end.is_intact(&[])?;
        Ok(end.ended.then_some(()))
    })?;
    let mut again = 0;
    world.wait_for("an end is seen again", || {
        match joined.b.end(joined.at_b)?.link.receive(&mut [0; 16]) {
            Ok(Received::End) => again += 1,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => joined.b.turn()?,
            other => return Err(format!("a receive after the end gave {other:?}")),
        }
        Ok((again == 3).then_some(()))
    })
}

/// Both ends close with bytes under way: all arrive, and both ends see the end, with half-close or without.
pub(super) fn both_ends_close_at_once<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let (from_a, from_b) = (pattern(13, 200_000), pattern(14, 200_000));
    let taken_a = joined.a.fill(joined.at_a, &from_a)?;
    let taken_b = joined.b.fill(joined.at_b, &from_b)?;
    joined
        .a
        .end(joined.at_a)?
        .link
        .close_send()
        .map_err(|e| format!("close_send failed: {e}"))?;
    joined
        .b
        .end(joined.at_b)?
        .link
        .close_send()
        .map_err(|e| format!("close_send failed: {e}"))?;
    world.wait_for("both ends have seen the end", || {
        joined.a.read()?;
        joined.b.read()?;
        let (a, b) = (joined.a.end(joined.at_a)?, joined.b.end(joined.at_b)?);
        ensure!(
            a.lost.is_none() && b.lost.is_none(),
            "a close at both ends was seen as a loss"
        );
        Ok((a.ended && b.ended).then_some(()))
    })?;
    let (a, b) = (joined.a.end(joined.at_a)?, joined.b.end(joined.at_b)?);
    a.is_intact(&from_b)?;
    b.is_intact(&from_a)?;
    ensure!(
        a.received.len() == taken_b && b.received.len() == taken_a,
        "bytes under way were lost in a close"
    );
    Ok(())
}

/// An abort is seen, as an error where the transport tells losses apart.
pub(super) fn abort_is_seen_as_a_loss<T: Transport>(world: &World<'_, T>) -> Outcome {
    for size in [0, 1000] {
        let mut joined = world.joined()?;
        let sent = pattern(15, size);
        joined.a.fill(joined.at_a, &sent)?;
        joined.a.remove(joined.at_a)?.link.abort();
        world.wait_for("an abort is seen", || {
            joined.b.read()?;
            Ok(joined.b.end(joined.at_b)?.is_over().then_some(()))
        })?;
        let signal = joined.b.transport.capabilities().close_signal;
        let end = joined.b.end(joined.at_b)?;
        ensure!(
            !signal || end.lost.is_some(),
            "an abort was seen as an orderly end"
        );
        end.has_brought(&sent)?;
    }
    Ok(())
}

/// A sender without room is told something when the other end aborts, and then finds the loss.
pub(super) fn abort_reaches_a_blocked_sender<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(16, world.limits.in_flight_bytes_max);
    let taken = joined.a.fill(joined.at_a, &sent)?;
    ensure!(
        taken < sent.len(),
        "a sender got rid of {taken} bytes and nobody read"
    );
    joined.b.remove(joined.at_b)?.link.abort();
    world.wait_for("a blocked sender finds the abort", || {
        joined.a.read()?;
        let end = joined.a.end(joined.at_a)?;
        end.send(&sent[taken..])?;
        Ok(end.is_over().then_some(()))
    })
}

/// Dropping a link closes it: the other end sees that it is over.
pub(super) fn dropped_link_is_seen<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(17, 1000);
    let taken = joined.a.fill(joined.at_a, &sent)?;
    drop(joined.a.remove(joined.at_a)?);
    world.wait_for("a drop is seen", || {
        joined.b.read()?;
        Ok(joined.b.end(joined.at_b)?.is_over().then_some(()))
    })?;
    let end = joined.b.end(joined.at_b)?;
    end.is_intact(&sent)?;
    ensure!(
        end.received.len() == taken,
        "{} bytes came of {taken} sent before a drop",
        end.received.len()
    );
    Ok(())
}

/// Who goes on sending to a dropped link gets an error.
pub(super) fn dropped_link_fails_the_sender<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(18, 1000);
    drop(joined.a.remove(joined.at_a)?);
    world.wait_for("a sender to a dropped link finds the loss", || {
        joined.b.turn()?;
        let end = joined.b.end(joined.at_b)?;
        end.send(&sent)?;
        Ok(end.lost.map(drop))
    })
}

/// Nothing is told of a link after it is dropped, though its peer goes on.
pub(super) fn dropped_token_is_silent<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut joined = world.joined()?;
    let sent = pattern(19, 1000);
    // A link with readiness on the way is dropped before it is told; being told of it is a flaw by itself.
    joined.a.fill(joined.at_a, &sent)?;
    drop(joined.b.remove(joined.at_b)?);
    for _ in 0..10 {
        joined.a.end(joined.at_a)?.send(&sent)?;
        joined.b.turn()?;
        joined.a.turn()?;
    }
    joined.b.settle()
}
