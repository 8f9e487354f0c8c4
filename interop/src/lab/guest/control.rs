//! The bytes of the kernel's lock devices: requests that are written, results that are read.
//!
//! Every request is one write of 120 bytes, a lock request with the name behind it; a result is 72 bytes, with the
//! lock's value behind them if there is one. 64-bit layout. spec: kernel-lab 3.
//!
//! ```text
//! request   0 u32 x3 version 6 0 0   12 u8 command   13 u8 1   14 u16 0
//! lock     16 u8 mode  17 u8 length of the name  20 u32 flags  24 u32 lock id  28 u32 parent 0  32 u64 0  40 u64 0
//!          48 u64 number  56 u64 completion cookie  64 u64 number  72 u64 blocking cookie  80 u64 status block
//!          88 value, 32 bytes   120 name
//! space    16 u32 flags   20 u32 minor   24 name, zero-terminated
//! result    0 u32 x3 version  12 u32 length  16 u64 cookie  24 u64 number  32 u64 status block
//!          40 i32 status  44 u32 lock id  48 u8 flags  64 u8 blocking mode  68 u32 offset of the value or 0
//! ```

use std::fmt;
use std::str::FromStr;

/// Bytes of a request without a lock's name.
pub const REQUEST_LEN: usize = 120;
/// Bytes of a result without a value.
pub const RESULT_LEN: usize = 72;
/// Bytes of a lock's value in a lockspace of user space.
pub const LVB_LEN: usize = 32;
/// The longest name of a lock.
pub const LOCK_NAME_MAX: usize = 64;
/// The longest name of a lockspace.
pub const LOCKSPACE_NAME_MAX: usize = 64;

/// `-EAGAIN`: not granted at once, and the request said not to wait.
pub const REFUSED: i32 = -11;
/// `-EDEADLK`: the kernel found a deadlock.
pub const DEADLOCK: i32 = -35;
/// The request was cancelled.
pub const CANCELLED: i32 = -0x10001;
/// The lock is gone: the answer to an unlock.
pub const UNLOCKED: i32 = -0x10002;

/// Set in a result's `flags` when the lock was granted at less than its former mode.
pub const SB_DEMOTED: u8 = 1;
/// Set in a result's `flags` when the lock's value is not to be trusted.
pub const SB_VALNOTVALID: u8 = 2;

const VERSION_MAJOR: u32 = 6;
const COMMAND_LOCK: u8 = 1;
const COMMAND_UNLOCK: u8 = 2;
const COMMAND_CREATE: u8 = 4;
const COMMAND_REMOVE: u8 = 5;
/// The cookie of completions: the kernel gives it back and never follows it.
const COMPLETION: u64 = 1;
/// The cookie of blocking notices.
const BLOCKING: u64 = 2;
/// Neither 0, which the kernel refuses, nor ever followed.
const STATUS_BLOCK: u64 = 3;
const REMOVE_FORCE: u32 = 2;

/// A lock's mode, from the weakest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Null.
    Nl = 0,
    /// Concurrent read.
    Cr = 1,
    /// Concurrent write.
    Cw = 2,
    /// Protected read.
    Pr = 3,
    /// Protected write.
    Pw = 4,
    /// Exclusive.
    Ex = 5,
}

/// Flags of a request, as the kernel numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockFlags(pub u32);

/// What is asked of a lockspace's device: everything but the number and the name is in here.
#[derive(Clone, Debug)]
pub struct LockRequest<'a> {
    /// What is to be done.
    pub op: LockOp<'a>,
    /// Flags beyond those that `op` implies.
    pub flags: LockFlags,
    /// A value to write; implies [`LockFlags::VALBLK`].
    pub value: Option<[u8; LVB_LEN]>,
    /// Given back in the result.
    pub number: u64,
    /// Whether blocking notices are wanted.
    pub blocking: bool,
}

/// What is to be done with a lock.
#[derive(Clone, Copy, Debug)]
pub enum LockOp<'a> {
    /// A new lock.
    Lock {
        /// The name, [`LOCK_NAME_MAX`] bytes at most.
        name: &'a [u8],
        /// The mode.
        mode: Mode,
    },
    /// Another mode.
    Convert {
        /// The kernel's id of the lock.
        id: u32,
        /// The new mode.
        mode: Mode,
    },
    /// The end of a lock.
    Unlock {
        /// The kernel's id of the lock.
        id: u32,
    },
    /// The end of a request that waits.
    Cancel {
        /// The kernel's id of the lock.
        id: u32,
    },
}

/// What the kernel tells about a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockResult {
    /// The number that the request had.
    pub number: u64,
    /// The kernel's id of the lock.
    pub id: u32,
    /// A completion or a blocking notice.
    pub what: Notice,
}

/// The two kinds of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A request is done.
    Completion {
        /// 0 is granted; else [`REFUSED`], [`CANCELLED`], [`UNLOCKED`] or another negative number.
        status: i32,
        /// [`SB_DEMOTED`] and others.
        flags: u8,
        /// The lock's value, if it came.
        value: Option<[u8; LVB_LEN]>,
    },
    /// The lock stands in the way of another in this mode.
    Blocking {
        /// The mode that waits.
        mode: Mode,
    },
}

/// Why bytes read from the device are no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultError {
    /// Fewer bytes than a result has.
    Short(usize),
    /// A cookie that nobody gave to the kernel.
    Cookie(u64),
    /// A mode that does not exist.
    Mode(u8),
}

impl LockFlags {
    /// None.
    pub const NONE: Self = Self(0);
    /// Refuse instead of waiting.
    pub const NOQUEUE: Self = Self(0x1);
    /// The value is read or written too.
    pub const VALBLK: Self = Self(0x8);
    /// A conversion waits behind those that wait already.
    pub const QUECVT: Self = Self(0x10);
    /// The value becomes invalid.
    pub const IVVALBLK: Self = Self(0x20);
    /// A conversion deadlock is solved by demoting.
    pub const CONVDEADLK: Self = Self(0x40);
    /// The lock outlives the file through which it was taken.
    pub const PERSISTENT: Self = Self(0x80);
    /// Grant at once whatever waits: only for NL.
    pub const EXPEDITE: Self = Self(0x400);
    /// With NOQUEUE: tell the holders nevertheless.
    pub const NOQUEUEBAST: Self = Self(0x800);
    /// To the head of the queue.
    pub const HEADQUE: Self = Self(0x1000);
    /// Unlock whatever state the lock is in.
    pub const FORCEUNLOCK: Self = Self(0x20000);

    const CANCEL: u32 = 0x2;
    const CONVERT: u32 = 0x4;
}

impl std::ops::BitOr for LockFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl LockRequest<'_> {
    /// The bytes to write.
    ///
    /// A name beyond [`LOCK_NAME_MAX`] goes out as it is with its length cut to a byte: the kernel is to refuse it.
    pub fn encode(&self) -> Vec<u8> {
        let (command, mode, id, implied, name): (u8, u8, u32, u32, &[u8]) = match self.op {
            LockOp::Lock { name, mode } => (COMMAND_LOCK, mode as u8, 0, 0, name),
            LockOp::Convert { id, mode } => (COMMAND_LOCK, mode as u8, id, LockFlags::CONVERT, &[]),
            LockOp::Unlock { id } => (COMMAND_UNLOCK, 0, id, 0, &[]),
            LockOp::Cancel { id } => (COMMAND_UNLOCK, 0, id, LockFlags::CANCEL, &[]),
        };
        let value_flag = self.value.map_or(0, |_| LockFlags::VALBLK.0);
        let blocking = if self.blocking { BLOCKING } else { 0 };

        let mut bytes = header(command);
        bytes[16] = mode;
        bytes[17] = u8::try_from(name.len()).unwrap_or(u8::MAX);
        bytes[20..24].copy_from_slice(&(self.flags.0 | implied | value_flag).to_ne_bytes());
        bytes[24..28].copy_from_slice(&id.to_ne_bytes());
        bytes[48..56].copy_from_slice(&self.number.to_ne_bytes());
        bytes[56..64].copy_from_slice(&COMPLETION.to_ne_bytes());
        bytes[64..72].copy_from_slice(&self.number.to_ne_bytes());
        bytes[72..80].copy_from_slice(&blocking.to_ne_bytes());
        bytes[80..88].copy_from_slice(&STATUS_BLOCK.to_ne_bytes());
        if let Some(value) = &self.value {
            bytes[88..120].copy_from_slice(value);
        }
        let mut bytes = bytes.to_vec();
        bytes.extend_from_slice(name);
        bytes
    }
}

impl LockResult {
    /// Reads a result.
    ///
    /// # Errors
    ///
    /// When the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ResultError> {
        if bytes.len() < RESULT_LEN {
            return Err(ResultError::Short(bytes.len()));
        }
        let number = u64::from_ne_bytes(array(bytes, 24));
        let id = u32::from_ne_bytes(array(bytes, 44));
        let what = match u64::from_ne_bytes(array(bytes, 16)) {
            COMPLETION => Notice::Completion {
                status: i32::from_ne_bytes(array(bytes, 40)),
                flags: bytes[48],
                value: value_at(bytes, u32::from_ne_bytes(array(bytes, 68))),
            },
            BLOCKING => Notice::Blocking {
                mode: Mode::from_number(bytes[64]).ok_or(ResultError::Mode(bytes[64]))?,
            },
            other => return Err(ResultError::Cookie(other)),
        };
        Ok(Self { number, id, what })
    }
}

impl Mode {
    /// All of them, from the weakest on.
    pub const ALL: [Self; 6] = [Self::Nl, Self::Cr, Self::Cw, Self::Pr, Self::Pw, Self::Ex];

    /// The mode of the kernel's number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["NL", "CR", "CW", "PR", "PW", "EX"][*self as usize])
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|mode| mode.to_string() == text);
        found.ok_or_else(|| format!("{text:?}: expected NL, CR, CW, PR, PW or EX"))
    }
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(len) => write!(f, "a result of {len} bytes, expected {RESULT_LEN}"),
            Self::Cookie(cookie) => write!(f, "a result for cookie {cookie:#x}, which nobody gave"),
            Self::Mode(mode) => write!(f, "a blocking notice for mode {mode}"),
        }
    }
}

impl std::error::Error for ResultError {}

/// The request that creates a lockspace. Its write returns the minor number of the lockspace's device.
///
/// A name beyond [`LOCKSPACE_NAME_MAX`] is cut.
pub fn create_request(name: &str, flags: u32) -> [u8; REQUEST_LEN] {
    let mut bytes = header(COMMAND_CREATE);
    bytes[16..20].copy_from_slice(&flags.to_ne_bytes());
    let len = name.len().min(LOCKSPACE_NAME_MAX);
    bytes[24..24 + len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

/// The request that removes the lockspace whose device has this minor number, by force where locks are left.
pub fn remove_request(minor: u32) -> [u8; REQUEST_LEN] {
    let mut bytes = header(COMMAND_REMOVE);
    bytes[16..20].copy_from_slice(&REMOVE_FORCE.to_ne_bytes());
    bytes[20..24].copy_from_slice(&minor.to_ne_bytes());
    bytes
}

fn header(command: u8) -> [u8; REQUEST_LEN] {
    let mut bytes = [0; REQUEST_LEN];
    bytes[0..4].copy_from_slice(&VERSION_MAJOR.to_ne_bytes());
    bytes[12] = command;
    bytes[13] = 1;
    bytes
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[offset..offset + N]);
    part
}

fn value_at(bytes: &[u8], offset: u32) -> Option<[u8; LVB_LEN]> {
    let start = usize::try_from(offset)
        .ok()
        .filter(|start| *start >= RESULT_LEN)?;
    let value = bytes.get(start..start.checked_add(LVB_LEN)?)?;
    Some(array(value, 0))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    #[test]
    fn lock_request_has_every_field_at_its_offset() {
        let request = LockRequest {
            op: LockOp::Lock {
                name: b"ab",
                mode: Mode::Ex,
            },
            flags: LockFlags::NOQUEUE | LockFlags::NOQUEUEBAST,
            value: Some([0xcd; LVB_LEN]),
            number: 0x1122_3344_5566_7788,
            blocking: true,
        };
        let expected = [
            "060000000000000000000000",         // version
            "01010000",                         // lock, 64 bit
            "05020000",                         // EX, two letters
            "09080000",                         // NOQUEUE | VALBLK | NOQUEUEBAST
            "0000000000000000",                 // lock id, parent
            "00000000000000000000000000000000", // transaction, timeout
            "8877665544332211",                 // number
            "0100000000000000",                 // completion
            "8877665544332211",                 // number
            "0200000000000000",                 // blocking
            "0300000000000000",                 // status block
            "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
            "6162",
        ]
        .concat();
        assert_eq!(hex(&request.encode()), expected);
    }

    #[test]
    fn other_requests_differ_in_command_flags_and_id() {
        let encoded = |op| {
            let request = LockRequest {
                op,
                flags: LockFlags::NONE,
                value: None,
                number: 1,
                blocking: false,
            };
            let bytes = request.encode();
            assert_eq!((bytes.len(), bytes[72]), (REQUEST_LEN, 0));
            hex(&bytes[12..28])
        };
        let id = 0x0102_0304;
        assert_eq!(
            encoded(LockOp::Convert { id, mode: Mode::Pr }),
            "01010000030000000400000004030201"
        );
        assert_eq!(encoded(LockOp::Unlock { id }), "02010000000000000000000004030201");
        assert_eq!(encoded(LockOp::Cancel { id }), "02010000000000000200000004030201");
    }

    #[test]
    fn lockspace_requests_have_name_or_minor() {
        let create = create_request("ls1", 0);
        assert_eq!(
            hex(&create[..32]),
            "06000000000000000000000004010000".to_owned() + "00000000000000006c73310000000000"
        );
        assert_eq!(create.len(), 120);
        let remove = remove_request(61);
        assert_eq!(
            hex(&remove[..24]),
            "06000000000000000000000005010000".to_owned() + "020000003d000000"
        );
    }

    fn result(cookie: u64, status: i32, mode: u8, value_offset: u32) -> Vec<u8> {
        let mut bytes = vec![0; RESULT_LEN];
        bytes[16..24].copy_from_slice(&cookie.to_le_bytes());
        bytes[24..32].copy_from_slice(&77u64.to_le_bytes());
        bytes[40..44].copy_from_slice(&status.to_le_bytes());
        bytes[44..48].copy_from_slice(&9u32.to_le_bytes());
        bytes[48] = SB_VALNOTVALID;
        bytes[64] = mode;
        bytes[68..72].copy_from_slice(&value_offset.to_le_bytes());
        bytes
    }

    #[test]
    fn completion_is_read_with_its_value() {
        let mut bytes = result(1, -65538, 0, 72);
        bytes.extend([7; LVB_LEN]);
        let read = LockResult::decode(&bytes).expect("a result");
        assert_eq!((read.number, read.id), (77, 9));
        let expected = Notice::Completion {
            status: UNLOCKED,
            flags: SB_VALNOTVALID,
            value: Some([7; LVB_LEN]),
        };
        assert_eq!(read.what, expected);
    }

    #[test]
    fn completion_with_a_value_offset_outside_has_no_value() {
        for offset in [0, 71, 73, u32::MAX] {
            let mut bytes = result(1, 0, 0, offset);
            bytes.extend([7; LVB_LEN]);
            let read = LockResult::decode(&bytes).expect("a result");
            assert!(
                matches!(read.what, Notice::Completion { value: None, .. }),
                "{offset}"
            );
        }
    }

    #[test]
    fn blocking_notice_has_its_mode() {
        let read = LockResult::decode(&result(2, 0, 5, 0)).expect("a result");
        assert_eq!(read.what, Notice::Blocking { mode: Mode::Ex });
    }

    #[test]
    fn bytes_that_are_no_result_are_refused() {
        assert_eq!(LockResult::decode(&[0; 71]), Err(ResultError::Short(71)));
        assert_eq!(
            LockResult::decode(&result(9, 0, 0, 0)),
            Err(ResultError::Cookie(9))
        );
        assert_eq!(LockResult::decode(&result(2, 0, 6, 0)), Err(ResultError::Mode(6)));
    }

    #[test]
    fn mode_is_read_as_it_is_printed() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("XX".parse::<Mode>().is_err());
    }
}
