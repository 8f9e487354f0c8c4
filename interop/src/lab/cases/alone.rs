//! The kernel alone in a lockspace: whether the lab itself works, before anybody is blamed.

use std::time::Duration;

use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, KERNEL_NODE};
use crate::lab::guest::control::{CANCELLED, LVB_LEN, LockFlags, Mode, REFUSED, UNLOCKED};
use crate::lab::guest::error::Result;
use crate::lab::guest::locks::{LockClient, LockOptions};
use crate::lab::guest::lockspace::Space;
use crate::lab::guest::work::WorkPlan;

const SOON: Duration = Duration::from_secs(10);
const PAIRS: u64 = 2000;

pub(super) const CASE: Case = Case {
    name: "alone",
    about: "a lockspace of the kernel alone: locks, values, notices, two lockspaces at a time",
    needs: &[],
    run,
    judge: Judge::Recorded,
    trace: true,
};

fn run(bench: &mut Bench) -> Result<()> {
    let manager = bench.start_manager()?;
    let space = |name, id| Space::new(name, id).members(&[(KERNEL_NODE, 1)]);
    let first = manager.join(&space("ls1", 1), SOON)?;
    let second = manager.join(&space("ls2", 2), SOON)?;

    let (one, other) = (first.client()?, first.client()?);
    conflict(bench, &one, &other)?;
    value(bench, &one, &other)?;
    waiting(&one, &other)?;
    bench.require(one.strange() + other.strange() == 0, || {
        "results that belong to no lock".to_owned()
    })?;
    // Another lockspace has locks of its own.
    let here = one.granted("name", Mode::Ex, SOON)?;
    let elsewhere = second.client()?;
    let there = elsewhere.granted("name", Mode::Ex, SOON)?;
    elsewhere.released(there, SOON)?;
    one.released(here, SOON)?;
    drop((one, other, elsewhere));

    let work = first.work(WorkPlan::pairs(PAIRS))?.finish(bench.limit())?;
    work.require_clean(PAIRS)?;
    bench.figure("local_pairs_s", work.rate());

    first.set_members(&[(KERNEL_NODE, 1)])?;
    first.wait_recovered(SOON)?;
    second.leave(SOON)?;
    first.leave(SOON)
}

/// What stands in the way is told, refused where the request does not want to wait, and granted when it is gone.
fn conflict(bench: &Bench, one: &LockClient, other: &LockClient) -> Result<()> {
    let held = one.granted("conflict", Mode::Ex, SOON)?;
    let options = LockOptions {
        flags: LockFlags::NOQUEUE,
        ..LockOptions::default()
    };
    let refused = other.lock("conflict", Mode::Pr, options)?;
    other.expect(refused, REFUSED, SOON)?;
    let waiting = other.lock("conflict", Mode::Pr, LockOptions::default())?;
    let mode = one.wait_blocking(held, SOON)?;
    bench.require(mode == Mode::Pr, || {
        format!("a blocking notice for {mode}, expected PR")
    })?;
    bench.require(!other.has_completion(waiting), || {
        "PR granted beside EX".to_owned()
    })?;
    one.convert(held, Mode::Pr, LockOptions::default())?;
    one.expect(held, 0, SOON)?;
    other.expect(waiting, 0, SOON)?;
    one.released(held, SOON)?;
    other.released(waiting, SOON)
}

/// A value written with an unlock is read with the next lock.
fn value(bench: &Bench, one: &LockClient, other: &LockClient) -> Result<()> {
    let read = LockOptions {
        flags: LockFlags::VALBLK,
        ..LockOptions::default()
    };
    let held = one.lock("value", Mode::Ex, read)?;
    one.expect(held, 0, SOON)?;
    let keeper = other.granted("value", Mode::Nl, SOON)?;
    let written = [0xa5; LVB_LEN];
    let write = LockOptions {
        value: Some(written),
        ..LockOptions::default()
    };
    one.unlock(held, write)?;
    one.expect(held, UNLOCKED, SOON)?;
    let reader = one.lock("value", Mode::Cr, read)?;
    let granted = one.expect(reader, 0, SOON)?;
    bench.require(granted.value == Some(written), || {
        format!("value {:02x?}, expected {written:02x?}", granted.value)
    })?;
    one.released(reader, SOON)?;
    other.released(keeper, SOON)
}

/// A request that waits can be cancelled.
fn waiting(one: &LockClient, other: &LockClient) -> Result<()> {
    let held = one.granted("waiting", Mode::Pr, SOON)?;
    let waiting = other.lock("waiting", Mode::Ex, LockOptions::default())?;
    one.wait_blocking(held, SOON)?;
    other.cancel(waiting)?;
    other.expect(waiting, CANCELLED, SOON)?;
    one.released(held, SOON)
}
