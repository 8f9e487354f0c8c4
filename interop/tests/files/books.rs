//! The books that are kept on a capture's events, to be held against what the reader counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dlmwire_codec::HEADER_LEN;
use dlmwire_interop::capture::{
    Begun, CaptureStats, Ending, Event, Gap, HalfSent, Options, Place, Side, Sink, Stamp, Summary, Transport,
};

/// Characters of events that are kept, for comparison.
const SAID_MAX: usize = 1 << 17;

/// A frame as it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) link: u64,
    pub(super) from: Side,
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// What the events of a capture add up to.
#[derive(Debug)]
pub(super) struct Books {
    frame_bytes_max: usize,
    links: BTreeMap<u64, Link>,
    sums: Sums,
    last: Stamp,
    said: String,
    /// Frames in the order in which they were told, if they are to be kept.
    pub(super) frames: Option<Vec<Told>>,
}

#[derive(Debug)]
struct Link {
    is_up: bool,
    /// Whether frames may still come late.
    lingers: bool,
    directions: [Direction; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    /// Where the next frame begins at the earliest.
    next_offset: u64,
    completed: Option<(u64, u32)>,
    half_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Sums {
    pub(super) links: u64,
    pub(super) frames: u64,
    pub(super) frame_bytes: u64,
    pub(super) late: u64,
    pub(super) late_bytes: u64,
    /// Frames, late ones too, that can be decoded.
    pub(super) decoded: u64,
    pub(super) missing_bytes: u64,
    pub(super) missing_chunks: u64,
    gaps: u64,
    lost: u64,
    twice: u64,
    fragments: u64,
    refused: [u64; 2],
    down: u64,
    evicted: u64,
    cut: u64,
}

impl Books {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            frame_bytes_max: options.limits.frame_bytes_max.into(),
            links: BTreeMap::new(),
            sums: Sums::default(),
            last: Stamp::default(),
            said: String::new(),
            frames: None,
        }
    }

    /// Books that keep the frames as well.
    pub(super) fn with_frames(options: &Options) -> Self {
        Self {
            frames: Some(Vec::new()),
            ..Self::new(options)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// The events in words, up to a bound.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    pub(super) const fn sums(&self) -> Sums {
        self.sums
    }

    /// A sink that takes events into the books and hands them on.
    pub(super) fn beside(&mut self, behind: &mut dyn Sink) -> impl FnMut(Stamp, Event<'_>) {
        move |at: Stamp, event: Event<'_>| {
            self.take(at, &event);
            behind.event(at, event);
        }
    }

    fn take(&mut self, at: Stamp, event: &Event<'_>) {
        assert!(
            at.packet >= self.last.packet,
            "{at:?} behind {:?}: {event:?}",
            self.last
        );
        self.last = at;
        self.say(at, event);
        match *event {
            Event::LinkUp {
                link, begun, ends, ..
            } => {
                assert_eq!(link.get(), self.sums.links, "links are numbered in order");
                assert!(ends.iter().all(|end| end.primary().is_some()), "{event:?}");
                assert!(matches!(begun, Begun::Handshake | Begun::MidStream));
                self.sums.links += 1;
                let link = Link {
                    is_up: true,
                    lingers: false,
                    directions: [Direction::default(); 2],
                };
                self.links.insert(self.sums.links - 1, link);
            }
            Event::Frame {
                link,
                from,
                frame,
                place,
            } => {
                assert!(self.link(link.get()).is_up, "{event:?} on a link that is down");
                self.sums.frames += 1;
                self.sums.frame_bytes += frame.bytes().len() as u64;
                self.sums.decoded += u64::from(frame.decode().is_ok());
                self.frame(link.get(), from, frame.bytes(), place);
            }
            Event::Late {
                link,
                from,
                frame,
                place,
            } => {
                assert!(
                    self.link(link.get()).lingers,
                    "{event:?} on a link that was not reset"
                );
                self.sums.late += 1;
                self.sums.late_bytes += frame.bytes().len() as u64;
                self.sums.decoded += u64::from(frame.decode().is_ok());
                self.frame(link.get(), from, frame.bytes(), place);
            }
            Event::Missing {
                link, gap, broken, ..
            } => {
                let link = self.link(link.get());
                assert!(link.is_up || link.lingers, "{event:?}");
                check_half(broken);
                self.sums.gaps += 1;
                match gap {
                    Gap::Bytes(bytes) => self.sums.missing_bytes += bytes,
                    Gap::Chunks(chunks) => self.sums.missing_chunks += chunks,
                }
            }
            Event::FramingLost { link, .. } => {
                assert!(self.link(link.get()).is_up, "{event:?}");
                self.sums.lost += 1;
            }
            Event::Resynchronised { link, .. } | Event::AddressAdded { link, .. } => {
                assert!(self.link(link.get()).is_up, "{event:?}");
            }
            Event::Retransmitted { link, bytes, .. } => {
                assert!(self.link(link.get()).is_up, "{event:?}");
                assert!(bytes <= u64::from(u32::MAX), "{event:?}");
            }
            Event::HalfClosed { link, from } => {
                let link = self.link(link.get());
                assert!(link.is_up, "{event:?}");
                let direction = &mut link.directions[from.index()];
                assert!(!direction.half_closed, "{event:?} for the second time");
                direction.half_closed = true;
            }
            Event::LinkDown { link, why, half_sent } => {
                half_sent.into_iter().for_each(check_half);
                self.sums.down += 1;
                self.sums.evicted += u64::from(why == Ending::Evicted);
                self.sums.cut += half_sent.iter().flatten().count() as u64;
                let link = self.link(link.get());
                assert!(link.is_up, "{event:?} for the second time");
                link.is_up = false;
                link.lingers = matches!(why, Ending::Reset { .. } | Ending::Abort { .. });
            }
            Event::SeenTwice { first } => {
                assert!(
                    first.packet > 0 && first.packet < at.packet,
                    "{event:?} at {at:?}"
                );
                self.sums.twice += 1;
            }
            Event::Fragment { .. } => self.sums.fragments += 1,
            Event::Refused { transport, .. } => {
                self.sums.refused[usize::from(transport == Transport::Sctp)] += 1
            }
        }
    }

    fn say(&mut self, at: Stamp, event: &Event<'_>) {
        if self.said.len() >= SAID_MAX {
            return;
        }
        let _ = match event {
            Event::Frame {
                link,
                from,
                frame,
                place,
                ..
            }
            | Event::Late {
                link,
                from,
                frame,
                place,
                ..
            } => {
                let sum: u64 = frame.bytes().iter().map(|byte| u64::from(*byte)).sum();
                writeln!(self.said, "{} {link} {from:?} {sum} {place:?}", at.packet)
            }
            _ => writeln!(self.said, "{} {event:?}", at.packet),
        };
    }

    fn link(&mut self, link: u64) -> &mut Link {
        let known = self.links.get_mut(&link);
        known.unwrap_or_else(|| panic!("link {link} was never up"))
    }

    fn frame(&mut self, link: u64, from: Side, bytes: &[u8], place: Place) {
        assert!(
            (HEADER_LEN..=self.frame_bytes_max).contains(&bytes.len()),
            "{place:?}"
        );
        assert!(place.segment > 0 && place.first_segment > 0, "{place:?}");
        assert!(
            place.first.packet > 0 && place.first.packet <= self.last.packet,
            "{place:?}"
        );
        let direction = &mut self.link(link).directions[from.index()];
        assert!(place.offset >= direction.next_offset, "{place:?}, {direction:?}");
        direction.next_offset = place.offset + bytes.len() as u64;
        let nth = match direction.completed {
            Some((segment, nth)) if segment == place.segment => nth + 1,
            _ => 1,
        };
        assert_eq!(place.nth, nth, "{place:?}, {direction:?}");
        direction.completed = Some((place.segment, nth));
        if let Some(frames) = &mut self.frames {
            frames.push(Told {
                link,
                from,
                offset: place.offset,
                bytes: bytes.to_vec(),
            });
        }
    }

    /// What was counted is what was told, and no byte was used twice.
    pub(super) fn agree_with(&self, summary: &Summary) {
        let stats = &summary.stats;
        let Sums {
            frames,
            frame_bytes,
            late,
            late_bytes,
            ..
        } = self.sums;
        assert_eq!(
            [stats.links, self.sums.down],
            [self.sums.links; 2],
            "every link goes down once"
        );
        assert_eq!(
            [stats.frames, stats.frame_bytes, stats.late_frames],
            [frames, frame_bytes, late]
        );
        assert_eq!(
            [stats.missing_bytes, stats.missing_chunks],
            [self.sums.missing_bytes, self.sums.missing_chunks]
        );
        assert_eq!([stats.gaps, stats.seen_twice], [self.sums.gaps, self.sums.twice]);
        assert_eq!(
            [stats.links_evicted, stats.cut_directions],
            [self.sums.evicted, self.sums.cut]
        );
        assert_eq!(stats.tcp.refused, self.sums.refused[0]);
        // Late directions lose framing silently, later fragments have no ports.
        assert!(stats.framing_lost >= self.sums.lost && stats.ip_fragments >= self.sums.fragments);
        let used = frame_bytes + late_bytes + stats.skipped_bytes;
        assert!(used <= stats.bytes, "{used} bytes used of {}", stats.bytes);
        packets_are_counted_once(stats);
    }
}

fn packets_are_counted_once(stats: &CaptureStats) {
    let kinds = [
        stats.other_packets,
        stats.unknown_link_layer,
        stats.undecodable,
        stats.ip_fragments,
        stats.seen_twice,
        stats.tcp.packets,
        stats.sctp.packets,
    ];
    assert_eq!(kinds.iter().sum::<u64>(), stats.packets, "{stats:?}");
    let tcp = &stats.tcp;
    assert!(tcp.data_segments + tcp.keepalives <= tcp.packets, "{tcp:?}");
    assert!(
        tcp.retransmitted_segments <= tcp.data_segments && tcp.rst_ignored <= tcp.rst,
        "{tcp:?}"
    );
    assert!(tcp.differing_segments <= tcp.data_segments, "{tcp:?}");
    assert!(
        stats.sctp.retransmitted_data <= stats.sctp.data,
        "{:?}",
        stats.sctp
    );
    assert!(stats.stray_data_packets <= stats.stray_packets, "{stats:?}");
    assert!(
        stats.stray_packets <= tcp.packets + stats.sctp.packets,
        "{stats:?}"
    );
}

fn check_half(half: Option<HalfSent>) {
    if let Some(half) = half {
        assert!(half.have > 0 && half.have < half.needed, "{half:?}");
    }
}
