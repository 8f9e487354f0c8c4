//! The same names where there is no SCTP: a transport that cannot be made.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

use crate::{LinkEvents, Options, Unavailable};

/// Whether this host offers SCTP to this process: it does not.
///
/// # Errors
///
/// Always.
pub fn probe() -> Result<(), Unavailable> {
    Err(Unavailable::OtherSystem)
}

/// Makes a socket send without delay; there is none to be made so.
///
/// # Errors
///
/// Always.
pub fn set_nodelay<S>(_: S) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Dials and accepts over the kernel's SCTP; there is none here.
#[derive(Debug)]
pub struct SctpTransport(Infallible);

/// One association with a node; there is none here.
#[derive(Debug)]
pub struct SctpLink(Infallible);

impl SctpTransport {
    /// Says that there is no SCTP.
    ///
    /// # Errors
    ///
    /// Always `Unsupported`, holding [`Unavailable`].
    pub fn bind(_: Roster, _: Options) -> io::Result<Self> {
        Err(Unavailable::OtherSystem.into())
    }

    /// What SCTP says of links and their paths.
    pub fn events(&self) -> LinkEvents {
        match self.0 {}
    }
}

impl Transport for SctpTransport {
    type Link = SctpLink;

    fn capabilities(&self) -> Capabilities {
        match self.0 {}
    }

    fn dial(&mut self, _: NodeId, _: Token) -> io::Result<SctpLink> {
        match self.0 {}
    }

    fn accept(&mut self, _: Token) -> io::Result<Option<Accepted<SctpLink>>> {
        match self.0 {}
    }

    fn wait(&mut self, _: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        match self.0 {}
    }

    fn waker(&self) -> Waker {
        match self.0 {}
    }

    fn set_roster(&mut self, _: Roster) {
        match self.0 {}
    }

    fn refused(&self) -> u64 {
        match self.0 {}
    }

    fn local_address(&self) -> SocketAddr {
        match self.0 {}
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for SctpLink {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self.0 {}
    }
}

impl Link for SctpLink {
    fn receive(&mut self, _: &mut [u8]) -> io::Result<Received> {
        match self.0 {}
    }

    fn send(&mut self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.0 {}
    }

    fn close_send(&mut self) -> io::Result<()> {
        match self.0 {}
    }

    fn abort(self) {
        match self.0 {}
    }

    fn peer_address(&self) -> SocketAddr {
        match self.0 {}
    }
}
