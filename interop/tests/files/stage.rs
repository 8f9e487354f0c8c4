//! Packets handed to the reader one by one, with books and a checker behind it.

use dlmwire_interop::capture::testkit::{cooked, cooked2, ethernet, ethernet_tagged};
use dlmwire_interop::capture::{End, LinkType, Options, Packet, Reassembler, Stamp, Summary, Timestamp};
use dlmwire_interop::check::{Checker, Known};

use super::books::Books;
use super::told;

/// Packets between two looks at what waits on all links.
const BETWEEN_CHECKS: u64 = 16;

/// A reassembler under observation.
pub(super) struct Stage {
    options: Options,
    reassembler: Reassembler,
    pub(super) books: Books,
    checker: Checker,
    packets: u64,
    pub(super) nanos: u64,
}

/// How an IP packet is wrapped and what is captured of it.
#[derive(Clone, Copy)]
pub(super) struct Envelope {
    pub(super) link_type: LinkType,
    /// Bytes that are captured at most.
    pub(super) snap: usize,
    /// Bytes that the packet had beyond those that it has.
    pub(super) beyond: u32,
}

impl Envelope {
    pub(super) const PLAIN: Self = Self {
        link_type: LinkType::RawIp,
        snap: usize::MAX,
        beyond: 0,
    };
}

impl Stage {
    pub(super) fn new(options: Options) -> Self {
        Self {
            reassembler: Reassembler::new(options.clone()),
            books: Books::with_frames(&options),
            options,
            checker: Checker::new(&Known::default()),
            packets: 0,
            nanos: 1_700_000_000_000_000_000,
        }
    }

    pub(super) fn packet(&mut self, ip: &[u8], envelope: Envelope) {
        let wrapped = match envelope.link_type {
            LinkType::Ethernet if ip.len().is_multiple_of(2) => ethernet_tagged(&[0x88a8, 0x8100], ip),
            LinkType::Ethernet => ethernet(ip),
            LinkType::LinuxCooked => cooked(ip),
            LinkType::LinuxCooked2 => cooked2(ip),
            LinkType::Loopback => [&[2, 0, 0, 0], ip].concat(),
            LinkType::RawIp | LinkType::Unsupported(_) => ip.to_vec(),
        };
        let wire_len = u32::try_from(wrapped.len()).expect("a packet is short");
        self.packets += 1;
        let packet = Packet {
            stamp: Stamp {
                packet: self.packets,
                time: Timestamp::from_nanos(self.nanos),
            },
            link_type: envelope.link_type,
            data: &wrapped[..wrapped.len().min(envelope.snap)],
            wire_len: wire_len.saturating_add(envelope.beyond),
        };
        self.reassembler
            .packet(&packet, &mut self.books.beside(&mut self.checker));
        if self.packets.is_multiple_of(BETWEEN_CHECKS) {
            self.is_within_bounds();
        }
    }

    /// Nothing waits, and nothing is open, beyond what the options allow for each of the two transports.
    fn is_within_bounds(&self) {
        let (open, waiting) = (self.reassembler.links_open(), self.reassembler.waiting_bytes());
        assert!(
            open.iter().all(|open| *open <= self.options.links_max),
            "{open:?} open"
        );
        let bound = self.options.waiting_bytes_total_max;
        assert!(
            waiting.iter().all(|waiting| *waiting <= bound),
            "{waiting:?} wait"
        );
    }

    /// Ends the capture. Returns the books and everything that was said.
    pub(super) fn finish(mut self) -> (Books, Summary, String) {
        let summary = Summary {
            stats: self.reassembler.finish(&mut self.books.beside(&mut self.checker)),
            end: End::Complete,
        };
        self.books.agree_with(&summary);
        let report = told(&self.checker.finish(&summary), &summary, &self.books);
        let said = format!("{}{report}", self.books.said());
        (self.books, summary, said)
    }
}
