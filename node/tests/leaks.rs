//! What a node leaves behind when it is gone. Alone in its process, because it counts the process's threads and
//! descriptors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_node::control::{Answer, Request, Server, request};
use dlmwire_node::{Node, NodeConfig};
use dlmwire_tcp::{Options, TcpTransport};
use dlmwire_transport::{Roster, Transport};

const DEADLINE: Duration = Duration::from_secs(30);

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

fn nodes() -> [Node<TcpTransport>; 2] {
    let ids = [1, 2].map(|id| NodeId::new(id).unwrap());
    let address = |id: NodeId| SocketAddr::from(([127, 77, 2, u8::try_from(id.get()).unwrap()], 0));
    let mut transports = ids.map(|own| {
        let roster = Roster::new(own, vec![address(own)], []).unwrap();
        TcpTransport::bind(roster, Options::default()).unwrap()
    });
    let bound = transports.each_ref().map(Transport::local_address);
    for (at, other) in [(0, 1), (1, 0)] {
        let roster = Roster::new(ids[at], vec![bound[at]], [(ids[other], vec![bound[other]])]);
        transports[at].set_roster(roster.unwrap());
    }
    let mut ids = ids.into_iter();
    transports.map(|transport| Node::new(NodeConfig::new(ids.next().unwrap(), group()), transport).unwrap())
}

fn group() -> LockspaceId {
    LockspaceId::from_name(b"leaks")
}

/// Proves C16.
#[test]
fn no_thread_and_no_descriptor_is_left() {
    let counts = || (count("/proc/self/task"), count("/proc/self/fd"));
    let before = counts();
    let path = std::env::temp_dir().join(format!("dlmwire-leaks-{}.sock", std::process::id()));
    for _ in 0..3 {
        let nodes = nodes();
        let handles = nodes.each_ref().map(Node::handle);
        let server = Server::start(&path, handles[0].clone()).unwrap();
        let threads = nodes.map(|mut node| std::thread::spawn(move || node.run(&mut ())));
        for (handle, other) in handles.iter().zip([2, 1]) {
            let other = NodeId::new(other).unwrap();
            handle.add_member(other, group()).unwrap();
            handle.wait_connected(other, DEADLINE).unwrap();
            handle.send_payload(other, group(), b"hello").unwrap();
        }
        assert!(matches!(
            request(&path, &Request::Status, DEADLINE),
            Ok(Answer::Status { .. })
        ));
        assert!(
            counts().0 > before.0 && counts().1 > before.1,
            "there is something to leave"
        );
        for handle in &handles {
            handle.stop();
        }
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        drop(server);
    }
    // A joined thread may still be listed for a moment.
    let end = Instant::now() + DEADLINE;
    while counts() != before {
        assert!(
            Instant::now() < end,
            "{:?} are left, {before:?} were there",
            counts()
        );
        std::thread::yield_now();
    }
}
