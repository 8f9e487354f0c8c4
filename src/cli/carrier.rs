//! What carries the frames: the one place where the command picks a transport.
//!
//! Which transports there are is decided when the program is built, which one is used by the configuration alone.
//! One that is asked for and cannot be had ends the command; none stands in for another.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_node::config::{Carrier, Protocol};
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// A transport that this program was built with.
#[derive(Debug)]
pub(super) enum Line {
    /// Over TCP.
    #[cfg(feature = "tcp")]
    Tcp(dlmwire_tcp::TcpTransport),
    /// Over SCTP.
    #[cfg(feature = "sctp")]
    Sctp(dlmwire_sctp::SctpTransport),
}

/// A link of a [`Line`].
#[derive(Debug)]
pub(super) enum LineLink {
    #[cfg(feature = "tcp")]
    Tcp(dlmwire_tcp::TcpLink),
    #[cfg(feature = "sctp")]
    Sctp(dlmwire_sctp::SctpLink),
}

/// The word for `--transport` on the command line.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn protocol(word: &str) -> Result<Protocol, String> {
    match word {
        "tcp" => Ok(Protocol::Tcp),
        "sctp" => Ok(Protocol::Sctp),
        "detect" => Ok(Protocol::Detect),
        _ => Err("expected tcp, sctp or detect".to_owned()),
    }
}

/// The same where nothing is configured that could be looked at.
///
/// # Errors
///
/// What is expected instead.
pub(super) fn carrier(word: &str) -> Result<Carrier, String> {
    match word {
        "tcp" => Ok(Carrier::Tcp),
        "sctp" => Ok(Carrier::Sctp),
        _ => Err("expected tcp or sctp".to_owned()),
    }
}

/// Listens as the roster says; every packet carries `mark` unless it is 0.
///
/// # Errors
///
/// Of the kind [`Unsupported`](io::ErrorKind::Unsupported) where the program or the system has no such transport,
/// with the way to get it.
#[cfg_attr(
    not(any(feature = "tcp", feature = "sctp")),
    expect(unused_variables, reason = "there is no transport to bind")
)]
pub(super) fn bind(carrier: Carrier, roster: Roster, mark: u32) -> io::Result<Line> {
    let mark = Some(mark).filter(|mark| *mark != 0);
    match carrier {
        #[cfg(feature = "tcp")]
        Carrier::Tcp => {
            let options = dlmwire_tcp::Options {
                mark,
                ..Default::default()
            };
            dlmwire_tcp::TcpTransport::bind(roster, options).map(Line::Tcp)
        }
        #[cfg(feature = "sctp")]
        Carrier::Sctp => {
            let options = dlmwire_sctp::Options {
                mark,
                ..Default::default()
            };
            dlmwire_sctp::SctpTransport::bind(roster, options).map(Line::Sctp)
        }
        #[cfg(not(all(feature = "tcp", feature = "sctp")))]
        missing => Err(not_built_in(missing)),
    }
}

/// Why this program does not have it, and how to get one that does.
#[cfg_attr(
    all(feature = "tcp", feature = "sctp"),
    expect(dead_code, reason = "every transport is built in")
)]
pub(super) fn not_built_in(missing: Carrier) -> io::Error {
    let reason = format!("{missing} is not built into this program; build it with --features {missing}");
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

/// Does the same to whichever it is.
///
/// The place is matched, not a reference to it: a program without any transport has nothing to match, and only a
/// place without variants needs no arm.
macro_rules! each {
    ($place:expr, $of:ident, $inner:pat => $what:expr) => {
        match $place {
            #[cfg(feature = "tcp")]
            $of::Tcp($inner) => $what,
            #[cfg(feature = "sctp")]
            $of::Sctp($inner) => $what,
        }
    };
}

#[cfg_attr(
    not(any(feature = "tcp", feature = "sctp")),
    expect(unused_variables, reason = "a line that there is never is given nothing")
)]
impl Transport for Line {
    type Link = LineLink;

    fn capabilities(&self) -> Capabilities {
        each!(*self, Self, ref inner => inner.capabilities())
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<LineLink> {
        match *self {
            #[cfg(feature = "tcp")]
            Self::Tcp(ref mut inner) => inner.dial(peer, token).map(LineLink::Tcp),
            #[cfg(feature = "sctp")]
            Self::Sctp(ref mut inner) => inner.dial(peer, token).map(LineLink::Sctp),
        }
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<LineLink>>> {
        match *self {
            #[cfg(feature = "tcp")]
            Self::Tcp(ref mut inner) => Ok(inner.accept(token)?.map(|from| with(from, LineLink::Tcp))),
            #[cfg(feature = "sctp")]
            Self::Sctp(ref mut inner) => Ok(inner.accept(token)?.map(|from| with(from, LineLink::Sctp))),
        }
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        each!(*self, Self, ref mut inner => inner.wait(ready, timeout))
    }

    fn waker(&self) -> Waker {
        each!(*self, Self, ref inner => inner.waker())
    }

    fn set_roster(&mut self, roster: Roster) {
        each!(*self, Self, ref mut inner => inner.set_roster(roster));
    }

    fn refused(&self) -> u64 {
        each!(*self, Self, ref inner => inner.refused())
    }

    fn local_address(&self) -> SocketAddr {
        each!(*self, Self, ref inner => inner.local_address())
    }
}

#[cfg(any(feature = "tcp", feature = "sctp"))]
fn with<L>(Accepted { node, link }: Accepted<L>, line: fn(L) -> LineLink) -> Accepted<LineLink> {
    Accepted {
        node,
        link: line(link),
    }
}

#[cfg_attr(
    not(any(feature = "tcp", feature = "sctp")),
    expect(unused_variables, reason = "a link that there is never is given nothing")
)]
impl Link for LineLink {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        each!(*self, Self, ref mut inner => inner.receive(buffer))
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(*self, Self, ref mut inner => inner.send(slices))
    }

    fn close_send(&mut self) -> io::Result<()> {
        each!(*self, Self, ref mut inner => inner.close_send())
    }

    fn abort(self) {
        each!(self, Self, inner => inner.abort());
    }

    fn peer_address(&self) -> SocketAddr {
        each!(*self, Self, ref inner => inner.peer_address())
    }
}

impl AsFd for LineLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        each!(*self, Self, ref inner => inner.as_fd())
    }
}
