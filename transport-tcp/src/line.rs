//! One connection, and what the transport must know of it to tell readiness.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dlmwire_transport::sockets::{self, Again, Event, FarEnd, GATHERED_BYTES_MAX, gather, retry};
use dlmwire_transport::{Link, Ready, Received};
use socket2::SockRef;

/// Slices that the system takes in one call.
const SLICES_MAX: usize = 1024;

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
        let count = retry(|| (&line.stream).read(buffer)).map_err(|e| line.far.lost("receive from", e))?;
        if count == 0 {
            // A socket that never was connected looks closed.
            if line.far.failed().is_some() {
                return Err(line.far.lost("receive from", io::ErrorKind::NotConnected.into()));
            }
            line.ended.store(true, Ordering::Release);
            return Ok(Received::End);
        }
        // The system told the hang-up together with these bytes, and tells it only once.
        if count < buffer.len() && line.hung_up.load(Ordering::Acquire) {
            line.again.push(line.far.token());
        }
        Ok(Received::Bytes(count))
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut buffer = [0; GATHERED_BYTES_MAX];
        let gathered = gather(slices, &mut buffer).map(IoSlice::new);
        let slices = gathered.as_slice().first().map_or(slices, std::slice::from_ref);
        let line = &*self.0;
        // Unless everything is taken.
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
                Err(e) => return Err(line.far.lost("send to", e)),
            }
        }
        line.blocked.store(false, Ordering::Release);
        Ok(taken)
    }

    fn close_send(&mut self) -> io::Result<()> {
        let line = &*self.0;
        line.stream
            .shutdown(Shutdown::Write)
            .map_err(|e| line.far.lost("close our direction to", e))
    }

    fn abort(self) {
        // The socket closes in any case; if lingering cannot be set, the peer sees an end instead of a reset.
        let _ = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO));
    }

    fn peer_address(&self) -> SocketAddr {
        self.0.far.address()
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
    far: FarEnd,
    /// The last send took less than was given.
    blocked: AtomicBool,
    /// The system has told the peer's end or an error.
    hung_up: AtomicBool,
    /// The end has been received.
    ended: AtomicBool,
    again: Again,
}

impl Line {
    pub(crate) const fn new(stream: TcpStream, far: FarEnd, again: Again) -> Self {
        Self {
            stream,
            far,
            blocked: AtomicBool::new(false),
            hung_up: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            again,
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl sockets::Line for Line {
    #[inline]
    fn tell(&self, event: &Event, ready: &mut Vec<Ready>) {
        if self.far.is_dialing() && !self.far.tell_dial(&self.stream, ready) {
            return;
        }
        let broken = event.is_error() || event.is_write_closed();
        if event.is_read_closed() || broken {
            self.hung_up.store(true, Ordering::Release);
        }
        let readable = event.is_readable() || event.is_read_closed();
        if broken || (readable && !self.ended.load(Ordering::Acquire)) {
            ready.push(Ready::Readable(self.far.token()));
        }
        // The system tells room with every other event too; only who waits for it wants to know.
        if (event.is_writable() || broken) && self.blocked.load(Ordering::Acquire) {
            ready.push(Ready::Writable(self.far.token()));
        }
    }
}
