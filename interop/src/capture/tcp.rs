//! TCP connections on DLM ports.
//!
//! A connection is up once its handshake was answered, or once data comes on addresses and ports that are
//! not known. Whatever else comes without a connection opens none. A connection that ended leaves
//! its addresses in a bounded memory, so that what was still under way is not taken for a new one.

mod stream;

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use etherparse::TcpHeaderSlice;
use rustc_hash::FxHashMap;

use super::Options;
use super::deframe::Dialect;
use super::event::{Begun, Ending, Endpoint, Event, LinkId, Side, Transport};
use super::layers::{Address, Datagram};
use super::links::{Departed, Lingering, Links, Slot};
use super::reassembly::{Lane, Outlet, Ports};
use stream::{Piece, Stream};

/// The connections of a capture.
pub(super) struct Tcp {
    slots: FxHashMap<Flow, Slot>,
    links: Links<Connection>,
    lingering: Lingering<(Slot, LinkId)>,
    departed: Departed<Flow>,
    waiting_bytes: usize,
    links_max: usize,
    waiting_bytes_max: usize,
    waiting_bytes_total_max: usize,
}

/// Both ends of a connection, in an order that does not depend on the direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flow {
    low: (Address, u16),
    high: (Address, u16),
}

impl Flow {
    /// The flow, and whether its low end is the source.
    #[inline]
    pub(super) fn of(datagram: &Datagram<'_>, ports: Ports) -> (Self, bool) {
        let source = (datagram.source, ports.source);
        let destination = (datagram.destination, ports.destination);
        if source <= destination {
            (
                Self {
                    low: source,
                    high: destination,
                },
                true,
            )
        } else {
            (
                Self {
                    low: destination,
                    high: source,
                },
                false,
            )
        }
    }
}

impl Hash for Flow {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.low.0.bits());
        state.write_u128(self.high.0.bits());
        state.write_u32(u32::from(self.low.1) << 16 | u32::from(self.high.1));
    }
}

#[derive(Debug)]
struct Connection {
    flow: Flow,
    /// Whether [`Side::A`] is the flow's low end.
    a_is_low: bool,
    state: State,
    /// Initial sequence numbers, as far as a SYN was seen.
    initial: [Option<u32>; 2],
    streams: [Stream; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A SYN was seen, not answered yet.
    Opening,
    Up(LinkId),
    /// It was reset; what was under way may still come.
    Lingering(LinkId),
}

/// What a segment says, apart from its addresses.
#[derive(Clone, Copy, Debug)]
struct Segment<'a> {
    seq: u32,
    ack: Option<u32>,
    syn: bool,
    fin: bool,
    rst: bool,
    piece: Piece<'a>,
}

impl<'a> Segment<'a> {
    #[inline]
    fn read(datagram: &Datagram<'a>) -> Option<Self> {
        let header = TcpHeaderSlice::from_slice(datagram.payload).ok()?;
        let header_len = header.slice().len();
        let bytes = datagram.payload.get(header_len..).unwrap_or_default();
        let cut = datagram.wire_len.saturating_sub(header_len + bytes.len()) as u64;
        Some(Self {
            seq: header.sequence_number(),
            ack: header.ack().then(|| header.acknowledgment_number()),
            syn: header.syn(),
            fin: header.fin(),
            rst: header.rst(),
            piece: Piece { bytes, cut },
        })
    }

    /// The number of its first byte of data.
    const fn data_seq(&self) -> u32 {
        if self.syn {
            self.seq.wrapping_add(1)
        } else {
            self.seq
        }
    }
}

impl Tcp {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            slots: FxHashMap::default(),
            links: Links::new(),
            lingering: Lingering::new(),
            departed: Departed::new(),
            waiting_bytes: 0,
            links_max: options.links_max.max(1),
            waiting_bytes_max: options.waiting_bytes_max,
            waiting_bytes_total_max: options.waiting_bytes_total_max,
        }
    }

    #[inline]
    pub(super) fn segment(&mut self, datagram: &Datagram<'_>, ports: Ports, out: &mut Outlet<'_>) {
        let Some(segment) = Segment::read(datagram) else {
            out.stats.undecodable += 1;
            return;
        };
        let counts = &mut out.stats.tcp;
        counts.packets += 1;
        counts.syn += u64::from(segment.syn && segment.ack.is_none());
        counts.rst += u64::from(segment.rst);
        counts.fin += u64::from(segment.fin);
        let (flow, from_low) = Flow::of(datagram, ports);
        let found = self.slots.get(&flow).copied();
        let slot = match found {
            Some(slot) if segment.syn => self.syn_again(slot, &segment, from_low, out),
            Some(slot) => Some(slot),
            None => None,
        };
        let Some(slot) = slot.or_else(|| self.open(flow, from_low, &segment, ports, out)) else {
            Self::count_stray(&segment, out);
            return;
        };
        let Some(connection) = self.links.touch(slot, out.at.packet) else {
            return;
        };
        let before = connection.waiting_bytes();
        let ending = connection.segment(&segment, from_low, self.waiting_bytes_max, out);
        self.waiting_bytes = self.waiting_bytes + connection.waiting_bytes() - before;
        match ending {
            None => {}
            Some(Over::Fin) => self.close(slot, Ending::Fin, out),
            Some(Over::Reset { from }) => self.linger(slot, from, out),
            Some(Over::Refused) => self.refuse(slot, out),
        }
        while self.waiting_bytes > self.waiting_bytes_total_max && self.links.len() > 0 {
            self.evict(out);
        }
    }

    /// Links in any state.
    pub(super) const fn links_open(&self) -> usize {
        self.links.len()
    }

    /// Bytes that wait on all links.
    pub(super) fn waiting_bytes(&self) -> usize {
        let counted = self.links.iter().map(Connection::waiting_bytes).sum();
        debug_assert_eq!(self.waiting_bytes, counted, "every change is counted");
        counted
    }

    pub(super) fn finish(&mut self, out: &mut Outlet<'_>) {
        for slot in self.links.by_age() {
            self.close(slot, Ending::EndOfCapture, out);
        }
    }

    /// Whether a SYN on known ports belongs to the connection there; if not, that one is over.
    #[cold]
    fn syn_again(
        &mut self,
        slot: Slot,
        syn: &Segment<'_>,
        from_low: bool,
        out: &mut Outlet<'_>,
    ) -> Option<Slot> {
        let connection = self.links.get(slot)?;
        let side = connection.side(from_low);
        match connection.initial[side.index()] {
            Some(initial) if initial == syn.seq => Some(slot),
            None if connection.state == State::Opening => Some(slot),
            None if syn.ack.is_some() && connection.initial != [None; 2] => Some(slot),
            _ => {
                self.close(slot, Ending::Replaced, out);
                None
            }
        }
    }

    /// Makes a connection for a segment that has none, if it is of the kind that makes one.
    #[cold]
    fn open(
        &mut self,
        flow: Flow,
        from_low: bool,
        segment: &Segment<'_>,
        ports: Ports,
        out: &mut Outlet<'_>,
    ) -> Option<Slot> {
        if segment.rst || !(segment.syn || segment.piece.len() > 0) {
            return None;
        }
        if !segment.syn && self.departed.contains(&flow, out.at.time) {
            return None;
        }
        if segment.syn {
            self.departed.remove(&flow);
        }
        // The opener sends SYN, is sent SYN and ACK, or is not the one that listens.
        let from_a = if segment.syn {
            segment.ack.is_none()
        } else {
            !ports.from_listener
        };
        if self.links.len() >= self.links_max {
            self.evict(out);
        }
        let connection = Connection {
            flow,
            a_is_low: from_a == from_low,
            state: State::Opening,
            initial: [None; 2],
            streams: [Stream::new(), Stream::new()],
        };
        let slot = self.links.insert(connection, out.at.packet);
        self.slots.insert(flow, slot);
        Some(slot)
    }

    /// The link is down, but what is under way may still come.
    #[cold]
    fn linger(&mut self, slot: Slot, from: Side, out: &mut Outlet<'_>) {
        let Some(connection) = self.links.get_mut(slot) else {
            return;
        };
        let State::Up(link) = connection.state else { return };
        connection.state = State::Lingering(link);
        let half_sent = connection.streams.each_ref().map(|stream| stream.half_sent(out));
        out.link_down(link, Ending::Reset { from }, half_sent);
        if let Some((slot, link)) = self.lingering.push((slot, link))
            && self
                .links
                .get(slot)
                .is_some_and(|connection| connection.state == State::Lingering(link))
        {
            self.close(slot, Ending::Reset { from }, out);
        }
    }

    #[cold]
    fn close(&mut self, slot: Slot, why: Ending, out: &mut Outlet<'_>) {
        let Some(mut connection) = self.links.remove(slot) else {
            return;
        };
        self.slots.remove(&connection.flow);
        self.waiting_bytes -= connection.waiting_bytes();
        let (link, late) = match connection.state {
            State::Opening => {
                out.stats.openings_evicted += u64::from(why == Ending::Evicted);
                return;
            }
            State::Up(link) => (link, false),
            State::Lingering(link) => (link, true),
        };
        let dialect = connection.dialect();
        let half_sent = Side::BOTH.map(|from| {
            let lane = Lane {
                link,
                from,
                late,
                dialect,
            };
            connection.streams[from.index()].finish(lane, out)
        });
        if late {
            out.late_end(half_sent);
        } else {
            out.link_down(link, why, half_sent);
        }
        if !matches!(why, Ending::Evicted | Ending::Replaced) {
            self.departed.insert(connection.flow, out.at.time);
        }
    }

    #[cold]
    fn refuse(&mut self, slot: Slot, out: &mut Outlet<'_>) {
        let Some(connection) = self.links.get(slot) else {
            return;
        };
        let [opener, target] = connection.ends();
        out.stats.tcp.refused += 1;
        out.emit(Event::Refused {
            transport: Transport::Tcp,
            opener,
            target,
        });
        self.close(slot, Ending::Reset { from: Side::B }, out);
    }

    #[cold]
    fn evict(&mut self, out: &mut Outlet<'_>) {
        for slot in self.links.oldest() {
            self.close(slot, Ending::Evicted, out);
        }
    }

    #[cold]
    fn count_stray(segment: &Segment<'_>, out: &mut Outlet<'_>) {
        out.stats.stray_packets += 1;
        out.stats.stray_data_packets += u64::from(segment.piece.len() > 0);
        out.stats.tcp.data_segments += u64::from(segment.piece.len() > 0);
    }
}

/// What a segment put an end to.
enum Over {
    Fin,
    Reset { from: Side },
    Refused,
}

impl Connection {
    #[inline]
    fn segment(
        &mut self,
        segment: &Segment<'_>,
        from_low: bool,
        limit: usize,
        out: &mut Outlet<'_>,
    ) -> Option<Over> {
        let from = self.side(from_low);
        if segment.rst {
            return self.reset(segment, from, out);
        }
        if segment.syn {
            self.handshake(segment, from);
        }
        let (link, late) = match self.state {
            State::Up(link) => (link, false),
            State::Lingering(link) => (link, true),
            State::Opening => (self.answered(segment, from, out)?, false),
        };
        let dialect = self.dialect();
        let lane = Lane {
            link,
            from,
            late,
            dialect,
        };
        let [a, b] = &mut self.streams;
        let (ours, theirs) = if from == Side::A { (a, b) } else { (b, a) };
        let len = segment.piece.len();
        if !segment.syn && ours.is_keepalive(segment.seq, len) {
            out.stats.tcp.keepalives += 1;
        } else if len > 0 {
            ours.data(segment.data_seq(), segment.piece, limit, lane, out);
        }
        if let Some(ack) = segment.ack {
            theirs.acked(
                ack,
                Lane {
                    link,
                    from: from.other(),
                    late,
                    dialect,
                },
                out,
            );
        }
        if segment.fin {
            let [a, b, c, d, ..] = len.to_le_bytes();
            ours.fin(
                segment.data_seq().wrapping_add(u32::from_le_bytes([a, b, c, d])),
                lane,
                out,
            );
        }
        let over = self.streams.iter().all(Stream::is_half_closed);
        over.then_some(Over::Fin)
    }

    #[cold]
    fn reset(&self, segment: &Segment<'_>, from: Side, out: &mut Outlet<'_>) -> Option<Over> {
        match self.state {
            State::Opening if from == Side::B => Some(Over::Refused),
            State::Opening => None,
            State::Up(_) if self.streams[from.index()].is_in_window(segment.seq) => {
                Some(Over::Reset { from })
            }
            State::Lingering(_) => None,
            State::Up(_) => {
                out.stats.tcp.rst_ignored += 1;
                None
            }
        }
    }

    /// A SYN says where its direction begins; one with ACK says so of both.
    #[cold]
    fn handshake(&mut self, syn: &Segment<'_>, from: Side) {
        self.initial[from.index()].get_or_insert(syn.seq);
        let ours = &mut self.streams[from.index()];
        if !ours.is_begun() {
            ours.begin(syn.seq.wrapping_add(1));
        }
        let other = &mut self.streams[from.other().index()];
        if let (Some(ack), false) = (syn.ack, other.is_begun()) {
            other.begin(ack);
        }
    }

    /// Whether this segment shows that the connection is up.
    #[cold]
    fn answered(&mut self, segment: &Segment<'_>, from: Side, out: &mut Outlet<'_>) -> Option<LinkId> {
        let syn_ack = segment.syn && segment.ack.is_some();
        let third = from == Side::A && !segment.syn && segment.ack.is_some();
        let data = !segment.syn && segment.piece.len() > 0;
        if !(syn_ack || third || data) {
            return None;
        }
        let begun = if self.initial == [None; 2] {
            Begun::MidStream
        } else {
            Begun::Handshake
        };
        let other = &mut self.streams[from.other().index()];
        if let (Begun::Handshake, true, Some(ack), false) = (begun, third, segment.ack, other.is_begun()) {
            other.begin(ack);
        }
        out.stats.tcp.accepted += u64::from(begun == Begun::Handshake);
        let link = out.next_link();
        let ends = self.ends();
        let addresses = ends.map(|end| [end.ip()]);
        let [a, b] = &addresses;
        let ends = [
            Endpoint {
                addresses: a,
                port: ends[0].port(),
            },
            Endpoint {
                addresses: b,
                port: ends[1].port(),
            },
        ];
        out.link_up(Event::LinkUp {
            link,
            transport: Transport::Tcp,
            begun,
            ends,
        });
        self.state = State::Up(link);
        Some(link)
    }

    #[inline]
    const fn side(&self, from_low: bool) -> Side {
        if from_low == self.a_is_low {
            Side::A
        } else {
            Side::B
        }
    }

    fn ends(&self) -> [SocketAddr; 2] {
        let [low, high] = [self.flow.low, self.flow.high]
            .map(|(address, port)| SocketAddr::new(IpAddr::from(address), port));
        if self.a_is_low { [low, high] } else { [high, low] }
    }

    #[inline]
    fn dialect(&self) -> Dialect {
        let [a, b] = &self.streams;
        a.dialect().max(b.dialect())
    }

    #[inline]
    fn waiting_bytes(&self) -> usize {
        self.streams.iter().map(Stream::waiting_bytes).sum()
    }
}
