//! A TCP connection, cut into segments.

use std::net::SocketAddr;

use dlmwire_interop::capture::testkit::{ACK, FIN, RST, SYN, TcpSegment};
use dlmwire_interop::capture::{Options, Side};

use super::{ends, judge, later, number};
use crate::files::stage::{Envelope, Stage};
use crate::files::streams::Stream;
use crate::files::{Choices, PACKET_PAYLOAD_MAX};

pub(super) struct Tcp {
    stage: Stage,
    ends: [SocketAddr; 2],
    initial: [u32; 2],
    streams: [Stream; 2],
    last: Option<TcpSegment>,
    id: u16,
    /// Whether the capture lacks something, or the connection ended early.
    is_partial: bool,
}

impl Tcp {
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
        let ends = ends(choices);
        let initial = [choices.word(), choices.word()];
        let streams = [Stream::new(1, choices), Stream::new(2, choices)];
        Self {
            stage: Stage::new(Options::default()),
            ends,
            initial,
            streams,
            last: None,
            id: 0,
            is_partial: false,
        }
    }

    pub(super) fn play(mut self, choices: &mut Choices<'_>) -> String {
        self.send(Side::A, SYN, None, 0..0, Envelope::PLAIN);
        self.send(Side::B, SYN | ACK, None, 0..0, Envelope::PLAIN);
        while !choices.is_empty() {
            self.stage.nanos += later(choices);
            self.step(choices);
        }
        if self.id.is_multiple_of(2) {
            self.send_the_rest();
        }
        let is_whole = !self.is_partial && self.streams.iter().all(|stream| stream.edge() == stream.len());
        judge(self.stage, &self.streams, is_whole, |_| true)
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let from = choices.side();
        let length = self.streams[from.index()].len();
        match choices.below(16) {
            0 => self.again(choices),
            1 => self.ack_ahead(from, choices),
            2 => self.cut_short(from, choices),
            3 if choices.below(8) == 0 => {
                self.is_partial = true;
                self.send(from, RST | ACK, None, 0..0, Envelope::PLAIN);
            }
            4 if choices.below(4) == 0 => self.send(from, FIN | ACK, None, length..length, Envelope::PLAIN),
            5 => self.send(
                from,
                SYN | if from == Side::A { 0 } else { ACK },
                None,
                0..0,
                Envelope::PLAIN,
            ),
            6..=9 => {
                let at = usize::from(choices.half()) % (length + 1);
                let end = (at + piece(choices)).min(length);
                self.send(from, ACK, None, at..end, Envelope::PLAIN);
            }
            _ => {
                let edge = self.streams[from.index()].edge();
                let at = edge.saturating_sub(choices.below(3) * choices.below(32));
                let end = (at + piece(choices)).min(length);
                self.send(from, ACK, None, at..end, Envelope::PLAIN);
            }
        }
    }

    fn send(
        &mut self,
        from: Side,
        flags: u8,
        ack: Option<u32>,
        range: std::ops::Range<usize>,
        envelope: Envelope,
    ) {
        self.id = self.id.wrapping_add(1).max(1);
        let syn = flags & SYN != 0;
        let start = if flags & RST != 0 {
            self.streams[from.index()].edge()
        } else {
            range.start
        };
        let acked = self.streams[from.other().index()].edge();
        let segment = TcpSegment {
            from: self.ends[from.index()],
            to: self.ends[from.other().index()],
            seq: self.initial[from.index()]
                .wrapping_add(number(start))
                .wrapping_add(u32::from(!syn)),
            ack: ack.unwrap_or_else(|| self.seq(from.other(), acked)),
            flags,
            id: self.id,
            bytes: self.streams[from.index()].bytes[range.clone()].to_vec(),
        };
        if envelope.snap == usize::MAX {
            self.streams[from.index()].deliver(range.start, range.len());
        }
        self.stage.packet(&segment.packet(), envelope);
        self.last = Some(segment);
    }

    fn seq(&self, side: Side, at: usize) -> u32 {
        self.initial[side.index()]
            .wrapping_add(1)
            .wrapping_add(number(at))
    }

    /// The last packet once more: captured twice, or sent twice.
    fn again(&mut self, choices: &mut Choices<'_>) {
        if let Some(last) = self.last.clone() {
            let segment = if choices.flip() { last.again() } else { last };
            self.stage.packet(&segment.packet(), Envelope::PLAIN);
        }
    }

    /// An acknowledgement of what the capture may not have.
    fn ack_ahead(&mut self, from: Side, choices: &mut Choices<'_>) {
        let of = &self.streams[from.other().index()];
        let at = usize::from(choices.half()) % (of.len() + 1);
        self.is_partial |= at > of.edge();
        let ack = self.seq(from.other(), at);
        self.send(from, ACK, Some(ack), 0..0, Envelope::PLAIN);
    }

    /// A packet of which the snapshot length left a part.
    fn cut_short(&mut self, from: Side, choices: &mut Choices<'_>) {
        let length = self.streams[from.index()].len();
        let at = usize::from(choices.half()) % (length + 1);
        let end = (at + piece(choices)).min(length);
        let snap = 40 + choices.below(120);
        self.is_partial = true;
        let envelope = Envelope {
            snap,
            ..Envelope::PLAIN
        };
        self.send(from, ACK, None, at..end, envelope);
    }

    fn send_the_rest(&mut self) {
        for from in Side::BOTH {
            while self.streams[from.index()].edge() < self.streams[from.index()].len() {
                let at = self.streams[from.index()].edge();
                let end = (at + 1400).min(self.streams[from.index()].len());
                self.stage.nanos += 5_000_000;
                self.send(from, ACK, None, at..end, Envelope::PLAIN);
            }
        }
    }
}

fn piece(choices: &mut Choices<'_>) -> usize {
    match choices.below(8) {
        0 => 1,
        1 => usize::from(choices.half()).min(PACKET_PAYLOAD_MAX),
        _ => 1 + choices.below(200),
    }
}
