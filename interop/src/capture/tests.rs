//! Captures made by hand, told back as lines.

mod compressed;
mod damage;
mod files;
mod holes;
mod sctp;
mod tcp;

use std::io::Cursor;

use super::testkit::{PcapFile, ethernet};
use super::{CaptureError, CaptureStats, End, Event, HalfSent, Options, Side, Stamp, Summary, read};

/// What a capture tells, a line an event. A frame is told by its second word (number or lockspace).
fn told(bytes: Vec<u8>) -> (Vec<String>, Result<Summary, CaptureError>) {
    told_with(bytes, &Options::default())
}

fn told_with(bytes: Vec<u8>, options: &Options) -> (Vec<String>, Result<Summary, CaptureError>) {
    let mut lines = Vec::new();
    let mut sink = |_: Stamp, event: Event<'_>| lines.push(line(&event));
    let summary = read(Cursor::new(bytes), options, &mut sink);
    (lines, summary)
}

/// The same for a capture that must be whole.
fn told_whole(bytes: Vec<u8>) -> (Vec<String>, CaptureStats) {
    let (lines, summary) = told(bytes);
    let summary = summary.expect("it is a capture");
    assert!(matches!(summary.end, End::Complete), "{:?}", summary.end);
    (lines, summary.stats)
}

/// A file of IP packets on Ethernet.
fn on_ethernet<'p>(packets: impl IntoIterator<Item = &'p Vec<u8>>) -> Vec<u8> {
    let mut file = PcapFile::new(1);
    for packet in packets {
        file.packet(&ethernet(packet));
    }
    file.bytes
}

fn line(event: &Event<'_>) -> String {
    let half = |half: &Option<HalfSent>| {
        half.map_or(String::new(), |half| format!(" {}/{}", half.have, half.needed))
    };
    match event {
        Event::LinkUp {
            link,
            transport,
            begun,
            ends,
        } => {
            let ends = ends.map(|end| {
                let addresses: Vec<String> = end.addresses.iter().map(ToString::to_string).collect();
                format!("{}:{}", addresses.join("+"), end.port)
            });
            format!("{} up {transport} {begun:?} {} {}", link.get(), ends[0], ends[1])
        }
        Event::Frame {
            link, from, frame, ..
        } => format!("{} {from:?} {}", link.get(), word(frame.bytes())),
        Event::Late {
            link, from, frame, ..
        } => format!("{} {from:?} late {}", link.get(), word(frame.bytes())),
        Event::FramingLost { link, from, error } => format!("{} {from:?} lost: {error}", link.get()),
        Event::Missing {
            link,
            from,
            gap,
            evidence,
            broken,
        } => {
            format!(
                "{} {from:?} missing {gap:?} {evidence:?}{}",
                link.get(),
                half(broken)
            )
        }
        Event::Resynchronised { link, from, skipped } => format!("{} {from:?} resync {skipped}", link.get()),
        Event::Retransmitted {
            link,
            from,
            bytes,
            differs,
        } => {
            format!(
                "{} {from:?} again {bytes}{}",
                link.get(),
                if *differs { " other bytes" } else { "" }
            )
        }
        Event::HalfClosed { link, from } => format!("{} {from:?} closes", link.get()),
        Event::LinkDown {
            link,
            why,
            half_sent: [a, b],
        } => {
            format!("{} down {why:?}{}{}", link.get(), half(a), half(b))
        }
        Event::Refused {
            transport,
            opener,
            target,
        } => format!("refused {transport} {opener} {target}"),
        Event::SeenTwice { first } => format!("twice {}", first.packet),
        Event::Fragment { source, destination } => format!("fragment {source} {destination}"),
        Event::AddressAdded { link, side, address } => format!("{} {side:?} at {address}", link.get()),
    }
}

fn word(frame: &[u8]) -> u32 {
    u32::from_le_bytes(frame[4..8].try_into().expect("4 bytes"))
}

/// What [`told`] says of the frames of one side of link 0.
fn frames_of(side: Side, numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers
        .into_iter()
        .map(|number| format!("0 {side:?} {number}"))
        .collect()
}
