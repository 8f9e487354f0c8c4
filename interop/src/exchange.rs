//! Requests and their replies, matched (spec: wire 3.1, 4).
//!
//! | asks | answered by | same exchange if |
//! |---|---|---|
//! | `REQUEST` | `REQUEST_REPLY` | the request's `m_lkid` is the reply's `m_remid` |
//! | `CONVERT`, unless to a lower mode | `CONVERT_REPLY` | same |
//! | `UNLOCK` | `UNLOCK_REPLY` | same |
//! | `CANCEL` | `CANCEL_REPLY` | same |
//! | `LOOKUP` | `LOOKUP_REPLY` | `m_lkid` is the same in both |
//! | `LOOKUP` to a directory node that is also master | `REQUEST_REPLY` | as for `REQUEST` |
//! | `RCOM` `STATUS`, `NAMES`, `LOOKUP` | its `_REPLY` | `rc_id` is the same in both |
//! | `RCOM` `LOCK` | `LOCK_REPLY` | `rc_id` and `rl_lkid` are the same in both |
//!
//! Always between the same two nodes in one lockspace. `BAST`, `GRANT`, `REMOVE` and `PURGE` have no reply.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::{Bound, RangeInclusive};

use dlmwire_codec::{Frame, Inner, LockspaceId, Mode, Msg, MsgType, NodeId, Payload, Rcom, RcomType};

/// The messages that want a reply; those of recovery come last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ask {
    /// `REQUEST`.
    Request,
    /// `CONVERT`.
    Convert,
    /// `UNLOCK`.
    Unlock,
    /// `CANCEL`.
    Cancel,
    /// `LOOKUP`.
    Lookup,
    /// `RCOM` `STATUS`.
    RcomStatus,
    /// `RCOM` `NAMES`.
    RcomNames,
    /// `RCOM` `LOOKUP`.
    RcomLookup,
    /// `RCOM` `LOCK`.
    RcomLock,
}

impl Ask {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Request,
        Self::Convert,
        Self::Unlock,
        Self::Cancel,
        Self::Lookup,
        Self::RcomStatus,
        Self::RcomNames,
        Self::RcomLookup,
        Self::RcomLock,
    ];

    const FIRST: Self = Self::Request;
    const LAST_OUTSIDE_RECOVERY: Self = Self::Lookup;
    const LAST: Self = Self::RcomLock;

    /// The kernel's name of the message.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Convert => "CONVERT",
            Self::Unlock => "UNLOCK",
            Self::Cancel => "CANCEL",
            Self::Lookup => "LOOKUP",
            Self::RcomStatus => "RCOM STATUS",
            Self::RcomNames => "RCOM NAMES",
            Self::RcomLookup => "RCOM LOOKUP",
            Self::RcomLock => "RCOM LOCK",
        }
    }

    /// Whether the question is part of recovery.
    pub const fn is_recovery(self) -> bool {
        match self {
            Self::RcomStatus | Self::RcomNames | Self::RcomLookup | Self::RcomLock => true,
            Self::Request | Self::Convert | Self::Unlock | Self::Cancel | Self::Lookup => false,
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What makes a request and a reply one exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ExchangeKey {
    /// Who asks.
    pub asker: NodeId,
    /// Who is asked.
    pub answerer: NodeId,
    /// What is asked.
    pub ask: Ask,
    /// The lockspace.
    pub lockspace: LockspaceId,
    /// `m_lkid` of the request, or `rc_id`.
    pub id: u64,
    /// `rl_lkid` of an `RCOM` `LOCK`, whose `rc_id` only names the resource; else 0.
    pub lock: u32,
}

impl ExchangeKey {
    /// All that one node may ask of another: from the first of the asks to the last.
    fn between([asker, answerer]: [NodeId; 2], [first, last]: [Ask; 2]) -> RangeInclusive<Self> {
        let end = |ask, lockspace, id, lock| Self {
            asker,
            answerer,
            ask,
            lockspace: LockspaceId::new(lockspace),
            id,
            lock,
        };
        end(first, 0, 0, 0)..=end(last, u32::MAX, u64::MAX, u32::MAX)
    }
}

/// What a message is in the exchanges between nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step<T> {
    /// It neither asks nor answers.
    Apart,
    /// It asks.
    Asked {
        /// The exchange that it opens.
        key: ExchangeKey,
        /// The same had been asked before and was still open; the new request takes its place.
        again: Option<T>,
        /// The oldest open exchange, given up because there were too many.
        crowded_out: Option<(ExchangeKey, T)>,
    },
    /// It answers what was asked.
    Answered {
        /// The exchange that it closes.
        key: ExchangeKey,
        /// What the caller had left with the request.
        asked: T,
    },
    /// It answers what nobody is known to have asked.
    Unasked {
        /// The exchange that it would have closed.
        key: ExchangeKey,
    },
}

/// The open exchanges of all nodes, bounded in number. With each goes a `T` of the caller's: when, where.
///
/// Show it every message that its receiver *took*, in the order of the capture: neither duplicates nor what
/// came behind a gap, which only the caller can tell. And tell it when a change of members made requests
/// void ([`forget_between`](Self::forget_between)): nodes answer none of those.
///
/// ```
/// use std::num::NonZeroUsize;
/// use dlmwire_interop::exchange::Exchanges;
///
/// let mut exchanges: Exchanges<u64> = Exchanges::new(NonZeroUsize::new(65536).unwrap());
/// assert_eq!(exchanges.open().count(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Exchanges<T> {
    open: BTreeMap<ExchangeKey, (u64, T)>,
    /// Keys by the order in which they were asked: the other half of `open`.
    order: BTreeMap<u64, ExchangeKey>,
    asked: u64,
    open_max: NonZeroUsize,
}

impl<T: Copy> Exchanges<T> {
    /// No exchanges, and room for `open_max`.
    pub fn new(open_max: NonZeroUsize) -> Self {
        Self {
            open: BTreeMap::new(),
            order: BTreeMap::new(),
            asked: 0,
            open_max,
        }
    }

    /// Takes a message to `to` into account; its sender is in its header.
    pub fn observe(&mut self, to: NodeId, message: &Inner<'_>, stamp: T) -> Step<T> {
        let turn = match message {
            Inner::Msg(msg) => msg_turn(to, msg),
            Inner::Rcom(rcom) => rcom_turn(to, rcom),
            Inner::Fin => None,
        };
        match turn {
            None => Step::Apart,
            Some(Turn::Asks(key)) => self.ask(key, stamp),
            Some(Turn::Answers(key)) => self.answer(key),
        }
    }

    /// Closes what one node has asked of another, but for recovery; hands each to `void`.
    ///
    /// Costs by what is closed, however many exchanges of others are open.
    pub fn forget_between(&mut self, asker: NodeId, answerer: NodeId, mut void: impl FnMut(&ExchangeKey, T)) {
        self.forget_where([asker, answerer], |_| true, &mut void);
    }

    /// Closes what a node has asked and was asked in a lockspace, but for recovery; how many exchanges those were.
    ///
    /// Looks at all pairs of nodes with something open, and at everything that is open between this one and others.
    pub fn forget_member(&mut self, node: NodeId, lockspace: LockspaceId) -> usize {
        let before = self.open.len();
        for pair in self.pairs() {
            if pair.contains(&node) {
                self.forget_where(pair, |key| key.lockspace == lockspace, &mut |_, _| {});
            }
        }
        before - self.open.len()
    }

    /// Closes everything.
    pub fn clear(&mut self) {
        self.open.clear();
        self.order.clear();
    }

    fn forget_where(
        &mut self,
        pair: [NodeId; 2],
        is_void: impl Fn(&ExchangeKey) -> bool,
        void: &mut dyn FnMut(&ExchangeKey, T),
    ) {
        let range = ExchangeKey::between(pair, [Ask::FIRST, Ask::LAST_OUTSIDE_RECOVERY]);
        for (key, (number, stamp)) in self.open.extract_if(range, |key, _| is_void(key)) {
            self.order.remove(&number);
            void(&key, stamp);
        }
    }

    /// Who asks whom, each once.
    fn pairs(&self) -> Vec<[NodeId; 2]> {
        let mut pairs = Vec::new();
        let mut next = self.open.first_key_value();
        while let Some((key, _)) = next {
            let pair = [key.asker, key.answerer];
            pairs.push(pair);
            let last = *ExchangeKey::between(pair, [Ask::FIRST, Ask::LAST]).end();
            next = self.open.range((Bound::Excluded(last), Bound::Unbounded)).next();
        }
        pairs
    }

    /// The open exchanges, oldest first.
    pub fn open(&self) -> impl Iterator<Item = (&ExchangeKey, &T)> {
        self.order
            .values()
            .filter_map(|key| self.open.get(key).map(|(_, stamp)| (key, stamp)))
    }

    fn ask(&mut self, key: ExchangeKey, stamp: T) -> Step<T> {
        let again = self.close(&key);
        let crowded_out = if self.open.len() < self.open_max.get() {
            None
        } else {
            let oldest = self.order.first_key_value().map(|(_, key)| *key);
            oldest.and_then(|key| Some((key, self.close(&key)?)))
        };
        self.open.insert(key, (self.asked, stamp));
        self.order.insert(self.asked, key);
        self.asked += 1;
        debug_assert_eq!(self.open.len(), self.order.len());
        Step::Asked {
            key,
            again,
            crowded_out,
        }
    }

    fn answer(&mut self, key: ExchangeKey) -> Step<T> {
        let mut candidates = [Some(key), None];
        if key.ask == Ask::Request {
            // The directory node is master itself and answers the lookup as a request.
            candidates[1] = Some(ExchangeKey {
                ask: Ask::Lookup,
                ..key
            });
        }
        for key in candidates.into_iter().flatten() {
            if let Some(asked) = self.close(&key) {
                return Step::Answered { key, asked };
            }
        }
        Step::Unasked { key }
    }

    /// Closes an exchange, if it is open; what the caller had left with the request.
    pub fn close(&mut self, key: &ExchangeKey) -> Option<T> {
        let (number, stamp) = self.open.remove(key)?;
        self.order.remove(&number);
        Some(stamp)
    }
}

/// The message of a frame, bare or wrapped; `None` for an `ACK` and for what cannot be read.
pub fn message<'a>(frame: &Frame<'a>) -> Option<Inner<'a>> {
    match frame {
        Frame::Msg(msg) => Some(Inner::Msg(*msg)),
        Frame::Rcom(rcom) => Some(Inner::Rcom(*rcom)),
        Frame::Opts(opts) => opts.inner.ok(),
        Frame::Ack(_) => None,
    }
}

/// Whether a `CONVERT` goes to a lower mode: its sender completes it alone and gets no reply.
pub fn is_down_conversion(convert: &Msg<'_>) -> bool {
    let (granted, requested) = (convert.grmode(), convert.rqmode());
    requested.wire() < granted.wire() && (granted, requested) != (Mode::Pr, Mode::Cw)
}

enum Turn {
    Asks(ExchangeKey),
    Answers(ExchangeKey),
}

fn msg_turn(to: NodeId, msg: &Msg<'_>) -> Option<Turn> {
    let asks = |ask| Turn::Asks(msg_key(msg.node(), to, msg, ask, msg.lkid()));
    let answers = |ask| Turn::Answers(msg_key(to, msg.node(), msg, ask, msg.remid()));
    match msg.msg_type() {
        MsgType::Request => Some(asks(Ask::Request)),
        MsgType::Convert if is_down_conversion(msg) => None,
        MsgType::Convert => Some(asks(Ask::Convert)),
        MsgType::Unlock => Some(asks(Ask::Unlock)),
        MsgType::Cancel => Some(asks(Ask::Cancel)),
        MsgType::Lookup => Some(asks(Ask::Lookup)),
        MsgType::RequestReply => Some(answers(Ask::Request)),
        MsgType::ConvertReply => Some(answers(Ask::Convert)),
        MsgType::UnlockReply => Some(answers(Ask::Unlock)),
        MsgType::CancelReply => Some(answers(Ask::Cancel)),
        MsgType::LookupReply => {
            let key = msg_key(to, msg.node(), msg, Ask::Lookup, msg.lkid());
            Some(Turn::Answers(key))
        }
        MsgType::Grant | MsgType::Bast | MsgType::Remove | MsgType::Purge | MsgType::Other(_) => None,
    }
}

fn msg_key(asker: NodeId, answerer: NodeId, msg: &Msg<'_>, ask: Ask, lkid: u32) -> ExchangeKey {
    ExchangeKey {
        asker,
        answerer,
        lockspace: msg.lockspace(),
        ask,
        id: lkid.into(),
        lock: 0,
    }
}

/// `rc_id` of a `LOOKUP` that no kernel answers (spec: wire 4).
const DUMP_LOOKUP: u64 = 0xffff_ffff;

fn rcom_turn(to: NodeId, rcom: &Rcom<'_>) -> Option<Turn> {
    let lock = match rcom.payload() {
        Ok(Payload::Lock(lock) | Payload::LockReply(lock)) => lock.lkid,
        _ => 0,
    };
    let key = |asker, answerer, ask| ExchangeKey {
        asker,
        answerer,
        lockspace: rcom.lockspace(),
        ask,
        id: rcom.id(),
        lock,
    };
    let asks = |ask| Some(Turn::Asks(key(rcom.node(), to, ask)));
    let answers = |ask| Some(Turn::Answers(key(to, rcom.node(), ask)));
    match rcom.rcom_type() {
        RcomType::Status => asks(Ask::RcomStatus),
        RcomType::Names => asks(Ask::RcomNames),
        RcomType::Lookup if rcom.id() == DUMP_LOOKUP => None,
        RcomType::Lookup => asks(Ask::RcomLookup),
        RcomType::Lock => asks(Ask::RcomLock),
        RcomType::StatusReply => answers(Ask::RcomStatus),
        RcomType::NamesReply => answers(Ask::RcomNames),
        RcomType::LookupReply => answers(Ask::RcomLookup),
        RcomType::LockReply => answers(Ask::RcomLock),
        RcomType::Other(_) => None,
    }
}
