//! Reading captures: files or standard input, with progress, and an end as soon as nobody wants more.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dlmwire_codec::RawFrame;
use dlmwire_interop::capture::{
    self, CaptureError, End, Event, LinkId, Options, Place, Side, Sink, Stamp, Summary,
};
use indicatif::{ProgressBar, ProgressStyle};

use super::error::Error;
use super::nodes::Nodes;

/// Smaller files are read before a progress bar could be looked at.
const PROGRESS_BYTES_MIN: u64 = 32 << 20;

/// How many packets are looked at beforehand to learn which node has which address.
const LEARN_PACKETS: u64 = 4096;

/// Ends reading from within a sink.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// What is read now is the last.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Reads the capture at `path`, or standard input if that is `-`, until its end or until `stop` says so.
pub(crate) fn read(
    path: &Path,
    options: &Options,
    stop: &Stop,
    sink: &mut dyn Sink,
) -> Result<Summary, Error> {
    let (source, bar) = open(path)?;
    let reader = Stoppable {
        source: bar.wrap_read(source),
        stop: stop.clone(),
    };
    let outcome = capture::read(reader, options, sink);
    bar.finish_and_clear();
    outcome.map_err(|source| capture_error(path, source))
}

/// Learns from the start of a file which node has which address, so that the first messages show it too.
///
/// Pipes can be read only once, and what keeps a file from being read shows when it is read for good.
pub(crate) fn learn_nodes(path: &Path, options: &Options, nodes: &mut Nodes) {
    // Asked before it is opened: a pipe without a writer would make us wait.
    if !path.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return;
    }
    let Ok(file) = File::open(path) else {
        return;
    };
    let stop = Stop::default();
    let reader = Stoppable {
        source: file,
        stop: stop.clone(),
    };
    let mut sink = |at: Stamp, event: Event<'_>| {
        nodes.take(&event);
        if at.packet >= LEARN_PACKETS {
            stop.stop();
        }
    };
    let _ = capture::read(reader, options, &mut sink).map(drop);
    nodes.forget_links();
}

/// What kept a capture from being read to its end, if anything did.
pub(crate) fn unread(path: &Path, summary: &Summary) -> Option<Error> {
    let reason = match &summary.end {
        End::Complete => return None,
        End::Truncated { packet, offset } => {
            format!("the capture ends inside packet {packet}, whose record starts at byte {offset}")
        }
        End::Damaged(error) => format!(
            "the capture is damaged, what follows is lost: {}",
            with_cause(error)
        ),
    };
    Some(Error::Unread {
        place: path.to_owned(),
        reason,
    })
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, ProgressBar), Error> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), ProgressBar::hidden()));
    }
    let file = File::open(path).map_err(|error| Error::read(path, error))?;
    let metadata = file.metadata().map_err(|error| Error::read(path, error))?;
    if metadata.is_dir() {
        return Err(Error::read(path, io::ErrorKind::IsADirectory.into()));
    }
    let bar = if metadata.len() >= PROGRESS_BYTES_MIN && io::stderr().is_terminal() {
        progress(metadata.len())
    } else {
        ProgressBar::hidden()
    };
    Ok((Box::new(file), bar))
}

fn progress(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    let bar = ProgressBar::new(bytes);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A capture that cannot be read at all.
fn capture_error(path: &Path, source: CaptureError) -> Error {
    Error::Capture {
        place: path.to_owned(),
        source,
    }
}

/// An error with what the operating system said.
pub(crate) fn with_cause(error: &CaptureError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A message on a link, in time or behind a reset.
#[derive(Clone, Copy)]
pub(crate) struct FrameEvent<'a> {
    pub(crate) link: LinkId,
    pub(crate) from: Side,
    pub(crate) frame: RawFrame<'a>,
    pub(crate) place: Place,
    /// It came behind a reset of its link, and was perhaps not read.
    pub(crate) late: bool,
}

impl<'a> FrameEvent<'a> {
    /// The message of an event, if it is about one.
    pub(crate) fn new(event: &Event<'a>) -> Option<Self> {
        let (Event::Frame {
            link,
            from,
            frame,
            place,
        }
        | Event::Late {
            link,
            from,
            frame,
            place,
        }) = *event
        else {
            return None;
        };
        Some(Self {
            link,
            from,
            frame,
            place,
            late: matches!(event, Event::Late { .. }),
        })
    }
}

/// A reader that comes to its end when told.
struct Stoppable<R> {
    source: R,
    stop: Stop,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            return Ok(0);
        }
        self.source.read(buffer)
    }
}
