//! What holds for any bytes whatever: called by the corpus test on stable and by the fuzz targets.
//!
//! Every function takes bytes as a link would bring them, any number of frames and a tail, and panics with
//! what it found.

use dlmwire_codec::{
    Content, DecodeError, Disposition, Frame, FrameFields, HEADER_LEN, Header, Inner, InnerFields, Limits,
    MSG_LEN, MessageClass, Msg, MsgFields, OPTS_HEADER_LEN, Opts, Payload, RCOM_LEN, RawFrame, Rcom,
    RcomFields, Split, damage, split,
};

/// Limits under which every length of 16 and more is a frame's.
const ANY_LENGTH: Limits = Limits {
    frame_bytes_max: u16::MAX,
};

/// Whatever the bytes: no panic in any accessor, errors point into the frame, and the ways to read a thing
/// agree.
pub fn decode(bytes: &[u8]) {
    for frame in frames(bytes) {
        read_all(frame);
    }
}

/// A stream that comes in chunks gives the frames, and the end, that it gives in one piece.
pub fn deframe(bytes: &[u8]) {
    let whole = Cut::all_at_once(bytes);
    assert_eq!(Cut::in_chunks(bytes, || 1), whole, "one byte at a time");
    for seed in [0, 1, 2, 3].map(|salt| checksum(bytes) ^ salt) {
        let mut random = SplitMix(seed);
        // Mostly shorter than a header, now and then longer than a frame.
        let chunked = Cut::in_chunks(bytes, || match random.below(8) {
            0 => random.below(5000) + 1,
            _ => random.below(40) + 1,
        });
        assert_eq!(chunked, whole, "chunks of seed {seed:#x}");
    }
}

/// Fields that were read come back when written and read again, and the bytes differ from the original in
/// padding at most.
pub fn roundtrip(bytes: &[u8]) {
    for raw in frames(bytes) {
        let Ok(fields) = raw.decode().and_then(|frame| frame.fields()) else {
            continue;
        };
        let mut written = vec![0xaa; usize::from(u16::MAX)];
        let length = match fields.encode_into(&mut written) {
            Ok(length) => length,
            Err(error) => panic!("{error}: {fields:?}"),
        };
        assert_eq!(length, fields.encoded_len(), "{fields:?}");
        written.truncate(length);

        let again = match split(&written, ANY_LENGTH) {
            Split::Frame { frame, rest: [] } => frame.decode().and_then(|frame| frame.fields()),
            other => panic!("{other:?} from {fields:?}"),
        };
        assert_eq!(again, Ok(fields));
        assert_eq!(written, canonical(raw.bytes(), &fields), "{fields:?}");
        let error = fields.encode_into(&mut written[..length - 1]);
        assert!(error.is_err(), "{length} bytes do not fit into one less");
    }
}

/// The frames of a stream up to where it ends or framing is lost.
fn frames(bytes: &[u8]) -> impl Iterator<Item = RawFrame<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let Split::Frame { frame, rest: behind } = split(rest, ANY_LENGTH) else {
            return None;
        };
        rest = behind;
        Some(frame)
    })
}

fn read_all(raw: RawFrame<'_>) {
    let bytes = raw.bytes();
    assert!(bytes.len() >= HEADER_LEN);
    let header = bytes.first_chunk().map(Header::decode);
    let frame = match raw.decode() {
        Ok(frame) => frame,
        Err(error) => return check_error(error, bytes),
    };
    let Some(Ok(header)) = header else {
        panic!("{header:?}, but the frame decodes: {frame:?}");
    };
    assert_eq!((header.version, header.node), (frame.version(), frame.node()));
    assert_eq!(header.command, frame.command());
    assert_eq!(usize::from(header.length), bytes.len());
    match &frame {
        Frame::Msg(msg) => read_msg(msg, bytes),
        Frame::Rcom(rcom) => read_rcom(rcom, bytes),
        Frame::Opts(opts) => read_opts(opts, bytes),
        Frame::Ack(_) => assert_eq!(bytes.len(), HEADER_LEN),
    }
    let class = MessageClass::of_frame(&frame);
    assert_eq!(
        class.is_none(),
        matches!(&frame, Frame::Opts(opts) if opts.inner.is_err())
    );
    // The views' own Debug reads every field.
    assert!(!format!("{frame:?}").is_empty());
    if let Err(error) = frame.fields() {
        check_error(error, bytes);
    }
}

fn check_error(error: DecodeError, bytes: &[u8]) {
    assert!(error.offset <= bytes.len(), "{error} in {} bytes", bytes.len());
    assert_eq!(
        error.disposition(),
        Disposition::SkipFrame,
        "{error} in a sound frame"
    );
    assert!(!error.to_string().is_empty());
}

fn read_opts(opts: &Opts<'_>, bytes: &[u8]) {
    for option in opts.options.iter().flatten() {
        assert!(!option.value.is_empty());
    }
    if let Err(error) = opts.options.check() {
        check_error(error, bytes);
    }
    match &opts.inner {
        Ok(inner) => {
            let behind = bytes.get(OPTS_HEADER_LEN + opts.options.encoded_len()..);
            let Some(inner_bytes) = behind else {
                panic!(
                    "options of {} bytes run behind the frame",
                    opts.options.encoded_len()
                );
            };
            match inner {
                Inner::Msg(msg) => read_msg(msg, inner_bytes),
                Inner::Rcom(rcom) => read_rcom(rcom, inner_bytes),
                Inner::Fin => assert!(inner_bytes.len() >= HEADER_LEN),
            }
        }
        Err(error) => check_error(*error, bytes),
    }
    if let Err(error) = opts.fields() {
        assert!(damage(&error.kind).is_some(), "{error} has no row");
    }
}

fn read_msg(msg: &Msg<'_>, bytes: &[u8]) {
    assert_eq!(MSG_LEN + msg.extra().len(), bytes.len());
    let Ok(fields) = msg.fields() else {
        assert!(msg.tail().is_err());
        return;
    };
    let read = MsgFields {
        lockspace: msg.lockspace(),
        msg_type: msg.msg_type(),
        nodeid: msg.nodeid(),
        pid: msg.pid(),
        lkid: msg.lkid(),
        remid: msg.remid(),
        parent_lkid: msg.parent_lkid(),
        parent_remid: msg.parent_remid(),
        exflags: msg.exflags(),
        sbflags: msg.sbflags(),
        flags: msg.flags(),
        lvbseq: msg.lvbseq(),
        hash: msg.hash(),
        status: msg.status(),
        grmode: msg.grmode(),
        rqmode: msg.rqmode(),
        bastmode: msg.bastmode(),
        asts: msg.asts(),
        result: msg.result(),
        tail: fields.tail,
    };
    assert_eq!(fields, read);
    assert_eq!(fields.tail.bytes(), msg.extra());
}

fn read_rcom(rcom: &Rcom<'_>, bytes: &[u8]) {
    assert_eq!(RCOM_LEN + rcom.payload_bytes().len(), bytes.len());
    let Ok(payload) = rcom.payload() else {
        assert!(rcom.fields().is_err());
        return;
    };
    assert_eq!(payload.rcom_type(), rcom.rcom_type());
    let read = RcomFields {
        lockspace: rcom.lockspace(),
        result: rcom.result(),
        id: rcom.id(),
        seq: rcom.seq(),
        seq_reply: rcom.seq_reply(),
        payload,
    };
    assert_eq!(rcom.fields(), Ok(read));
    match payload {
        Payload::StatusReply { slots, .. } => assert_eq!(slots.iter().count(), slots.len()),
        Payload::NamesReply(block) => {
            let names: usize = block.iter().map(|name| 2 + name.bytes().len()).sum();
            assert!(names + 2 <= block.encoded_len());
        }
        _ => {}
    }
}

/// How a receiver that keeps its tail sees a stream.
#[derive(PartialEq, Eq, Debug)]
struct Cut {
    frames: Vec<Vec<u8>>,
    end: End,
}

#[derive(PartialEq, Eq, Debug)]
enum End {
    /// So many bytes are left over and so many are missing.
    Waiting {
        left: usize,
        missing: usize,
    },
    Lost(DecodeError),
}

impl Cut {
    fn all_at_once(bytes: &[u8]) -> Self {
        Self::in_chunks(bytes, || bytes.len().max(1))
    }

    fn in_chunks(bytes: &[u8], mut next: impl FnMut() -> usize) -> Self {
        let mut frames = Vec::new();
        let mut buffer = Vec::new();
        let mut unread = bytes;
        loop {
            let missing = loop {
                match split(&buffer, Limits::KERNEL) {
                    Split::Frame { frame, rest } => {
                        frames.push(frame.bytes().to_vec());
                        buffer = rest.to_vec();
                    }
                    Split::NeedMore { missing } => break missing,
                    Split::Lost(error) => {
                        let end = End::Lost(error);
                        return Self { frames, end };
                    }
                }
            };
            assert_ne!(missing, 0, "a receiver that waits for nothing waits for ever");
            if unread.is_empty() {
                let left = buffer.len();
                let end = End::Waiting { left, missing };
                return Self { frames, end };
            }
            let (chunk, behind) = unread.split_at(next().min(unread.len()));
            buffer.extend_from_slice(chunk);
            unread = behind;
        }
    }
}

/// The frame as an encoder writes it: padding is 0, and what a receiver ignores is gone.
fn canonical(bytes: &[u8], fields: &FrameFields<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[15] = 0;
    match &fields.content {
        Content::Ack(_) | Content::Msg(_) => {}
        Content::Rcom(rcom) => canonical_payload(&mut bytes, &rcom.payload),
        Content::Opts(opts) => {
            bytes[17] = 0;
            bytes[20..24].fill(0);
            let mut at = OPTS_HEADER_LEN;
            for option in opts.options.iter().flatten() {
                bytes[at + 4..at + 8].fill(0);
                at += 8 + option.value.len();
            }
            let mut inner = bytes.split_off(at);
            inner[15] = 0;
            match &opts.inner {
                InnerFields::Msg(_) => {}
                InnerFields::Rcom(rcom) => canonical_payload(&mut inner, &rcom.payload),
                InnerFields::Fin => {
                    inner[4..8].fill(0);
                    set_length(&mut inner, HEADER_LEN);
                }
            }
            bytes.append(&mut inner);
        }
    }
    let length = bytes.len();
    set_length(&mut bytes, length);
    bytes
}

fn canonical_payload(bytes: &mut Vec<u8>, payload: &Payload<'_>) {
    match payload {
        Payload::Status { .. } => {
            set_length(bytes, RCOM_LEN + 16);
            bytes[RCOM_LEN + 4..].fill(0);
        }
        Payload::StatusReply { slots, .. } => {
            set_length(bytes, RCOM_LEN + 32 + 16 * slots.len());
            bytes[RCOM_LEN + 20..RCOM_LEN + 32].fill(0);
            for slot in bytes[RCOM_LEN + 32..].chunks_exact_mut(16) {
                slot[6..].fill(0);
            }
        }
        Payload::NamesReply(block) => {
            let names: usize = block.iter().map(|name| 2 + name.bytes().len()).sum();
            bytes[RCOM_LEN + names + 2..].fill(0);
        }
        Payload::Lock(lock) | Payload::LockReply(lock) => {
            let end = RCOM_LEN + 44 + 64;
            bytes[RCOM_LEN + 44 + lock.name.bytes().len()..end].fill(0);
        }
        Payload::LookupReply => set_length(bytes, RCOM_LEN),
        Payload::Names { .. } | Payload::Lookup { .. } | Payload::Other { .. } => {}
    }
}

/// Cuts a frame to `length` and says so in its header.
fn set_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.truncate(length);
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    bytes[12..14].copy_from_slice(&length.to_le_bytes());
}

/// FNV-1a, so that an input's chunks are the same in every run.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound).unwrap_or(usize::MAX)
    }
}
