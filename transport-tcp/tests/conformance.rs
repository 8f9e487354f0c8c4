//! The suite of every transport over TCP: IPv4, IPv6, and with faults.

use std::net::IpAddr;

use dlmwire_codec::NodeId;
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::conformance::{Limits, Suite};
use dlmwire_transport::{Faulty, Plan, Roster};

fn transport(node: NodeId, address: IpAddr) -> TcpTransport {
    let roster = Roster::new(node, vec![(address, 0).into()], []).expect("one address is a roster");
    TcpTransport::bind(roster, Options::default()).expect("a loopback address can be bound")
}

fn ipv4(node: NodeId) -> TcpTransport {
    let last = u8::try_from(node.get()).expect("a small node id");
    transport(node, [127, 23, 1, last].into())
}

mod tcp {
    use super::*;

    dlmwire_transport::conformance_tests!(Suite::new(ipv4));
}

mod faulty_tcp {
    use super::*;

    fn suite() -> Suite<impl Fn(NodeId) -> Faulty<TcpTransport>> {
        let plan = Plan {
            seed: 11,
            short_send: 300,
            short_receive: 300,
            would_block: 200,
            would_block_calls_max: 4,
            delayed_accept: 300,
            ..Plan::default()
        };
        Suite::new(move |node| Faulty::new(ipv4(node), plan.clone())).with_limits(Limits {
            transfer_bytes: 2 << 20,
            ..Limits::default()
        })
    }

    dlmwire_transport::conformance_tests!(suite());
}
