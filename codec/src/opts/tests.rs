use std::vec::Vec;

use super::*;
use crate::frame::{Content, Frame, FrameFields};
use crate::ids::LockspaceId;
use crate::msg::{MsgType, Tail};
use crate::name::ResourceName;
use crate::testkit::{fields, frame, hex, node};
use crate::words::{Asts, Mode, MsgFlags};

/// `OPTS` around `REQUEST` (spec: wire 10).
const REQUEST: &str = "
    02 00 03 00 29 00 00 00 01 00 00 00 75 00 03 00
    01 00 00 00 00 00 00 00 02 00 03 00 52 7a 1f 6b
    01 00 00 00 5d 00 01 00 01 00 00 00 02 00 00 00
    d2 04 00 00 01 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00
    00 00 00 00 96 cf 63 89 00 00 00 00 ff ff ff ff
    05 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
    74 65 73 74 31";

/// `OPTS` around `FIN` (spec: wire 10).
const FIN: &str = "
    02 00 03 00 2a 00 00 00 01 00 00 00 28 00 03 00
    05 00 00 00 00 00 00 00 02 00 03 00 00 00 00 00
    01 00 00 00 10 00 05 00";

fn opts(bytes: &[u8]) -> Opts<'_> {
    match frame(bytes) {
        Ok(Frame::Opts(opts)) => opts,
        other => panic!("not OPTS: {other:?}"),
    }
}

/// Proves D1, D3.
#[test]
fn wrapped_request_field_by_field() {
    let request = MsgFields {
        nodeid: 2,
        pid: 1234,
        lkid: 1,
        flags: MsgFlags::USER,
        hash: 0x8963_cf96,
        grmode: Mode::Iv,
        rqmode: Mode::Ex,
        asts: Asts::CAST.with(Asts::BAST),
        tail: Tail::Name(ResourceName::new(b"test1").expect("5 bytes")),
        ..MsgFields::new(LockspaceId::new(0x6b1f_7a52), MsgType::Request)
    };
    let frame = FrameFields {
        version: Version::V3_2,
        node: node(1),
        content: Content::Opts(OptsFields {
            seq: Seq::new(41),
            options: Options::NONE,
            inner: InnerFields::Msg(request),
        }),
    };
    assert_eq!(fields(&hex(REQUEST)), frame);
}

/// Proves D1.
#[test]
fn wrapped_fin_field_by_field() {
    let bytes = hex(FIN);
    let expected = Opts {
        version: Version::V3_2,
        node: node(1),
        seq: Seq::new(42),
        options: Options::NONE,
        inner: Ok(Inner::Fin),
    };
    assert_eq!(opts(&bytes), expected);
    assert!(matches!(fields(&bytes).content, Content::Opts(opts) if opts.inner == InnerFields::Fin));
}

/// Other bytes from an offset on.
type Change<'a> = (usize, &'a [u8]);

fn changed(digits: &str, changes: &[Change<'_>]) -> Vec<u8> {
    let mut bytes = hex(digits);
    for (at, to) in changes {
        bytes[*at..][..to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn damaged_inside_still_hands_out_its_number() {
    let rows: [(&[Change<'_>], ErrorKind, usize); 10] = [
        (
            &[(18, &[94, 0])],
            ErrorKind::OptionsBeyondFrame {
                option_bytes: 94,
                present: 93,
            },
            18,
        ),
        (&[(16, &[0])], ErrorKind::NextCommand { command: 0 }, 16),
        (
            &[(16, &[3]), (38, &[3])],
            ErrorKind::NextCommand { command: 3 },
            16,
        ),
        (
            &[(18, &[78, 0])],
            ErrorKind::InnerHeaderMissing { present: 15 },
            102,
        ),
        (
            &[(38, &[2])],
            ErrorKind::InnerCommandDiffers {
                inner: 2,
                announced: Command::Msg,
            },
            38,
        ),
        (
            &[(36, &[87, 0])],
            ErrorKind::InnerTooShort {
                command: Command::Msg,
                length: 87,
            },
            36,
        ),
        (
            &[(36, &[94, 0])],
            ErrorKind::InnerBeyondFrame {
                length: 94,
                present: 93,
            },
            36,
        ),
        (
            &[(36, &[92, 0])],
            ErrorKind::InnerShorterThanFrame {
                length: 92,
                present: 93,
            },
            36,
        ),
        (
            &[(24, &[1])],
            ErrorKind::InnerVersionDiffers {
                inner: 0x0003_0001,
                outer: Version::V3_2,
            },
            24,
        ),
        (
            &[(32, &[2])],
            ErrorKind::InnerNodeDiffers { inner: 2, outer: 1 },
            32,
        ),
    ];
    for (changes, kind, offset) in rows {
        let bytes = changed(REQUEST, changes);
        let opts = opts(&bytes);
        assert_eq!(opts.seq, Seq::new(41));
        assert_eq!(opts.inner, Err(DecodeError { kind, offset }));
        assert_eq!(opts.fields(), Err(DecodeError { kind, offset }));
    }
}

#[test]
fn padding_is_not_read() {
    let padded = changed(REQUEST, &[(15, &[1]), (17, &[1]), (20, &[1; 4]), (39, &[1])]);
    assert_eq!(
        frame(&padded).and_then(|frame| frame.fields()),
        Ok(fields(&hex(REQUEST)))
    );
}

#[test]
fn frame_shorter_than_its_header_has_no_number() {
    let mut bytes = hex(FIN);
    bytes.truncate(23);
    bytes[12] = 23;
    let kind = ErrorKind::BodyTooShort {
        command: Command::Opts,
        length: 23,
    };
    assert_eq!(frame(&bytes), Err(DecodeError { kind, offset: 12 }));
}
