use super::*;
use crate::frame::{Content, Frame};
use crate::opts::{Inner, InnerFields};
use crate::testkit::{fields, frame, hex, node};

/// `STATUS` from 1 with `NEED_SLOTS` (spec: wire 10).
const STATUS: &str = "
    02 00 03 00 52 7a 1f 6b 01 00 00 00 40 00 02 00
    01 00 00 00 00 00 00 00 88 77 66 55 44 33 22 11
    02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00";

/// `tcp-3.2-linux7.2-2node-workload`, frame 21: the first `NAMES`, in `OPTS`.
const NAMES: &str = "
    02 00 03 00 00 00 00 00 01 00 00 00 48 00 03 00
    02 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
    01 00 00 00 30 00 02 00 02 00 00 00 00 00 00 00
    9b a7 1c 29 ff 75 76 4d f3 07 8a 78 cb fd 9a 18
    00 00 00 00 00 00 00 00";

/// `tcp-3.2-linux6.1-3node-heldlocks`, frame 10975: `LOOKUP` of a name of 64 bytes, in `OPTS`.
const LOOKUP: &str = "
    02 00 03 00 cc 03 00 00 01 00 00 00 88 00 03 00
    02 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
    01 00 00 00 70 00 02 00 03 00 00 00 00 00 00 00
    01 00 00 00 00 00 00 00 07 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 6c 6f 6e 67 2d 30 30 30
    35 2d 6c 6d 6e 6f 70 71 72 73 74 75 76 77 78 79
    7a 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f
    70 71 72 73 74 75 76 77 78 79 7a 61 62 63 64 65
    66 67 68 69 6a 6b 6c 6d";

/// `tcp-3.2-linux6.1-3node-heldlocks`, frame 10979: the reply to it.
const LOOKUP_REPLY: &str = "
    02 00 03 00 c1 03 00 00 02 00 00 00 48 00 03 00
    02 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
    02 00 00 00 30 00 02 00 07 00 00 00 01 00 00 00
    01 00 00 00 00 00 00 00 05 00 00 00 00 00 00 00
    07 00 00 00 00 00 00 00";

fn inner(bytes: &[u8]) -> RcomFields<'_> {
    match fields(bytes).content {
        Content::Opts(opts) => match opts.inner {
            InnerFields::Rcom(rcom) => rcom,
            other => panic!("not RCOM: {other:?}"),
        },
        other => panic!("not OPTS: {other:?}"),
    }
}

#[test]
fn status_field_by_field() {
    let bytes = hex(STATUS);
    let status = RcomFields {
        lockspace: LockspaceId::new(0x6b1f_7a52),
        result: 0,
        id: 0x1122_3344_5566_7788,
        seq: 2,
        seq_reply: 0,
        payload: Payload::Status {
            flags: StatusFlags::NEED_SLOTS,
        },
    };
    let read = fields(&bytes);
    assert_eq!((read.version, read.node), (Version::V3_2, node(1)));
    assert_eq!(read.content, Content::Rcom(status));
}

#[test]
fn lookup_and_its_reply_field_by_field() {
    let lookup = RcomFields {
        lockspace: LockspaceId::new(0x8cff_a40a),
        result: 0,
        id: 1,
        seq: 7,
        seq_reply: 0,
        payload: Payload::Lookup {
            name: ResourceName::new(b"long-0005-lmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm")
                .expect("64 bytes"),
        },
    };
    assert_eq!(inner(&hex(LOOKUP)), lookup);
    let reply = RcomFields {
        result: 1,
        seq: 5,
        seq_reply: 7,
        payload: Payload::LookupReply,
        ..lookup
    };
    assert_eq!(inner(&hex(LOOKUP_REPLY)), reply);
}

#[test]
fn names_asks_for_the_first_block_without_a_name_and_then_with_the_last() {
    assert_eq!(inner(&hex(NAMES)).payload, Payload::Names { resume: None });

    let mut bytes = hex(NAMES);
    bytes.extend(b"r1");
    bytes[12] += 2;
    bytes[24 + 12] += 2;
    let resume = ResourceName::new(b"r1").ok();
    assert_eq!(inner(&bytes).payload, Payload::Names { resume });
}

/// Proves D15.
#[test]
fn status_of_3_1_differs_from_3_2_in_the_version_alone() {
    let new = hex(STATUS);
    let mut old = new.clone();
    old[0] = 1;
    assert_eq!(fields(&old).version, Version::V3_1);
    assert_eq!(fields(&old).content, fields(&new).content);
}

#[test]
fn type_without_a_meaning_keeps_its_payload() {
    let mut bytes = hex(STATUS);
    bytes[16] = 9;
    let Content::Rcom(rcom) = fields(&bytes).content else {
        panic!("not RCOM");
    };
    let bytes = &bytes[RCOM_LEN..];
    assert_eq!(rcom.payload, Payload::Other { rcom_type: 9, bytes });
}

#[test]
fn types_read_back_what_they_write() {
    for (number, rcom_type) in (1..).zip(RcomType::NAMED) {
        assert_eq!(rcom_type.wire(), number);
        assert_eq!(RcomType::from_wire(number), *rcom_type);
        assert!(rcom_type.name().is_some());
    }
    for number in [0, 9, u32::MAX] {
        assert_eq!(RcomType::from_wire(number), RcomType::Other(number));
        assert_eq!(RcomType::from_wire(number).wire(), number);
    }
}

#[test]
fn payload_that_is_too_short_or_too_long_is_refused_where_it_is_read() {
    let rows = [
        (
            RcomType::Status,
            15,
            ErrorKind::PayloadTooShort {
                rcom_type: 1,
                length: 15,
                needed: 16,
            },
        ),
        (RcomType::Names, 65, ErrorKind::NameLength { length: 65 }),
        (RcomType::Lookup, 0, ErrorKind::NameLength { length: 0 }),
        (RcomType::Lookup, 65, ErrorKind::NameLength { length: 65 }),
        (
            RcomType::Lock,
            107,
            ErrorKind::PayloadTooShort {
                rcom_type: 4,
                length: 107,
                needed: 108,
            },
        ),
        (
            RcomType::StatusReply,
            31,
            ErrorKind::PayloadTooShort {
                rcom_type: 5,
                length: 31,
                needed: 32,
            },
        ),
        (
            RcomType::NamesReply,
            1,
            ErrorKind::NamesOverrun {
                needed: 2,
                present: 1,
            },
        ),
        (
            RcomType::LockReply,
            0,
            ErrorKind::PayloadTooShort {
                rcom_type: 8,
                length: 0,
                needed: 108,
            },
        ),
    ];
    for (rcom_type, length, kind) in rows {
        let mut bytes = hex(LOOKUP_REPLY);
        bytes.resize(24 + RCOM_LEN + length, 1);
        bytes[12] = u8::try_from(bytes.len()).expect("at most 179");
        bytes[24 + 12] = bytes[12] - 24;
        bytes[24 + 16] = u8::try_from(rcom_type.wire()).expect("at most 8");
        let Ok(Frame::Opts(opts)) = frame(&bytes) else {
            panic!("not OPTS");
        };
        let Ok(Inner::Rcom(rcom)) = opts.inner else {
            panic!("views are handed out whatever the payload: {:?}", opts.inner);
        };
        let offset = RCOM_LEN;
        assert_eq!(rcom.payload(), Err(DecodeError { kind, offset }));
        // Seen from the outer frame the payload starts 24 bytes later.
        let offset = 24 + RCOM_LEN;
        assert_eq!(opts.fields(), Err(DecodeError { kind, offset }));
    }
}

#[test]
fn message_shorter_than_its_fixed_part_is_refused() {
    let mut bytes = hex(STATUS);
    bytes.truncate(47);
    bytes[12] = 47;
    let kind = ErrorKind::BodyTooShort {
        command: Command::Rcom,
        length: 47,
    };
    assert_eq!(frame(&bytes), Err(DecodeError { kind, offset: 12 }));
}
