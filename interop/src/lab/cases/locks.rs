//! Locks both ways: what each side masters, the other one uses.

use std::time::Duration;

use super::stub_locks::{SOON, granted, request, unlock, wait_for, wait_granted};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::control::{LVB_LEN, LockFlags, Mode, REFUSED};
use crate::lab::guest::error::Result;
use crate::lab::guest::locks::{LockClient, LockOptions};
use crate::lab::guest::work::WorkPlan;

/// Nothing happens for so long: long enough for a message both ways.
const QUIET: Duration = Duration::from_millis(300);

/// Pairs of lock and unlock that follow the single steps.
const PAIRS: u64 = 300;

pub(super) const OURS: Case = Case {
    name: "locks-ours",
    about: "the kernel locks what we master: queues, GRANT, BAST, LVB, NOQUEUE, CANCEL",
    needs: &[],
    run: ours,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const KERNELS: Case = Case {
    name: "locks-kernel",
    about: "we lock what the kernel masters: queues, GRANT, BAST, LVB, NOQUEUE, CANCEL",
    needs: &[],
    run: kernels,
    judge: Judge::Conforms,
    trace: true,
};

/// The directory of every name is ours, and so is the master of what we lock first.
fn ours(bench: &mut Bench) -> Result<()> {
    let mut pair = pair(bench, 0, 1)?;
    pair.stub.send("claim on")?;
    let client = pair.lockspace.client()?;
    kernel_waits_for_us(bench, &mut pair, &client)?;
    we_wait_for_kernel(&mut pair, &client)?;
    values(bench, &mut pair, &client)?;
    refused_and_cancelled_kernel(bench, &mut pair, &client)?;
    bench.require(client.strange() == 0, || {
        "verdicts for locks that nobody asked for".to_owned()
    })?;
    drop(client);
    let work = pair
        .lockspace
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?;
    work.require_clean(PAIRS)?;
    bench.figure("pairs_per_second", work.rate());
    pair.leave(SOON)
}

/// The directory of every name is the kernel's, and so is the master of what it locks first.
fn kernels(bench: &mut Bench) -> Result<()> {
    let mut pair = pair(bench, 1, 0)?;
    let client = pair.lockspace.client()?;
    we_wait_for_kernel(&mut pair, &client)?;
    kernel_waits_for_us(bench, &mut pair, &client)?;
    values(bench, &mut pair, &client)?;
    refused_and_cancelled_ours(&mut pair, &client)?;
    we_master_through_its_directory(&mut pair, &client)?;
    bench.require(client.strange() == 0, || {
        "verdicts for locks that nobody asked for".to_owned()
    })?;
    drop(client);
    let worked = pair.stub.ask(&format!("work {PAIRS}"), "worked", bench.limit())?;
    bench.require(worked.number("errors") == Some(0), || {
        format!("work ended with {worked}")
    })?;
    bench.require(worked.number("pairs") == Some(PAIRS), || {
        format!("work ended with {worked}")
    })?;
    pair.leave(SOON)
}

fn pair(bench: &mut Bench, kernel_weight: u32, our_weight: u32) -> Result<Pair> {
    bench.pair(&PairOptions {
        members: vec![(1, kernel_weight), (2, our_weight)],
        ..PairOptions::default()
    })
}

/// The kernel's request waits for a lock of ours, and is granted when we give it up.
fn kernel_waits_for_us(bench: &Bench, pair: &mut Pair, client: &LockClient) -> Result<()> {
    let mark = pair.stub.mark();
    let (held, _) = granted(&mut pair.stub, "lock wanted-by-kernel PR")?;
    let lock = client.lock("wanted-by-kernel", Mode::Ex, LockOptions::default())?;
    wait_for(&pair.stub, "bast", held, mark)?;
    std::thread::sleep(QUIET);
    bench.require(!client.has_completion(lock), || "EX beside PR".to_owned())?;
    unlock(&mut pair.stub, held)?;
    client.expect(lock, 0, SOON)?;
    client.released(lock, SOON)
}

/// Ours waits for one of the kernel's; the kernel gives way by a conversion and takes it back.
fn we_wait_for_kernel(pair: &mut Pair, client: &LockClient) -> Result<()> {
    let mark = pair.stub.mark();
    let lock = client.granted("wanted-by-us", Mode::Ex, SOON)?;
    let waiting = request(&mut pair.stub, "lock wanted-by-us PR")?;
    client.wait_blocking(lock, SOON)?;
    client.convert(lock, Mode::Nl, LockOptions::default())?;
    client.expect(lock, 0, SOON)?;
    wait_granted(&pair.stub, waiting, mark)?;
    client.convert(lock, Mode::Ex, LockOptions::default())?;
    wait_for(&pair.stub, "bast", waiting, mark)?;
    unlock(&mut pair.stub, waiting)?;
    client.expect(lock, 0, SOON)?;
    client.released(lock, SOON)
}

/// A value that one side writes is what the other side reads, in both directions.
fn values(bench: &Bench, pair: &mut Pair, client: &LockClient) -> Result<()> {
    let theirs = [0x4b; LVB_LEN];
    let with = |value| LockOptions {
        flags: LockFlags::VALBLK,
        value: Some(value),
    };
    // Somebody has to hold the resource, or its value is forgotten with it.
    let (keep, _) = granted(&mut pair.stub, "lock value NL")?;
    let lock = client.lock("value", Mode::Ex, with([0; LVB_LEN]))?;
    client.expect(lock, 0, SOON)?;
    client.convert(lock, Mode::Nl, with(theirs))?;
    client.expect(lock, 0, SOON)?;
    let (ours, event) = granted(&mut pair.stub, "lock value EX valblk")?;
    let read = event.text("lvb").unwrap_or_default().to_owned();
    bench.require(read == "4b".repeat(LVB_LEN), || format!("we read {read}"))?;
    let line = format!("convert {ours} NL valblk lvb={}", "53".repeat(LVB_LEN));
    pair.stub.ask(&line, "granted", SOON)?;
    client.convert(lock, Mode::Pr, with([0; LVB_LEN]))?;
    let read = client.expect(lock, 0, SOON)?.value;
    bench.require(read == Some([0x53; LVB_LEN]), || {
        format!("the kernel read {read:02x?}")
    })?;
    client.released(lock, SOON)?;
    unlock(&mut pair.stub, ours)?;
    unlock(&mut pair.stub, keep)
}

/// The kernel asks without wanting to wait, and takes back what it waits for.
fn refused_and_cancelled_kernel(bench: &Bench, pair: &mut Pair, client: &LockClient) -> Result<()> {
    let (held, _) = granted(&mut pair.stub, "lock taken EX")?;
    let impatient = LockOptions {
        flags: LockFlags::NOQUEUE,
        value: None,
    };
    let refused = client.lock("taken", Mode::Pr, impatient)?;
    client.expect(refused, REFUSED, SOON)?;
    let waiting = client.lock("taken", Mode::Pr, LockOptions::default())?;
    std::thread::sleep(QUIET);
    bench.require(!client.has_completion(waiting), || "PR beside EX".to_owned())?;
    client.cancelled(waiting, SOON)?;
    unlock(&mut pair.stub, held)
}

/// We ask without wanting to wait, and take back what we wait for.
fn refused_and_cancelled_ours(pair: &mut Pair, client: &LockClient) -> Result<()> {
    let held = client.granted("taken", Mode::Ex, SOON)?;
    pair.stub.ask("lock taken PR noqueue", "refused", SOON)?;
    let mark = pair.stub.mark();
    let waiting = request(&mut pair.stub, "lock taken PR")?;
    wait_for(&pair.stub, "queued", waiting, mark)?;
    pair.stub.ask(&format!("cancel {waiting}"), "cancelled", SOON)?;
    client.released(held, SOON)
}

/// The first to ask for a name becomes its master, also if the directory is elsewhere.
fn we_master_through_its_directory(pair: &mut Pair, client: &LockClient) -> Result<()> {
    let mark = pair.stub.mark();
    let (held, _) = granted(&mut pair.stub, "lock first-ours PR")?;
    let lock = client.granted("first-ours", Mode::Pr, SOON)?;
    pair.stub
        .wait("a request of the kernel", mark, SOON, |seen| seen.is("request"))?;
    client.released(lock, SOON)?;
    unlock(&mut pair.stub, held)
}
