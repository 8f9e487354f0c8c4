//! The shipped captures and what is known of them, whole and in halves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dlmwire_interop::capture::{self, Options, Sink};
use dlmwire_interop::replay::{Bounds, Recorder, Recording};
use serde_json::Value;

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures")
}

pub(crate) fn expected() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(captures().join("expected.json")).expect("captures/expected.json");
    serde_json::from_str(&text).expect("an object of objects")
}

pub(crate) fn recording(capture: &Value) -> Recording {
    read(capture, Recorder::new(&[], Bounds::default()))
}

pub(crate) fn read(capture: &Value, mut recorder: Recorder) -> Recording {
    feed(capture, &mut recorder);
    recorder.finish()
}

pub(crate) fn feed(capture: &Value, sink: &mut dyn Sink) {
    let path = captures().join(capture["file"].as_str().expect("a file name"));
    let summary = capture::read_path(&path, &Options::default(), sink)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        matches!(summary.end, capture::End::Complete),
        "{}",
        path.display()
    );
}

/// One half of a capture by its packets. The second half lacks the beginning of its links, as if the capture had been
/// started late.
pub(crate) fn cut(capture: &Value, keep_first: bool) -> Recording {
    let path = captures().join(capture["file"].as_str().expect("a file name"));
    let packets = capture["packets"].as_u64().expect("a count");
    let mut recorder = Recorder::new(&[], Bounds::default());
    let mut reader = capture::Packets::open(&path).expect("the capture is there");
    let mut reassembler = capture::Reassembler::new(Options::default());
    let mut number = 0;
    while let Ok(packet) = reader.next() {
        number += 1;
        if (number <= packets / 2) == keep_first {
            reassembler.packet(&packet, &mut recorder);
        }
    }
    let _ = reassembler.finish(&mut recorder);
    recorder.finish()
}
