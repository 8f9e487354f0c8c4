//! The cases: what is tried with a kernel, one file each.

mod alone;
mod disconnects;
mod fence;
mod join;
mod leave;
mod locks;
pub mod probes;
mod sctp;
mod stall;
mod stub_locks;
mod versions;
mod wrap;

use super::guest::bench::Bench;
use super::guest::error::Result;
use super::guest::kernel::Need;

/// Something to try with a kernel.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name: of its file, of its evidence folder, and in tables.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// What it cannot do without; where that is missing the case is unsupported.
    pub needs: &'static [Need],
    /// The case itself.
    pub run: fn(&mut Bench) -> Result<()>,
    /// What the rules over its capture mean for its verdict.
    pub judge: Judge,
    /// Whether the kernel's tracepoints are recorded: every message costs time then.
    pub trace: bool,
}

/// What the rules over a case's capture mean for its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// An error is a failure: both sides keep the protocol.
    Conforms,
    /// Findings are recorded only: the case breaks the protocol on purpose, or nothing is sent at all.
    Recorded,
}

/// All cases, in the order in which they run.
const ALL: &[Case] = &[
    alone::CASE,
    join::CASE,
    locks::OURS,
    locks::KERNELS,
    leave::KERNEL_FIRST,
    leave::WE_FIRST,
    leave::CROSSING,
    leave::REJOIN,
    leave::TWO_LOCKSPACES,
    stall::SLOW,
    stall::STALLED,
    stall::STALLED_KERNEL,
    versions::OLD_US,
    versions::OLD_KERNEL,
    versions::IPV6,
    disconnects::TRACED,
    disconnects::RESET,
    disconnects::KILLED,
    disconnects::EOF,
    wrap::CASE,
    fence::FENCE_US,
    fence::FENCE_KERNEL,
    fence::RESTART,
    sctp::PATH,
    sctp::ABORT,
    probes::ACKS,
    probes::NUMBERS,
    probes::LENGTHS,
    probes::CARRIAGE,
    probes::VERSIONS,
    probes::NAMES,
    probes::ENDINGS,
    probes::RESTARTS,
];

/// All cases, in the order in which they run.
pub fn all() -> &'static [Case] {
    ALL
}

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    ALL.iter().find(|case| case.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_that_can_be_a_folder() {
        let names: BTreeSet<_> = all().iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all().len());
        for case in all() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(
                !case.name.is_empty() && case.name.chars().all(plain),
                "{}",
                case.name
            );
            assert!(!case.about.is_empty(), "{}", case.name);
            assert!(find(case.name).is_some());
        }
    }
}
