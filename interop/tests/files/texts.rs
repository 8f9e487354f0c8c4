//! Files of text: what a kernel traced, what it logged, what the chaos proxy is to do.

use std::io::Cursor;
use std::sync::Arc;

use dlmwire_codec::{Limits, NodeId, Split, split};
use dlmwire_interop::capture::{self, End, Options, Sink, Summary};
use dlmwire_interop::chaos::Schedule;
use dlmwire_interop::check::{Checker, KernelLog, Known};
use dlmwire_interop::cross::{Bounds, WireRecorder, cross};
use dlmwire_interop::trace::{EVENTS_MAX, EventKind, Trace, rebuild};

use super::books::Books;
use super::told;

/// Lines that cannot be read, and losses, of which more are only counted.
const KEPT_MAX: usize = 1000;

/// Bytes as a kernel's trace, its log, and a schedule of the chaos proxy.
pub fn texts(bytes: &[u8]) {
    let run = || {
        let trace = Trace::read(bytes).expect("memory does not fail");
        check_trace(&trace);
        let log = KernelLog::read(bytes, NodeId::new(2)).expect("memory does not fail");
        check_log(&log);
        schedule(bytes);
        held_against_its_capture(trace, log)
    };
    assert_eq!(run(), run(), "the same text tells the same");
}

fn check_trace(trace: &Trace) {
    let told =
        trace.events.len() as u64 + trace.other_events + trace.left_out + trace.bad_lines + trace.too_big;
    assert!(
        told <= trace.lines_read,
        "{told} lines told of {}",
        trace.lines_read
    );
    assert!(
        trace.events.len() <= EVENTS_MAX && trace.bad.len() <= KEPT_MAX && trace.losses.len() <= KEPT_MAX
    );
    assert!(trace.bad.len() as u64 <= trace.bad_lines);
    for bad in &trace.bad {
        assert!(bad.line > 0 && bad.line <= trace.lines_read && !bad.to_string().is_empty());
    }
    let any_length = Limits {
        frame_bytes_max: u16::MAX,
    };
    let mut last = 0;
    for event in &trace.events {
        assert!(event.line > last && event.line <= trace.lines_read, "{event:?}");
        last = event.line;
        let EventKind::Message(message) = &event.kind else {
            continue;
        };
        match split(&message.frame, any_length) {
            Split::Frame { frame, rest: [] } => assert!(frame.decode().is_ok(), "{message:?}"),
            other => panic!("{other:?} of {message:?}"),
        }
    }
}

fn check_log(log: &KernelLog) {
    assert!(log.lines.len() as u64 + log.left_out <= log.lines_read);
    assert!(log.dlm_lines <= log.lines_read);
    assert!(
        log.lines
            .iter()
            .all(|line| line.line > 0 && line.line <= log.lines_read)
    );
    for (line, seq) in log.dropped_as_too_high() {
        assert!(!format!("{line:?} {seq:?}").is_empty());
    }
}

/// What was read, written again, reads the same.
fn schedule(bytes: &[u8]) {
    let schedule = match Schedule::read(bytes) {
        Ok(schedule) => schedule,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut text = String::new();
    for event in schedule.events() {
        text.push_str(&event.to_line().expect("an event is JSON"));
        text.push('\n');
    }
    let again = Schedule::read(text.as_bytes()).expect("it was read before");
    assert!(schedule.events().eq(again.events()), "{text}");
}

/// The capture that is made of a trace has every frame of it, and both agree as far as a trace can tell.
fn held_against_its_capture(trace: Trace, log: KernelLog) -> String {
    let node = NodeId::new(1).expect("not 0");
    let (file, rebuilt) = match rebuild(&trace, node, None, Vec::new()) {
        Ok(rebuilt) => rebuilt,
        Err(error) => panic!("{error}"),
    };
    let told_frames = rebuilt.frames + rebuilt.receiver_unknown + rebuilt.length_differs;
    assert!(told_frames <= trace.events.len() as u64, "{rebuilt:?}");

    let options = Options::default();
    let mut recorder = WireRecorder::new(&[], Bounds::default());
    let (books, summary) = read(file.clone(), &options, &mut recorder);
    assert_eq!(
        (summary.stats.frames, summary.stats.gaps),
        (rebuilt.frames, 0),
        "{rebuilt:?}"
    );
    books.agree_with(&summary);

    let trace = Arc::new(trace);
    let known = Known {
        kernel_logs: vec![log],
        traces: vec![(node, Arc::clone(&trace))],
        ..Known::default()
    };
    let mut checker = Checker::new(&known);
    let (books, summary) = read(file, &options, &mut checker);
    let said = told(&checker.finish(&summary), &summary, &books);
    let crossed = match cross(&recorder.finish(), &trace, node, None) {
        Ok(report) => format!("{report:?}"),
        Err(error) => error.to_string(),
    };
    format!("{said}\n{crossed}")
}

fn read(file: Vec<u8>, options: &Options, behind: &mut dyn Sink) -> (Books, Summary) {
    let mut books = Books::new(options);
    let summary = capture::read(Cursor::new(file), options, &mut books.beside(behind)).expect("we wrote it");
    assert!(matches!(summary.end, End::Complete), "{:?}", summary.end);
    (books, summary)
}
