//! What happens in the proxy, told as it happens and counted.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde::{Serialize, Serializer};

use super::fault::{Direction, Side};
use super::handle::Shared;
use super::schedule::Event;

/// Something that has happened.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// A connection goes through: accepted, and connected onward.
    Opened {
        /// Number of the route, from 1.
        route: u32,
        /// Number of the connection, from 1.
        connection: u64,
        /// Who dialled the proxy.
        client: SocketAddr,
        /// Whom the proxy dialled.
        server: SocketAddr,
    },
    /// A fault was done.
    Fault(Event),
    /// A connection is over.
    Ended {
        /// Number of the route, from 1.
        route: u32,
        /// Number of the connection, from 1.
        connection: u64,
        /// Bytes that went from client to server.
        forward_bytes: u64,
        /// Bytes that went from server to client.
        back_bytes: u64,
        /// How it ended.
        ending: Ending,
    },
    /// The proxy could not do something, and goes on.
    Trouble {
        /// Number of the route, from 1.
        route: u32,
        /// What it could not do.
        doing: &'static str,
        /// Why not.
        #[serde(serialize_with = "as_text")]
        error: io::Error,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// Both sides closed it.
    Closed,
    /// One side reset it; the other was reset for it.
    Reset {
        /// Which.
        by: Side,
    },
    /// A fault ended it.
    Fault {
        /// Which, as in the schedule.
        fault: &'static str,
    },
    /// The proxy could not connect onward; the client was reset.
    NotConnected,
    /// The proxy stopped.
    Stopped,
}

/// What was counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Connections accepted, refused ones included.
    pub connections: u64,
    /// Connections that are open now, onward connections in the making included.
    pub open: u64,
    /// Bytes that went from clients to servers.
    pub forward_bytes: u64,
    /// Bytes that went from servers to clients.
    pub back_bytes: u64,
    /// Bytes that were taken and thrown away.
    pub dropped_bytes: u64,
    /// The most bytes that one direction of one connection ever held.
    pub buffered_bytes_max: u64,
    /// Faults done, by their words in the schedule.
    pub faults: BTreeMap<&'static str, u64>,
    /// Faults asked of the [`Handle`](super::Handle) for connections that were not there.
    pub missed: u64,
}

impl Summary {
    pub(super) fn forwarded(&mut self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Forward => self.forward_bytes += bytes,
            Direction::Back => self.back_bytes += bytes,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened {
                route,
                connection,
                client,
                server,
            } => {
                write!(
                    f,
                    "route {route} connection {connection}: open, {client} -> {server}"
                )
            }
            Self::Fault(event) => {
                let Event {
                    route,
                    connection,
                    direction,
                    at_byte,
                    fault,
                } = event;
                let direction = direction.name();
                write!(
                    f,
                    "route {route} connection {connection}: {direction} at byte {at_byte}: {fault}"
                )
            }
            Self::Ended {
                route,
                connection,
                forward_bytes,
                back_bytes,
                ending,
            } => write!(
                f,
                "route {route} connection {connection}: {ending}, {forward_bytes} bytes forward, {back_bytes} back"
            ),
            Self::Trouble { route, doing, error } => write!(f, "route {route}: cannot {doing}: {error}"),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Reset { by } => write!(f, "reset by the {}", by.name()),
            Self::Fault { fault } => write!(f, "ended by {fault}"),
            Self::NotConnected => f.write_str("not connected onward"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Where everything that happens is told and counted.
pub(super) struct Log<'a> {
    pub(super) shared: &'a Shared,
    pub(super) tell: &'a mut dyn FnMut(&Report),
}

impl Log<'_> {
    pub(super) fn tell(&mut self, report: &Report) {
        if let Report::Fault(event) = report {
            self.count(|summary| *summary.faults.entry(event.fault.name()).or_default() += 1);
        }
        (self.tell)(report);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Summary)) {
        count(&mut self.shared.summary());
    }

    pub(super) fn dropped(&self, bytes: usize) {
        if bytes > 0 {
            self.count(|summary| summary.dropped_bytes += bytes as u64);
        }
    }
}

fn as_text<S: Serializer>(error: &io::Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}
