//! Which of tshark's messages is which of ours.
//!
//! Over TCP both sides find the same messages complete in the same packets. Over SCTP tshark shows what it takes
//! for a message, the start of a user message, when the last chunk of that user message arrives.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::path::Path;

use dlmwire_interop::capture::{self, Event, LinkId, Options, Side, Stamp, Transport};

use crate::compare::compare;
use crate::mistakes::{Mistake, hex, is_bare_3_2};
use crate::report::{Asked, Report};
use crate::tshark::{self, Packet};
use crate::{name, raw};

/// A frame as our reader found it.
#[derive(Clone, Debug)]
pub(crate) struct OurFrame {
    pub(crate) bytes: Vec<u8>,
    /// The packet that completed it.
    pub(crate) packet: u64,
    /// Whether no other frame ends in the segment or chunk that it starts in: over SCTP, as a rule, the first
    /// of a user message.
    starts: bool,
    /// Whether tshark does not read its body where it stands.
    is_bare_3_2: bool,
}

impl OurFrame {
    pub(crate) fn made_up(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            packet: 0,
            starts: true,
            is_bare_3_2: false,
        }
    }
}

/// Compares a capture; returns the messages that tshark does not read where they stand.
pub(crate) fn compare_capture(path: &Path, report: &mut Report) -> Result<Vec<OurFrame>, Box<dyn Error>> {
    let (frames, transport) = our_frames(path)?;
    match transport {
        Transport::Tcp => pair_in_order(path, frames, report),
        Transport::Sctp => pair_starts(path, frames, report),
    }
}

fn our_frames(path: &Path) -> Result<(Vec<OurFrame>, Transport), Box<dyn Error>> {
    let mut frames = Vec::new();
    let mut transports = BTreeSet::new();
    // The segment in which the frame before ended, per direction.
    let mut ended: BTreeMap<(LinkId, Side), u64> = BTreeMap::new();
    let mut sink = |at: Stamp, event: Event<'_>| match event {
        Event::LinkUp { transport, .. } => {
            transports.insert(transport);
        }
        Event::Frame {
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
        } => {
            let before = ended.insert((link, from), place.segment);
            frames.push(OurFrame {
                bytes: frame.bytes().to_vec(),
                packet: at.packet,
                starts: before != Some(place.first_segment),
                is_bare_3_2: is_bare_3_2(frame),
            });
        }
        _ => {}
    };
    let summary = capture::read_path(path, &Options::default(), &mut sink)?;
    if !matches!(summary.end, capture::End::Complete) {
        return Err(format!("{} ends early: {:?}", name(path), summary.end).into());
    }
    match transports.into_iter().collect::<Vec<_>>().as_slice() {
        [transport] => Ok((frames, *transport)),
        other => Err(format!("{} has {other:?}, not one transport", name(path)).into()),
    }
}

/// Pairs what ends in the same packet.
fn pair_in_order(
    path: &Path,
    frames: Vec<OurFrame>,
    report: &mut Report,
) -> Result<Vec<OurFrame>, Box<dyn Error>> {
    let capture = name(path);
    let mut by_packet: BTreeMap<u64, Vec<&OurFrame>> = BTreeMap::new();
    for frame in &frames {
        by_packet.entry(frame.packet).or_default().push(frame);
    }
    tshark::read(path, |packet| {
        let place = format!("{capture}, packet {}", packet.number);
        let ours = by_packet.remove(&packet.number).unwrap_or_default();
        malformed_only_where_bare(&packet, &ours, &place, report);
        if ours.len() != packet.messages.len() {
            let (ours, theirs) = (ours.len(), packet.messages.len());
            report.unexplained(format!("{place}: {ours} messages end here, tshark says {theirs}"));
            return Ok(());
        }
        for (frame, shown) in ours.into_iter().zip(&packet.messages) {
            report.message(
                Asked::AsCaptured,
                &place,
                compare(raw(&frame.bytes)?, false, shown),
            );
        }
        Ok(())
    })?;
    for (number, ours) in by_packet {
        let count = ours.len();
        report.unexplained(format!(
            "{capture}, packet {number}: {count} messages end here, tshark shows none"
        ));
    }
    Ok(frames.into_iter().filter(|frame| frame.is_bare_3_2).collect())
}

/// Pairs by the 16 bytes of the header, the nearest packet first.
fn pair_starts(
    path: &Path,
    frames: Vec<OurFrame>,
    report: &mut Report,
) -> Result<Vec<OurFrame>, Box<dyn Error>> {
    let capture = name(path);
    let mut waiting: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
    for (index, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.starts) {
        let header = hex(frame.bytes.get(..16).unwrap_or_default());
        waiting.entry(header).or_default().push_back(index);
    }
    let mut unread: BTreeSet<usize> = (0..frames.len()).collect();
    tshark::read(path, |packet| {
        let place = format!("{capture}, packet {}", packet.number);
        let mut ours = Vec::new();
        for shown in &packet.messages {
            let header = shown.header();
            let nearest = waiting.get_mut(&header).and_then(|waiting| {
                let distance = |index: &&usize| frames[**index].packet.abs_diff(packet.number);
                let nearest = *waiting.iter().min_by_key(distance)?;
                waiting.retain(|index| *index != nearest);
                Some(nearest)
            });
            let Some(index) = nearest else {
                report.unexplained(format!("{place}: tshark shows a message that starts {header}"));
                continue;
            };
            let frame = &frames[index];
            report.message(
                Asked::AsCaptured,
                &place,
                compare(raw(&frame.bytes)?, true, shown),
            );
            unread.remove(&index);
            ours.push(frame);
        }
        malformed_only_where_bare(&packet, &ours, &place, report);
        Ok(())
    })?;
    for index in &unread {
        let frame = &frames[*index];
        let place = format!("{capture}, packet {}", frame.packet);
        if frame.starts {
            report.unexplained(format!("{place}: tshark does not show {}", hex(&frame.bytes)));
        }
        report.mistake(Mistake::FirstOfUserMessage, Asked::AsCaptured, &place);
    }
    let again = frames.into_iter().enumerate();
    let again = again.filter(|(index, frame)| unread.contains(index) || frame.is_bare_3_2);
    Ok(again.map(|(_, frame)| frame).collect())
}

fn malformed_only_where_bare(packet: &Packet, ours: &[&OurFrame], place: &str, report: &mut Report) {
    if packet.malformed && !ours.iter().any(|frame| frame.is_bare_3_2) {
        report.unexplained(format!("{place}: tshark calls it malformed"));
    }
}
