//! The numbers inside lock messages, by the kernel's names (spec: wire 3).

use core::fmt;

/// Declares a set of named bits over `u32`.
macro_rules! bit_set {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $value:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(u32);

        impl $name {
            $($(#[$bit_doc])* pub const $bit: Self = Self($value);)+

            /// Every named bit, lowest first.
            pub const NAMED: &'static [(&'static str, Self)] = &[$((stringify!($bit), Self::$bit),)+];

            /// Takes the bits as they stand on the wire.
            #[inline]
            pub const fn new(bits: u32) -> Self {
                Self(bits)
            }

            /// The bits as they stand on the wire.
            #[inline]
            pub const fn bits(self) -> u32 {
                self.0
            }

            /// Whether all bits of `other` are set.
            #[inline]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[inline]
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The names of the bits that are set, lowest first.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                Self::NAMED.iter().filter(move |(_, bit)| self.contains(*bit)).map(|(name, _)| *name)
            }

            /// The bits that have no name.
            pub fn unnamed(self) -> u32 {
                Self::NAMED.iter().fold(self.0, |rest, (_, bit)| rest & !bit.0)
            }
        }

        /// Names joined by `|`, unnamed bits in hexadecimal, `0` for none.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut separator = "";
                for name in self.names() {
                    write!(f, "{separator}{name}")?;
                    separator = "|";
                }
                match self.unnamed() {
                    0 if self.0 == 0 => f.write_str("0"),
                    0 => Ok(()),
                    rest => write!(f, "{separator}{rest:#x}"),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

bit_set! {
    /// `m_exflags`, `rl_exflags`: `DLM_LKF_*` of the last user operation.
    ExFlags {
        /// Refuse instead of queueing.
        NOQUEUE = 0x1,
        /// Cancel a request or a conversion.
        CANCEL = 0x2,
        /// Convert an existing lock.
        CONVERT = 0x4,
        /// Use the lock value block.
        VALBLK = 0x8,
        /// Convert only behind queued conversions.
        QUECVT = 0x10,
        /// Invalidate the lock value block.
        IVVALBLK = 0x20,
        /// Break conversion deadlocks by demotion.
        CONVDEADLK = 0x40,
        /// Keep the lock when its owner exits.
        PERSISTENT = 0x80,
        /// Do not look for deadlocks on behalf of this request.
        NODLCKWT = 0x100,
        /// The holder can release: not part of a deadlock.
        NODLCKBLK = 0x200,
        /// Grant NL at once.
        EXPEDITE = 0x400,
        /// Send blocking callbacks also for refused requests.
        NOQUEUEBAST = 0x800,
        /// Queue at the head.
        HEADQUE = 0x1000,
        /// Grant out of order.
        NOORDER = 0x2000,
        /// Take over an orphan.
        ORPHAN = 0x4000,
        /// PR will do as well.
        ALTPR = 0x8000,
        /// CW will do as well.
        ALTCW = 0x10000,
        /// Unlock whatever the queue.
        FORCEUNLOCK = 0x20000,
        /// Give up after a time (deprecated API).
        TIMEOUT = 0x40000,
    }
}

bit_set! {
    /// `m_sbflags`: flags of the lock status block.
    SbFlags {
        /// A conversion deadlock was broken: granted mode is NL.
        DEMOTED = 0x1,
        /// The lock value block is not valid.
        VALNOTVALID = 0x2,
        /// Granted in the alternative mode.
        ALTMODE = 0x4,
    }
}

bit_set! {
    /// `m_flags`, `rl_flags`: the low half is shared by holder and master, the high half is the sender's own
    /// business and no longer sent since 6.12 (spec: wire 3.3).
    MsgFlags {
        /// The lock belongs to user space.
        USER = 0x1,
        /// The lock's owner is gone.
        ORPHAN = 0x2,
        /// Private: this is the master's copy.
        MSTCPY = 0x1_0000,
        /// Private: resent after recovery.
        RESEND = 0x2_0000,
        /// Private: the lock is being freed.
        DEAD = 0x4_0000,
        /// Private: an unlock overlaps another operation.
        OVERLAP_UNLOCK = 0x8_0000,
        /// Private: a cancel overlaps another operation.
        OVERLAP_CANCEL = 0x10_0000,
        /// Private: the lock ends with this operation.
        ENDOFLIFE = 0x20_0000,
        /// Private: a warning about waiting is due.
        WATCH_TIMEWARN = 0x40_0000,
        /// Private: cancelled by time limit.
        TIMEOUT_CANCEL = 0x80_0000,
        /// Private: cancelled as part of a deadlock.
        DEADLOCK_CANCEL = 0x100_0000,
    }
}

bit_set! {
    /// `m_asts`, `rl_asts`: callbacks that the holder asked for.
    Asts {
        /// Completion.
        CAST = 0x1,
        /// Blocking another request.
        BAST = 0x2,
    }
}

bit_set! {
    /// `rs_flags` of an `RCOM` `STATUS`.
    StatusFlags {
        /// The lowest node is asked for the slots.
        NEED_SLOTS = 0x1,
    }
}

bit_set! {
    /// `rc_result` of a `STATUS_REPLY`: recovery phases that the sender has finished (spec: peer 4).
    RecoveryStatus {
        /// Members known.
        NODES = 0x1,
        /// Members known everywhere.
        NODES_ALL = 0x2,
        /// Directory rebuilt.
        DIR = 0x4,
        /// Directory rebuilt everywhere.
        DIR_ALL = 0x8,
        /// Locks recovered.
        LOCKS = 0x10,
        /// Locks recovered everywhere.
        LOCKS_ALL = 0x20,
        /// Recovery finished.
        DONE = 0x40,
        /// Recovery finished everywhere.
        DONE_ALL = 0x80,
    }
}

/// Declares an enumeration over `i32` or `u32` that keeps numbers without a name.
///
/// The discriminants are the numbers, so that reading and writing them costs no table and no jump.
macro_rules! named_number {
    ($(#[$doc:meta])* $name:ident: $repr:ident { $($(#[$item_doc:meta])* $item:ident = $value:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr($repr)]
        pub enum $name {
            $($(#[$item_doc])* $item = $value,)+
            /// A number without a name.
            Other($repr) = <$repr>::MAX,
        }

        impl $name {
            /// Every named value.
            pub const NAMED: &'static [Self] = &[$(Self::$item,)+];

            /// Takes the number as it stands on the wire.
            #[inline]
            pub const fn from_wire(number: $repr) -> Self {
                match number {
                    $($value => Self::$item,)+
                    other => Self::Other(other),
                }
            }

            /// The number as it stands on the wire.
            #[inline]
            pub const fn wire(self) -> $repr {
                // On its own this is the discriminant; with the other number among its arms it would be a jump.
                let named = match self {
                    $(Self::$item => $value,)+
                    Self::Other(_) => <$repr>::MAX,
                };
                match self {
                    Self::Other(number) => number,
                    _ => named,
                }
            }

            /// The kernel's name, if the number has one.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$item => Some($text),)+
                    Self::Other(_) => None,
                }
            }
        }

        /// The name, or the number where there is none.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{}", self.wire()),
                }
            }
        }
    };
}

pub(crate) use named_number;

named_number! {
    /// A lock mode: `m_grmode`, `m_rqmode`, `m_bastmode`, `rl_grmode`, `rl_rqmode`.
    Mode: i32 {
        /// No mode.
        Iv = -1 "IV",
        /// Null.
        Nl = 0 "NL",
        /// Concurrent read.
        Cr = 1 "CR",
        /// Concurrent write.
        Cw = 2 "CW",
        /// Protected read.
        Pr = 3 "PR",
        /// Protected write.
        Pw = 4 "PW",
        /// Exclusive.
        Ex = 5 "EX",
    }
}

named_number! {
    /// `m_status`, `rl_status`: the queue that the lock is on at the sender.
    LockStatus: i32 {
        /// On none.
        None = 0 "NONE",
        /// Waiting for a first grant.
        Waiting = 1 "WAITING",
        /// Granted.
        Granted = 2 "GRANTED",
        /// Waiting for a conversion.
        Convert = 3 "CONVERT",
    }
}

named_number! {
    /// `m_result` of a `DLM_MSG`: 0 or a negative number of the wire's own numbering (spec: wire 3.4).
    MsgResult: i32 {
        /// Done.
        Success = 0 "0",
        /// The operation was cancelled.
        Cancelled = -0x10001 "-DLM_ECANCEL",
        /// The lock is gone.
        Unlocked = -0x10002 "-DLM_EUNLOCK",
        /// No such lock.
        NoEntry = -2 "-ENOENT",
        /// Would have to wait.
        Again = -11 "-EAGAIN",
        /// No memory.
        NoMemory = -12 "-ENOMEM",
        /// The receiver is not the master.
        NotMaster = -15 "-ENOTBLK",
        /// Another operation is under way.
        Busy = -16 "-EBUSY",
        /// Not a sound request.
        Invalid = -22 "-EINVAL",
        /// A conversion deadlock.
        Deadlock = -35 "-EDEADLK",
        /// No such resource at the receiver.
        BadRequest = -53 "-EBADR",
        /// Not the directory node.
        BadSlot = -57 "-EBADSLT",
        /// Versions do not fit.
        Protocol = -71 "-EPROTO",
        /// Not supported.
        NotSupported = -95 "-EOPNOTSUPP",
        /// Gave up after a time.
        TimedOut = -110 "-ETIMEDOUT",
        /// Queued; a `GRANT` follows.
        InProgress = -115 "-EINPROGRESS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn bit_sets_show_names_and_leftovers() {
        assert_eq!(ExFlags::new(0).to_string(), "0");
        assert_eq!(
            ExFlags::NOQUEUE.with(ExFlags::VALBLK).to_string(),
            "NOQUEUE|VALBLK"
        );
        assert_eq!(MsgFlags::new(0x8000_0001).to_string(), "USER|0x80000000");
        assert_eq!(SbFlags::new(0x8).to_string(), "0x8");
        assert!(RecoveryStatus::new(255).contains(RecoveryStatus::DONE_ALL));
    }

    #[test]
    fn numbers_read_back_what_they_write() {
        for mode in Mode::NAMED {
            assert_eq!(Mode::from_wire(mode.wire()), *mode);
        }
        for result in MsgResult::NAMED {
            assert_eq!(MsgResult::from_wire(result.wire()), *result);
        }
        assert_eq!(Mode::from_wire(9).to_string(), "9");
        assert_eq!(Mode::from_wire(5).to_string(), "EX");
    }
}
