//! Locks of the stub, as cases ask for them.

use std::time::Duration;

use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::stub::{Event, Stub};

/// How long an answer may take that nothing delays. A guest under emulation is slow and its host may be busy.
pub(super) const SOON: Duration = Duration::from_secs(15);

/// Asks for a lock; its number comes back, granted or not.
pub(super) fn request(stub: &mut Stub, line: &str) -> Result<u64> {
    number_of(&stub.ask(line, "requested", SOON)?)
}

/// Asks for a lock and waits until it is granted; the event tells mode and value.
pub(super) fn granted(stub: &mut Stub, line: &str) -> Result<(u64, Event)> {
    let event = stub.ask(line, "granted", SOON)?;
    Ok((number_of(&event)?, event))
}

/// Waits until a lock is granted that had to wait.
pub(super) fn wait_granted(stub: &Stub, lock: u64, mark: usize) -> Result<Event> {
    wait_for(stub, "granted", lock, mark)
}

/// Waits for an event of a lock.
pub(super) fn wait_for(stub: &Stub, event: &str, lock: u64, mark: usize) -> Result<Event> {
    stub.wait(
        &format!("{event} of the stub's lock {lock}"),
        mark,
        SOON,
        |seen| seen.is(event) && seen.number("lock") == Some(lock),
    )
}

/// Gives a lock up.
pub(super) fn unlock(stub: &mut Stub, lock: u64) -> Result<()> {
    stub.ask(&format!("unlock {lock}"), "unlocked", SOON).map(drop)
}

/// Waits until the conversation with node 1 is in this state.
pub(super) fn wait_state(stub: &Stub, state: &str, mark: usize) -> Result<()> {
    stub.wait(&format!("the stub's state {state}"), mark, SOON, |seen| {
        seen.is("state") && seen.text("to") == Some(state)
    })
    .map(drop)
}

/// Waits until a recovery of the stub is done that began after `mark`.
pub(super) fn wait_recovered(stub: &Stub, mark: usize) -> Result<()> {
    let mut begun = false;
    stub.wait("the stub's recovery", mark, SOON, |seen| {
        let phase = seen.is("recovery").then(|| seen.text("phase")).flatten();
        begun |= phase == Some("start");
        begun && phase == Some("done")
    })
    .map(drop)
}

/// Whether the conversation with node 1 was in this state.
pub(super) fn was_in_state(stub: &Stub, state: &str, mark: usize) -> bool {
    let mut events = stub.events_from(mark).into_iter();
    events.any(|seen| seen.is("state") && seen.text("to") == Some(state))
}

/// How often an event came.
pub(super) fn count(stub: &Stub, event: &str, mark: usize) -> u64 {
    let events = stub.events_from(mark).into_iter();
    events.fold(0, |count, seen| count + u64::from(seen.is(event)))
}

fn number_of(event: &Event) -> Result<u64> {
    let number = event.number("lock");
    number.ok_or_else(|| LabError::unexpected(format!("no lock's number in {event}")))
}
