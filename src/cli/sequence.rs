//! Which numbered frames are new: one direction's sequence, followed loosely.
//!
//! For statistics and marks only. It knows neither acknowledgements nor states; judging is for `check`.

use std::hash::{DefaultHasher, Hash, Hasher};

use dlmwire_codec::{Inner, Opts, Seq};

/// What a numbered frame is in its direction's sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// The one expected, or the first of all.
    Next,
    /// A number that was seen before.
    Again,
    /// So many numbers were left out: lost by the sender, or not in the capture.
    Ahead(u32),
    /// A new conversation: the numbers start anew.
    Restart,
}

/// One direction's sequence.
#[derive(Default)]
pub(crate) struct Sequence {
    expected: Option<Seq>,
    /// The last frame was a `FIN`.
    ended: bool,
    /// Digest of the frame with the first number: another content under it is another conversation.
    first: Option<u64>,
}

impl Sequence {
    /// Takes the next frame of the direction.
    pub(crate) fn take(&mut self, opts: &Opts<'_>, bytes: &[u8]) -> Turn {
        let turn = self.turn(opts.seq, bytes);
        if turn == Turn::Again {
            return turn;
        }
        self.expected = Some(opts.seq.next());
        self.ended = matches!(opts.inner, Ok(Inner::Fin));
        if opts.seq == Seq::INITIAL {
            self.first = Some(digest(bytes));
        }
        turn
    }

    fn turn(&self, seq: Seq, bytes: &[u8]) -> Turn {
        let Some(expected) = self.expected else {
            return Turn::Next;
        };
        if seq == expected {
            return Turn::Next;
        }
        if !seq.before(expected) {
            return Turn::Ahead(expected.distance(seq));
        }
        let anew = seq == Seq::INITIAL && (self.ended || self.first != Some(digest(bytes)));
        if anew { Turn::Restart } else { Turn::Again }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use dlmwire_codec::{
        Content, Frame, FrameFields, InnerFields, Limits, LockspaceId, MsgFields, MsgType, NodeId, Options,
        OptsFields, Split, Version, split,
    };

    use super::*;

    impl Sequence {
        fn sees(&mut self, seq: u32, lkid: u32) -> Turn {
            let fields = FrameFields {
                version: Version::V3_2,
                node: NodeId::new(1).unwrap(),
                content: Content::Opts(OptsFields {
                    seq: Seq::new(seq),
                    options: Options::NONE,
                    inner: InnerFields::Msg(MsgFields {
                        lkid,
                        ..MsgFields::new(LockspaceId::new(1), MsgType::Cancel)
                    }),
                }),
            };
            let mut bytes = [0; 128];
            let length = fields.encode_into(&mut bytes).unwrap();
            let Split::Frame { frame, .. } = split(&bytes[..length], Limits::KERNEL) else {
                panic!("a whole frame");
            };
            let Ok(Frame::Opts(opts)) = frame.decode() else {
                panic!("an OPTS");
            };
            self.take(&opts, frame.bytes())
        }
    }

    #[test]
    fn numbers_are_new_seen_before_or_ahead_also_at_the_wrap() {
        for start in [0, 1, u32::MAX - 1, u32::MAX, 1 << 31] {
            let mut sequence = Sequence::default();
            let turns =
                [0_u32, 1, 1, 0, 2, 5, 4, 6].map(|step| sequence.sees(start.wrapping_add(step), step));
            let expected = [
                Turn::Next,
                Turn::Next,
                Turn::Again,
                Turn::Again,
                Turn::Next,
                Turn::Ahead(2),
                Turn::Again,
                Turn::Next,
            ];
            assert_eq!(turns, expected, "from {start}");
        }
    }

    #[test]
    fn first_number_with_another_content_starts_anew() {
        let mut sequence = Sequence::default();
        let turns = [(0, 7), (1, 8), (0, 7), (0, 9), (1, 8)].map(|(seq, lkid)| sequence.sees(seq, lkid));
        let expected = [Turn::Next, Turn::Next, Turn::Again, Turn::Restart, Turn::Next];
        assert_eq!(turns, expected);
    }
}
