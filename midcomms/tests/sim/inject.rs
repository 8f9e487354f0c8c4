//! How each class of faults is done to the cluster, and how it ends.

use crate::faults::Fault;
use crate::manager::Order;
use crate::network::End;
use crate::schedule::{MS, What};
use crate::verdict::Disturbance;
use crate::world::{Due, EndState, World};

impl World {
    /// Carries out an action of the schedule.
    pub(crate) fn act(&mut self, index: usize, what: What) {
        self.trace.word(index as u64);
        self.say(|| format!("ACTION {what:?}"));
        match what {
            What::Send {
                a,
                b,
                count,
                bytes,
                in_place,
            } => self.want_send(a, b, count, bytes, in_place),
            What::Fault { class, a, b, span, k } if is_managed(class) => {
                if self.busy {
                    self.after(100 * MS, Due::Action(index));
                } else {
                    self.manage(class, a, b, span, k);
                }
            }
            What::Fault { class, a, b, span, k } => self.inject(class, a, b, span, k),
        }
    }

    /// Does a fault to the newest connection between two nodes, or to a node.
    fn inject(&mut self, class: Fault, a: usize, b: usize, span: u64, k: u64) {
        match class {
            Fault::RefusedDial => {
                self.set_until(a, b, span, |world| &mut world.refused_until);
                if k.is_multiple_of(2) {
                    self.break_all(a, b);
                }
            }
            Fault::Partition => self.part(a, b, span, k),
            Fault::CrossingDials => {
                self.break_all(a, b);
                self.after(5 * MS, Due::Heal { class, a, b });
            }
            Fault::LateAccept => self.dial(a, b, true, Some(class)),
            Fault::Storm => {
                for _ in 0..3 + k % 6 {
                    self.dial(a, b, true, Some(class));
                }
            }
            Fault::ClockJump => {
                self.nodes[a].offset += span.cast_signed();
                self.leapt |= span > 1_000 * MS;
                if let Some(time) = &mut self.nodes[a].stalled {
                    *time += span;
                }
                self.tally.count(class);
                self.arm(a);
            }
            Fault::ClockStall => {
                if self.nodes[a].stalled.is_none() {
                    self.nodes[a].stalled = Some(self.local(a).0);
                    self.tally.count(class);
                    self.after(span, Due::Heal { class, a, b });
                }
            }
            Fault::EarlyTimeout => {
                let now = self.local(a);
                while self.nodes[a].engine.handle_timeout(now).is_some() {}
                self.tally.count(class);
                self.drive(a);
            }
            _ => {
                let up = [EndState::Up; 2];
                let newest = self
                    .between(a, b)
                    .into_iter()
                    .rev()
                    .find(|conn| self.conns[*conn].ends == up);
                if let Some(conn) = newest {
                    self.inject_link(class, conn, span, k);
                    self.after(span, Due::Heal { class, a, b });
                }
            }
        }
    }

    /// Does a fault to a connection.
    fn inject_link(&mut self, class: Fault, conn: usize, span: u64, k: u64) {
        let side = (k & 1) as usize;
        let [a, b] = self.conns[conn].nodes;
        let keep = (k / 2) as usize % 150;
        match class {
            Fault::Cut => {
                let lost = self.lose(conn, class, [keep, k as usize % 90]);
                if lost > 0 {
                    self.tally.count(class);
                }
                self.break_soon(conn, span.min(200 * MS));
            }
            Fault::HalfOpen => {
                self.lose(conn, class, [0, 0]);
                let later = self.rng.below(span + 1);
                self.after(span, Due::Break { conn, side });
                self.after(span + later, Due::Break { conn, side: 1 - side });
            }
            Fault::CutOneWay => {
                self.conns[conn].pipes[side].end_delay = span;
                self.conns[conn].pipes[1 - side].vanishing = Some(class);
                self.after(0, Due::Break { conn, side });
            }
            Fault::StaleLink => {
                self.conns[conn].stale = self.conns[conn].pipes[side].delay_all(span);
                self.conns[conn].pipes[side].end_delay = span;
                self.conns[conn].pipes[1 - side].vanishing = Some(class);
                self.after(0, Due::Break { conn, side });
            }
            Fault::CleanEof => {
                self.conns[conn].marked = Some(class);
                let noticed = self.conns[conn].pipes[side].close(self.now, End::Eof);
                self.expect_arrival(conn, side, noticed);
                self.after(0, Due::Break { conn, side });
            }
            Fault::SlowReader => self.conns[conn].pipes[side].read_max = 1 + keep,
            // A record goes as a whole or not at all.
            Fault::OneByteWrites | Fault::ShortWrites if self.setup.records => {}
            Fault::ZeroWindow => self.conns[conn].pipes[side].window = 0,
            Fault::OneByteWrites | Fault::ShortWrites => {
                let pipe = &mut self.conns[conn].pipes[side];
                pipe.write_max = if class == Fault::OneByteWrites {
                    1
                } else {
                    2 + keep
                };
                pipe.write_max_count = 200 + k;
            }
            Fault::CoalescedReads => self.conns[conn].pipes[side].held_until = self.now + span,
            Fault::Delay => {
                let span = span.min(600 * MS);
                self.conns[conn].pipes[side].latency += span;
                self.conns[conn].pipes[side].delay_all(span);
                self.tally.count(class);
            }
            // Of what travels bare nobody notices that it comes again.
            Fault::Replay if self.books.is_bare(a, b) => {}
            Fault::Replay => {
                self.conns[conn].pipes[side].replay = 1 + keep % 6;
                if let Some(at) = self.conns[conn].pipes[side].write_replay(self.now) {
                    self.tally.count(class);
                    self.expect_arrival(conn, side, at);
                }
            }
            Fault::Corrupt => {
                self.books.disturb(a, b, Disturbance::Corrupt);
                for more in 0..1 + k % 3 {
                    self.conns[conn].pipes[side]
                        .flips
                        .push((keep + 37 * more as usize, 1 << ((k + more) % 8)));
                }
            }
            _ => unreachable!("{class:?} is no fault of a link"),
        }
    }

    /// A fault ends.
    pub(crate) fn heal(&mut self, class: Fault, a: usize, b: usize) {
        match class {
            Fault::CrossingDials => {
                self.dial(a, b, true, Some(class));
                self.dial(b, a, true, Some(class));
            }
            Fault::ClockStall => self.restart_clock(a),
            Fault::SlowReader
            | Fault::ZeroWindow
            | Fault::OneByteWrites
            | Fault::ShortWrites
            | Fault::Delay => {
                for conn in self.between(a, b) {
                    self.heal_link(conn);
                }
            }
            Fault::CoalescedReads => {
                for conn in self.between(a, b) {
                    if self.conns[conn]
                        .pipes
                        .iter()
                        .any(|pipe| pipe.held_until == self.now && pipe.writes_under_way() > 1)
                    {
                        self.tally.count(class);
                    }
                }
            }
            _ => {}
        }
    }

    /// All faults end.
    pub(crate) fn calm_down(&mut self) {
        self.calm = true;
        self.calm_since = self.now;
        self.refused_until = Default::default();
        self.parted_until = Default::default();
        self.fence_at_hello = None;
        self.stop_mid_fin = None;
        for node in 0..self.nodes.len() {
            self.restart_clock(node);
        }
        for conn in 0..self.conns.len() {
            if self.conns[conn].is_gone() {
                continue;
            }
            if self.conns[conn].pipes.iter().any(|pipe| pipe.vanishing.is_some()) {
                self.on_break(conn, 0);
                self.on_break(conn, 1);
            }
            self.heal_link(conn);
        }
    }

    fn heal_link(&mut self, conn: usize) {
        for side in 0..2 {
            let (window, latency, calm) = (self.window(), self.setup.latency, self.calm);
            let pipe = &mut self.conns[conn].pipes[side];
            pipe.window = window;
            pipe.latency = latency;
            pipe.read_max = 0;
            pipe.write_max = 0;
            if calm {
                pipe.held_until = 0;
                pipe.replay = 0;
                pipe.flips.clear();
            }
            if let Some(at) = pipe.next_arrival(self.now) {
                self.expect_arrival(conn, side, at);
            }
            self.after(0, Due::Pump { conn, side });
        }
    }

    /// Bytes that may be under way on a connection; in peace as many as anybody wants.
    pub(crate) const fn window(&self) -> usize {
        if self.calm {
            1 << 20
        } else if self.setup.records && self.setup.window < 8192 {
            8192
        } else {
            self.setup.window
        }
    }

    fn restart_clock(&mut self, node: usize) {
        if let Some(stood) = self.nodes[node].stalled.take() {
            let would_be = self.local(node).0;
            self.nodes[node].offset -= (would_be - stood).cast_signed();
            self.nodes[node].armed = u64::MAX;
            self.arm(node);
        }
    }

    pub(crate) fn part(&mut self, a: usize, b: usize, span: u64, k: u64) {
        self.set_until(a, b, span, |world| &mut world.parted_until);
        for conn in self.between(a, b) {
            for pipe in &mut self.conns[conn].pipes {
                pipe.held_until = pipe.held_until.max(self.now + span);
                if pipe.under_way() > 0 {
                    self.tally.count(Fault::Partition);
                }
            }
            if k.is_multiple_of(2) {
                self.lose(conn, Fault::Partition, [0, 0]);
                self.break_soon(conn, span);
            }
        }
    }

    fn set_until(&mut self, a: usize, b: usize, span: u64, of: fn(&mut Self) -> &mut [[u64; 5]; 5]) {
        let until = self.now + span;
        let table = of(self);
        table[a][b] = until;
        table[b][a] = until;
    }

    /// Everything behind so many bytes is lost in both directions, and what is written from now on.
    fn lose(&mut self, conn: usize, class: Fault, keep: [usize; 2]) -> usize {
        let mut lost = 0;
        for (pipe, keep) in self.conns[conn].pipes.iter_mut().zip(keep) {
            lost += pipe.cut(keep);
            pipe.vanishing = Some(class);
        }
        lost
    }

    /// Both ends notice within `span`.
    fn break_soon(&mut self, conn: usize, span: u64) {
        for side in 0..2 {
            let after = self.rng.below(span + 1);
            self.after(after, Due::Break { conn, side });
        }
    }

    /// Every connection between two nodes breaks now.
    fn break_all(&mut self, a: usize, b: usize) {
        for conn in self.between(a, b) {
            self.lose(conn, Fault::Cut, [20, 0]);
            self.break_soon(conn, MS);
        }
    }
}

/// Whether the cluster manager has a part in the class.
const fn is_managed(class: Fault) -> bool {
    matches!(
        class,
        Fault::RestartTold
            | Fault::RestartUntold
            | Fault::RestartToldLate
            | Fault::Flap
            | Fault::FenceInHandshake
            | Fault::FenceBusy
            | Fault::Leave
            | Fault::LeaveUnmet
            | Fault::LeaveTogether
            | Fault::HastyRejoin
            | Fault::StopMidFin
    )
}

impl World {
    /// Lets the manager do its part of a fault.
    fn manage(&mut self, class: Fault, a: usize, b: usize, span: u64, k: u64) {
        match class {
            Fault::RestartTold => self.restart_told(a, k),
            Fault::RestartUntold => self.restart_untold(a, k),
            Fault::RestartToldLate => {
                self.restart_untold(a, k);
                self.tally.count(class);
                self.after(span + 60 * MS, Due::Order(Order::Late { node: a }));
            }
            Fault::Flap => self.flap(a, b, k),
            Fault::FenceInHandshake => {
                self.fence_at_hello = Some((a, b));
                self.order(Order::Recover {
                    a,
                    b,
                    class: Fault::FenceBusy,
                });
            }
            Fault::FenceBusy => self.order(Order::Recover { a, b, class }),
            Fault::Leave | Fault::LeaveUnmet | Fault::HastyRejoin => self.leave(class, a, span),
            Fault::LeaveTogether => self.leave_together(a, b, span, k),
            Fault::StopMidFin => {
                self.stop_mid_fin = Some(if k.is_multiple_of(2) { (a, b) } else { (b, a) });
                self.leave(Fault::Leave, a, span);
            }
            _ => unreachable!("{class:?} needs no manager"),
        }
    }
}
