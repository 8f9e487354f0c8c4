//! Reliable delivery between DLM nodes, without I/O: the rules of the messaging layer and an observer that holds
//! others to them.
//!
//! # What it is
//!
//! - [`engine`]: delivers exactly once and in order across lost connections, and ends a conversation by both `FIN`s;
//! - [`state`]: the seven states of a conversation and the one transition table;
//! - [`arrival`] and [`acked`]: the rules about sequence numbers and acknowledgements;
//! - [`admission`]: the table of sound frames that are dropped all the same;
//! - [`observer`]: follows captured conversations by these rules and tells typed [facts](observer::FactKind)
//!   about them.
//!
//! # What it is not
//!
//! There is no clock, socket, thread or random number in here: time is an argument, frames are handed in, facts
//! are taken out. Who is a member is told. Requests and replies are not matched and recovery is not followed: that
//! is for the layer above.
//!
//! # Driving the engine
//!
//! See [`engine::Engine`]: its documentation holds the loop.
//!
//! # Driving the observer
//!
//! Tell it what happened, in the order of the capture, and drain the facts after each call.
//!
//! ```
//! use dlmwire_codec::{Limits, Split, split};
//! use dlmwire_midcomms::Time;
//! use dlmwire_midcomms::observer::{
//!     At, Config, Ends, FactKind, HalfSent, LinkEnd, LinkId, LinkStart, Mark, Observer, StationId, Verdict,
//! };
//!
//! let mut observer = Observer::new(Config::default());
//! let mut packet = 0;
//! let mut at = || {
//!     packet += 1;
//!     At { time: Time(packet * 1_000_000), mark: Mark(packet) }
//! };
//! let (link, alice, bob) = (LinkId(1), StationId(1), StationId(2));
//! observer.handle_link_up(at(), link, Ends { dialled: alice, accepted: bob }, LinkStart::Handshake);
//!
//! # let mut stream = [0; 80];
//! # stream[..16].copy_from_slice(&[2, 0, 3, 0, 7, 0, 0, 0, 1, 0, 0, 0, 64, 0, 2, 0]);
//! # stream[16] = 1;
//! # stream[64..].copy_from_slice(&[2, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16, 0, 4, 0]);
//! // The bytes that alice sent: STATUS, then an ACK of nothing.
//! let mut rest = &stream[..];
//! while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
//!     rest = behind;
//!     let judgement = observer.handle_frame(at(), link, alice, frame.bytes(), frame.decode());
//!     assert_eq!(judgement.verdict, Verdict::Unnumbered);
//!     while let Some(fact) = observer.poll_fact() {
//!         println!("packet {}: {:?}", fact.at.mark.0, fact.kind);
//!     }
//! }
//! observer.handle_link_down(at(), link, LinkEnd::Reset, HalfSent::default());
//! observer.handle_end(at());
//! # let mut last = None;
//! while let Some(fact) = observer.poll_fact() {
//!     println!("{:?}", fact.kind);
//!     # last = Some(fact);
//! }
//! # assert!(matches!(last.unwrap().kind, FactKind::NeverRebuilt { .. }));
//! for direction in observer.summaries() {
//!     println!("{:?} to {:?}: {} numbered", direction.from, direction.to, direction.numbers.sent);
//! }
//! ```

pub mod admission;
mod digest;
pub mod engine;
mod link_id;
pub mod observer;
mod receive;
pub mod state;
mod time;

pub use admission::{Known, Refusal, admit};
pub use link_id::LinkId;
pub use receive::{Acked, Arrival, acked, arrival};
pub use state::{Input, Membership, State, Step, Violation};
pub use time::Time;
