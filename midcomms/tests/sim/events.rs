//! What a driver does about an engine's events, and what the verdict has to say to each.

use std::hash::Hash;

use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Close, Event, Evidence, FenceCause, Outcome, Violation};
use dlmwire_midcomms::state::{self, Input};

use crate::app::is_old;
use crate::driver::{LINGER, ROUNDS_MAX};
use crate::faults::Fault;
use crate::plant::Plant;
use crate::schedule::MS;
use crate::verdict::Disturbance;
use crate::world::{Due, EndState, World, index_of, node_id};

/// How long a fault may have consequences after its end, in nanoseconds.
const SETTLING: u64 = 4_000 * MS;

impl World {
    /// Takes the engine's events; whether there were any.
    pub(crate) fn take_events(&mut self, node: usize) -> bool {
        let mut events = std::mem::take(&mut self.events);
        while let Some(event) = self.nodes[node].engine.poll_event() {
            event.hash(&mut self.trace);
            self.say(|| format!("engine {node}: {event:?}"));
            events.push(event);
            if events.len() > ROUNDS_MAX {
                self.fail(format!("engine {node} has events without end"));
                break;
            }
        }
        let happened = !events.is_empty();
        for at in 0..events.len() {
            self.on_event(node, &events, at);
        }
        events.clear();
        self.events = events;
        happened
    }

    fn on_event(&mut self, node: usize, events: &[Event], at: usize) {
        match events[at] {
            Event::LinkWanted { node: peer } => {
                let peer = index_of(peer);
                if self.plant == Plant::DialsOnce && self.nodes[node].peers[peer].backoff == u32::MAX {
                    return;
                }
                let slower = self.nodes[node].peers[peer].backoff.saturating_sub(3).min(9);
                let after = self.rng.below((3 * MS) << slower);
                self.dial_later(node, peer, after);
            }
            Event::CloseLink { link, how } => self.close_link(node, link.0 as usize, how),
            Event::Connected { node: peer, .. } => {
                let peer = index_of(peer);
                let side = &mut self.nodes[node].peers[peer];
                side.backoff = if self.plant == Plant::DialsOnce {
                    u32::MAX
                } else {
                    side.backoff.saturating_add(1)
                };
                self.on_connected(node, peer);
            }
            Event::VersionDetected { node: peer, version } => {
                let peer = index_of(peer);
                let side = &mut self.nodes[node].peers[peer];
                side.version = Some(version);
                let (state, member) = (side.state, side.is_member());
                self.coverage
                    .enter(state, Input::VersionDetected(version), member);
                if is_old(version) {
                    self.tally.count(Fault::Peer31);
                }
                self.send_pending(node, peer);
            }
            Event::Writable { node: peer } => {
                let peer = index_of(peer);
                if self.plant == Plant::ForgetsWritable {
                    return;
                }
                self.nodes[node].peers[peer].full = false;
                self.send_pending(node, peer);
            }
            Event::StateChanged { node: peer, from, to } => self.on_state(node, index_of(peer), from, to),
            Event::PeerFinished { node: peer } => {
                let verdict = self.books.check_finished(node, index_of(peer));
                self.judge(verdict);
            }
            Event::PeerRestarted { node: peer, evidence } => {
                self.on_restarted(node, index_of(peer), evidence)
            }
            Event::FenceNeeded { node: peer, cause } => {
                let over = events[at..]
                    .iter()
                    .any(|event| matches!(event, Event::Finished { node, .. } if *node == peer));
                self.on_fence_needed(node, index_of(peer), cause, over);
            }
            Event::Finished { node: peer, outcome } => {
                self.on_finished(node, index_of(peer), outcome, events)
            }
            Event::ShutdownComplete { outcome } => {
                self.nodes[node].shut_down = Some(outcome);
                self.say(|| format!("node {node} is shut down: {outcome:?}"));
            }
            Event::Violation {
                node: peer,
                violation,
                ..
            } => self.on_violation(node, index_of(peer), violation),
            Event::Disconnected { .. }
            | Event::Incompatible { .. }
            | Event::MembershipMissing { .. }
            | Event::Lost { .. } => {}
        }
    }

    fn on_state(&mut self, node: usize, peer: usize, from: State, to: State) {
        let side = &mut self.nodes[node].peers[peer];
        let (known, member) = (side.state, side.is_member());
        side.state = to;
        if known != from {
            self.fail(format!("engine {node} says {from} of {peer}, it was {known}"));
        }
        match (from, to) {
            (State::FinWait1, State::FinWait2) => self.coverage.enter(from, Input::AckOfFin, member),
            (State::Closed | State::Established, State::CloseWait)
            | (State::Closed, State::LastAck)
            | (State::FinWait1, State::Closing) => self.coverage.enter(from, Input::Fin, member),
            (State::Established, State::LastAck) => self.coverage.enter(from, Input::Fin, member),
            _ => {}
        }
        if self
            .stop_mid_fin
            .is_some_and(|(victim, other)| (victim, other) == (node, peer))
            && to.is_terminating()
        {
            self.stop_mid_fin = None;
            let after = self.rng.below(2 * MS);
            self.after(
                after,
                Due::Order(crate::manager::Order::Crash {
                    node,
                    change: self.change,
                }),
            );
            self.tally.count(Fault::StopMidFin);
        }
    }

    fn on_finished(&mut self, node: usize, peer: usize, outcome: Outcome, events: &[Event]) {
        let from = events
            .iter()
            .find_map(|event| match *event {
                Event::StateChanged {
                    node: other,
                    from,
                    to: State::Closed,
                } if index_of(other) == peer => Some(from),
                _ => None,
            })
            .unwrap_or(State::Closed);
        let member = self.nodes[node].peers[peer].is_member();
        match (outcome, from) {
            (Outcome::Clean, State::FinWait2) => self.coverage.enter(from, Input::Fin, member),
            (Outcome::Clean, State::LastAck | State::Closing) => {
                self.coverage.enter(from, Input::AckOfFin, member)
            }
            (Outcome::TimedOut, _) => self.coverage.enter(from, Input::Timeout, member),
            _ => {}
        }
        let lost = events
            .iter()
            .map(|event| match *event {
                Event::Lost {
                    node: other,
                    messages,
                } if index_of(other) == peer => messages,
                _ => 0,
            })
            .sum();
        let verdict = self.books.end(node, peer, Some(outcome), lost);
        self.judge(verdict);
        self.nodes[node].peers[peer].version = None;
        match outcome {
            Outcome::WithoutFin if self.books.is_bare(node, peer) => {}
            Outcome::Clean | Outcome::Fenced => {}
            Outcome::WithoutFin | Outcome::Readded | Outcome::TimedOut => {
                self.books.disturb(node, peer, Disturbance::Known)
            }
        }
    }

    fn on_restarted(&mut self, node: usize, peer: usize, evidence: Evidence) {
        if self.plant == Plant::HidesRestart {
            return;
        }
        if self.books.disturbance(node, peer) < Disturbance::Known {
            self.fail(format!(
                "false alarm: engine {node} says that {peer} restarted: {evidence:?}"
            ));
        }
        self.books.warn(node, peer);
    }

    fn on_fence_needed(&mut self, node: usize, peer: usize, cause: FenceCause, over: bool) {
        if self.plant == Plant::HidesRestart {
            return;
        }
        if cause != FenceCause::QueueFull && self.is_peaceful(node, peer) {
            self.fail(format!(
                "false alarm: engine {node} wants {peer} fenced in peace: {cause:?}"
            ));
        }
        match cause {
            FenceCause::Restarted if self.books.disturbance(node, peer) < Disturbance::Known => {
                self.fail(format!(
                    "false alarm: engine {node} wants {peer} fenced as restarted"
                ));
            }
            FenceCause::UnackedAge if !over => {
                let now = self.local(node);
                let view = self.nodes[node].engine.peer(now, node_id(peer));
                let age = view.and_then(|view| view.oldest_unacked_age).unwrap_or(0);
                let limit = self.nodes[node].engine.config().unacked_age_max;
                if age < limit {
                    self.fail(format!(
                        "false alarm: oldest message {node}->{peer} waits for {age} ns"
                    ));
                }
            }
            // Who is impatient gives up before a partition is over, and a gap does not heal in one.
            FenceCause::Gap
                if self.books.disturbance(node, peer) < Disturbance::Known && !self.setup.impatient =>
            {
                self.fail(format!("false alarm: engine {node} sees a lasting gap of {peer}"));
            }
            FenceCause::Gap
            | FenceCause::UnackedAge
            | FenceCause::Restarted
            | FenceCause::QueueFull
            | FenceCause::ShutdownDeadline => {}
        }
        if cause != FenceCause::QueueFull {
            self.books.warn(node, peer);
        }
    }

    /// Whether nothing came between two nodes, and no fault for a while.
    fn is_peaceful(&self, node: usize, peer: usize) -> bool {
        self.calm
            && !self.leapt
            && self.now > self.calm_since + SETTLING
            && self.books.disturbance(node, peer) == Disturbance::Nothing
    }

    fn on_violation(&mut self, node: usize, peer: usize, violation: Violation) {
        if let Violation::Termination(violation) = violation {
            let (state, input) = match violation {
                state::Violation::FinInState(state) => (state, Input::Fin),
                state::Violation::AckOfFinInState(state) => (state, Input::AckOfFin),
            };
            let member = self.nodes[node].peers[peer].is_member();
            self.coverage.enter(state, input, member);
        }
        if self.books.disturbance(node, peer) != Disturbance::Nothing {
            return;
        }
        // A tombstone that a clock jump let expire leaves late frames without an explanation; nobody is
        // warned.
        let member = self.nodes[node].peers[peer].is_member();
        match violation {
            Violation::Unreadable(_)
            | Violation::FramingLost(_)
            | Violation::Damaged { .. }
            | Violation::AckBeyondSent { .. }
            | Violation::Termination(_)
            | Violation::MessageAfterFin { .. } => {
                self.fail(format!("engine {node} blames {peer} without cause: {violation}"));
            }
            Violation::Halted if member => {
                self.fail(format!("engine {node} takes nothing of {peer} without cause"));
            }
            Violation::UnknownLink | Violation::Refused(_) | Violation::Halted => {}
        }
    }

    /// Does what the engine ordered with a link.
    fn close_link(&mut self, node: usize, conn: usize, how: Close) {
        if !self.nodes[node].links.contains(&conn) {
            return;
        }
        if self.plant == Plant::ForgetsToClose && self.rng.chance(50) {
            return;
        }
        let side = self.conns[conn].side_of(node);
        match how {
            Close::Abort => self.end_gone(node, conn, self.setup.abort_report_delay),
            Close::AfterFlush => {
                if self.conns[conn].ends[side] == EndState::Up {
                    self.conns[conn].ends[side] = EndState::Closing;
                    self.after(LINGER, Due::LingerOver { conn, side });
                }
            }
        }
    }

    /// Looks at a pair's queue and state, as a suspicious user would.
    pub(crate) fn check_pair(&mut self, node: usize, peer: usize) {
        let now = self.local(node);
        let Some(view) = self.nodes[node].engine.peer(now, node_id(peer)) else {
            return;
        };
        let side = &self.nodes[node].peers[peer];
        if view.state != side.state
            || view.lockspaces.len() != side.member.iter().filter(|member| **member).count()
        {
            self.fail(format!(
                "engine {node} shows {peer} as {:?}, told was {side:?}",
                view
            ));
            return;
        }
        let counters = view.counters;
        let first = self.books.next_label(node, peer).epoch == 0 && side.state == State::Established;
        if first && counters.links_up == 1 && counters.links_down == 0 && counters.resent > 0 {
            self.fail(format!(
                "engine {node} has sent messages to {peer} again on its first link"
            ));
        }
        let bytes_max = self.nodes[node].engine.config().queue_bytes_max;
        let verdict = self.books.check_view(node, peer, &view, bytes_max);
        self.judge(verdict);
    }
}
