//! A peer that begins its association again without ending it.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use dlmwire_sctp::{LinkEvent, Options, SctpTransport};
use dlmwire_transport::{Link, Received, Roster, Token, Transport};
use socket2::{Domain, Protocol, Socket, Type};

use crate::group::{id, until};
use crate::networks::{Cut, Networks, PORT};

/// A plain socket at the second node, from one port to the first node.
fn connect(networks: &Networks) -> Socket {
    let enter = networks.enter(2);
    let [from, to] =
        [(2, 5555), (1, PORT)].map(|(node, port)| SocketAddr::from((networks.ip(0, node), port)));
    let connect = move || {
        enter();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(132))).expect("a socket");
        socket.bind(&from.into()).expect("the port is free");
        socket
            .set_write_timeout(Some(Duration::from_secs(20)))
            .expect("a time limit");
        socket.connect(&to.into()).expect("it connects");
        socket
    };
    thread::spawn(connect).join().expect("it connects")
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn association_begun_again_is_a_loss() {
    let networks = Networks::new(5);
    let enter = networks.enter(1);
    let test = || {
        enter();
        let peers = [(id(2), networks.addresses(2))];
        let roster = Roster::new(id(1), networks.addresses(1), peers).expect("a sound roster");
        let mut transport = SctpTransport::bind(roster, Options::default()).expect("it can be bound");
        let events = transport.events();
        let mut ready = Vec::new();
        let first = connect(&networks);
        first.send(b"half a fra").expect("there is room");
        let mut link = until("the peer is accepted", || {
            transport
                .wait(&mut ready, Some(Duration::from_millis(5)))
                .expect("wait works");
            transport.accept(Token(1)).expect("accept works")
        })
        .link;
        // The ABORT of its end does not come through.
        networks.cut(0, Cut::LinkDown);
        first.set_linger(Some(Duration::ZERO)).expect("it can linger");
        drop(first);
        networks.heal(0, Cut::LinkDown);
        let second = connect(&networks);
        second.send(b"a new frame").expect("there is room");
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        let error = until("the restart is found", || {
            transport
                .wait(&mut ready, Some(Duration::from_millis(5)))
                .expect("wait works");
            match link.receive(&mut buffer) {
                Ok(Received::Bytes(count)) => received.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Some(e),
                Ok(Received::End) => panic!("a restart is no end"),
            }
            None
        });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(
            error
                .to_string()
                .ends_with("the peer has begun the association again"),
            "{error}"
        );
        assert_eq!(
            received, b"half a fra",
            "nothing of the new association is taken for the old one's"
        );
        assert!(std::iter::from_fn(|| events.take()).any(|report| report.event == LinkEvent::Restarted));
        assert!(link.receive(&mut buffer).is_err(), "lost stays lost");
    };
    thread::scope(|scope| scope.spawn(test).join().expect("the test has passed"));
}
