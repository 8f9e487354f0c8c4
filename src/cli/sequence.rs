//! Which numbered frames are new: one direction's sequence, followed loosely.
//!
//! For statistics and marks only. It knows neither acknowledgements nor states; judging is for `check`.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use dlmwire_codec::{Inner, Opts, Seq};

use super::nodes::Party;

/// Directions that are followed; 32 nodes make 992.
const DIRECTIONS_MAX: usize = 65_536;

/// The sequences of all directions, each from one party to another.
#[derive(Default)]
pub(crate) struct Sequences(HashMap<[Party; 2], Sequence>);

impl Sequences {
    /// Takes the next frame of a direction. `None` if there are more directions than are followed: a file can name
    /// any number of nodes.
    pub(crate) fn take(&mut self, direction: [Party; 2], opts: &Opts<'_>, bytes: &[u8]) -> Option<Turn> {
        if self.0.len() >= DIRECTIONS_MAX && !self.0.contains_key(&direction) {
            return None;
        }
        Some(self.0.entry(direction).or_default().take(opts, bytes))
    }

    /// Nothing was seen yet.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

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
struct Sequence {
    expected: Option<Seq>,
    /// The last frame was a `FIN`.
    ended: bool,
    /// Digest of the frame with the first number: another content under it is another conversation.
    first: Option<u64>,
}

impl Sequence {
    /// Takes the next frame of the direction.
    fn take(&mut self, opts: &Opts<'_>, bytes: &[u8]) -> Turn {
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

    /// Takes a message with this number through `take`.
    fn seen<R>(seq: u32, lkid: u32, take: impl FnOnce(&Opts<'_>, &[u8]) -> R) -> R {
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
        take(&opts, frame.bytes())
    }

    impl Sequence {
        fn sees(&mut self, seq: u32, lkid: u32) -> Turn {
            seen(seq, lkid, |opts, bytes| self.take(opts, bytes))
        }
    }

    #[test]
    fn directions_beyond_those_that_are_followed_are_not_kept_and_the_others_go_on() {
        let mut sequences = Sequences::default();
        let of = |node| [Party::Node(NodeId::new(node).unwrap()), Party::Unknown];
        let mut turn = |node, seq| seen(seq, 7, |opts, bytes| sequences.take(of(node), opts, bytes));
        let first: Vec<_> = (1..=70_000).map(|node| turn(node, 0)).collect();
        assert!(
            first[..DIRECTIONS_MAX]
                .iter()
                .all(|turn| *turn == Some(Turn::Next))
        );
        assert!(first[DIRECTIONS_MAX..].iter().all(Option::is_none));
        assert_eq!(turn(1, 2), Some(Turn::Ahead(1)));
        sequences.clear();
        assert_eq!(
            seen(9, 7, |opts, bytes| sequences.take(of(70_000), opts, bytes)),
            Some(Turn::Next)
        );
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
