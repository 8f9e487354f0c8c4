//! Memory of send queues: equal pieces, shared by all peers, so that an idle peer holds none.

use std::hash::{Hash, Hasher};

/// Bytes of a segment. Frames are never split over two.
pub(crate) const SEGMENT_BYTES: usize = 64 << 10;

/// Free segments that are kept for the next queue that grows; more are given back to the allocator.
const FREE_MAX: usize = 16;

/// Segments that no queue uses.
#[derive(Clone, Debug, Default)]
pub(super) struct SegmentPool {
    free: Vec<Vec<u8>>,
}

impl SegmentPool {
    /// A segment of [`SEGMENT_BYTES`], with whatever was last in it.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| vec![0; SEGMENT_BYTES])
    }

    pub(super) fn give(&mut self, segment: Vec<u8>) {
        if self.free.len() < FREE_MAX {
            self.free.push(segment);
        }
    }
}

/// Spare memory is not part of what an engine is.
impl PartialEq for SegmentPool {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SegmentPool {}

impl Hash for SegmentPool {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
