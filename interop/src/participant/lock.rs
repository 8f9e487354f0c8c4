//! One lock: ours, wherever it is mastered, or another node's that is mastered here.

use std::fmt;

use dlmwire_codec::{Asts, ExFlags, LockStatus, Mode, MsgFlags, MsgType, NodeId, SbFlags};

use super::name::Name;

/// Our id of a lock, never 0, never used twice in a lockspace: `m_lkid` of what we send about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LockId(pub u32);

impl fmt::Display for LockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A lock as this node knows it. The master's word on its modes counts; a holder's copy follows by the replies.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    pub(super) name: Name,
    pub(super) owner: Owner,
    /// The lock's id at the other side: at its holder, or at its master; 0 while unknown.
    pub(super) remid: u32,
    pub(super) pid: u32,
    pub(super) exflags: ExFlags,
    /// The half that holder and master share.
    pub(super) flags: MsgFlags,
    pub(super) sbflags: SbFlags,
    pub(super) asts: Asts,
    pub(super) status: LockStatus,
    pub(super) granted: Mode,
    pub(super) requested: Mode,
    /// The highest mode that its holder was told somebody else wants.
    pub(super) told: Mode,
    /// The holder's copy of the value block; empty if it has none.
    pub(super) lvb: Vec<u8>,
    pub(super) lvbseq: u32,
}

/// Whose lock it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    Us {
        /// What was asked of the master and not answered yet.
        waiting: Option<MsgType>,
        /// How often the master had to be looked for.
        attempts: u32,
    },
    Node(NodeId),
}

impl Lock {
    /// A lock that is on no queue yet.
    pub(super) const fn new(name: Name, owner: Owner, requested: Mode) -> Self {
        Self {
            name,
            owner,
            remid: 0,
            pid: 0,
            exflags: ExFlags::new(0),
            flags: MsgFlags::new(0),
            sbflags: SbFlags::new(0),
            asts: Asts::CAST.with(Asts::BAST),
            status: LockStatus::None,
            granted: Mode::Iv,
            requested,
            told: Mode::Iv,
            lvb: Vec::new(),
            lvbseq: 0,
        }
    }

    pub(super) const fn is_ours(&self) -> bool {
        matches!(self.owner, Owner::Us { .. })
    }

    /// What was asked of the master and not answered yet.
    pub(super) const fn waiting(&self) -> Option<MsgType> {
        match self.owner {
            Owner::Us { waiting, .. } => waiting,
            Owner::Node(_) => None,
        }
    }

    /// Something is asked of the master, or was answered.
    pub(super) const fn set_waiting(&mut self, to: Option<MsgType>) {
        if let Owner::Us { waiting, .. } = &mut self.owner {
            *waiting = to;
        }
    }

    /// The lock has what was requested.
    pub(super) const fn take_requested(&mut self) {
        if !matches!(self.requested, Mode::Iv) {
            self.granted = self.requested;
        }
        self.requested = Mode::Iv;
        self.status = LockStatus::Granted;
        self.told = Mode::Iv;
    }

    pub(super) const fn has(&self, flag: ExFlags) -> bool {
        self.exflags.contains(flag)
    }
}

/// Whether a conversion gives something up and nothing is gained: it needs no answer (spec: wire 3.1).
pub(super) fn is_down(granted: Mode, requested: Mode) -> bool {
    requested < granted && !is_sideways(granted, requested)
}

/// Between `PR` and `CW`, of which neither is the higher.
pub(super) const fn is_sideways(granted: Mode, requested: Mode) -> bool {
    matches!((granted, requested), (Mode::Pr, Mode::Cw) | (Mode::Cw, Mode::Pr))
}

/// Whether a request is compatible with a granted mode (spec: peer 8).
pub(super) fn is_compatible(granted: Mode, requested: Mode) -> bool {
    use Mode::{Cr, Cw, Ex, Iv, Nl, Pr, Pw};
    let (low, high) = if granted <= requested {
        (granted, requested)
    } else {
        (requested, granted)
    };
    match (low, high) {
        (Iv | Nl, _) => true,
        (Cr, Cr | Cw | Pr | Pw) | (Cw, Cw) | (Pr, Pr) => true,
        (Cr | Cw | Pr | Pw | Ex | Mode::Other(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compatibility_is_the_matrix() {
        let matrix = ["111111", "111110", "111000", "110100", "110000", "100000"];
        for (row, granted) in matrix.iter().zip(&Mode::NAMED[1..]) {
            for (cell, requested) in row.bytes().zip(&Mode::NAMED[1..]) {
                assert_eq!(
                    is_compatible(*granted, *requested),
                    cell == b'1',
                    "{granted} {requested}"
                );
            }
        }
    }

    #[test]
    fn conversion_between_pr_and_cw_is_no_down_conversion() {
        assert!(is_down(Mode::Ex, Mode::Nl));
        assert!(!is_down(Mode::Pr, Mode::Cw));
        assert!(!is_down(Mode::Cw, Mode::Pr));
        assert!(!is_down(Mode::Pr, Mode::Pr));
    }
}
