//! Kernels' traces held against the capture: what was really taken of what was delivered.

use std::net::IpAddr;
use std::sync::Arc;

use dlmwire_codec::NodeId;

use crate::capture::{Event, Sink as _, Stamp};
use crate::check::rules::{self, Rule};
use crate::check::sentences::Sentence;
use crate::cross::{Bounds, Finding, Kind, WireRecorder, cross};
use crate::trace::Trace;

/// Keeps the capture's frames, if there is a trace to hold against them.
#[derive(Debug)]
pub(crate) struct TraceCheck {
    traces: Vec<(NodeId, Arc<Trace>)>,
    recorder: Option<WireRecorder>,
}

/// Who it is about (the kernel first), where it shows, what it is.
type Told = (Vec<NodeId>, Stamp, Sentence);

impl TraceCheck {
    /// Takes the traces; without any, nothing is kept.
    pub(crate) fn new(known: &[(NodeId, IpAddr)], traces: &[(NodeId, Arc<Trace>)]) -> Self {
        Self {
            traces: traces.to_vec(),
            recorder: (!traces.is_empty()).then(|| WireRecorder::new(known, Bounds::default())),
        }
    }

    /// Takes what the capture tells.
    pub(crate) fn event(&mut self, stamp: Stamp, event: Event<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.event(stamp, event);
        }
    }

    /// What the traces say that the capture does not.
    pub(crate) fn end(&mut self, last: Stamp) -> Vec<Told> {
        let Some(recorder) = self.recorder.take() else {
            return Vec::new();
        };
        let wire = recorder.finish();
        let mut told = Vec::new();
        for (node, trace) in std::mem::take(&mut self.traces) {
            match cross(&wire, &trace, node, None) {
                Ok(report) => told.extend(report.findings.iter().filter_map(|one| sentence(node, one, last))),
                Err(error) => {
                    let sentence = Sentence::new(&rules::KTRC_PARTIAL, error.to_string());
                    told.push((vec![node], last, sentence));
                }
            }
        }
        told
    }
}

fn sentence(node: NodeId, finding: &Finding, last: Stamp) -> Option<Told> {
    let line = finding
        .line
        .map(|line| format!(", line {line}"))
        .unwrap_or_default();
    let text = format!("trace of node {node}{line}: {}", finding.text);
    let sentence = Sentence::new(rule(finding.kind)?, text);
    let nodes = std::iter::once(node).chain(finding.peer).collect();
    Some((nodes, finding.at.unwrap_or(last), sentence))
}

/// The rule of what was found; `None` for what healthy kernels do and nobody has to know here.
fn rule(kind: Kind) -> Option<&'static Rule> {
    match kind {
        Kind::EventWithoutFrame
        | Kind::FrameWithoutEvent
        | Kind::FieldDiffers
        | Kind::OrderDiffers
        | Kind::EventTwice
        | Kind::SocketBytes => Some(&rules::KTRC_DIFFERS),
        Kind::ThrownAway => Some(&rules::KTRC_THROWN_AWAY),
        Kind::NeverSent => Some(&rules::KTRC_NEVER_SENT),
        Kind::Clock | Kind::TraceLines | Kind::LeftOut | Kind::EventsLost => Some(&rules::KTRC_PARTIAL),
        Kind::CommitOrder | Kind::TooLongForTrace | Kind::OutsideTrace => None,
    }
}
