//! What was shown, for people and for programs.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use dlmwire_midcomms::State;
use dlmwire_node::PeerStatus;
use serde_json::{Value, json};

use super::stage::{NodeShown, Plan, Shown};
use crate::cli::error::Error;
use crate::cli::output::{Output, Paint};

/// The whole run, summed up.
pub(super) struct Summary<'a> {
    plan: &'a Plan,
    shown: &'a Shown,
    record: Option<&'a Path>,
}

impl<'a> Summary<'a> {
    pub(super) const fn new(plan: &'a Plan, shown: &'a Shown, record: Option<&'a Path>) -> Self {
        Self { plan, shown, record }
    }

    /// How the promise was broken, in one sentence; `None` if it was kept.
    pub(super) fn broken(&self) -> Option<String> {
        let nodes = &self.shown.nodes;
        if let Some(broken) = nodes.iter().find_map(|node| node.broken.clone()) {
            return Some(broken);
        }
        if self.shown.stalled {
            let seconds = self.plan.patience.as_secs_f64();
            return Some(format!(
                "nothing happened for {seconds} s, and not both nodes had left"
            ));
        }
        let late = nodes
            .iter()
            .find(|node| node.states.last() != Some(&State::Closed))?;
        Some(format!("node {} did not reach CLOSED", late.node))
    }

    fn sum(&self, of: impl Fn(&NodeShown) -> u64) -> u64 {
        self.shown.nodes.iter().map(of).sum()
    }

    fn peers(&self, of: impl Fn(&PeerStatus) -> u64) -> u64 {
        self.sum(|node| node.peer().map_or(0, &of))
    }

    /// How often there was a new connection: both nodes count the same ones, one may miss some.
    fn reconnects(&self) -> u64 {
        self.shown
            .nodes
            .iter()
            .map(NodeShown::reconnects)
            .max()
            .unwrap_or(0)
    }

    /// Messages that did not come, of those that were to be sent.
    fn lost(&self) -> u64 {
        self.sum(|node| self.plan.messages.saturating_sub(node.counts.delivered))
    }

    pub(super) fn text(&self, out: &mut Output) -> Result<(), Error> {
        let broken = self.broken();
        let [one, two] = &self.shown.nodes;
        let delivered = self.sum(|node| node.counts.delivered);
        let arrived = format!(
            "{} messages from node {} to node {}, {} back",
            Grouped(two.counts.delivered),
            one.node,
            two.node,
            Grouped(one.counts.delivered)
        );
        row(out, "delivered", &arrived)?;
        let (lost, twice) = (self.lost(), self.sum(|node| node.counts.duplicated));
        let promise = format!(
            "{} {}, {} delivered twice, {} out of order, {} damaged",
            Grouped(lost),
            if broken.is_none() { "lost" } else { "not delivered" },
            Grouped(twice),
            Grouped(self.sum(|node| node.counts.reordered)),
            Grouped(self.sum(|node| node.counts.damaged))
        );
        row(out, "", &promise)?;
        let time = format!(
            "{:.2} s, {} messages/s",
            self.shown.elapsed.as_secs_f64(),
            Grouped(per_second(delivered, self.shown.elapsed))
        );
        row(out, "time", &time)?;
        let broken_links = format!(
            "{} connections reset, {} of them inside a frame; {} reconnects",
            Grouped(self.sum(|node| node.cuts.resets)),
            Grouped(self.sum(|node| node.cuts.half_sent)),
            Grouped(self.reconnects())
        );
        row(out, "broken", &broken_links)?;
        let repaired = format!(
            "{} messages sent again, {} duplicates and {} too early ones dropped",
            Grouped(self.peers(|peer| peer.resent)),
            Grouped(self.peers(|peer| peer.duplicates)),
            Grouped(self.peers(|peer| peer.gaps))
        );
        row(out, "repaired", &repaired)?;
        let acks = self.peers(|peer| peer.acks_sent);
        let acks = format!(
            "{} sent, one for {} messages",
            Grouped(acks),
            Grouped(delivered / acks.max(1))
        );
        row(out, "acks", &acks)?;
        for node in &self.shown.nodes {
            row(out, &format!("node {}", node.node), &node.path())?;
        }
        let kept = two.sent_behind_fin;
        if kept > 0 {
            let text = format!(
                "node {} sent {} more messages behind node {}'s FIN",
                two.node,
                Grouped(kept),
                one.node
            );
            row(out, "", &text)?;
        }
        if let Some(path) = self.record {
            let path = path.display();
            row(out, "record", &format!("{path}; judge it: dlmwire check {path}"))?;
        }
        let verdict = match &broken {
            None => out.paint(
                Paint::Lock,
                "kept: every message once, in order, as it was sent".to_owned(),
            ),
            Some(broken) => out.paint(Paint::Bad, format!("BROKEN: {broken}")),
        };
        writeln!(out, "  {:<10}{verdict}", "promise")?;
        if self.shown.stalled {
            self.statuses(out)?;
        }
        Ok(())
    }

    /// What both nodes say of themselves, where the run did not come to its end.
    fn statuses(&self, out: &mut Output) -> Result<(), Error> {
        for node in &self.shown.nodes {
            let status = serde_json::to_string(&node.status).map_err(std::io::Error::other)?;
            row(out, &format!("node {}", node.node), &status)?;
        }
        Ok(())
    }

    pub(super) fn json(&self, out: &mut Output) -> Result<(), Error> {
        let broken = self.broken();
        let delivered = self.sum(|node| node.counts.delivered);
        let nodes: Vec<Value> = self.shown.nodes.iter().map(NodeShown::json).collect();
        let line = json!({
            "kind": "demo",
            "kept": broken.is_none(),
            "broken": broken,
            "messages": self.plan.messages,
            "message_bytes": self.plan.message_bytes,
            "kill_every": self.plan.kill_every,
            "seed": self.plan.seed,
            "seconds": self.shown.elapsed.as_secs_f64(),
            "messages_per_second": per_second(delivered, self.shown.elapsed),
            "delivered": delivered,
            "lost": self.lost(),
            "duplicated": self.sum(|node| node.counts.duplicated),
            "reordered": self.sum(|node| node.counts.reordered),
            "damaged": self.sum(|node| node.counts.damaged),
            "resets": self.sum(|node| node.cuts.resets),
            "resets_inside_a_frame": self.sum(|node| node.cuts.half_sent),
            "reconnects": self.reconnects(),
            "resent": self.peers(|peer| peer.resent),
            "duplicates_dropped": self.peers(|peer| peer.duplicates),
            "early_dropped": self.peers(|peer| peer.gaps),
            "acks": self.peers(|peer| peer.acks_sent),
            "record": self.record.map(|path| path.display().to_string()),
            "nodes": nodes,
        });
        Ok(writeln!(out, "{line}")?)
    }
}

impl NodeShown {
    /// What it says of the other.
    fn peer(&self) -> Option<&PeerStatus> {
        self.status.as_ref()?.peers.first()
    }

    /// How often it had a link to send on again.
    const fn reconnects(&self) -> u64 {
        self.connects.saturating_sub(1)
    }

    /// The states that it went through.
    fn path(&self) -> String {
        let names: Vec<&str> = self.states.iter().map(|state| state.name()).collect();
        names.join(" -> ")
    }

    fn json(&self) -> Value {
        json!({
            "node": self.node.get(),
            "address": self.address.to_string(),
            "delivered": self.counts.delivered,
            "states": self.states.iter().map(|state| state.name()).collect::<Vec<_>>(),
            "resets": self.cuts.resets,
            "reconnects": self.reconnects(),
            "sent_behind_fin": self.sent_behind_fin,
            "status": self.status,
        })
    }
}

fn row(out: &mut Output, label: &str, text: &str) -> Result<(), Error> {
    Ok(writeln!(out, "  {label:<10}{text}")?)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a rate is rounded"
)]
fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-9)) as u64
}

/// A number with its thousands apart.
pub(super) struct Grouped(pub(super) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}
