//! Our engine and real kernels on the same input: what a kernel's own trace says it took, against what our engine takes.
//!
//! The samples in `tests/data/lab` are captures of real kernels with their traces. Over all shipped captures, where what
//! kernels took shows only in their `ACK`s and their logs, see also `replay.rs`.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use dlmwire_codec::NodeId;
use dlmwire_interop::capture::{self, Options};
use dlmwire_interop::check::{Checker, KernelLog, Known, Severity};
use dlmwire_interop::cross::{self, Outcome, WireRecorder, cross};
use dlmwire_interop::replay::{self, Class, Recorder, replay};
use dlmwire_interop::trace::{Direction, EventKind, Trace};

/// The kernel of the lab is always node 1.
fn kernel() -> NodeId {
    NodeId::new(1).expect("not 0")
}

/// A capture and the trace that a kernel made meanwhile.
struct Sample {
    name: String,
    capture: PathBuf,
    trace: Trace,
}

fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lab");
    let mut samples: Vec<Sample> = std::fs::read_dir(folder)
        .expect("tests/data/lab")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| Sample {
            name: path.file_name().expect("a name").to_string_lossy().into_owned(),
            capture: path.join("link.pcapng.gz"),
            trace: Trace::read_path(&path.join("trace.txt.gz")).expect("a trace"),
        })
        .collect();
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    samples
}

fn crossed(sample: &Sample, trace: &Trace) -> cross::Report {
    let mut recorder = WireRecorder::new(&[], cross::Bounds::default());
    let summary = capture::read_path(&sample.capture, &Options::default(), &mut recorder)
        .expect("a sample is a capture");
    assert!(matches!(summary.end, capture::End::Complete), "{}", sample.name);
    cross(&recorder.finish(), trace, kernel(), None).expect("node 1 is there")
}

fn replayed(path: &Path, node: NodeId) -> replay::Report {
    let mut recorder = Recorder::new(&[], replay::Bounds::default());
    let _ = capture::read_path(path, &Options::default(), &mut recorder).expect("it is a capture");
    replay(&recorder.finish(), node).expect("the node is there")
}

/// Where our engine and the kernel differ and no listed reason says why.
///
/// Listed: what was thrown away at a reset (and everything of [`Class`] but the unlisted), events that are too long for
/// the kernel's trace, messages that travel bare and have no events; and [`LEFT_EARLIER_LINK`].
fn differences(sample: &Sample, trace: &Trace) -> Vec<String> {
    let (cross, replay) = (crossed(sample, trace), replayed(&sample.capture, kernel()));
    let name = &sample.name;
    let mut told: Vec<String> = replay
        .differences
        .iter()
        .filter(|one| one.class == Class::Unlisted)
        .map(|one| format!("{name}: {}", one.text))
        .collect();
    let errors = cross
        .findings
        .iter()
        .filter(|one| one.severity == Severity::Error);
    told.extend(errors.map(|one| format!("{name}: {}: {}", one.kind, one.text)));
    for peer in &cross.peers {
        let Some(ours) = replay.peers.iter().find(|one| one.peer == peer.peer) else {
            told.push(format!("{name}: node {} is not in the replay", peer.peer));
            continue;
        };
        let of = |outcome| peer.received.of(outcome);
        let kernel = of(Outcome::Paired) + of(Outcome::TooLong) + of(Outcome::Bare);
        let only_ours = ours.delivered.checked_sub(kernel);
        let thrown_away = of(Outcome::ThrownAway);
        if only_ours.is_none_or(|more| more > thrown_away) {
            told.push(format!(
                "{name}: our engine delivers {} of node {}, the kernel took {kernel}, and threw away {thrown_away} copies",
                ours.delivered, peer.peer
            ));
        }
    }
    told
}

/// The trace of every sample agrees with its capture, in every field of every message.
#[test]
fn real_kernels_traces_agree_with_their_captures() {
    let samples = samples();
    for kernel in KERNELS {
        for case in CASES {
            let name = format!("{kernel}-{case}");
            assert!(samples.iter().any(|one| one.name == name), "no sample {name}");
        }
    }
    for sample in &samples {
        assert_eq!(
            sample.trace.bad_lines,
            0,
            "{}: {:?}",
            sample.name,
            sample.trace.bad.first()
        );
        let report = crossed(sample, &sample.trace);
        let told: Vec<_> = report
            .findings
            .iter()
            .filter(|one| one.severity > Severity::Note)
            .collect();
        assert!(told.is_empty(), "{}: {told:#?}", sample.name);
        // With a peer of 3.1 everything travels bare.
        assert_eq!(report.compared(), !is_bare(sample), "{}", sample.name);
        for peer in &report.peers {
            for one in [&peer.sent, &peer.received] {
                assert_eq!(one.identical, one.events, "{}", sample.name);
                assert_eq!(
                    one.of(Outcome::Bare) == one.frames,
                    is_bare(sample),
                    "{}",
                    sample.name
                );
                println!("{}: node {}: {:?}", sample.name, peer.peer, one.outcomes);
            }
        }
    }
}

/// Kernels of 3.2 of which there have to be samples.
const KERNELS: [&str; 3] = ["6.1", "6.12", "7.2"];

/// What each of them has to have been seen doing: 2000 messages each way or more with 30 resets, numbers that start again,
/// and a peer of 3.1.
const CASES: [&str; 3] = ["resets", "rejoin", "we-speak-3-1"];

fn is_bare(sample: &Sample) -> bool {
    sample.name.ends_with("we-speak-3-1")
}

/// Both came back at once and dialled both: our engine leaves the link that came up before the peer's first word of the
/// new conversation, and the captured peer went on on that one. A listed difference ("a conversation's links end with
/// it"), behind which the captured peer cannot follow our engine: one conversation of each sample is lost.
const LEFT_EARLIER_LINK: [&str; 2] = ["6.1-rejoin", "6.12-rejoin"];

/// Our engine, fed with what a kernel was fed with, takes what the kernel took, drops what it dropped, and acknowledges
/// as it did, but for listed differences.
#[test]
fn engine_takes_what_the_kernel_took() {
    for sample in samples() {
        let told = differences(&sample, &sample.trace);
        if LEFT_EARLIER_LINK.contains(&sample.name.as_str()) {
            let first = told.first().map_or("", String::as_str);
            assert!(
                first.ends_with("our engine let go of the link on which number 0 came"),
                "{first}"
            );
            let begun = told
                .iter()
                .filter(|text| text.ends_with("on which number 0 came"));
            assert_eq!(begun.count(), 1, "{}", told.join("\n"));
        } else {
            assert!(told.is_empty(), "{}", told.join("\n"));
        }
    }
}

/// The places of the events of messages that the kernel took.
fn taken(trace: &Trace) -> Vec<usize> {
    let events = trace.events.iter().enumerate();
    let taken = events.filter(|(_, event)| match &event.kind {
        EventKind::Message(message) => message.direction == Direction::Received,
        EventKind::Socket(_) => false,
    });
    taken.map(|(place, _)| place).collect()
}

/// What is planted in a trace.
type Change<'a> = &'a dyn Fn(&mut Trace);

/// The comparison is not blind: a message that the kernel did not take is one that our engine should not have taken, and
/// so is one that it took with another field, twice, or too early.
#[test]
fn planted_differences_are_found_in_every_sample() {
    let mut planted = 0;
    for sample in samples() {
        let places = taken(&sample.trace);
        let Some([one, other]) = places.get(places.len() / 2..).and_then(|rest| rest.first_chunk()) else {
            continue;
        };
        let not_taken = |trace: &mut Trace| drop(trace.events.remove(*one));
        let changed = |trace: &mut Trace| {
            if let EventKind::Message(message) = &mut trace.events[*one].kind {
                message.frame[20] ^= 1;
            }
        };
        let twice = |trace: &mut Trace| {
            let again = trace.events[*one].clone();
            trace.events.insert(*one + 1, again);
        };
        let swapped = |trace: &mut Trace| {
            let [first, second] = [*one, *other].map(|place| trace.events[place].kind.clone());
            trace.events[*one].kind = second;
            trace.events[*other].kind = first;
        };
        let changes: [(&str, Change<'_>); 4] = [
            ("frame-without-event", &not_taken),
            ("field-differs", &changed),
            ("event-twice", &twice),
            ("order-differs", &swapped),
        ];
        for (kind, change) in changes {
            let mut trace = sample.trace.clone();
            change(&mut trace);
            let told = differences(&sample, &trace);
            assert!(
                told.iter().any(|text| text.contains(kind)),
                "{}: {kind}: {told:#?}",
                sample.name
            );
            planted += 1;
        }
    }
    assert!(planted >= 4 * KERNELS.len(), "only {planted}");
}

/// What a kernel's log says it dropped although it had been delivered in order, our engine takes from the first copy: the
/// listed difference, and no other.
#[test]
fn what_logs_say_was_thrown_away_is_listed_for_that_capture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let mut shown = 0;
    for name in [
        "tcp-3.2-linux6.1-resets",
        "tcp-3.2-linux7.2-leave-rejoin",
        "tcp-3.2-linux6.1-2node-workload",
    ] {
        let path = folder.join(format!("{name}.pcap.zst"));
        let log = std::fs::File::open(folder.join(format!("{name}.txt"))).expect("its log");
        let log = KernelLog::read(BufReader::new(log), None).expect("a log");
        let known = Known {
            kernel_logs: vec![log],
            ..Known::default()
        };
        let mut checker = Checker::new(&known);
        let summary = capture::read_path(&path, &Options::default(), &mut checker).expect("it is a capture");
        let report = checker.finish(&summary);
        let logged = report.findings.iter().any(|one| one.rule.id == "DLM-KLOG-001");
        let mut listed = 0;
        for node in [1, 2].into_iter().filter_map(NodeId::new) {
            let replay = replayed(&path, node);
            assert!(replay.agrees(), "{name} as {node}: {:?}", replay.differences);
            listed += replay.count(Class::ThrownAway);
        }
        shown += u32::from(logged);
        assert!(
            !logged || listed > 0,
            "{name}: the log has what the replay does not list"
        );
    }
    assert!(shown > 0, "no log says that anything was thrown away");
}
