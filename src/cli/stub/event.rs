//! The lines of standard output.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dlmwire_interop::participant::{Event, Heard, Listener, What};
use dlmwire_midcomms::Time;
use dlmwire_node::{NodeEvent, NodeStatus};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::feed::end_now;
use super::setup::Setup;
use crate::cli::node::event::{EventLine, outcome_name};
use crate::cli::node::outlet::{Outlet, write_line};

/// A line: an event, when and where it happened, and what belongs to it.
#[derive(Serialize)]
struct Line<'a> {
    event: &'a str,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lockspace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The first line: it listens.
#[derive(Serialize)]
pub(super) struct Started<'a> {
    event: &'static str,
    ms: f64,
    node: u32,
    listen: SocketAddr,
    lockspaces: Vec<&'a str>,
}

impl<'a> Started<'a> {
    pub(super) fn new(setup: &'a Setup, listen: SocketAddr) -> Self {
        Self {
            event: "started",
            ms: 0.0,
            node: setup.node().get(),
            listen,
            lockspaces: setup.lockspaces.iter().map(|(name, _)| name.as_str()).collect(),
        }
    }
}

/// A line of standard input that could not be understood.
#[derive(Serialize)]
pub(super) struct Complaint<'a> {
    event: &'static str,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    line: u64,
    text: &'a str,
}

impl<'a> Complaint<'a> {
    pub(super) fn new(began: Instant, tag: Option<&'a str>, line: u64, text: &'a str) -> Self {
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Self {
            event: "error",
            ms: milliseconds(nanoseconds),
            tag,
            line,
            text,
        }
    }
}

/// Turns what is heard into lines.
pub(super) struct Voice {
    outlet: Arc<Outlet>,
    /// Lines of this turn.
    lines: Vec<u8>,
    /// Whether other nodes' questions are told.
    questions: bool,
    lost: u64,
}

impl Voice {
    pub(super) const fn new(outlet: Arc<Outlet>, questions: bool) -> Self {
        Self {
            outlet,
            lines: Vec::new(),
            questions,
            lost: 0,
        }
    }

    /// Hands out what was told.
    pub(super) fn flush(&mut self) {
        if !self.lines.is_empty() {
            self.outlet.put(&self.lines);
            self.lines.clear();
        }
    }

    /// Tells the end: the last line. Says whether everything was sent and acknowledged.
    pub(super) fn finish(&mut self, status: &NodeStatus, at: Time, in_time: bool) -> bool {
        let sum = |count: fn(&dlmwire_node::PeerStatus) -> u64| status.peers.iter().map(count).sum::<u64>();
        let queued = sum(|peer| u64::from(peer.send_queue_count));
        let lost = self.lost.saturating_add(queued);
        let clean = in_time && lost == 0;
        let rest = json!({
            "clean": clean,
            "delivered": sum(|peer| peer.delivered),
            "sent": sum(|peer| peer.sent),
            "resent": sum(|peer| peer.resent),
            "duplicates": sum(|peer| peer.duplicates),
            "lost": lost,
        });
        self.say(at, "ended", None, None, rest);
        self.flush();
        self.outlet.end();
        clean
    }

    fn say(&mut self, at: Time, event: &str, lockspace: Option<&str>, tag: Option<&str>, rest: Value) {
        let rest = match rest {
            Value::Object(rest) => rest,
            _ => Map::new(),
        };
        let line = Line {
            event,
            ms: milliseconds(at.0),
            lockspace,
            tag,
            rest,
        };
        write_line(&mut self.lines, &line);
    }

    fn say_node_event(&mut self, at: Time, tag: Option<&str>, event: &NodeEvent) {
        if let NodeEvent::Engine(dlmwire_midcomms::engine::Event::Lost { messages, .. })
        | NodeEvent::Dropped { messages, .. } = *event
        {
            self.lost = self.lost.saturating_add(messages);
        }
        let Some((name, rest)) = EventLine::of(event).map(named) else {
            return;
        };
        let name = match name.as_str() {
            "version_detected" => "version",
            "state_changed" => "state",
            other => other,
        };
        self.say(at, name, None, tag, rest);
    }
}

impl Listener for Voice {
    fn hear(&mut self, heard: Heard<'_>) {
        let Heard {
            at,
            lockspace,
            tag,
            what,
        } = heard;
        match what {
            What::Lockspace(event) => {
                if matches!(event, Event::Asked { .. }) && !self.questions {
                    return;
                }
                let (name, rest) = named(event);
                self.say(at, &name, lockspace, tag, rest);
            }
            What::Node(event) => self.say_node_event(at, tag, event),
            What::Worked(worked) => {
                let rest = json!({
                    "pairs": worked.pairs,
                    "ms_taken": milliseconds(worked.nanoseconds),
                    "errors": worked.errors,
                });
                self.say(at, "worked", lockspace, tag, rest);
            }
            What::Cut { node, links, count } => {
                let rest = json!({ "node": node.map(|node| node.get()), "links": links, "count": count });
                self.say(at, "cut", None, tag, rest);
            }
            What::Left(outcome) => {
                self.say(at, "left", None, tag, json!({ "outcome": outcome_name(outcome) }));
            }
            What::LeftLockspace => self.say(at, "left", lockspace, tag, json!({ "outcome": null })),
            What::Status { peers, lockspaces } => {
                let views = lockspaces.iter().map(|(name, view)| (*name, json!(view)));
                let views: Map<String, Value> = views.map(|(name, view)| (name.to_owned(), view)).collect();
                self.say(
                    at,
                    "status",
                    None,
                    tag,
                    json!({ "peers": peers, "lockspaces": views }),
                );
            }
            What::Unsent { node, error } => {
                let rest = json!({ "node": node.get(), "text": error.to_string() });
                self.say(at, "unsent", None, tag, rest);
            }
            What::Error { line, text } => {
                self.say(at, "error", None, tag, json!({ "line": line, "text": text }));
            }
            What::Verbose(on) => self.questions = on,
            What::Quit => end_now(),
        }
    }
}

/// An event's own name and what else it says.
fn named(event: impl Serialize) -> (String, Value) {
    let mut rest = json!(event);
    let name = rest.as_object_mut().and_then(|rest| rest.remove("event"));
    let name = name
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    (name, rest)
}

/// In milliseconds, exact to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "microseconds of 285 years are exact")]
fn milliseconds(nanoseconds: u64) -> f64 {
    (nanoseconds / 1000) as f64 / 1000.0
}
