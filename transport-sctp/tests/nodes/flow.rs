//! Much in both directions while associations are aborted, and an orderly leave.

use std::time::Instant;

use dlmwire_midcomms::engine::Outcome;
use dlmwire_sctp::{Options, SctpTransport};
use dlmwire_transport::{Faulty, Plan, Roster};

use crate::group::{DEADLINE, Running, id, report};

const MESSAGES: u64 = 100_000;

/// Both nodes on loopback, with two addresses each.
fn transport(own: u32, test: u8) -> SctpTransport {
    let addresses = |node: u32| {
        let node = u8::try_from(node).expect("a small node id");
        [60, 61]
            .map(|network| ([127, network, test, node], 21064).into())
            .to_vec()
    };
    let other = 3 - own;
    let roster = Roster::new(id(own), addresses(own), [(id(other), addresses(other))]);
    SctpTransport::bind(roster.expect("a sound roster"), Options::default()).expect("it can be bound")
}

/// 100 000 messages each way while associations are aborted by the dozen; none is lost, doubled or out of order.
///
/// Proves A1.
#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn flow_survives_aborts() {
    let pair = [1, 2].map(|own| {
        let plan = Plan {
            seed: u64::from(own),
            // At some megabytes a second, an abort every few hundred milliseconds.
            reset_after_bytes: 500_000..3_000_000,
            ..Plan::default()
        };
        Running::start(own, || (), move || Faulty::new(transport(own, 1), plan))
    });
    Running::join(&pair);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for node in &pair {
            scope.spawn(|| (0..MESSAGES).for_each(|number| node.send(number, 40)));
        }
    });
    pair.iter().for_each(|node| node.has_all(MESSAGES));
    report(&format!(
        "flow: {MESSAGES} messages each way in {} ms",
        start.elapsed().as_millis()
    ));
    for (own, node) in (1..).zip(&pair) {
        let status = node.status();
        report(&format!(
            "flow node {own}: {} delivered, {} links, {} resent, {} duplicates dropped, longest gap {} ms",
            status.delivered,
            status.reconnects + 1,
            status.resent,
            status.duplicates,
            node.book.read().longest_gap.as_millis(),
        ));
        assert!(status.reconnects > 20, "{status:?}");
        assert!(status.resent > 0, "{status:?}");
        assert_eq!((status.lost, status.violations), (0, 0), "{status:?}");
    }
}

/// Both nodes leave by `FIN`, though the association cannot be half closed, in either order.
///
/// Proves D7.
#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn both_leave_by_fin_in_either_order() {
    for (round, order) in (2..).zip([[0, 1], [1, 0]]) {
        let pair = [1, 2].map(|own| Running::start(own, || (), move || transport(own, round)));
        Running::join(&pair);
        for node in &pair {
            (0..1000).for_each(|number| node.send(number, 100));
        }
        let [first, second] = order.map(|at| &pair[at]);
        let outcomes = std::thread::scope(|scope| {
            let leaving = scope.spawn(|| first.handle.shutdown(DEADLINE));
            // The other goes on talking behind the FIN.
            (1000..1100).for_each(|number| second.send(number, 100));
            let last = second.handle.shutdown(DEADLINE);
            [leaving.join().expect("it ends"), last]
        });
        for outcome in outcomes {
            assert_eq!(outcome.expect("an orderly leave"), Outcome::Clean);
        }
        first.has_all(1100);
        second.has_all(1000);
        assert!(pair.iter().all(|node| node.status().state == "CLOSED"));
    }
}
