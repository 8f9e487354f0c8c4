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
    /// An empty segment with all its memory.
    pub(super) fn take(&mut self) -> Vec<u8> {
        let mut segment = self.free.pop().unwrap_or_default();
        segment.reserve_exact(SEGMENT_BYTES);
        segment
    }

    pub(super) fn give(&mut self, mut segment: Vec<u8>) {
        if self.free.len() < FREE_MAX {
            segment.clear();
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
