//! The proxy from other threads: stop it, break something now, look at its counters.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

use super::fault::{Direction, Fault, FaultError, Side};
use super::report::Summary;

/// Faults asked for and not yet done.
const QUEUE_MAX: usize = 64;

/// A running proxy from outside. Clones are the same proxy.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
}

/// Which connections, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Number of the route, from 1.
    pub route: u32,
    /// Number of the connection, from 1; every one that is open where it is `None`.
    pub connection: Option<u64>,
    /// Which way.
    pub direction: Direction,
}

/// What is asked for.
pub(super) struct Command {
    pub(super) target: Target,
    pub(super) fault: Fault,
}

/// Why a fault cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectError {
    /// A parameter is out of its limits.
    Fault(FaultError),
    /// Too many are waiting already.
    Full,
    /// The proxy is no longer there.
    Gone,
}

/// What the proxy's thread and its handles share.
pub(super) struct Shared {
    stop: AtomicBool,
    summary: Mutex<Summary>,
    waker: Waker,
}

impl Handle {
    pub(super) fn new(waker: Waker) -> (Self, Receiver<Command>) {
        let (commands, queue) = sync_channel(QUEUE_MAX);
        let shared = Shared {
            stop: AtomicBool::new(false),
            summary: Mutex::default(),
            waker,
        };
        let shared = Arc::new(shared);
        (Self { shared, commands }, queue)
    }

    /// Ends [`Proxy::run`](super::Proxy::run) soon; every connection is closed then.
    ///
    /// # Errors
    ///
    /// The proxy's thread cannot be woken; it stops when something else wakes it.
    pub fn stop(&self) -> io::Result<()> {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake()
    }

    /// Does something now, wherever the connection happens to be. It is told and counted like a planned fault;
    /// [`Fault::Refuse`] concerns the route, whichever its connections.
    ///
    /// Returns before it is done. A target that is not there by then only counts as
    /// [`missed`](Summary::missed).
    ///
    /// # Errors
    ///
    /// The fault is out of its limits, too many are waiting, or the proxy is gone.
    pub fn inject(&self, target: Target, fault: Fault) -> Result<(), InjectError> {
        use std::sync::mpsc::TrySendError;

        fault.check().map_err(InjectError::Fault)?;
        match self.commands.try_send(Command { target, fault }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(InjectError::Full),
            Err(TrySendError::Disconnected(_)) => return Err(InjectError::Gone),
        }
        // The command is in the queue: if this fails it is done when something else wakes the proxy.
        let _ = self.shared.waker.wake();
        Ok(())
    }

    /// Resets every open connection of a route, on both sides, now.
    ///
    /// # Errors
    ///
    /// As [`inject`](Self::inject).
    pub fn cut(&self, route: u32) -> Result<(), InjectError> {
        let target = Target {
            route,
            connection: None,
            direction: Direction::Forward,
        };
        self.inject(target, Fault::Rst { side: Side::Both })
    }

    /// What was counted so far.
    pub fn summary(&self) -> Summary {
        self.shared.summary().clone()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Shared {
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Counters are right at any moment, also if somebody panicked.
    pub(super) fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(source) => write!(f, "{source}"),
            Self::Full => write!(f, "{QUEUE_MAX} faults are waiting, which is the limit"),
            Self::Gone => f.write_str("the proxy is no longer there"),
        }
    }
}

impl std::error::Error for InjectError {}
