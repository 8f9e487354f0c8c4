//! A whole file of events.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::event::{Direction, EventKind, TraceEvent};
use super::fields::{FieldError, Fields};
use super::line::{EventLine, Line, nanoseconds};

/// How a file begins that gzip compressed.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The longest line that is looked at, in bytes: two buffers of a frame in hexadecimal, and more. What follows is
/// skipped.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Events kept of one file; what comes after that many is counted only.
pub const EVENTS_MAX: usize = 2 << 20;

/// Bytes of messages, and of the names of their resources, kept of one file.
const FRAME_BYTES_MAX: usize = 512 << 20;

/// Bad lines and losses kept of one file; more are counted only.
const KEPT_MAX: usize = 1000;

/// The events of one file, and what kept others from being among them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// Events of the messaging layer, in the file's order.
    pub events: Vec<TraceEvent>,
    /// Lines of the file.
    pub lines_read: u64,
    /// Events of other names.
    pub other_events: u64,
    /// Lines that cannot be read, the first 1000.
    pub bad: Vec<BadLine>,
    /// How many they are.
    pub bad_lines: u64,
    /// Where the kernel lost events, the first 1000.
    pub losses: Vec<Loss>,
    /// Events that were too long for the kernel's own line buffer: they happened, and what they said is lost.
    pub too_big: u64,
    /// What time a trace's time is, where the file says it.
    pub clock: Option<ClockPair>,
    /// Events left out because there were more than are kept.
    pub left_out: u64,
}

/// A line that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is neither an event nor a comment.
    NoEvent,
    /// It is longer than any event.
    TooLong,
    /// It is not UTF-8.
    NotText,
    /// One of our events with fields that make no sense.
    Fields(FieldError),
    /// A `# clock` line without two times.
    Clock,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEvent => f.write_str("neither an event nor a comment"),
            Self::TooLong => write!(f, "longer than {LINE_BYTES_MAX} bytes"),
            Self::NotText => f.write_str("not UTF-8"),
            Self::Fields(error) => error.fmt(f),
            Self::Clock => f.write_str("a clock line has to say `: trace=SECONDS realtime=SECONDS`"),
        }
    }
}

/// Events that the kernel lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loss {
    /// The line that says so.
    pub line: u64,
    /// How many, where it is known.
    pub events: Option<u64>,
}

/// One moment on two clocks, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockPair {
    /// On the trace's clock.
    pub trace: u64,
    /// Since the Unix epoch, as captures have it.
    pub realtime: u64,
}

impl Trace {
    /// Reads the trace at `path`, plain or compressed by gzip; what it is decide its first bytes, not its name.
    ///
    /// # Errors
    ///
    /// What opening, reading or decompressing gives.
    pub fn read_path(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        if file.fill_buf()?.starts_with(&GZIP) {
            Self::read(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Self::read(file)
        }
    }

    /// Reads a trace: text of tracefs or of `trace-cmd report`.
    ///
    /// # Errors
    ///
    /// What reading gives. Lines that make no sense are no error: they are counted and named.
    pub fn read(mut input: impl BufRead) -> io::Result<Self> {
        let mut reading = Reading::default();
        let mut line = Vec::new();
        loop {
            let read = read_line(&mut input, &mut line)?;
            if read == Fetched::End {
                return Ok(reading.trace);
            }
            reading.trace.lines_read += 1;
            if read == Fetched::TooLong {
                reading.bad(Fault::TooLong);
            } else if let Ok(text) = std::str::from_utf8(&line) {
                reading.line(text);
            } else {
                reading.bad(Fault::NotText);
            }
        }
    }

    /// Whether every event that happened while the kernel traced is here, readable.
    pub const fn is_whole(&self) -> bool {
        self.losses.is_empty() && self.bad_lines == 0 && self.left_out == 0
    }
}

#[derive(Default)]
struct Reading {
    trace: Trace,
    frame_bytes: usize,
}

impl Reading {
    fn bad(&mut self, fault: Fault) {
        self.trace.bad_lines += 1;
        if self.trace.bad.len() < KEPT_MAX {
            let line = self.trace.lines_read;
            self.trace.bad.push(BadLine { line, fault });
        }
    }

    fn lost(&mut self, events: Option<u64>) {
        if self.trace.losses.len() < KEPT_MAX {
            let line = self.trace.lines_read;
            self.trace.losses.push(Loss { line, events });
        }
    }

    fn line(&mut self, text: &str) {
        match Line::parse(text) {
            Line::Event(event) => match decode(&event) {
                Some(Ok(kind)) => self.event(&event, kind),
                Some(Err(error)) => self.bad(Fault::Fields(error)),
                None => self.trace.other_events += 1,
            },
            Line::Lost(events) => self.lost(events),
            Line::TooBig => self.trace.too_big += 1,
            Line::Comment(comment) => self.comment(comment),
            Line::Nothing => {}
            Line::Unknown => self.bad(Fault::NoEvent),
        }
    }

    fn event(&mut self, line: &EventLine<'_>, kind: EventKind) {
        let bytes = match &kind {
            EventKind::Message(message) => message.frame.len() + message.resource.len(),
            EventKind::Socket(_) => 0,
        };
        self.frame_bytes = self.frame_bytes.saturating_add(bytes);
        if self.trace.events.len() >= EVENTS_MAX || self.frame_bytes > FRAME_BYTES_MAX {
            self.trace.left_out += 1;
            return;
        }
        self.trace.events.push(TraceEvent {
            line: self.trace.lines_read,
            time: line.time,
            cpu: line.cpu,
            kind,
        });
    }

    fn comment(&mut self, comment: &str) {
        if let Some(clock) = comment.strip_prefix("clock") {
            match clock_pair(clock).or_else(|| clock_equation(clock)) {
                Some(pair) => self.trace.clock = Some(pair),
                None => self.bad(Fault::Clock),
            }
        } else if let Some(counts) = comment.strip_prefix("entries-in-buffer/entries-written:")
            && let Some(overwritten) = overwritten(counts).filter(|count| *count > 0)
        {
            // The ring was too small: the oldest events are gone.
            self.lost(Some(overwritten));
        }
    }
}

/// What an event says, unless it is one of another name.
fn decode(line: &EventLine<'_>) -> Option<Result<EventKind, FieldError>> {
    let fields = || Fields::new(line.fields);
    Some(match line.name {
        "dlm_send" => fields().socket_call(Direction::Sent).map(EventKind::Socket),
        "dlm_recv" => fields().socket_call(Direction::Received).map(EventKind::Socket),
        "dlm_send_message" => fields().lock_message(Direction::Sent).map(EventKind::Message),
        "dlm_recv_message" => fields().lock_message(Direction::Received).map(EventKind::Message),
        "dlm_send_rcom" => fields().recovery_message(Direction::Sent).map(EventKind::Message),
        "dlm_recv_rcom" => fields()
            .recovery_message(Direction::Received)
            .map(EventKind::Message),
        _ => return None,
    })
}

/// ` mono SECONDS = realtime SECONDS +- SECONDS`, the clock's name as the kernel has it.
fn clock_equation(text: &str) -> Option<ClockPair> {
    let (trace, realtime) = text.split_once(" = realtime ")?;
    Some(ClockPair {
        trace: nanoseconds(trace.rsplit(' ').next()?)?,
        realtime: nanoseconds(realtime.split(' ').next()?)?,
    })
}

/// `: trace=SECONDS realtime=SECONDS`.
fn clock_pair(text: &str) -> Option<ClockPair> {
    let time = |label: &str| {
        let mut words = text.split_ascii_whitespace();
        words.find_map(|word| nanoseconds(word.strip_prefix(label)?))
    };
    Some(ClockPair {
        trace: time("trace=")?,
        realtime: time("realtime=")?,
    })
}

/// ` 205/1205   #P:2`: what was written and is not in the buffer any more.
fn overwritten(text: &str) -> Option<u64> {
    let (kept, written) = text.split_ascii_whitespace().next()?.split_once('/')?;
    let [kept, written]: [u64; 2] = [kept.parse().ok()?, written.parse().ok()?];
    Some(written.saturating_sub(kept))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fetched {
    Line,
    TooLong,
    End,
}

/// Reads one line of bounded length.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Fetched> {
    line.clear();
    let read = Read::take(&mut *input, LINE_BYTES_MAX).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(Fetched::End);
    }
    if line.last() == Some(&b'\n') || u64::try_from(read).is_ok_and(|read| read < LINE_BYTES_MAX) {
        return Ok(Fetched::Line);
    }
    input.skip_until(b'\n')?;
    Ok(Fetched::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_resource_counts_towards_what_is_kept() {
        let text = |name: &str| {
            format!(
                "k-1 [000] ..... 1.000001: dlm_recv_message: dst=1 h_seq=1 h_version=3.2 h_lockspace=1 h_nodeid=2 \
                 h_length=88 h_cmd=MSG m_type=GRANT m_nodeid=2 m_pid=0 m_lkid=5 m_remid=6 m_parent_lkid=0 \
                 m_parent_remid=0 m_exflags= m_sbflags= m_flags= m_lvbseq=0 m_hash=0 m_status=2 m_grmode=EX \
                 m_rqmode=IV m_bastmode=IV m_asts=0 m_result=0 m_extra= res_name=0x{name}"
            )
        };
        for (name, left_out) in [("", 0), ("61", 0), ("616161", 1)] {
            let mut reading = Reading {
                frame_bytes: FRAME_BYTES_MAX - 90,
                ..Reading::default()
            };
            reading.line(&text(name));
            assert_eq!(reading.trace.bad, []);
            assert_eq!(reading.trace.left_out, left_out, "{name}");
        }
    }
}
