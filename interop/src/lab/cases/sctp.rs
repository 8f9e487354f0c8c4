//! What only SCTP has: a second path, and an ABORT that kernels do not get over. spec: kernel-lab 7

use std::thread;
use std::time::Duration;

use super::stub_locks::{SOON, count};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::control::Mode;
use crate::lab::guest::error::Result;
use crate::lab::guest::kernel::Need;
use crate::lab::guest::manager::Comm;
use crate::lab::guest::stub::Event;
use crate::lab::guest::wait;
use crate::lab::guest::work::{WorkPlan, Worker};

/// Pairs of lock and unlock of the kernel while a path is lost.
const PATH_PAIRS: u64 = 3_000;
/// Pairs of ours while the connections are aborted.
const ABORT_PAIRS: u64 = 2_000;
/// Names that both work on.
const NAMES: u64 = 32;
/// Pairs that show that a lockspace is usable.
const PAIRS: u64 = 50;
/// How long a kernel has to acknowledge what we sent again; it has never been seen to need more than a second.
const ANSWER: Duration = Duration::from_secs(8);

/// Work that sends nothing for so long waits for answers that do not come.
const STANDS_STILL: Duration = Duration::from_secs(1);

pub(super) const PATH: Case = Case {
    name: "sctp-path-lost",
    about: "the first of two paths is cut in the middle of work: no new connection, nothing sent again",
    needs: &[Need::Sctp],
    run: path_lost,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const ABORT: Case = Case {
    name: "sctp-abort",
    about: "we abort in the middle of our work and send again what was not acknowledged; then membership heals it",
    needs: &[Need::Sctp, Need::Midcomms],
    run: abort,
    judge: Judge::Recorded,
    trace: false,
};

fn path_lost(bench: &mut Bench) -> Result<()> {
    let pair = bench.pair(&PairOptions {
        members: vec![(1, 0), (2, 1)],
        ..PairOptions::default()
    })?;
    let work = pair.lockspace.work(WorkPlan::pairs(PATH_PAIRS))?;
    under_way(&work, PATH_PAIRS)?;
    let device = bench
        .plan
        .network
        .links
        .first()
        .map(|link| link.peer_device.clone());
    let device = device.unwrap_or_default();
    bench.run_peer_command("ip", &format!("link set {device} down"))?;
    let work = work.finish(bench.limit());
    bench.run_peer_command("ip", &format!("link set {device} up"))?;
    let work = work?;
    work.require_clean(PATH_PAIRS)?;
    bench.figure("longest_ms", milliseconds(work.longest));
    let lost = count(&pair.stub, "disconnected", 0);
    bench.require(lost == 0, || {
        format!("{lost} connections were lost with one path of two")
    })?;
    let resent = pair.settle(SOON)?.number("resent").unwrap_or_default();
    bench.require(resent == 0, || {
        format!("{resent} messages were sent again though no connection was lost")
    })
}

fn abort(bench: &mut Bench) -> Result<()> {
    // It keeps the dead socket and stumbles over it.
    bench.allow_log("process_send_sockets", "6.1 does not notice an ABORT");
    let mut pair = bench.pair(&PairOptions::default())?;
    // What the kernel holds already it is master of: each of our requests is a message to it.
    let client = pair.lockspace.client()?;
    let names = (0..NAMES).map(|name| client.granted(format!("ours{name}"), Mode::Nl, SOON));
    let held = names.collect::<Result<Vec<_>>>()?;
    let mark = pair.stub.mark();
    pair.stub.send(&format!(
        "work {ABORT_PAIRS} prefix=ours names={NAMES} outstanding={NAMES}"
    ))?;
    wait::until("our work under way", SOON, || {
        Ok((sent(&mut pair)? > ABORT_PAIRS / 10).then_some(()))
    })?;
    pair.stub.send("cut")?;
    pair.stub.wait_event("disconnected", mark, SOON)?;
    let answered = wait::until("the acknowledgement of all that we sent", ANSWER, || {
        let status = status(&mut pair)?;
        Ok((peer(&status, "resent") > 0 && peer(&status, "send_queue_count") == 0).then_some(()))
    });
    let status = status(&mut pair)?;
    let resent = peer(&status, "resent");
    bench.require(resent > 0, || {
        format!("we did not send again what was not acknowledged: {status}")
    })?;
    bench.figure("resent_by_us", resent);
    let kernel = if answered.is_ok() {
        "acknowledges what we sent again"
    } else {
        "acknowledges nothing any more"
    };
    bench.figure("kernel", kernel.to_owned());
    thread::sleep(STANDS_STILL);
    let goes_on = sent(&mut pair)? > peer(&status, "sent") || count(&pair.stub, "worked", mark) > 0;
    let work = if goes_on {
        "goes on"
    } else {
        "stands still: the kernel sends no lost answer again"
    };
    bench.figure("our_work", work.to_owned());
    heal(bench, &mut pair)?;
    for lock in held {
        client.released(lock, SOON)?;
    }
    drop(client);
    pair.leave(SOON)
}

/// The kernel is told that we are gone, and that we are back, which we are anew; then all is as on the first day.
fn heal(bench: &Bench, pair: &mut Pair) -> Result<()> {
    pair.stub.kill()?;
    pair.lockspace.stop()?;
    pair.manager.remove_comm(2)?;
    pair.lockspace.change_members(&[(1, 1)])?;
    pair.lockspace.start()?;
    pair.lockspace.wait_recovered(SOON)?;
    pair.manager.add_comm(&Comm::remote(2, bench.peer_addresses()))?;
    pair.stub = bench.stub("--lockspace ls1=0x1234")?;
    pair.lockspace.set_members(&[(1, 1), (2, 1)])?;
    pair.lockspace.wait_recovered(SOON)?;
    pair.stub.wait_event("joined", 0, SOON)?;
    let work = pair
        .lockspace
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?;
    work.require_clean(PAIRS)
}

fn under_way(work: &Worker, of: u64) -> Result<()> {
    wait::until("work under way", SOON, || {
        Ok((work.done() > of / 10).then_some(()))
    })
}

fn sent(pair: &mut Pair) -> Result<u64> {
    Ok(peer(&status(pair)?, "sent"))
}

fn status(pair: &mut Pair) -> Result<Event> {
    pair.stub.ask("status", "status", SOON)
}

/// A number of what our node says of the kernel's.
fn peer(status: &Event, field: &str) -> u64 {
    let peers = status.value.get("peers").and_then(|peers| peers.get(0));
    let number = peers
        .and_then(|peer| peer.get(field))
        .and_then(serde_json::Value::as_u64);
    number.unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
