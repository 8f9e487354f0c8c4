//! Packets that were captured twice: both ends of a bridge, `-i any`, two files merged.
//!
//! A copy is a packet with the same addresses, the same transport header (but for the checksum, which
//! offloading fills in between) and the same length as one shortly before. That alone would also be true
//! of some retransmissions, so something must set those apart: the IPv4 identification, new for every
//! transmission, or TCP timestamps, new every millisecond, which retransmissions never are in. With either,
//! a copy may follow within a second. With neither (IPv6 without timestamps, packets with
//! identification 0) it must carry data and follow within a millisecond, faster than any stack
//! retransmits; a RST is legally repeated faster than that.

use std::hash::Hasher;

use rustc_hash::FxHasher;

use super::event::Stamp;
use super::layers::{Datagram, TCP};

/// Packets between a packet and its copy. A power of two.
const SLOTS: usize = 1024;
const SURE_NANOS_MAX: u64 = 1_000_000_000;
const UNSURE_NANOS_MAX: u64 = 1_000_000;

const TCP_HEADER_LEN: usize = 20;
const TCP_CHECKSUM_AT: usize = 16;
const SCTP_CHECKSUM_AT: usize = 8;
const SCTP_CHUNKS_AT: usize = 12;
/// Bytes of payload that are compared at each end.
const SAMPLE: usize = 32;

/// The packets seen last, by fingerprint.
pub(super) struct Twice {
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    fingerprint: u64,
    stamp: Stamp,
}

impl Twice {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS].into(),
        }
    }

    /// The first copy of this packet, if it is one. Otherwise it is remembered.
    #[inline]
    pub(super) fn first_copy(&mut self, datagram: &Datagram<'_>, stamp: Stamp) -> Option<Stamp> {
        let fingerprint = fingerprint(datagram);
        let index = usize::try_from(fingerprint % SLOTS as u64).ok()?;
        let slot = self.slots.get_mut(index)?;
        if slot.fingerprint == fingerprint && slot.stamp.packet != 0 {
            let limit = match (is_distinct(datagram), has_data(datagram)) {
                (true, _) => Some(SURE_NANOS_MAX),
                (false, true) => Some(UNSURE_NANOS_MAX),
                (false, false) => None,
            };
            if limit.is_some_and(|limit| stamp.time.nanos_since(slot.stamp.time) <= limit) {
                return Some(slot.stamp);
            }
        }
        *slot = Slot { fingerprint, stamp };
        None
    }
}

#[inline]
fn fingerprint(datagram: &Datagram<'_>) -> u64 {
    let payload = datagram.payload;
    let (before, behind) = if datagram.protocol == TCP {
        (payload.get(..TCP_CHECKSUM_AT), payload.get(TCP_HEADER_LEN..))
    } else {
        (payload.get(..SCTP_CHECKSUM_AT), payload.get(SCTP_CHUNKS_AT..))
    };
    let behind = behind.unwrap_or_default();
    let mut hasher = FxHasher::default();
    hasher.write_u128(datagram.source.bits());
    hasher.write_u128(datagram.destination.bits());
    hasher.write_u64(u64::from(datagram.id) << 32 | u64::from(datagram.protocol));
    hasher.write_usize(datagram.wire_len);
    hasher.write(before.unwrap_or_default());
    hasher.write(
        behind
            .first_chunk::<SAMPLE>()
            .map_or(behind, <[u8; SAMPLE]>::as_slice),
    );
    hasher.write(
        behind
            .last_chunk::<SAMPLE>()
            .map_or(behind, <[u8; SAMPLE]>::as_slice),
    );
    hasher.finish()
}

/// Whether the packet carries something that a retransmission of it would not have.
#[cold]
fn is_distinct(datagram: &Datagram<'_>) -> bool {
    datagram.id != 0 || (datagram.protocol == TCP && has_tcp_timestamps(datagram.payload))
}

fn has_data(datagram: &Datagram<'_>) -> bool {
    const SCTP_DATA: u8 = 0;
    if datagram.protocol != TCP {
        return datagram.payload.get(SCTP_CHUNKS_AT) == Some(&SCTP_DATA);
    }
    let header = etherparse::TcpHeaderSlice::from_slice(datagram.payload);
    header.is_ok_and(|header| datagram.wire_len > header.slice().len())
}

fn has_tcp_timestamps(segment: &[u8]) -> bool {
    const TIMESTAMPS: u8 = 8;
    let Ok(header) = etherparse::TcpHeaderSlice::from_slice(segment) else {
        return false;
    };
    let mut options = header.options();
    loop {
        options = match *options {
            [TIMESTAMPS, ..] => return true,
            [1, ref rest @ ..] => rest,
            [0, ..] | [] => return false,
            [_, length, ..] if length >= 2 => options.get(usize::from(length)..).unwrap_or_default(),
            [..] => return false,
        };
    }
}
