//! The node's side of the control socket: one thread, one client at a time.

use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, NodeId};

use super::{Answer, LINE_BYTES_MAX, Request, from_line, to_line};
use crate::config::parse_lockspace;
use crate::event::outcome_text;
use crate::{HandleError, NodeHandle};

/// How long a client may take for a line, and to take its answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the loop may take to tell its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time that a shutdown is waited for.
const SHUTDOWN_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Requests of one connection, so that nobody keeps the others out.
const REQUESTS_MAX: usize = 64;

/// Serves a control socket until it is dropped; the socket's file goes with it.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at `path`, for this user only. A socket that is left there and dead is replaced.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there, and what the operating system says.
    pub fn start(path: &Path, handle: NodeHandle) -> io::Result<Self> {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && is_socket(path)? => {
                std::fs::remove_file(path)?;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let thread = std::thread::Builder::new()
            .name("dlmwire-control".to_owned())
            .spawn(move || serve(&listener, &handle, &seen))?;
        Ok(Self {
            path: path.to_owned(),
            stopping,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Ends the accept. Where that fails somebody has removed the socket, and nobody can end the thread.
        if UnixStream::connect(&self.path).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _panicked = thread.join();
        }
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Whether a socket lies there; connecting to a plain file is refused as well.
fn is_socket(path: &Path) -> io::Result<bool> {
    Ok(std::fs::symlink_metadata(path)?.file_type().is_socket())
}

fn serve(listener: &UnixListener, handle: &NodeHandle, stopping: &AtomicBool) {
    while let Ok((stream, _)) = listener.accept() {
        if stopping.load(Ordering::SeqCst) {
            return;
        }
        if let Err(error) = serve_client(stream, handle) {
            tracing::debug!("control client: {error}");
        }
    }
}

fn serve_client(mut stream: UnixStream, handle: &NodeHandle) -> io::Result<()> {
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut buffer = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let answer = match read_line(&mut stream, &mut buffer)? {
            Line::Whole(line) => match from_line::<Request>(&line) {
                Ok(request) => {
                    carry_out(&request, handle).unwrap_or_else(|message| Answer::Error { message })
                }
                Err(error) => Answer::Error {
                    message: format!("request: {error}"),
                },
            },
            Line::TooLong => {
                let message = format!("request: line exceeds limit {LINE_BYTES_MAX}");
                return stream.write_all(to_line(&Answer::Error { message }).as_bytes());
            }
            Line::End => return Ok(()),
        };
        stream.write_all(to_line(&answer).as_bytes())?;
    }
    Ok(())
}

enum Line {
    Whole(String),
    TooLong,
    End,
}

/// The next line; `buffer` keeps what came behind it.
fn read_line(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> io::Result<Line> {
    let deadline = Instant::now() + CLIENT_TIMEOUT;
    loop {
        if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            return Ok(Line::Whole(String::from_utf8_lossy(&line).into_owned()));
        }
        if buffer.len() >= LINE_BYTES_MAX {
            return Ok(Line::TooLong);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut piece = [0; LINE_BYTES_MAX];
        let room = piece.get_mut(..LINE_BYTES_MAX - buffer.len()).unwrap_or_default();
        match stream.read(room)? {
            0 => return Ok(Line::End),
            read => buffer.extend_from_slice(room.get(..read).unwrap_or_default()),
        }
    }
}

fn carry_out(request: &Request, handle: &NodeHandle) -> Result<Answer, String> {
    let why = |error: HandleError| error.to_string();
    match request {
        Request::Status => {
            let status = handle.status(STATUS_TIMEOUT).map_err(why)?;
            Ok(Answer::Status {
                status: Box::new(status),
            })
        }
        Request::Add { node, lockspace } => {
            let (node, lockspace) = member(*node, lockspace)?;
            handle.add_member(node, lockspace).map_err(why)?;
            Ok(Answer::Done)
        }
        Request::Remove { node, lockspace } => {
            let (node, lockspace) = member(*node, lockspace)?;
            handle.remove_member(node, lockspace).map_err(why)?;
            Ok(Answer::Done)
        }
        Request::Fence { node } => {
            handle.fence(node_id(*node)?).map_err(why)?;
            Ok(Answer::Done)
        }
        Request::Shutdown { timeout_ms } => {
            let timeout = Duration::from_millis(*timeout_ms).min(SHUTDOWN_TIMEOUT_MAX);
            let outcome = handle.shutdown(timeout).map_err(why)?;
            Ok(Answer::ShutDown {
                outcome: outcome_text(outcome).to_owned(),
            })
        }
        Request::Stop => {
            handle.stop();
            Ok(Answer::Done)
        }
    }
}

fn member(node: u32, lockspace: &str) -> Result<(NodeId, LockspaceId), String> {
    let lockspace = parse_lockspace(lockspace).map_err(|error| format!("lockspace: {error}"))?;
    Ok((node_id(node)?, lockspace))
}

fn node_id(node: u32) -> Result<NodeId, String> {
    NodeId::new(node).ok_or_else(|| "node: 0 is no node id".to_owned())
}
