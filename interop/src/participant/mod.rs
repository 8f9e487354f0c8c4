//! A DLM participant: enough of a lock manager for a real kernel to recover with, and scriptable (spec: peer).
//!
//! # What it is
//!
//! - [`Lockspace`]: one node's part in one lockspace, sans I/O: recovery, directory, master and holder of locks;
//! - [`Host`]: several of them as the application of a node, told by [`Command`]s what to do;
//! - [`meddler`]: a transport that cuts links, withholds acknowledgements and more when it is told to.
//!
//! # What it is not
//!
//! A lock manager for use. It grants locks truly, but nothing stands behind them: no process, no file system. Not
//! there are `nodir` lockspaces, orphan locks, `ALTPR` and `ALTCW`, and what only file systems ask for.
//!
//! ```
//! use dlmwire_codec::{ExFlags, LockspaceId, Mode, NodeId};
//! use dlmwire_interop::participant::{Config, Event, Lockspace, Name, Wish};
//! use dlmwire_midcomms::Time;
//!
//! let node = NodeId::new(1).unwrap();
//! let mut lockspace = Lockspace::new(Config::new(node, LockspaceId::new(7)));
//! // Alone it has nobody to wait for, and masters everything.
//! lockspace.set_members(Time(0), &[node]);
//! let wish = Wish { mode: Mode::Ex, exflags: ExFlags::new(0), lvb: None };
//! let name = Name::new(b"test1").expect("a name is 1 to 64 bytes");
//! let lock = lockspace.lock(Time(0), name, wish).expect("the lockspace is joined");
//! let granted = std::iter::from_fn(|| lockspace.poll_event()).last();
//! assert!(matches!(granted, Some(Event::Granted { lock: id, mode: Mode::Ex, .. }) if id == lock));
//! ```

mod answers;
mod asking;
mod command;
mod event;
mod holder;
mod host;
mod lock;
mod lockspace;
mod lvb;
mod mail;
mod master;
pub mod meddler;
mod members;
mod mischief;
mod name;
mod operations;
mod recovery;
mod remaster;
mod replies;
mod resource;
#[cfg(test)]
mod tests;
mod toss;
mod view;
mod work;

pub use command::{Command, Lie, Number, Told, Work};
pub use event::{By, Event, Held, Milestone};
pub use holder::{Order, OrderError, Wish};
pub use host::{Heard, Host, Listener, What};
pub use lock::LockId;
pub use lockspace::{Config, Lockspace};
pub use mail::Mail;
pub use mischief::Mischief;
pub use name::Name;
pub use view::{LockView, LockspaceView, PeerLine, Record, ResourceView};
pub use work::Worked;
