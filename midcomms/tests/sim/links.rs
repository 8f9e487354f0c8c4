//! How connections come and go: dials, crossing ones too, and every way to end.

use dlmwire_midcomms::engine::{LinkLimits, LinkRole, LinkUp};
use dlmwire_midcomms::{LinkId, State};

use crate::faults::Fault;
use crate::network::{End, Pipe};
use crate::plant::Plant;
use crate::schedule::MS;
use crate::world::{Conn, Due, EndState, World, node_id};

/// The longest pause between two dials.
const BACKOFF_MAX: u64 = 1_000 * MS;

/// The longest record, in bytes.
const RECORD_BYTES_MAX: usize = 4096;

/// How long a dial takes that nobody answers.
const DIAL_TIMEOUT: u64 = 250 * MS;

impl World {
    /// A node dials a peer; `forced`: whether it has a need or not.
    pub(crate) fn dial(&mut self, node: usize, peer: usize, forced: bool, mark: Option<Fault>) {
        if !forced {
            let wanted = self.nodes[node].engine.wants_link(node_id(peer));
            if !wanted || self.nodes[node].peers[peer].dialing || !self.nodes[node].listening {
                return;
            }
            self.nodes[node].peers[peer].dialing = true;
        }
        let latency = self.setup.latency;
        if self.parted_until[node][peer] > self.now {
            self.tally.count(Fault::Partition);
            self.after(DIAL_TIMEOUT, Due::DialFailed { node, peer });
            return;
        }
        if self.refused_until[node][peer] > self.now || !self.nodes[peer].listening {
            if self.refused_until[node][peer] > self.now {
                self.tally.count(Fault::RefusedDial);
            }
            self.after(latency * 2, Due::DialFailed { node, peer });
            return;
        }
        let conn = self.conns.len();
        let mut pipes = [Pipe::default(), Pipe::default()];
        for pipe in &mut pipes {
            pipe.reset(self.window(), latency, self.keep_recent);
        }
        self.conns.push(Conn {
            nodes: [node, peer],
            incarnations: [self.nodes[node].incarnation, self.nodes[peer].incarnation],
            ends: [EndState::Pending; 2],
            pipes,
            scheduled: [u64::MAX; 2],
            stale: false,
            marked: mark,
            eof_seen: [false; 2],
            dead: false,
        });
        let late = if mark == Some(Fault::LateAccept) {
            self.rng.below(300 * MS)
        } else {
            0
        };
        let jitter = self.rng.below(latency / 4 + 1);
        self.after(latency * 2 + jitter, Due::Up { conn, side: 0 });
        self.after(latency + jitter + late, Due::Up { conn, side: 1 });
    }

    /// A dial failed: again later, if there is still need.
    pub(crate) fn on_dial_failed(&mut self, node: usize, peer: usize) {
        let side = &mut self.nodes[node].peers[peer];
        side.dialing = false;
        let pause = ((10 * MS) << side.backoff.min(8)).min(BACKOFF_MAX);
        side.backoff = side.backoff.saturating_add(1);
        self.dial_later(node, peer, pause);
    }

    /// Dials after a while, if there is need then; one such intention at a time.
    pub(crate) fn dial_later(&mut self, node: usize, peer: usize, after: u64) {
        if !std::mem::replace(&mut self.nodes[node].peers[peer].dial_due, true) {
            self.after(after, Due::Dial { node, peer });
        }
    }

    /// The moment to dial has come.
    pub(crate) fn on_dial(&mut self, node: usize, peer: usize) {
        self.nodes[node].peers[peer].dial_due = false;
        self.dial(node, peer, false, None);
    }

    /// One end of a connection is established.
    pub(crate) fn on_up(&mut self, conn: usize, side: usize) {
        let [node, peer] = if side == 0 {
            self.conns[conn].nodes
        } else {
            [self.conns[conn].nodes[1], self.conns[conn].nodes[0]]
        };
        let current = self.conns[conn].incarnations[side] == self.nodes[node].incarnation;
        if side == 0 && current {
            self.nodes[node].peers[peer].dialing = false;
        }
        if self.conns[conn].ends[side] != EndState::Pending {
            if side == 0 && current {
                self.on_dial_failed(node, peer);
            }
            return;
        }
        let dead = self.conns[conn].dead || !current || !self.nodes[node].listening;
        let unwanted = side == 0
            && self.conns[conn].marked.is_none()
            && !self.nodes[node].peers[peer].is_member()
            && self.nodes[node].peers[peer].state == State::Closed
            && !self.nodes[node].engine.wants_link(node_id(peer));
        if dead || unwanted {
            self.conns[conn].ends[side] = EndState::Gone;
            let end = if dead { End::Reset } else { End::Eof };
            let noticed = self.conns[conn].pipes[side].close(self.now, end);
            self.expect_arrival(conn, side, noticed);
            if side == 0 && current && dead {
                self.on_dial_failed(node, peer);
            }
            return;
        }
        self.conns[conn].ends[side] = EndState::Up;
        self.nodes[node].links.push(conn);
        self.count_up(conn, side, node, peer);
        let role = if side == 0 {
            LinkRole::Dialed
        } else {
            LinkRole::Accepted
        };
        self.say(|| format!("node {node} has link {conn} to {peer}, {role:?}"));
        let up = LinkUp {
            node: node_id(peer),
            role,
            limits: LinkLimits {
                record_bytes_max: self.setup.records.then_some(RECORD_BYTES_MAX),
            },
        };
        let now = self.local(node);
        self.nodes[node]
            .engine
            .handle_link_up(now, LinkId(conn as u64), up);
        self.drive(node);
        // What came before this end was ready is looked at now.
        let dir = 1 - side;
        if let Some(at) = self.conns[conn].pipes[dir].next_arrival(self.now) {
            self.conns[conn].scheduled[dir] = u64::MAX;
            self.expect_arrival(conn, dir, at);
        }
    }

    fn count_up(&mut self, conn: usize, side: usize, node: usize, peer: usize) {
        let live = self.nodes[node]
            .links
            .iter()
            .filter(|other| self.conns[**other].is_between(node, peer))
            .count();
        match self.conns[conn].marked {
            Some(Fault::Storm) if live > 2 => self.tally.count(Fault::Storm),
            Some(Fault::CrossingDials) if live == 2 => self.tally.count(Fault::CrossingDials),
            Some(Fault::LateAccept) if side == 1 && live > 1 => self.tally.count(Fault::LateAccept),
            _ => {}
        }
    }

    /// The node's end of a connection is gone; the driver reports it `delay` nanoseconds later.
    pub(crate) fn end_gone(&mut self, node: usize, conn: usize, delay: u64) {
        let side = self.conns[conn].side_of(node);
        let before = std::mem::replace(&mut self.conns[conn].ends[side], EndState::Gone);
        if before == EndState::Gone {
            return;
        }
        let noticed = self.conns[conn].pipes[side].close(self.now, End::Reset);
        self.expect_arrival(conn, side, noticed);
        self.conns[conn].pipes[1 - side].discard_arrived();
        if before == EndState::Pending {
            return;
        }
        self.nodes[node].links.retain(|other| *other != conn);
        if delay == 0 {
            self.report_down(conn, side);
        } else {
            self.after(delay, Due::ReportDown { conn, side });
        }
    }

    /// Tells the engine that a link is gone.
    pub(crate) fn report_down(&mut self, conn: usize, side: usize) {
        let node = self.conns[conn].nodes[side];
        if self.conns[conn].incarnations[side] != self.nodes[node].incarnation {
            return;
        }
        if self.plant == Plant::ForgetsLinkDown && self.rng.chance(50) {
            return;
        }
        self.say(|| format!("node {node} has lost link {conn}"));
        let now = self.local(node);
        self.nodes[node].engine.handle_link_down(now, LinkId(conn as u64));
        self.drive(node);
    }

    /// A closing link has had its time.
    pub(crate) fn on_linger_over(&mut self, conn: usize, side: usize) {
        if matches!(
            self.conns[conn].ends[side],
            EndState::Closing | EndState::ShutWrite
        ) {
            let node = self.conns[conn].nodes[side];
            if self.conns[conn].incarnations[side] == self.nodes[node].incarnation {
                self.end_gone(node, conn, 0);
            }
        }
    }

    /// One end notices by itself that the connection is broken.
    pub(crate) fn on_break(&mut self, conn: usize, side: usize) {
        let node = self.conns[conn].nodes[side];
        if self.conns[conn].incarnations[side] == self.nodes[node].incarnation {
            self.end_gone(node, conn, 0);
        }
    }

    /// What the driver does when it first can send: the hello.
    pub(crate) fn on_connected(&mut self, node: usize, peer: usize) {
        let strange = self.nodes[node].peers[peer].version.is_none();
        if strange
            && self
                .fence_at_hello
                .is_some_and(|pair| pair == (node, peer) || pair == (peer, node))
        {
            self.fence_at_hello = None;
            let after = self.rng.below(3 * self.setup.latency);
            self.after(
                after,
                Due::Order(crate::manager::Order::Recover {
                    a: node,
                    b: peer,
                    class: Fault::FenceInHandshake,
                }),
            );
        }
        self.say_hello(node, peer);
    }

    /// Takes every connection between two nodes off the network, without a sign.
    pub(crate) fn clear_between(&mut self, a: usize, b: usize) {
        for conn in self.between(a, b) {
            self.conns[conn].dead = true;
            for side in 0..2 {
                let node = self.conns[conn].nodes[side];
                self.conns[conn].pipes[side].cut(0);
                if self.conns[conn].incarnations[side] == self.nodes[node].incarnation {
                    self.end_gone(node, conn, 0);
                } else {
                    self.conns[conn].ends[side] = EndState::Gone;
                }
            }
        }
    }
}
