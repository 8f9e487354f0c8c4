//! The wire format of the Linux kernel's distributed lock manager (fs/dlm), protocol 3.1 and 3.2.
//!
//! Bytes to frames and back, nothing else: no state beyond a partial frame (and that is the caller's), no
//! I/O, no clock, no allocation, no `unsafe`. Views borrow the bytes they were read from; header and `OPTS`
//! are read at once, bodies on demand.
//!
//! # Reading
//!
//! [`split`] finds frames in a byte stream, [`RawFrame::decode`] makes a [`Frame`] of each, and its accessors
//! (or [`Frame::fields`], which reads and checks everything) give what it says.
//!
//! ```
//! use dlmwire_codec::{Frame, Inner, Limits, Split, split};
//!
//! # let stream: &[u8] = &[
//! #     2, 0, 3, 0, 42, 0, 0, 0, 1, 0, 0, 0, 40, 0, 3, 0, 5, 0, 0, 0, 0, 0, 0, 0, //
//! #     2, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16, 0, 5, 0,
//! # ];
//! let mut rest = stream;
//! loop {
//!     match split(rest, Limits::KERNEL) {
//!         Split::Frame { frame, rest: behind } => {
//!             rest = behind;
//!             match frame.decode() {
//!                 Ok(Frame::Opts(opts)) => println!("number {}: {:?}", opts.seq, opts.inner),
//!                 Ok(frame) => println!("{} from node {}", frame.command(), frame.node()),
//!                 Err(error) => println!("skipped: {error}"),
//!             }
//!         }
//!         Split::NeedMore { .. } => break, // keep `rest`, read more behind it
//!         Split::Lost(error) => panic!("close the link: {error}"),
//!     }
//! }
//! # assert!(rest.is_empty());
//! ```
//!
//! # Writing
//!
//! Fill [`FrameFields`] and call [`FrameFields::encode_into`]; for messages that differ in little there is
//! [`MsgTemplate`].
//!
//! # Tables
//!
//! Which message travels bare and which in `OPTS` is [`CARRIAGE`]; what becomes of a damaged `OPTS` is
//! [`damage`]; what a receiver does with bytes that make no sense is [`ErrorKind::disposition`].

#![no_std]

#[cfg(test)]
extern crate std;

mod ack;
mod carriage;
mod damage;
mod encode;
mod error;
mod frame;
mod hash;
mod header;
mod ids;
mod msg;
mod name;
mod names;
mod options;
mod opts;
mod parse;
mod rcom;
mod rcom_lock;
mod rcom_status;
mod seq;
mod split;
mod template;
#[cfg(test)]
mod testkit;
mod version;
mod words;

pub use ack::Ack;
pub use carriage::{CARRIAGE, Carriage, CarriageRow, Generation, MessageClass};
pub use damage::{DamageRow, Effect, damage};
pub use encode::EncodeError;
pub use error::{DecodeError, Disposition, ErrorKind};
pub use frame::{Content, Frame, FrameFields};
pub use hash::{directory_node, resource_hash};
pub use header::{HEADER_LEN, Header, HeaderUnion};
pub use ids::{LockspaceId, NodeId};
pub use msg::{MSG_LEN, Msg, MsgFields, MsgType, Tail, TailKind};
pub use name::{NAME_LEN_MAX, ResourceName};
pub use names::{BlockEnd, NameBlock, NameIter};
pub use options::{OptionIter, Options, TlvOption};
pub use opts::{Inner, InnerFields, OPTS_HEADER_LEN, Opts, OptsFields};
pub use rcom::{NOT_READY, Payload, RCOM_LEN, Rcom, RcomFields, RcomType};
pub use rcom_lock::RcomLock;
pub use rcom_status::{RcomConfig, Slot, SlotIter, Slots};
pub use seq::Seq;
pub use split::{Limits, RawFrame, Split, split};
pub use template::MsgTemplate;
pub use version::{Command, Version};
pub use words::{Asts, ExFlags, LockStatus, Mode, MsgFlags, MsgResult, RecoveryStatus, SbFlags, StatusFlags};
