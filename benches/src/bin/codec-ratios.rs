//! Prints how the codec compares with hand-written loops and with copying, as Markdown.
//!
//! `cargo run --release -p dlmwire-benches --bin codec-ratios`

use std::hint::black_box;

use dlmwire_benches::ratios::{Measured, REPETITIONS, Variant, measure};
use dlmwire_benches::{Loop, codec, hand, mix};
use dlmwire_codec::{Content, InnerFields, MsgTemplate, OptsFields};

/// Runs per sample that make a sample last some milliseconds.
const CACHED_PASSES: u32 = 512;
const UNCACHED_PASSES: u32 = 1;
const SLOT_MESSAGES: u32 = 4096;
const SLOT_PASSES: u32 = 256;

fn main() {
    let cached = buffer(mix::CACHED_BYTES, CACHED_PASSES);
    let uncached = buffer(mix::UNCACHED_BYTES, UNCACHED_PASSES);
    println!("Medians of {REPETITIONS} interleaved repetitions; 0 allocations in every loop.\n");
    println!("| loop | | {} | x | {} | x |", cached.title, uncached.title);
    println!("|---|---|---|---|---|---|");
    for (cached, uncached) in cached.rows.iter().zip(&uncached.rows) {
        println!(
            "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            cached.task, cached.way, cached.nanoseconds, cached.ratio, uncached.nanoseconds, uncached.ratio
        );
    }
    println!("\n| loop | | one frame into one slot, ns | x |\n|---|---|---|---|");
    for row in slot() {
        println!(
            "| {} | {} | {:.2} | {:.2} |",
            row.task, row.way, row.nanoseconds, row.ratio
        );
    }
}

struct Table {
    title: String,
    rows: Vec<Measured>,
}

/// All loops over one buffer.
fn buffer(bytes_max: usize, passes: u32) -> Table {
    let (bytes, messages) = mix::generate(bytes_max);
    let bytes = bytes.as_slice();
    let fields = codec::fields(bytes);
    let plain = hand::plain(bytes);
    let lengths = hand::lengths(bytes);
    let [mut copy, mut copied, mut by_hand, mut encoded] = [const { Vec::new() }; 4];
    for out in [&mut copy, &mut copied, &mut by_hand, &mut encoded] {
        // Not zero pages: they would all be the same one.
        out.resize(bytes.len(), 1);
    }

    let pairs: [(_, Loop, Loop); 3] = [
        ("deframe", hand::deframe, codec::deframe),
        ("decode, view", hand::view, codec::view),
        ("decode, full", hand::full, codec::full),
    ];
    let mut variants = vec![Variant::new("copy", "memcpy of the buffer", || {
        hand::copy(black_box(bytes), &mut copy)
    })];
    for (task, hand, codec) in pairs {
        let expected = hand(bytes);
        for (way, run) in [("hand", hand), ("codec", codec)] {
            variants.push(Variant::new(task, way, move || {
                assert_eq!(run(black_box(bytes)), expected, "{task} {way} saw something else");
            }));
        }
    }
    variants.push(Variant::new("encode", "memcpy of each frame", || {
        assert_eq!(
            hand::copy_each(black_box(&lengths), bytes, &mut copied),
            bytes.len()
        );
    }));
    variants.push(Variant::new("encode", "hand", || {
        assert_eq!(hand::encode(black_box(&plain), &mut by_hand), bytes.len());
    }));
    variants.push(Variant::new("encode", "codec", || {
        assert_eq!(codec::encode(black_box(&fields), &mut encoded), bytes.len());
    }));

    let rows = measure(variants, messages, passes);
    assert!(
        copy == bytes && copied == bytes && by_hand == bytes && encoded == bytes,
        "everything wrote the same bytes"
    );
    let title = format!("{} KiB, ns", bytes_max >> 10);
    Table { title, rows }
}

/// Lies in the same cache lines in every run, wherever the stack starts.
#[repr(align(256))]
struct Slot([u8; 136]);

/// One `OPTS` around one `MSG`, 136 bytes, again and again into the same place.
fn slot() -> Vec<Measured> {
    let (bytes, _) = mix::generate(mix::CACHED_BYTES);
    let fields = codec::fields(&bytes);
    let fields = fields
        .iter()
        .find(|fields| fields.encoded_len() == 136)
        .expect("the mix has every length");
    let mut frame = Slot([0; 136]);
    fields.encode_into(&mut frame.0).expect("136 bytes");
    let Slot(frame) = &frame;
    let plain = hand::plain(frame);
    let [Slot(copied), Slot(by_hand), Slot(encoded), Slot(by_template)] = &mut [const { Slot([0; 136]) }; 4];
    let Content::Opts(OptsFields {
        seq,
        inner: InnerFields::Msg(msg),
        ..
    }) = fields.content
    else {
        panic!("only a wrapped message has 136 bytes");
    };
    let template = MsgTemplate::new(fields.version, fields.node, msg);

    let variants = vec![
        Variant::new("encode", "memcpy of the frame", || {
            for _ in 0..SLOT_MESSAGES {
                hand::copy(black_box(frame), black_box(copied));
            }
        }),
        Variant::new("encode", "hand", || {
            for _ in 0..SLOT_MESSAGES {
                let written = hand::encode_one(black_box(&plain[0]), black_box(by_hand));
                assert_eq!(written, Some(136));
            }
        }),
        Variant::new("encode", "codec", || {
            for _ in 0..SLOT_MESSAGES {
                let fields = black_box(fields);
                assert_eq!(fields.encode_into(black_box(encoded)), Ok(136));
            }
        }),
        Variant::new("encode", "codec, by template", || {
            for _ in 0..SLOT_MESSAGES {
                let tail = black_box(msg.tail.bytes());
                let written =
                    template.encode_wrapped(seq, msg.lockspace, msg.nodeid, tail, black_box(by_template));
                assert_eq!(written, Ok(136));
            }
        }),
    ];
    let rows = measure(variants, SLOT_MESSAGES.into(), SLOT_PASSES);
    assert!(
        copied == frame && by_hand == frame && encoded == frame && by_template == frame,
        "everything wrote the same bytes"
    );
    rows
}
