//! Every way in which bytes can be wrong, and what the codec makes of it.
//!
//! What depends on more than the bytes (the version that a peer was taken for, which node a link belongs to)
//! is refused by the layer above.

use std::collections::BTreeSet;

use dlmwire_codec::{
    Command, DecodeError, Disposition, ErrorKind, FrameFields, Limits, Split, Version, split,
};

use Expected::{Accept, Close, Skip, Wait};

/// What a receiver does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// Reads on: so many bytes are known to be missing.
    Wait(usize),
    /// Drops the frame; what follows still decodes.
    Skip(ErrorKind),
    /// Closes the link.
    Close(ErrorKind),
    /// Takes the frame.
    Accept,
}

/// Class, bytes, reaction. `00*68` are 68 zero bytes.
///
/// A header is `version union node length command pad`; `OPTS` follows with `nextcmd pad optlen pad`.
#[rustfmt::skip]
const ROWS: &[(&str, &str, Expected)] = &[
    // No header yet: nothing to decide on, whatever the bytes are.
    ("nothing", "", Wait(16)),
    ("header: 1 byte", "02", Wait(15)),
    ("header: 12 bytes", "02000300 2a000000 02000000", Wait(4)),
    ("header: 14 bytes, length 40", "02000300 2a000000 02000000 2800", Wait(2)),
    ("header: 15 bytes, length 0", "02000300 2a000000 02000000 0000 04", Wait(1)),
    ("header: 15 bytes, length 65535", "02000300 2a000000 02000000 ffff 04", Wait(1)),

    // A header, and fewer bytes than it says.
    ("length beyond bytes: FIN", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 01000000 1000 05", Wait(1)),
    ("length beyond bytes: MSG", "01000300 0aa4ff8c 01000000 5800 01 00", Wait(72)),
    ("length beyond bytes: the limit", "01000300 0aa4ff8c 01000000 0010 01 00", Wait(4080)),
    ("length beyond bytes: unknown version", "ffffffff 0aa4ff8c 01000000 1100 01 00", Wait(1)),

    // A length that cannot be right.
    ("length 0", "02000300 2a000000 02000000 0000 04 00", Close(ErrorKind::LengthBelowHeader { length: 0 })),
    ("length 1", "02000300 2a000000 02000000 0100 04 00", Close(ErrorKind::LengthBelowHeader { length: 1 })),
    ("length 15", "02000300 2a000000 02000000 0f00 04 00", Close(ErrorKind::LengthBelowHeader { length: 15 })),
    ("length 4097", "02000300 2a000000 02000000 0110 04 00", Close(ErrorKind::LengthAboveLimit { length: 4097, limit: 4096 })),
    ("length 65535", "02000300 2a000000 02000000 ffff 04 00", Close(ErrorKind::LengthAboveLimit { length: 65_535, limit: 4096 })),
    ("length 0 and unknown version", "00000000 00000000 00000000 0000 00 00", Close(ErrorKind::LengthBelowHeader { length: 0 })),

    // Versions.
    ("major 0", "02000000 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMajor { major: 0 })),
    ("major 4", "02000400 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMajor { major: 4 })),
    ("major 3 in the wrong byte order", "00030002 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMajor { major: 0x200 })),
    ("minor 0", "00000300 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMinor { minor: 0 })),
    ("minor 3", "03000300 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMinor { minor: 3 })),
    ("minor 65535", "ffff0300 2a000000 02000000 1000 04 00", Skip(ErrorKind::UnknownMinor { minor: 65_535 })),

    // Commands.
    ("command 0", "02000300 2a000000 02000000 1000 00 00", Skip(ErrorKind::UnknownCommand { command: 0 })),
    ("command 6", "02000300 2a000000 02000000 1000 06 00", Skip(ErrorKind::UnknownCommand { command: 6 })),
    ("command 255 in 3.1", "01000300 2a000000 02000000 1000 ff 00", Skip(ErrorKind::UnknownCommand { command: 255 })),
    ("bare FIN", "02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::BareFin)),
    ("3.1 OPTS", "01000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 01000300 00000000 01000000 1000 05 00", Skip(ErrorKind::NotIn3_1 { command: Command::Opts })),
    ("3.1 ACK", "01000300 2a000000 02000000 1000 04 00", Skip(ErrorKind::NotIn3_1 { command: Command::Ack })),
    ("3.1 FIN", "01000300 00000000 01000000 1000 05 00", Skip(ErrorKind::NotIn3_1 { command: Command::Fin })),

    // Node 0.
    ("node 0: MSG", "01000300 0aa4ff8c 00000000 5800 01 00 0e000000 00*68", Skip(ErrorKind::NodeZero)),
    ("node 0: OPTS", "02000300 2a000000 00000000 2800 03 00 05 00 0000 00000000 02000300 00000000 00000000 1000 05 00", Skip(ErrorKind::NodeZero)),
    ("node 0: ACK", "02000300 2a000000 00000000 1000 04 00", Skip(ErrorKind::NodeZero)),

    // Shorter than the fixed part of the command, or longer than a command that is nothing else.
    ("MSG 16", "01000300 0aa4ff8c 01000000 1000 01 00", Skip(ErrorKind::BodyTooShort { command: Command::Msg, length: 16 })),
    ("MSG 87", "01000300 0aa4ff8c 01000000 5700 01 00 0e000000 00*67", Skip(ErrorKind::BodyTooShort { command: Command::Msg, length: 87 })),
    ("MSG 88", "01000300 0aa4ff8c 01000000 5800 01 00 0e000000 00*68", Accept),
    ("RCOM 16", "02000300 0aa4ff8c 01000000 1000 02 00", Skip(ErrorKind::BodyTooShort { command: Command::Rcom, length: 16 })),
    ("RCOM 47", "02000300 0aa4ff8c 01000000 2f00 02 00 02000000 00*27", Skip(ErrorKind::BodyTooShort { command: Command::Rcom, length: 47 })),
    ("RCOM 48", "02000300 0aa4ff8c 01000000 3000 02 00 02000000 00*28", Accept),
    ("OPTS 16", "02000300 2a000000 01000000 1000 03 00", Skip(ErrorKind::BodyTooShort { command: Command::Opts, length: 16 })),
    ("OPTS 23", "02000300 2a000000 01000000 1700 03 00 05 00 0000 000000", Skip(ErrorKind::BodyTooShort { command: Command::Opts, length: 23 })),
    ("ACK 17", "02000300 2a000000 02000000 1100 04 00 00", Skip(ErrorKind::AckTooLong { length: 17 })),
    ("ACK 4096", "02000300 2a000000 02000000 0010 04 00 00*4080", Skip(ErrorKind::AckTooLong { length: 4096 })),

    // Options and the inner message share what the outer length leaves.
    ("options beyond frame: of 0 bytes", "02000300 2a000000 01000000 1800 03 00 05 00 0100 00000000", Skip(ErrorKind::OptionsBeyondFrame { option_bytes: 1, present: 0 })),
    ("options beyond frame: by 1", "02000300 2a000000 01000000 2800 03 00 05 00 1100 00000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionsBeyondFrame { option_bytes: 17, present: 16 })),
    ("options beyond frame: by far", "02000300 2a000000 01000000 2800 03 00 05 00 ffff 00000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionsBeyondFrame { option_bytes: 65_535, present: 16 })),
    ("inner header missing", "02000300 2a000000 01000000 1800 03 00 05 00 0000 00000000", Skip(ErrorKind::InnerHeaderMissing { present: 0 })),
    ("inner header cut by options", "02000300 2a000000 01000000 2800 03 00 05 00 0100 00000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::InnerHeaderMissing { present: 15 })),

    // What is announced.
    ("nextcmd 0", "02000300 2a000000 01000000 2800 03 00 00 00 0000 00000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::NextCommand { command: 0 })),
    ("nextcmd 0, inner command 0", "02000300 2a000000 01000000 2800 03 00 00 00 0000 00000000 02000300 00000000 01000000 1000 00 00", Skip(ErrorKind::NextCommand { command: 0 })),
    ("nextcmd OPTS, inner OPTS", "02000300 2a000000 01000000 3000 03 00 03 00 0000 00000000 02000300 2b000000 01000000 1800 03 00 05 00 0000 00000000", Skip(ErrorKind::NextCommand { command: 3 })),
    ("nextcmd ACK, inner ACK", "02000300 2a000000 01000000 2800 03 00 04 00 0000 00000000 02000300 2a000000 01000000 1000 04 00", Skip(ErrorKind::NextCommand { command: 4 })),
    ("nextcmd 6", "02000300 2a000000 01000000 2800 03 00 06 00 0000 00000000 02000300 00000000 01000000 1000 06 00", Skip(ErrorKind::NextCommand { command: 6 })),
    ("nextcmd 255", "02000300 2a000000 01000000 2800 03 00 ff 00 0000 00000000 02000300 00000000 01000000 1000 ff 00", Skip(ErrorKind::NextCommand { command: 255 })),

    // The inner header against the outer.
    ("inner command differs: RCOM for FIN", "02000300 2a000000 01000000 4800 03 00 05 00 0000 00000000 02000300 0aa4ff8c 01000000 3000 02 00 02000000 00*28", Skip(ErrorKind::InnerCommandDiffers { inner: 2, announced: Command::Fin })),
    ("inner command differs: ACK for FIN", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 01000000 1000 04 00", Skip(ErrorKind::InnerCommandDiffers { inner: 4, announced: Command::Fin })),
    ("inner version differs: 3.1", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 01000300 00000000 01000000 1000 05 00", Skip(ErrorKind::InnerVersionDiffers { inner: 0x0003_0001, outer: Version::V3_2 })),
    ("inner version differs: unknown", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 00000000 00000000 01000000 1000 05 00", Skip(ErrorKind::InnerVersionDiffers { inner: 0, outer: Version::V3_2 })),
    ("inner node differs", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 02000000 1000 05 00", Skip(ErrorKind::InnerNodeDiffers { inner: 2, outer: 1 })),
    ("inner node 0", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 00000000 1000 05 00", Skip(ErrorKind::InnerNodeDiffers { inner: 0, outer: 1 })),
    ("inner length 0", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 01000000 0000 05 00", Skip(ErrorKind::InnerTooShort { command: Command::Fin, length: 0 })),
    ("inner length 15", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 01000000 0f00 05 00", Skip(ErrorKind::InnerTooShort { command: Command::Fin, length: 15 })),
    ("inner MSG 87", "02000300 2a000000 01000000 6f00 03 00 01 00 0000 00000000 02000300 0aa4ff8c 01000000 5700 01 00 0e000000 00*67", Skip(ErrorKind::InnerTooShort { command: Command::Msg, length: 87 })),
    ("inner RCOM 47", "02000300 2a000000 01000000 4700 03 00 02 00 0000 00000000 02000300 0aa4ff8c 01000000 2f00 02 00 02000000 00*27", Skip(ErrorKind::InnerTooShort { command: Command::Rcom, length: 47 })),
    ("inner beyond outer: by 1", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 00000000 01000000 1100 05 00", Skip(ErrorKind::InnerBeyondFrame { length: 17, present: 16 })),
    ("inner beyond outer: by far", "02000300 2a000000 01000000 7000 03 00 01 00 0000 00000000 02000300 0aa4ff8c 01000000 ffff 01 00 0e000000 00*68", Skip(ErrorKind::InnerBeyondFrame { length: 65_535, present: 88 })),
    ("inner shorter than the rest: by 1", "02000300 2a000000 01000000 2900 03 00 05 00 0000 00000000 02000300 00000000 01000000 1000 05 00 00", Skip(ErrorKind::InnerShorterThanFrame { length: 16, present: 17 })),
    ("inner shorter than the rest: by a message", "02000300 2a000000 01000000 c800 03 00 01 00 0000 00000000 02000300 0aa4ff8c 01000000 5800 01 00 0e000000 00*68 02000300 0aa4ff8c 01000000 5800 01 00 0e000000 00*68", Skip(ErrorKind::InnerShorterThanFrame { length: 88, present: 176 })),
    ("inner FIN with bytes behind its header", "02000300 2a000000 01000000 2900 03 00 05 00 0000 00000000 02000300 00000000 01000000 1100 05 00 00", Accept),

    // Padding is not checked.
    ("padding: header", "02000300 2a000000 02000000 1000 04 ff", Accept),
    ("padding: OPTS", "02000300 2a000000 01000000 2800 03 ff 05 ff 0000 ffffffff 02000300 00000000 01000000 1000 05 ff", Accept),
    ("padding: the union of FIN", "02000300 2a000000 01000000 2800 03 00 05 00 0000 00000000 02000300 ffffffff 01000000 1000 05 00", Accept),
    ("padding: STATUS", "02000300 0aa4ff8c 01000000 4000 02 00 01000000 00*28 01000000 ff*12", Accept),

    // Names of lock messages.
    ("name 0: REQUEST", "01000300 0aa4ff8c 01000000 5800 01 00 01000000 00*68", Skip(ErrorKind::NameLength { length: 0 })),
    ("name 1: REQUEST", "01000300 0aa4ff8c 01000000 5900 01 00 01000000 00*68 61", Accept),
    ("name 64: REQUEST", "01000300 0aa4ff8c 01000000 9800 01 00 01000000 00*68 61*64", Accept),
    ("name 65: REQUEST", "01000300 0aa4ff8c 01000000 9900 01 00 01000000 00*68 61*65", Skip(ErrorKind::NameLength { length: 65 })),
    ("name 0: LOOKUP", "01000300 0aa4ff8c 01000000 5800 01 00 0b000000 00*68", Skip(ErrorKind::NameLength { length: 0 })),
    ("name 65: LOOKUP", "01000300 0aa4ff8c 01000000 9900 01 00 0b000000 00*68 61*65", Skip(ErrorKind::NameLength { length: 65 })),
    ("name 0: wrapped REMOVE", "02000300 2a000000 01000000 7000 03 00 01 00 0000 00000000 02000300 0aa4ff8c 01000000 5800 01 00 0c000000 00*68", Skip(ErrorKind::NameLength { length: 0 })),
    ("name 4008: REMOVE", "01000300 0aa4ff8c 01000000 0010 01 00 0c000000 00*68 61*4008", Skip(ErrorKind::NameLength { length: 4008 })),
    ("tail of a message without a name: 65", "01000300 0aa4ff8c 01000000 9900 01 00 0a000000 00*68 61*65", Accept),

    // Payloads of recovery messages.
    ("STATUS short", "02000300 0aa4ff8c 01000000 3f00 02 00 01000000 00*28 00*15", Skip(ErrorKind::PayloadTooShort { rcom_type: 1, length: 15, needed: 16 })),
    ("name 65: NAMES", "02000300 0aa4ff8c 01000000 7100 02 00 02000000 00*28 61*65", Skip(ErrorKind::NameLength { length: 65 })),
    ("name 0: RCOM LOOKUP", "02000300 0aa4ff8c 01000000 3000 02 00 03000000 00*28", Skip(ErrorKind::NameLength { length: 0 })),
    ("name 65: RCOM LOOKUP", "02000300 0aa4ff8c 01000000 7100 02 00 03000000 00*28 61*65", Skip(ErrorKind::NameLength { length: 65 })),
    ("LOCK short", "02000300 0aa4ff8c 01000000 9b00 02 00 04000000 00*28 00*107", Skip(ErrorKind::PayloadTooShort { rcom_type: 4, length: 107, needed: 108 })),
    ("LOCK name 0", "02000300 0aa4ff8c 01000000 9c00 02 00 04000000 00*28 00*42 0000 00*64", Skip(ErrorKind::NameLength { length: 0 })),
    ("LOCK name 1", "02000300 0aa4ff8c 01000000 9c00 02 00 04000000 00*28 00*42 0100 61 00*63", Accept),
    ("LOCK name 65", "02000300 0aa4ff8c 01000000 9c00 02 00 04000000 00*28 00*42 4100 61*64", Skip(ErrorKind::NameLength { length: 65 })),
    ("LOCK name beyond its field, into the lock value block", "02000300 0aa4ff8c 01000000 bc00 02 00 04000000 00*28 00*42 6000 61*96", Skip(ErrorKind::NameLength { length: 96 })),
    ("LOCK name beyond payload", "02000300 0aa4ff8c 01000000 9c00 02 00 04000000 00*28 00*42 ffff 61*64", Skip(ErrorKind::NameLength { length: 65_535 })),
    ("LOCK_REPLY short", "02000300 0aa4ff8c 01000000 3000 02 00 08000000 00*28", Skip(ErrorKind::PayloadTooShort { rcom_type: 8, length: 0, needed: 108 })),
    ("STATUS_REPLY short", "02000300 0aa4ff8c 01000000 4f00 02 00 05000000 00*28 00*31", Skip(ErrorKind::PayloadTooShort { rcom_type: 5, length: 31, needed: 32 })),
    ("slots beyond payload: by 1", "02000300 0aa4ff8c 01000000 6000 02 00 05000000 00*28 00*14 0200 00*16 00*16", Skip(ErrorKind::SlotsBeyondPayload { slots: 2, present: 16 })),
    ("slots beyond payload: by a byte", "02000300 0aa4ff8c 01000000 5f00 02 00 05000000 00*28 00*14 0100 00*16 00*15", Skip(ErrorKind::SlotsBeyondPayload { slots: 1, present: 15 })),
    ("slots beyond payload: by far", "02000300 0aa4ff8c 01000000 6000 02 00 05000000 00*28 00*14 ffff 00*16 00*16", Skip(ErrorKind::SlotsBeyondPayload { slots: 65_535, present: 16 })),
    ("names: nothing", "02000300 0aa4ff8c 01000000 3000 02 00 06000000 00*28", Skip(ErrorKind::NamesOverrun { needed: 2, present: 0 })),
    ("names: half a length", "02000300 0aa4ff8c 01000000 3100 02 00 06000000 00*28 ff", Skip(ErrorKind::NamesOverrun { needed: 2, present: 1 })),
    ("names: name beyond payload", "02000300 0aa4ff8c 01000000 3400 02 00 06000000 00*28 0003 7231", Skip(ErrorKind::NamesOverrun { needed: 3, present: 2 })),
    ("names: no terminator", "02000300 0aa4ff8c 01000000 3400 02 00 06000000 00*28 0002 7231", Skip(ErrorKind::NamesOverrun { needed: 2, present: 0 })),
    ("names: half a terminator", "02000300 0aa4ff8c 01000000 3500 02 00 06000000 00*28 0002 7231 ff", Skip(ErrorKind::NamesOverrun { needed: 2, present: 1 })),
    ("names: length in the wrong byte order", "02000300 0aa4ff8c 01000000 3600 02 00 06000000 00*28 0200 7231 ffff", Skip(ErrorKind::NamesOverrun { needed: 512, present: 4 })),
    ("names: name 65", "02000300 0aa4ff8c 01000000 7500 02 00 06000000 00*28 0041 61*65 ffff", Skip(ErrorKind::NameLength { length: 65 })),
    ("names: none", "02000300 0aa4ff8c 01000000 3200 02 00 06000000 00*28 ffff", Accept),

    // Options that a caller asks for.
    ("option length 0", "02000300 2a000000 01000000 3000 03 00 05 00 0800 00000000 0100 0000 00000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionLength { length: 0, present: 0 })),
    ("option beyond options: by 1", "02000300 2a000000 01000000 3200 03 00 05 00 0a00 00000000 0100 0300 00000000 6162 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionLength { length: 3, present: 2 })),
    ("option beyond options: by far", "02000300 2a000000 01000000 3200 03 00 05 00 0a00 00000000 0100 ffff 00000000 6162 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionLength { length: 65_535, present: 2 })),
    ("option header cut", "02000300 2a000000 01000000 2f00 03 00 05 00 0700 00000000 0100 0000 000000 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionHeaderTruncated { present: 7 })),
    ("second option header cut", "02000300 2a000000 01000000 3300 03 00 05 00 0b00 00000000 0100 0100 00000000 61 0100 02000300 00000000 01000000 1000 05 00", Skip(ErrorKind::OptionHeaderTruncated { present: 2 })),
    ("options of unknown type", "02000300 2a000000 01000000 3a00 03 00 05 00 1200 00000000 0100 0100 00000000 61 ffff 0100 00000000 62 02000300 00000000 01000000 1000 05 00", Accept),
];

/// `ACK` from 2 for everything before 42 (spec: wire 10).
const GOOD: &str = "02000300 2a000000 02000000 1000 04 00";

/// Kinds of damage that the codec knows.
const KINDS: usize = 25;

/// Proves C38, C19.
#[test]
fn every_row_gets_its_reaction() {
    for (class, digits, expected) in ROWS {
        assert_eq!(examine(&hex(digits)).0, *expected, "{class}");
    }
}

#[test]
fn next_good_frame_decodes_behind_what_is_skipped_or_taken() {
    for (class, digits, expected) in ROWS {
        if matches!(expected, Skip(_) | Accept) {
            let bytes = [hex(digits), hex(GOOD), hex(GOOD)].concat();
            let (first, rest) = examine(&bytes);
            assert_eq!(first, *expected, "{class}");
            let (good, rest) = examine(rest);
            assert_eq!((good, rest), (Accept, hex(GOOD).as_slice()), "{class}");
        }
    }
}

#[test]
fn what_waits_is_still_the_same_frame_when_the_rest_has_come() {
    for (class, digits, expected) in ROWS {
        if let Wait(missing) = expected {
            let mut bytes = hex(digits);
            bytes.resize(bytes.len().saturating_add(*missing), 0);
            // Either the frame is whole now, or a header is there that says how much more it wants.
            assert_ne!(examine(&bytes).0, Wait(*missing), "{class}");
        }
    }
}

/// Proves C38.
#[test]
fn every_row_cut_anywhere_waits_or_closes() {
    for (class, digits, expected) in ROWS {
        let bytes = hex(digits);
        for end in 0..bytes.len() {
            let cut = bytes.get(..end).unwrap_or_default();
            match (end, examine(cut).0, expected) {
                (_, Wait(_), _) => {}
                (16.., Close(kind), Close(expected)) => assert_eq!(kind, *expected, "{class}"),
                (_, other, _) => panic!("{class}, cut to {end} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn table_has_every_kind_of_damage_and_no_class_twice() {
    let classes: BTreeSet<&str> = ROWS.iter().map(|(class, ..)| *class).collect();
    assert_eq!(classes.len(), ROWS.len());
    let mut kinds = Vec::new();
    for (_, _, expected) in ROWS {
        if let Skip(kind) | Close(kind) = expected {
            let kind = std::mem::discriminant(kind);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    assert_eq!(kinds.len(), KINDS);
}

/// What becomes of the first frame, and the bytes behind it.
fn examine(bytes: &[u8]) -> (Expected, &[u8]) {
    match split(bytes, Limits::KERNEL) {
        Split::NeedMore { missing } => (Wait(missing), bytes),
        Split::Lost(error) => (refused(error), bytes),
        Split::Frame { frame, rest } => {
            let fields: Result<FrameFields<'_>, _> = frame.decode().and_then(|frame| frame.fields());
            (fields.map_or_else(refused, |_| Accept), rest)
        }
    }
}

fn refused(error: DecodeError) -> Expected {
    match error.disposition() {
        Disposition::SkipFrame => Skip(error.kind),
        Disposition::CloseLink => Close(error.kind),
    }
}

/// Bytes from pairs of hexadecimal digits; `61*3` stands for `616161`.
fn hex(digits: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in digits.split_whitespace() {
        let (digits, times) = match word.split_once('*') {
            Some((digits, times)) => (digits, times.parse().expect("a number of times")),
            None => (word, 1),
        };
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        assert!(rest.is_empty(), "half a byte in {word}");
        for _ in 0..times {
            bytes.extend(pairs.iter().map(|pair| {
                let pair = std::str::from_utf8(pair).expect("digits");
                u8::from_str_radix(pair, 16).expect("two digits")
            }));
        }
    }
    bytes
}
