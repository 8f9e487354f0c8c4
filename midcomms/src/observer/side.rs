//! The two sides of a pair, who they are, and how facts about them are told.

use std::collections::{BTreeMap, VecDeque};

use dlmwire_codec::{NodeId, Seq, Version};

use crate::observer::facts::{Fact, FactKind};
use crate::observer::{At, LinkId, StationId};
use crate::state::State;
use crate::time::Time;

/// States kept per side: a longer path is told by its beginning.
const PATH_MAX: usize = 256;

/// One of the two stations of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The station with the smaller id.
    Low,
    /// The one with the larger id.
    High,
}

impl Side {
    pub(super) const ALL: [Self; 2] = [Self::Low, Self::High];

    #[inline]
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// Something that both sides have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Both<T> {
    pub(super) low: T,
    pub(super) high: T,
}

impl<T> Both<T> {
    #[inline]
    pub(super) const fn of(&self, side: Side) -> &T {
        match side {
            Side::Low => &self.low,
            Side::High => &self.high,
        }
    }

    #[inline]
    pub(super) const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Low => &mut self.low,
            Side::High => &mut self.high,
        }
    }
}

/// What the wire shows of one station in its conversation with the other.
#[derive(Debug)]
pub(super) struct SideView {
    /// The node that it speaks as.
    pub(super) node: Option<NodeId>,
    /// Whether it was told that it speaks as several.
    pub(super) node_told: bool,
    /// The version of its first message.
    pub(super) version: Option<Version>,
    pub(super) state: State,
    /// Whether it took part in this conversation: left `CLOSED` once.
    pub(super) opened: bool,
    /// The number of its own `FIN`, once sent.
    pub(super) fin: Option<Seq>,
    /// When it sent it first.
    pub(super) fin_time: Time,
    pub(super) fin_acked: bool,
    /// Whether the other's `FIN` was delivered to it in order.
    pub(super) fin_due: bool,
    /// Whether it is known to have taken the other's `FIN`.
    pub(super) fin_taken: bool,
    /// Whether its `FIN` came again after both were closed, so that one more `ACK` of it is no surprise.
    pub(super) late_fin: bool,
    /// Whether the capture lacks some of its bytes in this conversation.
    pub(super) hole: bool,
    /// The link that ended within one of its frames, until it speaks on another.
    pub(super) half_sent: Option<LinkId>,
    /// The ordinal of the youngest link that it spoke on.
    pub(super) last_ordinal: u32,
    /// The ordinal of the youngest link that it sent a number on.
    pub(super) numbered_ordinal: u32,
    pub(super) path: Vec<State>,
}

impl SideView {
    pub(super) const fn new() -> Self {
        Self {
            node: None,
            node_told: false,
            version: None,
            state: State::Closed,
            opened: false,
            fin: None,
            fin_time: Time(0),
            fin_acked: false,
            fin_due: false,
            fin_taken: false,
            late_fin: false,
            hole: false,
            half_sent: None,
            last_ordinal: 0,
            numbered_ordinal: 0,
            path: Vec::new(),
        }
    }

    /// Forgets what belongs to a conversation; the station itself stays who it is.
    pub(super) fn restart(&mut self) {
        let path = core::mem::take(&mut self.path);
        *self = Self {
            node: self.node,
            node_told: self.node_told,
            half_sent: self.half_sent,
            last_ordinal: self.last_ordinal,
            numbered_ordinal: self.numbered_ordinal,
            path,
            ..Self::new()
        };
    }

    /// Notes a state on the path.
    pub(super) fn pass(&mut self, state: State) {
        self.state = state;
        if self.path.len() < PATH_MAX {
            self.path.push(state);
        }
    }
}

/// Which station speaks as which node, over all pairs.
#[derive(Debug, Default)]
pub(super) struct Identities {
    stations: BTreeMap<StationId, NodeId>,
    nodes: BTreeMap<NodeId, StationId>,
}

impl Identities {
    pub(super) fn node(&self, station: StationId) -> Option<NodeId> {
        self.stations.get(&station).copied()
    }

    /// Notes that `station` speaks as `node`; returns the station that did so first, if it is another.
    pub(super) fn claim(&mut self, station: StationId, node: NodeId) -> Option<StationId> {
        self.stations.insert(station, node);
        let first = *self.nodes.entry(node).or_insert(station);
        (first != station).then_some(first)
    }
}

/// Where and when the current event is seen, and the queue for facts about it.
pub(super) struct Report<'a> {
    facts: &'a mut VecDeque<Fact>,
    pub(super) at: At,
    pub(super) link: Option<LinkId>,
}

impl<'a> Report<'a> {
    #[inline]
    pub(super) const fn new(facts: &'a mut VecDeque<Fact>, at: At, link: Option<LinkId>) -> Self {
        Self { facts, at, link }
    }

    /// The same queue, for what showed earlier.
    pub(super) const fn back_at(&mut self, at: At, link: Option<LinkId>) -> Report<'_> {
        Report::new(self.facts, at, link)
    }

    /// Tells a fact about what `from` did towards `to`.
    #[inline]
    pub(super) fn tell(&mut self, of: Direction, kind: FactKind) {
        self.tell_at(self.at, self.link, of, kind);
    }

    /// Tells a fact that showed earlier, on whatever link.
    #[inline]
    pub(super) fn tell_at(&mut self, at: At, link: Option<LinkId>, of: Direction, kind: FactKind) {
        let Direction { from, to, session } = of;
        self.facts.push_back(Fact {
            at,
            link,
            from,
            to,
            session,
            kind,
        });
    }
}

/// Whom a fact is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Direction {
    pub(super) from: StationId,
    pub(super) to: StationId,
    pub(super) session: u32,
}
