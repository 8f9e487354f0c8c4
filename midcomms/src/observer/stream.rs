//! The numbers of one direction: what was sent, what is expected, what came again (spec: midcomms 2, 5).

use dlmwire_codec::Seq;

use crate::observer::facts::{FactKind, LostLink, Span};
use crate::observer::side::{Direction, Report};
use crate::observer::summary::Numbers;
use crate::observer::unseen::{Beyond, Overtaken};
use crate::observer::window::{Entry, Place, Window};
use crate::observer::{At, LinkId, Verdict};
use crate::receive::{Arrival, arrival};

/// The numbered messages of one side.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) window: Window,
    /// The number that the receiver takes next; `None` as long as nothing shows it.
    pub(super) expected: Option<Seq>,
    /// Everything before it is acknowledged; `None` as long as nothing shows it.
    pub(super) acked: Option<Seq>,
    /// The link on which the last `ACK` came.
    pub(super) acked_on: Option<LinkId>,
    /// The first number seen in this conversation.
    pub(super) first: Option<Seq>,
    /// Whether the conversation began before the first number seen.
    pub(super) midway: bool,
    /// Behind the highest number seen, if that lies too far ahead to be noted in the window.
    far: Option<Seq>,
    pub(super) gap: Option<OpenGap>,
    /// Whether the capture lacks bytes of this direction since the last number.
    pub(super) hole: bool,
    /// The first number behind the last of the capture's holes that no `ACK` has passed.
    pub(super) holed: Option<Seq>,
    /// An `ACK` ahead of what was seen.
    pub(super) beyond: Option<Beyond>,
    /// A gap that an `ACK` covers although its messages were not seen.
    pub(super) overtaken: Option<Overtaken>,
    /// Numbers before it are no longer remembered, for lack of memory.
    pub(super) forgotten: Option<Seq>,
    /// Duplicates that no repeated `ACK` has answered.
    pub(super) unanswered: u32,
    run: Option<Run>,
    /// Whether messages were lost for good, so that the receiver takes nothing behind them.
    pub(super) lost: bool,
    pub(super) numbers: Numbers,
}

/// Numbers that were skipped and have not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct OpenGap {
    pub(super) missing: Span,
    pub(super) opened: At,
    pub(super) dropped: u32,
    pub(super) ends: u32,
    /// How many of the missing ones were acknowledged and not seen.
    pub(super) unseen: u32,
    /// Whether the capture lacks bytes that may hold them.
    pub(super) in_hole: bool,
}

/// Consecutive numbers that came again on one link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    messages: Span,
    link: Option<LinkId>,
    acked: u32,
    began: At,
    ended: At,
    after: Option<LostLink>,
}

/// What a number and its bytes are to the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sight {
    /// Not seen before.
    New,
    /// Seen with the same bytes.
    Again(Entry),
    /// Seen with other bytes.
    Changed(Entry),
    /// Older than anything remembered.
    Behind,
}

/// The link that carries a message, and the pair's lost links so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Carrier {
    pub(super) ordinal: u32,
    /// How many links of the pair have ended.
    pub(super) ends: u32,
    /// The last of them.
    pub(super) last_end: Option<LostLink>,
    /// The last of them that was reset or aborted.
    pub(super) last_cut: Option<LostLink>,
    /// How many had ended then.
    pub(super) last_cut_ends: u32,
    /// Whether the link is where an older one's messages come again: some have, or these are its first.
    pub(super) resending: bool,
}

impl Carrier {
    /// The link end that explains why a message comes again: the last one after it was first sent, one that
    /// loses data before one that does not.
    fn cause(&self, was: &Entry) -> Option<LostLink> {
        if self.last_cut_ends > was.ends_first {
            return self.last_cut;
        }
        if self.ends != was.ends_first {
            return self.last_end;
        }
        // What went out new on a link comes again on it, with or behind what an older link lost.
        let overtook = was.early || self.resending;
        self.last_cut.or(self.last_end).filter(|_| overtook)
    }
}

impl Stream {
    pub(super) fn new(window_messages: usize) -> Self {
        Self {
            window: Window::new(window_messages),
            expected: None,
            acked: None,
            acked_on: None,
            first: None,
            midway: false,
            far: None,
            gap: None,
            hole: false,
            holed: None,
            beyond: None,
            overtaken: None,
            forgotten: None,
            unanswered: 0,
            run: None,
            lost: false,
            numbers: Numbers::new(),
        }
    }

    /// Begins a conversation that is known to start at number 0.
    pub(super) fn restart(&mut self) {
        self.window.restart(Seq::INITIAL);
        self.expected = Some(Seq::INITIAL);
        self.acked = Some(Seq::INITIAL);
        self.acked_on = None;
        self.first = None;
        self.midway = false;
        self.far = None;
        self.gap = None;
        self.hole = false;
        self.holed = None;
        self.beyond = None;
        self.overtaken = None;
        self.forgotten = None;
        self.unanswered = 0;
        self.run = None;
        self.lost = false;
        self.numbers.restart();
    }

    /// Begins a conversation whose first numbers were not recognised as such.
    pub(super) fn restart_somewhere(&mut self) {
        self.restart();
        self.expected = None;
        self.acked = None;
    }

    /// What a number and its bytes are, before anything is made of them.
    #[inline]
    pub(super) fn look(&self, seq: Seq, digest: u64) -> Sight {
        if self.first.is_none() {
            return Sight::New;
        }
        match self.window.place(seq) {
            Place::Seen(entry) if entry.digest == digest => Sight::Again(entry),
            Place::Seen(entry) => Sight::Changed(entry),
            Place::Skipped | Place::Ahead => Sight::New,
            Place::Behind => Sight::Behind,
        }
    }

    /// Whether the conversation was seen to begin at number 0.
    pub(super) fn began_at_0(&self) -> bool {
        self.first == Some(Seq::INITIAL)
    }

    /// Whether a number comes before the first one seen in this conversation.
    pub(super) fn is_before_first(&self, seq: Seq) -> bool {
        self.first.is_some_and(|first| seq.before(first))
    }

    /// Whether a number is not remembered only because memory ran short.
    pub(super) fn is_forgotten(&self, seq: Seq) -> bool {
        self.forgotten.is_some_and(|forgotten| seq.before(forgotten))
    }

    /// Gives the memory of the digests back.
    pub(super) fn forget(&mut self) {
        let next = self.window.next();
        self.window.restart(next);
        self.forgotten = Some(next);
    }

    /// The number behind the highest one seen or acknowledged.
    pub(super) fn sent_next(&self) -> Seq {
        let next = self.far.unwrap_or_else(|| self.window.next());
        match self.expected {
            Some(expected) if next.before(expected) => expected,
            Some(_) | None => next,
        }
    }

    /// Takes a message and says what the receiver does with it.
    #[inline]
    pub(super) fn take(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        carrier: Carrier,
        seq: Seq,
        digest: u64,
        sight: Sight,
    ) -> Verdict {
        let expected = match self.expected {
            Some(expected) => expected,
            None => self.begin(report, of, seq),
        };
        let arrival = arrival(expected, seq);
        let new = sight == Sight::New;
        // Acknowledged before it was captured: the receiver has taken it, and not as a duplicate.
        let late = new && self.first.is_some() && self.acked.is_some_and(|acked| seq.before(acked));
        match sight {
            Sight::New => self.note(report, of, carrier, seq, digest, arrival),
            Sight::Again(entry) => self.note_again(report, of, carrier, seq, &entry),
            Sight::Changed(entry) => report.tell(
                of,
                FactKind::BytesChanged {
                    seq,
                    first: entry.first,
                },
            ),
            Sight::Behind => {}
        }
        let verdict = match arrival {
            Arrival::InOrder => {
                self.expected = Some(seq.next());
                if self.gap.is_some() {
                    self.fill(report, of, seq.next());
                }
                Verdict::InOrder
            }
            Arrival::Duplicate { .. } if late => Verdict::InOrder,
            Arrival::Duplicate { .. } => {
                self.numbers.duplicates = self.numbers.duplicates.saturating_add(1);
                self.unanswered = self.unanswered.saturating_add(1);
                Verdict::Duplicate {
                    acked: self.acked.is_some_and(|acked| seq.before(acked)),
                }
            }
            Arrival::Gap { missing } => {
                let missing = Span {
                    first: expected,
                    count: missing,
                };
                self.too_early(report, of, carrier, seq, missing)
            }
        };
        if new {
            if self.hole {
                self.holed = Some(seq);
            }
            if self.beyond.is_some() || self.overtaken.is_some() {
                self.weigh(report, of, seq, verdict);
            }
        }
        self.hole = false;
        verdict
    }

    /// Ends a run of resent messages, if there is one, and tells it.
    #[inline]
    pub(super) fn flush_run(&mut self, report: &mut Report<'_>, of: Direction) {
        if self.run.is_some() {
            self.tell_run(report, of);
        }
    }

    /// The first number of a conversation whose beginning was not seen.
    #[cold]
    fn begin(&mut self, report: &mut Report<'_>, of: Direction, seq: Seq) -> Seq {
        self.window.restart(seq);
        if seq == Seq::INITIAL {
            self.acked.get_or_insert(seq);
        } else {
            self.midway = true;
            report.tell(of, FactKind::Midway { first: Some(seq) });
        }
        match self.acked {
            Some(acked) if seq.before(acked) => {
                self.expected = Some(acked);
                acked
            }
            Some(_) | None => seq,
        }
    }

    #[inline]
    fn note(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        carrier: Carrier,
        seq: Seq,
        digest: u64,
        arrival: Arrival,
    ) {
        self.flush_run(report, of);
        self.first.get_or_insert(seq);
        self.numbers.saw_new(seq);
        let too_far = matches!(arrival, Arrival::Gap { .. }) && !self.hole && !self.window.reaches(seq);
        if too_far {
            if self.far.is_none_or(|far| far.before(seq.next())) {
                self.far = Some(seq.next());
            }
            return;
        }
        let entry = Entry {
            digest,
            first: report.at,
            ordinal: carrier.ordinal,
            ends_first: carrier.ends,
            ends_last: carrier.ends,
            early: matches!(arrival, Arrival::Gap { .. }) && !self.hole,
            sightings: 1,
        };
        self.window.note(seq, entry);
        let next = self.window.next();
        if self.far.is_some_and(|far| !next.before(far)) {
            self.far = None;
        }
        if let Some(acked) = self.acked
            && acked.before(next)
        {
            self.numbers.unacked(acked.distance(next));
        }
    }

    fn note_again(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        carrier: Carrier,
        seq: Seq,
        was: &Entry,
    ) {
        self.numbers.saw_again(was.sightings);
        if let Some(entry) = self.window.get_mut(seq) {
            entry.sightings = entry.sightings.saturating_add(1);
            entry.ordinal = carrier.ordinal;
            entry.ends_last = carrier.ends;
        }
        let acked = u32::from(self.acked.is_some_and(|acked| seq.before(acked)));
        if let Some(run) = &mut self.run
            && run.link == report.link
            && run.messages.last().next() == seq
        {
            run.messages.count = run.messages.count.saturating_add(1);
            run.acked = run.acked.saturating_add(acked);
            run.ended = report.at;
            return;
        }
        self.flush_run(report, of);
        self.run = Some(Run {
            messages: Span { first: seq, count: 1 },
            link: report.link,
            acked,
            began: report.at,
            ended: report.at,
            after: carrier.cause(was),
        });
    }

    /// Ahead of what is expected: a gap of the sender's or of the capture's making.
    #[cold]
    fn too_early(
        &mut self,
        report: &mut Report<'_>,
        of: Direction,
        carrier: Carrier,
        seq: Seq,
        missing: Span,
    ) -> Verdict {
        if self.hole {
            self.expected = Some(seq.next());
            self.gap = None;
            self.tell_gap_in_capture(report, of, missing);
            return Verdict::InOrder;
        }
        self.numbers.early = self.numbers.early.saturating_add(1);
        if let Some(gap) = &mut self.gap {
            gap.dropped = gap.dropped.saturating_add(1);
        } else {
            self.gap = Some(OpenGap {
                missing,
                opened: report.at,
                dropped: 1,
                ends: carrier.ends,
                unseen: 0,
                in_hole: self.holed.is_some(),
            });
            self.numbers.gaps = self.numbers.gaps.saturating_add(1);
            report.tell(of, FactKind::GapOpened { missing });
        }
        Verdict::Gap
    }

    /// Closes the gap once nothing is missing before `expected`.
    #[cold]
    pub(super) fn fill(&mut self, report: &mut Report<'_>, of: Direction, expected: Seq) {
        let Some(gap) = self
            .gap
            .take_if(|gap| !expected.before(gap.missing.last().next()))
        else {
            return;
        };
        self.tell_filled(report, of, &gap, false);
    }

    #[cold]
    fn tell_run(&mut self, report: &mut Report<'_>, of: Direction) {
        let Some(Run {
            messages,
            link,
            acked,
            began,
            ended,
            after,
        }) = self.run.take()
        else {
            return;
        };
        report.tell_at(
            ended,
            link,
            of,
            FactKind::Resent {
                messages,
                acked,
                began,
                after,
            },
        );
    }
}
