//! What the tests of sockets share: two transports, a link between them, and foreign sockets.

#![allow(dead_code, reason = "every test program uses another part of it")]

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;
use dlmwire_tcp::{Options, TcpLink, TcpTransport};
use dlmwire_transport::{Link, Ready, Received, Roster, Token, Transport};
use socket2::{Domain, Socket, Type};

/// For one wait of a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}

/// The address of a node in a net of its own.
pub(crate) fn ip(net: u8, id: u8) -> IpAddr {
    [127, 24, net, id].into()
}

/// A transport that knows `peers`, by node and where they listen.
pub(crate) fn transport(
    node_id: u32,
    ip: IpAddr,
    peers: &[(u32, SocketAddr)],
    options: Options,
) -> TcpTransport {
    TcpTransport::bind(roster(node_id, (ip, 0).into(), peers), options).expect("the address can be bound")
}

pub(crate) fn roster(node_id: u32, local: SocketAddr, peers: &[(u32, SocketAddr)]) -> Roster {
    let peers = peers.iter().map(|(id, address)| (node(*id), vec![*address]));
    Roster::new(node(node_id), vec![local], peers).expect("a sound roster")
}

/// The nodes 1 and 2, which know each other.
pub(crate) fn pair(first: IpAddr, second: IpAddr, options: &Options) -> (TcpTransport, TcpTransport) {
    let mut a = transport(1, first, &[], options.clone());
    let b = transport(2, second, &[(1, a.local_address())], options.clone());
    a.set_roster(roster(1, a.local_address(), &[(2, b.local_address())]));
    (a, b)
}

/// A link dialed by `a` under the token 1, and its end at `b` under the token 2.
pub(crate) fn join(a: &mut TcpTransport, b: &mut TcpTransport) -> (TcpLink, TcpLink) {
    let dialed = a.dial(node(2), Token(1)).expect("the dial starts");
    wait_for(a, Ready::Dialed(Token(1)));
    (dialed, accept(b, Token(2)))
}

/// The next connection from a configured node.
pub(crate) fn accept(transport: &mut TcpTransport, token: Token) -> TcpLink {
    until("a connection is accepted", || {
        turn(transport);
        transport
            .accept(token)
            .expect("accept works")
            .map(|accepted| accepted.link)
    })
}

/// Waits until this is told.
pub(crate) fn wait_for(transport: &mut TcpTransport, what: Ready) {
    until(&format!("{what:?} is told"), || {
        turn(transport).contains(&what).then_some(())
    });
}

/// One short wait.
pub(crate) fn turn(transport: &mut TcpTransport) -> Vec<Ready> {
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

/// What a link brings until its end or loss.
pub(crate) fn read_to_end(transport: &mut TcpTransport, link: &mut TcpLink) -> (Vec<u8>, Option<io::Error>) {
    let mut received = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
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

/// Sends what there is room for; how much it was.
pub(crate) fn send(link: &mut TcpLink, bytes: &[u8]) -> usize {
    match link.send(&[IoSlice::new(bytes)]) {
        Ok(count) => count,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
        Err(e) => panic!("{e}"),
    }
}

/// A foreign socket that connects from an address, with time limits on what it does.
pub(crate) fn connect_from(source: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((source, 0)).into())
        .expect("the source can be bound");
    socket.connect_timeout(&to.into(), DEADLINE).expect("it connects");
    socket.set_read_timeout(Some(DEADLINE)).expect("a time limit");
    socket.set_write_timeout(Some(DEADLINE)).expect("a time limit");
    socket.into()
}

/// Bytes that repeat nowhere near.
pub(crate) fn pattern(count: u32) -> Vec<u8> {
    (0..count)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect()
}

/// Runs an ignored test of this program on its own, behind `prefix` (a program and its arguments).
///
/// Whether it ran: not if the prefix does not work here. Fails if the test does.
pub(crate) fn run_behind(prefix: &[&str], test: &str) -> bool {
    let works = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new("timeout")
        .arg("120")
        .args(prefix)
        .arg(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("a program can be started");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} failed:\n{text}");
    assert!(text.contains("1 passed"), "{test} did not run:\n{text}");
    true
}

/// Whether this is the process that [`run_behind`] started: only there may a test change the system.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

const INSIDE: &str = "DLMWIRE_TEST_INSIDE";

/// What starts a program in a network of its own.
pub(crate) const OWN_NETWORK: &[&str] = &["unshare", "--user", "--map-root-user", "--net"];

/// Runs `ip` in the network of this process.
pub(crate) fn ip_command(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("ip can be run");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
