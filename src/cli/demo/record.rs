//! What the nodes send to each other, as a capture.
//!
//! Both nodes share one [`Recorder`], and what a link does (take bytes, close, reset) is done and written down in
//! one step that nothing of the other node can come between. So the capture has an order in which it could have
//! happened, as one made on the loopback interface: an acknowledgement comes behind what it acknowledges, what is
//! sent again behind the reset that made it necessary. What was under way when a connection was reset is there,
//! whether it was still read or not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, IoSlice, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dlmwire_codec::NodeId;
use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

/// The port that a capture shows, whichever was free: the one where every tool looks for DLM.
const SHOWN_PORT: u16 = 21064;

const BUFFER_BYTES: usize = 1 << 20;

/// A transport whose links are recorded.
#[derive(Debug)]
pub(super) struct Recorded<T> {
    inner: T,
    recorder: Recorder,
}

/// A link that is recorded, as one of its two ends.
#[derive(Debug)]
pub(super) struct RecordedLink<L> {
    /// `None` only while it is dropped.
    inner: Option<L>,
    flow: Flow,
    end: End,
    peer_address: SocketAddr,
    recorder: Recorder,
}

/// One capture for both nodes.
#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Mutex<Tape>>);

#[derive(Debug)]
struct Tape {
    started: Instant,
    started_at: Duration,
    /// `None` behind an error.
    writer: Option<CaptureWriter<BufWriter<File>>>,
    failed: Option<io::Error>,
    /// Memory for bytes that are to be written in one piece.
    bytes: Vec<u8>,
    connections: BTreeMap<Flow, Connection>,
}

/// The address that connected, and the one that accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Flow {
    opener: SocketAddr,
    acceptor: SocketAddr,
}

#[derive(Default, Debug)]
struct Connection {
    tcp: Option<TcpLink>,
    /// Somebody has reset it.
    reset: bool,
    /// Its ends that have closed their direction, opener and acceptor.
    closed: [bool; 2],
    /// Its ends that are there.
    held: [bool; 2],
}

impl Recorder {
    /// Starts the capture `path`.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
        let writer = CaptureWriter::pcapng_of_loopback(file, "lo")?;
        Ok(Self(Arc::new(Mutex::new(Tape {
            started: Instant::now(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            writer: Some(writer),
            failed: None,
            bytes: Vec::new(),
            connections: BTreeMap::new(),
        }))))
    }

    /// Ends the capture; what keeps it from being whole is told here.
    pub(super) fn finish(&self) -> io::Result<()> {
        let mut tape = self.lock();
        match (tape.failed.take(), tape.writer.take()) {
            (Some(error), _) => Err(error),
            (None, Some(writer)) => writer.finish()?.flush(),
            (None, None) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tape {
    /// An end of a connection is there.
    fn hold(&mut self, flow: Flow, end: End) {
        let connection = self.connections.entry(flow).or_default();
        if connection.held[index(end)] {
            *connection = Connection::default();
        }
        connection.held[index(end)] = true;
    }

    /// An end of a connection is gone, and with it what it had not closed.
    fn release(&mut self, flow: Flow, end: End) {
        self.close(flow, end);
        let Some(connection) = self.connections.get_mut(&flow) else {
            return;
        };
        connection.held[index(end)] = false;
        if connection.held == [false; 2] {
            self.connections.remove(&flow);
        }
    }

    /// A connection is there: it was accepted, or is used by the end that dialed it.
    fn open(&mut self, flow: Flow) {
        self.write(flow, |writer, time, connection| {
            if connection.tcp.is_none() {
                let mut shown = flow;
                shown.acceptor.set_port(SHOWN_PORT);
                connection.tcp = Some(TcpLink::open(writer, time, shown.opener, shown.acceptor)?);
            }
            Ok(())
        });
    }

    /// The first `count` bytes of these.
    fn bytes(&mut self, flow: Flow, from: End, slices: &[IoSlice<'_>], count: usize) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        for slice in slices {
            let room = count - bytes.len();
            bytes.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
        self.write(flow, |writer, time, connection| match &mut connection.tcp {
            Some(tcp) => tcp.send(writer, time, from, &bytes),
            None => Ok(()),
        });
        self.bytes = bytes;
    }

    fn close(&mut self, flow: Flow, from: End) {
        self.write(flow, |writer, time, connection| {
            let Some(tcp) = &mut connection.tcp else {
                return Ok(());
            };
            if connection.reset || std::mem::replace(&mut connection.closed[index(from)], true) {
                return Ok(());
            }
            tcp.close(writer, time, from)
        });
    }

    fn reset(&mut self, flow: Flow, from: End) {
        self.write(flow, |writer, time, connection| {
            let Some(tcp) = &mut connection.tcp else {
                return Ok(());
            };
            if std::mem::replace(&mut connection.reset, true) {
                return Ok(());
            }
            tcp.reset(writer, time, from)
        });
    }

    /// Writes packets of a connection. After the first error nothing is written any more.
    fn write(
        &mut self,
        flow: Flow,
        packets: impl FnOnce(&mut CaptureWriter<BufWriter<File>>, Timestamp, &mut Connection) -> io::Result<()>,
    ) {
        let time = self.started_at + self.started.elapsed();
        let time = Timestamp::from_nanos(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let (Some(writer), Some(connection)) = (&mut self.writer, self.connections.get_mut(&flow)) else {
            return;
        };
        if let Err(error) = packets(writer, time, connection) {
            self.failed = Some(error);
            self.writer = None;
        }
    }
}

impl<T: Transport> Recorded<T> {
    pub(super) const fn new(inner: T, recorder: Recorder) -> Self {
        Self { inner, recorder }
    }

    fn wrap(&self, inner: T::Link, flow: Flow, end: End) -> RecordedLink<T::Link> {
        self.recorder.lock().hold(flow, end);
        RecordedLink {
            peer_address: inner.peer_address(),
            inner: Some(inner),
            flow,
            end,
            recorder: self.recorder.clone(),
        }
    }
}

impl<T> Transport for Recorded<T>
where
    T: Transport,
    T::Link: AsFd,
{
    type Link = RecordedLink<T::Link>;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<Self::Link> {
        let link = self.inner.dial(peer, token)?;
        let socket = TcpStream::from(link.as_fd().try_clone_to_owned()?);
        let flow = Flow {
            opener: socket.local_addr()?,
            acceptor: link.peer_address(),
        };
        Ok(self.wrap(link, flow, End::Opener))
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<Self::Link>>> {
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        let flow = Flow {
            opener: link.peer_address(),
            acceptor: self.inner.local_address(),
        };
        let link = self.wrap(link, flow, End::Acceptor);
        self.recorder.lock().open(flow);
        Ok(Some(Accepted { node, link }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.wait(ready, timeout)
    }

    fn waker(&self) -> Waker {
        self.inner.waker()
    }

    fn set_roster(&mut self, roster: Roster) {
        self.inner.set_roster(roster);
    }

    fn refused(&self) -> u64 {
        self.inner.refused()
    }

    fn local_address(&self) -> SocketAddr {
        self.inner.local_address()
    }
}

impl<L> RecordedLink<L> {
    /// Whoever loses the link was not the one who broke it.
    fn lost(&self, tape: &mut Tape, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            tape.reset(self.flow, self.end.other());
        }
    }
}

impl<L: Link> Link for RecordedLink<L> {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let outcome = inner.receive(buffer);
        if let Err(error) = &outcome {
            self.lost(&mut self.recorder.lock(), error);
        }
        outcome
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut tape = self.recorder.lock();
        tape.open(self.flow);
        let outcome = inner.send(slices);
        match &outcome {
            Ok(taken) => tape.bytes(self.flow, self.end, slices, *taken),
            Err(error) => self.lost(&mut tape, error),
        }
        outcome
    }

    fn close_send(&mut self) -> io::Result<()> {
        let inner = self.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut tape = self.recorder.lock();
        let outcome = inner.close_send();
        match &outcome {
            Ok(()) => tape.close(self.flow, self.end),
            Err(error) => self.lost(&mut tape, error),
        }
        outcome
    }

    fn abort(mut self) {
        let mut tape = self.recorder.lock();
        if let Some(inner) = self.inner.take() {
            tape.reset(self.flow, self.end);
            inner.abort();
        }
        drop(tape);
    }

    fn peer_address(&self) -> SocketAddr {
        self.peer_address
    }
}

impl<L> Drop for RecordedLink<L> {
    fn drop(&mut self) {
        let mut tape = self.recorder.lock();
        tape.release(self.flow, self.end);
        drop(self.inner.take());
    }
}

const fn index(end: End) -> usize {
    match end {
        End::Opener => 0,
        End::Acceptor => 1,
    }
}
