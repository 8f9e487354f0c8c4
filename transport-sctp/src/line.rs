//! One association, and what the transport must know of it to tell readiness.

#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dlmwire_transport::sockets::{
    self, Again, Event, FarEnd, GATHERED_BYTES_MAX, Interest, Interests, gather, retry,
};
use dlmwire_transport::{Link, Ready, Received};
use socket2::Socket;

use crate::RECORD_BYTES_MAX;
use crate::error::LossReason;
use crate::event::{LinkEvent, LinkEvents, LinkReport, Path};
use crate::notification::{Assembly, Notification};
use crate::socket;
use crate::sys::{self, Pieces};

/// Slices that the system takes in one call.
const SLICES_MAX: usize = 1024;

/// What a dropped link throws away unread, so that the system ends it in order: a buffer of 4 MiB holds about 64 k
/// small records.
const DRAIN_READS_MAX: usize = 64 * 1024 / RECORDS_MAX;
const DRAIN_BYTES: usize = RECORD_BYTES_MAX * RECORDS_MAX;

/// Records that are received by one call: first, when one is what mostly comes and asking for more has its price, and
/// when there is likely more.
const RECORDS_FIRST: usize = 4;
const RECORDS_MAX: usize = 16;

/// One association with a node.
///
/// After [`Ready::Failed`] every operation gives the full reason. Dropping a link ends the association in order;
/// what was sent still arrives.
#[derive(Debug)]
pub struct SctpLink {
    line: Arc<Line>,
    notification: Assembly,
    /// What the system said of the socket, ahead of what may still be read.
    said: Option<io::Error>,
    /// How the association ended, once that is known.
    over: Option<Over>,
    aborted: bool,
}

/// How an association ended.
#[derive(Clone, Copy, Debug)]
enum Over {
    InOrder,
    System(i32),
    Lost(LossReason),
}

impl SctpLink {
    pub(crate) fn new(line: Arc<Line>) -> Self {
        Self {
            line,
            notification: Assembly::default(),
            said: None,
            over: None,
            aborted: false,
        }
    }

    /// The paths of the association, as they are now; none before it is up.
    ///
    /// # Errors
    ///
    /// What the system says, for example that the association is over.
    pub fn paths(&self) -> io::Result<Vec<Path>> {
        socket::paths(self.as_fd())
    }

    /// Makes the path to this address of the peer the one that is sent to first.
    ///
    /// # Errors
    ///
    /// What the system says, for example that the association has no such path.
    pub fn set_primary(&self, address: IpAddr) -> io::Result<()> {
        let mut primary = self.line.far.address();
        primary.set_ip(address);
        socket::set_primary(self.as_fd(), primary)
    }

    /// Reads until the buffer is full, nothing is there, or the end is known; how many bytes.
    fn fill(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        let mut more = self.read::<RECORDS_FIRST>(buffer, &mut filled);
        while more {
            more = self.read::<RECORDS_MAX>(buffer, &mut filled);
        }
        filled
    }

    /// Reads up to `N` records behind what is filled. Says whether there may be more.
    fn read<const N: usize>(&mut self, buffer: &mut [u8], filled: &mut usize) -> bool {
        let room = buffer.get_mut(*filled..).unwrap_or_default();
        if self.over.is_some() || room.is_empty() {
            return false;
        }
        match retry(|| sys::receive::<N>(self.line.socket.as_fd(), room, RECORD_BYTES_MAX)) {
            Ok(pieces) => {
                *filled += self.take(room, &pieces);
                if !pieces.drained {
                    return true;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            // Told ahead of what came before it, which may say more: that is read first.
            Err(e) if self.said.is_none() => {
                self.said = Some(e);
                return true;
            }
            Err(e) => self.over = Some(over_by(self.said.as_ref().unwrap_or(&e))),
        }
        // Nothing is left.
        if self.over.is_none() {
            self.over = self.said.take().as_ref().map(over_by);
        }
        false
    }

    /// Moves what the peer sent to the start of `room`, without gaps, and notes what the system said in between; how
    /// many bytes. What comes behind the end is not the link's.
    fn take<const N: usize>(&mut self, room: &mut [u8], pieces: &Pieces<N>) -> usize {
        let mut filled = 0;
        for piece in pieces.iter() {
            let bytes = piece.start..piece.start + piece.bytes;
            if piece.notification {
                let part = room.get(bytes).unwrap_or_default();
                if let Some(notification) = self.notification.take(part, piece.complete) {
                    self.note(notification);
                }
            } else if bytes.is_empty() {
                // A socket that never was connected looks closed, and so does one whose loss was told ahead.
                let failed = self.line.far.failed().map(Over::System);
                let said = self.said.take().as_ref().map(over_by);
                self.over = Some(failed.or(said).unwrap_or(Over::InOrder));
            } else {
                // The first piece lies there already: all of them do when records are full.
                if piece.start != filled {
                    room.copy_within(bytes, filled);
                }
                filled += piece.bytes;
            }
            if self.over.is_some() {
                break;
            }
        }
        filled
    }

    /// Tells what a notification says, and draws the consequence.
    fn note(&mut self, notification: Notification) {
        let (event, over) = match notification {
            Notification::Up => (LinkEvent::Up, None),
            Notification::Lost { cause } => {
                let lost = Over::Lost(LossReason::Aborted { cause });
                // The system's own word tells an ABORT from a peer that has fallen silent.
                let said = self.said.take();
                let said = said.or_else(|| self.line.socket.take_error().ok().flatten());
                let over = said.as_ref().map_or(lost, |said| match said.kind() {
                    io::ErrorKind::TimedOut => over_by(said),
                    _ => lost,
                });
                (LinkEvent::Lost { cause }, Some(over))
            }
            Notification::Restarted => (LinkEvent::Restarted, Some(Over::Lost(LossReason::Restarted))),
            Notification::Ended => (LinkEvent::Ended, Some(Over::InOrder)),
            Notification::NotMade => (
                LinkEvent::Lost { cause: 0 },
                Some(Over::Lost(LossReason::NotMade)),
            ),
            Notification::PeerShutsDown => (LinkEvent::PeerShutsDown, None),
            Notification::PartLost => (
                LinkEvent::Lost { cause: 0 },
                Some(Over::Lost(LossReason::RecordCut)),
            ),
            Notification::Path { address, change } => {
                let Some(event) = path_event(address, change) else {
                    return;
                };
                (event, None)
            }
            Notification::Other => return,
        };
        self.over = over;
        self.line.shared.events.push(LinkReport {
            token: self.line.far.token(),
            node: self.line.far.node(),
            event,
        });
    }

    /// What an operation says of a link that is over.
    fn loss(&self, operation: &str, over: Over) -> io::Error {
        self.line.far.lost(
            operation,
            match over {
                Over::InOrder => io::Error::new(io::ErrorKind::BrokenPipe, "association ended"),
                Over::System(code) => io::Error::from_raw_os_error(code),
                Over::Lost(reason) => io::Error::new(reason.kind(), reason),
            },
        )
    }
}

impl Link for SctpLink {
    /// As [`Link::receive`]. Records and their ends do not show: a frame may span them, and one call may bring
    /// many.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if buffer.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let filled = self.fill(buffer);
        if filled > 0 {
            // The end is known already, and the system tells it no more.
            if self.over.is_some() {
                self.line.shared.again.push(self.line.far.token());
            }
            return Ok(Received::Bytes(filled));
        }
        match self.over {
            None => Err(io::ErrorKind::WouldBlock.into()),
            Some(Over::InOrder) => {
                self.line.ended.store(true, Ordering::Release);
                Ok(Received::End)
            }
            Some(over) => Err(self.loss("receive from", over)),
        }
    }

    /// As [`Link::send`]: one record of at most [`RECORD_BYTES_MAX`] bytes, taken whole or not at all.
    ///
    /// # Errors
    ///
    /// Besides those, `BrokenPipe` if the association has ended or is ending in order, and `InvalidInput` for a
    /// longer record.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let line = &*self.line;
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        if let Some(over) = self.over {
            return Err(self.loss("send to", over));
        }
        if wanted == 0 {
            return Ok(0);
        }
        if wanted > RECORD_BYTES_MAX {
            let text = format!("record of {wanted} bytes exceeds {RECORD_BYTES_MAX}");
            return Err(line
                .far
                .lost("send to", io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        let mut buffer = [0; GATHERED_BYTES_MAX];
        let sent = if let Some(record) = gather(slices, &mut buffer) {
            retry(|| line.socket.send_with_flags(record, flags))
        } else if slices.len() <= SLICES_MAX {
            retry(|| line.socket.send_vectored_with_flags(slices, flags))
        } else {
            let record: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            retry(|| line.socket.send_with_flags(&record, flags))
        };
        let refused = match &sent {
            Ok(taken) => *taken < wanted,
            Err(e) => e.kind() == io::ErrorKind::WouldBlock,
        };
        line.blocked.store(refused, Ordering::Release);
        if refused {
            line.watch(true)
                .map_err(|e| line.far.lost("wait for room to", e))?;
        }
        match sent {
            Ok(taken) => Ok(taken),
            Err(e) if e.raw_os_error() == Some(libc::ESHUTDOWN) => Err(line.far.lost(
                "send to",
                io::Error::new(io::ErrorKind::BrokenPipe, "association is ending"),
            )),
            Err(e) => Err(line.far.lost("send to", e)),
        }
    }

    /// Ends the association in both directions: SCTP has no half-close.
    ///
    /// What either end had already taken still arrives, then both receive the end; nothing can be sent any more, here
    /// at once and there as soon as the peer's system hears of it. On TCP the other direction goes on; a caller
    /// that has to hear the peer out first must do so by its own protocol, as DLM does by `FIN`.
    ///
    /// An association that is over already stays so.
    fn close_send(&mut self) -> io::Result<()> {
        match self.line.socket.shutdown(Shutdown::Write) {
            // The peer was first.
            Err(e) if e.kind() == io::ErrorKind::NotConnected && self.line.far.was_up() => Ok(()),
            outcome => outcome.map_err(|e| self.line.far.lost("end the association with", e)),
        }
    }

    /// Sends an ABORT. Never to a kernel: its DLM resends nothing then (spec: kernel-lab 7).
    fn abort(mut self) {
        self.aborted = true;
        // The socket closes in any case; if lingering cannot be set, the peer sees an end instead of an abort.
        let _ = self.line.socket.set_linger(Some(Duration::ZERO));
    }

    fn peer_address(&self) -> SocketAddr {
        self.line.far.address()
    }
}

impl Drop for SctpLink {
    fn drop(&mut self) {
        if !self.aborted {
            drain(&self.line.socket);
        }
    }
}

impl AsFd for SctpLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.socket.as_fd()
    }
}

/// An association as link and transport share it; the transport's reference is weak.
#[derive(Debug)]
pub(crate) struct Line {
    socket: Socket,
    far: FarEnd,
    /// What is sent to first, if it is to be another than the far end's address.
    primary: Option<IpAddr>,
    /// The last send was not taken.
    blocked: AtomicBool,
    /// The end has been received.
    ended: AtomicBool,
    /// The system tells of room.
    watched: AtomicBool,
    shared: Shared,
}

/// What all lines of a transport share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) again: Again,
    pub(crate) interests: Interests,
    pub(crate) events: LinkEvents,
}

impl Line {
    pub(crate) fn new(socket: Socket, far: FarEnd, primary: Option<IpAddr>, shared: Shared) -> Self {
        let far_is_dialing = far.is_dialing();
        let line = Self {
            socket,
            far,
            primary,
            blocked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            watched: AtomicBool::new(far_is_dialing),
            shared,
        };
        if !far_is_dialing {
            line.prefer();
        }
        line
    }

    /// What it is to be told of. SCTP tells of room whenever some of what was sent is acknowledged, and TCP only who
    /// was refused some: so room is told to who waits for it, and the end of a dial.
    pub(crate) fn interest(&self) -> Interest {
        if self.watched.load(Ordering::Acquire) {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        }
    }

    /// Has room told from now on, also such as is there already, or no more. A link is sent on by the thread that waits,
    /// so that nothing is told in between.
    fn watch(&self, watched: bool) -> io::Result<()> {
        if self.watched.swap(watched, Ordering::AcqRel) == watched {
            return Ok(());
        }
        let changed = self
            .shared
            .interests
            .change(&self.socket, self.far.token(), self.interest());
        changed.inspect_err(|_| self.watched.store(!watched, Ordering::Release))
    }

    /// Sends to the preferred address first; it stays as it is if the association does not have it.
    fn prefer(&self) {
        if let Some(ip) = self.primary.filter(|ip| *ip != self.far.address().ip()) {
            let mut address = self.far.address();
            address.set_ip(ip);
            let _ = socket::set_primary(self.socket.as_fd(), address);
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl sockets::Line for Line {
    #[inline]
    fn tell(&self, event: &Event, ready: &mut Vec<Ready>) {
        if self.far.is_dialing() {
            if !self.far.tell_dial(&self.socket, ready) {
                return;
            }
            self.prefer();
        }
        let broken = event.is_error() || event.is_write_closed();
        let readable = event.is_readable() || event.is_read_closed();
        if (broken || readable) && !self.ended.load(Ordering::Acquire) {
            ready.push(Ready::Readable(self.far.token()));
        }
        // The system tells room with every other event too; only who waits for it wants to know.
        if self.blocked.load(Ordering::Acquire) {
            if event.is_writable() || broken {
                ready.push(Ready::Writable(self.far.token()));
            }
        } else {
            // If it fails, room is told in vain.
            let _ = self.watch(false);
        }
    }
}

/// Throws away what has come, for with unread bytes the system would abort the association when it is closed. After an
/// error there is none to abort.
pub(crate) fn drain(socket: &Socket) {
    let mut buffer = [0; DRAIN_BYTES];
    for _ in 0..DRAIN_READS_MAX {
        let read = retry(|| sys::receive::<RECORDS_MAX>(socket.as_fd(), &mut buffer, RECORD_BYTES_MAX));
        if !read.is_ok_and(|pieces| !pieces.drained && pieces.iter().all(|piece| piece.bytes > 0)) {
            return;
        }
    }
}

fn over_by(error: &io::Error) -> Over {
    error
        .raw_os_error()
        .map_or(Over::Lost(LossReason::Aborted { cause: 0 }), Over::System)
}

/// The states of a path that the system tells of.
fn path_event(address: IpAddr, change: i32) -> Option<LinkEvent> {
    Some(match change {
        0 => LinkEvent::PathUp(address),
        1 => LinkEvent::PathDown(address),
        2 => LinkEvent::PathRemoved(address),
        3 => LinkEvent::PathAdded(address),
        4 => LinkEvent::PathPrimary(address),
        5 => LinkEvent::PathConfirmed(address),
        6 => LinkEvent::PathSuspect(address),
        _ => return None,
    })
}
