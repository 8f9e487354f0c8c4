//! The yardstick: what plain sockets do, without the protocol, without this project's crates.
//!
//! Everything else is measured beside it in the same run, because absolute figures of shared machines say little.
//!
//! | program | what it does |
//! |---|---|
//! | [`stream::unnumbered`] (R0) | writes of 64 KiB, the receiver splits frames: the ceiling |
//! | [`stream::numbered`] (R1) | the same with numbers, a ring of what is unacknowledged, one acknowledgement per read |
//! | [`ping_pong::run`] | one message there, one back: epoll, read, write |
//! | [`fan_in::run`] | many connections into one loop |
//! | [`fan_in::numbered`] | the same with numbers, rings and acknowledgements |
//!
//! Both ends run in a thread each and are pushed as far as the cores allow. Included by the benches as well: it
//! depends on the standard library, rustix and hdrhistogram alone, and for one option of SCTP on its transport.

pub(crate) mod fan_in;
pub(crate) mod meter;
pub(crate) mod ping_pong;
pub(crate) mod stream;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
#[cfg(feature = "sctp")]
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use rustix::net::{self, AddressFamily, SocketType, ipproto, sockopt};

pub(crate) use meter::{Counts, End, Meter, Start, Times};

/// What a message of ours has besides its payload on the yardstick's wire: as long as an `OPTS` header.
pub(crate) const HEAD_BYTES: usize = 24;

/// What is read at once; as a node does.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// What is written at once.
pub(crate) const WRITE_BYTES: usize = 64 << 10;

const VERSION: u32 = 0x0003_0002;
const ACK_BYTES: usize = 16;

/// What is written at once over SCTP: as long as the records that kernels and nodes write.
const RECORD_BYTES: usize = 4096;

/// The buffers of SCTP sockets, as nodes set them.
#[cfg(feature = "sctp")]
const SCTP_BUFFER_BYTES: usize = 4 << 20;

/// What carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wire {
    Tcp,
    Sctp,
}

/// How a program runs.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) wire: Wire,
    /// Bytes of a frame, its head included.
    pub(crate) frame_bytes: usize,
    pub(crate) times: Times,
    /// Both ends on one core: what repeats best.
    pub(crate) one_core: bool,
    /// The congestion control of every socket; the system's if not said.
    pub(crate) congestion: Option<String>,
}

impl Setup {
    /// Bytes that are written at once, where there are as many.
    const fn write_bytes(&self) -> usize {
        match self.wire {
            Wire::Tcp => WRITE_BYTES,
            Wire::Sctp => RECORD_BYTES,
        }
    }

    /// How many of so many frames are written at once: over SCTP no more than a record holds.
    fn per_write(&self, frames: usize) -> usize {
        match self.wire {
            Wire::Tcp => frames,
            Wire::Sctp => frames.min(RECORD_BYTES / self.frame_bytes).max(1),
        }
    }
}

/// Both ends of a connection over loopback. An association of two sockets is read and written like a stream.
pub(crate) fn pair(setup: &Setup) -> io::Result<[TcpStream; 2]> {
    let protocol = match setup.wire {
        Wire::Tcp => ipproto::TCP,
        Wire::Sctp => ipproto::SCTP,
    };
    let socket = || net::socket(AddressFamily::INET, SocketType::STREAM, Some(protocol));
    let listener = socket()?;
    net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    net::listen(&listener, 1)?;
    let one = socket()?;
    net::connect(&one, &net::getsockname(&listener)?)?;
    let other = net::accept(&listener)?;
    for socket in [&one, &other] {
        match setup.wire {
            Wire::Tcp => {
                sockopt::set_tcp_nodelay(socket, true)?;
                if let Some(name) = &setup.congestion {
                    sockopt::set_tcp_congestion(socket, name)?;
                }
            }
            #[cfg(not(feature = "sctp"))]
            Wire::Sctp => return Err(io::ErrorKind::Unsupported.into()),
            #[cfg(feature = "sctp")]
            Wire::Sctp => {
                dlmwire_sctp::set_nodelay(socket.as_fd())?;
                sockopt::set_socket_send_buffer_size(socket, SCTP_BUFFER_BYTES)?;
                sockopt::set_socket_recv_buffer_size(socket, SCTP_BUFFER_BYTES)?;
            }
        }
    }
    Ok([one.into(), other.into()])
}

/// Runs both ends, each in its thread, and gives what they counted: the sender first.
pub(crate) fn both(
    setup: &Setup,
    send: impl FnOnce(Meter) -> io::Result<End> + Send,
    receive: impl FnOnce(Meter) -> io::Result<End> + Send,
) -> io::Result<[End; 2]> {
    let start = Arc::new(Start::new(2, setup.times));
    let meter = || Meter::new(Arc::clone(&start));
    let (sending, receiving) = (meter(), meter());
    let lost = || io::Error::other("an end of the measurement panicked");
    thread::scope(|scope| {
        let send = scope.spawn(move || {
            meter::stay(setup.one_core)?;
            sending.go();
            send(sending)
        });
        let receive = scope.spawn(move || {
            meter::stay(setup.one_core)?;
            receiving.go();
            receive(receiving)
        });
        let send = send.join().map_err(|_| lost())??;
        let receive = receive.join().map_err(|_| lost())??;
        Ok([send, receive])
    })
}

/// Writes a frame's head: version, number, length; and when it was made behind it, if there is room.
pub(crate) fn encode(frame: &mut [u8], seq: u32, stamp: u64) {
    let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    let Some((head, payload)) = frame.split_first_chunk_mut::<HEAD_BYTES>() else {
        return;
    };
    head[..4].copy_from_slice(&VERSION.to_le_bytes());
    head[4..8].copy_from_slice(&seq.to_le_bytes());
    head[8..12].copy_from_slice(&1_u32.to_le_bytes());
    head[12..14].copy_from_slice(&length.to_le_bytes());
    head[14..24].copy_from_slice(&[3, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    if let Some(place) = payload.first_chunk_mut() {
        *place = stamp.to_le_bytes();
    }
}

/// A frame's number, its bytes, and what is behind it.
type Split<'a> = (u32, &'a [u8], &'a [u8]);

/// The first frame; `None` if it is not whole.
pub(crate) fn split(bytes: &[u8]) -> io::Result<Option<Split<'_>>> {
    let Some((head, _)) = bytes.split_first_chunk::<ACK_BYTES>() else {
        return Ok(None);
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let length = usize::from(u16::from_le_bytes([head[12], head[13]]));
    if word(0) != VERSION || length < ACK_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(bytes
        .split_at_checked(length)
        .map(|(frame, rest)| (word(4), frame, rest)))
}

/// When the message in a frame was made.
pub(crate) fn stamp(frame: &[u8]) -> Option<u64> {
    let payload = frame.get(HEAD_BYTES..)?;
    payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn acknowledge(mut to: &TcpStream, seq: u32) -> io::Result<()> {
    let mut ack = [0; ACK_BYTES];
    ack[..4].copy_from_slice(&VERSION.to_le_bytes());
    ack[4..8].copy_from_slice(&seq.to_le_bytes());
    ack[12..14].copy_from_slice(&16_u16.to_le_bytes());
    ack[14] = 4;
    to.write_all(&ack)
}

/// Whether the other end is gone, as it is when its time is over.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    // What SCTP says while an association is ending has no kind.
    let is_ending = error.raw_os_error() == Some(rustix::io::Errno::SHUTDOWN.raw_os_error());
    is_ending
        || matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
        )
}
