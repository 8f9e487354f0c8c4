//! Long captures out of short ones.
//!
//! A capture is written again and again, each time later and on other ports, sequence numbers and
//! verification tags, so that every repetition is new links with the same frames. Checksums are not
//! corrected.

use std::io::{BufWriter, Write};
use std::path::Path;

use super::End;
use super::error::CaptureError;
use super::event::Timestamp;
use super::layers::{Datagram, Fragment, Layers, LinkType, TCP, layers};
use super::packets::{Packet, Packets};

const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
const SNAPSHOT_LEN: u32 = 262_144;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// Between the last packet of one repetition and the first of the next.
const PAUSE_NANOS: u64 = NANOS_PER_SECOND;

const FIRST_PORT: u16 = 1024;
const PORTS: u64 = 64_512;
/// Prime to the number of ports, so that all are used before one is used again.
const PORT_STEP: u64 = 211;
const SEQUENCE_STEP: u32 = 0x1357_9bdf;
const TAG_STEP: u32 = 0x9e37_79b1;

/// Writes the capture at `input` to `output`, as nanosecond pcap, until that has at least `target_bytes`.
/// Returns how often.
///
/// `ports` are the DLM ports; they stay.
///
/// # Errors
///
/// If the capture cannot be read to its end, is empty of packets, or writing fails.
pub fn repeat(
    input: &Path,
    output: impl Write,
    ports: &[u16],
    target_bytes: u64,
) -> Result<u64, CaptureError> {
    let mut output = Output {
        writer: BufWriter::with_capacity(1 << 20, output),
        written: 0,
    };
    let mut scratch = Vec::new();
    let mut round = Round {
        number: 0,
        delay_nanos: 0,
    };
    loop {
        let mut packets = Packets::open(input)?;
        let mut span: Option<(Timestamp, Timestamp)> = None;
        loop {
            let packet = match packets.next() {
                Ok(packet) => packet,
                Err(
                    End::Complete | End::Truncated { .. } | End::Damaged(CaptureError::CompressedCut { .. }),
                ) => break,
                Err(End::Damaged(error)) => return Err(error),
            };
            if output.written == 0 {
                output.header(packet.link_type)?;
            }
            let time = packet.stamp.time;
            let (first, last) = span.unwrap_or((time, time));
            span = Some((first.min(time), last.max(time)));
            round.renumber(&packet, ports, &mut scratch);
            let later = time.as_nanos().saturating_add(round.delay_nanos);
            output.packet(later, packet.wire_len, &scratch)?;
        }
        let Some((first, last)) = span else {
            return Err(CaptureError::Empty);
        };
        round.number += 1;
        let span_nanos = last.nanos_since(first).saturating_add(PAUSE_NANOS);
        round.delay_nanos = round.delay_nanos.saturating_add(span_nanos);
        if output.written >= target_bytes {
            output.put_all()?;
            return Ok(round.number);
        }
    }
}

struct Output<W: Write> {
    writer: BufWriter<W>,
    written: u64,
}

impl<W: Write> Output<W> {
    fn header(&mut self, link_type: LinkType) -> Result<(), CaptureError> {
        self.put(&NANOSECOND_MAGIC.to_le_bytes())?;
        self.put(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        self.put(&SNAPSHOT_LEN.to_le_bytes())?;
        self.put(&link_type.number().to_le_bytes())
    }

    fn packet(&mut self, nanos: u64, wire_len: u32, data: &[u8]) -> Result<(), CaptureError> {
        let seconds = u32::try_from(nanos / NANOS_PER_SECOND).unwrap_or(u32::MAX);
        let fraction = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or_default();
        let captured = u32::try_from(data.len()).unwrap_or(SNAPSHOT_LEN);
        for word in [seconds, fraction, captured, wire_len] {
            self.put(&word.to_le_bytes())?;
        }
        self.put(data)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.written += bytes.len() as u64;
        self.writer
            .write_all(bytes)
            .map_err(|source| CaptureError::Write { source })
    }

    fn put_all(&mut self) -> Result<(), CaptureError> {
        self.writer
            .flush()
            .map_err(|source| CaptureError::Write { source })
    }
}

/// One repetition.
struct Round {
    number: u64,
    delay_nanos: u64,
}

impl Round {
    /// Copies a packet, with other numbers if it is DLM.
    fn renumber(&self, packet: &Packet<'_>, ports: &[u16], out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(packet.data);
        let Layers::Ip(datagram) = layers(packet) else {
            return;
        };
        let Some((source, destination)) = datagram.ports() else {
            return;
        };
        let is_dlm = ports.contains(&source) || ports.contains(&destination);
        if !is_dlm || datagram.fragment != Fragment::Whole {
            return;
        }
        let at = datagram.payload.as_ptr().addr() - packet.data.as_ptr().addr();
        let Some(transport) = out.get_mut(at..at + datagram.payload.len()) else {
            return;
        };
        self.renumber_port(transport, 0, ports);
        self.renumber_port(transport, 2, ports);
        if datagram.protocol == TCP {
            self.add(transport, 4, SEQUENCE_STEP);
            self.add(transport, 8, SEQUENCE_STEP);
        } else {
            self.renumber_tags(transport, &datagram);
        }
    }

    fn renumber_tags(&self, transport: &mut [u8], datagram: &Datagram<'_>) {
        const INIT: u8 = 1;
        const INIT_ACK: u8 = 2;
        self.add_to_tag(transport, 4);
        // Both stand alone in their packets (RFC 9260 section 4.3).
        if let Some(&(INIT | INIT_ACK)) = datagram.payload.get(12) {
            self.add_to_tag(transport, 16);
        }
    }

    fn renumber_port(&self, transport: &mut [u8], at: usize, ports: &[u16]) {
        let Some(field) = transport.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) else {
            return;
        };
        let port = u16::from_be_bytes(*field);
        if ports.contains(&port) || port < FIRST_PORT {
            return;
        }
        let moved = (u64::from(port - FIRST_PORT) + self.number * PORT_STEP) % PORTS;
        let mut moved = u16::try_from(moved).unwrap_or_default() + FIRST_PORT;
        while ports.contains(&moved) {
            moved = moved.checked_add(1).unwrap_or(FIRST_PORT);
        }
        *field = moved.to_be_bytes();
    }

    fn add_to_tag(&self, transport: &mut [u8], at: usize) {
        if transport.get(at..at + 4) != Some(&[0; 4]) {
            self.add(transport, at, TAG_STEP);
        }
    }

    fn add(&self, transport: &mut [u8], at: usize, step: u32) {
        let Some(field) = transport.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) else {
            return;
        };
        let [a, b, c, d, ..] = self.number.to_le_bytes();
        let number = u32::from_le_bytes([a, b, c, d]);
        *field = u32::from_be_bytes(*field)
            .wrapping_add(number.wrapping_mul(step))
            .to_be_bytes();
    }
}
