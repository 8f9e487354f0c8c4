//! Many connections into one loop.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::event::epoll;

use super::stream::Ring;
use super::{Counts, End, Meter, READ_BYTES, Setup, acknowledge, both, encode, is_gone, pair, split};

/// Readiness that is fetched from the system in one call.
const EVENTS_MAX: usize = 1024;

/// What may be unacknowledged on each connection; a node's smallest queue.
const RING_BYTES: usize = 128 << 10;

/// New bytes before an acknowledgement is worth a write, as for a node.
const ACK_AFTER_BYTES: usize = 32 << 10;

/// One thread writes `per_write` messages, or a record of them, to each of `connections` in turn, another reads all of
/// them. Nothing is kept and nothing acknowledged.
pub(crate) fn run(setup: &Setup, connections: usize, per_write: usize) -> io::Result<[End; 2]> {
    let (to, from) = pairs(setup, connections)?;
    let per_write = setup.per_write(per_write);
    both(
        setup,
        |meter| repeat(to, setup.frame_bytes, per_write, meter),
        |meter| receive(from, false, meter),
    )
}

/// The same, but messages are encoded into a ring, numbered, and leave it when they are acknowledged.
pub(crate) fn numbered(setup: &Setup, connections: usize, per_write: usize) -> io::Result<[End; 2]> {
    let (to, from) = pairs(setup, connections)?;
    let per_write = setup.per_write(per_write);
    both(
        setup,
        |meter| send(to, setup.frame_bytes, per_write, meter),
        |meter| receive(from, true, meter),
    )
}

/// The sending and the receiving ends.
fn pairs(setup: &Setup, connections: usize) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let pairs: Vec<_> = (0..connections).map(|_| pair(setup)).collect::<io::Result<_>>()?;
    Ok(pairs.into_iter().map(|[one, other]| (one, other)).unzip())
}

fn repeat(to: Vec<TcpStream>, frame_bytes: usize, per_write: usize, mut meter: Meter) -> io::Result<End> {
    let mut batch = vec![7; per_write * frame_bytes];
    for (seq, frame) in (0..).zip(batch.chunks_exact_mut(frame_bytes)) {
        encode(frame, seq, 0);
    }
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        for mut stream in &to {
            stream.write_all(&batch)?;
            counts.writes += 1;
            counts.messages += per_write as u64;
        }
    }
    Ok(meter.end(counts))
}

fn send(to: Vec<TcpStream>, frame_bytes: usize, per_write: usize, mut meter: Meter) -> io::Result<End> {
    let ring = || Ring::new(frame_bytes, RING_BYTES, per_write * frame_bytes);
    let mut rings: Vec<Ring> = to.iter().map(|_| ring()).collect();
    let total = |rings: &[Ring]| {
        rings.iter().fold(Counts::default(), |sum, ring| Counts {
            messages: sum.messages + ring.counts.messages,
            writes: sum.writes + ring.counts.writes,
            reads: sum.reads + ring.counts.reads,
            acks: sum.acks,
        })
    };
    while !meter.is_over(|| total(&rings)) {
        let now = meter.now();
        for (ring, stream) in rings.iter_mut().zip(&to) {
            ring.fill(now);
            ring.write(stream)?;
            // Looked for only when there is likely one: that is a system call less for most writes.
            if ring.unacknowledged() > RING_BYTES / 2 {
                ring.take_acks(stream, ring.is_full())?;
            }
        }
    }
    Ok(meter.end(total(&rings)))
}

/// What a connection has brought.
#[derive(Default)]
struct Inlet {
    tail: Vec<u8>,
    next: u32,
    unacknowledged: usize,
}

fn receive(from: Vec<TcpStream>, numbered: bool, mut meter: Meter) -> io::Result<End> {
    let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut inlets = Vec::with_capacity(from.len());
    for (at, stream) in (0..).zip(from) {
        stream.set_nonblocking(true)?;
        epoll::add(
            &queue,
            &stream,
            epoll::EventData::new_u64(at),
            epoll::EventFlags::IN,
        )?;
        inlets.push((stream, Inlet::default()));
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut counts = Counts::default();
    loop {
        meter.is_over(|| counts);
        epoll::wait(&queue, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let at = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let Some((stream, inlet)) = inlets.get_mut(at) else {
                continue;
            };
            match inlet.read(stream, &mut buffer, numbered, &mut counts) {
                Ok(true) => {}
                Ok(false) => return Ok(meter.end(counts)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_gone(&error) => return Ok(meter.end(counts)),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Inlet {
    /// Reads once; `false` at the end.
    fn read(
        &mut self,
        mut stream: &TcpStream,
        buffer: &mut [u8],
        numbered: bool,
        counts: &mut Counts,
    ) -> io::Result<bool> {
        let kept = self.tail.len();
        buffer
            .get_mut(..kept)
            .unwrap_or_default()
            .copy_from_slice(&self.tail);
        let count = stream.read(buffer.get_mut(kept..).unwrap_or_default())?;
        if count == 0 {
            return Ok(false);
        }
        counts.reads += 1;
        let mut rest = buffer.get(..kept + count).unwrap_or_default();
        while let Some((seq, frame, behind)) = split(rest)? {
            if numbered {
                if seq != self.next {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                self.next = seq.wrapping_add(1);
                self.unacknowledged += frame.len();
            }
            counts.messages += 1;
            rest = behind;
        }
        self.tail.clear();
        self.tail.extend_from_slice(rest);
        if self.unacknowledged >= ACK_AFTER_BYTES {
            self.unacknowledged = 0;
            counts.acks += 1;
            counts.writes += 1;
            acknowledge(stream, self.next)?;
        }
        Ok(true)
    }
}
