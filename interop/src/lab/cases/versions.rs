//! Versions that differ, and another address family.

use std::net::IpAddr;

use super::stub_locks::SOON;
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, PairOptions};
use crate::lab::guest::error::Result;
use crate::lab::guest::kernel::Need;
use crate::lab::guest::work::WorkPlan;

/// Pairs of lock and unlock.
const PAIRS: u64 = 300;

pub(super) const OLD_US: Case = Case {
    name: "we-speak-3-1",
    about: "we speak 3.1 to a kernel that speaks 3.2: locks both ways, no FIN",
    needs: &[Need::Midcomms],
    run: old_us,
    judge: Judge::Conforms,
    trace: true,
};

pub(super) const OLD_KERNEL: Case = Case {
    name: "kernel-speaks-3-1",
    about: "we could speak 3.2 and the kernel only speaks 3.1: we follow it",
    needs: &[Need::Old],
    run: old_kernel,
    judge: Judge::Conforms,
    trace: false,
};

pub(super) const IPV6: Case = Case {
    name: "ipv6",
    about: "everything over IPv6",
    needs: &[],
    run: ipv6,
    judge: Judge::Conforms,
    trace: true,
};

fn old_us(bench: &mut Bench) -> Result<()> {
    both_ways(bench, "--speak 3.1")
}

fn old_kernel(bench: &mut Bench) -> Result<()> {
    both_ways(bench, "--speak 3.2")
}

fn both_ways(bench: &mut Bench, arguments: &str) -> Result<()> {
    let mut pair = bench.pair(&PairOptions {
        stub_args: arguments.to_owned(),
        ..PairOptions::default()
    })?;
    pair.lockspace
        .work(WorkPlan::pairs(PAIRS))?
        .finish(bench.limit())?
        .require_clean(PAIRS)?;
    let worked = pair
        .stub
        .ask(&format!("work {PAIRS} prefix=ours"), "worked", bench.limit())?;
    bench.require(worked.number("errors") == Some(0), || {
        format!("our work ended with {worked}")
    })?;
    pair.leave(SOON)
}

fn ipv6(bench: &mut Bench) -> Result<()> {
    for link in &mut bench.plan.network.links {
        link.kernel.retain(IpAddr::is_ipv6);
        link.peer.retain(IpAddr::is_ipv6);
    }
    both_ways(bench, "")
}
