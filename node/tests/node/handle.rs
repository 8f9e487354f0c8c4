//! The handle from other threads: order and bounds.

use std::thread;
use std::time::Duration;

use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Outcome, PAYLOAD_BYTES_MAX};
use dlmwire_node::{HandleError, NodeConfig, NodeEvent};
use dlmwire_transport::MemoryNet;

use crate::world::{
    DEADLINE, Log, Running, config, group, id, in_memory, in_memory_with, join_all, memory_transport, until,
};

/// A node whose only peer is not there, so that nothing ends by itself.
pub(crate) fn alone(settings: impl FnOnce(&mut NodeConfig)) -> (MemoryNet, Running) {
    let net = MemoryNet::new();
    let mut config = config(1);
    config.drain_deadline = Duration::from_millis(10);
    settings(&mut config);
    let running = Running::start(config, memory_transport(&net, 1, 2));
    running.handle.add_member(id(2), group()).unwrap();
    (net, running)
}

/// The missing peer appears.
pub(crate) fn peer_appears(net: &MemoryNet) -> Running {
    let peer = Running::start(config(2), memory_transport(net, 2, 2));
    peer.handle.add_member(id(1), group()).unwrap();
    peer
}

/// Proves B3, C24.
#[test]
fn four_threads_send_while_members_come_and_go_and_each_keeps_its_order() {
    const COUNT: u32 = 5_000;
    let net = MemoryNet::new();
    let nodes = [1, 2, 3].map(|node| Running::start(config(node), memory_transport(&net, node, 3)));
    nodes[0].handle.add_member(id(2), group()).unwrap();
    nodes[1].handle.add_member(id(1), group()).unwrap();
    nodes[2].handle.add_member(id(1), group()).unwrap();
    let senders: Vec<_> = (0..4_u8)
        .map(|thread| {
            let handle = nodes[0].handle.clone();
            thread::spawn(move || {
                for number in 0..COUNT {
                    let mut payload = vec![thread];
                    payload.extend_from_slice(&number.to_le_bytes());
                    if number % 3 == 0 {
                        let mut message = handle.message(id(2), group(), 5);
                        while message.as_ref().err() == Some(&HandleError::QueueFull) {
                            thread::yield_now();
                            message = handle.message(id(2), group(), 5);
                        }
                        let mut message = message.unwrap();
                        message.bytes_mut().copy_from_slice(&payload);
                        message.commit().unwrap();
                    } else {
                        handle.send_wait(id(2), group(), &payload, DEADLINE).unwrap();
                    }
                    match (number % 50, thread) {
                        (1, 0) => handle.add_member(id(3), group()).unwrap(),
                        (2, 1) => handle.remove_member(id(3), group()).unwrap(),
                        (3, 2) => handle.fence(id(3)).unwrap(),
                        (4, _) => {
                            let _refused_at_times = handle.send_payload(id(3), group(), b"perhaps");
                        }
                        (5, 3) => drop(handle.status(DEADLINE).unwrap()),
                        _ => {}
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    let all = usize::try_from(4 * COUNT).unwrap();
    nodes[1].log.until("all messages", |log| log.count(1) == all);
    nodes[1].log.read(|log| {
        let mut next = [0; 4];
        for payload in &log.got[&id(1)] {
            let number = u32::from_le_bytes(payload[1..5].try_into().unwrap());
            let thread = usize::from(payload[0]);
            assert_eq!(number, next[thread], "thread {thread}");
            next[thread] += 1;
        }
        assert_eq!(next, [COUNT; 4]);
    });
}

/// Proves B10, C15, C18.
#[test]
fn messages_leave_in_the_order_of_their_commits_and_dropped_ones_leave_no_hole() {
    let mut hosts = in_memory(2);
    join_all(&mut hosts);
    let before = hosts[0].peer(2).send_seq;
    let handle = hosts[0].handle.clone();
    let begin = |text: &'static [u8]| {
        let mut message = handle.message(id(2), group(), text.len()).unwrap();
        message.bytes_mut().copy_from_slice(text);
        message
    };
    let (first, second, third, given_up, open) = (
        begin(b"first"),
        begin(b"second"),
        begin(b"third"),
        begin(b"given up"),
        begin(b"open"),
    );
    drop(given_up);
    thread::scope(|scope| {
        scope.spawn(|| third.commit().unwrap()).join().unwrap();
        scope.spawn(|| first.commit().unwrap()).join().unwrap();
        scope.spawn(|| second.commit().unwrap()).join().unwrap();
    });
    // A lost link resends what was committed, and nothing else.
    hosts[0].remote.cut_all();
    until(&mut hosts, "three messages", |hosts| hosts[1].app.count(1) == 3);
    crate::world::during(&mut hosts, Duration::from_millis(20));
    assert_eq!(hosts[1].app.got[&id(1)], [&b"third"[..], b"first", b"second"]);
    assert_eq!(
        before.distance(hosts[0].peer(2).send_seq),
        3,
        "three numbers for three messages"
    );
    open.commit().unwrap();
    until(&mut hosts, "the open one", |hosts| hosts[1].app.count(1) == 4);
}

/// Proves C26.
#[test]
fn shutdown_sends_what_was_taken_and_leaves_an_empty_queue() {
    let [first, second] = Running::pair();
    for number in 0..10_000_u32 {
        first
            .handle
            .send_wait(id(2), group(), &number.to_le_bytes(), DEADLINE)
            .unwrap();
    }
    let leaves = thread::spawn({
        let handle = second.handle.clone();
        let log: Log = second.log.clone();
        move || {
            log.until("the peer's FIN", |log| {
                log.has(|event| matches!(event, dlmwire_midcomms::engine::Event::PeerFinished { .. }))
            });
            handle.shutdown(DEADLINE)
        }
    });
    assert_eq!(first.handle.shutdown(DEADLINE), Ok(Outcome::Clean));
    assert_eq!(leaves.join().unwrap(), Ok(Outcome::Clean));
    second.log.read(|log| assert_eq!(log.count(1), 10_000));
    let status = first.handle.status(DEADLINE).unwrap();
    assert_eq!(
        (status.peers[0].send_queue_count, status.peers[0].state.as_str()),
        (0, "CLOSED")
    );
    assert_eq!(status.peers[0].lost, 0);
    assert_eq!(
        first.handle.send_payload(id(2), group(), b"late"),
        Err(HandleError::UnknownNode)
    );
}

/// Proves C7.
#[test]
fn removal_returns_while_the_loop_and_the_peer_do_nothing() {
    let mut hosts = in_memory(2);
    join_all(&mut hosts);
    // Nobody turns the loop here: whoever waited for it would wait for ever.
    hosts[0]
        .handle
        .send_payload(id(2), group(), b"before the removal")
        .unwrap();
    hosts[0].handle.remove_member(id(2), group()).unwrap();
    // The peer is silent: only we turn, and other peers would be served.
    hosts[0].turn();
    hosts[0].turn();
    assert!(hosts[0].peer(2).lockspaces.is_empty());
    until(&mut hosts, "what was sent before", |hosts| {
        hosts[1].app.count(1) == 1
    });
}

/// Proves C5.
#[test]
fn queue_of_a_peer_is_untouched_when_others_come_and_go() {
    let mut hosts = in_memory(3);
    join_all(&mut hosts);
    hosts[0].remote.stall(id(2));
    for _ in 0..100 {
        hosts[0].handle.send_payload(id(2), group(), b"waits").unwrap();
    }
    until(&mut hosts, "queued", |hosts| {
        hosts[0].peer(2).send_queue_count >= 100
    });
    let before = hosts[0].peer(2);
    for _ in 0..5 {
        hosts[0].handle.fence(id(3)).unwrap();
        hosts[0].turn();
        hosts[0].handle.remove_member(id(3), group()).unwrap();
        hosts[0].turn();
        hosts[0].handle.add_member(id(3), group()).unwrap();
        crate::world::during(&mut hosts, Duration::from_millis(5));
    }
    let after = hosts[0].peer(2);
    assert_eq!(
        (after.send_queue_count, after.send_queue_bytes, after.sending_link),
        (
            before.send_queue_count,
            before.send_queue_bytes,
            before.sending_link
        )
    );
}

#[test]
fn full_handle_says_so_and_goes_on_after_room() {
    let mut hosts = in_memory_with(2, |node| {
        let mut config = config(node);
        config.handle_queue_bytes_max = 10_000;
        config
    });
    hosts[0].join(2);
    let handle = hosts[0].handle.clone();
    let mut taken = 0;
    while handle.send_payload(id(2), group(), &[1; 1000]) == Ok(()) {
        taken += 1;
    }
    assert_eq!(
        handle.send_payload(id(2), group(), &[1; 1000]),
        Err(HandleError::QueueFull)
    );
    assert_eq!(taken, 9);
    let too_large = HandleError::TooLarge {
        bytes: PAYLOAD_BYTES_MAX + 1,
        limit: PAYLOAD_BYTES_MAX,
    };
    assert_eq!(
        handle.send_payload(id(2), group(), &[0; PAYLOAD_BYTES_MAX + 1]),
        Err(too_large)
    );
    assert_eq!(
        handle.send_payload(id(3), group(), b"x"),
        Err(HandleError::UnknownNode)
    );
    assert_eq!(handle.add_member(id(1), group()), Err(HandleError::OwnNode));
    hosts[1].join(1);
    until(&mut hosts, "all nine", |hosts| hosts[1].app.count(1) == 9);
    handle.send_payload(id(2), group(), &[1; 1000]).unwrap();
}

#[test]
fn fencing_drops_what_handles_gave_and_counts_it() {
    let mut hosts = in_memory(2);
    hosts[0].join(2);
    for _ in 0..7 {
        hosts[0].handle.send_payload(id(2), group(), b"never").unwrap();
    }
    hosts[0].turn();
    for _ in 0..3 {
        hosts[0].handle.send_payload(id(2), group(), b"never").unwrap();
    }
    hosts[0].handle.fence(id(2)).unwrap();
    hosts[0].turn();
    let dropped: u64 = hosts[0]
        .app
        .events
        .iter()
        .map(|event| match event {
            NodeEvent::Dropped {
                messages,
                error: HandleError::Fenced,
                ..
            } => *messages,
            _ => 0,
        })
        .sum();
    assert_eq!(dropped, 10);
    assert_eq!(hosts[0].node.engine().state(id(2)), State::Closed);
    assert_eq!(
        hosts[0].handle.send_payload(id(2), group(), b"x"),
        Err(HandleError::Fenced)
    );

    hosts[0].handle.remove_member(id(2), group()).unwrap();
    hosts[0].handle.add_member(id(2), group()).unwrap();
    hosts[0].handle.send_payload(id(2), group(), b"anew").unwrap();
    hosts[1].join(1);
    until(&mut hosts, "the new conversation", |hosts| {
        hosts[1].app.count(1) == 1
    });
}

#[test]
fn peer_that_came_before_it_was_added_is_ready_at_once() {
    let mut hosts = in_memory(2);
    hosts[1].join(1);
    until(&mut hosts, "the version of a stranger to the group", |hosts| {
        hosts[0].knows_version(2)
    });
    hosts[0].handle.add_member(id(2), group()).unwrap();
    hosts[0].turn();
    assert_eq!(hosts[0].handle.wait_connected(id(2), Duration::ZERO), Ok(()));
}

#[test]
fn member_is_not_added_while_everything_is_left_and_is_afterwards() {
    let net = MemoryNet::new();
    let mut hosts = [crate::world::Host::new(
        config(1),
        memory_transport(&net, 1, 2),
        crate::world::Recorder::default(),
    )];
    hosts[0].join(2);
    // Holds the shutdown up.
    hosts[0].handle.send_payload(id(2), group(), b"never").unwrap();
    assert_eq!(
        hosts[0].handle.shutdown(Duration::ZERO),
        Err(HandleError::TimedOut)
    );
    assert_eq!(
        hosts[0].handle.add_member(id(2), group()),
        Err(HandleError::ShuttingDown)
    );
    hosts[0].turn();
    hosts[0].handle.fence(id(2)).unwrap();
    until(&mut hosts, "the end", |hosts| {
        hosts[0].node.engine().is_shut_down()
    });
    hosts[0].turn();
    assert_eq!(hosts[0].handle.add_member(id(2), group()), Ok(()));
    hosts[0].turn();
    assert_eq!(hosts[0].peer(2).lockspaces.len(), 1);
}
