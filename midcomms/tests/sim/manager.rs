//! The scripted cluster manager: who is a member, who is fenced, in an order that leaves no doubt.
//!
//! What it promises, as a real one does: one change at a time; a node that stopped is fenced everywhere
//! before it begins again; a pair of which one side forgot is made to forget on the other side too, and
//! nothing of the old is on the way, before either is added again. Faults that break these promises say so
//! to the books.

use dlmwire_midcomms::State;
use dlmwire_midcomms::state::Input;

use crate::faults::Fault;
use crate::network::End;
use crate::plant::Plant;
use crate::schedule::MS;
use crate::verdict::Disturbance;
use crate::world::{Due, EndState, LOCKSPACES, Node, World, node_id};

/// How long the manager waits for a node that leaves.
const LEAVE_MAX: u64 = 30_000 * MS;

/// A step of the manager.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// `a` is told that `b` is gone, unless the change that it was part of is over.
    Fence { a: usize, b: usize, change: u32 },
    /// `a` is told that `b` is a member nowhere, unless the change that it was part of is over.
    Remove { a: usize, b: usize, change: u32 },
    /// `a` is told that `b` is a member.
    Add { a: usize, b: usize },
    /// A node leaves everything.
    Leave { node: usize },
    /// Nothing gets through between two nodes for a while.
    Part { a: usize, b: usize },
    /// Looks whether a node has left.
    PollLeave { node: usize, since: u64, class: Fault },
    /// A node stops, unless the change that it was part of is over.
    Crash { node: usize, change: u32 },
    /// Fences two nodes from each other and adds them again.
    Recover { a: usize, b: usize, class: Fault },
    /// Notices at last that a node restarted.
    Late { node: usize },
    /// Adds everybody again who should be a member.
    Rejoin { whom: Whom },
    /// The change is over.
    End,
}

/// Pairs that begin again whatever their state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whom {
    /// Those only that need it.
    Needy,
    /// Two nodes.
    Pair(usize, usize),
    /// A node with everybody.
    Node(usize),
    /// Every pair that anything came between.
    Disturbed,
}

impl World {
    /// Everybody is added everywhere.
    pub(crate) fn found_cluster(&mut self) {
        self.busy = true;
        match self.setup.unmet {
            None => self.after(21 * MS, Due::Order(Order::End)),
            Some(node) => {
                self.tally.count(Fault::LeaveUnmet);
                let after = 21 * MS + self.rng.below(300 * MS);
                self.after(after, Due::Order(Order::Leave { node }));
                let class = Fault::Leave;
                self.after(
                    after + 10 * MS,
                    Due::Order(Order::PollLeave {
                        node,
                        since: 0,
                        class,
                    }),
                );
            }
        }
        for a in 0..self.setup.nodes {
            for b in 0..self.setup.nodes {
                if a != b && self.setup.unmet != Some(b) {
                    let after = self.rng.below(20 * MS);
                    self.after(after, Due::Order(Order::Add { a, b }));
                }
            }
        }
    }

    /// Carries out a step.
    pub(crate) fn order(&mut self, order: Order) {
        self.say(|| format!("MANAGER {order:?}"));
        match order {
            Order::Fence { a, b, change } if change == self.change => self.fence(a, b),
            Order::Fence { .. } => {}
            Order::Remove { a, b, change } if change == self.change => self.remove(a, b),
            Order::Remove { .. } => {}
            Order::Add { a, b } => self.add(a, b),
            Order::Leave { node } => self.shutdown(node),
            Order::Part { a, b } => self.part(a, b, 3_000 * MS, 0),
            Order::PollLeave { node, since, class } => self.poll_leave(node, since, class),
            Order::Crash { change, .. } if change != self.change => {}
            Order::Crash { node, .. } => {
                self.crash(node, Disturbance::Fenced, 0);
                self.fence_everywhere(node);
            }
            // In peace the manager repairs what is left to repair at once.
            Order::Recover { .. } | Order::Late { .. } if self.calm => {}
            Order::Recover { a, b, class } => {
                if self.busy {
                    self.after(50 * MS, Due::Order(order));
                    return;
                }
                self.busy = true;
                self.tally.count(class);
                self.fence(a, b);
                let skew = self.rng.below(40 * MS);
                self.after(
                    skew,
                    Due::Order(Order::Fence {
                        a: b,
                        b: a,
                        change: self.change,
                    }),
                );
                self.after(
                    60 * MS,
                    Due::Order(Order::Rejoin {
                        whom: Whom::Pair(a, b),
                    }),
                );
            }
            Order::Late { node } => {
                if self.busy {
                    self.after(50 * MS, Due::Order(order));
                    return;
                }
                self.busy = true;
                self.rejoin(Whom::Node(node));
            }
            Order::Rejoin { whom } => self.rejoin(whom),
            Order::End => self.busy = false,
        }
    }

    fn fence(&mut self, a: usize, b: usize) {
        let side = &self.nodes[a].peers[b];
        self.coverage.enter(side.state, Input::Fence, side.is_member());
        let conversation = self.books.next_label(a, b).epoch;
        if self.plant != Plant::ForgetsFence {
            let now = self.local(a);
            self.nodes[a].engine.fence(now, node_id(b));
            self.drive(a);
        }
        if self.books.next_label(a, b).epoch == conversation {
            let verdict = self.books.end(a, b, None, 0);
            self.judge(verdict);
        }
        self.books.disturb(a, b, Disturbance::Fenced);
        let side = &mut self.nodes[a].peers[b];
        side.version = None;
        side.fenced = true;
        side.pending.clear();
        side.full = false;
    }

    fn remove(&mut self, a: usize, b: usize) {
        for (at, lockspace) in LOCKSPACES.into_iter().enumerate() {
            if !std::mem::take(&mut self.nodes[a].peers[b].member[at]) {
                continue;
            }
            let side = &mut self.nodes[a].peers[b];
            if !side.is_member() {
                self.coverage.enter(side.state, Input::Remove, true);
                side.pending.clear();
                side.full = false;
            }
            let now = self.local(a);
            self.nodes[a].engine.remove_member(now, node_id(b), lockspace);
            self.drive(a);
        }
        self.check_pair(a, b);
    }

    fn add(&mut self, a: usize, b: usize) {
        if std::mem::take(&mut self.nodes[a].leaving) && self.nodes[a].shut_down.is_none() {
            // Ordered before the node left: too late.
            self.nodes[a].leaving = true;
            return;
        }
        self.nodes[a].running = true;
        self.nodes[a].shut_down = None;
        let spaces = if self.setup.two_lockspaces { 2 } else { 1 };
        for (at, lockspace) in LOCKSPACES.into_iter().take(spaces).enumerate() {
            let side = &mut self.nodes[a].peers[b];
            if side.member[at] {
                continue;
            }
            if !side.is_member() {
                self.coverage.enter(side.state, Input::Add, false);
            }
            side.member[at] = true;
            side.fenced = false;
            let now = self.local(a);
            if let Err(error) = self.nodes[a].engine.add_member(now, node_id(b), lockspace) {
                self.fail(format!("engine {a} does not take member {b}: {error:?}"));
            }
            self.drive(a);
        }
        self.check_pair(a, b);
    }

    /// A node leaves everything: its engine forgets the members itself.
    pub(crate) fn shutdown(&mut self, node: usize) {
        for peer in 0..self.setup.nodes {
            let bare = self.books.is_bare(node, peer);
            let side = &mut self.nodes[node].peers[peer];
            if side.is_member() {
                self.coverage.enter(side.state, Input::Remove, true);
            }
            if !bare && peer != node {
                self.coverage.enter(side.state, Input::Shutdown, false);
            }
            side.member = [false; 2];
            side.pending.clear();
            side.full = false;
        }
        self.nodes[node].running = false;
        self.nodes[node].leaving = true;
        self.nodes[node].shut_down = None;
        let now = self.local(node);
        self.nodes[node].engine.shutdown(now);
        self.drive(node);
    }

    /// A node stops and starts again with nothing in its memory; its connections end in their own time.
    fn crash(&mut self, node: usize, disturbance: Disturbance, k: u64) {
        self.say(|| format!("node {node} stops"));
        for conn in 0..self.conns.len() {
            let side = self.conns[conn].side_of(node);
            if !self.conns[conn].nodes.contains(&node) || self.conns[conn].ends[side] == EndState::Gone {
                continue;
            }
            self.conns[conn].ends[side] = EndState::Gone;
            let later = if k.is_multiple_of(3) {
                self.rng.below(1_500 * MS)
            } else {
                0
            };
            let keep = self.rng.below(400) as usize;
            let pipe = &mut self.conns[conn].pipes[side];
            pipe.cut(keep);
            pipe.end_delay = later;
            let noticed = pipe.close(self.now, End::Reset);
            self.conns[conn].pipes[1 - side].discard_arrived();
            self.expect_arrival(conn, side, noticed);
        }
        let engine = self.new_engine(node);
        let before = &self.nodes[node];
        let mut fresh = Node::new(engine, before.incarnation + 1);
        fresh.offset = before.offset;
        fresh.listening = disturbance == Disturbance::Untold;
        fresh.running = false;
        self.nodes[node] = fresh;
        for peer in 0..self.setup.nodes {
            if peer != node {
                self.books.forget(node, peer);
                self.books.disturb(node, peer, disturbance);
            }
        }
    }

    fn fence_everywhere(&mut self, node: usize) {
        for peer in 0..self.setup.nodes {
            if peer != node {
                let after = self.rng.below(80 * MS);
                self.after(
                    after,
                    Due::Order(Order::Fence {
                        a: peer,
                        b: node,
                        change: self.change,
                    }),
                );
            }
        }
    }

    /// A node restarts as it should: everybody else is told first.
    pub(crate) fn restart_told(&mut self, node: usize, k: u64) {
        self.busy = true;
        self.tally.count(Fault::RestartTold);
        self.crash(node, Disturbance::Fenced, k);
        self.fence_everywhere(node);
        self.after(100 * MS, Due::Order(Order::Rejoin { whom: Whom::Needy }));
    }

    /// A node restarts and is a member by its own lights alone.
    pub(crate) fn restart_untold(&mut self, node: usize, k: u64) {
        self.tally.count(Fault::RestartUntold);
        self.crash(node, Disturbance::Untold, k);
        for peer in 0..self.setup.nodes {
            if peer != node {
                let after = self.rng.below(50 * MS);
                self.after(after, Due::Order(Order::Add { a: node, b: peer }));
            }
        }
    }

    /// A member is removed and added again at once, on one side only: nothing should come of it.
    pub(crate) fn flap(&mut self, a: usize, b: usize, k: u64) {
        let calm = self.books.disturbance(a, b) == Disturbance::Nothing
            && !self.nodes[a].peers[b].state.is_terminating();
        if !calm || !self.nodes[a].peers[b].is_member() {
            return;
        }
        self.busy = true;
        self.tally.count(Fault::Flap);
        self.remove(a, b);
        let after = if k.is_multiple_of(2) {
            0
        } else {
            self.rng.below(30 * MS)
        };
        self.after(after, Due::Order(Order::Add { a, b }));
        self.after(after + MS, Due::Order(Order::End));
    }

    /// A node leaves; the others are told before or after its own shutdown.
    pub(crate) fn leave(&mut self, class: Fault, node: usize, span: u64) {
        if !self.nodes[node].running || !self.nodes[node].listening {
            return;
        }
        self.busy = true;
        self.order_removals(node, span);
        let after = self.rng.below(60 * MS);
        self.after(after, Due::Order(Order::Leave { node }));
        let since = self.now;
        self.after(
            after + 10 * MS,
            Due::Order(Order::PollLeave { node, since, class }),
        );
    }

    /// Two nodes leave at the same moment, and now and then the network between them does.
    pub(crate) fn leave_together(&mut self, a: usize, b: usize, span: u64, k: u64) {
        let ready = |node: usize| self.nodes[node].running && self.nodes[node].listening;
        if !ready(a) || !ready(b) {
            return;
        }
        self.busy = true;
        let latency = self.setup.latency;
        for node in [a, b] {
            self.order_removals(node, span);
            let after = 10 * MS + self.rng.below(latency);
            self.after(after, Due::Order(Order::Leave { node }));
        }
        if k.is_multiple_of(2) {
            let after = 10 * MS + latency + self.rng.below(latency);
            self.after(after, Due::Order(Order::Part { a, b }));
        }
        let (node, since, class) = (a, self.now, Fault::LeaveTogether);
        self.after(
            10 * MS + latency,
            Due::Order(Order::PollLeave { node, since, class }),
        );
    }

    /// Everybody else is told within `span` that a node is no member any more.
    fn order_removals(&mut self, node: usize, span: u64) {
        for peer in (0..self.setup.nodes).filter(|peer| *peer != node) {
            let after = self.rng.below(span.min(400 * MS) + 60 * MS);
            let order = Order::Remove {
                a: peer,
                b: node,
                change: self.change,
            };
            self.after(after, Due::Order(order));
        }
    }

    /// A node that has left is told that the others are members, and leaves again before they are told of it.
    fn join_and_leave(&mut self, node: usize, span: u64) {
        self.change += 1;
        self.tally.count(Fault::LeaveUnmet);
        for peer in (0..self.setup.nodes).filter(|peer| *peer != node) {
            self.clear_between(node, peer);
            self.books.settle(node, peer);
            self.after(5 * MS, Due::Order(Order::Add { a: node, b: peer }));
        }
        let after = 6 * MS + self.rng.below(span);
        self.after(after, Due::Order(Order::Leave { node }));
        let since = self.now;
        let class = Fault::Leave;
        self.after(
            after + 10 * MS,
            Due::Order(Order::PollLeave { node, since, class }),
        );
    }

    fn poll_leave(&mut self, node: usize, since: u64, class: Fault) {
        let state = &self.nodes[node];
        if class == Fault::HastyRejoin && state.shut_down.is_some() {
            self.rejoin_hastily(node);
            return;
        }
        let mut over = state.shut_down.is_some() || !state.listening;
        over &= self
            .nodes
            .iter()
            .all(|node| !node.leaving || node.shut_down.is_some());
        for peer in (0..self.setup.nodes).filter(|peer| *peer != node) {
            let sides = [&self.nodes[node].peers[peer], &self.nodes[peer].peers[node]];
            let closed =
                self.books.is_bare(node, peer) || sides.iter().all(|side| side.state == State::Closed);
            over &= closed && !sides[1].is_member();
        }
        if over || self.now > since + LEAVE_MAX {
            let clean = (0..self.setup.nodes)
                .all(|peer| peer == node || self.books.disturbance(node, peer) == Disturbance::Nothing);
            if class == Fault::LeaveUnmet && over && clean && self.nodes[node].listening {
                let span = 300 * MS;
                self.join_and_leave(node, span);
                return;
            }
            if over {
                self.tally.count(if class == Fault::LeaveTogether {
                    class
                } else {
                    Fault::Leave
                });
            }
            self.rejoin(Whom::Needy);
        } else {
            self.after(25 * MS, Due::Order(Order::PollLeave { node, since, class }));
        }
    }

    /// Against the promises: nobody waits for the end of the old conversations.
    fn rejoin_hastily(&mut self, node: usize) {
        self.change += 1;
        for peer in (0..self.setup.nodes).filter(|peer| *peer != node) {
            if self.nodes[node].peers[peer].state != State::Closed
                || self.nodes[peer].peers[node].state != State::Closed
            {
                self.tally.count(Fault::HastyRejoin);
            }
            self.remove(peer, node);
            self.books.disturb(node, peer, Disturbance::Known);
            self.add(node, peer);
            self.add(peer, node);
        }
        self.after(70 * MS, Due::Order(Order::Rejoin { whom: Whom::Needy }));
    }

    /// Adds pairs again that are not members of each other; pairs that do not fit together forget first.
    fn rejoin(&mut self, whom: Whom) {
        self.change += 1;
        for node in &mut self.nodes {
            node.listening = true;
        }
        for a in 0..self.setup.nodes {
            for b in a + 1..self.setup.nodes {
                let members = self.nodes[a].peers[b].is_member() && self.nodes[b].peers[a].is_member();
                let disturbance = self.books.disturbance(a, b);
                let chosen = match whom {
                    Whom::Needy => matches!(disturbance, Disturbance::Fenced | Disturbance::Known),
                    Whom::Pair(one, other) => (a, b) == (one, other) || (a, b) == (other, one),
                    Whom::Node(node) => a == node || b == node,
                    Whom::Disturbed => disturbance != Disturbance::Nothing,
                };
                let fenced = self.nodes[a].peers[b].fenced || self.nodes[b].peers[a].fenced;
                if !members || chosen || fenced {
                    self.begin_again(a, b);
                }
            }
        }
        self.after(70 * MS, Due::Order(Order::End));
    }

    fn begin_again(&mut self, a: usize, b: usize) {
        self.forget_each_other(a, b);
        for (a, b) in [(a, b), (b, a)] {
            let after = self.rng.below(60 * MS);
            self.after(after, Due::Order(Order::Add { a, b }));
        }
    }

    fn forget_each_other(&mut self, a: usize, b: usize) {
        let closed = [(a, b), (b, a)]
            .iter()
            .all(|(node, peer)| self.nodes[*node].peers[*peer].state == State::Closed);
        if self.books.disturbance(a, b) != Disturbance::Nothing || !closed {
            self.fence(a, b);
            self.fence(b, a);
        }
        self.remove(a, b);
        self.remove(b, a);
        self.clear_between(a, b);
        self.books.settle(a, b);
    }
}
