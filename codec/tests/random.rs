//! What holds for every frame that can be written, and for every byte sequence that can come.
//!
//! A failure prints the smallest input that shows it and a line for `random.proptest-regressions`, from
//! which the next run replays it.

use dlmwire_codec::{
    Asts, BlockEnd, Content, ExFlags, FrameFields, HEADER_LEN, InnerFields, Limits, LockStatus, LockspaceId,
    Mode, MsgFields, MsgFlags, MsgResult, MsgType, NameBlock, NodeId, Options, OptsFields, Payload,
    RcomConfig, RcomFields, RcomLock, RcomType, ResourceName, SbFlags, Seq, Slot, Slots, Split, StatusFlags,
    Tail, TailKind, TlvOption, Version, split,
};
use proptest::array::{uniform5, uniform18};
use proptest::collection::vec;
use proptest::prelude::*;

/// Under which every frame that can be written can be read.
const LIMITS: Limits = Limits {
    frame_bytes_max: u16::MAX,
};

/// A frame that owns what a [`FrameFields`] borrows.
#[derive(Clone, Debug)]
struct Owned {
    version: Version,
    node: NodeId,
    content: OwnedContent,
}

#[derive(Clone, Debug)]
enum OwnedContent {
    Ack(u32),
    Bare(OwnedInner),
    Opts(u32, Vec<(u16, Vec<u8>)>, OwnedInner),
}

#[derive(Clone, Debug)]
enum OwnedInner {
    Msg(u32, [u32; 18], Vec<u8>),
    Rcom(u32, i32, [u64; 3], OwnedPayload),
    Fin,
}

#[derive(Clone, Debug)]
enum OwnedPayload {
    Status(u32),
    Names(Option<Vec<u8>>),
    Lookup(Vec<u8>),
    Lock(bool, [u32; 18], Vec<u8>, Vec<u8>),
    StatusReply([u32; 4], u16, Vec<(u32, u16)>),
    NamesReply(Vec<Vec<u8>>, bool, usize),
    LookupReply,
    Other(u32, Vec<u8>),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..=64)
}

fn payload() -> impl Strategy<Value = OwnedPayload> {
    let lvb = || vec(any::<u8>(), 0..=64);
    prop_oneof![
        any::<u32>().prop_map(OwnedPayload::Status),
        proptest::option::of(name()).prop_map(OwnedPayload::Names),
        name().prop_map(OwnedPayload::Lookup),
        (any::<bool>(), uniform18(any::<u32>()), name(), lvb())
            .prop_map(|(reply, words, name, lvb)| OwnedPayload::Lock(reply, words, name, lvb)),
        (any::<[u32; 4]>(), any::<u16>(), vec(any::<(u32, u16)>(), 0..=250))
            .prop_map(|(words, our_slot, slots)| OwnedPayload::StatusReply(words, our_slot, slots)),
        (vec(name(), 0..=80), any::<bool>(), 0..5000_usize)
            .prop_map(|(names, last, length)| OwnedPayload::NamesReply(names, last, length)),
        Just(OwnedPayload::LookupReply),
        (prop_oneof![Just(0), 9..=u32::MAX], vec(any::<u8>(), 0..=200))
            .prop_map(|(rcom_type, bytes)| OwnedPayload::Other(rcom_type, bytes)),
    ]
}

fn msg() -> impl Strategy<Value = OwnedInner> {
    // Every type that has a name, and some that have none; every word that has names likewise.
    let words = (uniform18(any::<u32>()), 0..=20_u32, uniform5(-3..=7_i32)).prop_map(
        |(mut words, msg_type, small)| {
            words[0] = msg_type;
            words[12..17].copy_from_slice(&small.map(i32::cast_unsigned));
            words
        },
    );
    (any::<u32>(), words, name()).prop_map(|(lockspace, words, tail)| OwnedInner::Msg(lockspace, words, tail))
}

fn rcom() -> impl Strategy<Value = OwnedInner> {
    (any::<u32>(), any::<i32>(), any::<[u64; 3]>(), payload())
        .prop_map(|(lockspace, result, words, payload)| OwnedInner::Rcom(lockspace, result, words, payload))
}

fn owned() -> impl Strategy<Value = Owned> {
    let options = vec((any::<u16>(), vec(any::<u8>(), 1..=40)), 0..=5);
    let bare = prop_oneof![msg(), rcom()].prop_map(OwnedContent::Bare);
    let opts = (
        any::<u32>(),
        options,
        prop_oneof![msg(), rcom(), Just(OwnedInner::Fin)],
    )
        .prop_map(|(seq, options, inner)| OwnedContent::Opts(seq, options, inner));
    let content = prop_oneof![any::<u32>().prop_map(OwnedContent::Ack), bare, opts];
    (any::<bool>(), 1..=u32::MAX, content).prop_map(|(old, node, content)| {
        let bare = matches!(content, OwnedContent::Bare(_));
        Owned {
            version: if old && bare { Version::V3_1 } else { Version::V3_2 },
            node: NodeId::new(node).expect("from 1"),
            content,
        }
    })
}

impl Owned {
    /// Hands the fields to `look`, since they borrow from lists that live only here.
    fn with_fields<T>(&self, look: impl FnOnce(&FrameFields<'_>) -> T) -> T {
        let mut lists = Lists::default();
        let options = match &self.content {
            OwnedContent::Opts(_, options, _) => options.as_slice(),
            OwnedContent::Ack(_) | OwnedContent::Bare(_) => &[],
        };
        let options: Vec<TlvOption<'_>> = options
            .iter()
            .map(|(kind, value)| TlvOption { kind: *kind, value })
            .collect();
        let content = match &self.content {
            OwnedContent::Ack(seq) => Content::Ack(Seq::new(*seq)),
            OwnedContent::Bare(inner) => match inner.fields(&mut lists) {
                InnerFields::Msg(msg) => Content::Msg(msg),
                InnerFields::Rcom(rcom) => Content::Rcom(rcom),
                InnerFields::Fin => unreachable!("no FIN is generated bare"),
            },
            OwnedContent::Opts(seq, _, inner) => Content::Opts(OptsFields {
                seq: Seq::new(*seq),
                options: Options::from_list(&options),
                inner: inner.fields(&mut lists),
            }),
        };
        look(&FrameFields {
            version: self.version,
            node: self.node,
            content,
        })
    }

    fn encoded(&self) -> Vec<u8> {
        self.with_fields(|fields| {
            let mut out = vec![0xaa; fields.encoded_len()];
            assert_eq!(fields.encode_into(&mut out), Ok(out.len()));
            out
        })
    }
}

#[derive(Default)]
struct Lists<'a> {
    names: Vec<ResourceName<'a>>,
    slots: Vec<Slot>,
}

impl OwnedInner {
    fn fields<'a>(&'a self, lists: &'a mut Lists<'a>) -> InnerFields<'a> {
        match self {
            Self::Msg(lockspace, words, tail) => InnerFields::Msg(msg_fields(*lockspace, words, tail)),
            Self::Rcom(lockspace, result, [id, seq, seq_reply], payload) => InnerFields::Rcom(RcomFields {
                lockspace: LockspaceId::new(*lockspace),
                result: *result,
                id: *id,
                seq: *seq,
                seq_reply: *seq_reply,
                payload: payload.fields(lists),
            }),
            Self::Fin => InnerFields::Fin,
        }
    }
}

fn msg_fields<'a>(lockspace: u32, words: &[u32; 18], tail: &'a [u8]) -> MsgFields<'a> {
    let msg_type = MsgType::from_wire(words[0]);
    MsgFields {
        lockspace: LockspaceId::new(lockspace),
        msg_type,
        nodeid: words[1],
        pid: words[2],
        lkid: words[3],
        remid: words[4],
        parent_lkid: words[5],
        parent_remid: words[6],
        exflags: ExFlags::new(words[7]),
        sbflags: SbFlags::new(words[8]),
        flags: MsgFlags::new(words[9]),
        lvbseq: words[10],
        hash: words[11],
        status: LockStatus::from_wire(words[12].cast_signed()),
        grmode: Mode::from_wire(words[13].cast_signed()),
        rqmode: Mode::from_wire(words[14].cast_signed()),
        bastmode: Mode::from_wire(words[15].cast_signed()),
        asts: Asts::new(words[16]),
        result: MsgResult::from_wire(words[17].cast_signed()),
        tail: match msg_type.tail() {
            TailKind::Name => Tail::Name(resource(tail)),
            TailKind::Lvb => Tail::Lvb(tail),
            TailKind::Opaque => Tail::Opaque(tail),
        },
    }
}

fn resource(bytes: &[u8]) -> ResourceName<'_> {
    ResourceName::new(bytes).expect("1 to 64 bytes are generated")
}

impl OwnedPayload {
    fn fields<'a>(&'a self, lists: &'a mut Lists<'a>) -> Payload<'a> {
        match self {
            Self::Status(flags) => Payload::Status {
                flags: StatusFlags::new(*flags),
            },
            Self::Names(resume) => Payload::Names {
                resume: resume.as_deref().map(resource),
            },
            Self::Lookup(name) => Payload::Lookup { name: resource(name) },
            Self::Lock(reply, words, name, lvb) => {
                let lock = lock(words, name, lvb);
                if *reply {
                    Payload::LockReply(lock)
                } else {
                    Payload::Lock(lock)
                }
            }
            Self::StatusReply([lvblen, lsflags, flags, generation], our_slot, slots) => {
                let list = slots.iter().map(|(nodeid, slot)| Slot {
                    nodeid: *nodeid,
                    slot: *slot,
                });
                lists.slots = list.collect();
                Payload::StatusReply {
                    config: RcomConfig {
                        lvblen: *lvblen,
                        lsflags: *lsflags,
                        flags: *flags,
                        our_slot: *our_slot,
                        generation: *generation,
                    },
                    slots: Slots::from_list(&lists.slots),
                }
            }
            Self::NamesReply(names, last, length) => {
                lists.names = names.iter().map(|name| resource(name)).collect();
                let end = if *last { BlockEnd::Last } else { BlockEnd::More };
                Payload::NamesReply(NameBlock::new(&lists.names, end, *length))
            }
            Self::LookupReply => Payload::LookupReply,
            Self::Other(rcom_type, bytes) => {
                assert_eq!(RcomType::from_wire(*rcom_type), RcomType::Other(*rcom_type));
                Payload::Other {
                    rcom_type: *rcom_type,
                    bytes,
                }
            }
        }
    }
}

fn lock<'a>(words: &[u32; 18], name: &'a [u8], lvb: &'a [u8]) -> RcomLock<'a> {
    let [rqmode, grmode, status, asts] = words[9].to_le_bytes();
    let [low, high, ..] = words[10].to_le_bytes();
    RcomLock {
        ownpid: words[0],
        lkid: words[1],
        remid: words[2],
        parent_lkid: words[3],
        parent_remid: words[4],
        exflags: ExFlags::new(words[5]),
        flags: MsgFlags::new(words[6]),
        lvbseq: words[7],
        result: words[8].cast_signed(),
        rqmode: rqmode.cast_signed(),
        grmode: grmode.cast_signed(),
        status: status.cast_signed(),
        asts,
        wait_type: u16::from_le_bytes([low, high]),
        name: resource(name),
        lvb,
    }
}

proptest! {
    /// Proves D2.
    #[test]
    fn frame_written_is_the_frame_read(frame in owned()) {
        let bytes = frame.encoded();
        frame.with_fields(|fields| {
            let Split::Frame { frame: raw, rest: [] } = split(&bytes, LIMITS) else {
                panic!("not one frame: {bytes:x?}");
            };
            assert_eq!(raw.decode().and_then(|frame| frame.fields()), Ok(*fields));
        });
    }

    #[test]
    fn frame_split_anywhere_misses_the_rest(frame in owned()) {
        let bytes = frame.encoded();
        for (end, _) in bytes.iter().enumerate() {
            let whole = if end < HEADER_LEN { HEADER_LEN } else { bytes.len() };
            let missing = whole.saturating_sub(end);
            prop_assert_eq!(split(&bytes[..end], LIMITS), Split::NeedMore { missing });
        }
    }

    #[test]
    fn frames_in_a_row_come_out_in_order(frames in vec(owned(), 0..5)) {
        let frames: Vec<Vec<u8>> = frames.iter().map(Owned::encoded).collect();
        let stream = frames.concat();
        let mut rest = stream.as_slice();
        for bytes in &frames {
            let Split::Frame { frame, rest: behind } = split(rest, LIMITS) else {
                panic!("a frame is lost");
            };
            prop_assert_eq!(frame.bytes(), bytes.as_slice());
            rest = behind;
        }
        prop_assert!(rest.is_empty());
    }

    /// Proves C38.
    #[test]
    fn bytes_of_any_kind_are_read_without_panic(bytes in vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }

    /// Proves C38.
    #[test]
    fn damaged_frames_are_read_without_panic(
        frame in owned(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = frame.encoded();
        for (at, to) in damage {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        read_everything(&bytes);
    }
}

fn read_everything(bytes: &[u8]) {
    let mut rest = bytes;
    while let Split::Frame { frame, rest: behind } = split(rest, LIMITS) {
        rest = behind;
        match frame.decode() {
            Ok(frame) => _ = format!("{frame:?} {:?}", frame.fields()),
            Err(error) => _ = error.to_string(),
        }
    }
}
