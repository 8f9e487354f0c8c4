//! `dlmwire status`: what a running node knows of its peers.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_node::control::{Answer, Request};
use dlmwire_node::{NodeStatus, PeerStatus};
use serde_json::Value;

use super::control::{ControlArgs, ask, node_id, refused};
use super::error::Error;
use super::output::{Output, Paint};

const EXAMPLES: &str = "\
Examples:
  dlmwire status                        the only node here
  dlmwire status --id 1 2               node 1 asked for all that it knows of node 2
  dlmwire status --control /run/x.sock --json | jq '.peers[].send_queue_count'
  dlmwire status --watch 1              every second, until interrupted

Columns:
  state, flags, version, send_queue_count are the kernel's debugfs files, users its count of lockspaces
  oldest    for how long the oldest unacknowledged message has waited
  delivery  what can be promised to the peer: a 3.1 peer loses messages with every lost connection
  links     links that are up, and what the dialer does without any

Exit codes:
  0  the node has answered
  2  it has not, or the peer is not known to it; standard error says which";

/// Shows what a running node knows of its peers, by the kernel's names
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// This peer alone, with everything that is known of it
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: Option<NodeId>,

    /// JSON instead of a table: one object a line
    #[arg(long)]
    json: bool,

    /// Again every so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    watch: Option<u64>,

    #[command(flatten)]
    control: ControlArgs,
}

/// Asks, and shows the answer.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let path = args.control.path()?;
    loop {
        let Answer::Status { status } = ask(&path, &Request::Status)? else {
            return Err(refused(&path, "no status".to_owned()));
        };
        show(args, &path, &status, out)?;
        let Some(seconds) = args.watch else {
            return Ok(ExitCode::SUCCESS);
        };
        if !args.json {
            writeln!(out)?;
        }
        out.flush()?;
        thread::sleep(Duration::from_secs(seconds));
    }
}

fn show(args: &Args, path: &Path, status: &NodeStatus, out: &mut Output) -> Result<(), Error> {
    let Some(node) = args.node else {
        return if args.json {
            write_json(out, status)
        } else {
            write_table(out, status)
        };
    };
    let peer = status.peers.iter().find(|peer| peer.nodeid == node.get());
    let peer =
        peer.ok_or_else(|| refused(path, format!("node {} does not know node {node}", status.nodeid)))?;
    if args.json {
        write_json(out, peer)
    } else {
        write_peer(out, peer)
    }
}

fn write_json<T: serde::Serialize>(out: &mut Output, status: &T) -> Result<(), Error> {
    let line = serde_json::to_string(status).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{line}")?)
}

/// A column's title, whether it is aligned to the right, and what stands in it.
type Column = (&'static str, bool, fn(&PeerStatus) -> String);

const COLUMNS: [Column; 12] = [
    ("nodeid", true, |peer| peer.nodeid.to_string()),
    ("state", false, |peer| peer.state.clone()),
    ("flags", true, |peer| peer.flags.to_string()),
    ("version", false, |peer| peer.version.clone()),
    ("users", true, |peer| peer.users.to_string()),
    ("send_queue_count", true, |peer| peer.send_queue_count.to_string()),
    ("oldest", true, |peer| {
        peer.oldest_unacked_age_ms
            .map_or_else(|| "-".to_owned(), |age| format!("{age} ms"))
    }),
    ("sent", true, |peer| peer.sent.to_string()),
    ("delivered", true, |peer| peer.delivered.to_string()),
    ("resent", true, |peer| peer.resent.to_string()),
    ("delivery", false, delivery),
    ("links", false, links),
];

fn write_table(out: &mut Output, status: &NodeStatus) -> Result<(), Error> {
    let seconds = Duration::from_millis(status.uptime_ms).as_secs_f64();
    let head = format!(
        "node {} at {}, speaks {}, up {seconds:.1} s{}",
        status.nodeid,
        status.local_address,
        status.version,
        if status.shutting_down {
            ", shutting down"
        } else {
            ""
        }
    );
    let heading = out.paint(Paint::Heading, head);
    writeln!(out, "{heading}")?;
    let rows: Vec<[String; COLUMNS.len()]> = status
        .peers
        .iter()
        .map(|peer| COLUMNS.map(|(_, _, text)| text(peer)))
        .collect();
    let titles = COLUMNS.map(|(title, _, _)| title.to_owned());
    let mut widths = titles.each_ref().map(|title| title.len());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    let line = |cells: &[String]| {
        let aligned: Vec<String> = COLUMNS
            .iter()
            .zip(cells)
            .zip(widths)
            .map(|(((_, right, _), cell), width)| {
                if *right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        aligned.join("  ").trim_end().to_owned()
    };
    let heading = out.paint(Paint::Dim, line(&titles));
    writeln!(out, "{heading}")?;
    for (row, peer) in rows.iter().zip(&status.peers) {
        let text = line(row);
        if peer.halted || peer.lost > 0 {
            let text = out.paint(Paint::Bad, text);
            writeln!(out, "{text}")?;
        } else {
            writeln!(out, "{text}")?;
        }
    }
    Ok(())
}

/// What can be promised, and what already could not.
fn delivery(peer: &PeerStatus) -> String {
    let mut text = peer.delivery.clone();
    if peer.halted {
        text.push_str(", restarted: halted");
    }
    if peer.lost > 0 {
        text.push_str(&format!(", {} lost", peer.lost));
    }
    text
}

fn links(peer: &PeerStatus) -> String {
    if !peer.links.is_empty() {
        return peer.links.len().to_string();
    }
    match (peer.dial_attempts, peer.dial_retry_in_ms) {
        (attempts, Some(left)) => format!("0, {} after {attempts} dials, next in {left} ms", peer.dial),
        (_, None) => format!("0, {}", peer.dial),
    }
}

/// Every field, as it is called in JSON.
fn write_peer(out: &mut Output, peer: &PeerStatus) -> Result<(), Error> {
    let value = serde_json::to_value(peer).map_err(std::io::Error::from)?;
    let fields = value.as_object().cloned().unwrap_or_default();
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in &fields {
        let name = out.paint(Paint::Dim, format!("{name:<width$}"));
        match value {
            Value::Array(items) if name_is_links(items) => {
                for item in items {
                    writeln!(out, "{name}  {}", link_text(item))?;
                }
            }
            value => writeln!(out, "{name}  {}", plain(value))?,
        }
    }
    Ok(())
}

fn name_is_links(items: &[Value]) -> bool {
    items.first().is_some_and(Value::is_object)
}

fn link_text(link: &Value) -> String {
    let sending = if link["sending"] == Value::Bool(true) {
        ", sending"
    } else {
        ""
    };
    let text = |key: &str| plain(&link[key]);
    format!(
        "{} {} {}, {}{sending}",
        text("link"),
        text("role"),
        text("peer_address"),
        text("phase")
    )
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
