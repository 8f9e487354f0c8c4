//! What a check knows of two hosts, to weigh what the observer says of them.

use std::collections::BTreeMap;

use dlmwire_midcomms::observer::{Fact, FactKind, LinkEnd, StationId};

/// Pairs kept books on; beyond, nothing is known of a pair.
const PAIRS_MAX: usize = 65_536;

/// Books on pairs of hosts.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    books: BTreeMap<(StationId, StationId), Book>,
    /// Messages lost in conversations that are over.
    lost_before: u64,
}

#[derive(Debug, Default)]
struct Book {
    /// The last conversation of which the capture does not have everything.
    partial_session: Option<u32>,
    /// Whether the pair has lost an SCTP association.
    aborted: bool,
    /// Messages to a host while its node id was not known, by whether the smaller id sent them: their
    /// replies will seem unasked.
    unaddressed: [u32; 2],
    /// Messages lost in the last conversation that lost any, by sender as above.
    lost: [(u32, u64); 2],
}

impl Pairs {
    /// Takes what a fact says of its pair.
    pub(crate) fn fact(&mut self, fact: &Fact) {
        let session = fact.session;
        match fact.kind {
            FactKind::LinkDown {
                why: LinkEnd::Aborted,
                ..
            } => {
                if let Some(book) = self.book(fact.from, fact.to) {
                    book.aborted = true;
                }
            }
            FactKind::Midway { .. } | FactKind::CaptureHole { .. } | FactKind::GapInCapture { .. } => {
                if let Some(book) = self.book(fact.from, fact.to) {
                    book.partial_session = book.partial_session.max(Some(session));
                }
            }
            FactKind::GapNeverFilled { missing, dropped, .. } => {
                self.note_lost(fact, u64::from(missing.count) + u64::from(dropped));
            }
            FactKind::NeverResent { messages, .. } => self.note_lost(fact, messages.count.into()),
            _ => {}
        }
    }

    /// Whether the pair has lost an SCTP association.
    pub(crate) fn lost_association(&self, one: StationId, other: StationId) -> bool {
        self.books.get(&key(one, other)).is_some_and(|book| book.aborted)
    }

    /// Whether the capture lacks part of this conversation, so that what seems wrong may not be.
    pub(crate) fn is_partial(&self, one: StationId, other: StationId, session: u32) -> bool {
        self.books
            .get(&key(one, other))
            .is_some_and(|book| book.partial_session == Some(session))
    }

    /// Whether the capture lacks part of any conversation of the pair.
    pub(crate) fn was_partial(&self, one: StationId, other: StationId) -> bool {
        self.books
            .get(&key(one, other))
            .is_some_and(|book| book.partial_session.is_some())
    }

    /// Notes a message to a host whose node id is not known yet.
    pub(crate) fn unaddressed(&mut self, from: StationId, to: StationId) {
        if let Some(book) = self.book(from, to) {
            let count = &mut book.unaddressed[usize::from(from < to)];
            *count = count.saturating_add(1);
        }
    }

    /// Takes one such message from the account: a reply to it has come.
    pub(crate) fn was_unaddressed(&mut self, from: StationId, to: StationId) -> bool {
        let Some(book) = self.books.get_mut(&key(from, to)) else {
            return false;
        };
        match &mut book.unaddressed[usize::from(from < to)] {
            0 => false,
            count => {
                *count -= 1;
                true
            }
        }
    }

    /// Numbered messages that are lost for good, as far as facts tell.
    pub(crate) fn lost(&self) -> u64 {
        let books = self
            .books
            .values()
            .flat_map(|book| book.lost)
            .map(|(_, count)| count);
        self.lost_before + books.sum::<u64>()
    }

    /// Two facts about the same conversation tell of the same messages: the larger count stands.
    fn note_lost(&mut self, fact: &Fact, count: u64) {
        let before = self.book(fact.from, fact.to).map(|book| {
            let lost = &mut book.lost[usize::from(fact.from < fact.to)];
            if lost.0 == fact.session {
                lost.1 = lost.1.max(count);
                0
            } else {
                std::mem::replace(lost, (fact.session, count)).1
            }
        });
        self.lost_before += before.unwrap_or(count);
    }

    fn book(&mut self, one: StationId, other: StationId) -> Option<&mut Book> {
        let key = key(one, other);
        if self.books.len() >= PAIRS_MAX && !self.books.contains_key(&key) {
            return None;
        }
        Some(self.books.entry(key).or_default())
    }
}

fn key(one: StationId, other: StationId) -> (StationId, StationId) {
    (one.min(other), one.max(other))
}
