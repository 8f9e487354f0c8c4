//! A node's side of the conversation: our engine, or a kernel.

use std::fmt;

use dlmwire_midcomms::engine::LinkRole;
use dlmwire_midcomms::{State, Time};

use crate::driver::{Driver, Effect, Take};
use crate::kernel::Kernel;

/// What a node learns of a connection that was lost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Loss {
    /// It is gone; an engine asks no more. A kernel takes it for an orderly end.
    Silent,
    /// With an error report, the only thing that makes a kernel send again.
    Error,
}

/// Either.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Side {
    Ours(Box<Driver>),
    Kernel(Box<Kernel>),
}

/// The same call on either.
macro_rules! on_either {
    ($self:ident, $side:ident => $call:expr) => {
        match $self {
            Self::Ours($side) => $call,
            Self::Kernel($side) => $call,
        }
    };
}

impl Side {
    /// What a loss can look like to this side.
    pub(crate) fn losses(&self) -> &'static [Loss] {
        match self {
            Self::Ours(_) => &[Loss::Silent],
            Self::Kernel(kernel) => kernel.losses(),
        }
    }

    /// Whether this is the engine.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    pub(crate) fn state(&self) -> State {
        on_either!(self, side => side.state())
    }

    pub(crate) fn wants_link(&self) -> bool {
        on_either!(self, side => side.wants_link())
    }

    pub(crate) fn has_transmit(&self, link: u64) -> bool {
        match self {
            Self::Ours(driver) => driver.has_transmit(link),
            Self::Kernel(_) => false,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        match self {
            Self::Ours(driver) => driver.deadline(),
            Self::Kernel(_) => None,
        }
    }

    /// Whether it leaves only when the version is known; our engine waits by itself.
    pub(crate) fn may_leave(&self) -> bool {
        match self {
            Self::Ours(_) => true,
            Self::Kernel(kernel) => kernel.knows_version(),
        }
    }

    pub(crate) fn can_send(&self) -> bool {
        on_either!(self, side => side.can_send())
    }

    /// Numbers acknowledged and waiting; only ours promises anything about them.
    pub(crate) fn acked_and_queued(&self) -> Option<(u32, u32)> {
        match self {
            Self::Ours(driver) => Some(driver.acked_and_queued()),
            Self::Kernel(_) => None,
        }
    }

    pub(crate) fn add(&mut self) {
        on_either!(self, side => side.add());
    }

    pub(crate) fn remove(&mut self) {
        on_either!(self, side => side.remove());
    }

    pub(crate) fn shutdown(&mut self) {
        on_either!(self, side => side.shutdown());
    }

    pub(crate) fn send(&mut self, tag: u32) -> bool {
        on_either!(self, side => side.send(tag))
    }

    pub(crate) fn link_up(&mut self, link: u64, role: LinkRole) {
        on_either!(self, side => side.link_up(link, role));
    }

    pub(crate) fn read(&mut self, link: u64, frames: &[Vec<u8>], out: &mut Vec<Effect>) {
        on_either!(self, side => side.read(link, frames, out));
    }

    pub(crate) fn link_end(&mut self, link: u64) {
        on_either!(self, side => side.link_end(link));
    }

    pub(crate) fn link_down(&mut self, link: u64, loss: Loss) {
        match self {
            Self::Ours(driver) => driver.link_down(link),
            Self::Kernel(kernel) => kernel.link_down(link, loss),
        }
    }

    /// Whether hello was said in vain; kernels count as asking for ever.
    pub(crate) fn is_unanswered(&self) -> bool {
        on_either!(self, side => side.is_unanswered())
    }

    pub(crate) fn greet_again(&mut self) {
        on_either!(self, side => side.greet_again());
    }

    pub(crate) fn transmit(&mut self, link: u64, take: Take, written: &[u8], out: &mut Vec<Effect>) {
        match self {
            Self::Ours(driver) => driver.transmit(link, take, written, out),
            Self::Kernel(_) => {}
        }
    }

    pub(crate) fn timeout(&mut self, at: Time) -> bool {
        match self {
            Self::Ours(driver) => driver.timeout(at),
            Self::Kernel(_) => true,
        }
    }

    pub(crate) fn drain(&mut self, links: &[u64], out: &mut Vec<Effect>) {
        on_either!(self, side => side.drain(links, out));
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(driver) => write!(
                f,
                "ours {} (acked, queued) {:?}",
                driver.state(),
                driver.acked_and_queued()
            ),
            Self::Kernel(kernel) => write!(f, "kernel {kernel:?}"),
        }
    }
}
