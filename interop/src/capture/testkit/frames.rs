//! DLM frames with nothing in them but what framing needs.

const HEADER_LEN: u16 = 16;
const OPTS_LEN: u16 = 24;
const VERSION_3_2: u32 = 0x0003_0002;

/// A header alone.
pub fn header(version: u32, word: u32, node: u32, length: u16, command: u8) -> Vec<u8> {
    let mut bytes = version.to_le_bytes().to_vec();
    bytes.extend(word.to_le_bytes());
    bytes.extend(node.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend([command, 0]);
    bytes
}

/// An ACK: `seq` is the next one expected.
pub fn ack(node: u32, seq: u32) -> Vec<u8> {
    header(VERSION_3_2, seq, node, HEADER_LEN, 4)
}

/// A bare MSG of `length` bytes, 88 at least.
pub fn msg(version: u32, node: u32, length: u16) -> Vec<u8> {
    let mut bytes = header(version, 0x6b1f_7a52, node, length, 1);
    bytes.resize(usize::from(length), 0x55);
    bytes
}

/// A bare RCOM of `length` bytes, 48 at least; type 1 is STATUS.
pub fn rcom(version: u32, node: u32, rcom_type: u8, length: u16) -> Vec<u8> {
    let mut bytes = header(version, 0x6b1f_7a52, node, length, 2);
    bytes.extend([rcom_type, 0, 0, 0]);
    bytes.resize(usize::from(length), 0x55);
    bytes
}

/// An OPTS around a MSG of `inner` bytes.
pub fn opts(node: u32, seq: u32, inner: u16) -> Vec<u8> {
    let mut bytes = header(VERSION_3_2, seq, node, OPTS_LEN + inner, 3);
    bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(msg(VERSION_3_2, node, inner));
    bytes
}

/// An OPTS around a FIN.
pub fn fin(node: u32, seq: u32) -> Vec<u8> {
    let mut bytes = header(VERSION_3_2, seq, node, OPTS_LEN + HEADER_LEN, 3);
    bytes.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(header(VERSION_3_2, 0, node, HEADER_LEN, 5));
    bytes
}
