//! The figures as tables, one for what is compared with each other.

use std::io::Write;

use super::report::{Report, Row};
use crate::cli::error::Error;
use crate::cli::output::{Output, Paint};

/// Writes all tables; with what was saved earlier, if anything was.
pub(crate) fn show(report: &Report, before: Option<&Report>, out: &mut Output) -> Result<(), Error> {
    let machine = format!(
        "{} x {}, Linux {}, congestion control {}",
        report.cores, report.processor, report.kernel, report.congestion
    );
    writeln!(out, "{}", out.paint(Paint::Dim, machine))?;
    let runs = format!(
        "medians of {} interleaved repetitions of {} ms; x: ratio to the row marked 1.00",
        report.repetitions, report.window_ms
    );
    writeln!(out, "{}", out.paint(Paint::Dim, runs))?;
    let mut rest = report.rows.as_slice();
    while let Some(first) = rest.first() {
        let same = |row: &&Row| key(row) == key(first);
        let (group, behind) = rest.split_at(rest.iter().take_while(same).count());
        rest = behind;
        heading(first, before.is_some(), out)?;
        for row in group {
            line(row, before, out)?;
        }
    }
    Ok(())
}

fn key(row: &Row) -> (&str, usize, usize) {
    (&row.pattern, row.payload_bytes, row.connections)
}

fn heading(row: &Row, compared: bool, out: &mut Output) -> Result<(), Error> {
    let connections = match row.connections {
        1 => String::new(),
        count => format!(", {count} connections"),
    };
    let cores = if row.one_core { ", one core" } else { "" };
    let title = format!("{}, {} B{connections}{cores}", row.pattern, row.payload_bytes);
    writeln!(out, "\n{}", out.paint(Paint::Heading, title))?;
    let mut columns = format!(
        "  {:<12}{:>9}{:>7}{:>8}{:>9}{:>7}{:>8}{:>9}{:>7}{:>9}{:>9}{:>10}{:>8}",
        "",
        "M msg/s",
        "x",
        "MB/s",
        "CPU s/M",
        "x",
        "recv x",
        "p50 us",
        "x",
        "p99",
        "p99.9",
        "acks/msg",
        "frames"
    );
    if compared {
        columns.push_str("   x before");
    }
    writeln!(out, "{}", out.paint(Paint::Dim, columns))?;
    Ok(())
}

fn line(row: &Row, before: Option<&Report>, out: &mut Output) -> Result<(), Error> {
    let [p50, p99, p999] = match row.percentiles_us {
        Some(all) => all.map(micros),
        None => [(); 3].map(|()| "-".to_owned()),
    };
    let latency_ratio = row
        .p50_ratio
        .map_or_else(|| "-".to_owned(), |ratio| format!("{:.2}", ratio.median));
    let acks = match row.acks_per_message {
        0.0 => "-".to_owned(),
        acks => format!("{acks:.5}"),
    };
    write!(
        out,
        "  {:<12}{:>9.3}{:>7.2}{:>8.0}{:>9.3}{:>7.2}{:>8.2}{p50:>9}{latency_ratio:>7}{p99:>9}{p999:>9}{acks:>10}{:>8.1}",
        row.program,
        row.messages_per_second.median / 1e6,
        row.rate_ratio.median,
        row.megabytes_per_second,
        row.cpu_seconds_per_million.median,
        row.cpu_ratio.median,
        row.receiver_cpu_ratio.median,
        row.frames_per_write,
    )?;
    if let Some(before) = before {
        match before.find(row) {
            Some(then) => {
                let text = format!(
                    "   {:.2}, CPU {:.2}",
                    then.rate_ratio.median, then.cpu_ratio.median
                );
                write!(out, "{}", out.paint(Paint::Dim, text))?;
            }
            None => write!(out, "   -")?,
        }
    }
    Ok(writeln!(out)?)
}

fn micros(value: f64) -> String {
    match value {
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}
