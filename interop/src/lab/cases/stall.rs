//! Somebody is slow, or stands still for a while: nothing is lost and nobody is thrown out.

use std::thread;
use std::time::Duration;

use super::stub_locks::{SOON, count};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::error::Result;
use crate::lab::guest::lockspace::Space;
use crate::lab::guest::work::WorkPlan;

/// How long somebody stands still.
const STILL: Duration = Duration::from_secs(3);
/// Pairs of lock and unlock that are under way meanwhile.
const PAIRS: u64 = 3_000;
/// Times that "not ready" is answered first.
const NOT_READY: u64 = 3;
/// What every answer of a slow participant takes, in milliseconds.
const SLOW_MS: u64 = 30;

pub(super) const SLOW: Case = Case {
    name: "slow-participant",
    about: "we are not ready at first and answer late",
    needs: &[],
    run: slow,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const STALLED: Case = Case {
    name: "stalled-participant",
    about: "we stand still in the middle of work, stopped by a signal, then reading nothing",
    needs: &[],
    run: stalled,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const STALLED_KERNEL: Case = Case {
    name: "stalled-kernel",
    about: "the kernel's recovery stands still, then its network, in the middle of our work",
    needs: &[],
    run: stalled_kernel,
    judge: Judge::Conforms,
    trace: false,
};

fn slow(bench: &mut Bench) -> Result<()> {
    let manager = bench.start_manager()?;
    let mut stub = bench.stub("--lockspace ls1=0x1234 --no-join")?;
    stub.send(&format!("notready {NOT_READY}"))?;
    stub.send(&format!("slow {SLOW_MS}"))?;
    let tag = stub.send("join")?;
    let lockspace = manager.join(&Space::new("ls1", 0x1234), SOON)?;
    stub.wait_tag(&tag, "joined", SOON)?;
    let pair = Pair {
        manager,
        stub,
        lockspace,
    };
    pair.lockspace
        .work(WorkPlan::pairs(50))?
        .finish(bench.limit())?
        .require_clean(50)?;
    pair.leave(SOON)
}

fn stalled(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    let work = pair.lockspace.work(WorkPlan::pairs(PAIRS))?;
    thread::sleep(STILL / 10);
    pair.stub.pause()?;
    thread::sleep(STILL);
    pair.stub.resume()?;
    thread::sleep(STILL / 10);
    pair.stub.send("deaf on")?;
    thread::sleep(STILL);
    pair.stub.send("deaf off")?;
    work.finish(bench.limit())?.require_clean(PAIRS)?;
    nobody_thrown_out(bench, &pair)?;
    pair.leave(SOON)
}

fn stalled_kernel(bench: &mut Bench) -> Result<()> {
    let mut pair = bench.pair(&PairOptions::default())?;
    let tag = pair.stub.send(&format!("work {PAIRS} names=32 outstanding=32"))?;
    thread::sleep(STILL / 10);
    bench.run_command("ip", "link set k0 down")?;
    thread::sleep(STILL);
    bench.run_command("ip", "link set k0 up")?;
    let worked = pair.stub.wait_tag(&tag, "worked", bench.limit())?;
    bench.require(worked.number("errors") == Some(0), || {
        format!("our work ended with {worked}")
    })?;

    // While recovery stands still the kernel keeps what comes, and looks at it afterwards.
    let tag = pair.stub.send(&format!("work {PAIRS} names=32 outstanding=32"))?;
    thread::sleep(STILL / 10);
    pair.lockspace.stop()?;
    thread::sleep(STILL);
    pair.lockspace.start()?;
    pair.lockspace.wait_recovered(SOON)?;
    let worked = pair.stub.wait_tag(&tag, "worked", bench.limit())?;
    bench.require(worked.number("errors") == Some(0), || {
        format!("our work ended with {worked}")
    })?;
    nobody_thrown_out(bench, &pair)?;
    pair.leave(SOON)
}

fn nobody_thrown_out(bench: &Bench, pair: &Pair) -> Result<()> {
    let asked = count(&pair.stub, "fence_needed", 0);
    bench.require(asked == 0, || format!("fencing was asked for {asked} times"))
}
