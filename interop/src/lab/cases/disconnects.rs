//! Connections that end in the middle of everything, and not a message lost or doubled.

use std::thread;
use std::time::Duration;

use super::stub_locks::{SOON, count};
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, Pair, PairOptions};
use crate::lab::guest::control::Mode;
use crate::lab::guest::error::Result;
use crate::lab::guest::kernel::Need;
use crate::lab::guest::locks::{Lock, LockClient};
use crate::lab::guest::work::{WorkPlan, Worker};

/// Messages that have to pass in all, both ways.
const MESSAGES: u64 = 100_000;
/// Times that the connections have to be ended meanwhile.
const DISCONNECTS: u64 = 50;
/// Names that each side works on.
const NAMES: u64 = 32;
/// Between two ends, until there were enough of them.
const OFTEN: Duration = Duration::from_millis(100);
/// Between two ends when there were enough: the messages have to pass, too.
const SELDOM: Duration = Duration::from_millis(500);
/// Pairs of lock and unlock of each side in a round: each is two requests and two replies.
const ROUND: u64 = 5_000;
/// The same under the tracepoints, which cost time; and how many disconnects are enough then.
const TRACED_ROUND: u64 = 500;
const TRACED_DISCONNECTS: u64 = 20;

pub(super) const RESET: Case = Case {
    name: "disconnects-reset",
    about: "100,000 messages, we reset all connections 50 times and more",
    needs: &[Need::Resends, Need::Midcomms],
    run: reset,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const KILLED: Case = Case {
    name: "disconnects-killed",
    about: "100,000 messages, the kernel's sockets are destroyed (ss -K) 50 times and more",
    needs: &[Need::Resends, Need::Midcomms, Need::SockDestroy, Need::Tool("ss")],
    run: killed,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const EOF: Case = Case {
    name: "disconnects-eof",
    about: "100,000 messages, we close all connections in order, without DLM's FIN, 50 times and more",
    needs: &[Need::Resends, Need::Midcomms],
    run: eof,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const TRACED: Case = Case {
    name: "disconnects-traced",
    about: "resets under the kernel's tracepoints: every message that it sent and took is on the wire",
    needs: &[Need::Resends, Need::Midcomms, Need::Tracepoints],
    run: traced,
    judge: Judge::Conforms,
    trace: true,
};

/// Ends the connections once; a connection that is not there is no error.
type Cut = fn(&Bench, &mut Pair) -> Result<()>;

fn reset(bench: &mut Bench) -> Result<()> {
    under_load(bench, |_, pair| pair.stub.send("cut").map(drop))
}

fn killed(bench: &mut Bench) -> Result<()> {
    under_load(bench, |bench, _| {
        bench
            .run_command("ss", &format!("-K -t -n dst {}", bench.peer_address()?))
            .map(drop)
    })
}

fn eof(bench: &mut Bench) -> Result<()> {
    under_load(bench, |_, pair| pair.stub.send("eof").map(drop))
}

fn traced(bench: &mut Bench) -> Result<()> {
    let (mut pair, keeper) = pair(bench)?;
    let cut: Cut = |_, pair| pair.stub.send("cut").map(drop);
    while count(&pair.stub, "disconnected", 0) < TRACED_DISCONNECTS {
        round(bench, &mut pair, TRACED_ROUND, cut)?;
    }
    bench.figure("disconnects", count(&pair.stub, "disconnected", 0));
    keeper.release()?;
    pair.leave(SOON)
}

/// Every request of either side is a message: what the kernel locks is mastered by us, what we lock by the kernel.
fn pair(bench: &mut Bench) -> Result<(Pair, Keeper)> {
    let mut pair = bench.pair(&PairOptions {
        members: vec![(1, 0), (2, 1)],
        ..PairOptions::default()
    })?;
    let keeper = Keeper::take(&pair)?;
    // From here on the directory, which is ours, takes new names for itself.
    pair.stub.send("claim on")?;
    // A line for each request of the kernel would be most of the work.
    pair.stub.send("verbose off")?;
    // A name that the kernel asks for before that is its own, and costs no message any more.
    pair.stub.ask("status", "status", SOON)?;
    Ok((pair, keeper))
}

/// Locks of the kernel that make it the master of the names that we work on.
struct Keeper {
    client: LockClient,
    locks: Vec<Lock>,
}

impl Keeper {
    fn take(pair: &Pair) -> Result<Self> {
        let client = pair.lockspace.client()?;
        let locks = (0..NAMES).map(|name| client.granted(format!("ours{name}"), Mode::Nl, SOON));
        let locks = locks.collect::<Result<_>>()?;
        Ok(Self { client, locks })
    }

    fn release(self) -> Result<()> {
        self.locks
            .into_iter()
            .try_for_each(|lock| self.client.released(lock, SOON))
    }
}

/// Works on both sides until enough messages have passed and enough connections have ended; then both leave, and
/// our own account must be clean.
fn under_load(bench: &mut Bench, cut: Cut) -> Result<()> {
    let (mut pair, keeper) = pair(bench)?;
    let mut pairs = 0;
    while pairs * 4 < MESSAGES || count(&pair.stub, "disconnected", 0) < DISCONNECTS {
        round(bench, &mut pair, ROUND, cut)?;
        pairs += ROUND * 2;
    }
    bench.figure("pairs", pairs);
    bench.figure("disconnects", count(&pair.stub, "disconnected", 0));
    keeper.release()?;
    let account = pair.settle(SOON)?;
    let number = |field| account.number(field).unwrap_or_default();
    bench.require(number("lost") == 0, || format!("we lost messages: {account}"))?;
    for field in ["delivered", "sent", "resent", "duplicates"] {
        bench.figure(field, number(field));
    }
    let messages = number("delivered") + number("sent");
    bench.require(messages >= MESSAGES, || {
        format!("only {messages} messages passed")
    })
}

/// Both sides lock and unlock so many times, the connections end again and again until both are done, and every
/// verdict comes once. Linux 6.1 may stop reading from a connection for ever, and goes on with the next.
fn round(bench: &Bench, pair: &mut Pair, pairs: u64, cut: Cut) -> Result<()> {
    let plan = WorkPlan {
        prefix: "kernel".to_owned(),
        names: NAMES,
        outstanding: NAMES,
        ..WorkPlan::pairs(pairs)
    };
    let theirs: Worker = pair.lockspace.work(plan)?;
    let rounds = count(&pair.stub, "worked", 0);
    let tag = pair.stub.send(&format!(
        "work {pairs} prefix=ours names={NAMES} outstanding={NAMES}"
    ))?;
    let is_done = |pair: &Pair| theirs.is_finished() && count(&pair.stub, "worked", 0) > rounds;
    while !is_done(pair) && !bench.limit().is_zero() {
        let enough = count(&pair.stub, "disconnected", 0) > DISCONNECTS;
        thread::sleep(if enough { SELDOM } else { OFTEN });
        cut(bench, pair)?;
    }
    theirs.finish(bench.limit())?.require_clean(pairs)?;
    let worked = pair.stub.wait_tag(&tag, "worked", bench.limit())?;
    let clean = worked.number("errors") == Some(0) && worked.number("pairs") == Some(pairs);
    bench.require(clean, || format!("our work ended with {worked}"))
}
