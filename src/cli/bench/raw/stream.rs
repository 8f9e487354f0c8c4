//! One connection, as many messages as go through.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::net::{RecvFlags, recv};

use super::{Counts, End, Meter, READ_BYTES, Setup, acknowledge, both, encode, is_gone, pair, split, stamp};

/// What may be unacknowledged; as much as a node's queue holds by default.
const RING_BYTES: usize = 4 << 20;

/// New messages before an acknowledgement is worth a write.
const ACK_AFTER: u32 = 32;

/// Of how many messages one is timed.
const TIMED_EVERY: u32 = 256;

/// R0: frames that are made once are written again and again, and split by the receiver.
pub(crate) fn unnumbered(setup: &Setup) -> io::Result<[End; 2]> {
    let [to, from] = pair(setup)?;
    both(
        setup,
        |meter| repeat(&to, setup, meter),
        |meter| receive(&from, meter, false),
    )
}

/// R1: each message is encoded into a ring, numbered, written once in batches, and leaves the ring when it is
/// acknowledged.
pub(crate) fn numbered(setup: &Setup) -> io::Result<[End; 2]> {
    let [to, from] = pair(setup)?;
    both(
        setup,
        |meter| Ring::new(setup.frame_bytes, RING_BYTES, setup.write_bytes()).send(&to, meter),
        |meter| receive(&from, meter, true),
    )
}

fn repeat(mut to: &TcpStream, setup: &Setup, mut meter: Meter) -> io::Result<End> {
    let frame_bytes = setup.frame_bytes;
    let mut batch = vec![7; setup.write_bytes() / frame_bytes * frame_bytes];
    for (seq, frame) in (0..).zip(batch.chunks_exact_mut(frame_bytes)) {
        encode(frame, seq, 0);
    }
    let per_write = (batch.len() / frame_bytes) as u64;
    let mut counts = Counts::default();
    while !meter.is_over(|| counts) {
        to.write_all(&batch)?;
        counts.writes += 1;
        counts.messages += per_write;
    }
    to.shutdown(std::net::Shutdown::Write)?;
    Ok(meter.end(counts))
}

/// What was sent and is not acknowledged, as the bytes that were written. Positions are counted from the start of the
/// stream; frames do not lie across the end of the memory.
pub(super) struct Ring {
    bytes: Vec<u8>,
    payload: Vec<u8>,
    frame_bytes: usize,
    write_bytes: usize,
    head: usize,
    written: usize,
    tail: usize,
    seq: u32,
    acked: u32,
    /// What came of an acknowledgement that is not whole.
    ack: Vec<u8>,
    pub(super) counts: Counts,
}

impl Ring {
    /// One of `bytes` that is filled up for a write of `write_bytes`.
    pub(super) fn new(frame_bytes: usize, bytes: usize, write_bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes / frame_bytes * frame_bytes],
            payload: vec![7; frame_bytes],
            frame_bytes,
            write_bytes,
            head: 0,
            written: 0,
            tail: 0,
            seq: 0,
            acked: 0,
            ack: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn send(mut self, to: &TcpStream, mut meter: Meter) -> io::Result<End> {
        while !meter.is_over(|| self.counts) {
            self.fill(meter.now());
            let full = self.head == self.written;
            self.write(to)?;
            self.take_acks(to, full)?;
        }
        to.shutdown(std::net::Shutdown::Write)?;
        Ok(meter.end(self.counts))
    }

    /// Encodes as many messages as one write carries.
    pub(super) fn fill(&mut self, stamp: u64) {
        let stop = self.written + self.write_bytes;
        while self.head + self.frame_bytes <= stop.min(self.tail + self.bytes.len()) {
            let at = self.head % self.bytes.len();
            let Some(frame) = self.bytes.get_mut(at..at + self.frame_bytes) else {
                break;
            };
            frame.copy_from_slice(&self.payload);
            encode(frame, self.seq, stamp);
            self.seq = self.seq.wrapping_add(1);
            self.head += self.frame_bytes;
            self.counts.messages += 1;
        }
    }

    pub(super) fn write(&mut self, mut to: &TcpStream) -> io::Result<()> {
        while self.written < self.head {
            let at = self.written % self.bytes.len();
            let end = (at + self.head - self.written).min(self.bytes.len());
            self.written += to.write(self.bytes.get(at..end).unwrap_or_default())?;
            self.counts.writes += 1;
        }
        Ok(())
    }

    /// Whether no message has room.
    pub(super) const fn is_full(&self) -> bool {
        self.unacknowledged() + self.frame_bytes > self.bytes.len()
    }

    /// Bytes that are not acknowledged, as far as is known.
    pub(super) const fn unacknowledged(&self) -> usize {
        self.head - self.tail
    }

    /// Takes what acknowledgements are there, or waits for one.
    pub(super) fn take_acks(&mut self, from: &TcpStream, wait: bool) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let flags = if wait {
            RecvFlags::empty()
        } else {
            RecvFlags::DONTWAIT
        };
        let count = match recv(from, &mut buffer, flags) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((count, _)) => count,
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.counts.reads += 1;
        self.ack
            .extend_from_slice(buffer.get(..count).unwrap_or_default());
        let mut rest = self.ack.as_slice();
        let mut acked = self.acked;
        while let Some((seq, _, behind)) = split(rest)? {
            acked = seq;
            rest = behind;
        }
        self.ack.drain(..self.ack.len() - rest.len());
        while self.acked != acked {
            // The length is read from the frame: the ring keeps nothing per message.
            let at = self.tail % self.bytes.len();
            let Some((_, frame, _)) = split(self.bytes.get(at..).unwrap_or_default())? else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            self.tail += frame.len();
            self.acked = self.acked.wrapping_add(1);
        }
        Ok(())
    }
}

fn receive(mut from: &TcpStream, mut meter: Meter, acks: bool) -> io::Result<End> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut kept, mut next, mut acked) = (0, 0_u32, 0_u32);
    let mut counts = Counts::default();
    loop {
        // Looked at before it reads: an end that waits for nothing has its window too.
        meter.is_over(|| counts);
        let count = match from.read(buffer.get_mut(kept..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if is_gone(&error) => break,
            Err(error) => return Err(error),
        };
        counts.reads += 1;
        let filled = kept + count;
        let mut rest = buffer.get(..filled).unwrap_or_default();
        while let Some((seq, frame, behind)) = split(rest)? {
            if acks {
                if seq != next {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                if seq.is_multiple_of(TIMED_EVERY)
                    && let Some(stamp) = stamp(frame)
                {
                    meter.took(stamp);
                }
                next = next.wrapping_add(1);
            }
            counts.messages += 1;
            rest = behind;
        }
        kept = rest.len();
        buffer.copy_within(filled - kept..filled, 0);
        if acks && next.wrapping_sub(acked) >= ACK_AFTER {
            match acknowledge(from, next) {
                Err(error) if is_gone(&error) => break,
                outcome => outcome?,
            }
            acked = next;
            counts.acks += 1;
            counts.writes += 1;
        }
    }
    Ok(meter.end(counts))
}
