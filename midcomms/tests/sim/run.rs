//! A run from its first action to its verdict: faults, then peace, then everybody leaves.

use std::cell::Cell;
use std::hash::Hasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::Outcome;

use crate::coverage::Coverage;
use crate::faults::Tally;
use crate::manager::{Order, Whom};
use crate::plant::Plant;
use crate::schedule::{MS, Schedule, What};
use crate::verdict::Disturbance;
use crate::world::{Due, World, node_id};

/// What must be true after so much simulated time without faults.
const PATIENCE: u64 = 60_000 * MS;

/// Messages that everybody sends to everybody once there is peace.
const LAST_WORDS: u64 = 2;

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// Why it failed.
    pub(crate) failure: Option<String>,
    /// The hash over everything that it did.
    pub(crate) hash: u64,
    pub(crate) tally: Tally,
    pub(crate) coverage: Coverage,
    /// Things that were due.
    pub(crate) steps: u64,
    /// Messages that were delivered.
    pub(crate) delivered: u64,
}

/// Runs a schedule; a panic of the engine is a failure like others.
pub(crate) fn run(schedule: &Schedule, plant: Plant, verbose: bool) -> Verdict {
    let mut world = World::new(schedule, plant, verbose);
    hush();
    QUIET.set(!verbose);
    let panic = catch_unwind(AssertUnwindSafe(|| world.run(schedule))).err();
    QUIET.set(false);
    if let Some(panic) = panic {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("without a message");
        world.failure = None;
        world.fail(format!("panic: {text}"));
    }
    Verdict {
        steps: world.steps(),
        delivered: world.books.delivered,
        failure: world.failure,
        hash: world.trace.finish(),
        tally: world.tally,
        coverage: world.coverage,
    }
}

thread_local! {
    /// A panic on this thread will be caught and told as a failure.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Panics that are caught print nothing.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}

impl World {
    fn run(&mut self, schedule: &Schedule) {
        self.found_cluster();
        for (index, action) in schedule.actions.iter().enumerate() {
            self.at(action.at, Due::Action(index));
        }
        let end = schedule.actions.last().map_or(0, |action| action.at) + 200 * MS;
        self.proceed(schedule, end);
        self.say(|| String::from("PEACE"));
        self.calm_down();
        self.proceed(schedule, self.now + 100 * MS);
        self.proceed_until(schedule, "the manager to finish in peace", |world| !world.busy);
        self.last_words();
        self.proceed_until(schedule, "old messages or a warning", |world| {
            world.all_pairs(Self::is_settled_or_warned)
        });
        self.busy = true;
        self.order(Order::Rejoin {
            whom: Whom::Disturbed,
        });
        self.proceed_until(schedule, "the last repair", |world| !world.busy);
        self.proceed(schedule, self.now + 2_000 * MS);
        self.last_words();
        self.proceed_until(schedule, "the last messages", |world| {
            world.all_pairs(Self::is_settled)
        });
        self.say(|| String::from("END"));
        for node in 0..self.nodes.len() {
            let after = self.rng.below(200 * MS);
            self.after(after, Due::Order(Order::Leave { node }));
        }
        self.proceed(schedule, self.now + 200 * MS);
        self.proceed_until(schedule, "the shutdown", |world| {
            world.nodes.iter().all(|node| node.shut_down.is_some())
        });
        self.proceed_until(schedule, "the last link", |world| {
            world.conns.iter().all(crate::world::Conn::is_gone)
        });
        self.check_end();
    }

    /// Runs until `until`.
    fn proceed(&mut self, schedule: &Schedule, until: u64) {
        while let Some(due) = self.pop(until) {
            self.trace.word(self.now);
            self.handle(schedule, due);
        }
        self.now = self.now.max(until);
    }

    /// Runs until `goal` is reached, and fails if that takes too long.
    fn proceed_until(&mut self, schedule: &Schedule, what: &str, goal: fn(&Self) -> bool) {
        let deadline = self.now + PATIENCE;
        let mut step = 10 * MS;
        while self.failure.is_none() && !goal(self) {
            if self.now >= deadline {
                self.fail(format!("waited in vain for {what}: {}", self.complaint()));
                return;
            }
            self.proceed(schedule, (self.now + step).min(deadline));
            step = (step * 2).min(400 * MS);
        }
    }

    fn handle(&mut self, schedule: &Schedule, due: Due) {
        match due {
            Due::Action(index) => {
                let action = schedule.actions[index];
                let late = matches!(action.what, What::Fault { .. })
                    && (self.calm || self.now > action.at + 3_000 * MS);
                if !late {
                    self.act(index, action.what);
                }
            }
            Due::Arrive { conn, dir } => self.on_arrive(conn, dir),
            Due::Pump { conn, side } => self.on_pump(conn, side),
            Due::Up { conn, side } => self.on_up(conn, side),
            Due::Dial { node, peer } => self.on_dial(node, peer),
            Due::DialFailed { node, peer } => self.on_dial_failed(node, peer),
            Due::Break { conn, side } => self.on_break(conn, side),
            Due::ReportDown { conn, side } => self.report_down(conn, side),
            Due::LingerOver { conn, side } => self.on_linger_over(conn, side),
            Due::Timer { node } => self.on_timer(node),
            Due::Hello { node, peer } => self.on_hello(node, peer),
            Due::Heal { class, a, b } => self.heal(class, a, b),
            Due::Order(order) => self.order(order),
        }
    }

    fn last_words(&mut self) {
        for a in 0..self.nodes.len() {
            for b in (0..self.nodes.len()).filter(|b| *b != a) {
                self.want_send(a, b, LAST_WORDS, 64, false);
            }
        }
    }

    fn all_pairs(&self, is: fn(&Self, usize, usize) -> bool) -> bool {
        (0..self.nodes.len()).all(|a| (a + 1..self.nodes.len()).all(|b| is(self, a, b)))
    }

    /// Whether everything that was accepted is delivered and acknowledged, both ways.
    fn is_settled(&self, a: usize, b: usize) -> bool {
        [(a, b), (b, a)].iter().all(|(a, b)| {
            let pending = self.nodes[*a].peers[*b].pending.is_empty();
            if self.books.is_bare(*a, *b) {
                return pending && self.books.is_last_delivered(*a, *b);
            }
            let view = self.nodes[*a].engine.peer(self.local(*a), node_id(*b));
            pending && self.books.missing(*a, *b) == 0 && view.is_none_or(|view| view.send_queue_count == 0)
        })
    }

    /// Whether nothing is silently stuck: the manager knows of it, or somebody was warned.
    fn is_settled_or_warned(&self, a: usize, b: usize) -> bool {
        match self.books.disturbance(a, b) {
            Disturbance::Fenced | Disturbance::Known | Disturbance::Corrupt => true,
            Disturbance::Untold => {
                self.books.is_bare(a, b) || self.books.is_warned(a, b) || self.is_settled(a, b)
            }
            Disturbance::Nothing => self.books.is_bare(a, b) || self.is_settled(a, b),
        }
    }

    /// After everything: everybody closed, cleanly, and nothing is kept.
    fn check_end(&mut self) {
        for node in 0..self.nodes.len() {
            let bare = (0..self.nodes.len()).any(|peer| peer != node && self.books.is_bare(node, peer));
            let outcome = self.nodes[node].shut_down;
            if self.failure.is_none() && outcome != Some(Outcome::Clean) && !bare {
                self.fail(format!("node {node} is shut down as {outcome:?}"));
            }
            if self.failure.is_none() && !self.nodes[node].engine.is_shut_down() {
                self.fail(format!("engine {node} is not shut down though it said so"));
            }
            for peer in (0..self.nodes.len()).filter(|peer| *peer != node) {
                let state = self.nodes[node].engine.state(node_id(peer));
                if self.failure.is_none() && state != State::Closed {
                    self.fail(format!("engine {node} is in {state} towards {peer} at the end"));
                }
                self.check_pair(node, peer);
            }
        }
    }

    /// What is not as it should be, for a person.
    fn complaint(&self) -> String {
        let mut text = format!("busy {}", self.busy);
        for a in 0..self.nodes.len() {
            for b in (0..self.nodes.len()).filter(|b| *b != a) {
                let side = &self.nodes[a].peers[b];
                let view = self.nodes[a].engine.peer(self.local(a), node_id(b));
                text.push_str(&format!(
                    "\n    {a}->{b}: {:?}, missing {}, pending {:?}, full {}, {:?}, {:?}",
                    self.books.disturbance(a, b),
                    self.books.missing(a, b),
                    side.pending,
                    side.full,
                    side.version,
                    view
                ));
            }
        }
        for (at, conn) in self.conns.iter().enumerate().filter(|(_, conn)| !conn.is_gone()) {
            text.push_str(&format!("\n    link {at}: {:?} {:?}", conn.nodes, conn.ends));
        }
        text
    }
}
