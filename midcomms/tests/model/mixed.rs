//! Our engine at one end, a kernel at the other.
//!
//! What a kernel's rules make impossible is expected to show, in some order of events, and nothing else may: see the
//! table in the documentation of this test.

use dlmwire_codec::{NodeId, Seq};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::Config;

use crate::driver::Driver;
use crate::explore::holds;
use crate::kernel::{Kernel, Linux};
use crate::side::{Loss, Side};
use crate::world::Command::{Add, Remove, Send, Shutdown};
use crate::world::{CLEAN, Command, Scenario, late, quiet};

/// A loss is reported to the kernel as an error.
const REPORTED: &[Loss] = &[Loss::Error];
/// A loss looks like an orderly end to the kernel.
const UNREPORTED: &[Loss] = &[Loss::Silent];

const TALK: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send, Send]];
const SHORT_TALK: [&[Command]; 2] = [&[Add, Send], &[Add, Send]];
const WE_LEAVE: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Remove]];
const IT_LEAVES: [&[Command]; 2] = [&[Add, Send, Remove], &[Add, Send, Shutdown]];
const BOTH_LEAVE: [&[Command]; 2] = [&[Add, Send, Shutdown], &[Add, Send, Shutdown]];

/// What shows in the end against each kernel.
struct Shows {
    v5_14: &'static [&'static str],
    v6_1: &'static [&'static str],
    v6_12: &'static [&'static str],
}

/// What is explored against every kernel.
struct Case {
    name: &'static str,
    /// Ours, then the kernel's.
    scripts: [&'static [Command]; 2],
    cuts: u8,
    losses: &'static [Loss],
    shows: Shows,
}

impl Case {
    fn explore(self) {
        let ends = if self.scripts == TALK || self.scripts == SHORT_TALK {
            [State::Established; 2]
        } else {
            [State::Closed; 2]
        };
        let kernels = [
            (Linux::V5_14, self.shows.v5_14),
            (Linux::V6_1, self.shows.v6_1),
            (Linux::V6_12, self.shows.v6_12),
        ];
        for (linux, shows) in kernels {
            // When we acknowledge makes no difference to any promise.
            let configs = [("", quiet(1, Seq::INITIAL)), (", late", late(1, Seq::INITIAL))];
            for (acks, config) in configs {
                let scenario = Scenario {
                    cuts: self.cuts,
                    one_dials: self.cuts > 0,
                    ends,
                    shows,
                    ..mixed(config, linux, self.losses, self.scripts)
                };
                holds(&format!("{linux:?}: {}{acks}", self.name), scenario);
            }
        }
    }
}

/// Ours is node 0 and does the first script; it gives a termination up after two tries.
fn mixed(
    mut config: Config,
    linux: Linux,
    losses: &'static [Loss],
    scripts: [&'static [Command]; 2],
) -> Scenario {
    const DEADLINE: u64 = 1_200_000_000;
    config.shutdown_deadline = DEADLINE;
    let theirs = NodeId::new(2).expect("not 0");
    Scenario {
        sides: [
            Side::Ours(Box::new(Driver::new(config, theirs))),
            Side::Kernel(Box::new(Kernel::new(linux, theirs, losses))),
        ],
        scripts,
        cuts: 0,
        early_timers: 0,
        idle_timers: true,
        slow_dials: false,
        one_dials: false,
        long_reads: false,
        lazy_sockets: false,
        ends: [State::Closed; 2],
        shows: &[CLEAN],
        found: std::sync::Arc::default(),
    }
}

fn case(
    name: &'static str,
    scripts: [&'static [Command]; 2],
    cuts: u8,
    losses: &'static [Loss],
    shows: Shows,
) {
    Case {
        name,
        scripts,
        cuts,
        losses,
        shows,
    }
    .explore();
}

#[test]
fn talk_without_loss() {
    let shows = Shows {
        v5_14: &[CLEAN],
        v6_1: &[CLEAN],
        v6_12: &["unacknowledged"],
    };
    case("talk 2+2", TALK, 0, REPORTED, shows);
}

#[test]
fn talk_with_a_reported_loss() {
    let shows = Shows {
        v5_14: &[CLEAN, "unacknowledged"],
        v6_1: &[CLEAN, "unacknowledged"],
        v6_12: &[CLEAN, "unacknowledged"],
    };
    case("talk 1+1, reported loss", SHORT_TALK, 1, REPORTED, shows);
}

#[test]
fn talk_with_an_unreported_loss() {
    let shows = Shows {
        v5_14: &[CLEAN, "kernel's lost", "unacknowledged"],
        v6_1: &[CLEAN, "kernel's lost", "unacknowledged"],
        v6_12: &[CLEAN, "kernel's lost", "unacknowledged"],
    };
    case("talk 1+1, unreported loss", SHORT_TALK, 1, UNREPORTED, shows);
}

#[test]
fn we_leave_without_loss() {
    let shows = Shows {
        v5_14: &[CLEAN, "gave up", "kernel gave up", "kernel stuck"],
        v6_1: &[CLEAN, "gave up", "kernel gave up", "kernel stuck"],
        v6_12: &[CLEAN],
    };
    case("we leave", WE_LEAVE, 0, REPORTED, shows);
}

#[test]
fn it_leaves_without_loss() {
    let shows = Shows {
        v5_14: &[CLEAN, "gave up", "kernel gave up", "kernel stuck"],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
        ],
        v6_12: &[CLEAN],
    };
    case("it leaves", IT_LEAVES, 0, REPORTED, shows);
}

#[test]
fn both_leave_without_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel stuck",
            "suspects the kernel",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "suspects the kernel",
        ],
        v6_12: &[CLEAN],
    };
    case("both leave", BOTH_LEAVE, 0, REPORTED, shows);
}

#[test]
fn we_leave_with_a_reported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
            "without a cause",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
            "without a cause",
        ],
        v6_12: &[
            CLEAN,
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "without a cause",
        ],
    };
    case("we leave, reported loss", WE_LEAVE, 1, REPORTED, shows);
}

#[test]
fn it_leaves_with_a_reported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "stuck",
            "suspects the kernel",
            "unacknowledged",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "stuck",
            "suspects the kernel",
            "unacknowledged",
        ],
        v6_12: &[CLEAN, "kernel got it twice", "kernel reopened", "kernel stuck"],
    };
    case("it leaves, reported loss", IT_LEAVES, 1, REPORTED, shows);
}

#[test]
fn both_leave_with_a_reported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
            "without a cause",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
            "without a cause",
        ],
        v6_12: &[
            CLEAN,
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "without a cause",
        ],
    };
    case("both leave, reported loss", BOTH_LEAVE, 1, REPORTED, shows);
}

#[test]
fn we_leave_with_an_unreported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
        ],
        v6_12: &[
            CLEAN,
            "gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
        ],
    };
    case("we leave, unreported loss", WE_LEAVE, 1, UNREPORTED, shows);
}

#[test]
fn it_leaves_with_an_unreported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "stuck",
            "unacknowledged",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "stuck",
            "unacknowledged",
        ],
        v6_12: &[
            CLEAN,
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
            "stuck",
            "unacknowledged",
        ],
    };
    case("it leaves, unreported loss", IT_LEAVES, 1, UNREPORTED, shows);
}

#[test]
fn both_leave_with_an_unreported_loss() {
    let shows = Shows {
        v5_14: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
        ],
        v6_1: &[
            CLEAN,
            "gave up",
            "kernel gave up",
            "kernel got it twice",
            "kernel stuck",
            "kernel's lost",
            "suspects the kernel",
        ],
        v6_12: &[
            CLEAN,
            "gave up",
            "kernel got it twice",
            "kernel reopened",
            "kernel stuck",
            "kernel's lost",
        ],
    };
    case("both leave, unreported loss", BOTH_LEAVE, 1, UNREPORTED, shows);
}
