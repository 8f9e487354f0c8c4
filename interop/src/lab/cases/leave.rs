//! Ends of a conversation: who leaves first, who comes back.

use std::time::Instant;

use super::stub_locks::{SOON, count, wait_recovered, wait_state, was_in_state};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::error::Result;
use crate::lab::guest::lockspace::Space;
use crate::lab::guest::work::WorkPlan;

/// Both, with equal weights.
const BOTH: &[(u32, u32)] = &[(1, 1), (2, 1)];
/// The kernel alone.
const ALONE: &[(u32, u32)] = &[(1, 1)];
/// Pairs of lock and unlock that show that a lockspace is usable.
const PAIRS: u64 = 50;
/// Times that somebody comes back.
const ROUNDS: u64 = 5;

pub(super) const KERNEL_FIRST: Case = Case {
    name: "leave-kernel-first",
    about: "the kernel leaves, we are told and leave",
    needs: &[],
    run: kernel_first,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const WE_FIRST: Case = Case {
    name: "leave-us-first",
    about: "we leave, the kernel works on and is told later; then with the membership change first",
    needs: &[],
    run: us_first,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const CROSSING: Case = Case {
    name: "leave-both",
    about: "both leave at once",
    needs: &[],
    run: both_at_once,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const REJOIN: Case = Case {
    name: "rejoin",
    about: "we leave and come back, then the kernel does",
    needs: &[],
    run: rejoin,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const TWO_LOCKSPACES: Case = Case {
    name: "two-lockspaces",
    about: "one lockspace of two is left: no FIN before the last one",
    needs: &[],
    run: two_lockspaces,
    judge: Judge::Conforms,
    trace: true,
};

fn kernel_first(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    usable(bench, &pair)?;
    let fin = bench.kernel.speaks_opts();
    let mark = pair.stub.mark();
    let start = Instant::now();
    let leaving = pair.lockspace.clone().begin_leave()?;
    if fin {
        wait_state(&pair.stub, "CLOSE_WAIT", mark)?;
    }
    pair.stub.send("remove 1")?;
    if fin {
        wait_state(&pair.stub, "CLOSED", mark)?;
    }
    leaving.finish(SOON)?;
    bench.figure("release_ms", start.elapsed().as_secs_f64() * 1e3);
    pair.stub.ask("leave", "left", SOON)?;
    end(bench, pair)
}

fn us_first(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    usable(bench, &pair)?;
    let mark = pair.stub.mark();
    let tag = pair.stub.send("leave")?;
    if bench.kernel.speaks_opts() {
        wait_state(&pair.stub, "FIN_WAIT2", mark)?;
        if bench.debugfs.has_peers() {
            bench.debugfs.wait_state(2, "CLOSE_WAIT", SOON)?;
        }
    }
    pair.lockspace.set_members(ALONE)?;
    pair.stub.wait_tag(&tag, "left", SOON)?;
    pair.lockspace.wait_recovered(SOON)?;
    usable(bench, &pair)?;

    // The other order: the kernel knows before our FIN comes, and answers it at once.
    come_back(&mut pair)?;
    usable(bench, &pair)?;
    let mark = pair.stub.mark();
    pair.lockspace.set_members(ALONE)?;
    pair.lockspace.wait_recovered(SOON)?;
    pair.stub.ask("leave", "left", SOON)?;
    if bench.kernel.speaks_opts() {
        bench.require(was_in_state(&pair.stub, "CLOSED", mark), || {
            "our side is not CLOSED".to_owned()
        })?;
    }
    pair.lockspace.clone().leave(SOON)?;
    end(bench, pair)
}

fn both_at_once(bench: &mut Bench) -> Result<()> {
    let mut crossed = 0_u64;
    for _ in 0..ROUNDS {
        let mut pair = bench.pair(&PairOptions::default())?;
        usable(bench, &pair)?;
        let mark = pair.stub.mark();
        let leaving = pair.lockspace.clone().begin_leave()?;
        let tag = pair.stub.send("leave")?;
        leaving.finish(SOON)?;
        pair.stub.wait_tag(&tag, "left", SOON)?;
        crossed += u64::from(was_in_state(&pair.stub, "CLOSING", mark));
        end(bench, pair)?;
    }
    bench.figure("rounds", ROUNDS);
    bench.figure("crossed", crossed);
    Ok(())
}

fn rejoin(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    usable(bench, &pair)?;
    for _ in 0..ROUNDS {
        let tag = pair.stub.send("leave")?;
        pair.lockspace.set_members(ALONE)?;
        pair.stub.wait_tag(&tag, "left", SOON)?;
        pair.lockspace.wait_recovered(SOON)?;
        come_back(&mut pair)?;
        usable(bench, &pair)?;
    }
    for _ in 0..ROUNDS {
        let leaving = pair.lockspace.clone().begin_leave()?;
        pair.stub.send("remove 1")?;
        leaving.finish(SOON)?;
        let mark = pair.stub.mark();
        pair.stub.send("add 1")?;
        pair.lockspace = pair
            .manager
            .join(&Space::new("ls1", PairOptions::default().id).members(BOTH), SOON)?;
        wait_recovered(&pair.stub, mark)?;
        usable(bench, &pair)?;
    }
    bench.figure("rounds", ROUNDS * 2);
    bench.require(count(&pair.stub, "peer_restarted", 0) == 0, || {
        "a rejoin was taken for a restart".to_owned()
    })?;
    pair.leave(SOON)
}

fn two_lockspaces(bench: &mut Bench) -> Result<()> {
    let options = PairOptions {
        stub_args: "--lockspace ls2=0x5678".to_owned(),
        ..PairOptions::default()
    };
    let mut pair = bench.pair(&options)?;
    let second = pair
        .manager
        .join(&Space::new("ls2", 0x5678).members(BOTH), SOON)?;
    usable(bench, &pair)?;
    let mark = pair.stub.mark();
    let leaving = pair.lockspace.clone().begin_leave()?;
    pair.stub.send("remove 1 ls=ls1")?;
    leaving.finish(SOON)?;
    second
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?
        .require_clean(PAIRS)?;
    let quiet = count(&pair.stub, "state", mark) == 0;
    bench.require(quiet, || {
        "the conversation changed its state with a lockspace left".to_owned()
    })?;
    pair.lockspace = second;
    pair.leave(SOON)
}

/// We join again; both have the same members afterwards.
fn come_back(pair: &mut Pair) -> Result<()> {
    let tag = pair.stub.send("join")?;
    pair.lockspace.set_members(BOTH)?;
    pair.lockspace.wait_recovered(SOON)?;
    pair.stub.wait_tag(&tag, "joined", SOON).map(drop)
}

/// The lockspace works, with all verdicts once.
fn usable(bench: &Bench, pair: &Pair) -> Result<()> {
    pair.lockspace
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?
        .require_clean(PAIRS)
}

/// Both have left: the stub ends well, the manager has nothing left.
fn end(bench: &Bench, mut pair: Pair) -> Result<()> {
    pair.stub.close_input();
    let status = pair.stub.ended(SOON)?;
    bench.require(status.success(), || format!("the stub ended with {status}"))?;
    pair.manager.clean_up()
}
