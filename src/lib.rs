//! The wire protocol of the Linux kernel's distributed lock manager (fs/dlm), versions 3.1 and 3.2: what GFS2,
//! OCFS2 and cluster LVM say to each other over port 21064.
//!
//! | module | what it is |
//! |---|---|
//! | [`codec`] | bytes to frames and back: every message, borrowed, without allocation |
//! | [`midcomms`] | what the kernel's midcomms layer does with them: one transition table, and an observer that follows a conversation from outside |
//!
//! Neither does any I/O nor looks at a clock. The `dlmwire` command reads captures with both (`dlmwire check`,
//! `dump`, `stats`) and takes single frames apart (`dlmwire decode`).
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
//! # Features
//!
//! `cli`, on by default, builds the command and brings all that only it needs. A library wants
//! `default-features = false`: then there are the two crates above and nothing else.

pub use dlmwire_codec as codec;
pub use dlmwire_midcomms as midcomms;
