//! Lines for programs, described in docs/json.md.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use dlmwire_codec::{Command, DecodeError, Inner, MsgType};
use dlmwire_interop::capture::{Begun, Ending, Event, Gap, GapEvidence, LinkId, Side, Stamp};
use dlmwire_interop::exchange;
use dlmwire_interop::fields::{self, Field, Meaning, Value};

use super::{Layout, Shown, Verdict};
use crate::cli::hex;
use crate::cli::json::{JsonLine, quoted};
use crate::cli::message::{Glock, Message, hash_matches};
use crate::cli::nodes::{End, Nodes};
use crate::cli::output::Output;
use crate::cli::sequence::Turn;
use crate::cli::time;

/// What is ours, not Wireshark's.
macro_rules! ours {
    ($name:literal) => {
        concat!("dlm3.analysis.", $name)
    };
}

impl Layout<'_> {
    pub(super) fn file_json(&mut self, path: &Path, out: &mut Output) -> io::Result<()> {
        self.json.start();
        self.json.text("kind", "file");
        self.json.text(ours!("file"), path.display());
        self.json.finish(out)
    }

    pub(super) fn message_json(
        &mut self,
        shown: &Shown<'_>,
        message: Option<&Message<'_>>,
        verdict: Verdict,
        out: &mut Output,
    ) -> io::Result<()> {
        self.start_of_object("message", shown.at);
        self.json.number(ours!("first_frame"), shown.place.first.packet);
        self.json.number(ours!("link"), shown.link.get());
        if let Some(transport) = shown.transport {
            self.json.text(ours!("transport"), transport);
        }
        put_end(&mut self.json, ["from", "from_address"], shown.from);
        put_end(&mut self.json, ["to", "to_address"], shown.to);
        if let Some(message) = message {
            self.put_message(message);
        }
        match shown.turn {
            Some(Turn::Again) => self.json.number(ours!("sent_again"), true),
            Some(Turn::Ahead(count)) => self.json.number(ours!("left_out"), count),
            Some(Turn::Restart) => self.json.number(ours!("starts_anew"), true),
            Some(Turn::Next) | None => {}
        }
        if shown.late {
            self.json.number(ours!("late"), true);
        }
        let sound_inside = message.is_some_and(|message| message.inner.is_some());
        put_fields(&mut self.json, shown, sound_inside);
        if let Err(error) = verdict {
            put_error(&mut self.json, &error);
        }
        if self.args.hex {
            self.json.text(ours!("hex"), hex::plain(shown.frame.bytes()));
        }
        self.json.finish(out)
    }

    /// What the message is, in words. The words of its fields come with the fields.
    fn put_message(&mut self, message: &Message<'_>) {
        let json = &mut self.json;
        json.text(ours!("cmd"), message.command.name());
        if !message.type_name().is_empty() {
            json.text(ours!("type"), message.type_name());
        }
        json.number(ours!("wrapped"), message.wrapped);
        if let Some(lockspace) = message.lockspace() {
            json.text(ours!("lockspace_id"), lockspace);
            if let Some(name) = self.lockspaces.name(lockspace) {
                json.text(ours!("lockspace"), name);
            }
        }
        if let Some(inner) = &message.inner {
            if let Some(matches) = hash_matches(inner) {
                json.number(ours!("hash_matches"), matches);
            }
            match inner {
                Inner::Msg(msg)
                    if msg.msg_type() == MsgType::Convert && exchange::is_down_conversion(msg) =>
                {
                    json.number(ours!("down_conversion"), true);
                }
                // Programs that read numbers as floating point would confuse ids of 64 bits.
                Inner::Rcom(rcom) => json.text(ours!("rc_id"), format_args!("{:#018x}", rcom.id())),
                Inner::Msg(_) | Inner::Fin => {}
            }
        }
    }

    pub(super) fn event_json(
        &mut self,
        at: Stamp,
        event: &Event<'_>,
        nodes: &Nodes,
        out: &mut Output,
    ) -> io::Result<()> {
        let Some(kind) = kind_of(event) else {
            return Ok(());
        };
        self.start_of_object(kind, at);
        let json = &mut self.json;
        if let Some(id) = super::link_of(event) {
            json.number(ours!("link"), id.get());
        }
        put_event(json, event, nodes);
        json.finish(out)
    }

    fn start_of_object(&mut self, kind: &str, at: Stamp) {
        let start = self.start.unwrap_or(at.time);
        let json = &mut self.json;
        json.start();
        json.text("kind", kind);
        json.number(ours!("frame"), at.packet);
        json.number(ours!("time_epoch"), at.time);
        json.number(ours!("time_relative"), time::relative(start, at.time));
    }
}

fn put_end(json: &mut JsonLine, [node_key, address_key]: [&str; 2], end: Option<&End>) {
    if let Some(node) = end.and_then(|end| end.node) {
        json.number(format_args!("dlm3.analysis.{node_key}"), node);
    }
    if let Some(address) = end.and_then(End::address) {
        json.text(format_args!("dlm3.analysis.{address_key}"), address);
    }
}

fn put_error(json: &mut JsonLine, error: &DecodeError) {
    json.text(ours!("error"), error.kind);
    json.number(ours!("error_offset"), error.offset);
}

/// Lists by name, for the fields that a frame may have several of.
type Lists = BTreeMap<&'static str, Vec<String>>;

/// Puts every field of the frame, and its meaning where it has one.
///
/// Of an `OPTS` that wraps a readable message the outer header gives only the number, so that each key is
/// there once; if what it wraps is not readable, the outer header is all there is.
fn put_fields(json: &mut JsonLine, shown: &Shown<'_>, sound_inside: bool) {
    let is_opts = shown.frame.bytes().get(14) == Some(&Command::Opts.wire());
    let mut lists = Lists::new();
    let mut put = |field: Field<'_>| {
        let is_header = field.name.starts_with("dlm3.h.");
        // Options lie as deep as the message behind them.
        let is_inner = field.depth > 0 && !field.name.starts_with("dlm3.t.");
        let is_shadowed = sound_inside && !is_inner && is_header && field.name != "dlm3.h.seq";
        let is_unreadable = !sound_inside && is_inner;
        if !(field.has_parts || is_opts && (is_shadowed || is_unreadable)) {
            put_field(json, &mut lists, &field);
        }
    };
    fields::walk_partial(shown.frame.bytes(), &mut put);
    for (key, items) in &lists {
        json.list(key, items);
    }
}

fn put_field(json: &mut JsonLine, lists: &mut Lists, field: &Field<'_>) {
    if field.repeats {
        let item = match field.value {
            Value::U64(number) => number.to_string(),
            Value::I64(number) => number.to_string(),
            Value::Bytes(bytes) => quoted(hex::plain(bytes)),
        };
        lists.entry(field.name).or_default().push(item);
        if let Meaning::Name(name) = field.meaning {
            lists.entry(ours!("names")).or_default().push(quoted(name));
        }
        return;
    }
    match field.value {
        Value::U64(number) => json.number(field.name, number),
        Value::I64(number) => json.number(field.name, number),
        Value::Bytes(bytes) => json.text(field.name, hex::plain(bytes)),
    }
    put_meaning(json, field);
}

/// Puts what a field means under its last name: `dlm3.m.rqmode` is explained by `dlm3.analysis.rqmode`.
fn put_meaning(json: &mut JsonLine, field: &Field<'_>) {
    let key = match field.name {
        "dlm3.h.cmd" | "dlm3.m.type" | "dlm3.rc.type" | "dlm3.o.nextcmd" => return,
        // Both stand in one message.
        "dlm3.rl.result" => "rl_result",
        name => name.rsplit('.').next().unwrap_or(name),
    };
    match field.meaning {
        Meaning::RecoveryStatus(_) => put_flags(json, "recovery_status", field),
        Meaning::ExFlags(_)
        | Meaning::SbFlags(_)
        | Meaning::MsgFlags(_)
        | Meaning::StatusFlags(_)
        | Meaning::Asts(_) => put_flags(json, key, field),
        Meaning::Name(name) => {
            json.text(ours!("name"), name);
            if let Some(glock) = Glock::from_name(name) {
                json.text(ours!("glock"), glock);
            }
        }
        Meaning::Node(node) => json.number(ours!("master"), node),
        Meaning::Word(_) | Meaning::Version(_) | Meaning::Errno(_) => {
            json.text(format_args!("dlm3.analysis.{key}"), field.meaning);
        }
        Meaning::None | Meaning::Unknown | Meaning::Hex { .. } => {}
    }
}

fn put_flags(json: &mut JsonLine, key: &str, field: &Field<'_>) {
    let mut flags = Vec::new();
    field.meaning.each_flag(|flag| flags.push(flag));
    json.texts(format_args!("dlm3.analysis.{key}"), flags);
}

/// The kind of an object about a link, or `None` for what is of no interest beside the messages.
fn kind_of(event: &Event<'_>) -> Option<&'static str> {
    Some(match event {
        Event::LinkUp { .. } => "link_up",
        Event::Refused { .. } => "refused",
        Event::FramingLost { .. } => "framing_lost",
        Event::Missing { .. } => "missing",
        Event::Resynchronised { .. } => "resynchronised",
        Event::Retransmitted { differs: true, .. } => "retransmission_differs",
        Event::Fragment { .. } => "ip_fragment",
        Event::AddressAdded { .. } => "address_added",
        Event::HalfClosed { .. } => "half_closed",
        Event::LinkDown { .. } => "link_down",
        Event::Frame { .. } | Event::Late { .. } | Event::Retransmitted { .. } | Event::SeenTwice { .. } => {
            return None;
        }
    })
}

fn put_event(json: &mut JsonLine, event: &Event<'_>, nodes: &Nodes) {
    let end = |id: LinkId, side: Side| nodes.link(id).map(|link| &link.ends[side.index()]);
    let put_sender = |id: LinkId, side: Side, json: &mut JsonLine| {
        put_end(json, ["from", "from_address"], end(id, side));
    };
    match event {
        Event::LinkUp {
            link,
            transport,
            begun,
            ..
        } => {
            json.text(ours!("transport"), transport);
            json.number(ours!("handshake"), *begun == Begun::Handshake);
            put_end(json, ["opener", "opener_address"], end(*link, Side::A));
            put_end(json, ["target", "target_address"], end(*link, Side::B));
        }
        Event::Refused {
            transport,
            opener,
            target,
        } => {
            json.text(ours!("transport"), transport);
            json.text(ours!("opener_address"), opener);
            json.text(ours!("target_address"), target);
        }
        Event::FramingLost { link, from, error } => {
            put_sender(*link, *from, json);
            put_error(json, error);
        }
        Event::Missing {
            link,
            from,
            gap,
            evidence,
            ..
        } => {
            put_sender(*link, *from, json);
            put_gap(json, *gap, *evidence);
        }
        Event::Resynchronised { link, from, skipped } => {
            put_sender(*link, *from, json);
            json.number(ours!("bytes"), skipped);
        }
        Event::Retransmitted {
            link, from, bytes, ..
        } => {
            put_sender(*link, *from, json);
            json.number(ours!("bytes"), bytes);
        }
        Event::Fragment {
            source, destination, ..
        } => {
            json.text(ours!("from_address"), source);
            json.text(ours!("to_address"), destination);
        }
        Event::AddressAdded { link, side, address } => {
            put_sender(*link, *side, json);
            json.text(ours!("address"), address);
        }
        Event::HalfClosed { link, from } => put_sender(*link, *from, json),
        Event::LinkDown { link, why, .. } => {
            json.text(ours!("why"), ending_name(*why));
            if let Ending::Reset { from } | Ending::Abort { from } = why {
                put_sender(*link, *from, json);
            }
        }
        Event::Frame { .. } | Event::Late { .. } | Event::SeenTwice { .. } => {}
    }
}

fn put_gap(json: &mut JsonLine, gap: Gap, evidence: GapEvidence) {
    match gap {
        Gap::Bytes(bytes) => json.number(ours!("bytes"), bytes),
        Gap::Chunks(chunks) => json.number(ours!("chunks"), chunks),
    }
    json.text(ours!("evidence"), evidence_name(evidence));
}

fn ending_name(why: Ending) -> &'static str {
    match why {
        Ending::Fin => "fin",
        Ending::Reset { .. } => "reset",
        Ending::Abort { .. } => "abort",
        Ending::Shutdown => "shutdown",
        Ending::Replaced => "replaced",
        Ending::EndOfCapture => "end_of_capture",
        Ending::Evicted => "evicted",
    }
}

fn evidence_name(evidence: GapEvidence) -> &'static str {
    match evidence {
        GapEvidence::Acknowledged => "acknowledged",
        GapEvidence::Snapshot => "snapshot",
        GapEvidence::Overflow => "overflow",
        GapEvidence::End => "end",
        GapEvidence::Forward => "forward",
    }
}
