//! The suite over the transports of this crate.

use dlmwire_codec::NodeId;
use dlmwire_transport::conformance::{Limits, Suite};
use dlmwire_transport::{Faulty, MemoryNet, MemoryTransport, Plan, Roster};

fn transport(net: &MemoryNet, node: NodeId) -> MemoryTransport {
    let last = u8::try_from(node.get()).expect("a small node id");
    let roster = Roster::new(node, vec![([127, 0, 0, last], 0).into()], []).expect("one address is a roster");
    net.transport(roster).expect("the address is free")
}

fn limits() -> Limits {
    Limits {
        transfer_bytes: 2 << 20,
        ..Limits::default()
    }
}

mod memory {
    use super::*;

    fn suite() -> Suite<impl Fn(NodeId) -> MemoryTransport> {
        let net = MemoryNet::new();
        Suite::new(move |node| transport(&net, node)).with_limits(limits())
    }

    dlmwire_transport::conformance_tests!(suite());
}

/// A buffer of one byte: every send and receive of more is short.
mod memory_of_one_byte {
    use super::*;

    fn suite() -> Suite<impl Fn(NodeId) -> MemoryTransport> {
        let net = MemoryNet::with_buffer_bytes(1);
        let limits = Limits {
            transfer_bytes: 3000,
            ..limits()
        };
        Suite::new(move |node| transport(&net, node)).with_limits(limits)
    }

    #[test]
    fn bytes_cross_one_by_one() {
        for check in [
            "large_transfers_cross_intact",
            "dropped_link_is_seen",
            "end_stays_the_end",
        ] {
            suite().check(check).expect("it conforms");
        }
    }
}

mod faulty_memory {
    use super::*;

    fn suite() -> Suite<impl Fn(NodeId) -> Faulty<MemoryTransport>> {
        let net = MemoryNet::new();
        let plan = Plan {
            seed: 7,
            short_send: 300,
            short_receive: 300,
            would_block: 200,
            would_block_calls_max: 4,
            delayed_accept: 300,
            ..Plan::default()
        };
        Suite::new(move |node| Faulty::new(transport(&net, node), plan.clone())).with_limits(limits())
    }

    dlmwire_transport::conformance_tests!(suite());
}
