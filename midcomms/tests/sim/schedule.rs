//! What a seed stands for: a set-up and a list of timed actions, which can be printed, shortened and run.

use std::fmt;

use crate::faults::Fault;
use crate::rng::Rng;

/// Nanoseconds in a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Nodes at most.
pub(crate) const NODES_MAX: usize = 5;

/// What stays the same during a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Setup {
    /// The seed that the run's own random numbers start from.
    pub(crate) seed: u64,
    /// Nodes, 2 to 5.
    pub(crate) nodes: usize,
    /// The number that conversations start at.
    pub(crate) start_seq: u32,
    /// The one node that speaks 3.1, if any.
    pub(crate) old_node: Option<usize>,
    /// The send queues are as small as they can be.
    pub(crate) tiny_queue: bool,
    /// Time from one node to another, in nanoseconds.
    pub(crate) latency: u64,
    /// Bytes that may be under way in one direction of a connection.
    pub(crate) window: usize,
    /// A second lockspace lists everybody as well.
    pub(crate) two_lockspaces: bool,
    /// The driver drains after each frame instead of after each read.
    pub(crate) drain_per_frame: bool,
    /// The driver reports a link that it was told to abort only later, after so many nanoseconds.
    pub(crate) abort_report_delay: u64,
    /// Connections take whole records of up to 4096 bytes, as SCTP associations do.
    pub(crate) records: bool,
    /// Links that a peer may have.
    pub(crate) links_max: usize,
    /// Everything that waits waits a short time only.
    pub(crate) impatient: bool,
    /// A node that joins and leaves before anybody is told of it.
    pub(crate) unmet: Option<usize>,
    /// The driver waits for the other end's EOF after its own.
    pub(crate) linger: bool,
    /// Each read run is acknowledged, not only what rides along, is much, or is old.
    pub(crate) prompt_acks: bool,
}

/// One thing that happens at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Action {
    /// When, in nanoseconds from the start.
    pub(crate) at: u64,
    /// What.
    pub(crate) what: What,
}

/// What happens. `a` and `b` are different nodes, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// The application of `a` sends to `b`.
    Send {
        a: usize,
        b: usize,
        count: u64,
        bytes: usize,
        in_place: bool,
    },
    /// A fault; `span` is its duration in nanoseconds, `k` what the class makes of it.
    Fault {
        class: Fault,
        a: usize,
        b: usize,
        span: u64,
        k: u64,
    },
}

/// A whole run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Schedule {
    /// What stays the same.
    pub(crate) setup: Setup,
    /// What happens, in the order of time.
    pub(crate) actions: Vec<Action>,
}

const STARTS: [u32; 8] = [
    0,
    1,
    1 << 31,
    u32::MAX - 2,
    u32::MAX,
    u32::MAX - 20,
    (1 << 31) - 5,
    0,
];

impl Schedule {
    /// The schedule of a seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xd1b5_4a32_d192_ed03);
        let nodes = match rng.below(100) {
            0..60 => 2,
            60..88 => 3,
            90..96 => 4,
            _ => NODES_MAX,
        };
        let seed = rng.next();
        let setup = Setup {
            seed,
            prompt_acks: seed & 1 == 0,
            nodes,
            start_seq: rng.pick(&STARTS),
            old_node: rng.chance(8).then(|| rng.below(nodes as u64) as usize),
            tiny_queue: rng.chance(6),
            latency: rng.pick(&[20_000, 200_000, MS, 5 * MS, 40 * MS]),
            window: rng.pick(&[700, 4096, 20_000, 1 << 20]),
            two_lockspaces: rng.chance(25),
            drain_per_frame: rng.chance(40),
            abort_report_delay: rng.pick(&[0, 0, MS, 80 * MS]),
            linger: rng.chance(50),
            records: rng.chance(15),
            links_max: rng.range(2, 4) as usize,
            impatient: rng.chance(12),
            unmet: rng.chance(3).then(|| rng.below(nodes as u64) as usize),
        };
        let actions = actions(&mut rng, &setup);
        Self { setup, actions }
    }
}

/// Draws the actions. Few classes a run, but these often, finds more than a bit of everything.
fn actions(rng: &mut Rng, setup: &Setup) -> Vec<Action> {
    let duration = rng.pick(&[300, 1_000, 3_000, 8_000]) * MS;
    let mut classes = Vec::new();
    for _ in 0..rng.range(1, 5) {
        classes.push(drawn_class(rng));
    }
    let mut actions = Vec::new();
    let quiet = rng.range(0, 3) * 10 * MS;
    for _ in 0..rng.range(4, 36) {
        let at = quiet + rng.below(duration);
        let (a, b) = pair(rng, setup.nodes);
        actions.push(Action {
            at,
            what: send(rng, setup, a, b),
        });
    }
    for _ in 0..rng.range(1, 24) {
        let at = rng.below(duration);
        let (a, b) = pair(rng, setup.nodes);
        let class = rng.pick(&classes);
        actions.push(Action {
            at,
            what: fault(rng, class, a, b),
        });
    }
    actions.sort_by_key(|action| action.at);
    actions
}

/// Membership changes take long and are drawn less often.
fn drawn_class(rng: &mut Rng) -> Fault {
    loop {
        let class = rng.pick(Fault::ALL);
        let keep = match class {
            Fault::Peer31 | Fault::QueueFull => 0,
            Fault::RestartUntold | Fault::Corrupt | Fault::HastyRejoin | Fault::RestartToldLate => 50,
            Fault::Cut => 300,
            _ => 100,
        };
        if rng.below(300) < keep {
            return class;
        }
    }
}

fn pair(rng: &mut Rng, nodes: usize) -> (usize, usize) {
    let a = rng.below(nodes as u64) as usize;
    let b = rng.below(nodes as u64 - 1) as usize;
    (a, if b >= a { b + 1 } else { b })
}

fn send(rng: &mut Rng, setup: &Setup, a: usize, b: usize) -> What {
    let (count, bytes) = match (setup.tiny_queue, rng.below(20)) {
        (true, 0..8) => (rng.range(20, 60), 3984),
        (_, 0) => (rng.range(1, 6), 3984),
        (_, 1..4) => (rng.range(1, 30), 40),
        (_, 4..8) => (rng.range(1, 4), rng.below(900) as usize + 40),
        _ => (rng.range(1, 8), rng.below(30) as usize + 40),
    };
    What::Send {
        a,
        b,
        count,
        bytes,
        in_place: rng.chance(40),
    }
}

fn fault(rng: &mut Rng, class: Fault, a: usize, b: usize) -> What {
    let span = match class {
        Fault::ClockJump => rng.pick(&[10, 600, 4_000, 31_000, 70_000]) * MS,
        _ => rng.pick(&[1, 20, 150, 600, 2_500]) * MS,
    };
    What::Fault {
        class,
        a,
        b,
        span,
        k: rng.below(400),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} ms  ", self.at as f64 / MS as f64)?;
        match self.what {
            What::Send {
                a,
                b,
                count,
                bytes,
                in_place,
            } => {
                let how = if in_place { ", in place" } else { "" };
                write!(f, "node {a} sends {count} x {bytes} bytes to node {b}{how}")
            }
            What::Fault { class, a, b, span, k } => {
                write!(f, "{} ({a}, {b}), span {} ms, k {k}", class.name(), span / MS)
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        for action in &self.actions {
            writeln!(f, "{action}")?;
        }
        Ok(())
    }
}
