//! The observations of several kernels as a page.

use std::fmt::Write;

use super::{FIGURE, all};
use crate::lab::run::KernelRun;

/// A table of every probe against every run, by what their figures hold.
pub fn page(runs: &[&KernelRun]) -> String {
    let mut text = String::from(HEAD);
    text.push_str("\n| kernel | release | DLM |\n|---|---|---|\n");
    for run in runs {
        let _ = writeln!(text, "| {} | {} | {} |", run.kernel, run.release, run.protocol);
    }
    let mut theme = "";
    for (name, probe) in all() {
        if name != theme {
            theme = name;
            let _ = writeln!(text, "\n## {theme}\n");
            text.push_str(&heading(runs));
        }
        let _ = write!(text, "| `{}`: {} |", probe.name, probe.sent);
        for run in runs {
            let _ = write!(text, " {} |", observed(run, probe.name));
        }
        text.push('\n');
    }
    text
}

const HEAD: &str = "\
# What kernels do with a peer that misbehaves

Made by `dlmwire lab matrix --probes FILE`, by looking: each probe has a fresh pair of a kernel and a scripted node
in one lockspace, says something that no good neighbour says, and notes what became of it. Where it was known before
what a kernel does, the case fails when it does something else. A dash means that the probe makes no sense for that
kernel (3.1 has no numbers), or was not run. State, version and queue are shown by debugfs, which User-Mode Linux
does not have.
";

fn heading(runs: &[&KernelRun]) -> String {
    let mut text = String::from("| probe |");
    for run in runs {
        let _ = write!(text, " {} |", run.kernel);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(runs.len()));
    text.push('\n');
    text
}

fn observed(run: &KernelRun, probe: &str) -> String {
    let name = format!("{FIGURE}{probe}");
    let figure = run.results.iter().find_map(|result| result.figures.get(&name));
    figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string().replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::check::rules::rule;
    use crate::lab::cases;
    use crate::lab::kernels::Machine;
    use crate::lab::plan::{CaseResult, Figure, Transport, Verdict};

    fn document(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn run(kernel: &str, probe: Option<(&str, &str)>) -> KernelRun {
        let figures = probe.map(|(name, seen)| (format!("{FIGURE}{name}"), Figure::Text(seen.to_owned())));
        KernelRun {
            kernel: kernel.to_owned(),
            release: format!("{kernel}.1"),
            packages: Vec::new(),
            machine: Machine::Qemu,
            protocol: "3.2".to_owned(),
            transport: Transport::Tcp,
            boots: 1,
            seconds: 1.0,
            out: Path::new("out").to_owned(),
            broken: None,
            results: vec![CaseResult {
                case: "probes-acks".to_owned(),
                verdict: Verdict::Pass,
                seconds: 1.0,
                figures: figures.into_iter().collect(),
                findings: Vec::new(),
                kernel_release: String::new(),
            }],
        }
    }

    #[test]
    fn page_has_a_row_for_each_probe_and_a_column_for_each_run() {
        let runs = [
            run("6.1", Some(("ack-beyond", "nothing resent"))),
            run("5.10", None),
        ];
        let page = page(&runs.iter().collect::<Vec<_>>());
        assert_eq!(
            page.lines().filter(|line| line.starts_with("| `")).count(),
            all().count()
        );
        let row = page
            .lines()
            .find(|line| line.starts_with("| `ack-beyond`"))
            .expect("a row");
        assert!(row.ends_with("| nothing resent | - |"), "{row}");
        assert!(page.contains("| 6.1 | 6.1.1 | 3.2 |"));
    }

    #[test]
    fn page_in_the_repository_has_every_probe() {
        let page = document("kernel-probes.md");
        for (_, probe) in all() {
            let row = format!("| `{}`: {} |", probe.name, probe.sent);
            assert!(
                page.contains(&row),
                "docs/kernel-probes.md is stale: no row {row}"
            );
        }
    }

    #[test]
    fn findings_name_rules_and_cases_that_exist() {
        let findings = document("kernel-findings.md");
        let words = || findings.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        for word in words().filter(|word| word.starts_with("DLM-")) {
            assert!(rule(word).is_some(), "no rule {word}");
        }
        let named: Vec<_> = words().filter(|word| word.starts_with("probes-")).collect();
        assert!(!named.is_empty());
        for word in named {
            assert!(cases::find(word).is_some(), "no case {word}");
        }
    }
}
