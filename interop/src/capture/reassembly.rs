//! One packet after the other, to the transport it belongs to.

use dlmwire_codec::{Limits, RawFrame};

use super::Options;
use super::deframe::Dialect;
use super::event::{Ending, Event, Gap, GapEvidence, HalfSent, LinkId, Place, Side, Sink, Stamp};
use super::layers::{Datagram, Fragment, Layers, LinkType, TCP, layers};
use super::packets::Packet;
use super::sctp::Sctp;
use super::stats::CaptureStats;
use super::tcp::Tcp;
use super::twice::Twice;

/// Buffers kept for the next frame that must wait.
const SPARE_BUFFERS_MAX: usize = 64;

/// Turns packets into frames, whatever they come from.
///
/// ```
/// use dlmwire_interop::capture::{Event, LinkType, Options, Packet, Reassembler, Stamp, Timestamp};
///
/// let mut reassembler = Reassembler::new(Options::default());
/// let stamp = Stamp { packet: 1, time: Timestamp::from_nanos(0) };
/// let packet = Packet { stamp, link_type: LinkType::RawIp, data: &[0x45, 0], wire_len: 60 };
/// let mut sink = |_: Stamp, _: Event<'_>| unreachable!("nothing can be read from two bytes");
/// reassembler.packet(&packet, &mut sink);
/// assert_eq!(reassembler.finish(&mut sink).undecodable, 1);
/// ```
pub struct Reassembler {
    ports: Vec<u16>,
    limits: Limits,
    stats: CaptureStats,
    spare: Vec<Vec<u8>>,
    twice: Twice,
    tcp: Tcp,
    sctp: Sctp,
    last: Stamp,
}

impl Reassembler {
    /// Nothing seen yet.
    pub fn new(options: Options) -> Self {
        Self {
            tcp: Tcp::new(&options),
            sctp: Sctp::new(&options),
            ports: options.ports,
            limits: options.limits,
            stats: CaptureStats::default(),
            spare: Vec::new(),
            twice: Twice::new(),
            last: Stamp::default(),
        }
    }

    /// The next packet of the capture.
    #[inline]
    pub fn packet(&mut self, packet: &Packet<'_>, sink: &mut dyn Sink) {
        self.last = packet.stamp;
        self.stats.packets += 1;
        self.stats.bytes += packet.data.len() as u64;
        self.stats.truncated_packets += u64::from(packet.is_truncated());
        match layers(packet) {
            Layers::Ip(datagram) => self.datagram(&datagram, packet.stamp, sink),
            Layers::Other => self.stats.other_packets += 1,
            Layers::UnknownLink => self.unknown_link(packet.link_type),
            Layers::Undecodable => self.stats.undecodable += 1,
        }
    }

    /// Ends the capture: every open link goes down.
    pub fn finish(mut self, sink: &mut dyn Sink) -> CaptureStats {
        let mut outlet = Outlet {
            sink,
            at: self.last,
            stats: &mut self.stats,
            limits: self.limits,
            spare: &mut self.spare,
        };
        self.tcp.finish(&mut outlet);
        self.sctp.finish(&mut outlet);
        self.stats
    }

    /// Counts so far.
    pub const fn stats(&self) -> &CaptureStats {
        &self.stats
    }

    /// Links followed now, over TCP and over SCTP, those included that are only being opened or were reset. Each is at
    /// most [`Options::links_max`].
    pub const fn links_open(&self) -> [usize; 2] {
        [self.tcp.links_open(), self.sctp.links_open()]
    }

    /// Bytes that wait on the links over TCP and on those over SCTP. Between two packets, each is at most
    /// [`Options::waiting_bytes_total_max`].
    pub fn waiting_bytes(&self) -> [usize; 2] {
        [self.tcp.waiting_bytes(), self.sctp.waiting_bytes()]
    }

    #[cold]
    fn unknown_link(&mut self, link_type: LinkType) {
        self.stats.unknown_link_layer += 1;
        match link_type {
            LinkType::Unsupported(LinkType::UNDESCRIBED) => self.stats.undescribed_interface += 1,
            known => {
                self.stats.unsupported_link_type.get_or_insert(known.number());
            }
        }
    }

    #[inline]
    fn datagram(&mut self, datagram: &Datagram<'_>, at: Stamp, sink: &mut dyn Sink) {
        let mut outlet = Outlet {
            sink,
            at,
            stats: &mut self.stats,
            limits: self.limits,
            spare: &mut self.spare,
        };
        if datagram.fragment == Fragment::Later {
            outlet.stats.ip_fragments += 1;
            return;
        }
        let Some((source, destination)) = datagram.ports() else {
            outlet.stats.undecodable += 1;
            return;
        };
        let listens = [source, destination].map(|port| self.ports.contains(&port));
        if listens == [false, false] {
            outlet.stats.other_packets += 1;
            return;
        }
        if datagram.fragment == Fragment::First {
            outlet.stats.ip_fragments += 1;
            let (source, destination) = (datagram.source.into(), datagram.destination.into());
            outlet.emit(Event::Fragment { source, destination });
            return;
        }
        if let Some(first) = self.twice.first_copy(datagram, at) {
            outlet.stats.seen_twice += 1;
            outlet.emit(Event::SeenTwice { first });
            return;
        }
        let ports = Ports {
            source,
            destination,
            from_listener: listens == [true, false],
        };
        if datagram.protocol == TCP {
            self.tcp.segment(datagram, ports, &mut outlet);
        } else {
            self.sctp.packet(datagram, ports, &mut outlet);
        }
    }
}

/// The ports of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) source: u16,
    pub(super) destination: u16,
    /// Whether only the source is a DLM port.
    pub(super) from_listener: bool,
}

/// Where everything goes, while one packet is looked at.
pub(super) struct Outlet<'s> {
    sink: &'s mut dyn Sink,
    pub(super) at: Stamp,
    pub(super) stats: &'s mut CaptureStats,
    pub(super) limits: Limits,
    spare: &'s mut Vec<Vec<u8>>,
}

/// One direction of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lane {
    pub(super) link: LinkId,
    pub(super) from: Side,
    /// Whether the link was reset before.
    pub(super) late: bool,
    /// What both directions have shown of how the ends talk.
    pub(super) dialect: Dialect,
}

impl Outlet<'_> {
    #[inline]
    pub(super) fn emit(&mut self, event: Event<'_>) {
        self.sink.event(self.at, event);
    }

    #[inline]
    pub(super) fn frame(&mut self, lane: Lane, frame: RawFrame<'_>, place: Place) {
        if lane.late {
            self.stats.late_frames += 1;
            self.emit(Event::Late {
                link: lane.link,
                from: lane.from,
                frame,
                place,
            });
            return;
        }
        self.stats.frames += 1;
        self.stats.frame_bytes += frame.bytes().len() as u64;
        self.emit(Event::Frame {
            link: lane.link,
            from: lane.from,
            frame,
            place,
        });
    }

    /// Something about a direction. Of a link that is down only late frames, and what is missing between
    /// them, are told.
    pub(super) fn emit_on(&mut self, lane: Lane, event: Event<'_>) {
        if !lane.late {
            self.emit(event);
        }
    }

    pub(super) fn missing(&mut self, lane: Lane, gap: Gap, evidence: GapEvidence, broken: Option<HalfSent>) {
        self.stats.gaps += 1;
        match gap {
            Gap::Bytes(bytes) => self.stats.missing_bytes += bytes,
            Gap::Chunks(chunks) => self.stats.missing_chunks += chunks,
        }
        self.emit(Event::Missing {
            link: lane.link,
            from: lane.from,
            gap,
            evidence,
            broken,
        });
    }

    /// The number that the next link gets. Count it with [`link_up`](Self::link_up).
    pub(super) fn next_link(&self) -> LinkId {
        LinkId::new(self.stats.links)
    }

    pub(super) fn link_up(&mut self, event: Event<'_>) {
        self.stats.links += 1;
        self.emit(event);
    }

    pub(super) fn link_down(&mut self, link: LinkId, why: Ending, half_sent: [Option<HalfSent>; 2]) {
        self.stats.cut_directions += half_sent.iter().flatten().count() as u64;
        self.stats.links_evicted += u64::from(why == Ending::Evicted);
        self.emit(Event::LinkDown { link, why, half_sent });
    }

    /// A link that was reset before is forgotten.
    pub(super) fn late_end(&mut self, half_sent: [Option<HalfSent>; 2]) {
        self.stats.late_cut_directions += half_sent.iter().flatten().count() as u64;
    }

    /// An empty buffer, used before if possible.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a buffer.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        const SPARE_BYTES_MAX: usize = 8 << 10;
        if self.spare.len() < SPARE_BUFFERS_MAX && (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}
