//! Where an event and its frame differ, by the kernel's names.

/// The header's fields and their offsets.
const HEADER: [(&str, usize, usize); 5] = [
    ("h_version", 0, 4),
    ("h_lockspace", 4, 4),
    ("h_nodeid", 8, 4),
    ("h_length", 12, 2),
    ("h_cmd", 14, 1),
];

/// The fields of a lock message behind its header, four bytes each.
const MSG: [&str; 18] = [
    "m_type",
    "m_nodeid",
    "m_pid",
    "m_lkid",
    "m_remid",
    "m_parent_lkid",
    "m_parent_remid",
    "m_exflags",
    "m_sbflags",
    "m_flags",
    "m_lvbseq",
    "m_hash",
    "m_status",
    "m_grmode",
    "m_rqmode",
    "m_bastmode",
    "m_asts",
    "m_result",
];

/// The fields of a recovery message behind its header.
const RCOM: [(&str, usize, usize); 5] = [
    ("rc_type", 16, 4),
    ("rc_result", 20, 4),
    ("rc_id", 24, 8),
    ("rc_seq", 32, 8),
    ("rc_seq_reply", 40, 8),
];

/// The first field in which a message of the trace and one of the wire differ, with both values; `None` if they are
/// the same but for padding.
pub(super) fn first_difference(told: &[u8], stated_length: u16, seen: &[u8]) -> Option<String> {
    let told_length = stated_length.to_le_bytes();
    for (name, at, len) in fields(seen) {
        let told = match name {
            "h_length" => &told_length[..],
            _ => told.get(at..at + len).unwrap_or_default(),
        };
        let seen = seen.get(at..at + len).unwrap_or_default();
        if told != seen {
            return Some(format!(
                "{name} is {} in the trace, {} on the wire",
                number(told),
                number(seen)
            ));
        }
    }
    let is_rcom = seen.get(14) == Some(&2);
    let (name, at) = if is_rcom { ("rc_buf", 48) } else { ("m_extra", 88) };
    let [told, seen] = [told, seen].map(|bytes| bytes.get(at..).unwrap_or_default());
    if told == seen {
        return None;
    }
    if told.len() != seen.len() {
        let text = format!(
            "{name} has {} bytes in the trace, {} on the wire",
            told.len(),
            seen.len()
        );
        return Some(text);
    }
    let byte = told.iter().zip(seen).position(|(one, other)| one != other)?;
    let [told, seen] = [told, seen].map(|bytes| bytes.get(byte).copied().unwrap_or_default());
    Some(format!(
        "{name} is {told:#04x} at byte {byte} in the trace, {seen:#04x} on the wire"
    ))
}

fn fields(bytes: &[u8]) -> Vec<(&'static str, usize, usize)> {
    let mut fields = HEADER.to_vec();
    match bytes.get(14) {
        Some(2) => fields.extend(RCOM),
        _ => fields.extend(
            MSG.iter()
                .enumerate()
                .map(|(index, name)| (*name, 16 + 4 * index, 4)),
        ),
    }
    fields
}

/// A little-endian number; with its sign where four bytes have one.
fn number(bytes: &[u8]) -> String {
    match bytes.try_into().map(u32::from_le_bytes) {
        Ok(number) if number > 0x8000_0000 => format!("{} ({number:#x})", number.cast_signed()),
        Ok(number) => number.to_string(),
        Err(_) => bytes
            .iter()
            .rev()
            .fold(0_u64, |all, byte| all << 8 | u64::from(*byte))
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(command: u8, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[12] = u8::try_from(length).unwrap();
        bytes[14] = command;
        bytes
    }

    #[test]
    fn field_that_differs_is_named_with_both_values() {
        let seen = message(1, 100);
        let mut told = seen.clone();
        assert_eq!(first_difference(&told, 100, &seen), None);
        told[84..88].copy_from_slice(&(-11_i32).to_le_bytes());
        let text = first_difference(&told, 100, &seen).unwrap();
        assert_eq!(text, "m_result is -11 (0xfffffff5) in the trace, 0 on the wire");
        let mut told = seen.clone();
        told[99] = 7;
        let text = first_difference(&told, 100, &seen).unwrap();
        assert_eq!(text, "m_extra is 0x07 at byte 11 in the trace, 0x00 on the wire");
        assert!(
            first_difference(&seen, 99, &seen)
                .unwrap()
                .starts_with("h_length is 99")
        );
    }

    #[test]
    fn padding_is_no_difference() {
        let seen = message(2, 48);
        let mut told = seen.clone();
        told[15] = 9;
        assert_eq!(first_difference(&told, 48, &seen), None);
        told[40] = 9;
        let text = first_difference(&told, 48, &seen).unwrap();
        assert_eq!(text, "rc_seq_reply is 9 in the trace, 0 on the wire");
    }
}
