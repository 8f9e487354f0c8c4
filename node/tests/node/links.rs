//! How links come, end and are replaced.

use std::time::Duration;

use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Delivery, Event, SendError};
use dlmwire_node::{Application, NodeEvent, Outbox};
use dlmwire_transport::{Link, MemoryNet, Received, Token, Transport};

use crate::raw::{Raw, ack, fin, message, status};
use crate::world::{
    Host, Recorder, config, during, group, id, in_memory, in_memory_with, join_all, memory_transport,
    over_tcp, tcp_transports, until,
};

/// Node 1, and node 2 in the test's own hand.
fn with_raw(
    settings: impl FnOnce(&mut dlmwire_node::NodeConfig),
) -> (
    [Host<dlmwire_transport::MemoryTransport>; 1],
    Raw<dlmwire_transport::MemoryTransport>,
) {
    let net = MemoryNet::with_buffer_bytes(16 << 10);
    let mut config = config(1);
    settings(&mut config);
    let mut host = Host::new(config, memory_transport(&net, 1, 2), Recorder::default());
    host.join(2);
    ([host], Raw::new(memory_transport(&net, 2, 2)))
}

/// The raw peer is connected and its version known.
fn connect<T: Transport>(hosts: &mut [Host<T>; 1], raw: &mut Raw<T>) {
    until(hosts, "a link", |_| {
        raw.turn();
        raw.link.is_some()
    });
    raw.write(&status(1));
    until(hosts, "the version", |hosts| {
        raw.turn();
        hosts[0].knows_version(2)
    });
}

#[test]
fn write_that_fails_leaves_what_came_before_to_be_read() {
    let (mut hosts, mut raw) = with_raw(|config| config.read_buffer_bytes = 4096);
    connect(&mut hosts, &mut raw);
    for number in 0..10 {
        let frame = message(number, &[7; 1000]);
        assert_eq!(raw.write(&frame), frame.len());
    }
    // More than one read: the acknowledgement of the first part cannot be written any more.
    hosts[0].remote.break_writes(id(2));
    until(&mut hosts, "every message", |hosts| hosts[0].app.count(2) == 10);
    until(&mut hosts, "the loss of the link", |hosts| {
        hosts[0]
            .app
            .has(|event| matches!(event, Event::Disconnected { .. }))
    });
}

#[test]
fn acknowledgement_that_waits_on_another_link_is_read_before_the_end_is_told() {
    for loss in [false, true] {
        let net = MemoryNet::new();
        let mut config = config(1);
        config.read_buffer_bytes = 4096;
        let mut host = Host::new(config, memory_transport(&net, 1, 2), Recorder::default());
        host.join(2);
        let mut hosts = [host];
        let mut raw = Raw::new(memory_transport(&net, 2, 2));
        connect(&mut hosts, &mut raw);
        hosts[0]
            .handle
            .send_payload(id(2), group(), b"sent once")
            .unwrap();
        until(&mut hosts, "the message", |_| {
            raw.turn();
            !raw.frames().is_empty() && raw.came.ends_with(b"sent once")
        });
        let first = raw.link.take().unwrap();
        raw.dial();
        until(&mut hosts, "the second link", |hosts| {
            hosts[0].peer(2).links.len() == 2
        });
        // More than one turn reads, and the acknowledgement behind it.
        let count = 30;
        for number in 0..count {
            let frame = message(number, &[7; 2000]);
            assert_eq!(raw.write(&frame), frame.len());
        }
        assert!(raw.write(&ack(1)) > 0);
        if loss {
            first.abort();
        } else {
            drop(first);
        }
        until(&mut hosts, "the end of the first link", |hosts| {
            hosts[0].peer(2).links.len() == 1
        });
        assert_eq!(
            hosts[0].app.count(2),
            usize::try_from(count).unwrap(),
            "loss: {loss}"
        );
        assert_eq!(hosts[0].peer(2).counters.resent, 0, "loss: {loss}");
    }
}

/// Proves B4.
#[test]
fn error_on_the_accepted_link_of_two_brings_the_sender_back() {
    let mut hosts = in_memory(2);
    // Both dial before either accepts.
    for (host, other) in hosts.iter_mut().zip([2, 1]) {
        host.remote.deaf(true);
        host.join(other);
    }
    during(&mut hosts, Duration::from_millis(5));
    hosts.iter().for_each(|host| host.remote.deaf(false));
    until(&mut hosts, "two links each", |hosts| {
        (0..2).all(|at| {
            hosts[at]
                .node
                .status()
                .peers
                .first()
                .is_some_and(|peer| peer.links.len() == 2 && peer.version != "0x00000000")
        })
    });
    for round in 1..=5 {
        let links = hosts[0].node.status().peers[0].links.clone();
        let accepted = links
            .iter()
            .find(|link| link.role == "accepted")
            .expect("an accepted link");
        hosts[1]
            .handle
            .send_payload(id(1), group(), b"on the link that goes")
            .unwrap();
        hosts[0].remote.cut(Token(accepted.link));
        until(&mut hosts, "the message", |hosts| hosts[0].app.count(2) == round);
        hosts[0].handle.send_payload(id(2), group(), b"back").unwrap();
        until(&mut hosts, "the other direction", |hosts| {
            hosts[1].app.count(1) == round
        });
        until(&mut hosts, "senders on both sides", |hosts| {
            hosts
                .iter()
                .all(|host| !host.node.status().peers[0].links.is_empty())
        });
        if hosts[0].node.status().peers[0]
            .links
            .iter()
            .all(|link| link.role != "accepted")
        {
            return;
        }
    }
}

/// Proves B5.
#[test]
fn idle_connection_that_is_reset_comes_back_without_traffic() {
    let mut hosts = over_tcp(2);
    join_all(&mut hosts);
    for _ in 0..5 {
        let before = hosts[0].peer(2).counters.links_up + hosts[1].peer(1).counters.links_up;
        assert!(hosts[0].remote.cut_all() > 0);
        until(&mut hosts, "new links", |hosts| {
            hosts[0].peer(2).counters.links_up + hosts[1].peer(1).counters.links_up > before
                && hosts
                    .iter()
                    .zip([2, 1])
                    .all(|(host, other)| host.peer(other).sending_link.is_some())
        });
    }
    assert!(hosts.iter().all(|host| host.app.got.is_empty()));
}

/// Node 2 floods, node 1 fences it in the middle of a read.
#[derive(Default)]
struct Flood {
    flooding: bool,
    fence_after: usize,
    delivered: usize,
    fenced: bool,
}

impl Application for Flood {
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        assert!(!self.fenced, "a message of a fenced peer");
        self.delivered += 1;
        if self.delivered > self.fence_after {
            outbox.fence(delivery.node);
            self.fenced = true;
        }
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        if !self.flooding {
            return;
        }
        loop {
            match outbox.send_payload(id(1), group(), b"flood") {
                Ok(_) => {}
                Err(SendError::QueueFull | SendError::NotConnected | SendError::Halted) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Proves B6.
#[test]
fn fencing_in_a_flood_ends_deliveries_at_once() {
    let net = MemoryNet::new();
    let mut hosts = [1, 2].map(|node| {
        let mut config = config(node);
        config.redial_delay = Duration::from_millis(1);
        config.redial_delay_max = Duration::from_millis(1);
        config.engine.queue_bytes_max = 256 << 10;
        Host::new(config, memory_transport(&net, node, 2), Flood::default())
    });
    hosts[1].app.flooding = true;
    for repetition in 0..1000 {
        hosts[0].app = Flood {
            fence_after: repetition % 97,
            ..Flood::default()
        };
        for (host, other) in hosts.iter_mut().zip([2, 1]) {
            host.join(other);
        }
        until(&mut hosts, "fenced", |hosts| hosts[0].app.fenced);
        for host in &mut hosts {
            host.turn();
        }
        for (host, other) in hosts.iter().zip([2, 1]) {
            host.handle.fence(id(other)).unwrap();
            host.handle.remove_member(id(other), group()).unwrap();
        }
        for _ in 0..2 {
            for host in &mut hosts {
                host.turn();
            }
        }
    }
    assert_eq!(hosts[0].peer(2).counters.unexpected, 0);
}

/// Proves B7.
#[test]
fn peer_that_closes_its_direction_gets_all_that_is_queued_and_then_the_end() {
    let Ok([ours, theirs]) = <[_; 2]>::try_from(tcp_transports(2)) else {
        panic!("two transports")
    };
    let mut host = Host::new(config(1), ours, Recorder::default());
    host.join(2);
    let mut hosts = [host];
    let mut raw = Raw::new(theirs);
    connect(&mut hosts, &mut raw);
    // More than socket buffers hold, while the peer does not read.
    let payload = [7; 3900];
    let count = 2000;
    for _ in 0..count {
        while hosts[0].handle.send_payload(id(2), group(), &payload).is_err() {
            hosts[0].turn();
        }
    }
    during(&mut hosts, Duration::from_millis(20));
    assert!(
        hosts[0].peer(2).send_queue_bytes > 1 << 20,
        "it waits for the peer"
    );
    raw.link.as_mut().unwrap().close_send().unwrap();
    let mut link = raw.link.take();
    until(&mut hosts, "the end", |_| {
        // Only this link is looked at: the node dials again meanwhile.
        std::mem::swap(&mut raw.link, &mut link);
        if let Some(link) = &mut raw.link {
            let mut buffer = [0; 64 << 10];
            match link.receive(&mut buffer) {
                Ok(dlmwire_transport::Received::Bytes(read)) => raw.came.extend_from_slice(&buffer[..read]),
                Ok(dlmwire_transport::Received::End) => raw.ended = true,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "an end in order"),
            }
        }
        std::mem::swap(&mut raw.link, &mut link);
        raw.ended
    });
    let long = raw
        .frames()
        .iter()
        .filter(|frame| frame.len() > payload.len())
        .count();
    assert_eq!(long, count);
}

#[test]
fn link_without_half_close_is_read_to_its_end_and_never_reset_after_a_clean_end() {
    for peer_ends in [true, false] {
        let (mut hosts, mut raw) = with_raw(|config| {
            config.flush_deadline = Duration::from_millis(if peer_ends { 10_000 } else { 20 });
        });
        hosts[0].remote.without_half_close();
        connect(&mut hosts, &mut raw);
        raw.write(&fin(0));
        hosts[0].handle.remove_member(id(2), group()).unwrap();
        until(&mut hosts, "both FINs", |hosts| {
            raw.turn();
            hosts[0].node.engine().state(id(2)) == State::LastAck
        });
        raw.write(&ack(1));
        until(&mut hosts, "the end of the conversation", |hosts| {
            hosts[0].app.has(|event| matches!(event, Event::Finished { .. }))
        });
        let mut link = raw.link.take().unwrap();
        if peer_ends {
            during(&mut hosts, Duration::from_millis(5));
            assert_eq!(
                hosts[0].peer(2).links.len(),
                1,
                "the peer has not heard of it yet"
            );
            drop(link);
            until(&mut hosts, "the link's end", |hosts| {
                hosts[0].peer(2).links.is_empty()
            });
        } else {
            until(&mut hosts, "the deadline", |hosts| {
                hosts[0].peer(2).links.is_empty()
            });
            let mut buffer = [0; 4096];
            while matches!(link.receive(&mut buffer), Ok(Received::Bytes(_))) {}
            assert_eq!(link.receive(&mut buffer).unwrap(), Received::End, "no reset");
        }
    }
}

#[test]
fn link_with_an_old_incomplete_frame_is_aborted() {
    let (mut hosts, mut raw) = with_raw(|config| config.partial_frame_deadline = Duration::from_millis(20));
    connect(&mut hosts, &mut raw);
    raw.write(&status(2)[..30]);
    hosts[0].turn();
    assert!(hosts[0].peer(2).sending_link.is_some(), "not at once");
    until(&mut hosts, "the abort", |hosts| {
        hosts[0]
            .app
            .events
            .iter()
            .any(|event| matches!(event, NodeEvent::PartialFrame { bytes: 30, .. }))
    });
    until(&mut hosts, "a new link", |hosts| {
        hosts[0].peer(2).sending_link.is_some()
    });
}

#[test]
fn link_whose_framing_is_lost_is_aborted_and_replaced() {
    let (mut hosts, mut raw) = with_raw(|_| {});
    connect(&mut hosts, &mut raw);
    let before = hosts[0].peer(2).counters.links_up;
    raw.write(&[0xff; 64]);
    until(&mut hosts, "a new link", |hosts| {
        hosts[0].peer(2).counters.links_up > before
    });
    assert!(hosts[0].app.has(|event| matches!(event, Event::Violation { .. })));
}

#[test]
fn link_that_does_not_take_its_last_bytes_is_dropped_in_time() {
    let mut hosts = in_memory_with(2, |node| {
        let mut config = config(node);
        config.flush_deadline = Duration::from_millis(20);
        config
    });
    join_all(&mut hosts);
    until(&mut hosts, "dials settled", |hosts| {
        hosts
            .iter()
            .all(|host| host.node.status().peers[0].dial == "idle")
    });
    hosts[0].remote.stall(id(2));
    hosts[0].handle.send_payload(id(2), group(), b"stuck").unwrap();
    hosts[0].turn();
    // The peer leaves in order: its links end.
    drop(hosts.pop());
    until(&mut hosts, "the drop", |hosts| {
        hosts[0]
            .app
            .events
            .iter()
            .any(|event| matches!(event, NodeEvent::FlushTimedOut { .. }))
            || hosts[0].peer(2).links.is_empty()
    });
    until(&mut hosts, "no link", |hosts| hosts[0].remote.links().is_empty());
}

#[test]
fn refused_dials_are_told_with_growing_pauses() {
    let mut hosts = in_memory(2);
    hosts.truncate(1);
    hosts[0].join(2);
    until(&mut hosts, "five failures", |hosts| {
        hosts[0].node.status().peers[0].dial_attempts >= 5
    });
    let mut attempts = Vec::new();
    let mut pauses = Vec::new();
    for event in &hosts[0].app.events {
        if let NodeEvent::DialFailed {
            node,
            attempts: attempt,
            retry_in,
            ..
        } = event
        {
            assert_eq!(*node, id(2));
            attempts.push(*attempt);
            pauses.push(*retry_in);
        }
    }
    assert_eq!(attempts[..5], [1, 2, 3, 4, 5]);
    assert!(pauses[2] > pauses[0] && pauses.iter().all(|pause| *pause <= Duration::from_millis(16)));
    let status = hosts[0].node.status();
    assert_eq!(status.peers[0].dial, "waiting");
    assert!(status.peers[0].dial_attempts >= 5);
}

#[test]
fn strangers_are_closed_and_counted() {
    let net = MemoryNet::new();
    let mut hosts = [Host::new(
        config(1),
        memory_transport(&net, 1, 2),
        Recorder::default(),
    )];
    let stranger = dlmwire_transport::Roster::new(
        id(9),
        vec![crate::world::memory_address(9)],
        [(id(1), vec![crate::world::memory_address(1)])],
    );
    let mut stranger = Raw::new(net.transport(stranger.unwrap()).unwrap());
    stranger.dial();
    until(&mut hosts, "the refusal", |hosts| {
        hosts[0]
            .app
            .events
            .contains(&NodeEvent::Refused { new: 1, total: 1 })
    });
    assert_eq!(hosts[0].node.status().refused, 1);
    until(&mut hosts, "its end", |_| {
        stranger.turn();
        stranger.ended
    });
    assert!(stranger.came.is_empty(), "not a byte");
}

#[test]
fn stalled_peer_of_five_harms_nobody() {
    let mut hosts = in_memory_with(6, |node| {
        let mut config = config(node);
        config.engine.queue_bytes_max = 256 << 10;
        config
    });
    join_all(&mut hosts);
    hosts[0].remote.stall(id(4));
    let mut refused = false;
    for _ in 0..3000 {
        for other in [2, 3, 4, 5, 6] {
            if hosts[0]
                .handle
                .send_payload(id(other), group(), &[1; 500])
                .is_err()
            {
                assert_eq!(other, 4, "only the stalled peer's queue is full");
                refused = true;
            }
        }
        if hosts[0].peer(2).send_queue_count > 200 {
            for host in &mut hosts {
                host.turn();
            }
        }
        hosts[0].turn();
    }
    until(&mut hosts, "all of the others'", |hosts| {
        [1, 2, 4, 5].iter().all(|at| hosts[*at].app.count(1) == 3000)
    });
    assert!(refused);
    assert!(
        hosts[0].peer(4).send_queue_memory_bytes <= 256 << 10,
        "its memory is bounded"
    );
    assert_eq!(hosts[3].app.count(1), 0);
}
