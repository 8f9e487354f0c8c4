//! What the tests of associations share: transports, a link between them, and foreign sockets.

#![allow(dead_code, reason = "every test program uses another part of it")]

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;
use dlmwire_sctp::{LinkEvent, LinkEvents, Options, SctpLink, SctpTransport};
use dlmwire_transport::{Accepted, Link, Ready, Received, Roster, Token, Transport};
use socket2::{Domain, Protocol, Socket, Type};

/// For one wait of a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}

/// The address of a node on one of the two networks of a test; loopback is all of them.
pub(crate) fn ip(test: u8, network: u8, id: u8) -> IpAddr {
    [127, 40 + network, test, id].into()
}

/// A transport with these addresses that knows `peers`, by node and where they listen.
pub(crate) fn transport(
    id: u32,
    local: &[IpAddr],
    peers: &[(u32, Vec<SocketAddr>)],
    options: Options,
) -> SctpTransport {
    let local: Vec<SocketAddr> = local.iter().map(|ip| (*ip, 0).into()).collect();
    SctpTransport::bind(roster(id, &local, peers), options).expect("the addresses can be bound")
}

pub(crate) fn roster(id: u32, local: &[SocketAddr], peers: &[(u32, Vec<SocketAddr>)]) -> Roster {
    let peers = peers.iter().map(|(id, addresses)| (node(*id), addresses.clone()));
    Roster::new(node(id), local.to_vec(), peers).expect("a sound roster")
}

/// Where a transport listens: on all these addresses, with one port.
pub(crate) fn listening(transport: &SctpTransport, local: &[IpAddr]) -> Vec<SocketAddr> {
    let port = transport.local_address().port();
    local.iter().map(|ip| (*ip, port).into()).collect()
}

/// The nodes 1 and 2 of a test, which know each other, with two addresses each.
pub(crate) fn pair(test: u8, options: &Options) -> (SctpTransport, SctpTransport) {
    let [first, second] = [1, 2].map(|id| [ip(test, 0, id), ip(test, 1, id)]);
    let mut a = transport(1, &first, &[], options.clone());
    let b = transport(2, &second, &[(1, listening(&a, &first))], options.clone());
    a.set_roster(roster(1, &listening(&a, &first), &[(2, listening(&b, &second))]));
    (a, b)
}

/// A link dialed by `a` under the token 1, and its end at `b` under the token 2.
pub(crate) fn join(a: &mut SctpTransport, b: &mut SctpTransport) -> (SctpLink, SctpLink) {
    let dialed = a.dial(node(2), Token(1)).expect("the dial starts");
    wait_for(a, Ready::Dialed(Token(1)));
    (dialed, accept(b, Token(2)).link)
}

/// The next association from a configured node.
pub(crate) fn accept(transport: &mut SctpTransport, token: Token) -> Accepted<SctpLink> {
    until("an association is accepted", || {
        turn(transport);
        transport.accept(token).expect("accept works")
    })
}

/// Waits until this is told.
pub(crate) fn wait_for(transport: &mut SctpTransport, what: Ready) {
    until(&format!("{what:?} is told"), || {
        turn(transport).contains(&what).then_some(())
    });
}

/// One short wait.
pub(crate) fn turn(transport: &mut SctpTransport) -> Vec<Ready> {
    let mut ready = Vec::new();
    transport
        .wait(&mut ready, Some(Duration::from_millis(5)))
        .expect("wait works");
    ready
}

/// Takes steps until one gives a value; fails at the deadline.
pub(crate) fn until<R>(what: &str, mut step: impl FnMut() -> Option<R>) -> R {
    let start = Instant::now();
    loop {
        if let Some(value) = step() {
            return value;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "the deadline is over, waiting until {what}"
        );
    }
}

/// What a link brings until its end or loss, read in buffers of `size` bytes.
pub(crate) fn read_to_end(
    transport: &mut SctpTransport,
    link: &mut SctpLink,
    size: usize,
) -> (Vec<u8>, Option<io::Error>) {
    let mut received = Vec::new();
    let mut buffer = vec![0; size];
    let error = until("the link ends", || {
        match link.receive(&mut buffer) {
            Ok(Received::Bytes(count)) => received.extend_from_slice(&buffer[..count]),
            Ok(Received::End) => return Some(None),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => drop(turn(transport)),
            Err(e) => return Some(Some(e)),
        }
        None
    });
    (received, error)
}

/// Reads until as many bytes have come.
pub(crate) fn read_bytes(transport: &mut SctpTransport, link: &mut SctpLink, count: usize) -> Vec<u8> {
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    until(&format!("{count} bytes have come"), || {
        match link.receive(&mut buffer) {
            Ok(Received::Bytes(count)) => received.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => drop(turn(transport)),
            other => panic!("{other:?} after {} bytes", received.len()),
        }
        (received.len() >= count).then_some(())
    });
    received
}

/// Sends one record, if there is room; how much was taken.
pub(crate) fn send(link: &mut SctpLink, bytes: &[u8]) -> usize {
    match link.send(&[IoSlice::new(bytes)]) {
        Ok(count) => count,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
        Err(e) => panic!("{e}"),
    }
}

/// Reads a link until something is reported of it.
pub(crate) fn wait_for_event(
    transport: &mut SctpTransport,
    link: &mut SctpLink,
    events: &LinkEvents,
    wanted: LinkEvent,
) {
    until(&format!("{wanted:?} is reported"), || {
        turn(transport);
        // What it brings does not matter; reading is what finds the event.
        let _ = link.receive(&mut [0; 4096]);
        std::iter::from_fn(|| events.take())
            .any(|report| report.event == wanted)
            .then_some(())
    });
}

/// A foreign socket of plain SCTP that is connected from an address, with time limits on what it does.
pub(crate) fn connect_from(source: SocketAddr, to: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::from(132)))
        .expect("a socket of SCTP");
    socket.bind(&source.into()).expect("the source can be bound");
    socket.set_write_timeout(Some(DEADLINE)).expect("a time limit");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    socket.connect(&to.into()).expect("it connects");
    socket
}

/// Bytes that repeat nowhere near.
pub(crate) fn pattern(count: u32) -> Vec<u8> {
    (0..count)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect()
}
