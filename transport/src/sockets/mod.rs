//! What transports over sockets share, for whoever writes another one (feature `sockets`, on Unix).
//!
//! | part | what it is |
//! |---|---|
//! | [`Queue`] | the system's event queue, the lines that it tells of, and the wait |
//! | [`Line`] | what a transport makes of an event: the one part that is its own |
//! | [`FarEnd`] | who is at the other end of a line, and what becomes of a dial |
//! | [`Waiting`] | what a listener remembers, for the system tells of somebody only once |
//! | [`Again`] | what is to be told once more, for the system will not |
//! | [`Interests`] | lets a line choose what it is told of |
//! | [`gather`] | several short slices as one |
//! | [`in_operation`], [`retry`] | the system's errors, with the operation and without interruptions |
//!
//! A link and its transport share a line; the link holds it, the transport knows it weakly, so that dropping the
//! link closes the socket and takes it out of the queue. The sockets, their options and their ends stay with the
//! transport.
//!
//! A line for a stream that is read and nothing else:
//!
//! ```
//! use std::io::Write;
//! use std::net::{TcpListener, TcpStream};
//! use std::os::fd::{AsFd, BorrowedFd};
//! use std::sync::Arc;
//!
//! use dlmwire_transport::sockets::{Event, Interest, Line, Queue, Waiting};
//! use dlmwire_transport::{Ready, Token};
//!
//! struct Reader(TcpStream, Token);
//!
//! impl AsFd for Reader {
//!     fn as_fd(&self) -> BorrowedFd<'_> {
//!         self.0.as_fd()
//!     }
//! }
//!
//! impl Line for Reader {
//!     fn tell(&self, event: &Event, ready: &mut Vec<Ready>) {
//!         ready.extend(event.is_readable().then_some(Ready::Readable(self.1)));
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! listener.set_nonblocking(true)?;
//! let (mut queue, mut waiting) = (Queue::new(&listener)?, Waiting::default());
//! let mut peer = TcpStream::connect(listener.local_addr()?)?;
//!
//! let mut ready = Vec::new();
//! queue.wait(&mut waiting, &mut ready, None)?;
//! assert_eq!(ready, [Ready::Incoming]);
//! let (stream, _) = waiting.note(listener.accept())?.expect("somebody waits");
//! stream.set_nonblocking(true)?;
//! let line = Arc::new(Reader(stream, Token(1)));
//! queue.adopt(Token(1), Interest::READABLE, &line)?;
//!
//! peer.write_all(b"hello")?;
//! while !ready.contains(&Ready::Readable(Token(1))) {
//!     queue.wait(&mut waiting, &mut ready, None)?;
//! }
//! # Ok(())
//! # }
//! ```

mod again;
mod alarm;
mod error;
mod far_end;
mod gather;
mod queue;
mod waiting;

pub use again::Again;
pub use error::{in_operation, retry};
pub use far_end::FarEnd;
pub use gather::{GATHERED_BYTES_MAX, gather};
pub use mio::Interest;
pub use mio::event::Event;
pub use queue::{Interests, Line, Queue, TOKEN_MAX};
pub use waiting::Waiting;
