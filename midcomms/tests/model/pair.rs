//! Our engine at both ends.

use dlmwire_codec::Seq;
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::Config;

use crate::driver::Driver;
use crate::explore::{finds_nothing, holds};
use crate::side::Side;
use crate::world::Command::{Add, AddAtOnce, Remove, Send, Shutdown, ShutdownAtOnce};
use crate::world::{CLEAN, Command, Scenario, quiet};

/// Numbers wrap after two messages.
const WRAP: Seq = Seq::new(u32::MAX - 1);

/// Two engines that do what the scripts say, over sockets that take everything, without cuts and timers, and
/// close in the end.
pub(crate) fn pair(start: Seq, scripts: [&'static [Command]; 2]) -> Scenario {
    pair_of([1, 2].map(|node| quiet(node, start)), scripts)
}

pub(crate) fn pair_of(configs: [Config; 2], scripts: [&'static [Command]; 2]) -> Scenario {
    let [a, b] = [configs[0].node, configs[1].node];
    let [first, second] = configs;
    let side = |config, peer| Side::Ours(Box::new(Driver::new(config, peer)));
    Scenario {
        sides: [side(first, b), side(second, a)],
        scripts,
        cuts: 0,
        early_timers: 0,
        idle_timers: false,
        slow_dials: false,
        one_dials: false,
        long_reads: false,
        lazy_sockets: false,
        ends: [State::Closed; 2],
        shows: &[CLEAN],
        found: std::sync::Arc::default(),
    }
}

/// The same, but nobody leaves.
pub(crate) fn talk(start: Seq, scripts: [&'static [Command]; 2], cuts: u8) -> Scenario {
    Scenario {
        ends: [State::Established; 2],
        cuts,
        ..pair(start, scripts)
    }
}

fn leave(scripts: [&'static [Command]; 2], cuts: u8) -> Scenario {
    Scenario {
        cuts,
        ..pair(WRAP, scripts)
    }
}

#[test]
fn talk_without_loss_in_long_reads_arrives_once() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send, Send]];
    let scenario = Scenario {
        long_reads: true,
        slow_dials: true,
        ..talk(WRAP, scripts, 0)
    };
    holds("talk 2+2, slow dials, long reads", scenario);
}

#[test]
fn talk_with_a_cut_arrives_once() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send, Send]];
    holds("talk 2+2, 1 cut", talk(Seq::INITIAL, scripts, 1));
}

#[test]
fn talk_with_two_cuts_arrives_once() {
    let scripts: [&[Command]; 2] = [&[Add, Send], &[Add, Send]];
    holds("talk 1+1, 2 cuts", talk(WRAP, scripts, 2));
}

#[test]
fn talk_one_way_with_two_cuts_arrives_once() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add]];
    holds("talk 2+0, 2 cuts", talk(WRAP, scripts, 2));
}

#[test]
fn talk_with_half_written_frames_and_a_cut_arrives_once() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add]];
    holds("talk 2+0, 1 cut, half frames", talk(WRAP, scripts, 1).lazy());
}

#[test]
fn leave_and_removal_without_loss_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send, Shutdown], &[Add, Send, Send, Remove]];
    holds("leave 2+2", leave(scripts, 0));
}

#[test]
fn leave_and_removal_with_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Remove]];
    holds("leave 1+1, 1 cut", leave(scripts, 1));
}

#[test]
fn leave_of_both_with_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Shutdown]];
    holds("both leave 1+1, 1 cut", leave(scripts, 1));
}

/// The last `ACK` may go to a link that is dead and not known to be: the `FIN`'s timer finds out.
#[test]
fn leave_and_removal_with_two_cuts_both_close() {
    let scenario = Scenario {
        idle_timers: true,
        ..leave([&[Add, Shutdown], &[Add, Remove]], 2)
    };
    holds("leave 0+0, 2 cuts", scenario);
}

#[test]
fn leave_of_both_with_two_cuts_both_close() {
    let scenario = Scenario {
        idle_timers: true,
        ..leave([&[Add, Shutdown], &[Add, Shutdown]], 2)
    };
    holds("both leave 0+0, 2 cuts", scenario);
}

#[test]
fn leave_with_hasty_timers_and_a_cut_both_close() {
    let scenario = Scenario {
        early_timers: 1,
        ..leave([&[Add, Send, Shutdown], &[Add, Remove]], 1)
    };
    holds("leave 1+0, 1 cut, hasty timers", scenario);
}

#[test]
fn leave_with_half_written_frames_and_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Shutdown], &[Add, Remove]];
    holds("leave 0+0, 1 cut, half frames", leave(scripts, 1).lazy());
}

#[test]
fn leave_with_slow_dials_and_a_cut_both_close() {
    let scenario = Scenario {
        slow_dials: true,
        ..leave([&[Add, Shutdown], &[Add, Send, Remove]], 1)
    };
    holds("leave 0+1, 1 cut, slow dials", scenario);
}

#[test]
fn leave_after_numbered_answers_and_a_cut_both_close() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Remove]];
    holds("leave 1+1, 1 cut, not ready", leave(scripts, 1).not_ready());
}

/// Who is added again before the last `ACK` reached the other side can no longer repeat it: that side gives up at
/// its deadline. Nothing of the old conversation enters the new one, as far as it was explored: two conversations in a
/// row are too many states to close. The simulator goes on where this stops.
#[test]
fn rejoin_without_loss_delivers_each_message_in_its_own_conversation() {
    const DEADLINE: u64 = 600_000_000;
    let configs = [1, 2].map(|node| {
        let mut config = quiet(node, WRAP);
        config.shutdown_deadline = DEADLINE;
        config
    });
    let scenario = Scenario {
        idle_timers: true,
        shows: &[CLEAN, "gave up"],
        ..pair_of(
            configs,
            [
                &[Add, Send, Shutdown, Add, Send, Shutdown],
                &[Add, Send, Remove, Add, Send, Remove],
            ],
        )
    };
    finds_nothing("rejoin 1+1", scenario);
}

/// The other node is told of the membership only when the leaver has gone: it keeps a conversation that nobody
/// else has, until the cluster manager adds the node again or removes it for good.
#[test]
fn leave_before_the_other_was_told_of_it_leaves_it_waiting() {
    let scenario = Scenario {
        shows: &[CLEAN, "stuck", "gave up", "links left"],
        ..leave([&[Add, ShutdownAtOnce], &[Add, Remove]], 0)
    };
    holds("late add", scenario);
}

/// A lockspace that is removed and added again while the conversation goes on.
#[test]
fn removal_and_add_within_a_conversation_change_nothing() {
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send, Remove, AddAtOnce]];
    holds("remove and add", talk(WRAP, scripts, 1));
}

/// Larger ones, for the deep stage.
#[test]
fn deep_scenarios_both_close() {
    if std::env::var_os("MODEL_DEEP").is_none() {
        eprintln!("SKIPPED deep_scenarios_both_close: MODEL_DEEP is not set");
        return;
    }
    let scripts: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send, Send]];
    holds("talk 2+2, 2 cuts", talk(WRAP, scripts, 2));
    let scripts: [&[Command]; 2] = [&[Add, Send, Send, Shutdown], &[Add, Send, Send, Remove]];
    holds("leave 2+2, 1 cut", leave(scripts, 1));
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Shutdown]];
    let scenario = Scenario {
        slow_dials: true,
        long_reads: true,
        ..leave(scripts, 1)
    };
    holds("both leave 1+1, 1 cut, slow dials, long reads", scenario);
    let scripts: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Remove]];
    let scenario = Scenario {
        idle_timers: true,
        ..leave(scripts, 2)
    };
    holds("leave 1+0, 2 cuts", scenario);
}
