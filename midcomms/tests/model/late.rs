//! Acknowledgements as late as they may be: with what is sent anyway, with a `FIN`, or by the timer.

use dlmwire_codec::Seq;
use dlmwire_midcomms::State;

use crate::explore::holds;
use crate::pair::pair_of;
use crate::world::Command::{Add, Remove, Send, Shutdown};
use crate::world::{Command, Scenario, late};

/// Numbers wrap after two messages.
const WRAP: Seq = Seq::new(u32::MAX - 1);

fn pair(scripts: [&'static [Command]; 2], cuts: u8) -> Scenario {
    Scenario {
        cuts,
        ..pair_of([1, 2].map(|node| late(node, WRAP)), scripts)
    }
}

/// Nobody leaves: what neither a message nor a duplicate takes along, the timer does.
#[test]
fn talk_with_a_cut_is_acknowledged_in_the_end() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send]];
    let scenario = Scenario {
        idle_timers: true,
        ends: [State::Established; 2],
        ..pair(scripts, 1)
    };
    holds("late talk 2+1, 1 cut", scenario);
}

#[test]
fn leave_and_removal_with_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Remove]];
    holds("late leave 1+1, 1 cut", pair(scripts, 1));
}

#[test]
fn leave_of_both_with_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Shutdown]];
    holds("late both leave 1+1, 1 cut", pair(scripts, 1));
}

#[test]
fn leave_with_hasty_timers_and_a_cut_both_close() {
    let scenario = Scenario {
        early_timers: 2,
        ..pair([&[Add, Send, Shutdown], &[Add, Remove]], 1)
    };
    holds("late leave 1+0, 1 cut, hasty timers", scenario);
}

#[test]
fn leave_with_half_written_frames_and_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Remove]];
    holds("late leave 1+0, 1 cut, half frames", pair(scripts, 1).lazy());
}
