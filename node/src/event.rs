//! What a node tells its application.

use std::fmt;
use std::io;
use std::time::Duration;

use dlmwire_codec::{NodeId, Version};
use dlmwire_midcomms::LinkId;
use dlmwire_midcomms::engine::{Event, Evidence, FenceCause, Outcome};

use crate::HandleError;

/// Something that happened, for people and for policies. `Display` is one line for a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeEvent {
    /// The engine says so. [`Event::LinkWanted`] and [`Event::CloseLink`] are the node's own business and never
    /// come here.
    Engine(Event),
    /// A peer could not be dialed.
    DialFailed {
        /// The peer.
        node: NodeId,
        /// What the operating system said; `TimedOut` also if we gave up.
        error: io::ErrorKind,
        /// Dials that failed in a row.
        attempts: u32,
        /// When the next one follows.
        retry_in: Duration,
    },
    /// A link was aborted because the rest of a frame did not come in time.
    PartialFrame {
        /// The peer.
        node: NodeId,
        /// The link.
        link: LinkId,
        /// Bytes of it that had come.
        bytes: usize,
    },
    /// A link did not take what was to be sent before it was closed, in time, and was dropped.
    FlushTimedOut {
        /// The peer.
        node: NodeId,
        /// The link.
        link: LinkId,
    },
    /// Connections from addresses that belong to no configured node were closed.
    Refused {
        /// How many since the last time.
        new: u64,
        /// How many in all.
        total: u64,
    },
    /// Messages that a handle had taken were given up: the peer was fenced, removed for longer than
    /// `drain_deadline`, or refuses them.
    Dropped {
        /// The peer.
        node: NodeId,
        /// How many messages.
        messages: u64,
        /// Why the last one was refused.
        error: HandleError,
    },
}

impl NodeEvent {
    /// The peer that it is about, if it is about one.
    pub const fn node(&self) -> Option<NodeId> {
        match *self {
            Self::Engine(event) => match event {
                Event::LinkWanted { node }
                | Event::Connected { node, .. }
                | Event::Disconnected { node }
                | Event::VersionDetected { node, .. }
                | Event::Incompatible { node, .. }
                | Event::StateChanged { node, .. }
                | Event::Writable { node }
                | Event::PeerFinished { node }
                | Event::PeerRestarted { node, .. }
                | Event::FenceNeeded { node, .. }
                | Event::MembershipMissing { node }
                | Event::Lost { node, .. }
                | Event::Finished { node, .. }
                | Event::Violation { node, .. } => Some(node),
                Event::CloseLink { .. } | Event::ShutdownComplete { .. } => None,
            },
            Self::DialFailed { node, .. }
            | Self::PartialFrame { node, .. }
            | Self::FlushTimedOut { node, .. }
            | Self::Dropped { node, .. } => Some(node),
            Self::Refused { .. } => None,
        }
    }
}

impl fmt::Display for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(event) => engine_event(event, f),
            Self::DialFailed {
                node,
                error,
                attempts,
                retry_in,
            } => write!(
                f,
                "node {node}: dial failed: {error} (attempt {attempts}, next in {} ms)",
                retry_in.as_millis()
            ),
            Self::PartialFrame { node, link, bytes } => {
                write!(
                    f,
                    "node {node}: link {} aborted: rest of a frame did not come, {bytes} bytes had",
                    link.0
                )
            }
            Self::FlushTimedOut { node, link } => {
                write!(
                    f,
                    "node {node}: link {} dropped: it could not be closed in order in time",
                    link.0
                )
            }
            Self::Refused { new, total } => {
                write!(
                    f,
                    "{new} connections from addresses of no configured node closed, {total} in all"
                )
            }
            Self::Dropped {
                node,
                messages,
                error,
            } => {
                write!(f, "node {node}: {messages} messages not sent: {error}")
            }
        }
    }
}

fn engine_event(event: &Event, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match event {
        Event::LinkWanted { node } => write!(f, "node {node}: a link is wanted"),
        Event::CloseLink { link, .. } => write!(f, "link {} is to be closed", link.0),
        Event::Connected { node, link } => write!(f, "node {node}: connected, link {}", link.0),
        Event::Disconnected { node } => write!(f, "node {node}: disconnected"),
        Event::VersionDetected {
            node,
            version: Version::V3_1,
        } => {
            write!(
                f,
                "node {node}: speaks 3.1, unreliable: messages are lost with every lost connection"
            )
        }
        Event::VersionDetected { node, version } => write!(f, "node {node}: speaks {version}"),
        Event::Incompatible { node, version } => write!(f, "node {node}: refused, speaks {version}"),
        Event::StateChanged { node, from, to } => write!(f, "node {node}: {} -> {}", from.name(), to.name()),
        Event::Writable { node } => write!(f, "node {node}: send queue has room again"),
        Event::PeerFinished { node } => write!(f, "node {node}: has finished sending"),
        Event::PeerRestarted { node, evidence } => {
            write!(
                f,
                "node {node}: restarted without the cluster manager's knowledge: "
            )?;
            match evidence {
                Evidence::AckBeyondSent { ack, send_seq } => {
                    write!(
                        f,
                        "acknowledges up to {ack}, the next number to send is {send_seq}"
                    )
                }
                Evidence::OtherBytes { seq } => write!(f, "number {seq} came again with other bytes"),
            }
        }
        Event::FenceNeeded { node, cause } => {
            write!(f, "node {node}: should be fenced: {}", cause_text(*cause))
        }
        Event::MembershipMissing { node } => {
            write!(
                f,
                "node {node}: finished and still a member: the cluster manager's removal is missing"
            )
        }
        Event::Lost { node, messages } => write!(f, "node {node}: {messages} messages lost"),
        Event::Finished { node, outcome } => {
            write!(f, "node {node}: conversation over: {}", outcome_text(*outcome))
        }
        Event::ShutdownComplete { outcome } => write!(f, "shutdown complete: {}", outcome_text(*outcome)),
        Event::Violation {
            node,
            link,
            violation,
            suppressed,
        } => {
            write!(f, "node {node}: link {}: {violation}", link.0)?;
            if *suppressed > 0 {
                write!(f, " (suppressed {suppressed})")?;
            }
            Ok(())
        }
    }
}

const fn cause_text(cause: FenceCause) -> &'static str {
    match cause {
        FenceCause::QueueFull => "send queue full",
        FenceCause::UnackedAge => "oldest message unacknowledged for too long",
        FenceCause::Restarted => "restarted",
        FenceCause::Gap => "a message is missing and does not come again",
        FenceCause::ShutdownDeadline => "termination took too long",
    }
}

/// What an outcome is called in status, logs and answers.
pub(crate) const fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Clean => "clean",
        Outcome::WithoutFin => "without FIN",
        Outcome::Fenced => "fenced",
        Outcome::Readded => "added again",
        Outcome::TimedOut => "timed out",
    }
}
