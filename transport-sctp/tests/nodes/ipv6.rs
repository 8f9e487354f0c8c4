//! The suite of every transport over IPv6, with two addresses a node.

use std::net::{IpAddr, Ipv6Addr};
use std::thread;

use dlmwire_codec::NodeId;
use dlmwire_sctp::{Options, SctpTransport};
use dlmwire_transport::Roster;
use dlmwire_transport::conformance::{Limits, Suite};

use crate::networks::{Networks, run};

fn addresses(node: u16) -> [IpAddr; 2] {
    [0, 1].map(|network| Ipv6Addr::new(0xfd00, 0xd5, network, 0, 0, 0, 0, node).into())
}

fn transport(node: NodeId) -> SctpTransport {
    let own = addresses(u16::try_from(node.get()).expect("a small node id"));
    let roster = Roster::new(node, own.map(|ip| (ip, 0).into()).to_vec(), []).expect("a sound roster");
    SctpTransport::bind(roster, Options::default()).expect("the addresses can be bound")
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn ipv6_conforms() {
    let networks = Networks::new(6);
    let namespace = networks.namespace(1);
    for ip in (1..=3).flat_map(addresses) {
        run(&format!("ip -n {namespace} -6 addr add {ip}/128 dev lo nodad"));
    }
    let enter = networks.enter(1);
    let limits = Limits {
        transfer_bytes: 1 << 20,
        reconnects: 100,
        ..Limits::default()
    };
    // The suite's threads are where the thread is that starts them.
    let test = move || {
        enter();
        Suite::new(transport).with_limits(limits).run();
    };
    thread::spawn(test).join().expect("it conforms");
}
