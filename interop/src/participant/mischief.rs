//! What a participant says falsely, or not at all, when it is told to.

use dlmwire_codec::NodeId;

/// False values for `STATUS_REPLY`, each until it is taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mischief {
    /// So many `STATUS` more are answered "not ready".
    pub not_ready: u32,
    /// `rf_our_slot`.
    pub slot: Option<u16>,
    /// `rf_lvblen`.
    pub lvblen: Option<u32>,
    /// `rf_lsflags`.
    pub lsflags: Option<u32>,
    /// `h_nodeid`.
    pub node: Option<NodeId>,
}
