//! What a check found.

use std::fmt;

use dlmwire_codec::NodeId;
use serde::{Serialize, Serializer};

use crate::capture::Stamp;
use crate::check::rules::Rule;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; healthy kernels do it.
    Note,
    /// A weakness: something may be lost, or a known defect shows.
    Warn,
    /// The protocol is broken or messages are lost.
    Error,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 3] = [Self::Note, Self::Warn, Self::Error];

    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing found, in one sentence.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The rule that was applied.
    #[serde(serialize_with = "rule_id")]
    pub rule: &'static Rule,
    /// Copied from the rule, so that a line of JSON stands alone.
    pub severity: Severity,
    /// Packet numbers in the file, as Wireshark's `frame.number`; the first is where it shows.
    pub packets: Vec<u64>,
    /// Time of the first packet, in seconds since the epoch.
    #[serde(serialize_with = "seconds", rename = "time")]
    pub at: Stamp,
    /// The nodes that it is about, sender first.
    pub nodes: Vec<Party>,
    /// The sentence, with its numbers.
    pub text: String,
}

fn rule_id<S: Serializer>(rule: &&'static Rule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(rule.id)
}

fn seconds<S: Serializer>(at: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(crate::check::seconds_f64(at.time.as_nanos()))
}

/// A node as a report names it: by id, or by address while it has said nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Party {
    /// Its node id.
    Node(#[serde(serialize_with = "node_id")] NodeId),
    /// Its address.
    Address(std::net::IpAddr),
}

fn node_id<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(node.get())
}

impl Party {
    /// Ids first, by number; then addresses.
    pub(crate) const fn order(&self) -> (u32, Option<std::net::IpAddr>) {
        match self {
            Self::Node(node) => (node.get(), None),
            Self::Address(address) => (u32::MAX, Some(*address)),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Findings kept per rule; later ones of that rule are counted only.
pub const KEPT_PER_RULE: usize = 1000;

/// Findings in the order in which they were made, a bounded number of each rule.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: std::collections::BTreeMap<&'static str, u64>,
    by_severity: [u64; 3],
}

impl Findings {
    /// Adds one.
    pub(crate) fn push(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.rule.id).or_default();
        *count += 1;
        let seen = usize::try_from(*count).unwrap_or(usize::MAX);
        match finding.severity {
            Severity::Note => self.by_severity[0] += 1,
            Severity::Warn => self.by_severity[1] += 1,
            Severity::Error => self.by_severity[2] += 1,
        }
        if seen <= KEPT_PER_RULE {
            self.kept.push(finding);
        }
    }

    /// Those that were kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.kept.iter()
    }

    /// How many were made by each rule, by its id.
    pub const fn by_rule(&self) -> &std::collections::BTreeMap<&'static str, u64> {
        &self.counts
    }

    /// How many of this severity were made.
    pub const fn count(&self, severity: Severity) -> u64 {
        match severity {
            Severity::Note => self.by_severity[0],
            Severity::Warn => self.by_severity[1],
            Severity::Error => self.by_severity[2],
        }
    }

    /// How many were counted but not kept.
    pub fn left_out(&self) -> u64 {
        let made: u64 = self.by_severity.iter().sum();
        made.saturating_sub(u64::try_from(self.kept.len()).unwrap_or(u64::MAX))
    }

    /// The worst severity found.
    pub fn worst(&self) -> Option<Severity> {
        Severity::ALL
            .into_iter()
            .rev()
            .find(|severity| self.count(*severity) > 0)
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
