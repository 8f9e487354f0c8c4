//! What SCTP says of links and their paths, for whoever wants to know; nothing of the protocol depends on it.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::Token;

/// Reports that are kept until somebody takes them.
const REPORTS_MAX: usize = 1024;

/// What happened to a link or to one of its paths.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkEvent {
    /// The association is up.
    Up,
    /// A path to this address works, again or at last.
    PathUp(IpAddr),
    /// A path to this address works no more; the others carry on.
    PathDown(IpAddr),
    /// A heartbeat has shown that this address is the peer's.
    PathConfirmed(IpAddr),
    /// This address is now the one that is sent to first.
    PathPrimary(IpAddr),
    /// A path to this address has missed answers, but is not given up yet.
    PathSuspect(IpAddr),
    /// The peer has got this address.
    PathAdded(IpAddr),
    /// The peer has lost this address.
    PathRemoved(IpAddr),
    /// The peer has begun to end the association (SHUTDOWN).
    PeerShutsDown,
    /// The association has ended in order (SHUTDOWN COMPLETE).
    Ended,
    /// The peer has begun the association again; the link is lost.
    Restarted,
    /// The association was aborted, or no path has worked for too long; the link is lost.
    Lost {
        /// The cause that the ABORT named (RFC 9260 section 3.3.10); 0 if it named none.
        cause: u16,
    },
}

/// An event and the link that it happened to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkReport {
    /// The link's name.
    pub token: Token,
    /// The node at its other end.
    pub node: NodeId,
    /// What happened.
    pub event: LinkEvent,
}

/// The reports of one transport's links, to be taken by anybody, on any thread.
///
/// A link notes what it finds while it is read. The oldest reports are dropped when too many wait.
#[derive(Clone, Debug, Default)]
pub struct LinkEvents(Arc<Mutex<Reports>>);

#[derive(Debug, Default)]
struct Reports {
    waiting: VecDeque<LinkReport>,
    dropped: u64,
}

impl LinkEvents {
    /// Takes the oldest report.
    pub fn take(&self) -> Option<LinkReport> {
        self.lock().waiting.pop_front()
    }

    /// How many reports were dropped because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no links, no reports"))]
    pub(crate) fn push(&self, report: LinkReport) {
        let mut reports = self.lock();
        if reports.waiting.len() == REPORTS_MAX {
            reports.waiting.pop_front();
            reports.dropped = reports.dropped.saturating_add(1);
        }
        reports.waiting.push_back(report);
    }

    fn lock(&self) -> MutexGuard<'_, Reports> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One path of a link, as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The peer's address.
    pub address: SocketAddr,
    /// Whether it works.
    pub state: PathState,
    /// Whether it is sent to first.
    pub primary: bool,
    /// The smoothed round trip time.
    pub round_trip: Duration,
    /// The time after which an answer counts as missed.
    pub timeout: Duration,
}

/// Whether a path works.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PathState {
    /// It works.
    Active,
    /// It has missed answers and is avoided.
    Suspect,
    /// It does not work.
    Inactive,
    /// It was not used yet.
    Unconfirmed,
}

impl fmt::Display for LinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} to node {}: {}", self.token.0, self.node, self.event)
    }
}

impl fmt::Display for LinkEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up => f.write_str("association up"),
            Self::PathUp(address) => write!(f, "path to {address} up"),
            Self::PathDown(address) => write!(f, "path to {address} down"),
            Self::PathConfirmed(address) => write!(f, "path to {address} confirmed"),
            Self::PathPrimary(address) => write!(f, "path to {address} made primary"),
            Self::PathSuspect(address) => write!(f, "path to {address} has missed answers"),
            Self::PathAdded(address) => write!(f, "path to {address} added"),
            Self::PathRemoved(address) => write!(f, "path to {address} removed"),
            Self::PeerShutsDown => f.write_str("the peer shuts down"),
            Self::Ended => f.write_str("association ended"),
            Self::Restarted => f.write_str("the peer has begun the association again"),
            Self::Lost { cause: 0 } => f.write_str("association lost"),
            Self::Lost { cause } => write!(f, "association lost with cause {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_nobody_takes_are_bounded_and_counted() {
        let events = LinkEvents::default();
        let node = NodeId::new(2).expect("not 0");
        let report = |at| LinkReport {
            token: Token(at),
            node,
            event: LinkEvent::Up,
        };
        let over = 10;
        let all = u64::try_from(REPORTS_MAX).expect("small") + over;
        (0..all).for_each(|at| events.push(report(at)));
        assert_eq!(events.dropped(), over);
        assert_eq!(events.take(), Some(report(over)), "the oldest that is left");
        assert_eq!(std::iter::from_fn(|| events.take()).count(), REPORTS_MAX - 1);
    }
}
