//! SCTP associations on DLM ports.
//!
//! An association is found by its ports and verification tags, whatever addresses its packets use: each
//! side's tag stands in every packet sent to it. Where the handshake is not in the capture, the two
//! directions are brought together by addresses and ports, or by ports alone if they use different paths.

mod association;
mod chunks;
mod stream;

use std::net::SocketAddr;

use rustc_hash::FxHashMap;

use super::Options;
use super::event::{Begun, Ending, Endpoint, Event, Side, Transport};
use super::layers::Datagram;
use super::links::{Departed, Lingering, Links, Slot};
use super::reassembly::{Lane, Outlet, Ports};
use super::stats::SctpStats;
use super::tcp::Flow;
use association::{Association, State};
use chunks::{Chunk, Data, Init, chunks};
use stream::Stream;

/// The associations of a capture.
pub(super) struct Sctp {
    tags: FxHashMap<Tag, (Slot, Side)>,
    /// Associations that are up, by the addresses and ports they were first seen with.
    flows: FxHashMap<Flow, Slot>,
    /// Associations of which one side's tag is not known yet, by the ports of A and B; the newest counts.
    half_known: FxHashMap<(u16, u16), Slot>,
    links: Links<Association>,
    /// Associations that were aborted, or refused while opening.
    lingering: Lingering<(Slot, State, Option<u32>)>,
    departed: Departed<Tag>,
    waiting_bytes: usize,
    links_max: usize,
    waiting_bytes_max: usize,
    waiting_bytes_total_max: usize,
}

/// What a packet to a side carries: the tag that side chose, its port and the other one's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Tag {
    tag: u32,
    owner_port: u16,
    other_port: u16,
}

/// The packet that a chunk came in.
#[derive(Clone, Copy)]
struct Packet<'p, 'a> {
    datagram: &'p Datagram<'a>,
    ports: Ports,
    tag: u32,
}

impl Packet<'_, '_> {
    /// The tag as that of the receiver; as ABORT and SHUTDOWN COMPLETE may reflect it, of the sender.
    const fn tag(&self, reflected: bool) -> Tag {
        let Ports {
            source, destination, ..
        } = self.ports;
        let (owner_port, other_port) = if reflected {
            (source, destination)
        } else {
            (destination, source)
        };
        Tag {
            tag: self.tag,
            owner_port,
            other_port,
        }
    }

    fn source(&self) -> SocketAddr {
        SocketAddr::new(self.datagram.source.into(), self.ports.source)
    }

    fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.datagram.destination.into(), self.ports.destination)
    }
}

impl Sctp {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            tags: FxHashMap::default(),
            flows: FxHashMap::default(),
            half_known: FxHashMap::default(),
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
    pub(super) fn packet(&mut self, datagram: &Datagram<'_>, ports: Ports, out: &mut Outlet<'_>) {
        let Some((tag, chunks)) = chunks(datagram) else {
            out.stats.undecodable += 1;
            return;
        };
        out.stats.sctp.packets += 1;
        let packet = Packet { datagram, ports, tag };
        let (mut strayed, mut data_strayed) = (false, false);
        for chunk in chunks {
            count(&chunk, &mut out.stats.sctp);
            let stray = self.chunk(packet, &chunk, out).is_none();
            strayed |= stray;
            data_strayed |= stray && matches!(chunk, Chunk::Data(_));
        }
        out.stats.stray_data_packets += u64::from(data_strayed);
        out.stats.stray_packets += u64::from(strayed);
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
        let counted = self.links.iter().map(Association::waiting_bytes).sum();
        debug_assert_eq!(self.waiting_bytes, counted, "every change is counted");
        counted
    }

    pub(super) fn finish(&mut self, out: &mut Outlet<'_>) {
        for slot in self.links.by_age() {
            self.close(slot, Ending::EndOfCapture, out);
        }
    }

    /// `None` if the chunk belongs to no association.
    #[inline]
    fn chunk(&mut self, packet: Packet<'_, '_>, chunk: &Chunk<'_>, out: &mut Outlet<'_>) -> Option<()> {
        match chunk {
            Chunk::Data(data) => return self.data(packet, data, out),
            Chunk::Sack { cumulative } => {
                let (slot, to) = self.find(packet, false, out)?;
                self.with_stream(slot, to, out, |stream, lane, out| {
                    stream.acked(*cumulative, lane, out)
                });
            }
            Chunk::Shutdown { cumulative } => {
                let (slot, to) = self.find(packet, false, out)?;
                self.with_stream(slot, to, out, |stream, lane, out| {
                    stream.acked(*cumulative, lane, out)
                });
            }
            Chunk::ForwardTsn { cumulative } => {
                let (slot, to) = self.find(packet, false, out)?;
                self.with_stream(slot, to.other(), out, |stream, lane, out| {
                    stream.forward(*cumulative, lane, out)
                });
            }
            Chunk::Init(init) => self.init(packet, init, out),
            Chunk::InitAck(init) => self.init_ack(packet, init, out)?,
            Chunk::CookieEcho | Chunk::CookieAck => {
                let (slot, _) = self.find(packet, false, out)?;
                self.up(slot, out)?;
            }
            Chunk::Abort { reflected } => self.abort(packet, *reflected, out)?,
            Chunk::ShutdownComplete { reflected } => {
                let (slot, _) = self.find(packet, *reflected, out)?;
                self.close(slot, Ending::Shutdown, out);
            }
            Chunk::Heartbeat | Chunk::HeartbeatAck | Chunk::ShutdownAck | Chunk::Error | Chunk::Unknown => {
                self.find(packet, false, out)?;
            }
            Chunk::Bad => {}
        }
        Some(())
    }

    #[inline]
    fn data(&mut self, packet: Packet<'_, '_>, data: &Data<'_>, out: &mut Outlet<'_>) -> Option<()> {
        let (slot, to) = match self.find(packet, false, out) {
            Some(found) => found,
            None => self.open_mid_stream(packet, out)?,
        };
        self.up(slot, out)?;
        let limit = self.waiting_bytes_max;
        self.with_stream(slot, to.other(), out, |stream, lane, out| {
            stream.data(data, limit, lane, out)
        });
        Some(())
    }

    /// The association of a packet and the side it goes to. Takes note of the path.
    #[inline]
    fn find(
        &mut self,
        packet: Packet<'_, '_>,
        reflected: bool,
        out: &mut Outlet<'_>,
    ) -> Option<(Slot, Side)> {
        let &(slot, owner) = self.tags.get(&packet.tag(reflected))?;
        let to = if reflected { owner.other() } else { owner };
        let association = self.links.touch(slot, out.at.packet)?;
        let path = (packet.datagram.source, packet.datagram.destination);
        let last = &mut association.paths[to.other().index()];
        if *last != Some(path) {
            *last = Some(path);
            association.learn(to.other(), packet.source().ip(), out);
            association.learn(to, packet.destination().ip(), out);
        }
        Some((slot, to))
    }

    /// Runs `act` on the stream of what `from` sends, if the association is up.
    #[inline]
    fn with_stream<'o>(
        &mut self,
        slot: Slot,
        from: Side,
        out: &mut Outlet<'o>,
        act: impl FnOnce(&mut Stream, Lane, &mut Outlet<'o>),
    ) {
        let Some(association) = self.links.get_mut(slot) else {
            return;
        };
        let (link, late) = match association.state {
            State::Opening => return,
            State::Up(link) => (link, false),
            State::Lingering(link) => (link, true),
        };
        let dialect = association.dialect();
        let stream = &mut association.streams[from.index()];
        let before = stream.waiting_bytes();
        let lane = Lane {
            link,
            from,
            late,
            dialect,
        };
        act(stream, lane, out);
        self.waiting_bytes = self.waiting_bytes + stream.waiting_bytes() - before;
    }

    /// INIT: a new association, unless it is a repetition.
    #[cold]
    fn init(&mut self, packet: Packet<'_, '_>, init: &Init<'_>, out: &mut Outlet<'_>) {
        let Ports {
            source, destination, ..
        } = packet.ports;
        let tag = Tag {
            tag: init.tag,
            owner_port: source,
            other_port: destination,
        };
        if self.tags.contains_key(&tag) {
            return;
        }
        let mut association = Association::new(packet, true, Begun::Handshake);
        association.tags[Side::A.index()] = Some(init.tag);
        association.streams[Side::A.index()].begin(init.tsn);
        association.list(Side::A, init, &mut out.stats.sctp);
        let slot = self.insert(association, out);
        self.tags.insert(tag, (slot, Side::A));
        self.half_known.insert((source, destination), slot);
    }

    #[cold]
    fn init_ack(&mut self, packet: Packet<'_, '_>, init: &Init<'_>, out: &mut Outlet<'_>) -> Option<()> {
        let (slot, to) = self.find(packet, false, out)?;
        let association = self.links.get_mut(slot)?;
        if to != Side::A || association.state != State::Opening {
            return Some(());
        }
        let Ports {
            source, destination, ..
        } = packet.ports;
        let tag = |tag| Tag {
            tag,
            owner_port: source,
            other_port: destination,
        };
        if let Some(earlier) = association.tags[Side::B.index()].replace(init.tag) {
            self.tags.remove(&tag(earlier));
        }
        association.streams[Side::B.index()].begin(init.tsn);
        association.list(Side::B, init, &mut out.stats.sctp);
        self.tags.insert(tag(init.tag), (slot, Side::B));
        self.half_known.remove(&(destination, source));
        Some(())
    }

    /// DATA with a tag that no handshake announced.
    #[cold]
    fn open_mid_stream(&mut self, packet: Packet<'_, '_>, out: &mut Outlet<'_>) -> Option<(Slot, Side)> {
        let tag = packet.tag(false);
        if self.departed.contains(&tag, out.at.time) {
            return None;
        }
        let from_a = !packet.ports.from_listener;
        let ports = if from_a {
            (tag.other_port, tag.owner_port)
        } else {
            (tag.owner_port, tag.other_port)
        };
        let (flow, _) = Flow::of(packet.datagram, packet.ports);
        let to = if from_a { Side::B } else { Side::A };
        let known = self.half_known.get(&ports).copied().filter(|&slot| {
            self.links
                .get(slot)
                .is_some_and(|known| known.ports[to.index()] == tag.owner_port && known.lacks_tag(to))
        });
        let slot = match (known, self.flows.get(&flow)) {
            (Some(slot), _) => {
                self.half_known.remove(&ports);
                slot
            }
            // Its receiver drops what has the wrong tag.
            (None, Some(_)) => return None,
            (None, None) => {
                let slot = self.insert(Association::new(packet, from_a, Begun::MidStream), out);
                self.half_known.insert(ports, slot);
                slot
            }
        };
        let association = self.links.get_mut(slot)?;
        association.tags[to.index()] = Some(tag.tag);
        self.tags.insert(tag, (slot, to));
        self.find(packet, false, out)
    }

    /// Reports the association up if it is not yet. Another one on the same ports was restarted thereby.
    #[inline]
    fn up(&mut self, slot: Slot, out: &mut Outlet<'_>) -> Option<()> {
        match self.links.get(slot)?.state {
            State::Up(_) | State::Lingering(_) => Some(()),
            State::Opening => self.come_up(slot, out),
        }
    }

    #[cold]
    fn come_up(&mut self, slot: Slot, out: &mut Outlet<'_>) -> Option<()> {
        let flow = self.links.get(slot)?.flow;
        if let Some(replaced) = self.flows.insert(flow, slot) {
            self.close(replaced, Ending::Replaced, out);
        }
        let association = self.links.get_mut(slot)?;
        let link = out.next_link();
        association.state = State::Up(link);
        let ends = Side::BOTH.map(|side| Endpoint {
            addresses: &association.addresses[side.index()],
            port: association.ports[side.index()],
        });
        let begun = association.begun;
        out.link_up(Event::LinkUp {
            link,
            transport: Transport::Sctp,
            begun,
            ends,
        });
        Some(())
    }

    #[cold]
    fn abort(&mut self, packet: Packet<'_, '_>, reflected: bool, out: &mut Outlet<'_>) -> Option<()> {
        let (slot, to) = self.find(packet, reflected, out)?;
        let from = to.other();
        let association = self.links.get_mut(slot)?;
        match association.state {
            // B knows nothing of an association before the COOKIE ECHO; one may be under way.
            State::Opening if from == Side::A => return Some(()),
            State::Opening => {
                let (opener, target) = (packet.destination(), packet.source());
                out.emit(Event::Refused {
                    transport: Transport::Sctp,
                    opener,
                    target,
                });
            }
            State::Up(link) => {
                association.state = State::Lingering(link);
                let half_sent = association.streams.each_ref().map(|stream| stream.half_sent(out));
                let flow = association.flow;
                out.link_down(link, Ending::Abort { from }, half_sent);
                if self.flows.get(&flow) == Some(&slot) {
                    self.flows.remove(&flow);
                }
            }
            State::Lingering(_) => return Some(()),
        }
        // The place may be another one's by then, which its opener's tag tells.
        let who = |association: &Association| (association.state, association.tags[Side::A.index()]);
        let (state, opener) = who(self.links.get(slot)?);
        if let Some((slot, state, opener)) = self.lingering.push((slot, state, opener))
            && self.links.get(slot).map(who) == Some((state, opener))
        {
            self.close(slot, Ending::Abort { from }, out);
        }
        Some(())
    }

    fn insert(&mut self, association: Association, out: &mut Outlet<'_>) -> Slot {
        if self.links.len() >= self.links_max {
            self.evict(out);
        }
        self.links.insert(association, out.at.packet)
    }

    #[cold]
    fn close(&mut self, slot: Slot, why: Ending, out: &mut Outlet<'_>) {
        let Some(mut association) = self.links.remove(slot) else {
            return;
        };
        for tag in Side::BOTH.into_iter().filter_map(|side| association.tag(side)) {
            self.tags.remove(&tag);
            if why != Ending::Evicted {
                self.departed.insert(tag, out.at.time);
            }
        }
        let [a, b] = association.ports;
        if self.half_known.get(&(a, b)) == Some(&slot) {
            self.half_known.remove(&(a, b));
        }
        if self.flows.get(&association.flow) == Some(&slot) {
            self.flows.remove(&association.flow);
        }
        self.waiting_bytes -= association.waiting_bytes();
        let (link, late) = match association.state {
            State::Opening => {
                out.stats.openings_evicted += u64::from(why == Ending::Evicted);
                return;
            }
            State::Up(link) => (link, false),
            State::Lingering(link) => (link, true),
        };
        let dialect = association.dialect();
        let half_sent = Side::BOTH.map(|from| {
            let lane = Lane {
                link,
                from,
                late,
                dialect,
            };
            association.streams[from.index()].finish(lane, out)
        });
        if late {
            out.late_end(half_sent);
        } else {
            out.link_down(link, why, half_sent);
        }
    }

    #[cold]
    fn evict(&mut self, out: &mut Outlet<'_>) {
        for slot in self.links.oldest() {
            self.close(slot, Ending::Evicted, out);
        }
    }
}

#[inline]
fn count(chunk: &Chunk<'_>, counts: &mut SctpStats) {
    let counter = match chunk {
        Chunk::Data(data) => {
            counts.fragmented_data += u64::from(!(data.begins && data.ends));
            &mut counts.data
        }
        Chunk::Init(_) => &mut counts.init,
        Chunk::InitAck(_) => &mut counts.init_ack,
        Chunk::Sack { .. } => &mut counts.sack,
        Chunk::Heartbeat => &mut counts.heartbeat,
        Chunk::HeartbeatAck => &mut counts.heartbeat_ack,
        Chunk::Abort { .. } => &mut counts.abort,
        Chunk::Shutdown { .. } => &mut counts.shutdown,
        Chunk::ShutdownAck => &mut counts.shutdown_ack,
        Chunk::Error => &mut counts.error,
        Chunk::CookieEcho => &mut counts.cookie_echo,
        Chunk::CookieAck => &mut counts.cookie_ack,
        Chunk::ShutdownComplete { .. } => &mut counts.shutdown_complete,
        Chunk::ForwardTsn { .. } => &mut counts.forward_tsn,
        Chunk::Unknown => &mut counts.unknown_chunks,
        Chunk::Bad => &mut counts.bad_chunks,
    };
    *counter += 1;
}
