//! Ends by force, and a restart that nobody told.

use super::stub_locks::{SOON, count, wait_recovered};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::error::Result;
use crate::lab::guest::kernel::Need;
use crate::lab::guest::lockspace::{Lockspace, Space};
use crate::lab::guest::manager::{Comm, Manager};
use crate::lab::guest::wait;
use crate::lab::guest::work::WorkPlan;

/// Both, with equal weights.
const BOTH: &[(u32, u32)] = &[(1, 1), (2, 1)];
/// The kernel alone.
const ALONE: &[(u32, u32)] = &[(1, 1)];
/// Pairs of lock and unlock that show that a lockspace is usable.
const PAIRS: u64 = 50;
/// Pairs that are under way when somebody dies.
const UNDER_WAY: u64 = 2_000;
/// The stub's event.
const RESTARTED: &str = "peer_restarted";

pub(super) const FENCE_US: Case = Case {
    name: "fence-us",
    about: "we die in the middle of work (kill -9), the kernel's manager removes us, we come back",
    needs: &[],
    run: fence_us,
    judge: Judge::Recorded,
    trace: true,
};

pub(super) const FENCE_KERNEL: Case = Case {
    name: "fence-kernel",
    about: "we fence the kernel in the middle of work; nothing of it is delivered until it is added again",
    needs: &[],
    run: fence_kernel,
    judge: Judge::Recorded,
    trace: true,
};

pub(super) const RESTART: Case = Case {
    name: "restart-unnoticed",
    about: "the kernel's DLM starts anew (module reloaded) and nobody tells us: we say so, and go on when told",
    needs: &[Need::Midcomms, Need::Tool("modprobe")],
    run: restart,
    judge: Judge::Recorded,
    trace: false,
};

fn fence_us(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    let work = pair.lockspace.work(WorkPlan::pairs(UNDER_WAY))?;
    wait::until("work under way", SOON, || {
        Ok((work.done() > UNDER_WAY / 10).then_some(()))
    })?;
    pair.stub.kill()?;
    kernel_alone(&pair.manager, &pair.lockspace)?;
    pair.lockspace.wait_recovered(SOON)?;
    // What waited for us is asked of the survivor again: every verdict comes.
    work.finish(bench.limit())?.require_clean(UNDER_WAY)?;

    pair.manager.add_comm(&Comm::remote(2, [bench.peer_address()?]))?;
    pair.stub = bench.stub("--lockspace ls1=0x1234")?;
    pair.lockspace.set_members(BOTH)?;
    pair.lockspace.wait_recovered(SOON)?;
    pair.stub.wait_event("joined", 0, SOON)?;
    usable(bench, &pair)?;
    pair.leave(SOON)
}

fn fence_kernel(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    let work = pair.lockspace.work(WorkPlan::pairs(UNDER_WAY))?;
    wait::until("work under way", SOON, || {
        Ok((work.done() > UNDER_WAY / 10).then_some(()))
    })?;
    fence(&mut pair)?;
    let mark = pair.stub.mark();
    kernel_alone(&pair.manager, &pair.lockspace)?;
    work.finish(bench.limit())?.require_clean(UNDER_WAY)?;
    let delivered = count(&pair.stub, "request", mark) + count(&pair.stub, "unlock", mark);
    bench.require(delivered == 0, || {
        format!("{delivered} messages of a fenced node were delivered")
    })?;

    pair.manager.add_comm(&Comm::remote(2, [bench.peer_address()?]))?;
    pair.stub.send("add 1")?;
    pair.lockspace.set_members(BOTH)?;
    pair.lockspace.wait_recovered(SOON)?;
    wait_recovered(&pair.stub, mark)?;
    usable(bench, &pair)?;
    part(bench, pair)
}

/// All that a reboot changes on the wire: the node forgets what it counted, and says no farewell.
fn restart(bench: &mut Bench) -> Result<()> {
    // Answered as its own kind answers, an older kernel gets through its recovery without a number.
    let stub_args = if bench.kernel.version < (6, 12) {
        "--generation 6.1"
    } else {
        ""
    };
    let mut pair = bench.pair(&PairOptions {
        stub_args: stub_args.to_owned(),
        ..PairOptions::default()
    })?;
    usable(bench, &pair)?;
    let mark = pair.stub.mark();
    // Without its comm the kernel says no FIN.
    pair.manager.remove_comm(2)?;
    pair.lockspace.clone().leave(SOON)?;
    pair.manager.clean_up()?;
    // Open it keeps the module in use.
    pair.manager.close_monitor();
    for line in ["__kmem_cache_shutdown", "kmem_cache_destroy", "Call Trace"] {
        bench.allow_log(line, "a write queue may be left behind when the module goes");
    }
    reload(bench)?;

    pair.manager = bench.start_manager()?;
    let joining = pair
        .manager
        .begin_join(&Space::new("ls1", 0x1234).members(BOTH))?;
    wait::until("the join, or word of the restart", SOON, || {
        let decided = joining.is_finished() || count(&pair.stub, RESTARTED, mark) > 0;
        Ok(decided.then_some(()))
    })?;
    // Nobody has told the kernel either: its lock waits for an answer.
    let joined = joining.is_finished();
    let by = if joined { "by a lock" } else { "in the recovery" };
    bench.figure("noticed", by.to_owned());
    let lockspace = joining.lockspace().clone();
    let work = joined
        .then(|| lockspace.work(WorkPlan::pairs(PAIRS)))
        .transpose()?;
    evidence(bench, &pair, mark)?;

    // Told, both begin anew, and what the kernel had under way is done. The kernel is first: as long as it has us it
    // knocks, and would begin a conversation that it then begins once more.
    kernel_alone(&pair.manager, &lockspace)?;
    fence(&mut pair)?;
    pair.lockspace = joining.finish(SOON)?;
    if let Some(work) = work {
        work.finish(bench.limit())?.require_clean(PAIRS)?;
    }
    pair.manager.add_comm(&Comm::remote(2, [bench.peer_address()?]))?;
    pair.stub.send("add 1")?;
    pair.lockspace.set_members(BOTH)?;
    pair.lockspace.wait_recovered(SOON)?;
    wait_recovered(&pair.stub, mark)?;
    usable(bench, &pair)?;
    part(bench, pair)
}

/// Both leave. What was under way to the one that we fenced is lost, and our account says so.
fn part(bench: &mut Bench, pair: Pair) -> Result<()> {
    let (_, account) = pair.part(SOON)?;
    bench.figure("lost", account.number("lost").unwrap_or_default());
    Ok(())
}

fn evidence(bench: &mut Bench, pair: &Pair, mark: usize) -> Result<()> {
    let told = pair
        .stub
        .wait("that the peer restarted", mark, SOON, |seen| seen.is(RESTARTED))?;
    bench.figure("evidence", told.text("evidence").unwrap_or_default().to_owned());
    Ok(())
}

/// The kernel's manager takes us away, and its lockspace goes on without us.
fn kernel_alone(manager: &Manager, lockspace: &Lockspace) -> Result<()> {
    lockspace.stop()?;
    manager.remove_comm(2)?;
    lockspace.change_members(ALONE)?;
    lockspace.start()
}

/// Our side gives the kernel up.
fn fence(pair: &mut Pair) -> Result<()> {
    let mark = pair.stub.mark();
    pair.stub.send("fence 1")?;
    pair.stub.wait_event("finished", mark, SOON).map(drop)
}

fn reload(bench: &Bench) -> Result<()> {
    bench.run_command("modprobe", &format!("-d {} -r dlm", bench.plan.modules.display()))?;
    bench.run_command("modprobe", &format!("-d {} dlm", bench.plan.modules.display()))?;
    Ok(())
}

/// The lockspace works, with all verdicts once.
fn usable(bench: &Bench, pair: &Pair) -> Result<()> {
    pair.lockspace
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?
        .require_clean(PAIRS)
}
