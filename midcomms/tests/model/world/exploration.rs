//! What can happen in a world, and what must hold in it: the scenario as a model to be explored.

use dlmwire_midcomms::State;
use stateright::{Model, Property};

use super::{Action, Command, Fault, HORIZON, PATIENCE, Scenario, World};
use crate::driver::{Flaw, Take};
use crate::net::{Connection, frames};
use crate::side::{Loss, Side};

impl Scenario {
    /// With sockets that take bytes only now and then.
    pub(crate) fn lazy(mut self) -> Self {
        self.lazy_sockets = true;
        for side in &mut self.sides {
            if let Side::Ours(driver) = side {
                driver.be_lazy();
            }
        }
        self
    }

    /// With a driver of node 1 that does something wrong.
    pub(crate) fn flawed(mut self, flaw: Flaw) -> Self {
        if let Side::Ours(driver) = &mut self.sides[1] {
            driver.be_wrong(flaw);
        }
        self
    }

    /// With "not ready" as the answer to a `STATUS` that comes too early.
    pub(crate) fn not_ready(mut self) -> Self {
        for side in &mut self.sides {
            if let Side::Ours(driver) = side {
                driver.answer_not_ready();
            }
        }
        self
    }

    fn commands(&self, world: &World, node: usize, actions: &mut Vec<Action>) {
        let ledger = &world.ledgers[node];
        let Some(&command) = self.scripts[node].get(ledger.command) else {
            return;
        };
        let side = &world.sides[node];
        let ready = match command {
            Command::Add if ledger.epoch == 0 => node == 0 || !self.one_dials || world.is_connected(node),
            Command::Add => ledger.outcome.is_some(),
            Command::Send => side.can_send(),
            Command::Shutdown => world.ledgers[1 - node].epoch >= ledger.epoch && side.may_leave(),
            Command::AddAtOnce | Command::Remove | Command::ShutdownAtOnce => true,
        };
        if ready {
            actions.push(Action::Command { node, command });
        }
    }

    fn dials(&self, world: &World, node: usize, actions: &mut Vec<Action>) {
        let dialing = world.connections.iter().any(|connection| {
            let end = &connection.ends[node];
            connection.dialer == node && !end.up && !end.gone
        });
        // Whoever dials pauses between attempts, so that time passes.
        let pauses = world.next_connection > PATIENCE
            && self.idle_timers
            && [0, 1].iter().any(|&node| world.timer_runs(node));
        if world.ledgers[node].wanted && world.sides[node].wants_link() && !dialing && !pauses {
            actions.push(Action::Dial { node });
        }
    }

    fn at_end(&self, world: &World, connection: &Connection, node: usize, actions: &mut Vec<Action>) {
        let end = &connection.ends[node];
        let link = connection.id;
        if !end.up && !end.gone {
            actions.push(Action::Up { node, link });
        }
        if connection.is_readable(node) {
            actions.push(Action::Read {
                node,
                link,
                all: false,
            });
            if self.long_reads && frames(&end.inbox) > 1 {
                actions.push(Action::Read {
                    node,
                    link,
                    all: true,
                });
            }
        }
        if connection.is_at_eof(node) {
            actions.push(Action::Eof { node, link });
        }
        if connection.cut && !end.gone {
            for &loss in world.sides[node].losses() {
                actions.push(Action::Notice { node, link, loss });
            }
        }
        if self.lazy_sockets && end.is_open() && !end.eof_sent && world.sides[node].has_transmit(link) {
            actions.push(Action::Transmit {
                node,
                link,
                take: Take::Frame,
            });
            if end.half_written.is_empty() {
                actions.push(Action::Transmit {
                    node,
                    link,
                    take: Take::HalfFrame,
                });
            }
        }
    }

    /// What happens for sure if nothing else does.
    fn due(&self, world: &World, actions: &mut Vec<Action>) {
        for node in [0, 1] {
            self.commands(world, node, actions);
            self.dials(world, node, actions);
            for connection in &world.connections {
                self.at_end(world, connection, node, actions);
            }
        }
        if actions.is_empty() {
            let asks =
                |node: &usize| world.sides[*node].is_unanswered() && world.ledgers[*node].greetings > 0;
            actions.extend([0, 1].into_iter().filter(asks).map(|node| Action::Greet { node }));
        }
        if actions.is_empty() && self.idle_timers {
            actions.extend(
                [0, 1]
                    .into_iter()
                    .filter(|&node| world.timer_runs(node))
                    .map(|node| Action::Timer { node }),
            );
        }
    }

    fn is_quiescent(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.due(world, &mut actions);
        actions.is_empty()
    }

    /// Whether nothing but the expected promises are broken if nothing can happen any more.
    fn rests_as_expected(&self, world: &World) -> bool {
        if !self.is_quiescent(world) {
            return true;
        }
        let broken = self.broken_promises(world);
        let expected = broken.iter().all(|promise| self.shows.contains(promise));
        if expected {
            let mut found = self.found.lock().expect("nobody panics with it");
            if broken.is_empty() {
                found.insert(CLEAN);
            }
            found.extend(broken);
        }
        expected
    }

    /// The promises that are broken in a world in which nothing can happen any more.
    pub(crate) fn broken_promises(&self, world: &World) -> Vec<&'static str> {
        let mut broken = Vec::new();
        for node in [0, 1] {
            let (side, ledger, peer) = (&world.sides[node], &world.ledgers[node], &world.ledgers[1 - node]);
            let delivered = if peer.from_epoch == ledger.epoch {
                peer.delivered
            } else {
                0
            };
            let waits = self.scripts[node].len() > ledger.command;
            let kernel = !side.is_ours();
            let stuck = side.state() != self.ends[node] || waits;
            let queued = side.acked_and_queued().is_some_and(|(_, queued)| queued > 0);
            let promises = [
                (stuck, ["stuck", "kernel stuck"]),
                (ledger.gave_up, ["gave up", "kernel gave up"]),
                (delivered < ledger.sent, ["lost", "kernel's lost"]),
                (queued, ["unacknowledged", ""]),
                (ledger.twice, ["", "kernel got it twice"]),
                (ledger.reopened, ["", "kernel reopened"]),
                (ledger.suspects, ["suspects the kernel", ""]),
                (side.wants_link(), ["without link", "kernel without link"]),
            ];
            let shown = promises.into_iter().filter(|(shows, _)| *shows);
            broken.extend(shown.map(|(_, [ours, theirs])| if kernel { theirs } else { ours }));
        }
        if !broken.is_empty() && broken != ["unacknowledged"] && world.is_without_cause() {
            broken.push("without a cause");
        }
        // Kernels keep their connections.
        let ours = world.sides.iter().all(Side::is_ours);
        if ours && self.ends == [State::Closed; 2] && !world.connections.is_empty() {
            broken.push("links left");
        }
        broken
    }
}

/// Each message comes out once, behind those before it.
pub(crate) const ONCE: &str = "delivered once and in order";
/// What left a queue because it was acknowledged has come out at the other end.
pub(crate) const ACKNOWLEDGED: &str = "acknowledged is delivered";
/// Nothing late begins a conversation again.
pub(crate) const FINISHED: &str = "finished stays finished";
/// Nobody is told of a restart or of a breach that was none.
pub(crate) const JUST: &str = "nobody is wrongly accused";
/// No panic, no timer that stays due, no connections without an end, no refusal without a reason.
pub(crate) const PART: &str = "the engine does its part";
/// When nothing can happen any more, everything is done, but for what is expected to be broken.
pub(crate) const REST: &str = "at rest everything is as expected";

/// No promise is broken.
pub(crate) const CLEAN: &str = "clean";

impl World {
    /// Whether a kernel takes part, was told of every loss and did not forget its numbers: then it breaks nothing, but
    /// for an `ACK` that it owes.
    fn is_without_cause(&self) -> bool {
        let mut both = self.sides.iter().zip(&self.ledgers);
        both.any(|(side, ledger)| {
            !side.is_ours() && side.losses() == [Loss::Error] && !ledger.forgot && ledger.outcome.is_none()
        })
    }

    fn is_connected(&self, node: usize) -> bool {
        self.connections.iter().any(|connection| connection.ends[node].up)
    }

    fn timer_runs(&self, node: usize) -> bool {
        self.sides[node].deadline().is_some_and(|at| at < HORIZON)
    }
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.fault.is_some() {
            return;
        }
        self.due(world, actions);
        let idle = actions.iter().all(|action| !action.is_due());
        if world.cuts > 0 {
            let whole = world.connections.iter().filter(|connection| !connection.cut);
            actions.extend(whole.map(|connection| Action::Cut { link: connection.id }));
        }
        for node in [0, 1] {
            if !(idle && self.idle_timers) && world.ledgers[node].early_timers > 0 && world.timer_runs(node) {
                actions.push(Action::Timer { node });
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Command { node, command } => next.command(node, command),
            Action::Dial { node } => {
                let link = next.next_connection;
                next.dial(node);
                if !self.slow_dials {
                    next.up(node, link);
                }
            }
            Action::Up { node, link } => next.up(node, link),
            Action::Read { node, link, all } => next.read(node, link, all),
            Action::Transmit { node, link, take } => {
                let written = next.connection(link).ends[node].half_written.clone();
                next.act(node, |side, out| side.transmit(link, take, &written, out));
            }
            Action::Eof { node, link } => next.eof(node, link),
            Action::Greet { node } => {
                next.ledgers[node].greetings -= 1;
                next.act(node, |side, _| side.greet_again());
            }
            Action::Cut { link } => {
                next.cuts -= 1;
                next.connection(link).cut = true;
            }
            Action::Notice { node, link, loss } => next.notice(node, link, loss),
            Action::Timer { node } => {
                let idle = self.idle_timers && self.is_idle(world);
                next.timer(node, idle);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, world: &World| {
                !matches!(world.fault, Some(Fault::Duplicate { .. } | Fault::Gap { .. }))
            }),
            Property::always(ACKNOWLEDGED, |_, world: &World| {
                !matches!(
                    world.fault,
                    Some(Fault::AckedUndelivered { .. } | Fault::CleanButLost { .. })
                )
            }),
            Property::always(FINISHED, |_, world: &World| {
                !matches!(world.fault, Some(Fault::Resurrected { .. }))
            }),
            Property::always(JUST, |_, world: &World| {
                !matches!(
                    world.fault,
                    Some(Fault::FalseRestart { .. } | Fault::Accused { .. })
                )
            }),
            Property::always(PART, |_, world: &World| {
                !matches!(
                    world.fault,
                    Some(
                        Fault::Refused { .. }
                            | Fault::TimerStays { .. }
                            | Fault::Connections
                            | Fault::Panic { .. }
                    )
                )
            }),
            Property::always(REST, |scenario, world: &World| {
                world.fault.is_some() || scenario.rests_as_expected(world)
            }),
        ]
    }
}

impl Scenario {
    /// Whether only timers are left.
    fn is_idle(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.due(world, &mut actions);
        actions.iter().all(|action| !action.is_due())
    }
}
