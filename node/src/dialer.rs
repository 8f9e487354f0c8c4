//! When to dial whom: a state machine per peer, without I/O (spec: lowcomms 5).
//!
//! Whoever needs a link is dialed at once; a dial that fails is repeated after a pause that doubles up to a limit,
//! with some jitter so that nodes which lost each other do not meet in step for ever. A lost connection is
//! replaced at once, unless the one before was lost as quickly and nothing came of either: then the pauses apply, too.

use std::collections::BTreeMap;
use std::time::Duration;

use dlmwire_codec::{NodeId, Seq};
use dlmwire_midcomms::{LinkId, Time};

use crate::clock::{after, earlier, nanos};

/// Dials of all peers.
#[derive(Debug)]
pub(crate) struct Dialer {
    delay: Duration,
    delay_max: Duration,
    timeout: Duration,
    random: fastrand::Rng,
    /// Boxed: a tree keeps room for many more values than it holds.
    dials: BTreeMap<NodeId, Box<Dial>>,
    /// Nothing is due before this, so that a turn need not look at every peer.
    soonest: Option<Time>,
}

/// One peer's.
#[derive(Debug, Default)]
struct Dial {
    phase: Phase,
    /// Dials that failed, and connections that were lost at once, in a row.
    attempts: u32,
    connected: Option<(Time, Progress)>,
}

/// How far the conversation with a peer has come: what differs later has come further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Progress {
    /// The number expected next.
    pub(crate) recv_next: Seq,
    /// Numbered messages of ours that need not be kept any more.
    pub(crate) acknowledged: u64,
}

impl Progress {
    /// Of a peer that is not known yet.
    pub(crate) const NONE: Self = Self {
        recv_next: Seq::new(0),
        acknowledged: 0,
    };
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Phase {
    /// Nothing to do.
    #[default]
    Idle,
    /// To be dialed then.
    Waiting { at: Time },
    /// Being dialed.
    Dialing { link: LinkId, until: Time },
}

impl Phase {
    const fn at(self) -> Option<Time> {
        match self {
            Self::Idle => None,
            Self::Waiting { at } => Some(at),
            Self::Dialing { until, .. } => Some(until),
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Dial the peer: [`started`](Dialer::started), [`failed`](Dialer::failed) or
    /// [`unwanted`](Dialer::unwanted).
    Dial(NodeId),
    /// Drop the link, the dial takes too long: [`failed`](Dialer::failed) or [`unwanted`](Dialer::unwanted).
    GiveUp(NodeId, LinkId),
}

/// A dial that did not work out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Failed {
    pub(crate) attempts: u32,
    pub(crate) retry_in: Duration,
}

impl Dialer {
    pub(crate) fn new(delay: Duration, delay_max: Duration, timeout: Duration, seed: u64) -> Self {
        Self {
            delay,
            delay_max,
            timeout,
            random: fastrand::Rng::with_seed(seed),
            dials: BTreeMap::new(),
            soonest: None,
        }
    }

    /// The peer needs a link.
    pub(crate) fn wanted(&mut self, now: Time, node: NodeId, progress: Progress) {
        let dial = self.dials.entry(node).or_default();
        if dial.phase != Phase::Idle {
            return;
        }
        let mut pause = Duration::ZERO;
        if let Some((since, before)) = dial.connected.take() {
            // A connection that lived shorter than the first pause and served for nothing says nothing good about
            // the peer.
            if now.since(since) >= nanos(self.delay) || progress != before {
                dial.attempts = 0;
            } else {
                dial.attempts = dial.attempts.saturating_add(1);
                if dial.attempts > 1 {
                    pause = backoff(&mut self.random, self.delay, self.delay_max, dial.attempts - 1);
                }
            }
        }
        let at = after(now, pause);
        dial.phase = Phase::Waiting { at };
        self.soonest = earlier(self.soonest, Some(at));
    }

    /// The peer needs none any more. Gives the link of the dial that is to be given up.
    pub(crate) fn unwanted(&mut self, node: NodeId) -> Option<LinkId> {
        match self.dials.remove(&node)?.phase {
            Phase::Dialing { link, .. } => Some(link),
            Phase::Idle | Phase::Waiting { .. } => None,
        }
    }

    /// The peer has a sending link, whoever dialed it. A dial under way goes on: the peer may have taken it already.
    pub(crate) fn connected(&mut self, now: Time, node: NodeId, progress: Progress) {
        let dial = self.dials.entry(node).or_default();
        dial.connected = Some((now, progress));
        if matches!(dial.phase, Phase::Waiting { .. }) {
            dial.phase = Phase::Idle;
        }
    }

    /// A dial of the peer began.
    pub(crate) fn started(&mut self, now: Time, node: NodeId, link: LinkId) {
        let until = after(now, self.timeout);
        self.dials.entry(node).or_default().phase = Phase::Dialing { link, until };
        self.soonest = earlier(self.soonest, Some(until));
    }

    /// The dial of the peer led to a link, or to nothing that matters.
    pub(crate) fn settled(&mut self, node: NodeId) {
        self.dials.entry(node).or_default().phase = Phase::Idle;
    }

    /// The dial of the peer led nowhere; the next follows after a pause.
    pub(crate) fn failed(&mut self, now: Time, node: NodeId) -> Failed {
        let dial = self.dials.entry(node).or_default();
        dial.attempts = dial.attempts.saturating_add(1);
        let retry_in = backoff(&mut self.random, self.delay, self.delay_max, dial.attempts);
        let at = after(now, retry_in);
        dial.phase = Phase::Waiting { at };
        self.soonest = earlier(self.soonest, Some(at));
        Failed {
            attempts: dial.attempts,
            retry_in,
        }
    }

    /// Something whose time has come. Answer each before asking again, until there is nothing.
    pub(crate) fn poll_due(&mut self, now: Time) -> Option<Due> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return None;
        }
        let due = self.dials.iter().find_map(|(node, dial)| match dial.phase {
            Phase::Waiting { at } if at <= now => Some(Due::Dial(*node)),
            Phase::Dialing { link, until } if until <= now => Some(Due::GiveUp(*node, link)),
            Phase::Idle | Phase::Waiting { .. } | Phase::Dialing { .. } => None,
        });
        if due.is_none() {
            self.soonest = self
                .dials
                .values()
                .fold(None, |soonest, dial| earlier(soonest, dial.phase.at()));
        }
        due
    }

    /// When to ask again at the latest.
    pub(crate) const fn poll_timeout(&self) -> Option<Time> {
        self.soonest
    }

    /// How it stands with the peer, and how many attempts failed in a row.
    pub(crate) fn phase(&self, node: NodeId) -> (Phase, u32) {
        self.dials
            .get(&node)
            .map_or((Phase::Idle, 0), |dial| (dial.phase, dial.attempts))
    }
}

/// `delay` doubled for each of `attempts` behind the first, up to a quarter more or less, at most `delay_max`.
fn backoff(random: &mut fastrand::Rng, delay: Duration, delay_max: Duration, attempts: u32) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let pause = delay.saturating_mul(doubled).min(delay_max);
    pause.mul_f64(0.75 + 0.5 * random.f64()).min(delay_max)
}

#[cfg(test)]
mod tests;
