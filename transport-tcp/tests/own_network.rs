//! What needs a network of its own: IPv6 with several addresses, and a line that goes dead.
//!
//! Each test runs an ignored one behind `unshare`, which needs user namespaces but no privilege.

mod common;

use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::time::Duration;

use common::*;
use dlmwire_tcp::{Keepalive, Options};
use dlmwire_transport::conformance::Suite;
use dlmwire_transport::{Link, Ready, Token};

fn in_own_network(name: &str, inside: &str) {
    if !run_behind(OWN_NETWORK, inside) {
        // Past the capture of the test harness, which would hide it.
        let text = format!("SKIPPED {name}: no network of its own by unshare on this host\n");
        io::stderr()
            .write_all(text.as_bytes())
            .expect("standard error is open");
    }
}

#[test]
fn ipv6_conforms() {
    in_own_network("ipv6_conforms", "ipv6_inside");
}

#[test]
#[ignore = "needs addresses on loopback; run by the test above"]
fn ipv6_inside() {
    if !is_inside() {
        return;
    }
    ip_command("link set lo up");
    for id in 1..=3 {
        ip_command(&format!("-6 addr add fd00:d1::{id}/128 dev lo nodad"));
    }
    let make = |node: dlmwire_codec::NodeId| {
        let last = u16::try_from(node.get()).expect("a small node id");
        let address = Ipv6Addr::new(0xfd00, 0xd1, 0, 0, 0, 0, 0, last);
        transport(node.get(), address.into(), &[], Options::default())
    };
    Suite::new(make).run();
}

/// The transport's part of C23: a line that goes dead is noticed, with unacknowledged bytes on it and without.
#[test]
fn dead_line_is_noticed_busy_and_idle() {
    in_own_network("dead_line_is_noticed_busy_and_idle", "dead_line_inside");
}

#[test]
#[ignore = "takes loopback down; run by the test above"]
fn dead_line_inside() {
    if !is_inside() {
        return;
    }
    let keepalive = Keepalive {
        idle: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        probes: 2,
    };
    let user_timeout = Some(Duration::from_millis(1500));
    let options = Options {
        keepalive: Some(keepalive),
        user_timeout,
        ..Options::default()
    };
    for idle in [false, true] {
        ip_command("link set lo up");
        let (mut a, mut b) = pair(ip(31, 1), ip(31, 2), &options);
        let (mut dialed, _accepted) = join(&mut a, &mut b);
        ip_command("link set lo down");
        if !idle {
            assert_eq!(send(&mut dialed, b"unacknowledged"), 14);
        }
        wait_for(&mut a, Ready::Readable(Token(1)));
        let error = dialed.receive(&mut [0; 8]).expect_err("the line is dead");
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "idle: {idle}");
        assert!(
            error.to_string().starts_with("receive from node 2 at "),
            "{error}"
        );
    }
}
