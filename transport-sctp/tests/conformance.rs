//! The suite of every transport over SCTP: one address, two, IPv6, and with faults.
#![cfg(target_os = "linux")]

use std::net::IpAddr;

use dlmwire_codec::NodeId;
use dlmwire_sctp::{Options, SctpTransport};
use dlmwire_transport::conformance::{Limits, Suite};
use dlmwire_transport::{Faulty, Plan, Roster};

fn transport(node: NodeId, addresses: &[IpAddr]) -> SctpTransport {
    let local = addresses.iter().map(|address| (*address, 0).into()).collect();
    let roster = Roster::new(node, local, []).expect("a sound roster");
    SctpTransport::bind(roster, Options::default()).expect("loopback addresses can be bound")
}

fn last(node: NodeId) -> u8 {
    u8::try_from(node.get()).expect("a small node id")
}

fn one_address(node: NodeId) -> SctpTransport {
    transport(node, &[[127, 33, 1, last(node)].into()])
}

fn limits() -> Limits {
    Limits {
        transfer_bytes: 2 << 20,
        reconnects: 300,
        ..Limits::default()
    }
}

mod sctp {
    use super::*;

    dlmwire_transport::conformance_tests!(
        ignore = "needs kernel SCTP: .ci/run guest",
        Suite::new(one_address).with_limits(limits())
    );
}

mod faulty_sctp {
    use super::*;

    fn suite() -> Suite<impl Fn(NodeId) -> Faulty<SctpTransport>> {
        let plan = Plan {
            seed: 11,
            short_receive: 300,
            would_block: 200,
            would_block_calls_max: 4,
            delayed_accept: 300,
            ..Plan::default()
        };
        let limits = Limits {
            transfer_bytes: 512 << 10,
            ..limits()
        };
        Suite::new(move |node| Faulty::new(one_address(node), plan.clone())).with_limits(limits)
    }

    dlmwire_transport::conformance_tests!(ignore = "needs kernel SCTP: .ci/run guest", suite());
}
