//! One direction of the wire, put so that events can be looked up in it.

use std::collections::BTreeMap;

use dlmwire_codec::{Frame, Inner, Limits, OPTS_HEADER_LEN, RawFrame, Seq, Split, split};

use super::wire::{Wire, WireFrame};

/// `h_pad`: no event tells it.
const AT_PAD: usize = 15;

/// A frame, seen from outside: what may have an event, and what cannot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carried<'w> {
    /// A message of the lock layer with its number, `None` for a bare one.
    Message { seq: Option<Seq>, bytes: &'w [u8] },
    /// A `FIN`.
    Fin,
    /// An `ACK` with the number that it says.
    Ack(Seq),
    /// Nothing that can be read.
    Unreadable,
}

/// A frame of this direction.
#[derive(Clone, Debug)]
pub(super) struct Sighting<'w> {
    pub(super) frame: &'w WireFrame,
    pub(super) carried: Carried<'w>,
    /// The event that it belongs to.
    pub(super) event: Option<usize>,
}

/// A message without the byte that no event tells.
type Key<'w> = (&'w [u8], &'w [u8]);

/// The frames of one direction.
#[derive(Debug, Default)]
pub(super) struct Traffic<'w> {
    pub(super) sightings: Vec<Sighting<'w>>,
    /// Copies by conversation and number.
    numbered: BTreeMap<(u32, u32), Vec<usize>>,
    /// Conversations that have a number.
    sessions: BTreeMap<u32, Vec<u32>>,
    /// The highest number that an `ACK` of this direction says, by conversation.
    acked: BTreeMap<u32, Seq>,
}

impl<'w> Traffic<'w> {
    /// Takes the next frame.
    pub(super) fn push(&mut self, wire: &'w Wire, frame: &'w WireFrame) {
        let index = self.sightings.len();
        let carried = carried(wire.bytes(frame));
        match carried {
            Carried::Message { seq: Some(seq), .. } => {
                let copies = self.numbered.entry((frame.session, seq.get())).or_default();
                if copies.is_empty() {
                    self.sessions.entry(seq.get()).or_default().push(frame.session);
                }
                copies.push(index);
            }
            Carried::Ack(seq) => {
                let highest = self.acked.entry(frame.session).or_insert(seq);
                if highest.before(seq) {
                    *highest = seq;
                }
            }
            Carried::Message { seq: None, .. } | Carried::Fin | Carried::Unreadable => {}
        }
        self.sightings.push(Sighting {
            frame,
            carried,
            event: None,
        });
    }

    /// The copies of a number in a conversation, in the order of the capture.
    pub(super) fn copies(&self, session: u32, seq: Seq) -> &[usize] {
        self.numbered
            .get(&(session, seq.get()))
            .map_or(&[], Vec::as_slice)
    }

    /// The conversations that have this number, in order.
    pub(super) fn sessions_with(&self, seq: Seq) -> &[u32] {
        self.sessions.get(&seq.get()).map_or(&[], Vec::as_slice)
    }

    /// Whether a copy has these bytes.
    pub(super) fn is_copy(&self, index: usize, bytes: &[u8]) -> bool {
        match self.sightings.get(index).map(|sighting| sighting.carried) {
            Some(Carried::Message { bytes: other, .. }) => key(other) == key(bytes),
            Some(Carried::Fin | Carried::Ack(_) | Carried::Unreadable) | None => false,
        }
    }

    /// Whether this direction acknowledged a number of the other one.
    pub(super) fn has_acked(&self, session: u32, seq: Seq) -> bool {
        self.acked.get(&session).is_some_and(|acked| seq.before(*acked))
    }

    /// The highest number of a conversation on the wire.
    pub(super) fn highest(&self, session: u32) -> Option<u32> {
        let numbers = self.numbered.range((session, 0)..=(session, u32::MAX));
        numbers.last().map(|((_, number), _)| *number)
    }
}

fn key(bytes: &[u8]) -> Key<'_> {
    let (head, tail) = bytes.split_at_checked(AT_PAD).unwrap_or((bytes, &[]));
    (head, tail.get(1..).unwrap_or_default())
}

fn carried(bytes: &[u8]) -> Carried<'_> {
    let Some(Ok(frame)) = raw(bytes).map(|raw| raw.decode()) else {
        return Carried::Unreadable;
    };
    match frame {
        Frame::Msg(_) | Frame::Rcom(_) => Carried::Message { seq: None, bytes },
        Frame::Ack(ack) => Carried::Ack(ack.seq),
        Frame::Opts(opts) => match opts.inner {
            Ok(Inner::Fin) => Carried::Fin,
            Ok(Inner::Msg(_) | Inner::Rcom(_)) => {
                let before = OPTS_HEADER_LEN.saturating_add(opts.options.encoded_len());
                let bytes = bytes.get(before..).unwrap_or_default();
                let seq = Some(opts.seq);
                Carried::Message { seq, bytes }
            }
            Err(_) => Carried::Unreadable,
        },
    }
}

fn raw(bytes: &[u8]) -> Option<RawFrame<'_>> {
    let limits = Limits {
        frame_bytes_max: u16::MAX,
    };
    match split(bytes, limits) {
        Split::Frame { frame, .. } => Some(frame),
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}
