//! A node's events as lines of standard output: a name, the peer, what belongs to it, and a sentence.

use dlmwire_codec::Version;
use dlmwire_midcomms::engine::{Event, Evidence, FenceCause, Outcome};
use dlmwire_node::NodeEvent;
use serde::Serialize;

/// An event as it is told.
#[derive(Serialize)]
pub(in crate::cli) struct EventLine {
    #[serde(flatten)]
    what: What,
    /// The same as one line for people.
    text: String,
}

/// The event's own name and values; docs/node.md says what they mean.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    Connected {
        node: u32,
        link: u64,
    },
    Disconnected {
        node: u32,
    },
    VersionDetected {
        node: u32,
        version: String,
    },
    Incompatible {
        node: u32,
        version: String,
    },
    StateChanged {
        node: u32,
        from: &'static str,
        to: &'static str,
    },
    Writable {
        node: u32,
    },
    PeerFinished {
        node: u32,
    },
    PeerRestarted {
        node: u32,
        evidence: &'static str,
    },
    FenceNeeded {
        node: u32,
        cause: &'static str,
    },
    MembershipMissing {
        node: u32,
    },
    Lost {
        node: u32,
        messages: u64,
    },
    Finished {
        node: u32,
        outcome: &'static str,
    },
    ShutdownComplete {
        outcome: &'static str,
    },
    Violation {
        node: u32,
        link: u64,
        suppressed: u64,
    },
    DialFailed {
        node: u32,
        error: String,
        attempts: u32,
        retry_in_ms: u64,
    },
    PartialFrame {
        node: u32,
        link: u64,
        bytes: usize,
    },
    FlushTimedOut {
        node: u32,
        link: u64,
    },
    Refused {
        new: u64,
        total: u64,
    },
    Dropped {
        node: u32,
        messages: u64,
        error: String,
    },
}

impl EventLine {
    /// The line for an event, unless it is the node's own business.
    pub(in crate::cli) fn of(event: &NodeEvent) -> Option<Self> {
        let what = match *event {
            NodeEvent::Engine(event) => of_engine(event)?,
            NodeEvent::DialFailed {
                node,
                error,
                attempts,
                retry_in,
            } => What::DialFailed {
                node: node.get(),
                error: error.to_string(),
                attempts,
                retry_in_ms: u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX),
            },
            NodeEvent::PartialFrame { node, link, bytes } => What::PartialFrame {
                node: node.get(),
                link: link.0,
                bytes,
            },
            NodeEvent::FlushTimedOut { node, link } => What::FlushTimedOut {
                node: node.get(),
                link: link.0,
            },
            NodeEvent::Refused { new, total } => What::Refused { new, total },
            NodeEvent::Dropped {
                node,
                messages,
                error,
            } => What::Dropped {
                node: node.get(),
                messages,
                error: error.to_string(),
            },
        };
        Some(Self {
            what,
            text: event.to_string(),
        })
    }
}

fn of_engine(event: Event) -> Option<What> {
    Some(match event {
        Event::LinkWanted { .. } | Event::CloseLink { .. } => return None,
        Event::Connected { node, link } => What::Connected {
            node: node.get(),
            link: link.0,
        },
        Event::Disconnected { node } => What::Disconnected { node: node.get() },
        Event::VersionDetected { node, version } => What::VersionDetected {
            node: node.get(),
            version: version_text(version),
        },
        Event::Incompatible { node, version } => What::Incompatible {
            node: node.get(),
            version: version_text(version),
        },
        Event::StateChanged { node, from, to } => What::StateChanged {
            node: node.get(),
            from: from.name(),
            to: to.name(),
        },
        Event::Writable { node } => What::Writable { node: node.get() },
        Event::PeerFinished { node } => What::PeerFinished { node: node.get() },
        Event::PeerRestarted { node, evidence } => What::PeerRestarted {
            node: node.get(),
            evidence: match evidence {
                Evidence::AckBeyondSent { .. } => "ack_beyond_sent",
                Evidence::OtherBytes { .. } => "other_bytes",
            },
        },
        Event::FenceNeeded { node, cause } => What::FenceNeeded {
            node: node.get(),
            cause: match cause {
                FenceCause::QueueFull => "queue_full",
                FenceCause::UnackedAge => "unacked_age",
                FenceCause::Restarted => "restarted",
                FenceCause::ShutdownDeadline => "shutdown_deadline",
                FenceCause::Gap => "gap",
            },
        },
        Event::MembershipMissing { node } => What::MembershipMissing { node: node.get() },
        Event::Lost { node, messages } => What::Lost {
            node: node.get(),
            messages,
        },
        Event::Finished { node, outcome } => What::Finished {
            node: node.get(),
            outcome: outcome_name(outcome),
        },
        Event::ShutdownComplete { outcome } => What::ShutdownComplete {
            outcome: outcome_name(outcome),
        },
        Event::Violation {
            node,
            link,
            suppressed,
            ..
        } => What::Violation {
            node: node.get(),
            link: link.0,
            suppressed,
        },
    })
}

/// What an outcome is called in lines.
pub(in crate::cli) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Clean => "clean",
        Outcome::WithoutFin => "without_fin",
        Outcome::Fenced => "fenced",
        Outcome::Readded => "readded",
        Outcome::TimedOut => "timed_out",
    }
}

fn version_text(version: Version) -> String {
    format!("{:#010x}", version.wire())
}
