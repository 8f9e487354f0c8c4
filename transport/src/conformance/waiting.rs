//! Waiting: its timeout, and wakers from this and other threads.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::site::World;
use super::{Outcome, ensure};
use crate::{Ready, Transport};

/// A wait with a timeout ends, and clears what the caller had.
pub(super) fn wait_ends_at_its_timeout<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut site = world.site(1)?;
    let old = Ready::Readable(site.token());
    for timeout in [
        Duration::ZERO,
        Duration::from_micros(1),
        Duration::from_millis(20),
    ] {
        let mut ready = vec![old];
        site.transport
            .wait(&mut ready, Some(timeout))
            .map_err(|e| format!("wait failed: {e}"))?;
        ensure!(!ready.contains(&old), "a wait did not clear what was told before");
    }
    Ok(())
}

/// A waker used before the wait ends it, however often it was used.
pub(super) fn wake_before_a_wait_ends_it<T: Transport>(world: &World<'_, T>) -> Outcome {
    let mut site = world.site(1)?;
    for count in [1, 3] {
        for _ in 0..count {
            site.transport.waker().wake();
        }
        // If it does not end, the suite's deadline does.
        site.transport
            .wait(&mut Vec::new(), None)
            .map_err(|e| format!("wait failed: {e}"))?;
    }
    Ok(())
}

/// A waker used from another thread ends a wait without timeout, every time.
pub(super) fn wake_ends_a_running_wait<T: Transport>(world: &World<'_, T>) -> Outcome {
    const ROUNDS: usize = 200;
    let mut site = world.site(1)?;
    let waker = site.transport.waker();
    let (start, started) = sync_channel::<()>(0);
    let other = thread::spawn(move || {
        for round in 0..ROUNDS {
            if started.recv().is_err() {
                return;
            }
            // Some of the wakes come before the wait, some during it.
            (0..round % 20).for_each(|_| thread::yield_now());
            waker.clone().wake();
        }
    });
    for _ in 0..ROUNDS {
        start
            .send(())
            .map_err(|_| "the waking thread is gone".to_owned())?;
        site.transport
            .wait(&mut Vec::new(), None)
            .map_err(|e| format!("wait failed: {e}"))?;
    }
    drop(start);
    other.join().map_err(|_| "using a waker panicked".to_owned())
}

/// A waker can be used after its transport is dropped, to no effect.
pub(super) fn waker_outlives_its_transport<T: Transport>(world: &World<'_, T>) -> Outcome {
    let site = world.site(1)?;
    let waker = site.transport.waker();
    drop(site);
    waker.wake();
    waker.clone().wake();
    Ok(())
}
