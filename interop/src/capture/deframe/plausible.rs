//! Whether bytes look like a frame, where nothing says that one starts there (spec: wire 2, 5.3).
//!
//! The trap is the message inside `OPTS`: its header is complete and its length leads to the next frame. A
//! bare 3.2 `MSG` is right only towards a 3.1 peer, which is never sent `OPTS` or `ACK`; followed by one of
//! those it was an inner message.

use dlmwire_codec::{Command, Limits, Version};

const HEADER_LEN: usize = 16;
const OPTS_LEN: usize = 24;
const RCOM_TYPE_END: usize = 20;

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

/// Looks for the first frame. `starts_segment` tells whether a segment starts at an offset.
pub(super) fn search(
    bytes: &[u8],
    how: Search,
    limits: Limits,
    starts_segment: impl Fn(usize) -> bool,
) -> Found {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        // Both versions start with their minor number.
        let Some(ahead) = rest.iter().position(|byte| matches!(byte, 1 | 2)) else {
            break;
        };
        at += ahead;
        let candidate = bytes.get(at..).unwrap_or_default();
        match judge(candidate, how, limits, starts_segment(at)) {
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

fn judge(bytes: &[u8], how: Search, limits: Limits, starts_segment: bool) -> Verdict {
    let header = match Header::read(bytes, limits) {
        Ok(header) => header,
        Err(verdict) => return verdict,
    };
    if header.command == Command::Opts && !holds_inner(bytes, &header) {
        return Verdict::No;
    }
    let Some(behind) = bytes.get(header.length..) else {
        return Verdict::Open;
    };
    let may_be_inner = header.may_be_inner(bytes);
    match Header::read(behind, limits) {
        Err(Verdict::No) => Verdict::No,
        Ok(next) if may_be_inner && matches!(next.command, Command::Opts | Command::Ack) => Verdict::No,
        Ok(_) => Verdict::Frame,
        Err(_) if may_be_inner && !starts_segment && how == Search::Ongoing => Verdict::Open,
        Err(_) => Verdict::Frame,
    }
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
        search(bytes, how, Limits::KERNEL, |at| at == 0)
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
                skip: 14,
                aligned: false
            }
        );
    }

    #[test]
    fn bare_message_to_an_old_peer_is_a_frame() {
        let stream = [frames::msg(0x0003_0002, 1, 90), frames::msg(0x0003_0002, 1, 88)].concat();
        assert_eq!(
            found(&stream[3..], Search::Ongoing),
            Found {
                skip: 87,
                aligned: false
            }
        );
        assert_eq!(
            found(&stream[3..], Search::Final),
            Found {
                skip: 87,
                aligned: true
            }
        );
        assert_eq!(
            found(&stream, Search::Ongoing),
            Found {
                skip: 0,
                aligned: true
            }
        );
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
