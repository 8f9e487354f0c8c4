//! The words of an event's values: what the kernel prints for symbols, flags and bytes.

use dlmwire_codec::{Command, ExFlags, Mode, MsgFlags, MsgType, RcomType, SbFlags, Version};

/// A flag that only 6.1 has a name for: a reply that the kernel made up for itself.
const STUB_MS: (&str, u32) = ("STUB_MS", 0x0200_0000);

/// A decimal number.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// A number without a name, as kernels print it where a symbol is to stand: hexadecimal, of up to 64 bits of which
/// the upper ones repeat the sign.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the upper half of the kernel's unsigned long says nothing about a field of 32 bits"
)]
fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok().map(|number| number as u32)
}

pub(super) fn version(text: &str) -> Option<Version> {
    match text {
        "3.1" => Some(Version::V3_1),
        "3.2" => Some(Version::V3_2),
        _ => Version::from_wire(hexadecimal(text)?).ok(),
    }
}

/// The two commands that have events.
pub(super) fn command(text: &str) -> Option<Command> {
    match text {
        "MSG" => Some(Command::Msg),
        "RCOM" => Some(Command::Rcom),
        _ => None,
    }
}

pub(super) fn msg_type(text: &str) -> Option<MsgType> {
    let named = MsgType::NAMED.iter().find(|one| one.name() == Some(text));
    named
        .copied()
        .or_else(|| hexadecimal(text).map(MsgType::from_wire))
}

pub(super) fn rcom_type(text: &str) -> Option<RcomType> {
    let named = RcomType::NAMED.iter().find(|one| one.name() == Some(text));
    named
        .copied()
        .or_else(|| hexadecimal(text).map(RcomType::from_wire))
}

pub(super) fn mode(text: &str) -> Option<Mode> {
    let named = Mode::NAMED.iter().find(|one| one.name() == Some(text));
    named
        .copied()
        .or_else(|| hexadecimal(text).map(|bits| Mode::from_wire(bits.cast_signed())))
}

pub(super) fn exflags(text: &str) -> Option<ExFlags> {
    let bits = |name: &str| bit(ExFlags::NAMED, name).map(ExFlags::bits);
    flags(text, bits).map(ExFlags::new)
}

pub(super) fn sbflags(text: &str) -> Option<SbFlags> {
    let bits = |name: &str| bit(SbFlags::NAMED, name).map(SbFlags::bits);
    flags(text, bits).map(SbFlags::new)
}

pub(super) fn msg_flags(text: &str) -> Option<MsgFlags> {
    let bits = |name: &str| {
        let named = bit(MsgFlags::NAMED, name).map(MsgFlags::bits);
        named.or((name == STUB_MS.0).then_some(STUB_MS.1))
    };
    flags(text, bits).map(MsgFlags::new)
}

fn bit<T: Copy>(named: &[(&str, T)], name: &str) -> Option<T> {
    named
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bit)| *bit)
}

/// Names joined by `|`, what has none in hexadecimal, nothing for 0.
fn flags(text: &str, bits: impl Fn(&str) -> Option<u32>) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    text.split('|').try_fold(0, |all, name| {
        let bits = bits(name).or_else(|| hexadecimal(name))?;
        Some(all | bits)
    })
}

/// Bytes as `0x` and two digits each; `trace-cmd` may put a space or a colon between them.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, []) = digits.as_chunks() else {
        return None;
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_and_a_rest_in_hexadecimal() {
        assert_eq!(exflags(""), Some(ExFlags::new(0)));
        assert_eq!(exflags("NOQUEUE|VALBLK"), Some(ExFlags::new(0x9)));
        assert_eq!(exflags("NOQUEUE|0x80000"), Some(ExFlags::new(0x8_0001)));
        assert_eq!(exflags("NOQUEUE|SOMETHING"), None);
        assert_eq!(msg_flags("MSTCPY|USER"), Some(MsgFlags::new(0x1_0001)));
        assert_eq!(msg_flags("STUB_MS"), Some(MsgFlags::new(0x200_0000)));
        // The newer kernels' way to print what 6.1 has a name for.
        assert_eq!(msg_flags("0x10000"), Some(MsgFlags::new(0x1_0000)));
        assert_eq!(sbflags("VALNOTVALID|ALTMODE"), Some(SbFlags::new(6)));
    }

    #[test]
    fn symbol_without_a_name_is_a_number() {
        assert_eq!(mode("EX"), Some(Mode::Ex));
        assert_eq!(mode("IV"), Some(Mode::Iv));
        assert_eq!(mode("0xfffffffffffffffe"), Some(Mode::Other(-2)));
        assert_eq!(msg_type("0x63"), Some(MsgType::Other(99)));
        assert_eq!(msg_type("NONSENSE"), None);
        assert_eq!(version("0x30003"), None);
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(bytes("0x"), Some(Vec::new()));
        assert_eq!(bytes("0x00fF"), Some(vec![0, 255]));
        assert_eq!(bytes("0x0"), None);
        assert_eq!(bytes("0xzz"), None);
        assert_eq!(bytes("0x+1"), None);
    }
}
