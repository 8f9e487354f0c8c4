//! `dlmwire replay`: our engine in the place of a captured node.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dlmwire_codec::{Generation, NodeId};
use dlmwire_interop::replay::{Bounds, Class, Counts, Difference, PeerReport, Recorder, Report, replay};
use serde_json::{Value, json};

use super::cluster::{Addresses, LockspaceNames, NamingArgs};
use super::error::Error;
use super::output::{Output, Paint};
use super::reading::{self, Stop};
use super::{FAILED, FOUND};

const EXAMPLES: &str = "\
Examples:
  dlmwire replay --as 1 cluster.pcapng                       our engine in node 1's place
  dlmwire replay --as 2 --json c.pcap | jq 'select(.class == \"unlisted\")'
  dlmwire replay --as 3 --node 3=10.0.0.3 c.pcap             node 3 is known by its address alone

Exit codes:
  0  our engine agrees with the captured node, but for listed differences
  1  it does not
  2  the capture could not be read, or not to its end, or the node is not in it; standard error
     says which and why";

/// Differences shown of each class unless all are wanted.
const SHOWN_PER_CLASS: usize = 3;

/// Lets our engine take the place of a captured node
///
/// What the others sent to the node is fed to the engine at the capture's times, and what the node sent itself is
/// given to it as its application would. What the engine delivers, drops, acknowledges and writes is compared with
/// what the captured kernel let see, byte for byte where there are bytes. Differences that have a known reason are
/// listed by it (docs/replay.md), every other one is an error.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A capture: pcap or pcapng, plain, .gz or .zst; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The node whose place our engine takes
    #[arg(long = "as", value_name = "NODE", value_parser = node_id)]
    as_node: NodeId,

    /// JSON instead of a table: one object per peer, then one per difference
    #[arg(long)]
    json: bool,

    /// Show every difference, not only the first few of each class
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    cluster: NamingArgs,
}

fn node_id(text: &str) -> Result<NodeId, String> {
    let id = text.parse().ok().and_then(NodeId::new);
    id.ok_or_else(|| "a node id is a number from 1 to 4294967295".to_owned())
}

/// Replays the file and says how that went.
pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let path = args.file.as_path();
    let addresses: Addresses = args.cluster.addresses()?;
    let known: Vec<(NodeId, IpAddr)> = addresses
        .into_iter()
        .map(|(address, node)| (node, address))
        .collect();
    let mut recorder = Recorder::new(&known, Bounds::default());
    let summary = reading::read(path, &args.cluster.options(), &Stop::default(), &mut recorder)?;
    let recording = recorder.finish();
    let report = replay(&recording, args.as_node).map_err(|error| unread(path, error.to_string()))?;
    if args.json {
        write_json(out, path, &report)?;
    } else {
        write_text(out, path, &report, args)?;
    }
    let mut code = if report.agrees() { 0 } else { FOUND };
    let partial = partial(path, &report);
    let too_long = (!recording.is_whole()).then(|| {
        let reason = "the capture is longer than what can be kept of one; the rest was left out";
        unread(path, reason.to_owned())
    });
    for error in reading::unread(path, &summary)
        .into_iter()
        .chain(partial)
        .chain(too_long)
    {
        code = FAILED;
        out.complain(error)?;
    }
    Ok(ExitCode::from(code))
}

/// What could not be replayed.
fn partial(path: &Path, report: &Report) -> Option<Error> {
    let peers = report.peers.iter().filter(|peer| !peer.partial.is_empty());
    let parts: Vec<String> = peers
        .flat_map(|peer| {
            let parts = peer.partial.iter();
            parts.map(|(number, why)| format!("conversation {number} with node {} ({why})", peer.peer))
        })
        .collect();
    let reason = || match parts.as_slice() {
        [one] => format!("not replayed: {one}"),
        all => format!("{} conversations were not replayed", all.len()),
    };
    (!parts.is_empty()).then(|| unread(path, reason()))
}

fn unread(path: &Path, reason: String) -> Error {
    Error::Unread {
        place: path.to_owned(),
        reason,
    }
}

/// The first kernel that sends like this, if it is known.
const fn generation(generation: Option<Generation>) -> Option<&'static str> {
    match generation {
        Some(Generation::Linux5_10) => Some("5.10"),
        Some(Generation::Linux6_1) => Some("6.1"),
        Some(Generation::Linux6_12) => Some("6.12"),
        None => None,
    }
}

fn write_text(out: &mut Output, path: &Path, report: &Report, args: &Args) -> Result<(), Error> {
    let names = &args.cluster.lockspace_names()?;
    let heading = out.paint(Paint::Heading, path.display());
    writeln!(out, "{heading}")?;
    let sends = match generation(report.generation) {
        Some(kernel) => format!("sends like Linux {kernel}"),
        None => "does not show which kernel it is".to_owned(),
    };
    row(
        out,
        "node",
        &format!("{} speaks {}, {sends}", report.node, report.version),
    )?;
    for peer in &report.peers {
        write_peer(out, peer, names)?;
    }
    differences(out, report, args.all)?;
    let (paint, verdict) = if report.agrees() {
        (Paint::Lock, "agrees")
    } else {
        (Paint::Bad, "differs")
    };
    let verdict = out.paint(paint, verdict);
    let unlisted = report.count(Class::Unlisted);
    let counted: u64 = Class::ALL.into_iter().map(|class| report.count(class)).sum();
    let listed = counted.saturating_sub(unlisted);
    writeln!(
        out,
        "  {:<12}{verdict}: {}, {listed} listed",
        "verdict",
        plural(unlisted, "unlisted difference")
    )?;
    Ok(())
}

fn row(out: &mut Output, label: &str, text: &str) -> Result<(), Error> {
    writeln!(out, "  {label:<12}{text}")?;
    Ok(())
}

fn write_peer(out: &mut Output, peer: &PeerReport, names: &LockspaceNames) -> Result<(), Error> {
    let lockspaces: Vec<String> = peer
        .lockspaces
        .iter()
        .map(|id| names.show(*id).to_string())
        .collect();
    let conversations = plural(peer.conversations, "conversation");
    let heading = format!("{}, {conversations} about {}", peer.peer, lockspaces.join(", "));
    row(out, "peer", &heading)?;
    for (number, why) in &peer.partial {
        row(out, "", &format!("conversation {number} is not replayed: {why}"))?;
    }
    let received = format!(
        "{} frames, {} delivered, {} duplicates, {} too early, {} unread",
        peer.frames, peer.delivered, peer.duplicates, peer.gaps, peer.unread
    );
    row(out, "  received", &received)?;
    let acks = format!("{} captured, {} ours", peer.acks_captured, peer.acks_ours);
    row(out, "  acks", &acks)?;
    let sent = format!(
        "{} of {} numbered and {} of {} bare alike, {} resent ({} captured)",
        peer.own_identical, peer.own, peer.bare_identical, peer.bare, peer.resent_ours, peer.resent_captured
    );
    row(out, "  sent", &sent)?;
    row(out, "  differs", &counts(&peer.differences))
}

fn plural(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn counts(counts: &Counts) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(class, count)| format!("{count} {class}"))
        .collect();
    if parts.is_empty() {
        return "nowhere".to_owned();
    }
    parts.join(", ")
}

fn differences(out: &mut Output, report: &Report, all: bool) -> Result<(), Error> {
    let mut by_class: BTreeMap<Class, Vec<&Difference>> = BTreeMap::new();
    for difference in &report.differences {
        by_class.entry(difference.class).or_default().push(difference);
    }
    for (class, kept) in by_class {
        let paint = if class == Class::Unlisted {
            Paint::Bad
        } else {
            Paint::Dim
        };
        let name = out.paint(paint, format!("{class:<11}"));
        let count = report.count(class);
        writeln!(out, "  {name} {} ({count})", class.meaning())?;
        let shown = if all { usize::MAX } else { SHOWN_PER_CLASS };
        for difference in kept.iter().take(shown) {
            writeln!(
                out,
                "        {}: {} [packet {}]",
                difference.peer, difference.text, difference.at.packet
            )?;
        }
        let left = count.saturating_sub(u64::try_from(kept.len().min(shown)).unwrap_or(u64::MAX));
        if left > 0 {
            let more = if all { "not kept" } else { "--all shows them" };
            let more = out.paint(Paint::Dim, format!("and {left} more ({more})"));
            writeln!(out, "        {more}")?;
        }
    }
    Ok(())
}

fn write_json(out: &mut Output, path: &Path, report: &Report) -> Result<(), Error> {
    let file = path.display().to_string();
    for peer in &report.peers {
        writeln!(out, "{}", peer_json(&file, report, peer))?;
    }
    for difference in &report.differences {
        let line = json!({
            "kind": "difference",
            "file": file,
            "node": report.node.get(),
            "peer": difference.peer.get(),
            "class": difference.class.name(),
            "packet": difference.at.packet,
            "time": seconds(difference.at.time.as_nanos()),
            "text": difference.text,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn peer_json(file: &str, report: &Report, peer: &PeerReport) -> Value {
    let differences: BTreeMap<&str, u64> = peer
        .differences
        .iter()
        .map(|(class, count)| (class.name(), count))
        .collect();
    let partial: Vec<Value> = peer
        .partial
        .iter()
        .map(|(number, why)| json!({ "conversation": number, "text": why.to_string() }))
        .collect();
    json!({
        "kind": "peer",
        "file": file,
        "node": report.node.get(),
        "version": report.version.to_string(),
        "kernel": generation(report.generation),
        "peer": peer.peer.get(),
        "conversations": peer.conversations,
        "partial": partial,
        "frames": peer.frames,
        "delivered": peer.delivered,
        "delivered_twice": peer.delivered_twice,
        "duplicates_dropped": peer.duplicates,
        "early_dropped": peer.gaps,
        "unread": peer.unread,
        "acks_captured": peer.acks_captured,
        "acks": peer.acks_ours,
        "sent": peer.own,
        "identical": peer.own_identical,
        "bare": peer.bare,
        "bare_identical": peer.bare_identical,
        "resent_captured": peer.resent_captured,
        "resent": peer.resent_ours,
        "differences": differences,
        "agrees": peer.differences.of(Class::Unlisted) == 0,
        "differences_left_out": report.left_out(),
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a clock's nanoseconds are not exact to 2^-53 either"
)]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
