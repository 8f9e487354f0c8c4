//! Whether bytes look like a frame, where nothing says that one starts there (spec: wire 2, 5.3).
//!
//! The trap is the message inside `OPTS`: its header is complete, its length leads to the next frame, and a
//! segment may start with it. A bare 3.2 `MSG` is right only towards a 3.1 peer, which is never sent `OPTS`
//! or `ACK`: a link that has shown one of those has no bare `MSG`, and on a link of which nothing is known
//! one is believed only if bare frames follow it.

use dlmwire_codec::{Command, Limits, Version};

const HEADER_LEN: usize = 16;
const OPTS_LEN: usize = 24;
const RCOM_TYPE_END: usize = 20;

/// Bare frames behind a message that make it one of them, where nothing is known about the link.
const CONFIRMING_FRAMES: usize = 2;

/// What a link has shown of how its two ends talk. The greater one is the surer one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(in crate::capture) enum Dialect {
    /// Nothing that tells.
    #[default]
    Unknown,
    /// Messages without a sequence number: one end is 3.1.
    Bare,
    /// `OPTS` or `ACK`: both ends are 3.2, and messages stand inside `OPTS`.
    Numbered,
}

impl Dialect {
    /// What a frame tells.
    #[inline]
    pub(in crate::capture) fn of(frame: &[u8]) -> Self {
        let Some(&[minor, 0, 3, 0, _, _, _, _, _, _, _, _, _, _, command, _]) =
            frame.first_chunk::<HEADER_LEN>()
        else {
            return Self::Unknown;
        };
        match (minor, Command::from_wire(command)) {
            (2, Some(Command::Opts | Command::Ack)) => Self::Numbered,
            (1, _) | (2, Some(Command::Msg)) => Self::Bare,
            _ => Self::Unknown,
        }
    }
}

/// How a search ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Search {
    /// More bytes may come; if unsure, wait for them.
    Ongoing,
    /// No more bytes come.
    Final,
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// Bytes that belong to no frame.
    pub(super) skip: usize,
    /// Whether a frame starts behind them.
    pub(super) aligned: bool,
}

/// Looks for the first frame.
pub(super) fn search(bytes: &[u8], how: Search, dialect: Dialect, limits: Limits) -> Found {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        // Both versions start with their minor number.
        let Some(ahead) = rest.iter().position(|byte| matches!(byte, 1 | 2)) else {
            break;
        };
        at += ahead;
        let (before, candidate) = bytes.split_at(at);
        match judge(before, candidate, how, dialect, limits) {
            Verdict::Frame => {
                return Found {
                    skip: at,
                    aligned: true,
                };
            }
            Verdict::Open => {
                return Found {
                    skip: at,
                    aligned: false,
                };
            }
            Verdict::No => at += 1,
        }
    }
    Found {
        skip: bytes.len(),
        aligned: false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Frame,
    No,
    /// More bytes are needed.
    Open,
}

fn judge(before: &[u8], bytes: &[u8], how: Search, dialect: Dialect, limits: Limits) -> Verdict {
    let header = match Header::read(bytes, limits) {
        Ok(header) => header,
        Err(verdict) => return verdict,
    };
    if header.command == Command::Opts && !holds_inner(bytes, &header) {
        return Verdict::No;
    }
    if header.may_be_inner(bytes) {
        return match dialect {
            Dialect::Numbered => Verdict::No,
            Dialect::Bare => followed(bytes, &header, 1, Verdict::Frame, limits),
            Dialect::Unknown if stands_in_opts(before, &header) => Verdict::No,
            Dialect::Unknown => {
                let unsure = match how {
                    Search::Ongoing => Verdict::Open,
                    Search::Final => Verdict::No,
                };
                followed(bytes, &header, CONFIRMING_FRAMES, unsure, limits)
            }
        };
    }
    let Some(behind) = bytes.get(header.length..) else {
        return Verdict::Open;
    };
    match Header::read(behind, limits) {
        Err(Verdict::No) => Verdict::No,
        Ok(_) | Err(_) => Verdict::Frame,
    }
}

/// Whether a bare message is followed by so many bare frames; `unsure` if they are not all there.
fn followed(bytes: &[u8], header: &Header, frames: usize, unsure: Verdict, limits: Limits) -> Verdict {
    let mut end = header.length;
    for nth in 0..frames {
        let Some(behind) = bytes.get(end..) else {
            return if nth == 0 { Verdict::Open } else { unsure };
        };
        match Header::read(behind, limits) {
            Err(Verdict::No) => return Verdict::No,
            Ok(next) if matches!(next.command, Command::Opts | Command::Ack) => return Verdict::No,
            Ok(next) => end += next.length,
            Err(_) => return unsure,
        }
    }
    Verdict::Frame
}

/// Whether the bytes before a header are, as far as they are there, the end of an `OPTS` around it.
fn stands_in_opts(before: &[u8], inner: &Header) -> bool {
    let outer_len = u16::try_from(inner.length + OPTS_LEN).unwrap_or_default();
    let [l0, l1] = outer_len.to_le_bytes();
    let end = [
        l0,
        l1,
        Command::Opts.wire(),
        0,
        inner.command.wire(),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    let pairs = before.iter().rev().zip(end.iter().rev());
    !before.is_empty() && pairs.into_iter().all(|(a, b)| a == b)
}

struct Header {
    version: Version,
    command: Command,
    length: usize,
}

impl Header {
    /// A header that may stand outermost; with fewer than 16 bytes, whether it may become one.
    fn read(bytes: &[u8], limits: Limits) -> Result<Self, Verdict> {
        let Some(&[v0, v1, v2, v3, _, _, _, _, n0, n1, n2, n3, l0, l1, command, pad]) =
            bytes.first_chunk::<HEADER_LEN>()
        else {
            let prefix = [&[2, 0, 3, 0], &[1, 0, 3, 0]];
            let possible = prefix
                .iter()
                .any(|word: &&[u8; 4]| bytes.iter().zip(*word).all(|(a, b)| a == b));
            return Err(if possible { Verdict::Open } else { Verdict::No });
        };
        let version = Version::from_wire(u32::from_le_bytes([v0, v1, v2, v3]));
        let (Ok(version), Some(command)) = (version, Command::from_wire(command)) else {
            return Err(Verdict::No);
        };
        let stands = match version {
            Version::V3_1 => matches!(command, Command::Msg | Command::Rcom),
            Version::V3_2 => command != Command::Fin,
        };
        let length = u16::from_le_bytes([l0, l1]);
        let fits = (command.length_min()..=limits.frame_bytes_max).contains(&length);
        let whole_ack = command != Command::Ack || usize::from(length) == HEADER_LEN;
        if stands && fits && whole_ack && pad == 0 && [n0, n1, n2, n3] != [0; 4] {
            Ok(Self {
                version,
                command,
                length: usize::from(length),
            })
        } else {
            Err(Verdict::No)
        }
    }

    fn may_be_inner(&self, bytes: &[u8]) -> bool {
        match (self.version, self.command) {
            (Version::V3_2, Command::Msg) => true,
            // STATUS, NAMES and their replies travel bare as well.
            (Version::V3_2, Command::Rcom) => !matches!(
                bytes.get(HEADER_LEN..RCOM_TYPE_END),
                Some([1 | 2 | 5 | 6, 0, 0, 0])
            ),
            _ => false,
        }
    }
}

/// Whether an `OPTS` holds, as far as can be seen, what it announces.
fn holds_inner(bytes: &[u8], outer: &Header) -> bool {
    let Some(&[next, _, o0, o1]) = bytes.get(HEADER_LEN..).and_then(|opts| opts.first_chunk::<4>()) else {
        return true;
    };
    let option_bytes = usize::from(u16::from_le_bytes([o0, o1]));
    let Some(inner_len) = outer.length.checked_sub(OPTS_LEN + option_bytes) else {
        return false;
    };
    let Some(&[v0, v1, v2, v3, .., l0, l1, command, _]) = bytes
        .get(OPTS_LEN + option_bytes..)
        .and_then(|inner| inner.first_chunk::<HEADER_LEN>())
    else {
        return matches!(next, 1 | 2 | 5);
    };
    matches!(next, 1 | 2 | 5)
        && command == next
        && u32::from_le_bytes([v0, v1, v2, v3]) == outer.version.wire()
        && usize::from(u16::from_le_bytes([l0, l1])) == inner_len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::testkit::frames;

    fn found(bytes: &[u8], how: Search) -> Found {
        found_on(bytes, how, Dialect::Unknown)
    }

    fn found_on(bytes: &[u8], how: Search, dialect: Dialect) -> Found {
        search(bytes, how, dialect, Limits::KERNEL)
    }

    const fn at(skip: usize) -> Found {
        Found { skip, aligned: true }
    }

    const fn waits_at(skip: usize) -> Found {
        Found { skip, aligned: false }
    }

    #[test]
    fn frame_behind_garbage_is_found() {
        let stream = [&[7; 33][..], &frames::ack(1, 5), &frames::opts(1, 6, 100)].concat();
        assert_eq!(
            found(&stream, Search::Ongoing),
            Found {
                skip: 33,
                aligned: true
            }
        );
    }

    #[test]
    fn inner_message_is_not_taken_for_a_frame() {
        let stream = [frames::opts(1, 6, 100), frames::opts(1, 7, 90)].concat();
        assert_eq!(
            found(&stream[24..], Search::Ongoing),
            Found {
                skip: 100,
                aligned: true
            }
        );
        assert_eq!(
            found(&stream[10..124], Search::Ongoing),
            Found {
                skip: 114,
                aligned: false
            }
        );
    }

    #[test]
    fn message_that_a_segment_starts_with_may_still_be_inner() {
        let inner = &frames::opts(1, 6, 100)[24..];
        let stream = [inner, &frames::ack(1, 7)[..]].concat();
        for dialect in [Dialect::Unknown, Dialect::Bare, Dialect::Numbered] {
            assert_eq!(
                found_on(&stream, Search::Ongoing, dialect),
                at(100),
                "{dialect:?}"
            );
        }
        assert_eq!(found_on(inner, Search::Ongoing, Dialect::Numbered), waits_at(100));
        assert_eq!(found_on(inner, Search::Ongoing, Dialect::Unknown), waits_at(0));
        assert_eq!(found_on(inner, Search::Final, Dialect::Unknown), waits_at(100));
    }

    #[test]
    fn numbered_link_has_no_bare_messages_however_many() {
        let stream = frames::msg(0x0003_0002, 1, 90).repeat(4);
        let status = frames::rcom(0x0003_0002, 1, 1, 64);
        let stream = [stream, status, frames::ack(1, 5)].concat();
        assert_eq!(found_on(&stream, Search::Final, Dialect::Numbered), at(360));
    }

    #[test]
    fn bare_message_to_an_old_peer_is_a_frame() {
        let stream = frames::msg(0x0003_0002, 1, 90).repeat(3);
        for how in [Search::Ongoing, Search::Final] {
            assert_eq!(found_on(&stream[3..], how, Dialect::Bare), at(87));
            assert_eq!(found_on(&stream[..90], how, Dialect::Bare), at(0));
            assert_eq!(
                found(&[&stream[..], &frames::rcom(0x0003_0002, 1, 1, 64)].concat(), how),
                at(0)
            );
        }
        assert_eq!(found(&stream[3..], Search::Ongoing), waits_at(87));
        assert_eq!(found(&stream[3..], Search::Final), waits_at(stream.len() - 3));
    }

    #[test]
    fn message_behind_the_end_of_an_opts_is_inner() {
        let bare = frames::msg(0x0003_0002, 1, 100);
        let cut = [&frames::opts(1, 6, 100)[8..], &bare.repeat(3)].concat();
        assert_eq!(found(&cut, Search::Final), at(116), "two follow that one");
        let cut = [&frames::opts(1, 6, 100)[16..], &bare[..]].concat();
        assert_eq!(found(&cut, Search::Final), waits_at(208));
    }

    #[test]
    fn dialect_is_told_by_what_stands_outermost() {
        let rows = [
            (frames::opts(1, 6, 100), Dialect::Numbered),
            (frames::ack(1, 6), Dialect::Numbered),
            (frames::msg(0x0003_0002, 1, 90), Dialect::Bare),
            (frames::msg(0x0003_0001, 1, 90), Dialect::Bare),
            (frames::rcom(0x0003_0001, 1, 1, 64), Dialect::Bare),
            (frames::rcom(0x0003_0002, 1, 1, 64), Dialect::Unknown),
        ];
        for (frame, dialect) in rows {
            assert_eq!(Dialect::of(&frame), dialect);
        }
    }

    #[test]
    fn half_a_header_is_waited_for() {
        let ack = frames::ack(1, 5);
        for have in 1..16 {
            assert_eq!(
                found(&ack[..have], Search::Ongoing),
                Found {
                    skip: 0,
                    aligned: false
                },
                "{have}"
            );
        }
        assert_eq!(
            found(&[2, 0, 3, 9], Search::Ongoing),
            Found {
                skip: 4,
                aligned: false
            }
        );
    }
}
