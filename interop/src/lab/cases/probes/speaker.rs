//! Node 2 by script: answers what recovery asks, keeps numbers, and says besides whatever a probe wants.
//!
//! No thread: it lives while somebody [listens](Speaker::listen_until). spec: kernel-lab 4, "Minimum to be accepted".

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use dlmwire_codec::{Frame, Inner, Limits, Msg, MsgType, Payload, Rcom, RcomType, Split, split};

use super::frames::{Pen, Request};
use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::netns::Namespace;
use crate::lab::guest::raw_peer::{RawListener, RawPeer};

/// One look at one connection.
const GLANCE: Duration = Duration::from_millis(1);
/// Frames that are remembered; a probe sees a few dozen.
const HEARD_MAX: usize = 100_000;
/// Connections of one probe.
const LINES_MAX: usize = 64;

/// Our node.
pub(super) struct Speaker {
    pub(super) pen: Pen,
    pub(super) habits: Habits,
    /// Whether the kernel wraps: 3.2.
    pub(super) wraps: bool,
    /// The number of the next `OPTS`.
    pub(super) send_next: u32,
    /// The number that is expected of the kernel.
    pub(super) recv_next: u32,
    /// The frame with number 0, once it was made.
    pub(super) first: Option<Vec<u8>>,
    /// The connection on which we speak unless told otherwise.
    pub(super) voice: LineId,
    pub(super) heard: Vec<Heard>,
    namespace: Namespace,
    ours: IpAddr,
    kernel: SocketAddr,
    listener: RawListener,
    lines: Vec<Line>,
}

/// What it does by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    /// Acknowledges what comes in order.
    pub(super) acks: bool,
    /// Acknowledges a `FIN`.
    pub(super) acks_fin: bool,
    /// Answers a `FIN` with one of its own.
    pub(super) answers_fin: bool,
}

/// A connection, in the order in which they came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineId(usize);

/// A frame of the kernel's.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The connection on which it came.
    pub(super) line: LineId,
    /// Its number, if it was wrapped.
    pub(super) number: Option<u32>,
    pub(super) what: What,
}

/// What a frame says, as far as probes look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Status,
    StatusReply {
        result: i32,
        id: u64,
        lvblen: u32,
        seq: u64,
    },
    Names,
    Rcom(String),
    Msg {
        msg_type: MsgType,
        lkid: u32,
        node: i32,
        result: i32,
    },
    Ack(u32),
    Fin,
    Strange(String),
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    ByKernel,
    ByUs,
}

struct Line {
    raw: Option<RawPeer>,
    opened: Opened,
}

impl Habits {
    /// A good neighbour.
    pub(super) const GOOD: Self = Self {
        acks: true,
        acks_fin: true,
        answers_fin: true,
    };
}

impl Speaker {
    /// Listens; the kernel may connect.
    pub(super) fn start(
        namespace: &Namespace,
        ours: IpAddr,
        kernel: SocketAddr,
        pen: Pen,
        wraps: bool,
    ) -> Result<Self> {
        let listener = RawPeer::listen(namespace, SocketAddr::new(ours, kernel.port()))?;
        Ok(Self {
            pen,
            habits: Habits::GOOD,
            wraps,
            send_next: 0,
            recv_next: 0,
            first: None,
            voice: LineId(0),
            heard: Vec::new(),
            namespace: namespace.clone(),
            ours,
            kernel,
            listener,
            lines: Vec::new(),
        })
    }

    /// Listens until `done` says so; whether it did within `limit`.
    pub(super) fn listen_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            self.glance()?;
            if done(self)? {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
        }
    }

    /// Listens for so long.
    pub(super) fn listen_for(&mut self, duration: Duration) -> Result<()> {
        self.listen_until(duration, |_| Ok(false)).map(drop)
    }

    /// Sends bytes on the connection on which we speak.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        self.say_on(self.voice, bytes)
    }

    /// Sends bytes on a connection.
    pub(super) fn say_on(&mut self, line: LineId, bytes: &[u8]) -> Result<()> {
        match self.lines.get_mut(line.0).and_then(|line| line.raw.as_mut()) {
            Some(raw) => raw.send(bytes),
            None => Err(LabError::unexpected(format!(
                "connection {} is not there to send on",
                line.0
            ))),
        }
    }

    /// Wraps and numbers, or leaves bare towards a kernel that knows no numbers.
    pub(super) fn in_order(&mut self, inner: &[u8]) -> Vec<u8> {
        if !self.wraps {
            return inner.to_vec();
        }
        let frame = self.pen.wrap(self.send_next, inner);
        if self.send_next == 0 {
            self.first = Some(frame.clone());
        }
        self.send_next = self.send_next.wrapping_add(1);
        frame
    }

    /// Opens one more connection; from now on we speak on it.
    pub(super) fn dial(&mut self) -> Result<LineId> {
        let raw = RawPeer::connect(&self.namespace, self.ours, self.kernel)?;
        self.voice = self.add(raw, Opened::ByUs)?;
        Ok(self.voice)
    }

    /// The newest connection that this side opened and that is not over.
    pub(super) fn newest(&self, opened: Opened) -> Option<LineId> {
        let found = self
            .lines
            .iter()
            .rposition(|line| line.opened == opened && line.raw.is_some());
        found.map(LineId)
    }

    pub(super) fn is_open(&self, line: LineId) -> bool {
        self.lines.get(line.0).is_some_and(|line| line.raw.is_some())
    }

    /// How many connections there were.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// Resets a connection.
    pub(super) fn reset(&mut self, line: LineId) -> Result<()> {
        self.take(line).map_or(Ok(()), RawPeer::reset)
    }

    /// Resets every connection.
    pub(super) fn reset_all(&mut self) -> Result<()> {
        (0..self.lines.len()).try_for_each(|line| self.reset(LineId(line)))
    }

    /// Ends every connection in order, having read everything that came.
    pub(super) fn close_all(&mut self) -> Result<()> {
        self.glance()?;
        for line in 0..self.lines.len() {
            if let Some(raw) = self.take(LineId(line)) {
                raw.close();
            }
        }
        Ok(())
    }

    /// Begins a new conversation: numbers from 0.
    pub(super) fn begin_again(&mut self) {
        (self.send_next, self.recv_next, self.first) = (0, 0, None);
    }

    /// One look at everything.
    fn glance(&mut self) -> Result<()> {
        while let Ok(raw) = self.listener.accept(Duration::ZERO) {
            let line = self.add(raw, Opened::ByKernel)?;
            if !self.is_open(self.voice) {
                self.voice = line;
            }
        }
        for line in 0..self.lines.len() {
            while let Some(frame) = self.frame(line) {
                self.hear(LineId(line), &frame)?;
            }
        }
        Ok(())
    }

    /// The next frame of a connection, if one is there; a connection that is over is taken away.
    fn frame(&mut self, line: usize) -> Option<Vec<u8>> {
        let line = self.lines.get_mut(line)?;
        match line.raw.as_mut()?.frame(GLANCE) {
            Ok(Some(frame)) => Some(frame),
            Err(LabError::Deadline { .. }) => None,
            // At its end, or reset: what matters is that it is over.
            Ok(None) | Err(_) => {
                line.raw = None;
                None
            }
        }
    }

    fn hear(&mut self, line: LineId, bytes: &[u8]) -> Result<()> {
        let (number, what, request) = read(bytes);
        if self.heard.len() >= HEARD_MAX {
            return Err(LabError::unexpected("the kernel does not stop sending"));
        }
        self.heard.push(Heard {
            line,
            number,
            what: what.clone(),
        });
        if let Some(number) = number {
            if number != self.recv_next {
                return Ok(());
            }
            self.recv_next = number.wrapping_add(1);
            if if what == What::Fin {
                self.habits.acks_fin
            } else {
                self.habits.acks
            } {
                self.answer(line, &self.pen.ack(self.recv_next)?);
            }
        }
        match (what, request) {
            (What::Status, Some(request)) => self.answer(line, &self.pen.status_reply(request)?),
            (What::Names, Some(request)) => self.answer(line, &self.pen.names_reply(request)?),
            (What::Fin, _) if self.habits.answers_fin => {
                let fin = self.in_order(&self.pen.fin());
                self.answer(line, &fin);
            }
            _ => {}
        }
        Ok(())
    }

    /// Answers where it was asked: on the connection on which we speak while that is there, else on the same one.
    fn answer(&mut self, line: LineId, bytes: &[u8]) {
        let place = if self.is_open(self.voice) {
            self.voice
        } else {
            line
        };
        // A connection that breaks under an answer shows at the next look at it.
        let _ = self.say_on(place, bytes);
    }

    fn add(&mut self, raw: RawPeer, opened: Opened) -> Result<LineId> {
        if self.lines.len() >= LINES_MAX {
            return Err(LabError::unexpected("too many connections in one probe"));
        }
        self.lines.push(Line {
            raw: Some(raw),
            opened,
        });
        Ok(LineId(self.lines.len() - 1))
    }

    fn take(&mut self, line: LineId) -> Option<RawPeer> {
        self.lines.get_mut(line.0)?.raw.take()
    }
}

/// Number, content, and what a reply would have to copy.
fn read(bytes: &[u8]) -> (Option<u32>, What, Option<Request>) {
    let strange = |error: &dyn std::fmt::Display| (None, What::Strange(error.to_string()), None);
    let frame = match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, .. } => frame.decode(),
        Split::NeedMore { .. } => return strange(&"half a frame"),
        Split::Lost(error) => Err(error),
    };
    match frame {
        Ok(Frame::Ack(ack)) => (None, What::Ack(ack.seq.get()), None),
        Ok(Frame::Msg(msg)) => (None, message(&msg), None),
        Ok(Frame::Rcom(rcom)) => (None, recovery(&rcom), Some(request(&rcom))),
        Ok(Frame::Opts(opts)) => {
            let number = Some(opts.seq.get());
            match &opts.inner {
                Ok(Inner::Fin) => (number, What::Fin, None),
                Ok(Inner::Msg(msg)) => (number, message(msg), None),
                Ok(Inner::Rcom(rcom)) => (number, recovery(rcom), Some(request(rcom))),
                Err(error) => (number, What::Strange(error.to_string()), None),
            }
        }
        Err(error) => strange(&error),
    }
}

fn message(msg: &Msg<'_>) -> What {
    What::Msg {
        msg_type: msg.msg_type(),
        lkid: msg.lkid(),
        node: msg.nodeid().cast_signed(),
        result: msg.result().wire(),
    }
}

fn recovery(rcom: &Rcom<'_>) -> What {
    match rcom.rcom_type() {
        RcomType::Status => What::Status,
        RcomType::Names => What::Names,
        RcomType::StatusReply => What::StatusReply {
            result: rcom.result(),
            id: rcom.id(),
            lvblen: match rcom.payload() {
                Ok(Payload::StatusReply { config, .. }) => config.lvblen,
                _ => 0,
            },
            seq: rcom.seq(),
        },
        other => What::Rcom(other.to_string()),
    }
}

fn request(rcom: &Rcom<'_>) -> Request {
    Request {
        lockspace: rcom.lockspace(),
        id: rcom.id(),
        seq: rcom.seq(),
    }
}
