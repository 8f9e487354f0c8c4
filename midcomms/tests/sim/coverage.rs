//! Which cells of the transition table the runs went through.

use std::fmt;

use dlmwire_midcomms::State;
use dlmwire_midcomms::state::{Input, Membership, step};

const STATES: usize = State::ALL.len();
const INPUTS: usize = Input::ALL.len();

/// How often each cell was entered, by membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Coverage([[[u64; INPUTS]; STATES]; 2]);

impl Coverage {
    /// Nothing entered.
    pub(crate) const fn new() -> Self {
        Self([[[0; INPUTS]; STATES]; 2])
    }

    /// Counts a cell.
    pub(crate) fn enter(&mut self, state: State, input: Input, member: bool) {
        let column = Input::ALL.iter().position(|other| *other == input).unwrap_or(0);
        self.0[usize::from(member)][state as usize - 1][column] += 1;
    }

    /// Adds another run's.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self
            .0
            .as_flattened_mut()
            .as_flattened_mut()
            .iter_mut()
            .zip(other.0.as_flattened().as_flattened())
        {
            *mine += theirs;
        }
    }

    /// Entries of a cell, whatever the membership.
    pub(crate) fn of(&self, state: State, input: Input) -> u64 {
        let column = Input::ALL.iter().position(|other| *other == input).unwrap_or(0);
        self.0.iter().map(|table| table[state as usize - 1][column]).sum()
    }

    /// Cells that change something, are not violations, and were never entered.
    pub(crate) fn missing(&self) -> Vec<(State, Input)> {
        let mut missing = Vec::new();
        for state in State::ALL {
            for input in Input::ALL {
                if self.of(state, input) == 0 && is_lively(state, input) {
                    missing.push((state, input));
                }
            }
        }
        missing
    }
}

/// Whether a cell does anything at all in an honest cluster.
fn is_lively(state: State, input: Input) -> bool {
    Membership::ALL.iter().any(|membership| {
        let cell = step(state, input, *membership);
        cell.violation.is_none() && (cell.next != state || cell.reset || cell.ack || cell.fin)
    }) && !is_out_of_reach(state, input)
}

/// Cells that no driver can lead an engine into.
fn is_out_of_reach(state: State, input: Input) -> bool {
    match (state, input) {
        // We leave: `add_member` is refused until everything is closed.
        (State::FinWait1 | State::FinWait2 | State::Closing, Input::Add) => true,
        // The peer is a member: it cannot be added a first time.
        (State::CloseWait, Input::Add) => true,
        // The deadline counts from our own `FIN`.
        (State::Established | State::CloseWait, Input::Timeout) => true,
        _ => false,
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<12}", "state")?;
        for input in Input::ALL {
            write!(f, "{:>12}", input.name())?;
        }
        writeln!(f)?;
        for state in State::ALL {
            write!(f, "  {:<12}", state.name())?;
            for input in Input::ALL {
                write!(f, "{:>12}", self.of(state, input))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
