//! The layouts as data: names, sizes and kinds in the order of the wire (spec: wire 2 to 5).

use dlmwire_codec::{
    Asts, Command, ExFlags, LockStatus, Mode, MsgFlags, MsgResult, MsgType, RcomType, SbFlags, StatusFlags,
    Version,
};

use super::{Meaning, Value};

/// One field of a fixed layout.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) len: usize,
    pub(super) kind: Kind,
    pub(super) repeats: bool,
}

/// How a number is to be read and what it stands for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Number,
    /// A number that people know in hexadecimal: ids, hashes.
    Hex,
    Version,
    Command,
    MsgType,
    RcomType,
    /// `m_nodeid`: `0xffffffff` is nobody yet.
    Master,
    ExFlags,
    SbFlags,
    MsgFlags,
    StatusFlags,
    Asts,
    LockStatus,
    Mode,
    MsgResult,
    /// `rc_result` of a `STATUS_REPLY`: status bits or an errno.
    RecoveryResult,
    /// `rc_result` of a `LOOKUP_REPLY`: a node id or an errno.
    NodeResult,
    /// The sender's own errno.
    Errno,
}

const fn row(name: &'static str, len: usize, kind: Kind) -> Row {
    Row {
        name,
        len,
        kind,
        repeats: false,
    }
}

const fn repeated(name: &'static str, len: usize, kind: Kind) -> Row {
    Row {
        name,
        len,
        kind,
        repeats: true,
    }
}

pub(super) const VERSION: [Row; 1] = [row("dlm3.h.version", 4, Kind::Version)];
pub(super) const LOCKSPACE: [Row; 1] = [row("dlm3.h.lockspac", 4, Kind::Hex)];
pub(super) const SEQ: [Row; 1] = [row("dlm3.h.seq", 4, Kind::Number)];
pub(super) const UNUSED: [Row; 1] = [row("dlm3.h.unused", 4, Kind::Number)];
pub(super) const HEADER_BEHIND_UNION: [Row; 4] = [
    row("dlm3.h.nodeid", 4, Kind::Number),
    row("dlm3.h.length", 2, Kind::Number),
    row("dlm3.h.cmd", 1, Kind::Command),
    row("dlm3.h.pad", 1, Kind::Number),
];

pub(super) const OPTS: [Row; 4] = [
    row("dlm3.o.nextcmd", 1, Kind::Command),
    row("dlm3.o.pad", 1, Kind::Number),
    row("dlm3.o.optlen", 2, Kind::Number),
    row("dlm3.o.pad2", 4, Kind::Number),
];

/// An option up to its value.
pub(super) const OPTION: [Row; 3] = [
    repeated("dlm3.t.type", 2, Kind::Number),
    repeated("dlm3.t.length", 2, Kind::Number),
    repeated("dlm3.t.pad", 4, Kind::Number),
];

pub(super) const MSG: [Row; 18] = [
    row("dlm3.m.type", 4, Kind::MsgType),
    row("dlm3.m.nodeid", 4, Kind::Master),
    row("dlm3.m.pid", 4, Kind::Number),
    row("dlm3.m.lkid", 4, Kind::Hex),
    row("dlm3.m.remid", 4, Kind::Hex),
    row("dlm3.m.parent_lkid", 4, Kind::Hex),
    row("dlm3.m.parent_remid", 4, Kind::Hex),
    row("dlm3.m.exflags", 4, Kind::ExFlags),
    row("dlm3.m.sbflags", 4, Kind::SbFlags),
    row("dlm3.m.flags", 4, Kind::MsgFlags),
    row("dlm3.m.lvbseq", 4, Kind::Number),
    row("dlm3.m.hash", 4, Kind::Hex),
    row("dlm3.m.status", 4, Kind::LockStatus),
    row("dlm3.m.grmode", 4, Kind::Mode),
    row("dlm3.m.rqmode", 4, Kind::Mode),
    row("dlm3.m.bastmode", 4, Kind::Mode),
    row("dlm3.m.asts", 4, Kind::Asts),
    row("dlm3.m.result", 4, Kind::MsgResult),
];

pub(super) const RCOM_TYPE: [Row; 1] = [row("dlm3.rc.type", 4, Kind::RcomType)];
pub(super) const RCOM_RESULT: [Row; 1] = [row("dlm3.rc.result", 4, Kind::Errno)];
pub(super) const RCOM_RESULT_STATUS: [Row; 1] = [row("dlm3.rc.result", 4, Kind::RecoveryResult)];
pub(super) const RCOM_RESULT_NODE: [Row; 1] = [row("dlm3.rc.result", 4, Kind::NodeResult)];
pub(super) const RCOM_BEHIND: [Row; 3] = [
    row("dlm3.rc.id", 8, Kind::Hex),
    row("dlm3.rc.seq", 8, Kind::Number),
    row("dlm3.rc.seq_reply", 8, Kind::Number),
];

pub(super) const STATUS: [Row; 3] = [
    row("dlm3.rs.flags", 4, Kind::StatusFlags),
    row("dlm3.rs.unused1", 4, Kind::Number),
    row("dlm3.rs.unused2", 8, Kind::Number),
];

pub(super) const CONFIG: [Row; 8] = [
    row("dlm3.rf.lvblen", 4, Kind::Number),
    row("dlm3.rf.lsflags", 4, Kind::Hex),
    row("dlm3.rf.flags", 4, Kind::Number),
    row("dlm3.rf.our_slot", 2, Kind::Number),
    row("dlm3.rf.num_slots", 2, Kind::Number),
    row("dlm3.rf.generation", 4, Kind::Number),
    row("dlm3.rf.unused1", 4, Kind::Number),
    row("dlm3.rf.unused2", 8, Kind::Number),
];

pub(super) const SLOT: [Row; 4] = [
    repeated("dlm3.ro.nodeid", 4, Kind::Number),
    repeated("dlm3.ro.slot", 2, Kind::Number),
    repeated("dlm3.ro.unused1", 2, Kind::Number),
    repeated("dlm3.ro.unused2", 8, Kind::Number),
];

/// `rcom_lock` up to the name.
pub(super) const LOCK: [Row; 15] = [
    row("dlm3.rl.ownpid", 4, Kind::Number),
    row("dlm3.rl.lkid", 4, Kind::Hex),
    row("dlm3.rl.remid", 4, Kind::Hex),
    row("dlm3.rl.parent_lkid", 4, Kind::Hex),
    row("dlm3.rl.parent_remid", 4, Kind::Hex),
    row("dlm3.rl.exflags", 4, Kind::ExFlags),
    row("dlm3.rl.flags", 4, Kind::MsgFlags),
    row("dlm3.rl.lvbseq", 4, Kind::Number),
    row("dlm3.rl.result", 4, Kind::Errno),
    row("dlm3.rl.rqmode", 1, Kind::Mode),
    row("dlm3.rl.grmode", 1, Kind::Mode),
    row("dlm3.rl.status", 1, Kind::LockStatus),
    row("dlm3.rl.asts", 1, Kind::Asts),
    row("dlm3.rl.wait_type", 2, Kind::MsgType),
    row("dlm3.rl.namelen", 2, Kind::Number),
];

/// Up to 8 bytes as a number.
pub(super) fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Kind {
    pub(super) fn read(self, bytes: &[u8]) -> (Value<'static>, Meaning<'static>) {
        let number = little_endian(bytes);
        // A number of fewer bytes than asked for keeps its value; none of them is cut off.
        let word = u32::try_from(number).unwrap_or(u32::MAX);
        let signed = signed(number, bytes.len());
        let signed_word = i32::try_from(signed).unwrap_or(i32::MIN);
        let meaning = match self {
            Self::Number => Meaning::None,
            Self::Hex => Meaning::Hex {
                number,
                digits: bytes.len().saturating_mul(2),
            },
            Self::Version => Version::from_wire(word).map_or(Meaning::Unknown, Meaning::Version),
            Self::Command => u8::try_from(number)
                .ok()
                .and_then(Command::from_wire)
                .map_or(Meaning::Unknown, |command| Meaning::Word(command.name())),
            Self::MsgType if number == 0 => Meaning::None,
            Self::MsgType => Meaning::word(MsgType::from_wire(word).name()),
            Self::RcomType => Meaning::word(RcomType::from_wire(word).name()),
            Self::Master if word == u32::MAX => Meaning::Word("not known yet"),
            Self::Master => Meaning::None,
            Self::ExFlags => Meaning::ExFlags(ExFlags::new(word)),
            Self::SbFlags => Meaning::SbFlags(SbFlags::new(word)),
            Self::MsgFlags => Meaning::MsgFlags(MsgFlags::new(word)),
            Self::StatusFlags => Meaning::StatusFlags(StatusFlags::new(word)),
            Self::Asts => Meaning::Asts(Asts::new(word)),
            Self::LockStatus => Meaning::word(LockStatus::from_wire(signed_word).name()),
            Self::Mode => Meaning::word(Mode::from_wire(signed_word).name()),
            Self::MsgResult if signed == 0 => Meaning::None,
            Self::MsgResult => Meaning::word(MsgResult::from_wire(signed_word).name()),
            Self::RecoveryResult => Meaning::recovery(signed_word),
            Self::NodeResult if signed > 0 => Meaning::Node(word),
            Self::NodeResult | Self::Errno => Meaning::errno(signed_word),
        };
        let value = if self.is_signed() {
            Value::I64(signed)
        } else {
            Value::U64(number)
        };
        (value, meaning)
    }

    const fn is_signed(self) -> bool {
        match self {
            Self::LockStatus
            | Self::Mode
            | Self::MsgResult
            | Self::RecoveryResult
            | Self::NodeResult
            | Self::Errno => true,
            Self::Number
            | Self::Hex
            | Self::Version
            | Self::Command
            | Self::MsgType
            | Self::RcomType
            | Self::Master
            | Self::ExFlags
            | Self::SbFlags
            | Self::MsgFlags
            | Self::StatusFlags
            | Self::Asts => false,
        }
    }
}

/// The two's complement value of a number of `len` bytes.
fn signed(number: u64, len: usize) -> i64 {
    let unused = 64_usize.saturating_sub(len.saturating_mul(8));
    let unused = u32::try_from(unused).unwrap_or(0);
    number.checked_shl(unused).unwrap_or(0).cast_signed() >> unused.min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_sign_at_every_width() {
        for (bytes, value) in [
            (&[0xff][..], -1),
            (&[5], 5),
            (&[0xfd, 0xff, 0xff, 0xff], -3),
            (&[0xff, 0xff, 0xff, 0x7f], i64::from(i32::MAX)),
        ] {
            assert_eq!(Kind::Mode.read(bytes).0, Value::I64(value), "{bytes:?}");
        }
    }

    #[test]
    fn layouts_have_the_lengths_of_the_structures() {
        let length = |rows: &[Row]| rows.iter().map(|row| row.len).sum::<usize>();
        assert_eq!(length(&MSG), 88 - 16);
        assert_eq!(length(&OPTS), 24 - 16);
        assert_eq!(
            length(&RCOM_TYPE) + length(&RCOM_RESULT) + length(&RCOM_BEHIND),
            48 - 16
        );
        assert_eq!(length(&STATUS), 16);
        assert_eq!(length(&CONFIG), 32);
        assert_eq!(length(&SLOT), 16);
        assert_eq!(length(&LOCK), 44);
    }
}
