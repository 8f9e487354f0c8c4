//! The passive half: follows conversations between stations from outside and tells facts about them.
//!
//! The observer is told what was captured, in capture order: links that come up and go down, frames, holes. It
//! follows every pair of stations over all their links at once, because two crossing connections per pair are
//! normal and an `ACK` for what came on one goes out on the other. It keeps digests of the last numbers, never
//! frames, so that its memory is bounded by [`Config`].
//!
//! What left the wire was not necessarily processed: after a reset a kernel may throw away received bytes.
//! Expectations therefore follow the `ACK`s where there are any (spec: kernel-observed, "Sequence numbers and
//! ACK").

mod acks;
mod facts;
mod identity;
mod leftovers;
mod link;
mod pair;
mod pairs;
mod session;
mod side;
mod stream;
mod summary;
mod termination;
mod unseen;
mod verdict;
mod window;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use dlmwire_codec::{DecodeError, Frame, NodeId};

use crate::time::Time;

pub use crate::LinkId;

use link::Link;
use pair::Pair;
use pairs::Pairs;
use side::{Identities, Report};

pub use facts::{Ending, Fact, FactKind, LostLink, Restart, Span};
pub use pairs::GivenUp;
pub use summary::{DirectionSummary, Numbers};
pub use verdict::{Judgement, Verdict};

/// A host, whatever its addresses: the caller tells which addresses are one host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StationId(pub u32);

/// A position in the capture, echoed in facts: a packet's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mark(pub u64);

/// When and where in the capture something was seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct At {
    /// When.
    pub time: Time,
    /// Where.
    pub mark: Mark,
}

/// The two stations of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ends {
    /// Who dialled, or either one if that was not seen.
    pub dialled: StationId,
    /// Who accepted.
    pub accepted: StationId,
}

/// Whether a link's beginning was seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkStart {
    /// It was: what comes first on the link is what was sent first.
    Handshake,
    /// The link was up when the capture began.
    Midway,
}

/// How a link ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LinkEnd {
    /// Both sides closed it in good order (TCP FIN, SCTP SHUTDOWN).
    Closed,
    /// TCP RST.
    Reset,
    /// SCTP ABORT.
    Aborted,
    /// It was given up without a word: another link took its ports, or it fell silent for too long.
    Vanished,
}

/// Bytes of a frame that was cut by a link's end, per end; 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HalfSent {
    /// Sent by who dialled.
    pub dialled: u32,
    /// Sent by who accepted.
    pub accepted: u32,
}

/// The observer's bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Digests kept per direction, in messages. A message that comes again later than this many numbers is not
    /// recognised. About 50 bytes each, allocated as messages come.
    pub window_messages_max: usize,
    /// Digests kept in all. Beyond it, the pairs that were silent for longest lose theirs.
    pub digests_max: usize,
    /// Pairs of stations. Beyond it, the pair that has been without a link for longest is given up, and if there
    /// is none, the new one is not looked at.
    pub pairs_max: usize,
    /// Live links. What comes on others is not looked at.
    pub links_max: usize,
}

impl Default for Config {
    /// 4096 messages a direction and 1048576 in all, 16384 pairs, 65536 links.
    fn default() -> Self {
        Self {
            window_messages_max: 4096,
            digests_max: 1 << 20,
            pairs_max: 16_384,
            links_max: 65_536,
        }
    }
}

/// Ended links remembered, the ones with the smallest ids forgotten first.
const ENDED_MAX: usize = 256;

/// Follows conversations from outside; see the [module's documentation](self).
///
/// After every `handle_*`, drain [`poll_fact`](Self::poll_fact): the queue of facts is the only part of the
/// observer that grows as long as nobody does.
#[derive(Debug)]
pub struct Observer {
    config: Config,
    pairs: Pairs,
    links: BTreeMap<LinkId, Link>,
    /// Links that ended not long ago: what was on its way may still be seen behind a reset.
    ended: BTreeMap<LinkId, Link>,
    identities: Identities,
    facts: VecDeque<Fact>,
}

impl Observer {
    /// An observer that has seen nothing.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            pairs: Pairs::new(config),
            links: BTreeMap::new(),
            ended: BTreeMap::new(),
            identities: Identities::default(),
            facts: VecDeque::new(),
        }
    }

    /// A link came up, or the capture began while it was up. Must precede everything else about it.
    ///
    /// A link from a station to itself, one that is up already, and one beyond the bounds are not looked at.
    pub fn handle_link_up(&mut self, at: At, link: LinkId, ends: Ends, how: LinkStart) {
        if ends.dialled == ends.accepted || self.links.contains_key(&link) {
            return;
        }
        if self.links.len() >= self.config.links_max {
            self.pairs.count_link();
            return;
        }
        let mut last = Report::new(&mut self.facts, at, None);
        let Some(number) = self.pairs.open(&mut last, ends, &mut self.ended) else {
            return;
        };
        let Some(pair) = self.pairs.get_mut(number) else {
            return;
        };
        let mut report = Report::new(&mut self.facts, at, Some(link));
        let opened = pair.link_up(&mut report, link, number, ends, how);
        self.links.insert(link, opened);
    }

    /// A whole frame that `from` sent: its bytes and what the codec made of them.
    ///
    /// Frames of one direction of a link come in the order of the stream, those of different links in the order
    /// in which they were captured. Frames that were on their way when a link was reset may still be told after
    /// its end: one side may have them, and they count as sent.
    pub fn handle_frame(
        &mut self,
        at: At,
        link: LinkId,
        from: StationId,
        bytes: &[u8],
        frame: Result<Frame<'_>, DecodeError>,
    ) -> Judgement {
        let nothing = Judgement {
            verdict: Verdict::NoLink,
            session: 0,
        };
        let Some(found) = self.links.get_mut(&link).or_else(|| self.ended.get_mut(&link)) else {
            return nothing;
        };
        let Some(pair) = self.pairs.get_mut(found.pair) else {
            return nothing;
        };
        let Some(from) = pair.side_of(from) else {
            return nothing;
        };
        let mut report = Report::new(&mut self.facts, at, Some(link));
        let before = pair.digests();
        let judged = pair.frame(&mut report, &mut self.identities, found, from, bytes, frame);
        let after = pair.digests();
        if before != after {
            self.pairs.count_digests(before, after);
        }
        judged
    }

    /// The length field of a frame of `from` makes no sense; this direction of the link is told no more.
    pub fn handle_framing_lost(&mut self, at: At, link: LinkId, from: StationId, error: DecodeError) {
        self.on_link(at, link, from, |pair, report, link, from| {
            pair.framing_lost(report, link, from, error)
        });
    }

    /// The capture lacks bytes that `from` sent; whole frames may be among them.
    pub fn handle_missing(&mut self, at: At, link: LinkId, from: StationId, bytes: u64) {
        self.on_link(at, link, from, |pair, report, _, from| {
            pair.missing(report, from, bytes)
        });
    }

    /// `from` will send nothing more on the link.
    pub fn handle_half_closed(&mut self, at: At, link: LinkId, from: StationId) {
        self.on_link(at, link, from, |pair, report, link, from| {
            pair.half_closed(report, link, from)
        });
    }

    /// A link ended.
    pub fn handle_link_down(&mut self, at: At, link: LinkId, why: LinkEnd, half_sent: HalfSent) {
        let Some(mut ended) = self.links.remove(&link) else {
            return;
        };
        let Some(pair) = self.pairs.get_mut(ended.pair) else {
            return;
        };
        let mut report = Report::new(&mut self.facts, at, Some(link));
        pair.link_down(&mut report, &mut ended, why, half_sent);
        self.pairs.park(ended.pair);
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_first();
        }
        self.ended.insert(link, ended);
    }

    /// The capture ends: what never happened can be told now. Nothing may be told to the observer afterwards.
    pub fn handle_end(&mut self, at: At) {
        let mut report = Report::new(&mut self.facts, at, None);
        for pair in self.pairs.iter_mut() {
            pair.end(&mut report);
        }
    }

    /// The next fact, oldest first.
    pub fn poll_fact(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// Every direction that was seen, by pair, but for pairs that were given up.
    pub fn summaries(&self) -> impl Iterator<Item = DirectionSummary> {
        self.pairs.iter().flat_map(Pair::summaries)
    }

    /// What was not looked at, or forgotten, to keep within [`Config`].
    pub const fn given_up(&self) -> GivenUp {
        self.pairs.given_up()
    }

    /// The node that a station speaks as, once it has spoken.
    pub fn node(&self, station: StationId) -> Option<NodeId> {
        self.identities.node(station)
    }

    /// Looks up what a call about one direction of a link is about.
    fn on_link(
        &mut self,
        at: At,
        link: LinkId,
        from: StationId,
        then: impl FnOnce(&mut Pair, &mut Report<'_>, &mut Link, side::Side),
    ) {
        let Some(found) = self.links.get_mut(&link) else {
            return;
        };
        let Some(pair) = self.pairs.get_mut(found.pair) else {
            return;
        };
        let Some(from) = pair.side_of(from) else { return };
        then(
            pair,
            &mut Report::new(&mut self.facts, at, Some(link)),
            found,
            from,
        );
    }
}
