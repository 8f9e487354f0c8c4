//! What a kernel says of the DLM messages that it sends and takes: the text of its trace events.
//!
//! Kernels since 6.0 have events for every message that the lock layer sends (`dlm_send_message`, `dlm_send_rcom`)
//! and takes (`dlm_recv_message`, `dlm_recv_rcom`), and for every call on a socket (`dlm_send`, `dlm_recv`).
//! [`Trace::read`] takes their text as tracefs gives it (`trace`, `trace_pipe`) and as `trace-cmd report` does, of
//! all kernels that have them: 6.1 names the number of a message `seq` and does not say who it goes to, newer ones
//! name it `h_seq` and have `dst`.
//!
//! An event holds every field of a message, so that [`Message::frame`] is the message as it stood on the wire,
//! but for one byte of padding. Acknowledgements, `FIN`s and the wrapper `OPTS` have no events.
//!
//! ```
//! use dlmwire_interop::trace::Trace;
//!
//! let text = "kworker/0:1-9 [000] ..... 12.345678: dlm_recv: nodeid=2 ret=120\n";
//! let trace = Trace::read(text.as_bytes())?;
//! assert_eq!(trace.events[0].time.as_nanos(), 12_345_678_000);
//! # Ok::<(), std::io::Error>(())
//! ```

mod event;
mod fields;
mod line;
mod read;
mod rebuild;
#[cfg(test)]
mod tests;
mod words;

pub use event::{Direction, EventKind, Message, SocketCall, TraceEvent, TraceTime};
pub use fields::FieldError;
pub use read::{BadLine, ClockPair, EVENTS_MAX, Fault, Loss, Trace};
pub use rebuild::{Rebuilt, rebuild};
