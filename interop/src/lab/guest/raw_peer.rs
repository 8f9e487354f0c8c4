//! A peer that says whatever a case wants: one TCP connection in the peer's namespace, frames by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::error::{At, LabError, Result};
use super::netns::Namespace;
use super::wait;

/// The longest frame that a kernel sends.
const FRAME_MAX: usize = 65_536;
/// How long one write may take.
const WRITE: Duration = Duration::from_secs(10);
/// The header of a frame, as far as its length.
const HEADER_LEN: usize = 16;
/// Where the length stands, two bytes.
const LENGTH_AT: usize = 12;

/// One connection with the kernel.
pub struct RawPeer {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Waits for the kernel to connect.
pub struct RawListener {
    listener: TcpListener,
}

/// How the kernel ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// In order.
    Eof,
    /// By a reset.
    Reset,
}

impl RawListener {
    /// Listens in the peer's namespace.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn bind(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let what = format!("listen on {address}");
        let listener = namespace.within(|| {
            let socket = socket(address, &what)?;
            socket.bind(&address.into()).on(&what)?;
            socket.listen(16).on(&what)?;
            Ok(TcpListener::from(socket))
        })?;
        listener.set_nonblocking(true).on(&what)?;
        Ok(Self { listener })
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`.
    pub fn accept(&self, limit: Duration) -> Result<RawPeer> {
        let stream = wait::until("a connection of the kernel", limit, || {
            match self.listener.accept() {
                Ok((stream, _)) => Ok(Some(stream)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(LabError::system("accept", error)),
            }
        })?;
        RawPeer::new(stream)
    }
}

impl RawPeer {
    /// Listens in the peer's namespace.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub fn listen(namespace: &Namespace, address: SocketAddr) -> Result<RawListener> {
        RawListener::bind(namespace, address)
    }

    /// Connects from the peer's namespace, from this address of it.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be reached.
    pub fn connect(namespace: &Namespace, source: IpAddr, to: SocketAddr) -> Result<Self> {
        let what = format!("connect from {source} to {to}");
        let stream = namespace.within(|| {
            let socket = socket(to, &what)?;
            socket.bind(&SocketAddr::new(source, 0).into()).on(&what)?;
            socket.connect_timeout(&to.into(), WRITE).on(&what)?;
            Ok(TcpStream::from(socket))
        })?;
        Self::new(stream)
    }

    /// Sends these bytes, whatever they are.
    ///
    /// # Errors
    ///
    /// When the connection does not take them.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .on(&format!("send {} bytes", bytes.len()))
    }

    /// The next frame of the kernel's, `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or the connection is reset.
    pub fn frame(&mut self, limit: Duration) -> Result<Option<Vec<u8>>> {
        let end = Instant::now() + limit;
        loop {
            if let Some(frame) = take_frame(&mut self.read) {
                return Ok(Some(frame));
            }
            match self.fill(end.saturating_duration_since(Instant::now()))? {
                Filled::Bytes => {}
                Filled::End => return Ok(None),
                Filled::Nothing => {
                    return Err(LabError::Deadline {
                        waited_for: "a frame of the kernel".to_owned(),
                        after: limit,
                        seen: format!("{} bytes of one", self.read.len()),
                    });
                }
            }
        }
    }

    /// Every frame that comes within `duration`, or until the connection ends.
    pub fn drain(&mut self, duration: Duration) -> Vec<Vec<u8>> {
        let end = Instant::now() + duration;
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.frame(end.saturating_duration_since(Instant::now())) {
            frames.push(frame);
        }
        frames
    }

    /// How the kernel ends the connection; frames that come before are thrown away.
    ///
    /// # Errors
    ///
    /// When it does not within `limit`.
    pub fn closed_within(&mut self, limit: Duration) -> Result<Closed> {
        let end = Instant::now() + limit;
        loop {
            self.read.clear();
            match self.fill(end.saturating_duration_since(Instant::now())) {
                Ok(Filled::Bytes) => {}
                Ok(Filled::End) => return Ok(Closed::Eof),
                Ok(Filled::Nothing) => {
                    return Err(LabError::Deadline {
                        waited_for: "the kernel to close the connection".to_owned(),
                        after: limit,
                        seen: String::new(),
                    });
                }
                Err(LabError::System { source, .. }) if source.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Closed::Reset);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the connection by a reset.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn reset(self) -> Result<()> {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).on("reset a connection")
    }

    /// Ends the connection in order.
    pub fn close(self) {
        drop(self.stream);
    }

    fn new(stream: TcpStream) -> Result<Self> {
        let what = "set up a connection";
        stream.set_nonblocking(false).on(what)?;
        stream.set_nodelay(true).on(what)?;
        stream.set_write_timeout(Some(WRITE)).on(what)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Reads once, waiting `limit` at most.
    fn fill(&mut self, limit: Duration) -> Result<Filled> {
        let limit = limit.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(limit)).on("set a limit")?;
        let mut bytes = [0; 8192];
        match self.stream.read(&mut bytes) {
            Ok(0) => Ok(Filled::End),
            Ok(len) => {
                self.read.extend_from_slice(&bytes[..len]);
                if self.read.len() > 2 * FRAME_MAX {
                    return Err(LabError::unexpected("bytes of the kernel that make no frame"));
                }
                Ok(Filled::Bytes)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(Filled::Nothing)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Filled::Bytes),
            Err(error) => Err(LabError::system("read from the kernel", error)),
        }
    }
}

enum Filled {
    Bytes,
    End,
    Nothing,
}

fn socket(address: SocketAddr, what: &str) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).on(what)?;
    socket.set_reuse_address(true).on(what)?;
    Ok(socket)
}

/// Takes the first whole frame out of what was read.
fn take_frame(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = read.get(LENGTH_AT..LENGTH_AT + 2)?;
    let length = usize::from(u16::from_le_bytes([length[0], length[1]])).max(HEADER_LEN);
    if read.len() < length {
        return None;
    }
    let rest = read.split_off(length);
    Some(std::mem::replace(read, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_taken_when_it_is_whole() {
        let mut ack = vec![2, 0, 3, 0, 7, 0, 0, 0, 1, 0, 0, 0, 16, 0, 4, 0];
        let whole = ack.clone();
        ack.extend(&whole[..15]);
        assert_eq!(take_frame(&mut ack), Some(whole.clone()));
        assert_eq!(take_frame(&mut ack), None);
        ack.push(0);
        assert_eq!(take_frame(&mut ack), Some(whole));
        assert!(ack.is_empty());
    }

    #[test]
    fn frame_with_a_length_below_its_header_does_not_stand_still() {
        let mut bytes = vec![0; 16];
        assert_eq!(take_frame(&mut bytes).map(|frame| frame.len()), Some(16));
        assert!(bytes.is_empty());
    }

    #[test]
    fn connection_reset_or_closed_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        for (linger, expected) in [(None, Closed::Eof), (Some(Duration::ZERO), Closed::Reset)] {
            let ours = TcpStream::connect(address).expect("connected");
            let (theirs, _) = listener.accept().expect("accepted");
            Socket::from(theirs).set_linger(linger).expect("set");
            let mut raw = RawPeer::new(ours).expect("a peer");
            assert_eq!(
                raw.closed_within(Duration::from_secs(20)).expect("closed"),
                expected
            );
        }
    }
}
