//! The traffic: 10 % `ACK`, 90 % `OPTS` around a lock message with a name of 8 to 64 bytes, 135 bytes on
//! average; the same bytes in every run.

use dlmwire_codec::{
    Asts, Content, ExFlags, FrameFields, InnerFields, LockspaceId, Mode, MsgFields, MsgFlags, MsgType,
    NodeId, Options, OptsFields, ResourceName, Seq, Tail, Version, resource_hash,
};

/// Fits into the second-level cache of one core.
pub const CACHED_BYTES: usize = 256 << 10;

/// Fits into no cache.
pub const UNCACHED_BYTES: usize = 64 << 20;

const NAME_BYTES: [u32; 2] = [8, 64];

/// A linear congruential generator: enough for a mix, and the same everywhere.
struct Numbers(u64);

impl Numbers {
    /// A number from `low` to `high`.
    fn between(&mut self, [low, high]: [u32; 2]) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let [.., a, b, c, d] = self.0.to_le_bytes();
        low + u32::from_le_bytes([a, b, c, d]) % (high - low + 1)
    }
}

/// As many whole frames as fit into `bytes_max`, and their number.
#[must_use]
pub fn generate(bytes_max: usize) -> (Vec<u8>, u64) {
    let mut numbers = Numbers(1);
    let mut bytes = vec![0; bytes_max];
    let mut length = 0;
    let mut frames = 0;
    let mut seq = Seq::INITIAL;
    let mut name = [0; 64];
    while let Ok(written) = frame(&mut numbers, &mut seq, &mut name).encode_into(&mut bytes[length..]) {
        length += written;
        frames += 1;
    }
    bytes.truncate(length);
    (bytes, frames)
}

fn frame<'a>(numbers: &mut Numbers, seq: &mut Seq, name: &'a mut [u8; 64]) -> FrameFields<'a> {
    let content = if numbers.between([1, 10]) == 1 {
        Content::Ack(*seq)
    } else {
        *seq = seq.next();
        Content::Opts(OptsFields {
            seq: *seq,
            options: Options::NONE,
            inner: InnerFields::Msg(message(numbers, name)),
        })
    };
    FrameFields {
        version: Version::V3_2,
        node: NodeId::new(2).expect("2 is not 0"),
        content,
    }
}

fn message<'a>(numbers: &mut Numbers, name: &'a mut [u8; 64]) -> MsgFields<'a> {
    for letter in name.iter_mut() {
        *letter = u8::try_from(numbers.between([0x20, 0x7e])).expect("ASCII");
    }
    let name = &name[..numbers.between(NAME_BYTES) as usize];
    let named = [MsgType::Request, MsgType::Lookup, MsgType::Remove];
    let modes = [Mode::Nl, Mode::Cr, Mode::Cw, Mode::Pr, Mode::Pw, Mode::Ex];
    MsgFields {
        nodeid: numbers.between([1, 3]),
        pid: numbers.between([1, 32_768]),
        lkid: numbers.between([1, 1 << 20]),
        exflags: ExFlags::new(numbers.between([0, 15])),
        flags: MsgFlags::USER,
        hash: resource_hash(name),
        grmode: Mode::Iv,
        rqmode: modes[numbers.between([0, 5]) as usize],
        asts: Asts::CAST.with(Asts::BAST),
        tail: Tail::Name(ResourceName::new(name).expect("8 to 64 bytes")),
        ..MsgFields::new(
            LockspaceId::new(0x8cff_a40a),
            named[numbers.between([0, 2]) as usize],
        )
    }
}
