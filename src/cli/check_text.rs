//! A report for people.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use dlmwire_interop::check::{CheckSummary, DirectionReport, Finding, Report, Severity, Verdict};

use super::check::parties;
use super::error::Error;
use super::output::{Output, Paint};

/// Findings shown of each rule unless all are wanted.
const SHOWN_PER_RULE: usize = 3;

/// States shown of a direction: those of the last conversation.
const STATES_SHOWN: usize = 5;

/// Packets named behind a finding.
const PACKETS_SHOWN: usize = 4;

/// Writes the whole report.
pub(super) fn write(
    out: &mut Output,
    path: &Path,
    report: &Report,
    fail_on: Severity,
    all: bool,
) -> Result<(), Error> {
    let summary = &report.summary;
    let heading = out.paint(Paint::Heading, path.display());
    writeln!(out, "{heading}")?;
    row(out, "capture", &capture(summary))?;
    row(out, "nodes", &nodes(summary))?;
    row(out, "links", &links(summary))?;
    row(out, "messages", &counts(&summary.messages))?;
    row(out, "types", &counts(&summary.types))?;
    row(out, "numbered", &numbered(summary))?;
    lockspaces(out, summary)?;
    directions(out, &summary.directions)?;
    findings(out, report, all)?;
    let verdict = report.verdict(fail_on);
    let paint = match verdict {
        Verdict::Conforms => Paint::Lock,
        Verdict::Fails => Paint::Bad,
        Verdict::Incomplete | Verdict::NothingToJudge => Paint::Recovery,
    };
    let verdict = out.paint(paint, verdict.name());
    let [notes, warns, errors] = Severity::ALL.map(|severity| report.findings.count(severity));
    writeln!(
        out,
        "  {:<10}{verdict}: {errors} error, {warns} warn, {notes} note",
        "verdict"
    )?;
    Ok(())
}

fn row(out: &mut Output, label: &str, text: &str) -> Result<(), Error> {
    if !text.is_empty() {
        writeln!(out, "  {label:<10}{text}")?;
    }
    Ok(())
}

fn capture(summary: &CheckSummary) -> String {
    let whole = if summary.complete {
        ""
    } else {
        ", not read to its end"
    };
    format!(
        "{} packets, {} bytes, {:.3} s{whole}",
        summary.packets, summary.bytes, summary.seconds
    )
}

fn nodes(summary: &CheckSummary) -> String {
    let nodes = summary.nodes.iter().map(|report| {
        let addresses: Vec<String> = report.addresses.iter().map(ToString::to_string).collect();
        let versions = if report.versions.is_empty() {
            "?".into()
        } else {
            report.versions.join(" and ")
        };
        format!("{} ({}) speaks {versions}", report.node, addresses.join(", "))
    });
    nodes.collect::<Vec<_>>().join("; ")
}

fn links(summary: &CheckSummary) -> String {
    let links = &summary.links;
    let parts = [
        (links.tcp, "TCP"),
        (links.sctp, "SCTP"),
        (links.crossing, "crossing"),
        (links.closed, "closed"),
        (links.reset, "reset"),
        (links.aborted, "aborted"),
        (links.vanished, "vanished"),
        (links.open, "open at the end"),
        (links.refused, "refused"),
        (links.rst_or_abort, "RST or ABORT packets"),
    ];
    let parts = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// Counts by name, the largest first.
fn counts(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    parts.join(", ")
}

/// What became of the numbered messages; nothing where there were none.
fn numbered(summary: &CheckSummary) -> String {
    let sum = |of: fn(&DirectionReport) -> u64| summary.directions.iter().map(of).sum::<u64>();
    match sum(|one| one.sent) {
        0 => String::new(),
        sent => format!(
            "{sent} messages, {} resent, {} dropped as duplicates, {} as too early, {} lost",
            sum(|one| one.resent),
            sum(|one| one.duplicates_dropped),
            sum(|one| one.early_dropped),
            summary.lost,
        ),
    }
}

fn lockspaces(out: &mut Output, summary: &CheckSummary) -> Result<(), Error> {
    for lockspace in &summary.lockspaces {
        let name = lockspace.name.as_deref().unwrap_or("of unknown name");
        let mut text = format!("{} {name}: {} messages", lockspace.id, lockspace.messages);
        if lockspace.recoveries > 0 {
            let longest = lockspace.recovery_seconds_max;
            text += &format!(
                ", {} recoveries, the longest {longest:.3} s",
                lockspace.recoveries
            );
        }
        if lockspace.recoveries_unfinished > 0 {
            text += &format!(", {} unfinished", lockspace.recoveries_unfinished);
        }
        row(out, "lockspace", &text)?;
    }
    Ok(())
}

fn directions(out: &mut Output, directions: &[DirectionReport]) -> Result<(), Error> {
    if directions.is_empty() {
        return Ok(());
    }
    let heading = format!(
        "  {:<16}{:>8}{:>8}{:>8}{:>9}{:>7}{:>7}{:>7}{:>9}  states",
        "from -> to", "frames", "sent", "resent", "dropped", "early", "gaps", "acks", "unacked"
    );
    let heading = out.paint(Paint::Dim, heading);
    writeln!(out, "{heading}")?;
    for one in directions {
        let states = states(one);
        writeln!(
            out,
            "  {:<16}{:>8}{:>8}{:>8}{:>9}{:>7}{:>7}{:>7}{:>9}  {states}",
            format!("{} -> {}", one.from, one.to),
            one.frames,
            one.sent,
            one.resent,
            one.duplicates_dropped,
            one.early_dropped,
            one.gaps,
            one.acks,
            one.unacked_at_end,
        )?;
    }
    Ok(())
}

/// The last states of the sender towards the receiver.
fn states(one: &DirectionReport) -> String {
    let skipped = one.states.len().saturating_sub(STATES_SHOWN);
    let shown = one.states.get(skipped..).unwrap_or_default().join(" ");
    let dots = if skipped > 0 { ".. " } else { "" };
    format!("{dots}{shown}")
}

/// Findings by rule, the worst first.
fn findings(out: &mut Output, report: &Report, all: bool) -> Result<(), Error> {
    let mut rules: Vec<_> = report.rules_applied().collect();
    rules.sort_by_key(|(rule, _)| (std::cmp::Reverse(rule.severity), rule.id));
    for (rule, count) in rules {
        let severity = out.paint(paint(rule.severity), format!("{:<5}", rule.severity));
        writeln!(out, "  {severity} {}  {} ({count})", rule.id, rule.title)?;
        let shown = if all { usize::MAX } else { SHOWN_PER_RULE };
        let mut left = count;
        for finding in report
            .findings
            .iter()
            .filter(|finding| finding.rule == rule)
            .take(shown)
        {
            writeln!(out, "        {}", sentence(finding))?;
            left = left.saturating_sub(1);
        }
        if left > 0 {
            let more = if all { "not kept" } else { "--all shows them" };
            let more = out.paint(Paint::Dim, format!("and {left} more ({more})"));
            writeln!(out, "        {more}")?;
        }
    }
    Ok(())
}

fn sentence(finding: &Finding) -> String {
    let packets: Vec<String> = finding
        .packets
        .iter()
        .take(PACKETS_SHOWN)
        .map(ToString::to_string)
        .collect();
    let more = if finding.packets.len() > PACKETS_SHOWN {
        ", .."
    } else {
        ""
    };
    let nodes = parties(&finding.nodes);
    let nodes = if nodes.is_empty() {
        nodes
    } else {
        format!("{nodes}: ")
    };
    format!("{nodes}{} [packet {}{more}]", finding.text, packets.join(", "))
}

const fn paint(severity: Severity) -> Paint {
    match severity {
        Severity::Note => Paint::Dim,
        Severity::Warn => Paint::Recovery,
        Severity::Error => Paint::Bad,
    }
}
