//! The end of a process: when everybody was left, and nobody can be waiting for us any more.

use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_midcomms::engine::{Event, Outcome};
use dlmwire_midcomms::{State, Time};
use dlmwire_node::{NodeEvent, Outbox};

/// How long a node stays behind its last connection if a peer may have missed the last acknowledgement: it comes
/// back for it.
const LINGER: Duration = Duration::from_secs(1);

/// The longest time to stay after everything was left, connections or not.
pub(super) const LINGER_MAX: Duration = Duration::from_secs(5);

/// How often it is looked whether the last links are gone.
const LOOK: Duration = Duration::from_millis(10);

/// Knows when everything is over.
#[derive(Default)]
pub(in crate::cli) struct Linger {
    /// A conversation ended with our acknowledgement, which may have been lost.
    had_the_last_word: bool,
    left: Option<Left>,
}

/// Everything was left.
#[derive(Clone, Copy)]
struct Left {
    outcome: Outcome,
    since: Time,
    /// When there was a link, last.
    linked: Time,
}

impl Linger {
    /// Something happened.
    pub(in crate::cli) fn hear(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        match *event {
            NodeEvent::Engine(Event::StateChanged {
                from: State::FinWait2 | State::Closing,
                to: State::Closed,
                ..
            }) => self.had_the_last_word = true,
            NodeEvent::Engine(Event::ShutdownComplete { outcome }) => self.leave(outbox, outcome),
            _ => {}
        }
    }

    /// Everything is left.
    pub(in crate::cli) fn leave(&mut self, outbox: &mut Outbox<'_>, outcome: Outcome) {
        let now = outbox.now();
        self.left = Some(Left {
            outcome,
            since: now,
            linked: now,
        });
        outbox.wake_after(Duration::ZERO);
    }

    /// How everything was left, if it was.
    pub(in crate::cli) fn outcome(&self) -> Option<Outcome> {
        self.left.map(|left| left.outcome)
    }

    /// Whether everybody was left in time.
    pub(in crate::cli) fn is_in_time(&self) -> bool {
        match self.outcome() {
            Some(Outcome::Clean | Outcome::WithoutFin | Outcome::Fenced | Outcome::Readded) => true,
            Some(Outcome::TimedOut) | None => false,
        }
    }

    /// Stops once the links are gone and nobody can be waiting for our last acknowledgement any more.
    pub(in crate::cli) fn stop_when_over(&mut self, outbox: &mut Outbox<'_>, peers: &[NodeId]) {
        let has_links = has_links(outbox, peers);
        let Some(left) = &mut self.left else { return };
        let now = outbox.now();
        if has_links {
            left.linked = now;
        }
        let quiet = if self.had_the_last_word {
            LINGER
        } else {
            Duration::ZERO
        };
        let over = !has_links && now.since(left.linked) >= nanoseconds(quiet);
        if over || now.since(left.since) >= nanoseconds(LINGER_MAX) {
            outbox.stop();
        } else {
            outbox.wake_after(LOOK);
        }
    }
}

fn has_links(outbox: &Outbox<'_>, peers: &[NodeId]) -> bool {
    let mut peers = peers.iter().filter_map(|node| outbox.peer(*node));
    peers.any(|peer| !peer.links.is_empty())
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
