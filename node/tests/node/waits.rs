//! The handle's waits end by every cause.

use std::thread;
use std::time::Duration;

use dlmwire_midcomms::engine::{Outcome, PAYLOAD_BYTES_MAX};
use dlmwire_node::{HandleError, NodeConfig, NodeHandle};

use crate::handle::{alone, peer_appears};
use crate::world::{DEADLINE, Running, group, id, in_memory};

/// What a wait says that runs in its own thread while something happens here.
fn waits<R: Send + 'static>(
    handle: &NodeHandle,
    wait: impl FnOnce(NodeHandle) -> R + Send + 'static,
    cause: impl FnOnce(),
) -> R {
    let handle = handle.clone();
    let waiter = thread::spawn(move || wait(handle));
    // Most of the time it really waits then; the outcome is the same if it does not yet.
    thread::sleep(Duration::from_millis(20));
    cause();
    waiter.join().unwrap()
}

/// Fills what the handle may hold, so that the next send has to wait.
fn fill(handle: &NodeHandle) {
    while handle
        .send_payload(id(2), group(), &[0; PAYLOAD_BYTES_MAX])
        .is_ok()
    {}
    // Once more for what the loop has taken meanwhile.
    while handle
        .send_wait(id(2), group(), &[0; PAYLOAD_BYTES_MAX], Duration::from_millis(20))
        .is_ok()
    {}
}

fn connect(handle: NodeHandle) -> Result<(), HandleError> {
    handle.wait_connected(id(2), DEADLINE)
}

fn send(handle: NodeHandle) -> Result<(), HandleError> {
    handle.send_wait(id(2), group(), &[0; PAYLOAD_BYTES_MAX], DEADLINE)
}

/// Proves B1.
#[test]
fn wait_for_a_connection_ends_by_every_cause() {
    let (net, running) = alone(|_| {});
    let mut peer = None;
    assert_eq!(
        waits(&running.handle, connect, || peer = Some(peer_appears(&net))),
        Ok(())
    );
    drop(peer);

    let (_net, running) = alone(|_| {});
    assert_eq!(
        running.handle.wait_connected(id(2), Duration::from_millis(5)),
        Err(HandleError::TimedOut)
    );
    assert_eq!(
        running.handle.wait_connected(id(3), DEADLINE),
        Err(HandleError::UnknownNode)
    );
    assert_eq!(
        waits(&running.handle, connect, || running.handle.fence(id(2)).unwrap()),
        Err(HandleError::Fenced)
    );

    let (_net, running) = alone(|_| {});
    let removed = waits(&running.handle, connect, || {
        running.handle.remove_member(id(2), group()).unwrap()
    });
    assert_eq!(removed, Err(HandleError::UnknownNode));

    let (_net, running) = alone(|_| {});
    let shut = waits(&running.handle, connect, || {
        assert!(running.handle.shutdown(DEADLINE).is_ok())
    });
    assert!(
        matches!(shut, Err(HandleError::ShuttingDown | HandleError::UnknownNode)),
        "{shut:?}"
    );

    let (_net, running) = alone(|_| {});
    assert_eq!(
        waits(&running.handle, connect, || running.handle.stop()),
        Err(HandleError::Stopped)
    );
}

/// Proves B1.
#[test]
fn wait_for_room_ends_by_every_cause() {
    let small = |config: &mut NodeConfig| config.handle_queue_bytes_max = 10_000;
    let (net, running) = alone(small);
    fill(&running.handle);
    let mut peer = None;
    assert_eq!(
        waits(&running.handle, send, || peer = Some(peer_appears(&net))),
        Ok(())
    );
    drop(peer);

    let (_net, running) = alone(small);
    fill(&running.handle);
    assert_eq!(
        running
            .handle
            .send_wait(id(2), group(), &[0; PAYLOAD_BYTES_MAX], Duration::from_millis(5)),
        Err(HandleError::TimedOut)
    );
    assert_eq!(
        waits(&running.handle, send, || running.handle.fence(id(2)).unwrap()),
        Err(HandleError::Fenced)
    );

    let (_net, running) = alone(small);
    fill(&running.handle);
    let removed = waits(&running.handle, send, || {
        running.handle.remove_member(id(2), group()).unwrap()
    });
    assert!(
        matches!(removed, Ok(()) | Err(HandleError::UnknownNode)),
        "room, or the end: {removed:?}"
    );

    let (_net, running) = alone(small);
    fill(&running.handle);
    let shut = waits(&running.handle, send, || {
        assert!(running.handle.shutdown(DEADLINE).is_ok())
    });
    assert!(
        matches!(shut, Err(HandleError::ShuttingDown | HandleError::UnknownNode)),
        "{shut:?}"
    );

    let (_net, running) = alone(small);
    fill(&running.handle);
    assert_eq!(
        waits(&running.handle, send, || running.handle.stop()),
        Err(HandleError::Stopped)
    );
}

/// Proves B1.
#[test]
fn wait_for_a_shutdown_ends_by_every_cause() {
    let shutdown = |handle: NodeHandle| handle.shutdown(DEADLINE);

    let [first, second] = Running::pair();
    let other = thread::spawn({
        let handle = second.handle.clone();
        move || handle.shutdown(DEADLINE)
    });
    assert_eq!(first.handle.shutdown(DEADLINE), Ok(Outcome::Clean));
    assert_eq!(other.join().unwrap(), Ok(Outcome::Clean));

    assert_eq!(
        first.handle.shutdown(DEADLINE),
        Ok(Outcome::Clean),
        "once more is no harm"
    );
    first.handle.add_member(id(2), group()).unwrap();
    second.handle.add_member(id(1), group()).unwrap();
    first.handle.wait_connected(id(2), DEADLINE).unwrap();

    // Messages for a peer that is not there hold the shutdown up.
    let slow = |config: &mut NodeConfig| config.drain_deadline = DEADLINE;
    let (_net, running) = alone(slow);
    running.handle.send_payload(id(2), group(), b"held up").unwrap();
    assert_eq!(
        running.handle.shutdown(Duration::from_millis(5)),
        Err(HandleError::TimedOut)
    );
    assert!(waits(&running.handle, shutdown, || running.handle.fence(id(2)).unwrap()).is_ok());

    let (_net, running) = alone(slow);
    running.handle.send_payload(id(2), group(), b"held up").unwrap();
    assert_eq!(
        waits(&running.handle, shutdown, || running.handle.stop()),
        Err(HandleError::Stopped)
    );
}

/// Proves B1.
#[test]
fn wait_for_the_status_ends_by_every_cause() {
    let (_net, running) = alone(|_| {});
    assert_eq!(running.handle.status(DEADLINE).unwrap().nodeid, 1);
    drop(running);

    let mut hosts = in_memory(1);
    assert_eq!(
        hosts[0].handle.status(Duration::from_millis(5)),
        Err(HandleError::TimedOut),
        "nobody turns it"
    );
    let handle = hosts[0].handle.clone();
    let ended = waits(&handle, |handle| handle.status(DEADLINE), || hosts.clear());
    assert_eq!(ended, Err(HandleError::Stopped));
    assert_eq!(
        handle.send_payload(id(2), group(), b"x"),
        Err(HandleError::Stopped)
    );
}
