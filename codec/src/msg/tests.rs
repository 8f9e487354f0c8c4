use super::*;
use crate::error::ErrorKind;
use crate::frame::{Content, Frame};
use crate::opts::{Inner, InnerFields};
use crate::testkit::{fields, frame, hex, node};

/// `tcp-3.1-linux5.10-2node-workload`, frame 2278: `REMOVE` of a resource with a binary name.
const REMOVE: &str = "
    01 00 03 00 0a a4 ff 8c 01 00 00 00 70 00 01 00
    0c 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 05 e0 11 e6
    00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 00 00 00 00 00 16 00 00 00
    00 00 00 00 00 00 00 00 36 75 c4 98 00 00 00 00";

/// `tcp-3.2-linux6.1-2node-workload`, frame 159: `GRANT` with a lock value block, in `OPTS`.
const GRANT: &str = "
    02 00 03 00 13 00 00 00 02 00 00 00 90 00 03 00
    01 00 00 00 00 00 00 00 02 00 03 00 0a a4 ff 8c
    02 00 00 00 78 00 01 00 09 00 00 00 01 00 00 00
    b1 00 00 00 10 00 00 00 14 00 00 00 00 00 00 00
    00 00 00 00 08 00 00 00 00 00 00 00 01 00 01 00
    01 00 00 00 24 58 77 c9 02 00 00 00 03 00 00 00
    ff ff ff ff 00 00 00 00 03 00 00 00 00 00 00 00
    6c 76 62 2d 35 31 37 65 36 30 65 31 2d 30 30 30
    30 30 30 30 39 00 00 00 00 00 00 00 00 00 00 00";

#[test]
fn remove_field_by_field() {
    let bytes = hex(REMOVE);
    let name = ResourceName::new(&bytes[MSG_LEN..]).expect("24 bytes");
    let remove = MsgFields {
        hash: 0xe611_e005,
        tail: Tail::Name(name),
        ..MsgFields::new(LockspaceId::new(0x8cff_a40a), MsgType::Remove)
    };
    let read = fields(&bytes);
    assert_eq!((read.version, read.node), (Version::V3_1, node(1)));
    assert_eq!(read.content, Content::Msg(remove));
    assert_eq!(name.hash(), remove.hash);
}

#[test]
fn grant_field_by_field() {
    let bytes = hex(GRANT);
    let grant = MsgFields {
        lockspace: LockspaceId::new(0x8cff_a40a),
        msg_type: MsgType::Grant,
        nodeid: 1,
        pid: 0xb1,
        lkid: 0x10,
        remid: 0x14,
        parent_lkid: 0,
        parent_remid: 0,
        exflags: ExFlags::VALBLK,
        sbflags: SbFlags::new(0),
        flags: MsgFlags::USER.with(MsgFlags::MSTCPY),
        lvbseq: 1,
        hash: 0xc977_5824,
        status: LockStatus::Granted,
        grmode: Mode::Pr,
        rqmode: Mode::Iv,
        bastmode: Mode::Nl,
        asts: Asts::CAST.with(Asts::BAST),
        result: MsgResult::Success,
        tail: Tail::Lvb(b"lvb-517e60e1-00000009\0\0\0\0\0\0\0\0\0\0\0"),
    };
    assert!(matches!(fields(&bytes).content, Content::Opts(opts) if opts.inner == InnerFields::Msg(grant)));
    let Ok(Frame::Opts(opts)) = frame(&bytes) else {
        panic!("not OPTS");
    };
    let Ok(Inner::Msg(view)) = opts.inner else {
        panic!("not MSG");
    };
    assert_eq!((view.version(), view.node()), (Version::V3_2, node(2)));
    assert_eq!(view.extra(), grant.tail.bytes());
    assert_eq!(view.fields(), Ok(grant));
}

#[test]
fn every_word_has_its_own_place() {
    let mut bytes = hex(REMOVE);
    bytes.truncate(MSG_LEN);
    bytes[12] = 88;
    for (word, to) in (1_u32..).zip(bytes[16..].as_chunks_mut().0) {
        *to = (word + 100).to_le_bytes();
    }
    let Content::Msg(msg) = fields(&bytes).content else {
        panic!("not MSG");
    };
    let words = [
        msg.msg_type.wire(),
        msg.nodeid,
        msg.pid,
        msg.lkid,
        msg.remid,
        msg.parent_lkid,
        msg.parent_remid,
        msg.exflags.bits(),
        msg.sbflags.bits(),
        msg.flags.bits(),
        msg.lvbseq,
        msg.hash,
        msg.status.wire().cast_unsigned(),
        msg.grmode.wire().cast_unsigned(),
        msg.rqmode.wire().cast_unsigned(),
        msg.bastmode.wire().cast_unsigned(),
        msg.asts.bits(),
        msg.result.wire().cast_unsigned(),
    ];
    assert!(words.into_iter().eq(101..119), "{words:?}");
}

#[test]
fn types_read_back_what_they_write() {
    for (number, msg_type) in (1..).zip(MsgType::NAMED) {
        assert_eq!(msg_type.wire(), number);
        assert_eq!(MsgType::from_wire(number), *msg_type);
        assert!(msg_type.name().is_some());
    }
    for number in [0, 15, u32::MAX] {
        assert_eq!(MsgType::from_wire(number), MsgType::Other(number));
        assert_eq!(MsgType::from_wire(number).wire(), number);
    }
}

/// Proves C38.
#[test]
fn name_in_the_tail_has_1_to_64_bytes() {
    let named = [MsgType::Request, MsgType::Lookup, MsgType::Remove];
    for (msg_type, length) in named
        .into_iter()
        .flat_map(|each| [0, 1, 64, 65].map(|length| (each, length)))
    {
        let mut bytes = hex(REMOVE);
        bytes.resize(MSG_LEN + length, b'x');
        bytes[12] = u8::try_from(bytes.len()).expect("at most 153");
        bytes[16] = u8::try_from(msg_type.wire()).expect("at most 14");
        let read = frame(&bytes).and_then(|frame| frame.fields());
        match length {
            1..=64 => assert!(read.is_ok(), "{msg_type} {length}"),
            _ => assert_eq!(
                read,
                Err(DecodeError {
                    kind: ErrorKind::NameLength { length },
                    offset: MSG_LEN
                }),
                "{msg_type}"
            ),
        }
    }
}

#[test]
fn tail_without_a_name_may_have_any_length() {
    for msg_type in MsgType::NAMED.iter().filter(|each| each.tail() != TailKind::Name) {
        for length in [0, 1, 32, 120] {
            let mut bytes = hex(REMOVE);
            bytes.resize(MSG_LEN + length, 7);
            bytes[12] = u8::try_from(bytes.len()).expect("at most 208");
            bytes[16] = u8::try_from(msg_type.wire()).expect("at most 14");
            assert!(
                matches!(fields(&bytes).content, Content::Msg(msg) if msg.tail.bytes() == &bytes[MSG_LEN..])
            );
        }
    }
}

#[test]
fn message_shorter_than_its_fixed_part_is_refused() {
    let mut bytes = hex(REMOVE);
    bytes.truncate(87);
    bytes[12] = 87;
    let kind = ErrorKind::BodyTooShort {
        command: Command::Msg,
        length: 87,
    };
    assert_eq!(frame(&bytes), Err(DecodeError { kind, offset: 12 }));
}
