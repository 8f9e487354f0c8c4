//! Networks that are cut under load: one of two shows to nobody, both are a loss that is mended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dlmwire_node::PeerStatus;
use dlmwire_sctp::{LinkEvent, LinkEvents, Options, Rto, SctpTransport};
use dlmwire_transport::Roster;

use crate::group::{Running, id, report, until};
use crate::networks::{Cut, Networks};

/// Two nodes in their namespaces, and what SCTP says at each.
fn nodes(networks: &Networks) -> ([Running; 2], [LinkEvents; 2]) {
    let (pair, events): (Vec<_>, Vec<_>) = [1_u8, 2]
        .map(|own| {
            let other = 3 - own;
            let peers = [(id(other.into()), networks.addresses(other))];
            let roster = Roster::new(id(own.into()), networks.addresses(own), peers).expect("a sound roster");
            let (tell, told) = std::sync::mpsc::sync_channel(1);
            let running = Running::start(own.into(), networks.enter(own), move || {
                let transport = SctpTransport::bind(roster, options()).expect("it can be bound");
                tell.send(transport.events()).expect("the test waits for it");
                transport
            });
            (running, told.recv().expect("the transport is made"))
        })
        .into_iter()
        .unzip();
    let pair: [Running; 2] = pair.try_into().ok().expect("two");
    Running::join(&pair);
    (pair, events.try_into().expect("two"))
}

/// Short times, so that a test takes seconds.
fn options() -> Options {
    Options {
        rto: Rto {
            min: Duration::from_millis(250),
            initial: Duration::from_millis(250),
            max: Duration::from_millis(500),
        },
        heartbeat_interval: Duration::from_millis(300),
        path_max_retrans: 1,
        association_max_retrans: 4,
        ..Options::default()
    }
}

/// Sends numbered messages both ways, some at a time, until `stop`; how many each has sent is in `sent`.
fn talk(pair: &[Running; 2], sent: &[AtomicU64; 2], stop: &AtomicBool) {
    std::thread::scope(|scope| {
        for (node, sent) in pair.iter().zip(sent) {
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    for _ in 0..8 {
                        node.send(sent.fetch_add(1, Ordering::SeqCst), 100);
                    }
                    std::thread::sleep(Duration::from_millis(4));
                }
            });
        }
    });
}

/// Waits until an event that is wanted is reported.
fn wait_for(events: &LinkEvents, what: &str, wanted: impl Fn(LinkEvent) -> bool) {
    until(what, || {
        std::iter::from_fn(|| events.take())
            .find(|report| wanted(report.event))
            .map(drop)
    });
}

/// Disturbs the networks under load, in such a way that nobody may notice but SCTP.
fn disturbed(test: u8, how: Cut, disturb: impl FnOnce(&Networks, &[Running; 2], &[LinkEvents; 2])) {
    let networks = Networks::new(test);
    let (pair, events) = nodes(&networks);
    let before = [0, 1].map(|at: usize| pair[at].status());
    let (sent, stop) = ([AtomicU64::new(0), AtomicU64::new(0)], AtomicBool::new(false));
    let stopped = Stop(&stop);
    std::thread::scope(|scope| {
        scope.spawn(|| talk(&pair, &sent, &stop));
        until("messages flow", || {
            (pair[1].book.read().count > 500).then_some(())
        });
        pair.iter()
            .for_each(|node| node.book.read().longest_gap = Duration::ZERO);
        disturb(&networks, &pair, &events);
        drop(stopped);
    });
    nobody_noticed(&pair, &before, &sent, how);
}

/// Cuts the first network and heals it.
fn one_path_is_cut(test: u8, how: Cut) {
    disturbed(test, how, |networks, pair, events| {
        let dead = networks.ip(0, 2);
        networks.cut(0, how);
        wait_for(&events[0], "the path is given up", |event| {
            event == LinkEvent::PathDown(dead)
        });
        let at_cut = pair[1].book.read().count;
        until("messages flow over the other network", || {
            (pair[1].book.read().count > at_cut + 1000).then_some(())
        });
        networks.heal(0, how);
        wait_for(&events[0], "the path is taken up again", |event| {
            event == LinkEvent::PathUp(dead)
        });
    });
}

/// Everything came once, and no engine had anything to mend.
fn nobody_noticed(pair: &[Running; 2], before: &[PeerStatus; 2], sent: &[AtomicU64; 2], how: Cut) {
    for (at, node) in pair.iter().enumerate() {
        node.has_all(sent[1 - at].load(Ordering::SeqCst));
        let (before, after) = (&before[at], node.status());
        report(&format!(
            "{how:?}: node {} got {} messages, longest gap {} ms, {} resent",
            at + 1,
            after.delivered,
            node.book.read().longest_gap.as_millis(),
            after.resent,
        ));
        assert_eq!(after.reconnects, before.reconnects, "a link was lost: {after:?}");
        assert_eq!(
            (after.resent, after.duplicates, after.gaps),
            (0, 0, 0),
            "{after:?}"
        );
    }
}

/// Stops the talk when it is dropped, so that a failure does not wait for it.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn interface_down_on_one_of_two_paths_is_not_noticed() {
    one_path_is_cut(1, Cut::LinkDown);
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn drop_rule_on_one_of_two_paths_is_not_noticed() {
    one_path_is_cut(2, Cut::DropRule);
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn full_loss_on_one_of_two_paths_is_not_noticed() {
    one_path_is_cut(3, Cut::Loss);
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn loss_doubling_and_disorder_on_both_paths_are_not_noticed() {
    disturbed(7, Cut::Mess, |networks, pair, _| {
        [0, 1]
            .iter()
            .for_each(|network| networks.cut(*network, Cut::Mess));
        let counts = [0, 1].map(|at: usize| pair[at].book.read().count);
        until("messages flow both ways", || {
            let mut nodes = pair.iter().zip(counts);
            nodes
                .all(|(node, count)| node.book.read().count > count + 2000)
                .then_some(())
        });
        [0, 1]
            .iter()
            .for_each(|network| networks.heal(*network, Cut::Mess));
    });
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn both_paths_cut_is_a_loss_and_everything_comes_after_it_once() {
    let networks = Networks::new(4);
    let (pair, events) = nodes(&networks);
    let before = [0, 1].map(|at: usize| pair[at].status());
    let (sent, stop) = ([AtomicU64::new(0), AtomicU64::new(0)], AtomicBool::new(false));
    let stopped = Stop(&stop);
    std::thread::scope(|scope| {
        scope.spawn(|| talk(&pair, &sent, &stop));
        until("messages flow", || {
            (pair[1].book.read().count > 500).then_some(())
        });
        [0, 1]
            .iter()
            .for_each(|network| networks.cut(*network, Cut::LinkDown));
        for events in &events {
            wait_for(events, "the association is lost", |event| {
                matches!(event, LinkEvent::Lost { .. })
            });
        }
        [0, 1]
            .iter()
            .for_each(|network| networks.heal(*network, Cut::LinkDown));
        let count = pair[1].book.read().count;
        until("messages flow again", || {
            (pair[1].book.read().count > count + 500).then_some(())
        });
        drop(stopped);
    });
    for (at, node) in pair.iter().enumerate() {
        node.has_all(sent[1 - at].load(Ordering::SeqCst));
        let (before, after) = (&before[at], node.status());
        report(&format!(
            "both paths cut: node {} got {} messages, longest gap {} ms, {} resent, {} reconnects",
            at + 1,
            after.delivered,
            node.book.read().longest_gap.as_millis(),
            after.resent,
            after.reconnects - before.reconnects,
        ));
        assert!(after.reconnects > before.reconnects, "{after:?}");
        assert_eq!((after.lost, after.violations), (0, 0), "{after:?}");
    }
    let resent: u64 = pair.iter().map(|node| node.status().resent).sum();
    assert!(resent > 0, "what was under way was sent again");
}
