//! What was counted on the way.

/// Counts over a whole capture.
///
/// Packets seen twice count in [`packets`](Self::packets) and [`seen_twice`](Self::seen_twice), nowhere else.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CaptureStats {
    /// Packets in the file.
    pub packets: u64,
    /// Bytes captured of them.
    pub bytes: u64,
    /// Packets of which the file has only the beginning.
    pub truncated_packets: u64,
    /// Packets with a link layer that is not known here.
    pub unknown_link_layer: u64,
    /// Of these: the file does not say what the link layer is (pcapng, interface never described).
    pub undescribed_interface: u64,
    /// The first link type among them that the file names, see <https://www.tcpdump.org/linktypes.html>.
    pub unsupported_link_type: Option<u32>,
    /// Packets whose IP, TCP or SCTP header is damaged or cut off.
    pub undecodable: u64,
    /// Packets that are not DLM traffic: other protocols, other ports.
    pub other_packets: u64,
    /// IP fragments of TCP or SCTP; on DLM ports as far as ports are known.
    pub ip_fragments: u64,
    /// Packets that are copies of an earlier one.
    pub seen_twice: u64,
    /// DLM packets that belong to no link: after its end, or pure acknowledgements without one.
    pub stray_packets: u64,
    /// Of these: with data, that was not looked at.
    pub stray_data_packets: u64,
    /// Links reported up.
    pub links: u64,
    /// Links given up because there were too many, or too many bytes waited.
    pub links_evicted: u64,
    /// Openings not answered yet that were given up because there were too many.
    pub openings_evicted: u64,
    /// Frames reported.
    pub frames: u64,
    /// Frames that came on links reset before, not among the others.
    pub late_frames: u64,
    /// Bytes of the frames reported, late ones not included.
    pub frame_bytes: u64,
    /// Times that a length field could not be right.
    pub framing_lost: u64,
    /// Times that something was reported missing, on links reset before as well.
    pub gaps: u64,
    /// Bytes known to be missing.
    pub missing_bytes: u64,
    /// SCTP chunks known to be missing.
    pub missing_chunks: u64,
    /// Bytes that were passed over while looking for a frame.
    pub skipped_bytes: u64,
    /// Directions of a link that end inside a frame.
    pub cut_directions: u64,
    /// Directions of a link reset before that end inside a late frame. Reported by no event.
    pub late_cut_directions: u64,
    /// Bytes of data so far ahead of their stream that they were never part of it. Not looked at.
    pub unplaced_bytes: u64,
    /// What TCP did.
    pub tcp: TcpStats,
    /// What SCTP did.
    pub sctp: SctpStats,
}

/// Counts over the TCP packets on DLM ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TcpStats {
    /// Packets.
    pub packets: u64,
    /// Packets with SYN and without ACK, repetitions included.
    pub syn: u64,
    /// Handshakes that were answered.
    pub accepted: u64,
    /// Handshakes that were answered with RST.
    pub refused: u64,
    /// Packets with RST.
    pub rst: u64,
    /// Of these: outside the receiver's window, so that it ignored them.
    pub rst_ignored: u64,
    /// Packets with FIN, repetitions included.
    pub fin: u64,
    /// Segments with data, repetitions included.
    pub data_segments: u64,
    /// Segments with data of which everything had been seen before.
    pub retransmitted_segments: u64,
    /// Segments with data that came before their turn.
    pub out_of_order_segments: u64,
    /// Segments that brought other bytes than the first copy did.
    pub differing_segments: u64,
    /// Keepalive probes: at most one byte, just before what is expected.
    pub keepalives: u64,
}

/// Counts over the SCTP packets on DLM ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SctpStats {
    /// Packets.
    pub packets: u64,
    /// INIT chunks.
    pub init: u64,
    /// INIT ACK chunks.
    pub init_ack: u64,
    /// COOKIE ECHO chunks.
    pub cookie_echo: u64,
    /// COOKIE ACK chunks.
    pub cookie_ack: u64,
    /// DATA chunks, repetitions included.
    pub data: u64,
    /// Of these: pieces of a larger user message.
    pub fragmented_data: u64,
    /// Of these: seen before.
    pub retransmitted_data: u64,
    /// SACK chunks.
    pub sack: u64,
    /// HEARTBEAT chunks.
    pub heartbeat: u64,
    /// HEARTBEAT ACK chunks.
    pub heartbeat_ack: u64,
    /// ABORT chunks.
    pub abort: u64,
    /// SHUTDOWN chunks.
    pub shutdown: u64,
    /// SHUTDOWN ACK chunks.
    pub shutdown_ack: u64,
    /// SHUTDOWN COMPLETE chunks.
    pub shutdown_complete: u64,
    /// ERROR chunks.
    pub error: u64,
    /// FORWARD TSN chunks.
    pub forward_tsn: u64,
    /// Chunks of other types.
    pub unknown_chunks: u64,
    /// Chunks whose length cannot be right; the rest of the packet is ignored.
    pub bad_chunks: u64,
    /// Times that an address was not noted because its side has too many.
    pub addresses_ignored: u64,
}
