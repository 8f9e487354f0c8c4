//! Which message travels bare and which in `OPTS`: one table (spec: wire 5.3).

use crate::frame::Frame;
use crate::msg::Msg;
use crate::opts::Inner;
use crate::rcom::{NOT_READY, Rcom, RcomType};
use crate::version::Version;

/// Kernels that send alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Generation {
    /// Linux up to 5.13: speaks 3.1 only.
    Linux5_10,
    /// Linux 5.14 to 6.1 (the change to the next lies between 6.1 and 6.12).
    Linux6_1,
    /// Linux 6.12 and later.
    Linux6_12,
}

impl Generation {
    /// All generations, oldest first.
    pub const ALL: [Self; 3] = [Self::Linux5_10, Self::Linux6_1, Self::Linux6_12];
}

/// Messages that travel alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageClass {
    /// `DLM_MSG`, all types.
    Msg,
    /// `RCOM` `STATUS`.
    Status,
    /// `RCOM` `STATUS_REPLY`, but for the next.
    StatusReply,
    /// `RCOM` `STATUS_REPLY` that says [`NOT_READY`].
    StatusReplyNotReady,
    /// `RCOM` `NAMES` and `NAMES_REPLY`.
    Names,
    /// `RCOM` `LOOKUP`, `LOOKUP_REPLY`, `LOCK` and `LOCK_REPLY`, and types without a name.
    Locks,
    /// `DLM_ACK`.
    Ack,
    /// `DLM_FIN`.
    Fin,
}

/// How a message travels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carriage {
    /// On its own: not numbered, not acknowledged, not resent.
    Bare,
    /// In `OPTS`.
    Wrapped,
    /// Not at all.
    Never,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CarriageRow {
    /// The messages that it is about.
    pub class: MessageClass,
    /// Towards a 3.1 peer, by every generation.
    pub to_3_1: Carriage,
    /// Towards a 3.2 peer, by [`Generation::Linux6_1`].
    pub linux6_1: Carriage,
    /// Towards a 3.2 peer, by [`Generation::Linux6_12`].
    pub linux6_12: Carriage,
    /// Whether 3.2 receivers of every generation take it bare from a 3.2 peer.
    pub bare_accepted: bool,
    /// Whether 3.2 receivers of every generation take it in `OPTS`.
    pub wrapped_accepted: bool,
}

/// The table: a row per class.
pub const CARRIAGE: [CarriageRow; 8] = {
    use Carriage::{Bare, Never, Wrapped};
    use MessageClass::{Ack, Fin, Locks, Msg, Names, Status, StatusReply, StatusReplyNotReady};
    const fn row(
        class: MessageClass,
        [to_3_1, linux6_1, linux6_12]: [Carriage; 3],
        [bare_accepted, wrapped_accepted]: [bool; 2],
    ) -> CarriageRow {
        CarriageRow {
            class,
            to_3_1,
            linux6_1,
            linux6_12,
            bare_accepted,
            wrapped_accepted,
        }
    }
    [
        row(Msg, [Bare, Wrapped, Wrapped], [false, true]),
        row(Status, [Bare, Bare, Bare], [true, true]),
        row(StatusReply, [Bare, Bare, Bare], [true, true]),
        row(StatusReplyNotReady, [Bare, Wrapped, Wrapped], [true, true]),
        row(Names, [Bare, Bare, Wrapped], [true, true]),
        row(Locks, [Bare, Wrapped, Wrapped], [false, true]),
        row(Ack, [Never, Bare, Bare], [true, false]),
        row(Fin, [Never, Wrapped, Wrapped], [false, true]),
    ]
};

impl MessageClass {
    /// The class of a bare or wrapped `DLM_MSG`.
    pub const fn of_msg(_: &Msg<'_>) -> Self {
        Self::Msg
    }

    /// The class of a bare or wrapped `DLM_RCOM`.
    pub const fn of_rcom(rcom: &Rcom<'_>) -> Self {
        Self::of_rcom_type(rcom.rcom_type(), rcom.result())
    }

    /// The class of a `DLM_RCOM` of this type with this `rc_result`.
    pub const fn of_rcom_type(rcom_type: RcomType, result: i32) -> Self {
        match rcom_type {
            RcomType::Status => Self::Status,
            RcomType::StatusReply if result == NOT_READY => Self::StatusReplyNotReady,
            RcomType::StatusReply => Self::StatusReply,
            RcomType::Names | RcomType::NamesReply => Self::Names,
            RcomType::Lookup
            | RcomType::LookupReply
            | RcomType::Lock
            | RcomType::LockReply
            | RcomType::Other(_) => Self::Locks,
        }
    }

    /// The class of what an `OPTS` wraps.
    pub const fn of_inner(inner: &Inner<'_>) -> Self {
        match inner {
            Inner::Msg(msg) => Self::of_msg(msg),
            Inner::Rcom(rcom) => Self::of_rcom(rcom),
            Inner::Fin => Self::Fin,
        }
    }

    /// The class of a frame's message, and how it came; `None` for an `OPTS` whose content is unreadable.
    pub const fn of_frame(frame: &Frame<'_>) -> Option<(Self, Carriage)> {
        match frame {
            Frame::Msg(msg) => Some((Self::of_msg(msg), Carriage::Bare)),
            Frame::Rcom(rcom) => Some((Self::of_rcom(rcom), Carriage::Bare)),
            Frame::Ack(_) => Some((Self::Ack, Carriage::Bare)),
            Frame::Opts(opts) => match &opts.inner {
                Ok(inner) => Some((Self::of_inner(inner), Carriage::Wrapped)),
                Err(_) => None,
            },
        }
    }

    /// This class's row of the table.
    pub const fn row(self) -> &'static CarriageRow {
        match self {
            Self::Msg => &CARRIAGE[0],
            Self::Status => &CARRIAGE[1],
            Self::StatusReply => &CARRIAGE[2],
            Self::StatusReplyNotReady => &CARRIAGE[3],
            Self::Names => &CARRIAGE[4],
            Self::Locks => &CARRIAGE[5],
            Self::Ack => &CARRIAGE[6],
            Self::Fin => &CARRIAGE[7],
        }
    }

    /// Whether a peer may open a conversation with this message: nothing else sets the version (spec:
    /// midcomms 3).
    pub const fn opens_conversation(self) -> bool {
        match self {
            Self::Status | Self::StatusReply | Self::StatusReplyNotReady | Self::Names => true,
            Self::Msg | Self::Locks | Self::Ack | Self::Fin => false,
        }
    }
}

impl CarriageRow {
    /// How a kernel of `generation` sends such a message to a peer that speaks `peer`.
    pub const fn sent_by(&self, generation: Generation, peer: Version) -> Carriage {
        match (generation, peer) {
            (_, Version::V3_1) | (Generation::Linux5_10, Version::V3_2) => self.to_3_1,
            (Generation::Linux6_1, Version::V3_2) => self.linux6_1,
            (Generation::Linux6_12, Version::V3_2) => self.linux6_12,
        }
    }

    /// Whether a receiver takes such a message, come like this from a peer that it knows as `sender`.
    ///
    /// A frame's own version does not matter here: kernels mark bare messages to a 3.1 peer as 3.2.
    pub const fn accepted(&self, carriage: Carriage, sender: Version) -> bool {
        match (carriage, sender) {
            (Carriage::Bare, Version::V3_1) => matches!(self.to_3_1, Carriage::Bare),
            (Carriage::Bare, Version::V3_2) => self.bare_accepted,
            (Carriage::Wrapped, Version::V3_2) => self.wrapped_accepted,
            (Carriage::Wrapped, Version::V3_1) | (Carriage::Never, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_finds_its_own_row() {
        for row in &CARRIAGE {
            assert_eq!(row.class.row(), row);
        }
    }

    #[test]
    fn what_a_generation_sends_every_receiver_takes() {
        for row in &CARRIAGE {
            for generation in Generation::ALL {
                for peer in [Version::V3_1, Version::V3_2] {
                    let carriage = row.sent_by(generation, peer);
                    let sender = match generation {
                        Generation::Linux5_10 => Version::V3_1,
                        Generation::Linux6_1 | Generation::Linux6_12 => peer,
                    };
                    let sent = carriage != Carriage::Never;
                    assert_eq!(
                        row.accepted(carriage, sender),
                        sent,
                        "{row:?} {generation:?} {peer}"
                    );
                }
            }
        }
    }
}
