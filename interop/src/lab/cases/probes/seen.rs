//! What a kernel does with a probe, in words that can be compared.

use std::borrow::Cow;
use std::fmt;

/// One thing that was to be seen, or was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// What was sent has its answer.
    Answered,
    /// What was sent has no answer, though what was sent behind it has one or had time to.
    Unanswered,
    /// `LOOKUP_REPLY` with `m_nodeid` and `m_result`.
    LookupReply { node: i32, result: i32 },
    /// `STATUS_REPLY` -3 in an `OPTS`, with `rf_lvblen` and `rc_seq`.
    NotReady { lvblen: u32, seq: u64 },
    /// The same, not wrapped.
    NotReadyBare,
    /// So many acknowledgements of the number that the kernel expects.
    Acks(usize),
    /// The number counts: the next one is expected.
    Consumed,
    /// The number does not count.
    NotConsumed,
    /// The kernel's log says so.
    Logged(Cow<'static, str>),
    /// The kernel's log says nothing.
    Silent,
    /// The connection stays, and is read.
    Open,
    /// The connection is closed, in order or by a reset.
    Closed,
    /// The connection is closed without a byte.
    Refused,
    /// The connection stays, and is never read again.
    Deaf,
    /// The kernel still sends on the connection.
    StillSends,
    /// So many messages wait for an acknowledgement, as debugfs has it.
    Queue(u64),
    /// So many messages came again on the next connection.
    Resent(usize),
    /// The next message of the kernel's is so many numbers ahead of what arrived.
    Gap(u32),
    /// The kernel connects again by itself.
    Reconnects,
    /// The kernel waits until it has something to send, or is connected to.
    StaysAway,
    /// The kernel goes on with its old numbers.
    OldNumbers,
    /// The kernel says nothing of it in its log beyond dropped messages, and asks nobody for a decision.
    NobodyTold,
    /// The state of our node in debugfs.
    State(Cow<'static, str>),
    /// The version of our node in debugfs.
    Version(u32),
    /// Messages flow in both directions afterwards.
    Works,
    /// Messages do not get through any more.
    Dead,
    /// Dead until the node's comm is removed and added again.
    HealedByComm,
    /// The pair begins again, with numbers from 0, and works.
    Rejoins,
    /// The pair begins again, and what we send is taken for something old.
    RejoinsDead,
    /// The kernel sends its `FIN` with this number.
    Fin(u32),
    /// The kernel sends no `FIN`.
    NoFin,
    /// The kernel's release of its lockspace ends.
    Leaves(Pace),
    /// The lockspace can be joined.
    Joins,
    /// The kernel warns with a call trace, in this function.
    Warned(Cow<'static, str>),
}

/// How long the kernel's leave takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// At once, or nearly: below 3 s.
    Prompt,
    /// It waits for one connection: 4 to 9 s.
    Waits,
    /// Longer than anybody waited here.
    Stuck,
}

impl Seen {
    pub(super) const fn logged(text: &'static str) -> Self {
        Self::Logged(Cow::Borrowed(text))
    }

    pub(super) const fn state(text: &'static str) -> Self {
        Self::State(Cow::Borrowed(text))
    }

    pub(super) const fn warned(text: &'static str) -> Self {
        Self::Warned(Cow::Borrowed(text))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("answered"),
            Self::Unanswered => f.write_str("not answered"),
            Self::LookupReply { node, result } => write!(f, "LOOKUP_REPLY node {node} result {result}"),
            Self::NotReady { lvblen, seq } => {
                write!(f, "OPTS(STATUS_REPLY -3), lvblen {lvblen:#x}, rc_seq {seq}")
            }
            Self::NotReadyBare => f.write_str("bare STATUS_REPLY -3"),
            Self::Acks(0) => f.write_str("no ACK"),
            Self::Acks(count) => write!(f, "{count} x ACK of the expected number"),
            Self::Consumed => f.write_str("number consumed"),
            Self::NotConsumed => f.write_str("number not consumed"),
            Self::Logged(text) => write!(f, "log: {text}"),
            Self::Silent => f.write_str("no log"),
            Self::Open => f.write_str("connection stays"),
            Self::Closed => f.write_str("connection closed"),
            Self::Refused => f.write_str("connection closed without a byte"),
            Self::Deaf => f.write_str("connection stays, never read again"),
            Self::StillSends => f.write_str("kernel still sends on it"),
            Self::Queue(count) => write!(f, "{count} queued"),
            Self::Resent(0) => f.write_str("nothing resent"),
            Self::Resent(count) => write!(f, "{count} resent"),
            Self::Gap(0) => f.write_str("next message in sequence"),
            Self::Gap(count) => write!(f, "next message {count} numbers ahead"),
            Self::Reconnects => f.write_str("kernel connects again"),
            Self::StaysAway => f.write_str("kernel does not connect again"),
            Self::OldNumbers => f.write_str("kernel goes on with its old numbers"),
            Self::NobodyTold => f.write_str("nobody is told"),
            Self::State(state) => write!(f, "state {state}"),
            Self::Version(0) => f.write_str("version not set"),
            Self::Version(version) => write!(f, "version {version:#x}"),
            Self::Works => f.write_str("pair works"),
            Self::Dead => f.write_str("pair is dead"),
            Self::HealedByComm => f.write_str("healed by removing the comm"),
            Self::Rejoins => f.write_str("rejoin works"),
            Self::RejoinsDead => f.write_str("rejoined pair is dead"),
            Self::Fin(number) => write!(f, "own FIN {number}"),
            Self::NoFin => f.write_str("no FIN of its own"),
            Self::Leaves(Pace::Prompt) => f.write_str("release below 3 s"),
            Self::Leaves(Pace::Waits) => f.write_str("release takes 4 to 9 s"),
            Self::Leaves(Pace::Stuck) => f.write_str("release does not end"),
            Self::Joins => f.write_str("join works"),
            Self::Warned(place) => write!(f, "WARNING in {place}"),
        }
    }
}

/// A list as people read it.
pub(super) fn listed(seen: &[Seen]) -> String {
    let words: Vec<_> = seen.iter().map(ToString::to_string).collect();
    words.join("; ")
}
