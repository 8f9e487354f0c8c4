//! The wire protocol of the Linux kernel's distributed lock manager (fs/dlm), versions 3.1 and 3.2: what GFS2,
//! OCFS2 and cluster LVM say to each other over port 21064.
//!
//! | module | what it is |
//! |---|---|
//! | [`codec`] | bytes to frames and back: every message, borrowed, without allocation |
//! | [`midcomms`] | what the kernel's midcomms layer does with them: one transition table, an engine that delivers exactly once and in order by it, and an observer that follows others' conversations |
//! | `node` | engine, transport and clock in one loop, with handles for other threads (feature `node`) |
//! | `transport` | the traits that carry bytes, links in memory, injected faults, and a suite for transports of your own (feature `node`) |
//! | `tcp` | TCP (feature `tcp`) |
//! | `sctp` | the kernel's SCTP, with several networks (feature `sctp`) |
//!
//! The first two do no I/O and look at no clock. The `dlmwire` command is a node on the line (`dlmwire node`), reads
//! captures (`check`, `dump`, `stats`, `replay`), takes single frames apart (`decode`) and breaks connections
//! (`chaos`).
//!
//! # Where to start
//!
//! Bytes from a socket or a capture go through [`codec::split`], which finds frames, to
//! [`codec::RawFrame::decode`], which reads one:
//!
//! ```
//! use dlmwire::codec::{Frame, Inner, Limits, MsgType, Split, split};
//!
//! // OPTS number 41 around a REQUEST for an EX lock on "test1".
//! let bytes = [
//!     0x02, 0, 3, 0, 0x29, 0, 0, 0, 1, 0, 0, 0, 0x75, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0, // OPTS
//!     0x02, 0, 3, 0, 0x52, 0x7a, 0x1f, 0x6b, 1, 0, 0, 0, 0x5d, 0, 1, 0, // MSG
//!     1, 0, 0, 0, 2, 0, 0, 0, 0xd2, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, //
//!     0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x96, 0xcf, 0x63, 0x89, //
//!     0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, //
//!     b't', b'e', b's', b't', b'1',
//! ];
//! let Split::Frame { frame, rest } = split(&bytes, Limits::KERNEL) else {
//!     panic!("the frame is whole");
//! };
//! assert!(rest.is_empty());
//! let Frame::Opts(opts) = frame.decode()? else {
//!     panic!("the frame is an OPTS");
//! };
//! assert_eq!(opts.seq.get(), 41);
//! let Inner::Msg(msg) = opts.inner? else {
//!     panic!("it wraps a MSG");
//! };
//! assert_eq!(msg.msg_type(), MsgType::Request);
//! assert_eq!(msg.extra(), b"test1");
//! # Ok::<(), dlmwire::codec::DecodeError>(())
//! ```
//!
//! Two nodes that talk over TCP, lose connections and leave in order: `examples/tcp_pair.rs`. The engine without
//! any I/O: [`midcomms::engine::Engine`] and `examples/two_engines.rs`.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `tcp` (default) | TCP, and `node` |
//! | `sctp` | SCTP, and `node`; Linux with SCTP in its kernel |
//! | `node` | the node and the transport traits; comes with every transport |
//! | `cli` (default) | the command and all that only it needs |
//!
//! A library wants `default-features = false` and the transports it uses: without any, codec and engine are left.

pub use dlmwire_codec as codec;
pub use dlmwire_midcomms as midcomms;
#[cfg(feature = "node")]
pub use dlmwire_node as node;
#[cfg(feature = "sctp")]
pub use dlmwire_sctp as sctp;
#[cfg(feature = "tcp")]
pub use dlmwire_tcp as tcp;
#[cfg(feature = "node")]
pub use dlmwire_transport as transport;
