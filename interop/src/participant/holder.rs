//! Our locks, mastered by others or by ourselves (spec: peer 7, 8).

use std::time::Duration;

use dlmwire_codec::{ExFlags, LockStatus, Mode, MsgFields, MsgResult, MsgType, NodeId, Tail};
use dlmwire_midcomms::Time;

use super::event::{By, Event};
use super::lock::{Lock, LockId, Owner, is_down};
use super::lockspace::{Lockspace, SAVED_MAX, lvb_tail};
use super::master::is_mode;
use super::name::Name;

/// How often the master of one lock is looked for before it is given up: for about 12 seconds.
const ATTEMPTS_MAX: u32 = 20;
/// The pause before the master is looked for a third time. It doubles from then on.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// What is wanted of a lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The mode.
    pub mode: Mode,
    /// `NOQUEUE` and so on; `VALBLK` for the value block.
    pub exflags: ExFlags,
    /// The value block to be written when the lock gives way, if it may write.
    pub lvb: Option<Vec<u8>>,
}

/// What is done with a lock that we have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Another mode.
    Convert(Wish),
    /// It is given back, perhaps with a value block.
    Unlock(Option<Vec<u8>>),
    /// What is queued is taken back.
    Cancel,
}

/// Why an order was not taken. Nothing has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderError {
    /// We have no such lock.
    NoSuchLock(LockId),
    /// The master has not answered the operation before.
    Busy(LockId),
    /// A conversion of a lock that is not granted.
    NotGranted(LockId),
    /// `IV` is no mode to ask for.
    NoMode,
    /// We are not a member.
    NotMember,
    /// There are as many locks, or orders, as are kept.
    TooMany,
    /// The value block is longer than the lockspace's, in bytes.
    LvbTooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchLock(id) => write!(f, "lock {id}: we have no such lock"),
            Self::Busy(id) => write!(f, "lock {id}: the operation before is not answered yet"),
            Self::NotGranted(id) => write!(f, "lock {id}: not granted, so it cannot be converted"),
            Self::NoMode => f.write_str("no mode that can be asked for"),
            Self::NotMember => f.write_str("not a member of the lockspace"),
            Self::TooMany => f.write_str("as many locks as are kept"),
            Self::LvbTooLong { bytes, limit } => {
                write!(f, "value block of {bytes} bytes exceeds limit {limit}")
            }
        }
    }
}

impl std::error::Error for OrderError {}

impl Lockspace {
    // Commands.

    /// Asks for a lock. During a recovery it waits for its end.
    ///
    /// # Errors
    ///
    /// Why it was not asked for.
    pub fn lock(&mut self, now: Time, name: Name, wish: Wish) -> Result<LockId, OrderError> {
        self.now = now;
        self.check(&wish)?;
        if self.recovery.is_stopped() {
            return Err(OrderError::NotMember);
        }
        let ours = Owner::Us {
            waiting: Some(MsgType::Lookup),
            attempts: 0,
        };
        let mut lock = Lock::new(name.clone(), ours, wish.mode);
        lock.exflags = wish.exflags;
        lock.lvb = self.block(wish.lvb.unwrap_or_default());
        let id = self.add_lock(lock).ok_or(OrderError::TooMany)?;
        let master = self.resources.get(&name).and_then(|resource| resource.master);
        self.tell(Event::Requested {
            lock: id,
            name,
            mode: wish.mode,
            master,
        });
        if self.recovery.is_running() {
            self.seek(id);
        }
        Ok(id)
    }

    /// Does something with a lock that we have. During a recovery it waits for its end.
    ///
    /// # Errors
    ///
    /// Why it was not done.
    pub fn order(&mut self, now: Time, id: LockId, order: Order) -> Result<(), OrderError> {
        self.now = now;
        match &order {
            Order::Convert(wish) => self.check(wish)?,
            Order::Unlock(Some(lvb)) => self.check_block(lvb.len())?,
            Order::Unlock(None) | Order::Cancel => {}
        }
        self.check_order(id, &order)?;
        if self.recovery.is_running() {
            self.carry_out(id, order);
        } else if self.orders.len() < SAVED_MAX {
            self.orders.push_back((id, order));
        } else {
            return Err(OrderError::TooMany);
        }
        Ok(())
    }

    /// An order that waited for the end of a recovery: what was ordered before it may be under way now.
    pub(super) fn take_up(&mut self, id: LockId, order: Order) {
        match self.check_order(id, &order) {
            Ok(()) => self.carry_out(id, order),
            Err(error) => {
                let result = match error {
                    OrderError::NoSuchLock(_) => MsgResult::NoEntry,
                    _ => MsgResult::Busy,
                };
                self.tell(Event::Failed { lock: id, result });
            }
        }
    }

    fn check_order(&self, id: LockId, order: &Order) -> Result<(), OrderError> {
        let lock = self.locks.get(&id).filter(|lock| lock.is_ours());
        let lock = lock.ok_or(OrderError::NoSuchLock(id))?;
        if lock.waiting().is_some() {
            return Err(OrderError::Busy(id));
        }
        if matches!(order, Order::Convert(_)) && lock.status != LockStatus::Granted {
            return Err(OrderError::NotGranted(id));
        }
        Ok(())
    }

    fn check(&self, wish: &Wish) -> Result<(), OrderError> {
        if !is_mode(wish.mode) {
            return Err(OrderError::NoMode);
        }
        self.check_block(wish.lvb.as_ref().map_or(0, Vec::len))
    }

    fn check_block(&self, bytes: usize) -> Result<(), OrderError> {
        let limit = self.lvblen();
        if bytes > limit {
            return Err(OrderError::LvbTooLong { bytes, limit });
        }
        Ok(())
    }

    fn block(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(self.lvblen(), 0);
        bytes
    }

    fn carry_out(&mut self, id: LockId, order: Order) {
        match order {
            Order::Convert(wish) => self.convert(id, wish),
            Order::Unlock(lvb) => self.unlock(id, lvb),
            Order::Cancel => self.cancel(id),
        }
    }

    // Finding the master.

    /// Asks the master for a lock, if it is known, else the directory for the master.
    pub(super) fn seek(&mut self, id: LockId) {
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        if lock.waiting() != Some(MsgType::Lookup) {
            return;
        }
        let name = lock.name.clone();
        let own = self.config.node;
        let master = self.resources.get(&name).and_then(|resource| resource.master);
        let directory = self.members.directory(&name);
        let recorded = self.directory.get(&name).copied();
        match master.or(recorded) {
            Some(master) if master != own => {
                self.set_master(&name, master);
                self.ask_master(id, MsgType::Request, Some(master));
            }
            None if directory != own => self.ask_master(id, MsgType::Lookup, Some(directory)),
            Some(_) | None => self.request_ours(id, &name),
        }
    }

    /// A lock of ours on a resource of ours.
    fn request_ours(&mut self, id: LockId, name: &Name) {
        if !self.become_master(name) {
            return self.fail(id, MsgResult::NoMemory);
        }
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        lock.set_waiting(None);
        let (mode, exflags) = (lock.requested, lock.exflags);
        let result = self.request_here(id);
        self.take_result(id, result, By::Local);
        self.after_request(id, name, exflags, result, mode);
    }

    fn ask_master(&mut self, id: LockId, msg_type: MsgType, to: Option<NodeId>) {
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        lock.set_waiting(Some(msg_type));
        let lock = lock.clone();
        let master = self
            .resources
            .get(&lock.name)
            .and_then(|resource| resource.master);
        let Some(to) = to.or(master) else {
            return;
        };
        let tail = match msg_type {
            MsgType::Request | MsgType::Lookup => Tail::Name(lock.name.wire()),
            MsgType::Convert | MsgType::Unlock => lvb_tail(&lock),
            _ => Tail::NONE,
        };
        let question = MsgFields {
            lkid: id.0,
            tail,
            ..self.about(msg_type, &lock)
        };
        self.post(to, question);
    }

    /// Who was asked is not the master.
    pub(super) fn seek_again(&mut self, id: LockId) {
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        let Owner::Us { waiting, attempts } = &mut lock.owner else {
            return;
        };
        *waiting = Some(MsgType::Lookup);
        *attempts += 1;
        let attempts = *attempts;
        if attempts > ATTEMPTS_MAX {
            return self.fail(id, MsgResult::BadRequest);
        }
        match attempts.checked_sub(3) {
            Some(doublings) => self.repeat_after(pause(doublings), id),
            None => self.seek(id),
        }
    }

    pub(super) fn fail(&mut self, id: LockId, result: MsgResult) {
        self.drop_lock(id);
        self.tell(Event::Failed { lock: id, result });
    }

    // Operations.

    fn convert(&mut self, id: LockId, wish: Wish) {
        let block = wish.lvb.map(|lvb| self.block(lvb));
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        lock.exflags = wish.exflags.with(ExFlags::CONVERT);
        if let Some(block) = block {
            lock.lvb = block;
        }
        let name = lock.name.clone();
        let down = is_down(lock.granted, wish.mode);
        if self.is_master(&name) {
            let result = self.convert_here(id, wish.mode);
            self.take_result(id, result, By::Local);
            return self.after_request(id, &name, wish.exflags, result, wish.mode);
        }
        if let Some(lock) = self.locks.get_mut(&id) {
            lock.requested = wish.mode;
        }
        self.ask_master(id, MsgType::Convert, None);
        if down && let Some(lock) = self.locks.get_mut(&id) {
            // There is no answer to this.
            lock.set_waiting(None);
            lock.take_requested();
            self.tell_ours_granted(id, By::Local);
        }
    }

    fn unlock(&mut self, id: LockId, lvb: Option<Vec<u8>>) {
        let block = lvb.map(|lvb| self.block(lvb));
        let Some(lock) = self.locks.get_mut(&id) else {
            return;
        };
        if let Some(block) = block {
            lock.lvb = block;
            lock.exflags = lock.exflags.with(ExFlags::VALBLK);
        }
        let name = lock.name.clone();
        if self.is_master(&name) {
            self.give_back(id);
            self.drop_lock(id);
            self.tell(Event::Unlocked { lock: id });
            return self.settle(&name);
        }
        self.ask_master(id, MsgType::Unlock, None);
    }

    fn cancel(&mut self, id: LockId) {
        let Some(lock) = self.locks.get(&id) else {
            return;
        };
        let name = lock.name.clone();
        if self.is_master(&name) {
            let result = self.cancel_here(id);
            self.take_cancelled(id, result);
            return self.settle(&name);
        }
        self.ask_master(id, MsgType::Cancel, None);
    }
}

fn pause(doublings: u32) -> Duration {
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    PAUSE.saturating_mul(factor).min(PAUSE_MAX)
}
