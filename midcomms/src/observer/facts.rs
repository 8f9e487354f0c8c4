//! What the observer finds out: one [`Fact`] a finding, without a judgement on how bad it is.

use dlmwire_codec::{Command, DecodeError, MessageClass, NodeId, Seq, Version};

use crate::admission::Refusal;
use crate::observer::{At, LinkEnd, LinkId, LinkStart, StationId};
use crate::state::State;

/// Something that the observer found out, about what `from` sent or did towards `to`.
///
/// For facts about an `ACK`, `from` is the sender of the acknowledged messages, `to` that of the `ACK`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fact {
    /// When it showed.
    pub at: At,
    /// The link on which it showed, if it showed on one.
    pub link: Option<LinkId>,
    /// The acting station.
    pub from: StationId,
    /// The other station.
    pub to: StationId,
    /// The pair's conversation in which it showed, counted from 1; both directions count together.
    pub session: u32,
    /// What was found.
    pub kind: FactKind,
}

/// A link's end, as far as other facts refer to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostLink {
    /// The link.
    pub link: LinkId,
    /// How it ended.
    pub why: LinkEnd,
    /// When it ended.
    pub at: At,
}

/// Consecutive numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first number.
    pub first: Seq,
    /// How many.
    pub count: u32,
}

impl Span {
    /// The last number, or the one before `first` of an empty span.
    pub const fn last(self) -> Seq {
        self.first.plus(self.count.wrapping_sub(1))
    }
}

/// Why a conversation is said to go on under new numbers although no `FIN`s ended the old one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Restart {
    /// A number came again with other bytes on a newer link (or it was 0, where numbers begin).
    OtherBytes,
    /// A number came again that was acknowledged longer ago than digests are kept, on a newer link.
    LongAcknowledged,
    /// An opening message of another version came on a newer link.
    OtherVersion,
}

/// How a conversation ended, or how it stands when the capture ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// Both `FIN`s were acknowledged.
    Clean,
    /// Open, with a link that both sides keep open.
    Open,
    /// Open, but every link is gone or being closed, and nobody sent a `FIN`: fenced, crashed or stuck.
    WithoutFin,
    /// Somebody sent a `FIN`, not both were acknowledged.
    Unfinished,
    /// Numbers restarted: see [`FactKind::Restarted`].
    Restarted,
    /// A conversation with a 3.1 peer, which knows no `FIN`; its links are closed.
    Unnumbered,
    /// Only one side was ever heard: nothing can be said.
    OneSided,
}

/// The findings.
///
/// Grouped by subject. Numbers are those of the messages that [`Fact::from`] sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FactKind {
    // Links
    /// A link came up.
    LinkUp {
        /// Whether its beginning was seen.
        how: LinkStart,
        /// Another live link of the pair that `to` had dialled: the two crossed.
        crosses: Option<LinkId>,
        /// Live links of the pair, this one included.
        live: u32,
    },
    /// One direction of a link was closed by `from`.
    HalfClosed,
    /// A link ended.
    LinkDown {
        /// How.
        why: LinkEnd,
        /// Frames that `from` (who dialled) had sent on it.
        frames_dialled: u64,
        /// Frames that `to` (who accepted) had sent on it.
        frames_accepted: u64,
    },
    /// A link ended within a frame of `from`.
    HalfSent {
        /// Bytes of the frame that were sent.
        bytes: u32,
        /// How the link ended.
        why: LinkEnd,
    },
    /// The first frame of `from` on the next link after a half-sent one: it starts on a boundary, or not.
    AfterHalfSent {
        /// The link that ended within a frame.
        lost: LinkId,
        /// Whether what came first on the new link is a frame.
        boundary: bool,
    },
    /// The length field makes no sense; what follows on this direction of the link cannot be read.
    FramingLost {
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The capture lacks bytes of this direction.
    CaptureHole {
        /// How many.
        bytes: u64,
    },
    /// The pair's last link was reset or aborted with a conversation open, and none came up again.
    NeverRebuilt {
        /// The last link.
        lost: LostLink,
        /// Nanoseconds from its end to the capture's.
        silent: u64,
    },

    // Identity and versions
    /// The version of `from` became known.
    VersionDetected {
        /// The version.
        version: Version,
        /// The message that showed it, unless that is an `OPTS` with unreadable content.
        by: Option<MessageClass>,
    },
    /// A frame was marked with another version than the detected one; receivers drop it.
    VersionMixed {
        /// The detected version.
        detected: Version,
        /// The frame's.
        marked: Version,
    },
    /// The first message of a conversation is one that cannot open it.
    CannotOpen {
        /// Its command.
        command: Command,
        /// Its class, unless it is an `OPTS` with unreadable content.
        class: Option<MessageClass>,
    },
    /// The capture begins in the middle of a conversation.
    Midway {
        /// The first number seen, if the first frame had one.
        first: Option<Seq>,
    },
    /// `from` speaks as a node that another station spoke as before.
    NodeClaimedTwice {
        /// The node.
        node: NodeId,
        /// The station that was first.
        other: StationId,
    },
    /// `from` speaks as two nodes.
    NodeChanged {
        /// The node that it spoke as first.
        was: NodeId,
        /// The node that this frame names.
        now: NodeId,
    },

    // Numbers
    /// A number ahead of the expected one: receivers drop it and all later ones until the gap is filled.
    GapOpened {
        /// What is missing.
        missing: Span,
    },
    /// Everything that a gap lacked has come.
    GapFilled {
        /// What had been missing.
        missing: Span,
        /// When the gap opened.
        opened: At,
        /// Messages that came too early and were dropped.
        dropped: u32,
        /// Whether an `ACK` shows it, rather than the messages, where the capture lacks nothing: acknowledged
        /// and never sent. Time and place are the `ACK`'s.
        by_ack: bool,
    },
    /// A gap was still open when the conversation or the capture ended.
    GapNeverFilled {
        /// What was missing when it opened.
        missing: Span,
        /// The number that the receiver still waits for.
        expected: Seq,
        /// When the gap opened.
        opened: At,
        /// Messages that came too early and were dropped.
        dropped: u32,
        /// Links of the pair that ended while it was open.
        links_lost: u32,
        /// How the conversation ended.
        ending: Ending,
    },
    /// Numbers are missing where the capture lacks bytes, or `ACK`s that would tell; nobody is to blame.
    GapInCapture {
        /// What is missing.
        missing: Span,
    },
    /// Messages came again, number and bytes as before. One fact for a run of consecutive numbers on a link,
    /// when the run is over.
    Resent {
        /// The run.
        messages: Span,
        /// How many of them had been acknowledged before: certainly duplicates to the receiver.
        acked: u32,
        /// When the run began.
        began: At,
        /// The last link end of the pair after the first of them was first sent, a reset or abort before
        /// others; `None`: resent without a loss, which kernels never do.
        after: Option<LostLink>,
    },
    /// The first resends on a new link came behind new messages, which the receiver drops as too early: what
    /// kernels have queued and not sent goes out first.
    ResentBehindNew {
        /// How many new messages came first.
        new: u32,
        /// The first number resent.
        first: Seq,
    },
    /// A number came again with other bytes, on no newer link: corruption, or two senders.
    BytesChanged {
        /// The number.
        seq: Seq,
        /// When it was first seen.
        first: At,
    },
    /// Numbers restarted without `FIN`s: `from` is another incarnation, or gave the conversation up.
    Restarted {
        /// What shows it.
        evidence: Restart,
        /// The number that shows it, if it was one.
        seq: Option<Seq>,
        /// The next number of the old conversation.
        next: Seq,
        /// Whether `from` had sent `STATUS` on the same link.
        after_status: bool,
    },

    // Acknowledgements
    /// `to` acknowledged messages.
    AckAdvanced {
        /// The next number that `to` expects.
        ack: Seq,
        /// How many are newly acknowledged.
        count: u32,
        /// Nanoseconds since the oldest of them was first sent; `None` if that was not seen.
        delay: Option<u64>,
    },
    /// `to` acknowledged nothing new.
    AckRepeated {
        /// The next number that `to` expects.
        ack: Seq,
        /// Whether it answers a duplicate, as every kernel does.
        answers_duplicate: bool,
    },
    /// `to` acknowledged less than before.
    AckWentBack {
        /// The number acknowledged now.
        ack: Seq,
        /// The number acknowledged before.
        was: Seq,
        /// Whether the two travelled on different links, where one can overtake the other.
        other_link: bool,
    },
    /// `to` acknowledged what `from` was not seen to send. Told when the packets that follow cannot bring it any
    /// more, with time and place of the `ACK`.
    AckBeyondSent {
        /// The number acknowledged.
        ack: Seq,
        /// The number behind the newest that `from` had been seen to send.
        next: Seq,
        /// Whether the capture may explain it: it lacks bytes of `from`, a link was lost or had begun before the
        /// capture, or so few messages are missing at the end that they may be about to come. `false`: `from`
        /// sent some of them later, or many are missing where the capture lacks nothing.
        in_hole: bool,
    },
    /// Messages that were not acknowledged when the conversation or the capture ended.
    Unacked {
        /// The messages.
        messages: Span,
        /// When the oldest was first sent; `None` if that was not seen or is too long ago.
        since: Option<At>,
        /// Nanoseconds without a frame in either direction.
        idle: u64,
        /// Whether the pair has a link that both sides keep open.
        link_up: bool,
        /// Links of the pair that ended since the oldest was last seen.
        links_lost: u32,
        /// Whether the capture lacks bytes of `to`, where acknowledgements may be.
        in_hole: bool,
        /// How the conversation ended.
        ending: Ending,
    },
    /// The oldest unacknowledged message was sent on a link that ended, newer ones went out on a later link,
    /// it never did: lost for good. Comes behind [`Unacked`](Self::Unacked).
    NeverResent {
        /// The messages that were last sent before the first of those links ended.
        messages: Span,
        /// Links of the pair that ended since the oldest was last seen.
        links_lost: u32,
        /// The last of those ends.
        last: LostLink,
        /// How the conversation ended.
        ending: Ending,
    },

    // Termination
    /// The state of `from`, as far as the wire shows it.
    StateChanged {
        /// The state before.
        was: State,
        /// The state now.
        now: State,
    },
    /// `from` sent its `FIN`.
    FinSent {
        /// Its number.
        seq: Seq,
    },
    /// `from` sent its `FIN` again, under the same number.
    FinRepeated {
        /// Its number.
        seq: Seq,
        /// Whether it had been acknowledged.
        acked: bool,
        /// The receiver's state; in `CLOSED` kernels do not acknowledge it.
        receiver: State,
    },
    /// `from` sent a `FIN` in a state in which there is none to send.
    FinInState {
        /// Its number.
        seq: Seq,
        /// The state of `from`.
        state: State,
    },
    /// `from` sent a new numbered message after its `FIN`.
    DataAfterFin {
        /// The message's number.
        seq: Seq,
        /// The `FIN`'s.
        fin: Seq,
    },
    /// `from` waits for the acknowledgement of its `FIN` from a peer that is done: it stays in `LAST_ACK`.
    LastAckLost {
        /// The `FIN`'s number.
        fin: Seq,
        /// Whether an `ACK` of it was seen, so that it was lost behind the place of capture.
        ack_seen: bool,
        /// Nanoseconds since the `FIN` was first sent.
        waited: u64,
    },
    /// `from` sent `STATUS` or `NAMES` to a peer that is terminating: kernels up to 6.1 then start over.
    StatusWhileTerminating {
        /// The receiver's state.
        receiver: State,
    },
    /// `from` sent something after both sides had reached `CLOSED`: kernels from 6.12 on take it for a new
    /// conversation.
    AfterClosed {
        /// What it sent.
        command: Command,
    },
    /// A conversation ended, or the capture did. Told once for both directions.
    ConversationEnded {
        /// How.
        how: Ending,
        /// The state of `from`.
        state: State,
        /// The state of `to`.
        other: State,
        /// Whether its beginning was not seen.
        midway: bool,
        /// Nanoseconds since the pair's last frame.
        silent: u64,
    },

    // Frames
    /// A frame makes no sense.
    Damaged {
        /// What is wrong with it.
        error: DecodeError,
        /// Its number, if it is an `OPTS` whose number can be read.
        seq: Option<Seq>,
        /// Whether receivers count its number.
        consumed: bool,
    },
    /// A frame is sound and still dropped.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Its number, if it has one.
        seq: Option<Seq>,
        /// Whether receivers count its number.
        consumed: bool,
    },
}
