//! Hexadecimal in the forms in which people have it, and back.
//!
//! Digits in pairs, with or without white space, `:`, `,` or `-` between bytes and `0x` in front; and the
//! dumps of `xxd`, `hexdump -C`, `tcpdump -x` and Wireshark with their offsets and texts.

use std::fmt;

/// Where hexadecimal cannot be read. Lines and columns count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HexError {
    line: usize,
    column: usize,
    kind: HexErrorKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HexErrorKind {
    NotADigit(char),
    HalfByte,
    SwappedWords,
}

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        match self.kind {
            HexErrorKind::NotADigit(found) => write!(f, "{found:?} is not a hexadecimal digit"),
            HexErrorKind::HalfByte => f.write_str("a byte has two digits, here is one"),
            HexErrorKind::SwappedWords => {
                f.write_str("hexdump without -C swaps bytes; use hexdump -C or xxd")
            }
        }
    }
}

/// Reads bytes from text.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut bytes = Vec::new();
    // Where the dump began that the lines belong to: several may stand one below the other.
    let mut dump = Dump::default();
    for (index, line) in text.lines().enumerate() {
        let at = |column, kind| HexError {
            line: index + 1,
            column,
            kind,
        };
        let content = dump.content(line, bytes.len()).map_err(|kind| at(1, kind))?;
        if content.is_empty() {
            continue;
        }
        let skipped = content.as_ptr().addr() - line.as_ptr().addr();
        let column = |offset: usize| line[..skipped + offset].chars().count() + 1;
        digits(content, &mut bytes).map_err(|(offset, kind)| at(column(offset), kind))?;
    }
    Ok(bytes)
}

/// Reads the digits of a line, or says where there are none.
fn digits(content: &str, bytes: &mut Vec<u8>) -> Result<(), (usize, HexErrorKind)> {
    let mut rest = content;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '-'));
        rest = without_prefix(rest);
        let offset = content.len() - rest.len();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Ok(());
        };
        let high = digit(first).ok_or((offset, HexErrorKind::NotADigit(first)))?;
        let low = match chars.next() {
            Some(second) if second.is_whitespace() || matches!(second, ':' | ',' | '-') => None,
            Some(second) => Some(digit(second).ok_or((offset + 1, HexErrorKind::NotADigit(second)))?),
            None => None,
        };
        let low = low.ok_or((offset, HexErrorKind::HalfByte))?;
        bytes.push(high << 4 | low);
        rest = chars.as_str();
    }
}

/// Cuts `0x` off where digits follow it.
fn without_prefix(text: &str) -> &str {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    digits
        .filter(|digits| digits.starts_with(|c: char| c.is_ascii_hexdigit()))
        .unwrap_or(text)
}

fn digit(digit: char) -> Option<u8> {
    digit.to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What the lines of a dump have in common.
#[derive(Default)]
struct Dump {
    has_offsets: bool,
    start: usize,
}

impl Dump {
    /// The part of a line that holds the bytes: without offset and text.
    fn content<'a>(&mut self, line: &'a str, have: usize) -> Result<&'a str, HexErrorKind> {
        let line = line.trim();
        let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if let Some(offset) = first.strip_suffix(':').and_then(offset) {
            self.has_offsets = true;
            self.start = have.saturating_sub(offset);
            return Ok(before_text(rest));
        }
        let Some(offset) = offset(first) else {
            return Ok(line);
        };
        let mut words = rest.split_whitespace().take_while(|word| !word.starts_with('|'));
        let next = words.next();
        let expected = have.saturating_sub(self.start);
        let is_offset = offset == 0 || self.has_offsets && offset == expected;
        match next {
            Some(word) if is_offset && word.len() == 2 => {
                if offset == 0 {
                    self.start = have;
                }
                self.has_offsets = true;
                Ok(before_text(rest))
            }
            Some(word) if is_offset && first.len() == 7 && word.len() == 4 => Err(HexErrorKind::SwappedWords),
            None if self.has_offsets && offset == expected => Ok(""),
            _ => Ok(line),
        }
    }
}

/// An offset has 4 to 16 digits.
fn offset(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    ((4..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| usize::from_str_radix(digits, 16).ok())?
}

/// Cuts the column of text off: what stands behind `|`, or behind the second gap of two spaces and more (the
/// first one may part the two halves of a line).
fn before_text(rest: &str) -> &str {
    let rest = rest.trim_start();
    let rest = rest.split('|').next().unwrap_or(rest);
    let mut from = 0;
    while let Some(gap) = rest[from..].find("  ") {
        let gap = from + gap;
        let behind = rest[gap..].trim_start();
        let word = behind.split(char::is_whitespace).next().unwrap_or("");
        let is_hex = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Bytes that go on stand 8 to a half line; anything else is text.
        let bytes_before = rest[..gap].split_whitespace().count();
        if !(is_hex && bytes_before == 8) {
            return &rest[..gap];
        }
        from = rest.len() - behind.len();
    }
    rest
}

/// Bytes in pairs of digits without anything between them.
pub(crate) fn plain(bytes: &[u8]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")))
}

/// Bytes in pairs of digits with a space between them.
pub(crate) fn spaced(bytes: &[u8]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        let mut separator = "";
        for byte in bytes {
            write!(f, "{separator}{byte:02x}")?;
            separator = " ";
        }
        Ok(())
    })
}

/// Bytes as text, dots where they are none.
pub(crate) fn text(bytes: &[u8]) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| {
        bytes.iter().try_for_each(|byte| {
            let shown = if byte.is_ascii_graphic() || *byte == b' ' {
                char::from(*byte)
            } else {
                '.'
            };
            write!(f, "{shown}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 20] = [
        2, 0, 3, 0, 0x2a, 0, 0, 0, 2, 0, 0, 0, 0x10, 0, 4, 0, b't', b'e', b's', b't',
    ];

    #[test]
    fn bytes_are_read_in_every_form() {
        for text in [
            "020003002a000000020000001000040074657374",
            "02 00 03 00 2a 00 00 00\n02 00 00 00 10 00 04 00\n\n74 65 73 74\n",
            "02:00:03:00:2A:00:00:00:02:00:00:00:10:00:04:00:74:65:73:74",
            "0x02, 0x00, 0x03,0x00, 0x2a",
            "0x020003002a0000000200000010000400 74657374",
            "00000000: 0200 0300 2a00 0000 0200 0000 1000 0400  ....*...........\n00000010: 7465 7374                                test\n",
            "00000000  02 00 03 00 2a 00 00 00  02 00 00 00 10 00 04 00  |....*...........|\n00000010  74 65 73 74                                       |test|\n00000014\n",
            "\t0x0000:  0200 0300 2a00 0000 0200 0000 1000 0400  ....*...........\n\t0x0010:  7465 7374                                test\n",
            "0000   02 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00   ....*...........\n0010   74 65 73 74                                       test\n",
            "0000 02 00 03 00 2a 00 00 00 02 00 00 00 10 00 04 00\n0010 74 65 73 74\n",
        ] {
            let bytes = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(
                BYTES.starts_with(&bytes) && bytes.len() > 4,
                "{text}: {bytes:02x?}"
            );
        }
    }

    #[test]
    fn two_dumps_follow_each_other() {
        let dump = "0000  02 00 03 00\n0004  2a 00\n";
        assert_eq!(parse(&dump.repeat(2)), Ok([&BYTES[..6], &BYTES[..6]].concat()));
    }

    #[test]
    fn bad_digits_are_named_with_their_place() {
        for (text, message) in [
            ("02 0g", "line 1, column 5: 'g' is not a hexadecimal digit"),
            (
                "02 00\n 03 x0",
                "line 2, column 5: 'x' is not a hexadecimal digit",
            ),
            ("02 00 3", "line 1, column 7: a byte has two digits, here is one"),
            ("02 0 03", "line 1, column 4: a byte has two digits, here is one"),
            ("ä", "line 1, column 1: 'ä' is not a hexadecimal digit"),
            (
                "0000000 0002 0003 002a 0000",
                "line 1, column 1: hexdump without -C swaps bytes; use hexdump -C or xxd",
            ),
        ] {
            let error = parse(text).map_err(|error| error.to_string());
            assert_eq!(error, Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_as_digits_and_text() {
        assert_eq!(plain(&BYTES[..5]).to_string(), "020003002a");
        assert_eq!(spaced(&BYTES[..5]).to_string(), "02 00 03 00 2a");
        assert_eq!(text(&BYTES[12..]).to_string(), "....test");
    }
}
