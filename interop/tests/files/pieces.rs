//! Sound conversations, captured badly: what comes out are the frames that went in, in order, each at most once, and
//! all of them if the capture has all bytes.

use std::net::SocketAddr;

use dlmwire_interop::capture::testkit::{TcpSegment, chunks};
use dlmwire_interop::capture::{Options, Side};

use super::Choices;
use super::stage::{Envelope, Stage};
use super::streams::Stream;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What fits into an IP packet with its headers.
const PIECE_MAX: usize = 65_000;

/// Chunks that a stream is cut into, about.
const CHUNKS_MAX: usize = 200;

/// Bytes as a way to cut streams of frames into packets, and what a capture does to those.
pub fn pieces(bytes: &[u8]) {
    let run = || {
        let mut choices = Choices { bytes };
        match choices.below(2) {
            0 => Tcp::new(&mut choices).play(&mut choices),
            _ => Sctp::new(&mut choices).play(&mut choices),
        }
    };
    assert_eq!(run(), run(), "the same packets tell the same");
}

fn ends(choices: &mut Choices<'_>) -> [SocketAddr; 2] {
    let ends = match choices.below(3) {
        0 => ["10.0.0.1:40000", "10.0.0.2:21064"],
        1 => ["[fd00::2]:21064", "[fd00::1]:33000"],
        _ => ["10.0.0.9:21064", "10.0.0.2:21064"],
    };
    ends.map(|end| end.parse().expect("an address"))
}

fn side(choices: &mut Choices<'_>) -> Side {
    if choices.flip() { Side::A } else { Side::B }
}

fn later(choices: &mut Choices<'_>) -> u64 {
    match choices.below(16) {
        0 => 0,
        1 => 121_000_000_000,
        _ => 1000 * u64::from(choices.half()),
    }
}

struct Tcp {
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
    fn new(choices: &mut Choices<'_>) -> Self {
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

    fn play(mut self, choices: &mut Choices<'_>) -> String {
        self.send(Side::A, SYN, None, 0..0, Envelope::PLAIN);
        self.send(Side::B, SYN | ACK, None, 0..0, Envelope::PLAIN);
        while !choices.is_empty() {
            self.stage.nanos += later(choices);
            self.step(choices);
        }
        if self.id.is_multiple_of(2) {
            self.send_the_rest();
        }
        let Self {
            stage,
            streams,
            is_partial,
            ..
        } = self;
        let is_whole = !is_partial && streams.iter().all(|stream| stream.edge() == stream.len());
        let (books, summary, said) = stage.finish();
        let told = books.frames.as_deref().unwrap_or_default();
        for (stream, from) in streams.iter().zip(Side::BOTH) {
            let count = stream.check(told, 0, Some(from), true);
            assert!(
                !is_whole || count == stream.frames(),
                "{count} of {}",
                stream.frames()
            );
            for link in 1..summary.stats.links {
                stream.check(told, link, None, false);
            }
        }
        // What comes very late opens further links in the middle of their streams.
        if is_whole && summary.stats.links == 1 {
            assert_eq!(
                (summary.stats.gaps, summary.stats.skipped_bytes),
                (0, 0),
                "nothing is missing"
            );
        }
        said
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let from = side(choices);
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
        1 => usize::from(choices.half()).min(PIECE_MAX),
        _ => 1 + choices.below(200),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("streams are short")
}

struct Sctp {
    stage: Stage,
    ends: [SocketAddr; 2],
    tags: [u32; 2],
    initial: [u32; 2],
    streams: [Stream; 2],
    /// What each chunk carries.
    cuts: [Vec<usize>; 2],
    /// Chunks that were delivered.
    had: [Vec<bool>; 2],
    last: Vec<u8>,
    id: u16,
    is_partial: bool,
}

impl Sctp {
    fn new(choices: &mut Choices<'_>) -> Self {
        let ends = ends(choices);
        let tags = [choices.word().max(1), choices.word().max(1)];
        let initial = [choices.word(), choices.word()];
        let streams = [Stream::new(1, choices), Stream::new(2, choices)];
        let cuts = streams.each_ref().map(|stream| cuts(stream.len(), choices));
        Self {
            stage: Stage::new(Options::default()),
            ends,
            tags,
            initial,
            had: cuts.each_ref().map(|cuts| vec![false; cuts.len() - 1]),
            streams,
            cuts,
            last: Vec::new(),
            id: 0,
            // Tags and ports that are the same both ways tell nothing about the direction.
            is_partial: tags[0] == tags[1] && ends[0].port() == ends[1].port(),
        }
    }

    fn play(mut self, choices: &mut Choices<'_>) -> String {
        let exact = !self.is_partial;
        let (a, b) = (self.tags[0], self.tags[1]);
        let init = chunks::init(a, self.initial[0], &[self.ends[0].ip()]);
        self.send_under(Side::A, 0, &[init]);
        let init_ack = chunks::init_ack(b, self.initial[1], &[self.ends[1].ip()]);
        self.send_under(Side::B, a, &[init_ack]);
        self.send_under(Side::A, b, &[chunks::cookie_echo()]);
        while !choices.is_empty() {
            self.stage.nanos += later(choices);
            self.step(choices);
        }
        if self.id.is_multiple_of(2) {
            self.send_the_rest();
        }
        let is_whole = !self.is_partial && self.had.iter().flatten().all(|had| *had);
        let (books, summary, said) = self.stage.finish();
        let told = books.frames.as_deref().unwrap_or_default();
        let exact = exact && summary.stats.missing_chunks == 0;
        for (stream, from) in self.streams.iter().zip(Side::BOTH) {
            if self.tags[0] == self.tags[1] {
                continue;
            }
            let count = stream.check(told, 0, Some(from), exact);
            assert!(
                !is_whole || count == stream.frames(),
                "{count} of {}",
                stream.frames()
            );
            for link in 1..summary.stats.links {
                stream.check(told, link, None, false);
            }
        }
        // What comes very late opens further links in the middle of their streams.
        if is_whole && summary.stats.links == 1 {
            assert_eq!(
                (summary.stats.gaps, summary.stats.skipped_bytes),
                (0, 0),
                "nothing is missing"
            );
        }
        said
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let from = side(choices);
        let count = self.had[from.index()].len();
        let edge = self.edge(from);
        match choices.below(16) {
            0 => {
                let packet = self.last.clone();
                self.stage.packet(&packet, Envelope::PLAIN);
            }
            1 => {
                let of = from.other();
                let at = usize::from(choices.half()) % (self.had[of.index()].len() + 1);
                self.is_partial |= at > self.edge(of);
                let sack = chunks::sack(self.tsn(of, at).wrapping_sub(1));
                self.send(from, &[sack]);
            }
            2 if choices.below(8) == 0 => {
                self.is_partial = true;
                self.send(from, &[chunks::abort(false)]);
            }
            3 if choices.below(4) == 0 => {
                let at = usize::from(choices.half()) % (count + 1);
                self.is_partial |= at > edge;
                let cumulative = self.tsn(from, at).wrapping_sub(1).to_be_bytes();
                self.send(from, &[chunks::chunk(192, 0, &cumulative)]);
            }
            4 => self.send(from, &[chunks::chunk(4, 0, &[0; 8])]),
            5..=8 => {
                let wanted: Vec<usize> = (0..1 + choices.below(4))
                    .map(|_| usize::from(choices.half()))
                    .collect();
                self.data(
                    from,
                    wanted
                        .into_iter()
                        .filter_map(|at| at.checked_rem(count))
                        .collect(),
                );
            }
            _ => {
                let at = edge.saturating_sub(choices.below(3));
                self.data(from, (at..count.min(at + 1 + choices.below(4))).collect());
            }
        }
    }

    fn data(&mut self, from: Side, wanted: Vec<usize>) {
        let (cuts, bytes) = (&self.cuts[from.index()], &self.streams[from.index()].bytes);
        let chunk = |at: &usize| {
            chunks::data(
                self.tsn(from, *at),
                chunks::WHOLE,
                &bytes[cuts[*at]..cuts[*at + 1]],
            )
        };
        let packet: Vec<Vec<u8>> = wanted.iter().map(chunk).collect();
        for at in wanted {
            self.had[from.index()][at] = true;
        }
        self.send(from, &packet);
    }

    fn send(&mut self, from: Side, chunks: &[Vec<u8>]) {
        let tag = self.tags[from.other().index()];
        self.send_under(from, tag, chunks);
    }

    fn send_under(&mut self, from: Side, tag: u32, chunks: &[Vec<u8>]) {
        self.id = self.id.wrapping_add(1).max(1);
        let (from, to) = (self.ends[from.index()], self.ends[from.other().index()]);
        self.last = chunks::packet(from, to, tag, self.id, chunks);
        self.stage.packet(&self.last, Envelope::PLAIN);
    }

    fn tsn(&self, of: Side, at: usize) -> u32 {
        self.initial[of.index()].wrapping_add(number(at))
    }

    fn edge(&self, of: Side) -> usize {
        let had = &self.had[of.index()];
        had.iter().position(|had| !had).unwrap_or(had.len())
    }

    fn send_the_rest(&mut self) {
        for from in Side::BOTH {
            for at in 0..self.had[from.index()].len() {
                if !self.had[from.index()][at] {
                    self.stage.nanos += 5_000_000;
                    self.data(from, vec![at]);
                }
            }
        }
    }
}

/// Where chunks begin, and the end of the last.
fn cuts(length: usize, choices: &mut Choices<'_>) -> Vec<usize> {
    let step = 1 + choices.below(255) * (1 + choices.below(6));
    let step = step.max(length / CHUNKS_MAX);
    let mut cuts: Vec<usize> = (0..length).step_by(step).collect();
    cuts.push(length);
    cuts
}
