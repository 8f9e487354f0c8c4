//! Locks through the kernel: requests go out at once, their results come by number.
//!
//! A request blocks inside the kernel while the lockspace is stopped or in recovery; everything else waits with a
//! limit. Closing the client unlocks what it holds.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode as FileMode, OFlags};
use rustix::io::Errno;
use serde_json::Value;

use super::control::{
    CANCELLED, LVB_LEN, LockFlags, LockOp, LockRequest, LockResult, Mode, Notice, RESULT_LEN, UNLOCKED,
};
use super::error::{At, LabError, Result};
use super::journal::Journal;

/// Results kept for a lock whose owner does not look.
const NOTICES_MAX: usize = 4096;
/// How long the reader sleeps before it looks whether it is to end, in milliseconds.
const READER_TICK_MS: u32 = 100;

/// The device of one lockspace, open.
pub(super) struct Device {
    file: File,
    path: PathBuf,
}

/// A client of one lockspace: its own file, its own locks.
pub struct LockClient {
    shared: Arc<Shared>,
    journal: Journal,
    reader: Option<JoinHandle<()>>,
}

/// A lock that was asked for through a [`LockClient`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lock {
    /// Our number of it.
    pub number: u64,
    /// The kernel's id of it.
    pub id: u32,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// 0 is granted; else a negative number, see [`control`](super::control).
    pub status: i32,
    /// The result's flags.
    pub flags: u8,
    /// The lock's value, if it came.
    pub value: Option<[u8; LVB_LEN]>,
}

/// What a request says beyond name and mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockOptions {
    /// The kernel's flags.
    pub flags: LockFlags,
    /// A value to write with it; implies VALBLK.
    pub value: Option<[u8; LVB_LEN]>,
}

struct Shared {
    device: Device,
    stop: AtomicBool,
    locks: Mutex<Table>,
    grown: Condvar,
}

#[derive(Default)]
struct Table {
    last_number: u64,
    by_number: BTreeMap<u64, Notices>,
    /// Results for locks that are not known, results that make no sense.
    strange: u64,
    broken: Option<String>,
}

#[derive(Default)]
struct Notices {
    completions: VecDeque<Completion>,
    blocking: VecDeque<Mode>,
}

impl LockClient {
    /// Opens the device of lockspace `name`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened: the lockspace does not exist, or this is no lab.
    pub fn open(name: &str, journal: &Journal) -> Result<Self> {
        let device = Device::open(name)?;
        let shared = Arc::new(Shared {
            device,
            stop: AtomicBool::new(false),
            locks: Mutex::default(),
            grown: Condvar::new(),
        });
        let reading = Arc::clone(&shared);
        let reader = thread::Builder::new().name("locks".into());
        let reader = reader
            .spawn(move || reading.read_until_stopped())
            .on("start a thread")?;
        Ok(Self {
            shared,
            journal: journal.clone(),
            reader: Some(reader),
        })
    }

    /// Asks for a lock; returns as soon as the kernel took the request.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the request.
    pub fn lock(&self, name: impl AsRef<[u8]>, mode: Mode, options: LockOptions) -> Result<Lock> {
        let name = name.as_ref();
        let number = self.shared.new_number();
        let id = match self.write(number, LockOp::Lock { name, mode }, options) {
            Ok(id) => id,
            Err(error) => {
                self.shared.table().by_number.remove(&number);
                return Err(error);
            }
        };
        let lock = Lock {
            number,
            id: u32::try_from(id).unwrap_or(0),
        };
        let name = String::from_utf8_lossy(name).into_owned();
        let fields = [("name", name.into()), ("mode", mode.to_string().into())];
        self.note("lock", lock, &fields);
        Ok(lock)
    }

    /// Asks for another mode.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the request.
    pub fn convert(&self, lock: Lock, mode: Mode, options: LockOptions) -> Result<()> {
        self.note("convert", lock, &[("mode", mode.to_string().into())]);
        self.write(lock.number, LockOp::Convert { id: lock.id, mode }, options)?;
        Ok(())
    }

    /// Gives the lock up, with a value if `options` has one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses the request.
    pub fn unlock(&self, lock: Lock, options: LockOptions) -> Result<()> {
        self.note("unlock", lock, &[]);
        self.write(lock.number, LockOp::Unlock { id: lock.id }, options)?;
        Ok(())
    }

    /// Cancels the request that waits.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, as when nothing waits.
    pub fn cancel(&self, lock: Lock) -> Result<()> {
        self.note("cancel", lock, &[]);
        let op = LockOp::Cancel { id: lock.id };
        self.write(lock.number, op, LockOptions::default())?;
        Ok(())
    }

    /// The next completion of this lock.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`.
    pub fn wait(&self, lock: Lock, limit: Duration) -> Result<Completion> {
        let completion = self
            .shared
            .take("a completion", lock, limit, |n| n.completions.pop_front())?;
        let status = completion.status.into();
        self.note("completion", lock, &[("status", status)]);
        if completion.status == UNLOCKED {
            self.shared.table().by_number.remove(&lock.number);
        }
        Ok(completion)
    }

    /// The next blocking notice of this lock.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`.
    pub fn wait_blocking(&self, lock: Lock, limit: Duration) -> Result<Mode> {
        let mode = self
            .shared
            .take("a blocking notice", lock, limit, |n| n.blocking.pop_front())?;
        self.note("blocking", lock, &[("mode", mode.to_string().into())]);
        Ok(mode)
    }

    /// Whether a completion of this lock is waiting to be looked at.
    pub fn has_completion(&self, lock: Lock) -> bool {
        let table = self.shared.table();
        let notices = table.by_number.get(&lock.number);
        notices.is_some_and(|notices| !notices.completions.is_empty())
    }

    /// Asks for a lock and waits until it is granted.
    ///
    /// # Errors
    ///
    /// When the kernel refuses it, or it is not granted within `limit`.
    pub fn granted(&self, name: impl AsRef<[u8]>, mode: Mode, limit: Duration) -> Result<Lock> {
        let lock = self.lock(name, mode, LockOptions::default())?;
        self.expect(lock, 0, limit)?;
        Ok(lock)
    }

    /// Gives a lock up and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or it is not gone within `limit`.
    pub fn released(&self, lock: Lock, limit: Duration) -> Result<()> {
        self.unlock(lock, LockOptions::default())?;
        self.expect(lock, UNLOCKED, limit)?;
        Ok(())
    }

    /// Cancels and waits until the request has ended as cancelled.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, or the end does not come within `limit`.
    pub fn cancelled(&self, lock: Lock, limit: Duration) -> Result<()> {
        self.cancel(lock)?;
        self.expect(lock, CANCELLED, limit)?;
        Ok(())
    }

    /// The next completion of this lock, which must have this status.
    ///
    /// # Errors
    ///
    /// When it has another, or none comes within `limit`.
    pub fn expect(&self, lock: Lock, status: i32, limit: Duration) -> Result<Completion> {
        let completion = self.wait(lock, limit)?;
        if completion.status == status {
            return Ok(completion);
        }
        Err(LabError::unexpected(format!(
            "lock {} ended with status {}, expected {status}",
            lock.number, completion.status
        )))
    }

    /// Results that belong to no lock that is known here, or make no sense: 0 in an orderly case.
    pub fn strange(&self) -> u64 {
        self.shared.table().strange
    }

    fn write(&self, number: u64, op: LockOp<'_>, options: LockOptions) -> Result<usize> {
        let request = LockRequest {
            op,
            flags: options.flags,
            value: options.value,
            number,
            blocking: true,
        };
        self.shared.device.request(&request)
    }

    fn note(&self, event: &str, lock: Lock, fields: &[(&str, Value)]) {
        let mut all = vec![("number", lock.number.into()), ("id", lock.id.into())];
        all.extend_from_slice(fields);
        self.journal.note(event, &all);
    }
}

impl Drop for LockClient {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Device {
    /// Opens the device of lockspace `name`, not to block when it is read.
    pub(super) fn open(name: &str) -> Result<Self> {
        let path = PathBuf::from(format!("/dev/dlm_{name}"));
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, FileMode::empty()).at("open", &path)?;
        Ok(Self {
            file: File::from(file),
            path,
        })
    }

    /// Writes a request; a new lock's id comes back. Blocks while the lockspace is in recovery.
    pub(super) fn request(&self, request: &LockRequest<'_>) -> Result<usize> {
        let bytes = request.encode();
        loop {
            match rustix::io::write(&self.file, &bytes) {
                Ok(id) => return Ok(id),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let what = format!("request {:?} of {}", request.op, self.path.display());
                    return Err(LabError::system(what, errno));
                }
            }
        }
    }

    /// The next result, `None` when there is none yet.
    pub(super) fn result(&self) -> Result<Option<LockResult>> {
        let mut bytes = [0; RESULT_LEN + LVB_LEN];
        match rustix::io::read(&self.file, &mut bytes) {
            Ok(len) => {
                let result = LockResult::decode(&bytes[..len]);
                result
                    .map(Some)
                    .map_err(|error| LabError::unexpected(format!("{} gave {error}", self.path.display())))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(errno) => Err(LabError::system(format!("read {}", self.path.display()), errno)),
        }
    }

    /// Waits until there is a result, for `ms` at most.
    pub(super) fn wait(&self, ms: u32) -> Result<()> {
        let limit = Timespec {
            tv_sec: i64::from(ms / 1000),
            tv_nsec: i64::from(ms % 1000) * 1_000_000,
        };
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(LabError::system(format!("poll {}", self.path.display()), errno)),
        }
    }
}

impl Shared {
    fn new_number(&self) -> u64 {
        let mut table = self.table();
        table.last_number += 1;
        let number = table.last_number;
        table.by_number.insert(number, Notices::default());
        number
    }

    fn read_until_stopped(&self) {
        while !self.stop.load(Ordering::Acquire) {
            match self.device.result() {
                Ok(Some(result)) => self.table().file(result),
                Ok(None) => {
                    if self.device.wait(READER_TICK_MS).is_err() {
                        break;
                    }
                    continue;
                }
                Err(LabError::Unexpected(_)) => self.table().strange += 1,
                Err(error) => {
                    self.table().broken = Some(error.to_string());
                    break;
                }
            }
            self.grown.notify_all();
        }
        self.grown.notify_all();
    }

    fn take<T>(
        &self,
        waited_for: &str,
        lock: Lock,
        limit: Duration,
        mut take: impl FnMut(&mut Notices) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        let mut table = self.table();
        loop {
            if let Some(taken) = table.by_number.get_mut(&lock.number).and_then(&mut take) {
                return Ok(taken);
            }
            if let Some(broken) = &table.broken {
                return Err(LabError::unexpected(broken.clone()));
            }
            let now = Instant::now();
            if now >= end {
                return Err(LabError::Deadline {
                    waited_for: format!("{waited_for} of lock {} (id {:#x})", lock.number, lock.id),
                    after: limit,
                    seen: String::new(),
                });
            }
            let waited = self.grown.wait_timeout(table, end - now);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn file(&mut self, result: LockResult) {
        let Some(notices) = self.by_number.get_mut(&result.number) else {
            self.strange += 1;
            return;
        };
        match result.what {
            Notice::Completion { status, flags, value } if notices.completions.len() < NOTICES_MAX => {
                notices.completions.push_back(Completion { status, flags, value });
            }
            Notice::Blocking { mode } if notices.blocking.len() < NOTICES_MAX => {
                notices.blocking.push_back(mode);
            }
            Notice::Completion { .. } | Notice::Blocking { .. } => self.strange += 1,
        }
    }
}
