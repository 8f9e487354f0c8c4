//! Two nodes, what lies between them, and what must never happen: the model that is explored.

mod exploration;
mod scenario;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dlmwire_midcomms::engine::{Close, LinkRole, Outcome, Violation};
use dlmwire_midcomms::{Refusal, State, Time};

use crate::driver::{Effect, Take};
use crate::net::{Connection, End};
use crate::side::{Loss, Side};

pub(crate) use exploration::{ACKNOWLEDGED, CLEAN, ONCE, REST};
pub(crate) use scenario::{Command, Scenario, late, quiet};

/// Timers behind this moment never fire.
pub(crate) const HORIZON: Time = Time(1 << 60);

/// How often hello is said again; more often is taken to be in vain.
const GREETINGS_MAX: u8 = 4;

/// Connections after which a timer that runs fires before another is made.
const PATIENCE: u64 = 10;

/// Connections beyond which the nodes are taken to make them for ever.
const CONNECTIONS_MAX: u64 = 24;

/// What went wrong first; nothing is explored behind it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Fault {
    /// A message came out twice, or behind a later one.
    Duplicate { tag: u32 },
    /// A message came out before an earlier one.
    Gap { tag: u32 },
    /// A number was taken for acknowledged that was not delivered.
    AckedUndelivered { node: usize },
    /// A conversation ended well with something undelivered.
    CleanButLost { node: usize },
    /// A finished conversation moved although nobody began a new one.
    Resurrected { node: usize, from: State, to: State },
    /// A peer that never restarted was said to have.
    FalseRestart { node: usize },
    /// A sound peer was said to have broken the protocol.
    Accused { node: usize, violation: Violation },
    /// A send was refused.
    Refused { node: usize },
    /// A timer that fired stays due.
    TimerStays { node: usize },
    /// Connections are made without an end.
    Connections,
    /// An engine panicked.
    Panic { node: usize },
}

/// What a node did and saw, kept beside it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Ledger {
    /// The next command of its script.
    pub(crate) command: usize,
    /// Conversations begun by an add.
    pub(crate) epoch: u8,
    /// Messages accepted from the application in this one.
    pub(crate) sent: u8,
    /// The peer's conversation that the last delivered message was of.
    pub(crate) from_epoch: u8,
    /// Messages of it that came out.
    pub(crate) delivered: u8,
    /// The peer's conversation whose `FIN` came.
    pub(crate) finished: u8,
    /// It was ended otherwise than by both `FIN`s.
    pub(crate) gave_up: bool,
    /// This conversation is over, and how.
    pub(crate) outcome: Option<Outcome>,
    /// A kernel began a conversation by itself after one was over.
    pub(crate) reopened: bool,
    /// A kernel forgot its numbers, in the middle of a conversation or by beginning one by itself.
    pub(crate) forgot: bool,
    /// A kernel handed a message to its application twice, or in the wrong order.
    pub(crate) twice: bool,
    /// A kernel that forgot its numbers was found out.
    pub(crate) suspects: bool,
    /// The cluster manager lists the other node.
    pub(crate) member: bool,
    /// A connection was asked for.
    pub(crate) wanted: bool,
    /// Timers that may still fire early.
    pub(crate) early_timers: u8,
    /// How often hello may still be said again.
    pub(crate) greetings: u8,
}

/// A state of the model.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct World {
    /// The nodes.
    pub(crate) sides: [Side; 2],
    /// What they did and saw.
    pub(crate) ledgers: [Ledger; 2],
    /// What is between them.
    pub(crate) connections: Vec<Connection>,
    next_connection: u64,
    /// Connections that may still be cut.
    pub(crate) cuts: u8,
    /// What went wrong.
    pub(crate) fault: Option<Fault>,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Command { node: usize, command: Command },
    Dial { node: usize },
    Up { node: usize, link: u64 },
    Read { node: usize, link: u64, all: bool },
    Transmit { node: usize, link: u64, take: Take },
    Eof { node: usize, link: u64 },
    Cut { link: u64 },
    Notice { node: usize, link: u64, loss: Loss },
    Timer { node: usize },
    Greet { node: usize },
}

impl Action {
    /// Whether this happens for sure if nothing else does: cuts and hasty timers are nobody's duty.
    const fn is_due(self) -> bool {
        match self {
            Self::Cut { .. } | Self::Timer { .. } => false,
            Self::Command { .. }
            | Self::Dial { .. }
            | Self::Up { .. }
            | Self::Read { .. }
            | Self::Transmit { .. }
            | Self::Eof { .. }
            | Self::Greet { .. }
            | Self::Notice { .. } => true,
        }
    }
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let ledger = Ledger {
            early_timers: scenario.early_timers,
            greetings: GREETINGS_MAX,
            ..Ledger::default()
        };
        Self {
            sides: scenario.sides.clone(),
            ledgers: [ledger.clone(), ledger],
            connections: Vec::new(),
            next_connection: 1,
            cuts: scenario.cuts,
            fault: None,
        }
    }

    fn connection(&mut self, link: u64) -> &mut Connection {
        let found = self
            .connections
            .iter_mut()
            .find(|connection| connection.id == link);
        found.expect("actions name connections that are there")
    }

    /// Connections on which `node` may write.
    fn writable(&self, node: usize) -> Vec<u64> {
        let open = self.connections.iter().filter(|connection| {
            let end = &connection.ends[node];
            end.is_open() && !end.eof_sent
        });
        open.map(|connection| connection.id).collect()
    }

    /// Lets `node`'s side do something and carries out what follows from it.
    fn act(&mut self, node: usize, act: impl FnOnce(&mut Side, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        let links = self.writable(node);
        let side = &mut self.sides[node];
        let run = catch_unwind(AssertUnwindSafe(|| {
            act(side, &mut effects);
            side.drain(&links, &mut effects);
        }));
        if run.is_err() {
            self.fail(Fault::Panic { node });
            return;
        }
        for effect in effects {
            self.carry_out(node, effect);
        }
        self.settle(node);
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Write { link, bytes } => self.connection(link).write(node, &bytes),
            Effect::LinkWanted => self.ledgers[node].wanted = true,
            Effect::Close { link, how } => self.close(node, link, how),
            Effect::Delivered { tag } => self.deliver(node, tag),
            Effect::Moved { from, to } => self.moved(node, from, to),
            Effect::PeerFinished => self.ledgers[node].finished = self.ledgers[1 - node].epoch,
            Effect::Restarted => self.suspect(node, Fault::FalseRestart { node }),
            Effect::Finished(outcome) => self.finished(node, outcome),
            Effect::Breach(violation) => self.breach(node, violation),
        }
    }

    fn close(&mut self, node: usize, link: u64, how: Close) {
        let Some(connection) = self
            .connections
            .iter_mut()
            .find(|connection| connection.id == link)
        else {
            return;
        };
        match how {
            Close::AfterFlush => connection.ends[node].closing = true,
            Close::Abort => {
                connection.cut = true;
                self.leave(node, link, Loss::Silent);
            }
        }
    }

    /// `node` is done with a connection: its side is told.
    fn leave(&mut self, node: usize, link: u64, loss: Loss) {
        let end = &mut self.connection(link).ends[node];
        let told = end.is_open();
        *end = End {
            gone: true,
            eof_sent: end.eof_sent,
            ..End::default()
        };
        if told {
            self.act(node, |side, _| side.link_down(link, loss));
        }
        self.connections.retain(|connection| !connection.is_over());
    }

    /// Ends of streams that are due, and what the driver remembers.
    fn settle(&mut self, node: usize) {
        let side = &self.sides[node];
        let mut over = Vec::new();
        for connection in &mut self.connections {
            let end = &mut connection.ends[node];
            if end.is_open() && end.closing && !end.eof_sent && !side.has_transmit(connection.id) {
                end.eof_sent = true;
            }
            if end.is_open() && end.eof_sent && end.eof_seen {
                over.push(connection.id);
            }
        }
        self.ledgers[node].wanted &= side.wants_link();
        for link in over {
            if self
                .connections
                .iter()
                .any(|connection| connection.id == link && !connection.ends[node].gone)
            {
                self.leave(node, link, Loss::Silent);
            }
        }
    }

    /// Messages are called by their sender's conversation and their place in it.
    fn deliver(&mut self, node: usize, tag: u32) {
        let [epoch, index, ..] = tag.to_le_bytes();
        let ledger = &mut self.ledgers[node];
        if epoch > ledger.from_epoch {
            (ledger.from_epoch, ledger.delivered) = (epoch, 0);
        }
        let expected = ledger.delivered;
        ledger.delivered = ledger.delivered.max(index + 1);
        let again = epoch < ledger.from_epoch || index < expected;
        if ledger.forgot || !self.sides[node].is_ours() && ledger.outcome.is_some() {
            ledger.twice |= again || index > expected;
        } else if again {
            self.fail(Fault::Duplicate { tag });
        } else if index > expected {
            self.fail(Fault::Gap { tag });
        }
    }

    fn moved(&mut self, node: usize, from: State, to: State) {
        if !self.sides[node].is_ours() {
            let ledger = &mut self.ledgers[node];
            if from == State::Closed && ledger.outcome.is_some() {
                ledger.forgot = true;
                ledger.reopened |= ledger.outcome == Some(Outcome::Clean);
            }
            return;
        }
        let (own, peer) = (&self.ledgers[node], &self.ledgers[1 - node]);
        let over = own.outcome.is_some() && peer.epoch <= own.epoch;
        let stranger = to == State::Established && !own.member;
        if from == State::Closed && (over || stranger) {
            self.fail(Fault::Resurrected { node, from, to });
        }
    }

    fn finished(&mut self, node: usize, outcome: Outcome) {
        let (own, peer) = (&self.ledgers[node], &self.ledgers[1 - node]);
        let delivered = peer.from_epoch == own.epoch && peer.delivered == own.sent;
        if self.sides[node].is_ours() && outcome == Outcome::Clean && own.sent > 0 && !delivered {
            self.fail(Fault::CleanButLost { node });
        }
        self.ledgers[node].outcome = Some(outcome);
        self.ledgers[node].gave_up |= outcome != Outcome::Clean;
    }

    /// What comes late on an old connection is noise, not an accusation.
    fn breach(&mut self, node: usize, violation: Violation) {
        match violation {
            Violation::UnknownLink | Violation::Refused(Refusal::CannotOpen { .. }) => {}
            violation => self.suspect(node, Fault::Accused { node, violation }),
        }
    }

    /// A peer is blamed: rightly, if it is a kernel that forgot its numbers.
    fn suspect(&mut self, node: usize, fault: Fault) {
        let peer = &self.ledgers[1 - node];
        if peer.forgot || !self.sides[1 - node].is_ours() && peer.outcome.is_some() {
            self.ledgers[node].suspects = true;
        } else {
            self.fail(fault);
        }
    }

    /// The sender's view: what left its queue was delivered.
    fn check_acknowledged(&mut self, node: usize) {
        let Some((acked, _)) = self.sides[node].acked_and_queued() else {
            return;
        };
        let (own, peer) = (&self.ledgers[node], &self.ledgers[1 - node]);
        let delivered = if peer.from_epoch == own.epoch {
            peer.delivered
        } else {
            0
        };
        let fin_lost = self.sides[node].state() == State::FinWait2 && peer.finished < own.epoch;
        // A reset forgets what was acknowledged, so that a finished conversation passes.
        if acked.min(u32::from(own.sent)) > u32::from(delivered) || fin_lost {
            self.fail(Fault::AckedUndelivered { node });
        }
    }

    fn command(&mut self, node: usize, command: Command) {
        let ledger = &mut self.ledgers[node];
        ledger.command += 1;
        match command {
            Command::Add | Command::AddAtOnce => {
                *ledger = Ledger {
                    command: ledger.command,
                    epoch: ledger.epoch + 1,
                    from_epoch: ledger.from_epoch,
                    delivered: ledger.delivered,
                    wanted: ledger.wanted,
                    early_timers: ledger.early_timers,
                    greetings: ledger.greetings,
                    finished: ledger.finished,
                    gave_up: ledger.gave_up,
                    member: true,
                    ..Ledger::default()
                };
                self.act(node, |side, _| side.add());
            }
            Command::Send => {
                let tag = u32::from_le_bytes([ledger.epoch, ledger.sent, 0, 0]);
                ledger.sent += 1;
                let mut taken = false;
                self.act(node, |side, _| taken = side.send(tag));
                if !taken {
                    self.fail(Fault::Refused { node });
                }
            }
            Command::Remove => {
                ledger.member = false;
                self.act(node, |side, _| side.remove());
            }
            Command::Shutdown | Command::ShutdownAtOnce => {
                ledger.member = false;
                self.act(node, |side, _| side.shutdown());
            }
        }
    }

    fn dial(&mut self, node: usize) {
        self.ledgers[node].wanted = false;
        self.connections.push(Connection::new(self.next_connection, node));
        self.next_connection += 1;
        if self.next_connection > CONNECTIONS_MAX {
            self.fail(Fault::Connections);
        }
    }

    fn up(&mut self, node: usize, link: u64) {
        let connection = self.connection(link);
        connection.ends[node].up = true;
        let role = if connection.dialer == node {
            LinkRole::Dialed
        } else {
            LinkRole::Accepted
        };
        self.act(node, |side, _| side.link_up(link, role));
    }

    fn read(&mut self, node: usize, link: u64, all: bool) {
        let connection = self.connection(link);
        let mut frames = Vec::new();
        while let Some(frame) = connection.read(node) {
            frames.push(frame);
            if !all {
                break;
            }
        }
        self.act(node, |side, out| side.read(link, &frames, out));
        self.check_acknowledged(node);
    }

    fn eof(&mut self, node: usize, link: u64) {
        let end = &mut self.connection(link).ends[node];
        end.eof_seen = true;
        end.inbox.clear();
        self.act(node, |side, _| side.link_end(link));
    }

    fn notice(&mut self, node: usize, link: u64, loss: Loss) {
        let connection = self.connection(link);
        let failed = connection.dialer == node && !connection.ends[node].up;
        // A connection that cannot be made is tried again.
        self.ledgers[node].wanted |= failed;
        self.leave(node, link, loss);
    }

    fn timer(&mut self, node: usize, idle: bool) {
        let Some(at) = self.sides[node].deadline() else {
            return;
        };
        if !idle {
            self.ledgers[node].early_timers -= 1;
        }
        let mut moved = true;
        self.act(node, |side, _| moved = side.timeout(at));
        if !moved {
            self.fail(Fault::TimerStays { node });
        }
    }
}

/// One line per node: what a trace ends in.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (node, (side, ledger)) in self.sides.iter().zip(&self.ledgers).enumerate() {
            writeln!(f, "  node {node}: {side} {ledger:?}")?;
        }
        for connection in &self.connections {
            writeln!(f, "  link {}: cut {}", connection.id, connection.cut)?;
            for (node, end) in connection.ends.iter().enumerate() {
                writeln!(
                    f,
                    "    end {node}: up {} gone {} closing {} eof sent {} seen {}, {} bytes to read",
                    end.up,
                    end.gone,
                    end.closing,
                    end.eof_sent,
                    end.eof_seen,
                    end.inbox.len()
                )?;
            }
        }
        write!(f, "  fault: {:?}", self.fault)
    }
}
