//! The other end of a line.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use dlmwire_codec::NodeId;
use socket2::SockRef;

use super::error::in_operation;
use crate::{Ready, Token};

/// Who is at the other end of a line, and what has become of a dial to it.
///
/// It turns the system's errors into the line's, with the operation and the peer ([`lost`](Self::lost)).
#[derive(Debug)]
pub struct FarEnd {
    token: Token,
    node: NodeId,
    address: SocketAddr,
    dialing: AtomicBool,
    /// Why the dial failed: the system's number, 0 if it had none.
    failed: OnceLock<i32>,
}

impl FarEnd {
    /// Of a line that is being dialed.
    pub const fn dialed(token: Token, node: NodeId, address: SocketAddr) -> Self {
        Self::new(token, node, address, true)
    }

    /// Of a line that was accepted.
    pub const fn accepted(token: Token, node: NodeId, address: SocketAddr) -> Self {
        Self::new(token, node, address, false)
    }

    const fn new(token: Token, node: NodeId, address: SocketAddr, dialing: bool) -> Self {
        Self {
            token,
            node,
            address,
            dialing: AtomicBool::new(dialing),
            failed: OnceLock::new(),
        }
    }

    /// What the line is called in readiness events.
    #[inline]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The node.
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// Its address: the one that was dialed, or that it was accepted from.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether a dial is going on: [`tell_dial`](Self::tell_dial) has not told its end.
    #[inline]
    pub fn is_dialing(&self) -> bool {
        self.dialing.load(Ordering::Acquire)
    }

    /// The system's number for why the dial failed (0: it had none), once [`tell_dial`](Self::tell_dial) has told
    /// that it did.
    pub fn failed(&self) -> Option<i32> {
        self.failed.get().copied()
    }

    /// Whether it was accepted, or dialed with success.
    pub fn was_up(&self) -> bool {
        !self.is_dialing() && self.failed.get().is_none()
    }

    /// Tells what has become of a dial, [`Ready::Dialed`] or [`Ready::Failed`], or nothing while it is going on. Says
    /// whether the line is up, so that what else an event tells of it counts. For a [`Line`](super::Line) that is told of
    /// an event, as long as it [is dialing](Self::is_dialing).
    pub fn tell_dial(&self, socket: &impl AsFd, ready: &mut Vec<Ready>) -> bool {
        let outcome = self.dial_outcome(socket);
        ready.extend(outcome);
        matches!(outcome, Some(Ready::Dialed(_)))
    }

    fn dial_outcome(&self, socket: &impl AsFd) -> Option<Ready> {
        let socket = SockRef::from(socket);
        let outcome = match socket.take_error() {
            Ok(None) => match socket.peer_addr() {
                Ok(_) => Ok(()),
                Err(e) if e.kind() == io::ErrorKind::NotConnected => return None,
                Err(e) => Err(e),
            },
            Ok(Some(e)) | Err(e) => Err(e),
        };
        let ready = match outcome {
            Ok(()) => Ready::Dialed(self.token),
            Err(e) => {
                // The first reason stays: `set` fails only if there is one.
                let _ = self.failed.set(e.raw_os_error().unwrap_or_default());
                Ready::Failed(self.token, e.kind())
            }
        };
        self.dialing.store(false, Ordering::Release);
        Some(ready)
    }

    /// What an operation on the line gives where the system gave `error`: it names the operation, the node and its
    /// address, and why the dial failed if it did. `operation` ends with a preposition, as in `receive from`.
    ///
    /// `WouldBlock` is no loss and stays as it is.
    pub fn lost(&self, operation: &str, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::WouldBlock {
            return error;
        }
        let (operation, error) = match self.failed.get() {
            Some(code) => ("connect to", io::Error::from_raw_os_error(*code)),
            None => (operation, error),
        };
        in_operation(
            format_args!("{operation} node {} at {}", self.node, self.address),
            error,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    use socket2::{Domain, Socket, Type};

    use super::*;

    fn far(dialing: bool, address: SocketAddr) -> FarEnd {
        let node = NodeId::new(2).expect("not 0");
        FarEnd::new(Token(1), node, address, dialing)
    }

    #[test]
    fn dial_is_told_when_it_is_made_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let far = far(true, address);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        assert_eq!(far.dial_outcome(&socket), None);
        assert!(far.is_dialing() && !far.was_up());
        let stream = TcpStream::connect(address).expect("somebody listens");
        assert_eq!(far.dial_outcome(&stream), Some(Ready::Dialed(Token(1))));
        assert!(!far.is_dialing() && far.was_up());
        assert_eq!(far.failed(), None);
        let error = far.lost("receive from", io::ErrorKind::ConnectionReset.into());
        let text = format!("receive from node 2 at {address}: connection reset");
        assert_eq!(error.to_string(), text);
        let error = far.lost("receive from", io::ErrorKind::WouldBlock.into());
        assert_eq!(
            error.to_string(),
            io::Error::from(io::ErrorKind::WouldBlock).to_string()
        );
    }

    #[test]
    fn dial_that_fails_is_told_and_remembered_as_the_reason_of_every_loss() {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        bound
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .expect("a port is free");
        let address = bound.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("it is bound");
        let far = far(true, address);
        // Bound and not listening: the port is nobody else's, and refuses.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        let _ = socket.connect(&address.into());
        let deadline = Instant::now() + Duration::from_secs(10);
        let outcome = loop {
            assert!(Instant::now() < deadline, "the dial does not end");
            if let Some(outcome) = far.dial_outcome(&socket) {
                break outcome;
            }
        };
        assert_eq!(outcome, Ready::Failed(Token(1), io::ErrorKind::ConnectionRefused));
        assert!(far.failed().is_some() && !far.is_dialing() && !far.was_up());
        let error = far.lost("send to", io::ErrorKind::BrokenPipe.into());
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = format!("connect to node 2 at {address}: connection refused");
        assert!(error.to_string().starts_with(&text), "{error}");
    }

    #[test]
    fn accepted_line_is_up_from_the_start() {
        let far = FarEnd::accepted(
            Token(1),
            NodeId::new(2).expect("not 0"),
            ([10, 0, 0, 2], 21064).into(),
        );
        assert!(far.was_up() && !far.is_dialing());
    }
}
