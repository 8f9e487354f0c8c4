//! The same loops written by hand: safe, no parser, no types, all the checks that the crate makes.
//!
//! This is what somebody would write who needs nothing but this loop, and the yardstick for the crate.

use crate::Seen;

const V3_1: u32 = 0x0003_0001;
const V3_2: u32 = 0x0003_0002;

const MSG: u8 = 1;
const RCOM: u8 = 2;
const OPTS: u8 = 3;
const ACK: u8 = 4;
const FIN: u8 = 5;

/// Finds the frames, nothing else.
#[inline(never)]
#[must_use]
pub fn deframe(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    while let Some((frame, behind)) = split(rest) {
        rest = behind;
        seen.slice(frame);
    }
    assert!(rest.is_empty(), "the mix holds whole frames");
    seen
}

/// Checks both headers and hands out the tail.
#[inline(never)]
#[must_use]
pub fn view(bytes: &[u8]) -> Seen {
    each(bytes, |seen, _, tail| seen.slice(tail))
}

/// The same, and reads the 18 words of every lock message.
#[inline(never)]
#[must_use]
pub fn full(bytes: &[u8]) -> Seen {
    each(bytes, |seen, head, tail| {
        seen.slice(tail);
        seen.words(
            head[16..]
                .as_chunks::<4>()
                .0
                .iter()
                .map(|word| u32::from_le_bytes(*word)),
        );
    })
}

/// Copies all of it at once.
#[inline(never)]
pub fn copy(bytes: &[u8], out: &mut [u8]) {
    out[..bytes.len()].copy_from_slice(bytes);
}

/// Copies frame by frame, whose lengths are known, and returns how many bytes that was.
#[inline(never)]
#[must_use]
pub fn copy_each(lengths: &[u16], bytes: &[u8], out: &mut [u8]) -> usize {
    let mut at = 0;
    for length in lengths {
        let end = at + usize::from(*length);
        out[at..end].copy_from_slice(&bytes[at..end]);
        at = end;
    }
    at
}

/// A frame of the mix as plain numbers, in the order in which they are written.
#[derive(Clone, Copy, Debug)]
pub enum Plain<'a> {
    /// `ACK`: sender, next number expected.
    Ack(u32, u32),
    /// `OPTS` around `MSG`: sender, number, lockspace, the message's words, its tail.
    Opts(u32, u32, u32, [u32; 18], &'a [u8]),
}

/// Reads frames as plain numbers, as [`encode`] takes them.
///
/// # Panics
///
/// On anything but the mix.
#[must_use]
pub fn plain(bytes: &[u8]) -> Vec<Plain<'_>> {
    let mut list = Vec::new();
    let mut rest = bytes;
    while let Some((frame, behind)) = split(rest) {
        rest = behind;
        let head = frame.first_chunk().expect("16 bytes");
        let (seq, node) = (le32(head, 4), le32(head, 8));
        list.push(
            match message(&mut Seen::default(), frame).expect("the mix is sound") {
                None => Plain::Ack(node, seq),
                Some((msg, tail)) => {
                    let lockspace = le32(msg.first_chunk().expect("16 bytes"), 4);
                    let (words, _) = msg[16..].as_chunks::<4>();
                    let words: &[_; 18] = words.as_array().expect("72 bytes");
                    Plain::Opts(node, seq, lockspace, words.map(u32::from_le_bytes), tail)
                }
            },
        );
    }
    list
}

/// Writes frames one behind the other and returns how many bytes that was.
///
/// # Panics
///
/// When `out` is too short.
#[inline(never)]
#[must_use]
pub fn encode(list: &[Plain<'_>], out: &mut [u8]) -> usize {
    let mut length = 0;
    for frame in list {
        length += encode_one(frame, &mut out[length..]).expect("there is room");
    }
    length
}

/// Writes one frame, or nothing if there is no room.
#[inline]
pub fn encode_one(frame: &Plain<'_>, out: &mut [u8]) -> Option<usize> {
    match *frame {
        Plain::Ack(node, seq) => {
            head(out.first_chunk_mut()?, seq, node, 16, ACK);
            Some(16)
        }
        Plain::Opts(node, seq, lockspace, words, tail) => {
            let inner_length = 88 + tail.len();
            let length = 24 + inner_length;
            let (fixed, rest) = out.get_mut(..length)?.split_first_chunk_mut::<112>()?;
            head(
                fixed.first_chunk_mut()?,
                seq,
                node,
                u16::try_from(length).ok()?,
                OPTS,
            );
            fixed[16..24].copy_from_slice(&[MSG, 0, 0, 0, 0, 0, 0, 0]);
            let inner = fixed[24..].first_chunk_mut()?;
            head(inner, lockspace, node, u16::try_from(inner_length).ok()?, MSG);
            for (to, word) in fixed[40..].as_chunks_mut().0.iter_mut().zip(words) {
                *to = word.to_le_bytes();
            }
            rest.copy_from_slice(tail);
            Some(length)
        }
    }
}

#[inline(always)]
fn head(to: &mut [u8; 16], second: u32, node: u32, length: u16, command: u8) {
    to[..4].copy_from_slice(&V3_2.to_le_bytes());
    to[4..8].copy_from_slice(&second.to_le_bytes());
    to[8..12].copy_from_slice(&node.to_le_bytes());
    to[12..14].copy_from_slice(&length.to_le_bytes());
    to[14..].copy_from_slice(&[command, 0]);
}

/// The lengths of all frames.
#[must_use]
pub fn lengths(bytes: &[u8]) -> Vec<u16> {
    let mut list = Vec::new();
    let mut rest = bytes;
    while let Some((frame, behind)) = split(rest) {
        rest = behind;
        list.push(u16::try_from(frame.len()).expect("lengths have 16 bits"));
    }
    list
}

#[inline(always)]
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, _) = bytes.split_first_chunk::<16>()?;
    let length = usize::from(u16::from_le_bytes([head[12], head[13]]));
    if !(16..=4096).contains(&length) {
        return None;
    }
    bytes.split_at_checked(length)
}

#[inline(always)]
fn le32(head: &[u8; 16], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

#[inline(always)]
fn each(bytes: &[u8], on_msg: impl Fn(&mut Seen, &[u8; 88], &[u8])) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    while let Some((frame, behind)) = split(rest) {
        rest = behind;
        if let Some((msg, tail)) = message(&mut seen, frame).expect("the mix is sound") {
            on_msg(&mut seen, msg, tail);
        }
    }
    assert!(rest.is_empty(), "the mix holds whole frames");
    seen
}

/// The lock message in a frame, if it holds one, and its tail; `None` for a frame that is damaged.
#[inline(always)]
fn message<'a>(seen: &mut Seen, frame: &'a [u8]) -> Option<Option<(&'a [u8; 88], &'a [u8])>> {
    let (head, _) = frame.split_first_chunk::<16>()?;
    let version = le32(head, 0);
    let node = le32(head, 8);
    if (version != V3_1 && version != V3_2) || node == 0 {
        return None;
    }
    let (command, message) = match head[14] {
        OPTS if version == V3_2 => {
            let (opts, rest) = frame.split_first_chunk::<24>()?;
            let options = usize::from(u16::from_le_bytes([opts[18], opts[19]]));
            let (_, inner) = rest.split_at_checked(options)?;
            let (inner_head, _) = inner.split_first_chunk::<16>()?;
            let inner_length = usize::from(u16::from_le_bytes([inner_head[12], inner_head[13]]));
            if inner_head[14] != opts[16]
                || inner_length != inner.len()
                || le32(inner_head, 0) != version
                || le32(inner_head, 8) != node
            {
                return None;
            }
            seen.number(version);
            seen.number(le32(head, 4));
            (inner_head[14], inner)
        }
        ACK if version == V3_2 && frame.len() == 16 => {
            seen.number(version);
            seen.number(le32(head, 4));
            return Some(None);
        }
        MSG | RCOM => (head[14], frame),
        _ => return None,
    };
    match command {
        MSG => Some(Some(message.split_first_chunk::<88>()?)),
        RCOM => {
            let (_, payload) = message.split_first_chunk::<48>()?;
            seen.slice(payload);
            Some(None)
        }
        FIN => Some(None),
        _ => None,
    }
}
