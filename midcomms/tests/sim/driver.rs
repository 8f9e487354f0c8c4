//! The driver of an engine, as a node has it: bytes in, bytes out, events, timer.

use dlmwire_codec::{Frame, Inner, Limits, RawFrame, Split, split};
use dlmwire_midcomms::LinkId;

use crate::app::{Delivered, Question, read};
use crate::faults::Fault;
use crate::network::{Arrival, End};
use crate::plant::Plant;
use crate::schedule::MS;
use crate::verdict::Disturbance;
use crate::world::{Due, EndState, World};

/// Rounds of transmitting and events after one fact; more is an engine that never comes to rest.
pub(crate) const ROUNDS_MAX: usize = 2_000;

/// Timeouts that may come at one moment.
const TIMEOUTS_AT_ONCE_MAX: u32 = 200;

/// How long a driver waits for the other end's EOF, or for room, before it gives a closing link up.
pub(crate) const LINGER: u64 = 300 * MS;

impl World {
    /// Drains an engine after a command or fact, and arms its timer.
    pub(crate) fn drive(&mut self, node: usize) {
        let mut rounds = 0;
        loop {
            let wrote = self.transmit(node);
            let happened = self.take_events(node);
            if !wrote && !happened {
                break;
            }
            rounds += 1;
            if rounds > ROUNDS_MAX {
                self.fail(format!("engine {node} never comes to rest"));
            }
            if self.failure.is_some() {
                return;
            }
        }
        self.finish_closing(node);
        self.arm(node);
    }

    /// Writes what the engine has for each link; whether anything was taken.
    fn transmit(&mut self, node: usize) -> bool {
        let mut wrote = false;
        for at in 0..self.nodes[node].links.len() {
            let conn = self.nodes[node].links[at];
            if self.nodes[node].engine.has_transmit(LinkId(conn as u64)) {
                wrote |= self.pump(node, conn);
            }
        }
        wrote
    }

    /// Writes to one link until there is nothing more or no more room.
    fn pump(&mut self, node: usize, conn: usize) -> bool {
        let side = self.conns[conn].side_of(node);
        if !matches!(self.conns[conn].ends[side], EndState::Up | EndState::Closing) {
            return false;
        }
        let link = LinkId(conn as u64);
        let now = self.local(node);
        let mut wrote = false;
        loop {
            let pipe = &mut self.conns[conn].pipes[side];
            let Some(transmit) = self.nodes[node].engine.poll_transmit(link) else {
                break;
            };
            let offered = transmit.len();
            if offered == 0 {
                self.fail(format!("engine {node} offers nothing on link {conn}"));
                break;
            }
            let mut room = pipe.room(offered);
            if self.setup.records && room < offered {
                room = 0;
            }
            let taken = room;
            if taken == 0 {
                if !pipe.writer_waits {
                    pipe.writer_waits = true;
                    if pipe.window == 0 {
                        self.tally.count(Fault::ZeroWindow);
                    }
                }
                break;
            }
            let mut arrives = None;
            for slice in transmit.slices() {
                let part = &slice[..room.min(slice.len())];
                std::hash::Hasher::write(&mut self.trace, part);
                if !part.is_empty() {
                    arrives = pipe.write(self.now, part);
                }
                room -= part.len();
            }
            if let Some(class) = pipe.vanishing {
                self.tally.count(class);
            }
            if taken < offered && pipe.write_max > 0 {
                let class = if pipe.write_max == 1 {
                    Fault::OneByteWrites
                } else {
                    Fault::ShortWrites
                };
                self.tally.count(class);
            }
            let mut told = taken;
            if self.plant == Plant::OverstatesTransmitted && taken < offered && self.rng.chance(20) {
                told = offered;
            }
            self.nodes[node].engine.handle_transmitted(now, link, told);
            self.say(|| format!("node {node} writes on link {conn}: {taken} of {offered} bytes"));
            wrote = true;
            if let Some(at) = self.conns[conn].pipes[side].write_replay(self.now) {
                self.tally.count(Fault::Replay);
                arrives = Some(at);
            }
            if let Some(at) = arrives {
                self.expect_arrival(conn, side, at);
            }
        }
        wrote
    }

    /// Schedules a look of the reader of direction `dir` at `at`, unless an earlier one is scheduled.
    pub(crate) fn expect_arrival(&mut self, conn: usize, dir: usize, at: u64) {
        let at = at.max(self.now);
        if at < self.conns[conn].scheduled[dir] {
            self.conns[conn].scheduled[dir] = at;
            self.at(at, Due::Arrive { conn, dir });
        }
    }

    /// The reader of direction `dir` looks.
    pub(crate) fn on_arrive(&mut self, conn: usize, dir: usize) {
        if self.conns[conn].scheduled[dir] != self.now {
            return;
        }
        self.conns[conn].scheduled[dir] = u64::MAX;
        let reader = 1 - dir;
        let node = self.conns[conn].nodes[reader];
        let state = self.conns[conn].ends[reader];
        if state == EndState::Pending {
            return;
        }
        let arrival = self.conns[conn].pipes[dir].arrive(self.now);
        match (arrival, state) {
            (Arrival::Bytes, EndState::Up) => self.read(node, conn, dir),
            (Arrival::Bytes, EndState::Gone) => {
                // Nobody is there: the writer gets a reset for an answer.
                self.conns[conn].pipes[dir].discard_arrived();
                let latency = self.setup.latency;
                self.after(latency, Due::Break { conn, side: dir });
            }
            (Arrival::Bytes, _) => self.conns[conn].pipes[dir].discard_arrived(),
            (Arrival::End(End::Eof), EndState::Up) => self.on_eof(node, conn),
            (Arrival::End(End::Eof), EndState::Closing) => {
                self.conns[conn].eof_seen[reader] = true;
                return;
            }
            (Arrival::End(_), EndState::Up | EndState::Closing | EndState::ShutWrite) => {
                self.end_gone(node, conn, 0);
                return;
            }
            (Arrival::End(_), EndState::Gone | EndState::Pending) => return,
            (Arrival::Nothing, _) => {}
        }
        let pipe = &mut self.conns[conn].pipes[dir];
        if arrival == Arrival::End(End::Eof) {
            return;
        }
        let pause = if pipe.read_max > 0 { 2 * MS } else { 0 };
        if pipe.read_max > 0 && pipe.under_way() > 0 {
            self.tally.count(Fault::SlowReader);
        }
        let pipe = &mut self.conns[conn].pipes[dir];
        let next = pipe.next_arrival(self.now + pause);
        if std::mem::take(&mut pipe.writer_waits) {
            let latency = pipe.latency;
            self.after(latency, Due::Pump { conn, side: dir });
        }
        if let Some(at) = next {
            self.expect_arrival(conn, dir, at);
        }
    }

    /// Hands every whole frame to the engine, then says that the read is over.
    fn read(&mut self, node: usize, conn: usize, dir: usize) {
        let link = LinkId(conn as u64);
        let peer = self.conns[conn].nodes[dir];
        let mut at = 0;
        let mut questions: Vec<Question> = Vec::new();
        let mut held_back: Option<(Delivered, bool)> = None;
        self.note_stale(conn, node, peer);
        if self.plant != Plant::DialsOnce {
            self.nodes[node].peers[peer].backoff = 0;
        }
        loop {
            let now = self.local(node);
            let pipe = &mut self.conns[conn].pipes[dir];
            let (length, lost) = match split(&pipe.unread()[at..], Limits::KERNEL) {
                Split::Frame { frame, .. } => (frame.bytes().len(), None),
                Split::NeedMore { .. } => break,
                Split::Lost(error) => (16, Some(error)),
            };
            let intact = !pipe.is_flipped(at, length);
            if !intact {
                self.tally.count(Fault::Corrupt);
                self.books.changed(peer, node);
            }
            if let Some(error) = lost {
                if intact && self.books.disturbance(node, peer) != Disturbance::Corrupt {
                    self.fail(format!("framing lost on {conn}: {error}"));
                }
                self.nodes[node].engine.handle_framing_lost(now, link, error);
                at = self.conns[conn].pipes[dir].unread().len();
                break;
            }
            let pipe = &self.conns[conn].pipes[dir];
            let Split::Frame { frame, .. } = split(&pipe.unread()[at..], Limits::KERNEL) else {
                break;
            };
            at += length;
            self.say(|| format!("node {node} reads on link {conn}: {}", in_short(frame)));
            let plant = self.plant;
            let delivered = match self.nodes[node].engine.handle_frame(now, link, frame) {
                Ok(Some(delivery)) => Some(read(&delivery, node, peer, plant)),
                Ok(None) | Err(_) => None,
            };
            if let Some((delivered, question)) = delivered {
                questions.extend(question);
                self.deliver(node, peer, delivered, intact, &mut held_back);
            }
            if self.setup.drain_per_frame {
                self.drive(node);
                for question in std::mem::take(&mut questions) {
                    self.answer(node, question);
                    self.drive(node);
                }
            }
            if self.failure.is_some() || self.conns[conn].ends[1 - dir] != EndState::Up {
                break;
            }
        }
        if let Some((delivered, intact)) = held_back.take() {
            self.on_delivery(node, peer, &delivered, intact);
        }
        if self.conns[conn].ends[1 - dir] == EndState::Up {
            self.conns[conn].pipes[dir].consume(at);
            if self.plant != Plant::ForgetsReadDone {
                let now = self.local(node);
                self.nodes[node].engine.handle_read_done(now, link);
            }
        } else {
            self.conns[conn].pipes[dir].discard_arrived();
        }
        self.drive(node);
        for question in questions {
            self.answer(node, question);
        }
        self.drive(node);
        self.check_pair(node, peer);
    }

    /// Hands a delivery to the application, as the driver's planted bug has it.
    fn deliver(
        &mut self,
        node: usize,
        peer: usize,
        delivered: Delivered,
        intact: bool,
        held_back: &mut Option<(Delivered, bool)>,
    ) {
        let payload = matches!(delivered, Delivered::Payload(_));
        let strikes = payload && self.plant != Plant::Nothing && self.rng.chance(5);
        match self.plant {
            Plant::DropsDelivery if strikes => {}
            Plant::DeliversTwice if strikes => {
                self.on_delivery(node, peer, &delivered, intact);
                self.on_delivery(node, peer, &delivered, intact);
            }
            Plant::SwapsDeliveries if payload && held_back.is_none() => {
                *held_back = Some((delivered, intact));
            }
            _ => {
                self.on_delivery(node, peer, &delivered, intact);
                if let Some((earlier, intact)) = held_back.take() {
                    self.on_delivery(node, peer, &earlier, intact);
                }
            }
        }
    }

    fn note_stale(&mut self, conn: usize, node: usize, peer: usize) {
        if self.conns[conn].stale
            && self.nodes[node]
                .links
                .iter()
                .any(|other| *other > conn && self.conns[*other].is_between(node, peer))
        {
            self.tally.count(Fault::StaleLink);
        }
    }

    /// The peer has closed its direction in order.
    fn on_eof(&mut self, node: usize, conn: usize) {
        self.say(|| format!("node {node} sees the end of link {conn}"));
        if self.conns[conn].marked == Some(Fault::CleanEof) {
            self.tally.count(Fault::CleanEof);
        }
        let now = self.local(node);
        self.nodes[node].engine.handle_link_end(now, LinkId(conn as u64));
        let side = self.conns[conn].side_of(node);
        self.conns[conn].eof_seen[side] = true;
        self.drive(node);
    }

    /// A writer that was refused may write again.
    pub(crate) fn on_pump(&mut self, conn: usize, side: usize) {
        let node = self.conns[conn].nodes[side];
        self.conns[conn].pipes[side].writer_waits = false;
        if matches!(self.conns[conn].ends[side], EndState::Up | EndState::Closing) {
            self.drive(node);
        }
    }

    /// A node's timer fires.
    pub(crate) fn on_timer(&mut self, node: usize) {
        if self.nodes[node].armed != self.now {
            return;
        }
        self.nodes[node].armed = u64::MAX;
        let now = self.local(node);
        let due = self.nodes[node].engine.poll_timeout().is_some_and(|at| at <= now);
        if due && self.plant != Plant::ForgetsTimeout {
            let (at, times) = self.nodes[node].fired;
            let times = if at == self.now { times + 1 } else { 0 };
            self.nodes[node].fired = (self.now, times);
            if times > TIMEOUTS_AT_ONCE_MAX {
                self.fail(format!("engine {node} asks for the same timeout again and again"));
                return;
            }
            while self.nodes[node].engine.handle_timeout(now).is_some() {}
            self.drive(node);
        } else if !due {
            self.arm(node);
        }
    }

    /// Closes what is written to its end; gives up what cannot be.
    fn finish_closing(&mut self, node: usize) {
        let mut at = 0;
        while let Some(conn) = self.nodes[node].links.get(at).copied() {
            at += 1;
            let side = self.conns[conn].side_of(node);
            if self.conns[conn].ends[side] != EndState::Closing
                || self.nodes[node].engine.has_transmit(LinkId(conn as u64))
            {
                continue;
            }
            self.conns[conn].ends[side] = EndState::ShutWrite;
            let noticed = self.conns[conn].pipes[side].close(self.now, End::Eof);
            self.expect_arrival(conn, side, noticed);
            if !self.setup.linger || self.conns[conn].eof_seen[side] {
                self.end_gone(node, conn, 0);
                at = 0;
            }
        }
    }
}

/// A frame in a few words.
fn in_short(frame: RawFrame<'_>) -> String {
    match frame.decode() {
        Ok(Frame::Opts(opts)) => match opts.inner {
            Ok(Inner::Fin) => format!("OPTS {} FIN", opts.seq),
            Ok(_) => format!("OPTS {}, {} bytes", opts.seq, frame.bytes().len()),
            Err(error) => format!("OPTS {}, {error}", opts.seq),
        },
        Ok(Frame::Ack(ack)) => format!("ACK {}", ack.seq),
        Ok(Frame::Rcom(rcom)) => format!("RCOM {:?}", rcom.rcom_type()),
        Ok(Frame::Msg(_)) => String::from("MSG"),
        Err(error) => error.to_string(),
    }
}
