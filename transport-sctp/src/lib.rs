//! DLM over the kernel's SCTP: a [`Transport`](dlmwire_transport::Transport) whose links survive the loss of one of
//! several networks (spec: lowcomms 10, sctp-and-faults 4).
//!
//! What it does as the kernels do: one-to-one sockets bound to all configured addresses and never to the wildcard,
//! a dial to one address of the node, the next one at each attempt, no delay, buffers of 4 MiB, everything on one
//! stream, records of whole frames up to 4096 bytes ([`RECORD_BYTES_MAX`]), and a peer known by its address only.
//! What it does beyond them: it listens to what SCTP says of paths and losses ([`LinkEvents`]), tells an orderly end
//! from a loss, and sets timers so short that a dead path or peer is noticed within seconds ([`Options`]).
//!
//! # Ends
//!
//! SCTP has no half-close: [`close_send`](dlmwire_transport::Link::close_send) ends both directions, at the latest when
//! what either end had already taken has arrived. DLM's own `FIN` stands in for it. The end is
//! [`Received::End`](dlmwire_transport::Received::End) at both sides, though only one reads an end of file: the side that
//! closed learns it from a notification. Dropping a link closes it the same way, also if it holds unread
//! bytes, for which the system alone would abort; a kernel's DLM never recovers from an ABORT (spec: kernel-lab 7).
//! An ABORT or a dead peer is an error of another kind than a send after the end: `ConnectionReset`,
//! `ConnectionAborted` or `TimedOut` against `BrokenPipe`.
//!
//! A kernel accepts an association only when the first message arrives on it, so every new one starts with a frame;
//! that is the engine's part.
//!
//! # Hosts without SCTP
//!
//! [`SctpTransport::bind`] gives an error of the kind `Unsupported` that holds [`Unavailable`], and [`probe`] tells it
//! before. There is no fall-back to TCP: the two ends would not meet. Off Linux the same names are there and
//! `bind` always says so.
//!
//! ```
//! use dlmwire_codec::NodeId;
//! use dlmwire_sctp::{Options, SctpTransport, Unavailable};
//! use dlmwire_transport::{Roster, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
//! let ours = vec!["127.0.0.1:0".parse()?, "127.0.1.1:0".parse()?];
//! let theirs = vec!["127.0.0.2:21064".parse()?, "127.0.1.2:21064".parse()?];
//! let roster = Roster::new(one, ours, [(two, theirs)])?;
//! match SctpTransport::bind(roster, Options::default()) {
//!     Ok(transport) => assert_ne!(transport.local_address().port(), 0),
//!     Err(e) => match Unavailable::of(&e) {
//!         Some(reason) => eprintln!("{reason}"),
//!         None => return Err(e.into()),
//!     },
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The crate `sctp-rs` is a foreign peer in the tests and not the base: it belongs to one async runtime, hides the
//! socket, and shows neither paths nor options.

mod error;
mod event;
mod options;

#[cfg(target_os = "linux")]
mod layout;
#[cfg(target_os = "linux")]
mod line;
#[cfg(target_os = "linux")]
mod listener;
#[cfg(target_os = "linux")]
mod notification;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod sys;
#[cfg(target_os = "linux")]
mod transport;

#[cfg(not(target_os = "linux"))]
mod elsewhere;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{SctpLink, SctpTransport, probe, set_nodelay};
pub use error::{LossReason, Unavailable};
pub use event::{LinkEvent, LinkEvents, LinkReport, Path, PathState};
#[cfg(target_os = "linux")]
pub use line::SctpLink;
pub use options::{OptionError, Options, Rto};
#[cfg(target_os = "linux")]
pub use socket::{probe, set_nodelay};
#[cfg(target_os = "linux")]
pub use transport::SctpTransport;

/// Bytes of one record, as the kernels write them: whole frames, one page.
pub const RECORD_BYTES_MAX: usize = 4096;

/// What every transport over SCTP can do.
pub const CAPABILITIES: dlmwire_transport::Capabilities = dlmwire_transport::Capabilities {
    half_close: false,
    record_bytes_max: Some(RECORD_BYTES_MAX),
    multihomed: true,
    close_signal: true,
};
