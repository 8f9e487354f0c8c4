//! Captures: file, packets, transport streams, DLM frames.
//!
//! What goes in is a pcap or pcapng file, plain or compressed; what comes out, pushed into a [`Sink`] in
//! the order of the capture, is what an observer on the wire can know: which links there were, every DLM
//! frame on them, what the capture does not have, and how links ended.
//!
//! The way of a packet: `source` opens and decompresses, `packets` cuts the file into packets, `layers` finds
//! the IP payload, `twice` drops copies, `tcp` and `sctp` put each direction's bytes in order,
//! `deframe` cuts them into frames. Bytes that come in order are lent to the sink where they lie in the
//! file buffer; only what must wait is copied.
//!
//! What it is not: it judges nothing. A frame is whatever its length field spans; decoding it, sequence
//! numbers and rules are the business of others.
//!
//! Memory is bounded by [`Options`], never by the size of the file or a length that it states.
//!
//! ```no_run
//! use dlmwire_interop::capture::{self, Event, Options, Stamp};
//!
//! let mut frames = 0;
//! let mut sink = |_: Stamp, event: Event<'_>| {
//!     if let Event::Frame { .. } = event {
//!         frames += 1;
//!     }
//! };
//! let summary = capture::read_path("cluster.pcapng.zst".as_ref(), &Options::default(), &mut sink)?;
//! assert!(matches!(summary.end, capture::End::Complete), "everything before the damage was read");
//! println!("{frames} frames on {} links", summary.stats.links);
//! # Ok::<(), capture::CaptureError>(())
//! ```

mod deframe;
mod error;
mod event;
mod layers;
mod links;
mod packets;
mod reassembly;
mod repeat;
mod sctp;
mod source;
mod stats;
mod tcp;
pub mod testkit;
mod twice;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use dlmwire_codec::Limits;

pub use error::{BlockFault, CaptureError, Compression};
pub use event::{
    Begun, Ending, Endpoint, Event, Gap, GapEvidence, HalfSent, LinkId, Place, Side, Sink, Stamp, Timestamp,
    Transport,
};
pub use layers::LinkType;
pub use packets::{Packet, Packets};
pub use reassembly::Reassembler;
pub use repeat::repeat;
pub use stats::{CaptureStats, SctpStats, TcpStats};

/// The port that every kernel listens on.
pub const DLM_PORT: u16 = 21064;

/// What to follow, and the bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Ports that mean DLM, on either side of a packet.
    pub ports: Vec<u16>,
    /// What a frame may be at most.
    pub limits: Limits,
    /// Open links per transport; beyond, those idle longest are given up.
    pub links_max: usize,
    /// Bytes that may wait out of order in one direction of a link; beyond, what they wait for is missing.
    pub waiting_bytes_max: usize,
    /// Bytes that may wait on all links of a transport together; beyond, links idle longest are given up.
    pub waiting_bytes_total_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ports: vec![DLM_PORT],
            limits: Limits::KERNEL,
            links_max: 16_384,
            waiting_bytes_max: 1 << 20,
            waiting_bytes_total_max: 48 << 20,
        }
    }
}

/// How a capture ended.
#[derive(Debug)]
pub enum End {
    /// Where its last packet ended.
    Complete,
    /// Inside a packet, as happens when the capturing program is killed. Everything before it was read. A
    /// compressed file that ends in the middle is [`Damaged`](Self::Damaged) by
    /// [`CaptureError::CompressedCut`].
    Truncated {
        /// Number of the packet that is cut.
        packet: u64,
        /// Where its record starts.
        offset: u64,
    },
    /// It cannot be read behind some point. Everything before it was read.
    Damaged(CaptureError),
}

/// What there is to say about a capture as a whole.
#[derive(Debug)]
#[must_use = "a capture may have been cut or damaged"]
pub struct Summary {
    /// Counts.
    pub stats: CaptureStats,
    /// Whether all of it was read.
    pub end: End,
}

/// Reads the capture at `path`, or standard input if that is `-`.
///
/// # Errors
///
/// What keeps it from being read at all: no such file, not a capture. Damage further on is told by
/// [`Summary::end`].
pub fn read_path(path: &Path, options: &Options, sink: &mut dyn Sink) -> Result<Summary, CaptureError> {
    Ok(read_packets(Packets::open(path)?, options, sink))
}

/// Reads a capture from anything that can be read.
///
/// # Errors
///
/// As [`read_path`].
pub fn read(
    reader: impl Read + 'static,
    options: &Options,
    sink: &mut dyn Sink,
) -> Result<Summary, CaptureError> {
    Ok(read_packets(Packets::new(reader)?, options, sink))
}

fn read_packets(mut packets: Packets, options: &Options, sink: &mut dyn Sink) -> Summary {
    let mut reassembler = Reassembler::new(options.clone());
    let end = loop {
        match packets.next() {
            Ok(packet) => reassembler.packet(&packet, sink),
            Err(end) => break end,
        }
    };
    Summary {
        stats: reassembler.finish(sink),
        end,
    }
}
