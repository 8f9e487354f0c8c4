//! One connection, and what the transport must know of it to tell readiness.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::{Link, Ready, Received, Token};
use mio::event::Event;
use mio::net::TcpStream;
use socket2::SockRef;

use crate::error::in_operation;

/// Slices that the system takes in one call.
const SLICES_MAX: usize = 1024;

/// So few bytes in several slices are put together: copying them costs less than what the system does for a list.
const GATHERED_BYTES_MAX: usize = 512;

/// One TCP connection to a node.
///
/// After [`Ready::Failed`] every operation gives the full reason. Dropping a link with unread bytes makes the
/// system send a reset instead of an orderly end.
#[derive(Debug)]
pub struct TcpLink(pub(crate) Arc<Line>);

impl Link for TcpLink {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let line = &*self.0;
        let count = retry(|| (&line.stream).read(buffer)).map_err(|e| line.lost("receive from", e))?;
        if count == 0 {
            // A socket that never was connected looks closed.
            if line.failed.get().is_some() {
                return Err(line.lost("receive from", io::ErrorKind::NotConnected.into()));
            }
            line.ended.store(true, Ordering::Release);
            return Ok(Received::End);
        }
        // The system told the hang-up together with these bytes, and tells it only once.
        if count < buffer.len() && line.hung_up.load(Ordering::Acquire) {
            line.again.push(line.token);
        }
        Ok(Received::Bytes(count))
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut buffer = [0; GATHERED_BYTES_MAX];
        let gathered = gather(slices, &mut buffer).map(IoSlice::new);
        let slices = gathered.as_slice().first().map_or(slices, std::slice::from_ref);
        let line = &*self.0;
        // Set before the call: room may come, and be told on another thread, before the call returns.
        line.blocked.store(true, Ordering::Release);
        let mut taken = 0;
        for part in slices.chunks(SLICES_MAX) {
            let wanted: usize = part.iter().map(|slice| slice.len()).sum();
            let write = || match part {
                // Nothing at all is no error even when our direction is closed.
                [one] if !one.is_empty() => (&line.stream).write(one),
                several => (&line.stream).write_vectored(several),
            };
            match retry(write) {
                Ok(count) => {
                    taken += count;
                    if count < wanted {
                        return Ok(taken);
                    }
                }
                Err(_) if taken > 0 => return Ok(taken),
                Err(e) => return Err(line.lost("send to", e)),
            }
        }
        line.blocked.store(false, Ordering::Release);
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        let line = &*self.0;
        line.stream
            .shutdown(Shutdown::Write)
            .map_err(|e| line.lost("close our direction to", e))
    }

    fn abort(self) {
        // The socket closes in any case; if lingering cannot be set, the peer sees an end instead of a reset.
        let _ = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO));
    }

    fn peer_address(&self) -> SocketAddr {
        self.0.peer_address
    }
}

impl AsFd for TcpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.stream.as_fd()
    }
}

/// A connection as link and transport share it; the transport's reference is weak.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    token: Token,
    node: NodeId,
    peer_address: SocketAddr,
    dialing: AtomicBool,
    failed: OnceLock<i32>,
    /// The last send took less than was given.
    blocked: AtomicBool,
    /// The system has told the peer's end or an error.
    hung_up: AtomicBool,
    /// The end has been received.
    ended: AtomicBool,
    again: Again,
}

/// What is still to be told as readable, though the system tells it no more.
#[derive(Clone, Default, Debug)]
pub(crate) struct Again(Arc<Repeats>);

#[derive(Default, Debug)]
struct Repeats {
    /// There are some: most waits need not take the lock.
    any: AtomicBool,
    tokens: Mutex<Vec<Token>>,
}

/// Who is at the other end, and what of.
pub(crate) struct Far {
    pub(crate) node: NodeId,
    pub(crate) address: SocketAddr,
    pub(crate) dialing: bool,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, token: Token, far: Far, again: Again) -> Self {
        Self {
            stream,
            token,
            node: far.node,
            peer_address: far.address,
            dialing: AtomicBool::new(far.dialing),
            failed: OnceLock::new(),
            blocked: AtomicBool::new(false),
            hung_up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            again,
        }
    }

    /// Translates what the system told.
    pub(crate) fn tell(&self, event: &Event, ready: &mut Vec<Ready>) {
        if self.dialing.load(Ordering::Acquire) {
            let Some(outcome) = self.dial_outcome() else {
                return;
            };
            self.dialing.store(false, Ordering::Release);
            ready.push(outcome);
            if matches!(outcome, Ready::Failed(..)) {
                return;
            }
        }
        let broken = event.is_error() || event.is_write_closed();
        if event.is_read_closed() || broken {
            self.hung_up.store(true, Ordering::Release);
        }
        let readable = event.is_readable() || event.is_read_closed();
        if broken || (readable && !self.ended.load(Ordering::Acquire)) {
            ready.push(Ready::Readable(self.token));
        }
        // The system tells room with every other event too; only who waits for it wants to know.
        if (event.is_writable() || broken) && self.blocked.load(Ordering::Acquire) {
            ready.push(Ready::Writable(self.token));
        }
    }

    /// What has become of a dial; `None` while it is going on.
    fn dial_outcome(&self) -> Option<Ready> {
        let error = match self.stream.take_error() {
            Ok(None) => match self.stream.peer_addr() {
                Ok(_) => return Some(Ready::Dialed(self.token)),
                Err(e) if e.kind() == io::ErrorKind::NotConnected => return None,
                Err(e) => e,
            },
            Ok(Some(e)) | Err(e) => e,
        };
        // The first reason stays: `set` fails only if there is one.
        let _ = self.failed.set(error.raw_os_error().unwrap_or_default());
        Some(Ready::Failed(self.token, error.kind()))
    }

    fn lost(&self, operation: &str, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::WouldBlock {
            return error;
        }
        let (operation, error) = match self.failed.get() {
            Some(code) => ("connect to", io::Error::from_raw_os_error(*code)),
            None => (operation, error),
        };
        in_operation(
            format_args!("{operation} node {} at {}", self.node, self.peer_address),
            error,
        )
    }
}

impl Again {
    pub(crate) fn take(&self) -> Vec<Token> {
        if !self.0.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *tokens)
    }

    fn push(&self, token: Token) {
        let mut tokens = self.0.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push(token);
        self.0.any.store(true, Ordering::Release);
    }
}

/// The bytes of several slices in `buffer`, if they are few.
fn gather<'b>(slices: &[IoSlice<'_>], buffer: &'b mut [u8; GATHERED_BYTES_MAX]) -> Option<&'b [u8]> {
    if slices.len() < 2 {
        return None;
    }
    let mut end = 0;
    for slice in slices {
        buffer.get_mut(end..end + slice.len())?.copy_from_slice(slice);
        end += slice.len();
    }
    buffer.get(..end)
}

/// Calls again while a signal interrupts.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
