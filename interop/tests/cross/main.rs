//! Captures against traces: what a kernel would have printed of the shipped captures, what real kernels printed in the
//! lab, and differences planted in both.

mod synthetic;

use std::io::Cursor;
use std::sync::Arc;

use dlmwire_codec::{Frame, NodeId};
use dlmwire_interop::capture::testkit::{PcapFile, TcpTalk, ethernet, frames};
use dlmwire_interop::capture::{self, Options, Side};
use dlmwire_interop::check::{Checker, Known, Severity};
use dlmwire_interop::cross::{Bounds, ClockSource, Kind, Outcome, Report, WireRecorder, cross};
use dlmwire_interop::trace::{Direction, Trace, rebuild};

use crate::synthetic::{Kernel, Style, capture_path, compare, wire};

/// Captures over TCP and SCTP, with resets, rejoins and several nodes.
const CAPTURES: [&str; 8] = [
    "tcp-3.2-linux6.1-2node-workload",
    "tcp-3.2-linux7.2-2node-workload",
    "tcp-3.2-linux7.2-leave-rejoin",
    "tcp-3.2-linux6.1-leave-rejoin",
    "tcp-3.2-linux6.1-3node-workload",
    "tcp-3.2-linux7.2-resets",
    "tcp-3.2-linux6.1-resets",
    "sctp-3.2-linux6.1-multihomed-workload",
];

const RESETS: &str = "tcp-3.2-linux7.2-resets";

fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}

fn errors(report: &Report) -> Vec<String> {
    let findings = report.findings.iter();
    findings
        .filter(|finding| finding.severity > Severity::Note)
        .map(|finding| {
            format!(
                "{} {:?} {:?}: {}",
                finding.kind, finding.packet, finding.line, finding.text
            )
        })
        .collect()
}

#[test]
fn what_a_kernel_would_print_agrees_with_every_capture() {
    for name in CAPTURES {
        let path = capture_path(name);
        let wire = wire(&path, |_| true);
        for id in wire.nodes() {
            for style in [Style::Linux6_1, Style::Linux6_12] {
                let kernel = Kernel::of(&path, id.get(), style);
                let report = compare(&wire, &kernel.text(true), id.get());
                let wrong = errors(&report);
                assert!(
                    wrong.is_empty(),
                    "{name} as {id} in {style:?}: {}",
                    wrong.join("\n")
                );
                for peer in &report.peers {
                    for direction in Direction::BOTH {
                        let one = peer.of(direction);
                        assert_eq!(one.identical, one.events, "{name} as {id}");
                        assert!(one.events > 100, "{name} as {id}: {one:?}");
                        assert_eq!(one.of(Outcome::Unexplained), 0, "{name} as {id}");
                        assert_eq!(one.of(Outcome::Outside), 0, "{name} as {id}");
                        assert_eq!(one.latency.count, one.events);
                    }
                }
            }
        }
    }
}

/// A changed trace or capture, and what has to be said of it.
struct Planted {
    what: &'static str,
    change: fn(&mut Kernel),
    told: Kind,
    words: &'static str,
}

/// A place in the middle of the events of a name.
fn middle(kernel: &Kernel, name: &str) -> usize {
    let places = kernel.places(name);
    places[places.len() / 2]
}

const PLANTED: [Planted; 7] = [
    Planted {
        what: "an event of a message taken is not there",
        change: |kernel| {
            let place = middle(kernel, "dlm_recv_message");
            kernel.lines.remove(place);
        },
        told: Kind::FrameWithoutEvent,
        words: "was delivered and never processed",
    },
    Planted {
        what: "an event of a message sent is not there",
        change: |kernel| {
            let place = middle(kernel, "dlm_send_message");
            kernel.lines.remove(place);
        },
        told: Kind::FrameWithoutEvent,
        words: "was never committed",
    },
    Planted {
        what: "an event has another m_result",
        change: |kernel| {
            let place = middle(kernel, "dlm_recv_message");
            let fields = &mut kernel.lines[place].fields;
            *fields = fields.replace("m_result=", "m_result=-9");
        },
        told: Kind::FieldDiffers,
        words: "m_result is -9",
    },
    Planted {
        what: "an event of a message sent has another m_lkid",
        change: |kernel| {
            let place = middle(kernel, "dlm_send_message");
            let fields = &mut kernel.lines[place].fields;
            *fields = fields.replace("m_lkid=", "m_lkid=9");
        },
        told: Kind::FieldDiffers,
        words: "m_lkid is 9",
    },
    Planted {
        what: "two events of messages taken are swapped",
        change: |kernel| {
            let places = kernel.places("dlm_recv_message");
            let [one, other] = [places[places.len() / 2], places[places.len() / 2 + 1]];
            kernel.lines.swap(one, other);
        },
        told: Kind::OrderDiffers,
        words: "was taken after it",
    },
    Planted {
        what: "a message is taken twice",
        change: |kernel| {
            let place = middle(kernel, "dlm_recv_message");
            let line = kernel.lines[place].clone();
            kernel.lines.insert(place + 1, line);
        },
        told: Kind::EventTwice,
        words: "its number has an event already",
    },
    Planted {
        what: "a socket call reads one byte more",
        change: |kernel| {
            let place = middle(kernel, "dlm_recv");
            let fields = &mut kernel.lines[place].fields;
            *fields = fields.replace("ret=", "ret=1");
        },
        told: Kind::SocketBytes,
        words: "by its socket calls",
    },
];

/// The comparison is not blind: each change shows, as what it is and as nothing else.
#[test]
fn planted_differences_are_told_by_name() {
    for name in ["tcp-3.2-linux6.1-2node-workload", "tcp-3.2-linux7.2-leave-rejoin"] {
        let path = capture_path(name);
        let wire = wire(&path, |_| true);
        for style in [Style::Linux6_1, Style::Linux6_12] {
            for planted in &PLANTED {
                let mut kernel = Kernel::of(&path, 1, style);
                (planted.change)(&mut kernel);
                let report = compare(&wire, &kernel.text(true), 1);
                let wrong = errors(&report);
                assert!(
                    report.findings.of(planted.told) > 0,
                    "{name}, {}: {wrong:#?}",
                    planted.what
                );
                assert!(wrong.len() <= 2, "{name}, {}: {wrong:#?}", planted.what);
                assert!(
                    wrong.iter().any(|text| text.contains(planted.words)),
                    "{}: {wrong:#?}",
                    planted.what
                );
            }
        }
    }
}

#[test]
fn frame_that_is_not_in_the_capture_leaves_its_event_alone() {
    let path = capture_path("tcp-3.2-linux6.1-2node-workload");
    let kernel = Kernel::of(&path, 1, Style::Linux6_1);
    for from in [1, 2] {
        let wire = wire(
            &path,
            |frame| !matches!(frame, Frame::Opts(opts) if opts.seq.get() == 500 && opts.node.get() == from),
        );
        let report = compare(&wire, &kernel.text(true), 1);
        assert_eq!(
            report.findings.of(Kind::EventWithoutFrame),
            1,
            "{:#?}",
            errors(&report)
        );
        let words = errors(&report);
        assert!(words.iter().any(|text| text.contains("number 500")), "{words:#?}");
    }
}

/// Kernels have no events for what travels bare, and with a peer of 3.1 that is everything: nothing is found, and only
/// the socket calls tell of it.
#[test]
fn what_travels_bare_needs_no_event() {
    let path = capture_path("tcp-mixed-linux6.1-linux5.10-workload");
    let report = compare(
        &wire(&path, |_| true),
        &Kernel::of(&path, 1, Style::Linux6_1).text(true),
        1,
    );
    assert!(report.agrees(Severity::Note), "{:#?}", errors(&report));
    assert!(!report.compared());
    for peer in &report.peers {
        for one in [&peer.sent, &peer.received] {
            assert_eq!([one.events, one.of(Outcome::Bare)], [0, one.frames]);
            assert_eq!(one.socket_bytes, Some(one.wire_bytes));
        }
    }
}

/// What the kernel threw away at a reset and took when it came again is told, and nobody is blamed.
#[test]
fn first_copy_on_a_reset_link_was_thrown_away() {
    let path = capture_path(RESETS);
    let wire = wire(&path, |_| true);
    let kernel = Kernel::of(&path, 1, Style::Linux6_12);
    let whole = compare(&wire, &kernel.text(true), 1);
    let duplicates = whole.peers[0].received.of(Outcome::Duplicate);
    assert!(duplicates > 10, "{:?}", whole.peers[0].received);
    assert_eq!(whole.findings.of(Kind::ThrownAway), 0);
}

#[test]
fn missing_event_is_no_error_where_the_kernel_lost_some() {
    let path = capture_path("tcp-3.2-linux6.1-2node-workload");
    let wire = wire(&path, |_| true);
    let mut kernel = Kernel::of(&path, 1, Style::Linux6_1);
    let place = middle(&kernel, "dlm_recv_message");
    kernel.lines.remove(place);
    let text = kernel.text(true);
    for loss in [
        "CPU:1 [LOST 1 EVENTS]\n",
        "# entries-in-buffer/entries-written: 10/11   #P:2\n",
    ] {
        let report = compare(&wire, &format!("{loss}{text}"), 1);
        assert!(report.agrees(Severity::Error), "{:#?}", errors(&report));
        assert_eq!(
            report.findings.of(Kind::EventsLost),
            2,
            "the loss, and the frame without an event"
        );
    }
}

#[test]
fn clock_that_is_not_told_is_estimated() {
    let path = capture_path("tcp-3.2-linux6.1-2node-workload");
    let wire = wire(&path, |_| true);
    let kernel = Kernel::of(&path, 1, Style::Linux6_1);
    let told = compare(&wire, &kernel.text(true), 1);
    let guessed = compare(&wire, &kernel.text(false), 1);
    assert!(guessed.agrees(Severity::Warn), "{:#?}", errors(&guessed));
    let (ClockSource::Told(told), ClockSource::Estimated(guessed)) = (told.clock, guessed.clock) else {
        panic!("{:?} {:?}", told.clock, guessed.clock);
    };
    // Every message was taken 30 us after it came, which is what cannot be seen.
    assert!((told - guessed).abs() < 35_000, "{told} {guessed}");
}

/// What is rebuilt from a trace is a capture that every event finds its frame in, byte for byte.
#[test]
fn capture_rebuilt_from_a_trace_agrees_with_the_trace() {
    for (name, style) in [
        ("tcp-3.2-linux7.2-leave-rejoin", Style::Linux6_12),
        ("tcp-3.2-linux6.1-2node-workload", Style::Linux6_1),
        ("tcp-3.2-linux6.1-3node-workload", Style::Linux6_12),
    ] {
        let kernel = Kernel::of(&capture_path(name), 1, style);
        let trace = Trace::read(kernel.text(true).as_bytes()).expect("memory does not fail");
        let (file, done) = rebuild(&trace, node(1), None, Vec::new()).expect("memory does not fail");
        assert_eq!([done.receiver_unknown, done.length_differs], [0; 2], "{name}");
        let mut recorder = WireRecorder::new(&[], Bounds::default());
        let summary = capture::read(std::io::Cursor::new(file), &Options::default(), &mut recorder)
            .expect("it is a capture");
        assert!(matches!(summary.end, capture::End::Complete), "{name}");
        let report = cross(&recorder.finish(), &trace, node(1), None).expect("node 1 is there");
        for peer in &report.peers {
            for direction in Direction::BOTH {
                let one = peer.of(direction);
                assert_eq!(
                    [one.frames, one.identical],
                    [one.events; 2],
                    "{name}: {:#?}",
                    errors(&report)
                );
            }
        }
        // The socket calls tell of frames that are not there: nothing else may differ.
        let others = errors(&report)
            .into_iter()
            .filter(|text| !text.starts_with("socket-bytes"));
        assert_eq!(others.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
    }
}

/// A check that is given a trace tells by its own rules what the trace says.
#[test]
fn check_with_a_trace_tells_what_was_not_processed() {
    let path = capture_path("tcp-3.2-linux6.1-2node-workload");
    let told = |kernel: &Kernel| {
        let trace = Trace::read(kernel.text(true).as_bytes()).expect("memory does not fail");
        let known = Known {
            traces: vec![(node(1), Arc::new(trace))],
            ..Known::default()
        };
        let mut checker = Checker::new(&known);
        let summary = capture::read_path(&path, &Options::default(), &mut checker).expect("it is a capture");
        let report = checker.finish(&summary);
        let ids = report.findings.iter().map(|finding| finding.rule.id);
        ids.filter(|id| id.starts_with("DLM-KTRC")).collect::<Vec<_>>()
    };
    let mut kernel = Kernel::of(&path, 1, Style::Linux6_12);
    assert_eq!(told(&kernel), Vec::<&str>::new());
    let place = middle(&kernel, "dlm_recv_message");
    kernel.lines.remove(place);
    assert_eq!(told(&kernel), ["DLM-KTRC-002"]);
}

/// Takes a minute where every copy is looked for among all others.
#[test]
fn number_that_is_sent_without_end_is_judged_by_its_first_copies() {
    let mut talk = TcpTalk::new("10.0.0.1:40000", "10.0.0.2:21064");
    let mut segments = vec![talk.syn(), talk.syn_ack()];
    segments.push(talk.data(Side::A, &frames::ack(1, 0)));
    segments.push(talk.data(Side::B, &frames::ack(2, 0)));
    let copies = std::iter::repeat_with(|| talk.data(Side::A, &frames::opts(1, 5, 88)));
    segments.extend(copies.take(40_000));
    let mut file = PcapFile::new(1);
    for segment in segments {
        file.packet(&ethernet(&segment.packet()));
    }
    let mut recorder = WireRecorder::new(&[], Bounds::default());
    let _ = capture::read(Cursor::new(file.bytes), &Options::default(), &mut recorder).expect("a capture");
    let report = cross(&recorder.finish(), &Trace::default(), node(2), None).expect("node 2 is there");
    let received = report.peers[0].of(Direction::Received);
    assert_eq!((received.events, received.frames), (0, 40_001));
}
