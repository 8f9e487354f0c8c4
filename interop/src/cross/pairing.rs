//! Which event belongs to which frame.
//!
//! Kernels have events for numbered messages only: what travels bare has none, whoever it is for.
//!
//! Numbers start at 0 again in every conversation, and what is sent again repeats them: an event is looked up in the
//! conversation of the one before it, and in a later one only when its number has been seen already or the numbers
//! went back, and only if that one has the very message.

use std::collections::BTreeSet;

use dlmwire_codec::Seq;

use super::traffic::Traffic;
use super::wire::Wire;
use crate::capture::LinkId;
use crate::trace::{Direction, Message};

/// Later conversations that are looked at for one event.
const SESSIONS_AHEAD_MAX: usize = 64;

/// Copies of a number that are looked at; it is resent at most a few times.
pub(super) const COPIES_MAX: usize = 256;

/// An event of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'t> {
    /// Its line.
    pub(super) line: u64,
    /// Its time on the capture's clock in nanoseconds since the epoch, if that is known.
    pub(super) time: Option<u64>,
    pub(super) message: &'t Message,
}

/// What was found for an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Match {
    /// The frame, by its place in the traffic.
    Frame(usize),
    /// Its number has an event already.
    Twice,
    /// No frame; the conversation it would belong to, if that can be told.
    Nothing { session: Option<u32> },
}

/// Pairs the events of one direction with its frames.
pub(super) struct Pairing<'a, 'w> {
    traffic: &'a mut Traffic<'w>,
    wire: &'a Wire,
    direction: Direction,
    conversation: Conversation,
    /// The last frame that was paired on each link is this one or the one before: numbers come in order on one link.
    last: Option<(LinkId, usize)>,
}

/// The conversation that the events are in.
#[derive(Debug, Default)]
struct Conversation {
    session: Option<u32>,
    seen: BTreeSet<u32>,
    highest: Option<Seq>,
}

impl<'a, 'w> Pairing<'a, 'w> {
    pub(super) fn new(traffic: &'a mut Traffic<'w>, wire: &'a Wire, direction: Direction) -> Self {
        Self {
            traffic,
            wire,
            direction,
            conversation: Conversation::default(),
            last: None,
        }
    }

    /// Finds a frame for every event, in the order of the trace.
    pub(super) fn pair(mut self, events: &[Told<'w>]) -> Vec<Match> {
        let events = events.iter().enumerate();
        events.map(|(index, told)| self.one(index, told)).collect()
    }

    /// Goes to the conversation that has this message byte for byte, if this direction has one: for events that do not
    /// say whom their message is for.
    pub(super) fn claim(&mut self, told: &Told<'w>) -> bool {
        let seq = told.message.seq;
        let is_new = !self.conversation.seen.contains(&seq.get());
        let current = self.conversation.session;
        let here = current.filter(|session| is_new && self.has_equal(*session, told));
        let Some(session) = here.or_else(|| self.later(told)) else {
            return false;
        };
        self.enter(session);
        self.conversation.note(seq);
        true
    }

    fn one(&mut self, index: usize, told: &Told<'_>) -> Match {
        let seq = told.message.seq;
        let is_new = !self.conversation.seen.contains(&seq.get());
        let current = self.conversation.session;
        let session = match current {
            Some(session) if is_new && self.has_equal(session, told) => Some(session),
            _ => self.later(told).or_else(|| self.by_number(seq, is_new)),
        };
        let Some(session) = session else {
            if !is_new {
                return Match::Twice;
            }
            self.conversation.note(seq);
            return Match::Nothing { session: current };
        };
        self.enter(session);
        self.conversation.note(seq);
        let Some(copy) = self.choose(session, told) else {
            return Match::Nothing {
                session: Some(session),
            };
        };
        if let Some(sighting) = self.traffic.sightings.get_mut(copy) {
            sighting.event = Some(index);
            self.last = Some((sighting.frame.link, copy));
        }
        Match::Frame(copy)
    }

    /// Goes on in a conversation, or to the next one.
    fn enter(&mut self, session: u32) {
        if self.conversation.session != Some(session) {
            self.conversation = Conversation {
                session: Some(session),
                ..Conversation::default()
            };
        }
    }

    fn copies(&self, session: u32, seq: Seq) -> impl Iterator<Item = usize> {
        let copies = self.traffic.copies(session, seq);
        copies.iter().copied().take(COPIES_MAX)
    }

    /// Whether a conversation has the very message under its number.
    fn has_equal(&self, session: u32, told: &Told<'_>) -> bool {
        self.copies(session, told.message.seq)
            .any(|copy| self.traffic.is_copy(copy, &told.message.frame))
    }

    /// A later conversation that has the very message, where the numbers went back.
    fn later(&self, told: &Told<'_>) -> Option<u32> {
        let seq = told.message.seq;
        let went_back = self
            .conversation
            .highest
            .is_none_or(|highest| !highest.before(seq));
        if !went_back {
            return None;
        }
        let sessions = self.traffic.sessions_with(seq);
        let later = sessions.partition_point(|session| Some(*session) <= self.conversation.session);
        let later = sessions.iter().skip(later).take(SESSIONS_AHEAD_MAX);
        later.copied().find(|session| self.has_equal(*session, told))
    }

    /// The conversation at hand, or the first one, where the number alone has to do.
    fn by_number(&self, seq: Seq, is_new: bool) -> Option<u32> {
        let session = match self.conversation.session {
            Some(session) => is_new.then_some(session)?,
            None => *self.traffic.sessions_with(seq).first()?,
        };
        let has_number = !self.traffic.copies(session, seq).is_empty();
        has_number.then_some(session)
    }

    /// The copy that the kernel processed: of those that had come by then, the first that was not on a link that was
    /// reset before the kernel came to it, and that lies behind what it took before on the same link.
    fn choose(&self, session: u32, told: &Told<'_>) -> Option<usize> {
        let mut copies = self.copies(session, told.message.seq);
        if self.direction == Direction::Sent {
            return copies.next();
        }
        let Some(time) = told.time else {
            return copies.next();
        };
        let in_time: Vec<usize> = self
            .copies(session, told.message.seq)
            .filter(|copy| self.stamp(*copy).is_some_and(|stamp| stamp <= time))
            .collect();
        let survived = in_time.iter().copied().find(|copy| {
            let Some(sighting) = self.traffic.sightings.get(*copy) else {
                return false;
            };
            let link = self.wire.links.get(&sighting.frame.link);
            let reset = link.and_then(|link| link.reset);
            let is_behind = match self.last {
                Some((link, last)) => link != sighting.frame.link || *copy > last,
                None => true,
            };
            is_behind && reset.is_none_or(|reset| reset.time.as_nanos() > time)
        });
        survived.or(in_time.last().copied()).or_else(|| copies.next())
    }

    fn stamp(&self, copy: usize) -> Option<u64> {
        let sighting = self.traffic.sightings.get(copy)?;
        Some(sighting.frame.stamp.time.as_nanos())
    }
}

impl Conversation {
    fn note(&mut self, seq: Seq) {
        self.seen.insert(seq.get());
        if self.highest.is_none_or(|highest| highest.before(seq)) {
            self.highest = Some(seq);
        }
    }
}
