//! The seven states of a conversation and the one table that moves between them (spec: midcomms 6).
//!
//! Engine, observer, documentation and tests read this table and nothing else. `docs/states.md` is printed from
//! it by [`table_markdown`].
//!
//! # Where kernels differ among themselves
//!
//! | cell | 2021 to 6.1 | 6.12 and later | here |
//! |---|---|---|---|
//! | `CLOSED`, version detected | only a bare `STATUS`, `NAMES` or reply leads to `ESTABLISHED`; an `ACK` or `OPTS` sets the version alone | any 3.2 message leads to `ESTABLISHED`, a late `ACK` too | `ESTABLISHED` if the peer is a member, else nothing moves |
//! | `CLOSED`, `FIN` | a warning; the number is counted and spoils the next conversation | as in `ESTABLISHED` | as in `ESTABLISHED`: acknowledged and answered, so that the peer need not wait for its timeout |
//! | terminating, version detected | everything is reset, "shutdown stuck": numbers diverge | nothing moves | nothing moves |
//! | `LAST_ACK`, `FIN` | 2021 acknowledges it, later ones do not | not acknowledged | a violation, not acknowledged |
//! | any, timeout | after 180 s, one peer after the other | after 5 s, one after the other | at the caller's deadline, all peers at once |
//!
//! Duplicates of a `FIN` never reach the table: the receive rule answers them with an `ACK`, also from the memory
//! of a finished peer.

use core::fmt;
use core::fmt::Write as _;

use dlmwire_codec::Version;

/// How far a conversation with a peer is, named and numbered as in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum State {
    /// Nothing is exchanged. Entering it resets everything.
    Closed = 1,
    /// Messages flow in both directions.
    Established = 2,
    /// Our `FIN` is sent and not acknowledged.
    FinWait1 = 3,
    /// Our `FIN` is acknowledged, the peer still talks.
    FinWait2 = 4,
    /// The peer's `FIN` came, we still talk.
    CloseWait = 5,
    /// The peer's `FIN` came, ours is sent and not acknowledged.
    LastAck = 6,
    /// Both `FIN`s crossed, ours is not acknowledged.
    Closing = 7,
}

impl State {
    /// All states, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::LastAck,
        Self::Closing,
    ];

    /// The kernel's name, as debugfs shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::Closing => "CLOSING",
        }
    }

    /// Whether a `FIN` was sent or received and the end is not reached.
    pub const fn is_terminating(self) -> bool {
        match self {
            Self::Closed | Self::Established => false,
            Self::FinWait1 | Self::FinWait2 | Self::CloseWait | Self::LastAck | Self::Closing => true,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens to a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// The first lockspace lists the peer as a member.
    Add,
    /// The first message that shows the peer's version came.
    VersionDetected(Version),
    /// The last lockspace is being left. Only told for a 3.2 peer: a 3.1 peer knows no `FIN` and is fenced.
    Shutdown,
    /// The last lockspace that listed the peer as a member no longer does.
    Remove,
    /// A `FIN` came in sequence; its number has been counted.
    Fin,
    /// Our `FIN` was acknowledged.
    AckOfFin,
    /// The cluster manager says that the peer is gone.
    #[doc(alias = "midcomms_close")]
    Fence,
    /// The termination took too long.
    Timeout,
}

impl Input {
    /// All inputs, as the columns of the table.
    pub const ALL: [Self; 9] = [
        Self::Add,
        Self::VersionDetected(Version::V3_1),
        Self::VersionDetected(Version::V3_2),
        Self::Shutdown,
        Self::Remove,
        Self::Fin,
        Self::AckOfFin,
        Self::Fence,
        Self::Timeout,
    ];

    /// A short name, as it heads its column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::VersionDetected(Version::V3_1) => "3.1 seen",
            Self::VersionDetected(Version::V3_2) => "3.2 seen",
            Self::Shutdown => "shutdown",
            Self::Remove => "remove",
            Self::Fin => "FIN",
            Self::AckOfFin => "ACK of FIN",
            Self::Fence => "fence",
            Self::Timeout => "timeout",
        }
    }
}

/// Whether some lockspace lists the peer as a member (the kernel's `users` is above 0).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Membership {
    /// At least one lockspace does.
    Member,
    /// None does.
    NotMember,
}

impl Membership {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Member, Self::NotMember];
}

/// An input that the peer may not cause in this state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Violation {
    /// A second `FIN`.
    FinInState(State),
    /// The acknowledgement of a `FIN` that was never sent or had been acknowledged.
    AckOfFinInState(State),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FinInState(state) => write!(f, "FIN in state {state}"),
            Self::AckOfFinInState(state) => write!(f, "ACK of FIN in state {state}"),
        }
    }
}

/// What an input does: one cell of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The state afterwards.
    pub next: State,
    /// Send an `ACK` at once.
    pub ack: bool,
    /// Send our `FIN`, behind the `ACK` if there is one.
    pub fin: bool,
    /// Forget numbers, version and queue. The memory that answers a repeated `FIN` is made from them first.
    pub reset: bool,
    /// The peer broke the protocol.
    pub violation: Option<Violation>,
}

impl Step {
    const fn to(next: State) -> Self {
        Self {
            next,
            ack: false,
            fin: false,
            reset: false,
            violation: None,
        }
    }

    const fn ack(self) -> Self {
        Self { ack: true, ..self }
    }

    const fn fin(self) -> Self {
        Self { fin: true, ..self }
    }

    const fn reset(self) -> Self {
        Self { reset: true, ..self }
    }

    const fn violation(self, violation: Violation) -> Self {
        Self {
            violation: Some(violation),
            ..self
        }
    }
}

/// The cell of the table for a state, an input and the peer's membership.
///
/// ```
/// use dlmwire_midcomms::state::{Input, Membership, State, step};
///
/// let cell = step(State::Established, Input::Fin, Membership::NotMember);
/// assert_eq!(cell.next, State::LastAck);
/// assert!(cell.ack && cell.fin);
/// ```
pub const fn step(state: State, input: Input, membership: Membership) -> Step {
    match input {
        Input::Add => on_add(state),
        Input::VersionDetected(version) => on_version(state, version, membership),
        Input::Shutdown => on_shutdown(state),
        Input::Remove => on_remove(state),
        Input::Fin => on_fin(state, membership),
        Input::AckOfFin => on_ack_of_fin(state),
        Input::Fence => Step::to(State::Closed).reset(),
        Input::Timeout => on_timeout(state),
    }
}

/// A peer that is added while the old conversation still terminates begins a new one: the old is stuck.
const fn on_add(state: State) -> Step {
    match state {
        State::Closed | State::Established => Step::to(State::Established),
        State::FinWait1 | State::FinWait2 | State::CloseWait | State::LastAck | State::Closing => {
            Step::to(State::Established).reset()
        }
    }
}

/// Deviation: nothing that comes late re-establishes a finished peer, and `STATUS` while a conversation terminates
/// resets nothing. A kernel peer that counts on the reset (up to 6.1) finds its old numbers still in force.
const fn on_version(state: State, version: Version, membership: Membership) -> Step {
    match (state, version, membership) {
        (State::Closed, Version::V3_2, Membership::Member) => Step::to(State::Established),
        (State::Closed, Version::V3_2, Membership::NotMember)
        | (
            State::Closed
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::LastAck
            | State::Closing,
            Version::V3_1 | Version::V3_2,
            Membership::Member | Membership::NotMember,
        ) => Step::to(state),
    }
}

/// In `CLOSE_WAIT` the `FIN` waits for the removal, which precedes it in every orderly leave.
const fn on_shutdown(state: State) -> Step {
    match state {
        State::Established => Step::to(State::FinWait1).fin(),
        State::Closed
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::LastAck
        | State::Closing => Step::to(state),
    }
}

const fn on_remove(state: State) -> Step {
    match state {
        State::CloseWait => Step::to(State::LastAck).fin(),
        State::Closed
        | State::Established
        | State::FinWait1
        | State::FinWait2
        | State::LastAck
        | State::Closing => Step::to(state),
    }
}

const fn on_fin(state: State, membership: Membership) -> Step {
    match (state, membership) {
        (State::Closed | State::Established, Membership::Member) => Step::to(State::CloseWait).ack(),
        (State::Closed | State::Established, Membership::NotMember) => Step::to(State::LastAck).ack().fin(),
        (State::FinWait1, Membership::Member | Membership::NotMember) => Step::to(State::Closing).ack(),
        (State::FinWait2, Membership::Member | Membership::NotMember) => {
            Step::to(State::Closed).ack().reset()
        }
        (State::CloseWait | State::LastAck | State::Closing, Membership::Member | Membership::NotMember) => {
            Step::to(state).violation(Violation::FinInState(state))
        }
    }
}

/// In `CLOSED` it is the echo of a conversation that timed out, nobody's fault.
const fn on_ack_of_fin(state: State) -> Step {
    match state {
        State::FinWait1 => Step::to(State::FinWait2),
        State::LastAck | State::Closing => Step::to(State::Closed).reset(),
        State::Closed => Step::to(state),
        State::Established | State::FinWait2 | State::CloseWait => {
            Step::to(state).violation(Violation::AckOfFinInState(state))
        }
    }
}

const fn on_timeout(state: State) -> Step {
    match state {
        State::Closed => Step::to(state),
        State::Established
        | State::FinWait1
        | State::FinWait2
        | State::CloseWait
        | State::LastAck
        | State::Closing => Step::to(State::Closed).reset(),
    }
}

/// A cell in short: the next state if it is another, then what is done, or `-`.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.next.name())?;
        for (set, word) in [(self.ack, "ack"), (self.fin, "fin"), (self.reset, "reset")] {
            if set {
                write!(f, " +{word}")?;
            }
        }
        match self.violation {
            Some(_) => f.write_str(" !"),
            None => Ok(()),
        }
    }
}

/// The table and its diagram as a page of documentation.
pub fn table_markdown() -> String {
    let mut page = String::from(PAGE_HEAD);
    page.push_str("\n## Diagram\n\n```mermaid\nstateDiagram-v2\n    [*] --> CLOSED\n");
    for state in State::ALL {
        for input in Input::ALL {
            edge(&mut page, state, input);
        }
    }
    page.push_str("```\n\n## Table\n\n| state |");
    for input in Input::ALL {
        let _ = write!(page, " {} |", input.name());
    }
    let _ = write!(page, "\n|---|{}\n", "---|".repeat(Input::ALL.len()));
    for state in State::ALL {
        let _ = write!(page, "| {state} |");
        for input in Input::ALL {
            let _ = write!(page, " {} |", cell(state, input));
        }
        page.push('\n');
    }
    page
}

const PAGE_HEAD: &str = "\
# States of a conversation

Printed from the transition table by `state::table_markdown`; a test compares this page with it.
The reasons, and what kernels of each generation do, are in the documentation of module `state`.

`+ack` an ACK is sent at once, `+fin` our FIN is sent, `+reset` numbers, version and queue are forgotten,
`!` the peer broke the protocol, `.` nothing happens. Where membership matters, the cell reads
*member* / *not a member*.
";

/// One arrow per state and input that leads elsewhere; membership that matters stands in the label.
fn edge(page: &mut String, state: State, input: Input) {
    let [member, stranger] = Membership::ALL.map(|membership| step(state, input, membership));
    let mut arrow = |next: State, condition: &str| {
        if next != state {
            let _ = writeln!(page, "    {state} --> {next}: {}{condition}", input.name());
        }
    };
    if member.next == stranger.next {
        arrow(member.next, "");
    } else {
        arrow(member.next, " (member)");
        arrow(stranger.next, " (not a member)");
    }
}

fn cell(state: State, input: Input) -> String {
    let [member, stranger] = Membership::ALL.map(|membership| {
        let step = step(state, input, membership);
        if step == Step::to(state) {
            String::from(".")
        } else {
            step.to_string()
        }
    });
    if member == stranger {
        member
    } else {
        format!("{member} / {stranger}")
    }
}

#[cfg(test)]
mod tests;
