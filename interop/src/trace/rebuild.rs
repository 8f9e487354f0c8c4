//! A capture made of a trace, when nobody captured.
//!
//! Events hold every field of a message but for one byte of padding, and the order in which a kernel sent and took
//! them. What no event tells is not made up: there is no `ACK` and no `FIN`, nothing that travelled bare, that was sent
//! again, dropped or thrown away. The connections are made up, one for each conversation with a peer, and comments on packets say so.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use dlmwire_codec::{
    Content, Frame, FrameFields, InnerFields, Limits, Msg, MsgFields, NodeId, Options, OptsFields, Payload,
    RcomFields, Split, Tail, split,
};

use super::event::{Direction, EventKind, Message, TraceEvent};
use super::read::Trace;
use crate::capture::{DLM_PORT, Timestamp};
use crate::synth::{CaptureWriter, End, TcpLink};

/// The port of the side that is said to have connected.
const OPENER_PORT: u16 = 40_000;

const ABOUT_A_LINK: &str = "rebuilt from a kernel trace: the connection is made up; ACK and FIN frames, bare messages, \
                            what was sent again, dropped or thrown away have no events and are not here";
const ABOUT_A_RESTART: &str =
    "numbers start again here: another conversation; how the one before ended is not known";
const ABOUT_A_CLOCK: &str =
    "the trace does not say what time its time is: times count from the trace clock's zero";

/// What came of rebuilding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rebuilt {
    /// Frames that were written.
    pub frames: u64,
    /// Messages whose receiver is not known: 6.1 does not say it, and there are several peers.
    pub receiver_unknown: u64,
    /// Messages whose length is not what their event says.
    pub length_differs: u64,
    /// Conversations, which became connections.
    pub conversations: u64,
}

/// Writes a capture of what `node` sent and took; `peer` is who messages without a receiver are for, where the trace
/// has several.
///
/// # Errors
///
/// What writing to `out` gives.
pub fn rebuild<W: Write>(
    trace: &Trace,
    node: NodeId,
    peer: Option<NodeId>,
    out: W,
) -> io::Result<(W, Rebuilt)> {
    let talks = Talks::of(trace, node, peer);
    let mut rebuild = Rebuild {
        writer: CaptureWriter::pcapng_of_loopback(out, "trace")?,
        node,
        links: BTreeMap::new(),
        offset: trace
            .clock
            .map(|clock| i128::from(clock.realtime) - i128::from(clock.trace)),
        done: Rebuilt {
            receiver_unknown: talks.receiver_unknown,
            ..Rebuilt::default()
        },
    };
    for one in &talks.messages {
        rebuild.message(one)?;
    }
    let done = rebuild.done;
    Ok((rebuild.writer.finish()?, done))
}

/// Address of a node in the capture.
fn address(node: NodeId) -> IpAddr {
    let [a, b, c, d] = node.get().to_be_bytes();
    let words = [
        0xfd00,
        0,
        0,
        0,
        0,
        0,
        u16::from_be_bytes([a, b]),
        u16::from_be_bytes([c, d]),
    ];
    IpAddr::V6(Ipv6Addr::from(words))
}

/// A message with what the others around it tell of it.
struct Placed<'t> {
    event: &'t TraceEvent,
    message: &'t Message,
    peer: NodeId,
    /// The first of a conversation that is not the first one.
    restarts: bool,
}

/// The messages of a trace, each put into its conversation.
struct Talks<'t> {
    messages: Vec<Placed<'t>>,
    receiver_unknown: u64,
}

impl<'t> Talks<'t> {
    fn of(trace: &'t Trace, node: NodeId, peer: Option<NodeId>) -> Self {
        let messages = || trace.events.iter().filter_map(message_of);
        let mut senders: Vec<NodeId> = messages().filter_map(|(_, message)| sender(message)).collect();
        senders.retain(|sender| *sender != node);
        senders.sort_unstable();
        senders.dedup();
        let only = peer.or(match senders.as_slice() {
            [only] => Some(*only),
            _ => None,
        });
        let mut talks = Self {
            messages: Vec::new(),
            receiver_unknown: 0,
        };
        for (event, message) in messages() {
            let peer = match message.direction {
                Direction::Received => sender(message),
                Direction::Sent => message.to.or(only),
            };
            let Some(peer) = peer else {
                talks.receiver_unknown += 1;
                continue;
            };
            talks.messages.push(Placed {
                event,
                message,
                peer,
                restarts: false,
            });
        }
        talks.find_restarts();
        talks
    }

    /// Finds the first message of each further conversation: a number that has been there.
    fn find_restarts(&mut self) {
        let mut seen: BTreeMap<NodeId, [std::collections::BTreeSet<u32>; 2]> = BTreeMap::new();
        for one in &mut self.messages {
            let numbers = seen.entry(one.peer).or_default();
            let seq = one.message.seq.get();
            if !numbers[usize::from(one.message.direction == Direction::Received)].insert(seq) {
                one.restarts = true;
                *numbers = Default::default();
                numbers[usize::from(one.message.direction == Direction::Received)].insert(seq);
            }
        }
    }
}

struct Rebuild<W> {
    writer: CaptureWriter<W>,
    node: NodeId,
    links: BTreeMap<NodeId, TcpLink>,
    offset: Option<i128>,
    done: Rebuilt,
}

impl<W: Write> Rebuild<W> {
    fn message(&mut self, one: &Placed<'_>) -> io::Result<()> {
        if usize::from(one.message.stated_length) != one.message.frame.len() {
            self.done.length_differs += 1;
            return Ok(());
        }
        let time = self.time(one.event);
        let mut link = self.link(one, time)?;
        let bytes = wrapped(one.message).map_err(io::Error::other)?;
        let from = match one.message.direction {
            Direction::Sent => End::Opener,
            Direction::Received => End::Acceptor,
        };
        link.send(&mut self.writer, time, from, &bytes)?;
        self.links.insert(one.peer, link);
        self.done.frames += 1;
        Ok(())
    }

    /// The connection with a peer; another one for another conversation.
    fn link(&mut self, one: &Placed<'_>, time: Timestamp) -> io::Result<TcpLink> {
        let known = self.links.remove(&one.peer);
        let about = match (known, one.restarts) {
            (Some(link), false) => return Ok(link),
            (Some(mut old), true) => {
                old.close(&mut self.writer, time, End::Opener)?;
                old.close(&mut self.writer, time, End::Acceptor)?;
                format!("{ABOUT_A_LINK}; {ABOUT_A_RESTART}")
            }
            (None, _) if self.offset.is_none() => format!("{ABOUT_A_LINK}; {ABOUT_A_CLOCK}"),
            (None, _) => ABOUT_A_LINK.to_owned(),
        };
        self.writer.comment(about);
        self.done.conversations += 1;
        let spread = u16::try_from(self.done.conversations % 20_000).unwrap_or_default();
        let opener = SocketAddr::new(address(self.node), OPENER_PORT + spread);
        let acceptor = SocketAddr::new(address(one.peer), DLM_PORT);
        TcpLink::open(&mut self.writer, time, opener, acceptor)
    }

    fn time(&self, event: &TraceEvent) -> Timestamp {
        let nanos = i128::from(event.time.as_nanos()) + self.offset.unwrap_or_default();
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or_default())
    }
}

fn message_of(event: &TraceEvent) -> Option<(&TraceEvent, &Message)> {
    match &event.kind {
        EventKind::Message(message) => Some((event, message)),
        EventKind::Socket(_) => None,
    }
}

fn word(message: &Message, at: usize) -> Option<u32> {
    let bytes = message.frame.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}

fn sender(message: &Message) -> Option<NodeId> {
    match message.direction {
        Direction::Received => NodeId::new(word(message, 8)?),
        Direction::Sent => None,
    }
}

fn decoded(message: &Message) -> Option<Frame<'_>> {
    let limits = Limits {
        frame_bytes_max: u16::MAX,
    };
    match split(&message.frame, limits) {
        Split::Frame { frame, .. } => frame.decode().ok(),
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}

/// A message in an `OPTS` with its number.
fn wrapped(message: &Message) -> Result<Vec<u8>, dlmwire_codec::EncodeError> {
    let too_long = dlmwire_codec::EncodeError::TooLong {
        length: message.frame.len(),
    };
    let frame = decoded(message).ok_or(too_long)?;
    let inner = match &frame {
        Frame::Msg(msg) => InnerFields::Msg(fields(msg)),
        Frame::Rcom(rcom) => InnerFields::Rcom(RcomFields {
            lockspace: rcom.lockspace(),
            result: rcom.result(),
            id: rcom.id(),
            seq: rcom.seq(),
            seq_reply: rcom.seq_reply(),
            payload: Payload::Other {
                rcom_type: rcom.rcom_type().wire(),
                bytes: rcom.payload_bytes(),
            },
        }),
        Frame::Opts(_) | Frame::Ack(_) => return Err(too_long),
    };
    let fields = FrameFields {
        version: frame.version(),
        node: frame.node(),
        content: Content::Opts(OptsFields {
            seq: message.seq,
            options: Options::NONE,
            inner,
        }),
    };
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode_into(&mut bytes)?;
    Ok(bytes)
}

/// The fields of a lock message, its tail as it is.
fn fields<'a>(msg: &Msg<'a>) -> MsgFields<'a> {
    MsgFields {
        lockspace: msg.lockspace(),
        msg_type: msg.msg_type(),
        nodeid: msg.nodeid(),
        pid: msg.pid(),
        lkid: msg.lkid(),
        remid: msg.remid(),
        parent_lkid: msg.parent_lkid(),
        parent_remid: msg.parent_remid(),
        exflags: msg.exflags(),
        sbflags: msg.sbflags(),
        flags: msg.flags(),
        lvbseq: msg.lvbseq(),
        hash: msg.hash(),
        status: msg.status(),
        grmode: msg.grmode(),
        rqmode: msg.rqmode(),
        bastmode: msg.bastmode(),
        asts: msg.asts(),
        result: msg.result(),
        tail: Tail::Opaque(msg.extra()),
    }
}
