//! An SCTP association, cut into chunks.

use std::net::SocketAddr;

use dlmwire_interop::capture::testkit::chunks;
use dlmwire_interop::capture::{Options, Side};

use super::{ends, judge, later, number};
use crate::files::Choices;
use crate::files::stage::{Envelope, Stage};
use crate::files::streams::Stream;

/// Chunks that a stream is cut into, about.
const CHUNKS_MAX: usize = 200;

pub(super) struct Sctp {
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
    pub(super) fn new(choices: &mut Choices<'_>) -> Self {
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

    pub(super) fn play(mut self, choices: &mut Choices<'_>) -> String {
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
        let streams = if a == b { &[] } else { &self.streams[..] };
        judge(self.stage, streams, is_whole, |summary| {
            exact && summary.stats.missing_chunks == 0
        })
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        let from = choices.side();
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
