//! Captures that are changed on the way: the comparison is not blind.

use dlmwire_codec::{Frame, Inner, Limits, Split, split};
use dlmwire_interop::capture::{Event, Sink, Stamp};
use dlmwire_interop::replay::{Bounds, Class, Recorder, Recording};
use serde_json::Value;

use crate::as_node_1;
use crate::shipped::{expected, feed};

/// What is changed in a capture, and what a replay as node 1 has to say of it.
struct Mutant {
    what: &'static str,
    /// The frames that take the place of one: none drops it.
    change: fn(&Frame<'_>, &[u8]) -> Vec<Vec<u8>>,
    told: &'static str,
}

/// A number in the middle of a conversation, of a lock message; a multiple of sixteen, whose bytes the engine remembers.
const SEQ: u32 = 512;

const MUTANTS: [Mutant; 8] = [
    Mutant {
        what: "the kernel acknowledges one more than came",
        change: |frame, bytes| match frame {
            Frame::Ack(ack) if ack.node.get() == 1 && (400..SEQ).contains(&ack.seq.get()) => {
                vec![with(bytes, 4, &ack.seq.next().get().to_le_bytes())]
            }
            _ => same(bytes),
        },
        told: "our engine expects",
    },
    Mutant {
        what: "a number of the peer comes again with another payload",
        change: |frame, bytes| match is_number(frame, 2) {
            true => vec![bytes.to_vec(), with(bytes, bytes.len() - 1, &[0xff])],
            false => same(bytes),
        },
        told: "takes the peer for restarted",
    },
    Mutant {
        what: "padding of the node's own message is not 0",
        change: |frame, bytes| match is_number(frame, 1) {
            true => vec![with(bytes, 17, &[1])],
            false => same(bytes),
        },
        told: "byte 17 is 0x00, not 0x01",
    },
    Mutant {
        what: "padding of the node's ACKs is not 0",
        change: |frame, bytes| match frame {
            Frame::Ack(ack) if ack.node.get() == 1 => vec![with(bytes, 15, &[1])],
            _ => same(bytes),
        },
        told: "byte 15 is 0x00, not 0x01",
    },
    Mutant {
        what: "the node's own message is sent again with another payload",
        change: |frame, bytes| match is_number(frame, 1) {
            true => vec![bytes.to_vec(), with(bytes, bytes.len() - 1, &[0xff])],
            false => same(bytes),
        },
        told: "again with other bytes",
    },
    Mutant {
        what: "the peer acknowledges what the node never sent",
        change: |frame, bytes| match frame {
            Frame::Ack(ack) if ack.node.get() == 2 && ack.seq.get() > SEQ => {
                vec![with(bytes, 4, &0x4000_0000_u32.to_le_bytes())]
            }
            _ => same(bytes),
        },
        told: "takes the peer for restarted",
    },
    Mutant {
        what: "a message of the peer that the node acknowledged is not there",
        change: |frame, bytes| match is_number(frame, 2) {
            true => Vec::new(),
            false => same(bytes),
        },
        told: "number 512, which the node acknowledged, is not in the capture",
    },
    Mutant {
        what: "a message of the node is not there",
        change: |frame, bytes| match is_number(frame, 1) {
            true => Vec::new(),
            false => same(bytes),
        },
        told: "the node's own number 512 is not in the capture",
    },
];

/// Changes of a capture show, each as what it is.
#[test]
fn changed_captures_are_told_from_the_kernels() {
    let name = "tcp-3.2-linux6.1-2node-workload";
    let capture = &expected()[name];
    for mutant in &MUTANTS {
        let report = as_node_1(&mutated(capture, mutant.change));
        let partial = report.peers.iter().flat_map(|peer| &peer.partial);
        let told: Vec<String> = report
            .differences
            .iter()
            .filter(|one| one.class == Class::Unlisted)
            .map(|one| one.text.clone())
            .chain(partial.map(|(_, why)| why.to_string()))
            .collect();
        assert!(
            told.iter().any(|text| text.contains(mutant.told)),
            "{}: {told:#?}",
            mutant.what
        );
    }
    let untouched = as_node_1(&mutated(capture, |_, bytes| same(bytes)));
    assert!(untouched.agrees() && untouched.is_complete());
}

/// Whether this is the first kind of message with the number that is looked for, from this node.
fn is_number(frame: &Frame<'_>, from: u32) -> bool {
    match frame {
        Frame::Opts(opts) => {
            opts.seq.get() == SEQ && opts.node.get() == from && matches!(opts.inner, Ok(Inner::Msg(_)))
        }
        Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => false,
    }
}

fn same(bytes: &[u8]) -> Vec<Vec<u8>> {
    vec![bytes.to_vec()]
}

fn with(bytes: &[u8], at: usize, change: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at..][..change.len()].copy_from_slice(change);
    changed
}

/// A capture whose frames are changed on the way.
pub(crate) fn mutated(
    capture: &Value,
    mut change: impl FnMut(&Frame<'_>, &[u8]) -> Vec<Vec<u8>>,
) -> Recording {
    let mut recorder = Recorder::new(&[], Bounds::default());
    let mut sink = |stamp: Stamp, event: Event<'_>| match event {
        Event::Frame {
            link,
            from,
            frame,
            place,
        } => {
            let decoded = frame.decode().expect("kernels send sound frames");
            for bytes in change(&decoded, frame.bytes()) {
                let Split::Frame { frame, .. } = split(&bytes, Limits::KERNEL) else {
                    panic!("a whole frame");
                };
                let event = Event::Frame {
                    link,
                    from,
                    frame,
                    place,
                };
                recorder.event(stamp, event);
            }
        }
        other => recorder.event(stamp, other),
    };
    feed(capture, &mut sink);
    recorder.finish()
}
