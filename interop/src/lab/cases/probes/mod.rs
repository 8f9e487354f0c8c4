//! The hostile probes: what kernels do with a peer that misbehaves, one row each. spec: kernel-lab 6.
//!
//! A probe has a fresh pair, says something that no good neighbour says, and asks what became of it. Where it is
//! known what this kernel does, anything else fails the case; where it is not, what is seen is recorded only.
//! Themes are cases of their own, so that a kernel that one probe kills has verdicts for the rest.

mod acks;
mod carriage;
mod endings;
mod expected;
mod frames;
mod lengths;
mod names;
mod numbers;
pub mod page;
mod restarts;
mod scene;
mod seen;
mod speaker;
mod versions;

use std::fs;

use dlmwire_codec::Version;
use serde::Serialize;

use super::{Case, Judge};
use crate::lab::guest::bench::Bench;
use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::kernel::{Kernel, Need};
use crate::lab::guest::manager::Manager;
use expected::Expected;
use scene::Scene;
use seen::{Seen, listed};

/// The observations, in the case's folder.
const FILE: &str = "probes.json";
/// Before the name of a probe in the figures.
pub(super) const FIGURE: &str = "probe ";

/// One probe.
struct Probe {
    /// Its name, unique.
    name: &'static str,
    /// What is sent, in one line.
    sent: &'static str,
    /// Which kernels it makes sense for.
    with: With,
    /// What they are known to do.
    expected: Expected,
    /// Sends it and asks what became of it.
    run: fn(&mut Scene<'_>) -> Result<Vec<Seen>>,
}

/// Which kernels a probe makes sense for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    /// Each in its own version.
    All,
    /// Those that know numbers: 3.2.
    Numbers,
    /// The same, and nothing was said before that has a number of ours.
    Unused,
    /// Those that speak 3.1, and we speak 3.2 nevertheless.
    Mismatch,
}

/// What became of one probe.
#[derive(Serialize)]
struct Row {
    probe: &'static str,
    sent: &'static str,
    expected: Option<String>,
    observed: Option<String>,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

/// How it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    AsExpected,
    Different,
    Recorded,
    NotForThisKernel,
    Broken,
    NotRun,
}

#[derive(Serialize)]
struct Record<'a> {
    kernel: &'a str,
    uml: bool,
    probes: &'a [Row],
}

/// A theme is a case.
const fn theme(name: &'static str, about: &'static str, run: fn(&mut Bench) -> Result<()>) -> Case {
    Case {
        name,
        about,
        needs: &[Need::Tcp],
        run,
        judge: Judge::Recorded,
        trace: false,
    }
}

pub(super) const ACKS: Case = theme(
    "probes-acks",
    "acknowledgements of what was never sent",
    |bench| run(bench, acks::PROBES),
);
pub(super) const NUMBERS: Case = theme(
    "probes-numbers",
    "numbers seen before, and numbers ahead",
    |bench| run(bench, numbers::PROBES),
);
pub(super) const LENGTHS: Case = theme(
    "probes-lengths",
    "lengths that lie, messages in pieces",
    |bench| run(bench, lengths::PROBES),
);
pub(super) const CARRIAGE: Case = theme(
    "probes-carriage",
    "wrapped as it must not be, bare where it must be wrapped",
    |bench| run(bench, carriage::PROBES),
);
pub(super) const VERSIONS: Case = theme(
    "probes-versions",
    "versions that nobody speaks, versions that change",
    |bench| run(bench, versions::PROBES),
);
pub(super) const NAMES: Case = theme(
    "probes-names",
    "unknown nodes, lockspaces and addresses, a name too long",
    |bench| run(bench, names::PROBES),
);
pub(super) const ENDINGS: Case = theme(
    "probes-endings",
    "goodbyes late, repeated, not acknowledged",
    |bench| run(bench, endings::PROBES),
);
pub(super) const RESTARTS: Case = theme(
    "probes-restarts",
    "numbers from 0 again, connections closed too early",
    |bench| run(bench, restarts::PROBES),
);

/// Every probe with the theme that it belongs to, in the order of the table.
fn all() -> impl Iterator<Item = (&'static str, &'static Probe)> {
    let themes: [(Case, &'static [Probe]); 8] = [
        (ACKS, acks::PROBES),
        (NUMBERS, numbers::PROBES),
        (LENGTHS, lengths::PROBES),
        (CARRIAGE, carriage::PROBES),
        (VERSIONS, versions::PROBES),
        (NAMES, names::PROBES),
        (ENDINGS, endings::PROBES),
        (RESTARTS, restarts::PROBES),
    ];
    let themes = themes.into_iter();
    themes.flat_map(|(case, probes)| probes.iter().map(move |probe| (case.name, probe)))
}

fn run(bench: &mut Bench, probes: &[Probe]) -> Result<()> {
    let manager = bench.start_manager()?;
    let mut rows: Vec<Row> = Vec::new();
    let mut lost = false;
    for probe in probes {
        let row = if lost {
            probe.row(Outcome::NotRun)
        } else {
            let (row, closed) = one(bench, &manager, probe);
            lost = closed.is_err();
            row
        };
        if let Some(observed) = &row.observed {
            bench.figure(&format!("{FIGURE}{}", probe.name), observed.as_str());
        }
        rows.push(row);
        write(bench, &rows)?;
    }
    let troubles: Vec<_> = rows
        .iter()
        .filter_map(|row| row.complaint(&bench.kernel))
        .collect();
    if troubles.is_empty() {
        return Ok(());
    }
    Err(LabError::unexpected(troubles.join("; ")))
}

/// One probe in its own pair, and whether the kernel is ready for another one.
fn one(bench: &mut Bench, manager: &Manager, probe: &Probe) -> (Row, Result<()>) {
    let expected = probe.expected.of(&bench.kernel);
    let Some(version) = probe.with.version(&bench.kernel) else {
        return (probe.row(Outcome::NotForThisKernel), Ok(()));
    };
    bench.journal.note("probe", &[("name", probe.name.into())]);
    let row = |outcome, observed: Option<String>, trouble| Row {
        expected: expected.map(listed),
        observed,
        trouble,
        ..probe.row(outcome)
    };
    let mut scene = match Scene::open(bench, manager, version) {
        Ok(scene) => scene,
        Err(error) => {
            let text = error.to_string();
            return (row(Outcome::Broken, None, Some(text)), Err(error));
        }
    };
    let seen = match probe.with {
        With::All | With::Numbers => scene.warm_up(),
        With::Unused | With::Mismatch => Ok(()),
    };
    let seen = seen.and_then(|()| (probe.run)(&mut scene));
    let warnings = scene.warnings();
    for (_, line) in &warnings {
        scene.bench.allow_log(line, "recorded by a probe");
    }
    let closed = scene.close();
    let row = match seen {
        Ok(mut seen) => {
            seen.extend(warnings.into_iter().map(|(warning, _)| warning));
            let outcome = match expected {
                None => Outcome::Recorded,
                Some(expected) if expected == seen => Outcome::AsExpected,
                Some(_) => Outcome::Different,
            };
            row(
                outcome,
                Some(listed(&seen)),
                closed.as_ref().err().map(ToString::to_string),
            )
        }
        Err(error) => row(Outcome::Broken, None, Some(error.to_string())),
    };
    (row, closed)
}

fn write(bench: &Bench, rows: &[Row]) -> Result<()> {
    let record = Record {
        kernel: &bench.kernel.release,
        uml: bench.kernel.uml,
        probes: rows,
    };
    let path = bench.folder.join(FILE);
    let text = serde_json::to_string_pretty(&record)
        .map_err(|error| LabError::unexpected(format!("{}: {error}", path.display())))?;
    fs::write(&path, text + "\n")
        .map_err(|error| LabError::system(format!("write {}", path.display()), error))
}

impl Probe {
    fn row(&self, outcome: Outcome) -> Row {
        Row {
            probe: self.name,
            sent: self.sent,
            expected: None,
            observed: None,
            outcome,
            trouble: None,
        }
    }
}

impl With {
    /// The version in which we meet this kernel; none if the probe is not for it.
    fn version(self, kernel: &Kernel) -> Option<Version> {
        match (self, kernel.speaks_opts()) {
            (Self::All | Self::Numbers | Self::Unused, true) | (Self::Mismatch, false) => Some(Version::V3_2),
            (Self::All, false) => Some(Version::V3_1),
            (Self::Numbers | Self::Unused, false) | (Self::Mismatch, true) => None,
        }
    }
}

impl Row {
    /// What is wrong with it, in one line, if it is.
    fn complaint(&self, kernel: &Kernel) -> Option<String> {
        let Self { probe, .. } = self;
        let release = &kernel.release;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match (self.outcome, &self.trouble) {
            (Outcome::Different, _) => Some(format!(
                "{probe} on {release}: expected {}, observed {}",
                text(&self.expected),
                text(&self.observed)
            )),
            (Outcome::NotRun, _) => Some(format!(
                "{probe} on {release}: not run, the kernel was not usable any more"
            )),
            (_, Some(trouble)) => Some(format!("{probe} on {release}: {trouble}")),
            (Outcome::AsExpected | Outcome::Recorded | Outcome::NotForThisKernel | Outcome::Broken, None) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_probe_has_a_name_of_its_own_and_says_what_it_sends() {
        let names: BTreeSet<_> = all().map(|(_, probe)| probe.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().all(|(_, probe)| !probe.sent.is_empty()));
    }

    #[test]
    fn probe_that_saw_something_else_is_named_with_kernel_expected_and_observed() {
        let kernel = Kernel {
            release: "6.1.0-50-amd64".to_owned(),
            version: (6, 1),
            uml: false,
        };
        let row = Row {
            expected: Some("answered".to_owned()),
            observed: Some("not answered".to_owned()),
            ..all().next().expect("a probe").1.row(Outcome::Different)
        };
        let complaint = row.complaint(&kernel).expect("a complaint");
        assert!(
            complaint.ends_with("on 6.1.0-50-amd64: expected answered, observed not answered"),
            "{complaint}"
        );
        let good = all().next().expect("a probe").1.row(Outcome::AsExpected);
        assert_eq!(good.complaint(&kernel), None);
    }

    #[test]
    fn probe_for_numbers_is_not_for_a_kernel_without() {
        let kernel = |version| Kernel {
            release: String::new(),
            version,
            uml: false,
        };
        let (old, new) = (kernel((5, 10)), kernel((6, 1)));
        assert_eq!(With::Numbers.version(&old), None);
        assert_eq!(With::Mismatch.version(&new), None);
        assert_eq!(With::Mismatch.version(&old), Some(Version::V3_2));
        assert_eq!(With::All.version(&old), Some(Version::V3_1));
    }
}
