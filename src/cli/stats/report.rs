//! The tables and the JSON of `dlmwire stats`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use dlmwire_codec::Command;
use serde_json::{Map, Value, json};

use super::delays::Delays;
use super::pair::{Answers, PairStats};
use super::{Pair, Totals};
use crate::cli::nodes::Party;
use crate::cli::output::{Output, Paint};
use crate::cli::time;

type Pairs = BTreeMap<Pair, PairStats>;

pub(super) fn text(totals: &Totals, pairs: &Pairs, files: &[&Path], out: &mut Output) -> io::Result<()> {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    writeln!(out, "{}", out.paint(Paint::Heading, names.join(" ")))?;
    write!(
        out,
        "{} packets, {} links, {} messages",
        totals.packets, totals.links, totals.messages
    )?;
    if let Some([start, end]) = totals.times {
        let span = time::duration(end.nanos_since(start));
        write!(out, " in {span} from {}", time::absolute(start))?;
    }
    writeln!(out)?;
    for (count, what) in [
        (totals.undecodable, "messages cannot be decoded"),
        (totals.gaps, "gaps: the capture does not have everything"),
        (
            totals.uncounted,
            "messages belong to no pair below: there are too many pairs",
        ),
    ] {
        if count > 0 {
            let line = format!("{count} {what}");
            writeln!(out, "{}", out.paint(Paint::Bad, line))?;
        }
    }
    for ([from, to], stats) in pairs {
        pair_text(*from, *to, stats, out)?;
    }
    Ok(())
}

fn pair_text(from: Party, to: Party, stats: &PairStats, out: &mut Output) -> io::Result<()> {
    let heading = format!("{} -> {}", party(from), party(to));
    writeln!(out, "\n{}", out.paint(Paint::Heading, heading))?;
    write!(out, "  {} messages, {} bytes", stats.messages, stats.bytes)?;
    if stats.segments > 0 {
        let (mean, max) = (frames_in_segment(stats), stats.frames_in_segment_max);
        write!(out, "; {mean} a segment, at most {max}")?;
    }
    writeln!(out)?;
    for (count, what) in [
        (stats.sent_again, "sent again"),
        (
            stats.left_out,
            "sequence numbers left out: lost, or not in the capture",
        ),
        (stats.unacked_at_end, "not acknowledged at the end"),
    ] {
        if count > 0 {
            let line = format!("  {count} {what}");
            writeln!(out, "{}", out.paint(Paint::Recovery, line))?;
        }
    }
    let heading = format!("  {:<26} {:>10} {:>12}", "message", "count", "bytes");
    writeln!(out, "{}", out.paint(Paint::Dim, heading))?;
    for (&(command, type_name, wrapped), count) in &stats.by_type {
        let name = kind_name(command, type_name, wrapped);
        writeln!(out, "  {name:<26} {:>10} {:>12}", count.messages, count.bytes)?;
    }
    delays_text(stats, out)
}

fn delays_text(stats: &PairStats, out: &mut Output) -> io::Result<()> {
    if stats.ack_delay.count() == 0 && stats.exchanges.is_empty() {
        return Ok(());
    }
    let heading = format!(
        "  {:<26} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "until answered", "count", "p50", "p90", "p99", "max"
    );
    writeln!(out, "{}", out.paint(Paint::Dim, heading))?;
    if stats.ack_delay.count() > 0 {
        delay_line("OPTS, by ACK", &stats.ack_delay, out)?;
        writeln!(out)?;
    }
    for (ask, answers) in &stats.exchanges {
        delay_line(ask.name(), &answers.delays, out)?;
        for (count, what) in [
            (answers.unanswered, "without a reply"),
            (answers.unasked, "replies without a request"),
        ] {
            if count > 0 {
                let text = format!("  {count} {what}");
                write!(out, "{}", out.paint(Paint::Recovery, text))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

fn delay_line(name: &str, delays: &Delays, out: &mut Output) -> io::Result<()> {
    write!(out, "  {name:<26} {:>10}", delays.count())?;
    if delays.count() == 0 {
        return Ok(());
    }
    for percent in [50.0, 90.0, 99.0] {
        write!(out, " {:>10}", time::duration(delays.percentile(percent)))?;
    }
    write!(out, " {:>10}", time::duration(delays.max()))
}

pub(super) fn json(totals: &Totals, pairs: &Pairs, files: &[&Path], out: &mut Output) -> io::Result<()> {
    let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let report = json!({
        "files": names,
        "packets": totals.packets,
        "links": totals.links,
        "gaps": totals.gaps,
        "messages": totals.messages,
        "undecodable": totals.undecodable,
        "uncounted": totals.uncounted,
        "pairs": pairs.iter().map(pair_json).collect::<Vec<_>>(),
    });
    serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
    writeln!(out)
}

fn pair_json(([from, to], stats): (&Pair, &PairStats)) -> Value {
    let by_type: Map<String, Value> = stats
        .by_type
        .iter()
        .map(|(&(command, type_name, wrapped), count)| {
            let name = kind_name(command, type_name, wrapped);
            (name, json!({"messages": count.messages, "bytes": count.bytes}))
        })
        .collect();
    let exchanges: Map<String, Value> = stats
        .exchanges
        .iter()
        .map(|(ask, answers)| (ask.name().to_owned(), answers_json(answers)))
        .collect();
    json!({
        "from": party_json(*from),
        "to": party_json(*to),
        "messages": stats.messages,
        "bytes": stats.bytes,
        "sent_again": stats.sent_again,
        "left_out": stats.left_out,
        "unacked_at_end": stats.unacked_at_end,
        "segments": stats.segments,
        "frames_in_segment_max": stats.frames_in_segment_max,
        "by_type": by_type,
        "ack_delay_ns": delays_json(&stats.ack_delay),
        "exchanges": exchanges,
    })
}

fn answers_json(answers: &Answers) -> Value {
    json!({
        "delay_ns": delays_json(&answers.delays),
        "unanswered": answers.unanswered,
        "unasked": answers.unasked,
    })
}

fn delays_json(delays: &Delays) -> Value {
    if delays.count() == 0 {
        return json!({"count": 0});
    }
    json!({
        "count": delays.count(),
        "p50": delays.percentile(50.0),
        "p90": delays.percentile(90.0),
        "p99": delays.percentile(99.0),
        "max": delays.max(),
    })
}

/// A node is its number, anything else a text.
fn party_json(party: Party) -> Value {
    match party {
        Party::Node(node) => json!(node.get()),
        Party::Address(_) | Party::Unknown => json!(party.to_string()),
    }
}

fn party(party: Party) -> String {
    match party {
        Party::Node(node) => format!("node {node}"),
        Party::Address(_) | Party::Unknown => party.to_string(),
    }
}

/// The mean with one decimal.
fn frames_in_segment(stats: &PairStats) -> String {
    let tenths = (stats.messages * 10 + stats.segments / 2) / stats.segments;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// `RCOM STATUS` can come bare or in `OPTS`: that is told where it matters.
fn kind_name(command: Command, type_name: &str, wrapped: bool) -> String {
    let name = match (command, type_name) {
        (Command::Opts, _) => "OPTS, content unreadable".to_owned(),
        (command, "") => command.name().to_owned(),
        (command, type_name) => format!("{} {type_name}", command.name()),
    };
    if wrapped || matches!(command, Command::Ack) {
        name
    } else {
        format!("{name} (bare)")
    }
}
