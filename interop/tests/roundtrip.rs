//! Every frame of every shipped capture is read in full and written back byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dlmwire_codec::{Content, FrameFields, InnerFields, RawFrame};
use dlmwire_interop::capture::{self, Event, Options, Stamp};
use serde_json::Value;

/// Kinds of frames that have to be among the captures: a family that none of them has proves nothing.
const KINDS_MIN: usize = 54;

/// Proves D1, D3, D5, D15 on real kernels' frames.
#[test]
fn every_frame_of_every_capture_is_written_as_it_was_read() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let expected = fs::read(captures.join("expected.json")).expect("expected.json");
    let expected: BTreeMap<String, Value> = serde_json::from_slice(&expected).expect("JSON");
    let mut kinds = BTreeMap::new();
    let mut frames = 0;
    for (name, capture) in &expected {
        let messages = capture["messages"].as_object().expect("messages by command");
        let messages: u64 = messages.values().filter_map(Value::as_u64).sum();
        let file = capture["file"].as_str().expect("a file");
        let mut read = 0;
        let mut sink = |stamp: Stamp, event: Event<'_>| {
            if let Event::Frame { frame, .. } | Event::Late { frame, .. } = event {
                read += 1;
                *kinds.entry(round_trip(frame, name, &stamp)).or_insert(0_u64) += 1;
            }
        };
        let summary = capture::read_path(&captures.join(file), &Options::default(), &mut sink)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(matches!(summary.end, capture::End::Complete), "{name}");
        assert_eq!(read, messages, "{name}: frames");
        frames += read;
    }
    println!("{frames} frames of {} kinds: {kinds:#?}", kinds.len());
    assert!(
        kinds.len() >= KINDS_MIN,
        "{} kinds, there have been {KINDS_MIN}",
        kinds.len()
    );
}

/// Writes back what was read, and names the kind of frame.
fn round_trip(frame: RawFrame<'_>, name: &str, stamp: &Stamp) -> String {
    let fields = match frame.decode().and_then(|frame| frame.fields()) {
        Ok(fields) => fields,
        Err(error) => panic!("{name} {stamp:?}: {error} in {:x?}", frame.bytes()),
    };
    // Not zero, so that a byte that is not written differs from padding.
    let mut written = vec![0xaa; frame.bytes().len()];
    let length = fields.encode_into(&mut written);
    assert_eq!(length, Ok(written.len()), "{name} {stamp:?}: {fields:?}");
    assert_eq!(written, frame.bytes(), "{name} {stamp:?}: {fields:?}");
    kind(&fields)
}

fn kind(fields: &FrameFields<'_>) -> String {
    let message = match &fields.content {
        Content::Ack(_) => "ACK".to_owned(),
        Content::Msg(msg) => format!("MSG {}", msg.msg_type),
        Content::Rcom(rcom) => format!("RCOM {}", rcom.payload.rcom_type()),
        Content::Opts(opts) => match &opts.inner {
            InnerFields::Msg(msg) => format!("OPTS MSG {}", msg.msg_type),
            InnerFields::Rcom(rcom) => format!("OPTS RCOM {}", rcom.payload.rcom_type()),
            InnerFields::Fin => "OPTS FIN".to_owned(),
        },
    };
    format!("{} {message}", fields.version)
}
