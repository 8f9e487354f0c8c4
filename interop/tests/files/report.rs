//! A report held against the events that it was made of.

use dlmwire_interop::capture::{End, Summary};
use dlmwire_interop::check::{KEPT_PER_RULE, Report, Severity, rules};

use super::books::Books;

/// The report adds up, and says no more than there was.
pub(super) fn check(report: &Report, summary: &Summary, books: &Books) {
    let (told, sums) = (&report.summary, books.sums());
    assert_eq!(report.stats, summary.stats);
    assert_eq!(
        [told.packets, told.bytes],
        [summary.stats.packets, summary.stats.bytes]
    );
    assert_eq!(told.complete, matches!(summary.end, End::Complete));
    assert!(told.seconds.is_finite() && told.seconds >= 0.0);

    let links = &told.links;
    assert_eq!(links.tcp + links.sctp, sums.links);
    let ended = links.reset + links.aborted + links.closed + links.vanished + links.open;
    assert_eq!(ended, sums.links, "{links:?}");
    let messages: u64 = told.messages.values().sum();
    assert!(messages <= sums.decoded, "{messages} messages, {sums:?}");
    if links.not_followed == 0 && sums.links <= 1024 {
        assert_eq!(messages, sums.decoded);
    }
    for one in &told.directions {
        assert!(
            one.resent_distinct <= one.resent && one.gaps_filled <= one.gaps,
            "{one:?}"
        );
        assert!(
            one.sessions > 0 && one.frames <= sums.frames + sums.late,
            "{one:?}"
        );
    }
    findings(report);
    let damaged = report.findings.by_rule().contains_key(rules::CAP_RECORDS.id);
    assert!(told.complete || damaged, "damage has to be told");
}

fn findings(report: &Report) {
    let findings = &report.findings;
    let kept = findings.iter().count() as u64;
    let made: u64 = findings.by_rule().values().sum();
    let by_severity: u64 = Severity::ALL
        .map(|severity| findings.count(severity))
        .iter()
        .sum();
    assert_eq!([made, made], [by_severity, kept + findings.left_out()]);
    assert!(findings.by_rule().values().all(|count| *count > 0));
    assert!(kept <= (KEPT_PER_RULE * findings.by_rule().len()) as u64);
    for finding in findings {
        assert!(
            !finding.text.is_empty() && !finding.packets.is_empty(),
            "{finding:?}"
        );
        let known = |packet: &u64| *packet <= report.stats.packets;
        assert!(finding.packets.iter().all(known), "{finding:?}");
    }
    assert_eq!(
        report.rules_applied().count(),
        findings.by_rule().len(),
        "every rule is in the table"
    );
}

/// The report as JSON lines, which can be read back.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |json: Result<String, serde_json::Error>| {
        let json = json.expect("a report is JSON");
        let back: Result<serde_json::Value, _> = serde_json::from_str(&json);
        assert!(back.is_ok(), "{json}");
        text.push_str(&json);
        text.push('\n');
    };
    for finding in &report.findings {
        line(serde_json::to_string(finding));
    }
    line(serde_json::to_string(&report.summary));
    let verdicts = Severity::ALL.map(|severity| report.verdict(severity).name());
    text.push_str(&verdicts.join(", "));
    text
}
