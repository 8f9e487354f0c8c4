//! The kernel and our node become members of one lockspace, see each other's version, and leave in order.

use std::time::Duration;

use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, PEER_NODE, PairOptions};
use crate::lab::guest::error::Result;

const SOON: Duration = Duration::from_secs(10);

pub(super) const CASE: Case = Case {
    name: "join",
    about: "join one lockspace, detect versions, leave in order",
    needs: &[],
    run,
    judge: Judge::Conforms,
    trace: true,
};

fn run(bench: &mut Bench) -> Result<()> {
    let begun = bench.journal.ms();
    let pair = bench.pair(&PairOptions::default())?;
    bench.figure("join_ms", bench.journal.ms() - begun);

    let version = pair.stub.wait_event("version", 0, SOON)?;
    let expected = if bench.kernel.speaks_opts() {
        0x30002
    } else {
        0x30001
    };
    bench.require(
        version.text("version") == Some(&format!("{expected:#010x}")),
        || format!("our node saw {version}, expected version {expected:#010x}"),
    )?;
    if bench.debugfs.has_peers() {
        bench.debugfs.wait_state(PEER_NODE, "ESTABLISHED", SOON)?;
        let seen = bench.debugfs.version(PEER_NODE)?;
        bench.require(seen == expected, || {
            format!("version {seen:#x} of our node in debugfs, expected {expected:#x}")
        })?;
    }

    let begun = bench.journal.ms();
    pair.leave(SOON)?;
    bench.figure("leave_ms", bench.journal.ms() - begun);
    Ok(())
}
