//! Known streams of frames, of which captures are made.

use dlmwire_interop::capture::Side;
use dlmwire_interop::capture::testkit::frames;

use super::Choices;
use super::books::Told;

const FRAMES_MAX: usize = 48;
const VERSION_3_1: u32 = 0x0003_0001;

/// What one side says: frames that can be told from anything in their middle, each with a number of its own.
pub(super) struct Stream {
    node: u32,
    pub(super) bytes: Vec<u8>,
    /// Where each frame begins, and the end of the last.
    bounds: Vec<usize>,
    /// Bytes that were delivered.
    had: Vec<bool>,
    /// How many there are from the start without a hole.
    edge: usize,
}

impl Stream {
    pub(super) fn new(node: u32, choices: &mut Choices<'_>) -> Self {
        let (mut bytes, mut bounds) = (Vec::new(), vec![0]);
        for number in 0..choices.below(FRAMES_MAX + 1) {
            let number = u32::try_from(number).expect("few");
            let mut frame = match choices.below(4) {
                0 | 1 => frames::ack(node, number),
                2 => frames::rcom(VERSION_3_1, node, 1, 48 + u16::from(choices.byte())),
                _ => frames::msg(VERSION_3_1, node, 88 + u16::from(choices.byte()) * 15),
            };
            frame[4..8].copy_from_slice(&(0x0500_0000 + number).to_le_bytes());
            bytes.extend(frame);
            bounds.push(bytes.len());
        }
        Self {
            node,
            had: vec![false; bytes.len()],
            bytes,
            bounds,
            edge: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How far everything was delivered.
    pub(super) const fn edge(&self) -> usize {
        self.edge
    }

    /// Notes that a piece was delivered.
    pub(super) fn deliver(&mut self, at: usize, count: usize) {
        self.had[at..at + count].fill(true);
        while self.had.get(self.edge) == Some(&true) {
            self.edge += 1;
        }
    }

    /// Every frame told of this stream on a link is one of it, and none comes twice or before its turn. Returns how
    /// many there are.
    ///
    /// `from` is who says it, where that is known: who opened a link that begins in mid-stream is a guess. `exact` if
    /// offsets are known to count from the stream's start.
    pub(super) fn check(&self, told: &[Told], link: u64, from: Option<Side>, exact: bool) -> usize {
        let mut behind = 0;
        let mut count = 0;
        for one in told.iter().filter(|one| one.link == link) {
            let is_ours = match from {
                Some(from) => one.from == from,
                None => one.bytes.get(8..12) == Some(&self.node.to_le_bytes()),
            };
            if !is_ours {
                continue;
            }
            let Some(at) = self.position(&one.bytes) else {
                panic!("no such frame was sent: {one:?}");
            };
            assert!(at >= behind, "frame at {at} came behind byte {behind}: {one:?}");
            assert!(!exact || one.offset == at as u64, "frame at {at}: {one:?}");
            behind = at + one.bytes.len();
            count += 1;
        }
        count
    }

    pub(super) const fn frames(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Where a frame stands: its number says it.
    fn position(&self, frame: &[u8]) -> Option<usize> {
        let number = u32::from_le_bytes(*frame.get(4..)?.first_chunk()?);
        let index = usize::try_from(number.checked_sub(0x0500_0000)?).ok()?;
        let (&start, &end) = (self.bounds.get(index)?, self.bounds.get(index + 1)?);
        (self.bytes[start..end] == *frame).then_some(start)
    }
}
