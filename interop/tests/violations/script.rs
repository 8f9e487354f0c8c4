//! Conversations as scripts: taken from captures, looked at, and made captures again.

use std::net::SocketAddr;

use dlmwire_codec::{
    Command, Content, Frame, FrameFields, HEADER_LEN, InnerFields, Limits, MsgType, NodeId, Options,
    OptsFields, Seq, Split, Version, split,
};
use dlmwire_interop::capture::{self, Event, Side, Stamp, Timestamp};
use dlmwire_interop::check::{Checker, Known, Report};
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};

use crate::captures;

/// Something that happens on the made-up wire.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send {
        from: End,
        bytes: Vec<u8>,
    },
    /// The connection is closed by both ends.
    Close,
    Reset,
    /// A new connection, dialled by the same end.
    Open,
    /// Sent on a second connection, which stays open beside the first.
    Aside {
        from: End,
        bytes: Vec<u8>,
    },
    /// Sent to the acceptor by a third host.
    Stranger {
        bytes: Vec<u8>,
    },
    Wait {
        seconds: u64,
    },
}

pub(crate) type Script = Vec<Step>;

/// A workload of two 3.2 kernels: join, locks, FIN handshake.
pub(crate) fn workload() -> Script {
    script("tcp-3.2-linux7.2-2node-workload.pcap.zst")
}

/// The same of two 3.1 kernels, which number nothing.
pub(crate) fn workload_3_1() -> Script {
    script("tcp-3.1-linux5.10-2node-workload.pcap.zst")
}

/// Two kernels of which one speaks 3.1.
pub(crate) fn workload_mixed() -> Script {
    script("tcp-mixed-linux5.10-linux6.1-workload.pcap.zst")
}

pub(crate) fn script(file: &str) -> Script {
    let path = captures().join(file);
    let mut script = Script::new();
    let mut openers = std::collections::BTreeMap::new();
    let mut sink = |_: Stamp, event: Event<'_>| match event {
        Event::LinkUp { link, ends, .. } => {
            openers.insert(link, ends[0].addresses[0]);
        }
        Event::Frame {
            link, from, frame, ..
        } => {
            // All connections become one: whoever opened the first is its opener.
            let first = openers.values().next().expect("a link");
            let same = openers.get(&link) == Some(first);
            let from = if (from == Side::A) == same {
                End::Opener
            } else {
                End::Acceptor
            };
            script.push(Step::Send {
                from,
                bytes: frame.bytes().to_vec(),
            });
        }
        _ => {}
    };
    let summary =
        capture::read_path(&path, &capture::Options::default(), &mut sink).expect("a shipped capture");
    assert!(matches!(summary.end, capture::End::Complete));
    script.push(Step::Close);
    script
}

/// The verdict on a script that two hosts play.
pub(crate) fn check(script: &Script) -> Report {
    let [opener, acceptor] = ["10.0.0.1:40000", "10.0.0.2:21064"].map(|end| end.parse().expect("an address"));
    check_between(script, opener, acceptor)
}

pub(crate) fn check_between(script: &Script, opener: SocketAddr, acceptor: SocketAddr) -> Report {
    let mut writer = CaptureWriter::new(Vec::new()).expect("memory");
    let mut now = 1_700_000_000_000_000_000_u64;
    let mut ports = opener.port()..;
    let mut dial = |now: u64, writer: &mut CaptureWriter<Vec<u8>>| {
        let opener = SocketAddr::new(opener.ip(), ports.next().expect("ports"));
        TcpLink::open(writer, Timestamp::from_nanos(now), opener, acceptor).expect("memory")
    };
    let mut link = dial(now, &mut writer);
    let mut second = None;
    for step in script {
        now += 10_000;
        let time = Timestamp::from_nanos(now);
        match step {
            Step::Send { from, bytes } => link.send(&mut writer, time, *from, bytes).expect("memory"),
            Step::Reset => link.reset(&mut writer, time, End::Opener).expect("memory"),
            Step::Open => link = dial(now, &mut writer),
            Step::Aside { from, bytes } => {
                let aside = second.get_or_insert_with(|| dial(now, &mut writer));
                aside.send(&mut writer, time, *from, bytes).expect("memory");
            }
            Step::Stranger { bytes } => {
                let stranger = "10.0.0.3:40000".parse().expect("an address");
                let mut link = TcpLink::open(&mut writer, time, stranger, acceptor).expect("memory");
                link.send(&mut writer, time, End::Opener, bytes).expect("memory");
            }
            Step::Wait { seconds } => now += seconds * 1_000_000_000,
            Step::Close => {
                link.close(&mut writer, time, End::Opener).expect("memory");
                link.close(&mut writer, time, End::Acceptor).expect("memory");
            }
        }
    }
    let file = writer.finish().expect("memory");
    assert!(file.len() > HEADER_LEN);
    let mut checker = Checker::new(&Known::default());
    let summary = capture::read(
        std::io::Cursor::new(file),
        &capture::Options::default(),
        &mut checker,
    );
    checker.finish(&summary.expect("a capture"))
}

/// The position of the message of node 1 with this number.
pub(crate) fn numbered(script: &Script, number: u32) -> usize {
    position(
        script,
        |frame| matches!(frame, Frame::Opts(opts) if opts.seq.get() == number && opts.node.get() == 1),
    )
}

pub(crate) fn last_of(script: &Script, command: Command) -> usize {
    let found = script
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == command.wire()));
    found.expect("such a frame")
}

pub(crate) fn position(script: &Script, wanted: impl Fn(&Frame<'_>) -> bool) -> usize {
    let found = script.iter().position(|step| match step {
        Step::Send { bytes, .. } => decode(bytes).is_some_and(|frame| wanted(&frame)),
        _ => false,
    });
    found.expect("such a frame")
}

/// Who sends what at a position.
pub(crate) fn sent(script: &Script, at: usize) -> (End, Vec<u8>) {
    match &script[at] {
        Step::Send { from, bytes } => (*from, bytes.clone()),
        _ => panic!("nothing is sent here"),
    }
}

/// What is sent at a position, to be changed.
pub(crate) fn bytes_mut(script: &mut Script, at: usize) -> &mut Vec<u8> {
    match &mut script[at] {
        Step::Send { bytes, .. } => bytes,
        _ => panic!("nothing is sent here"),
    }
}

pub(crate) fn sender(script: &Script, at: usize) -> End {
    sent(script, at).0
}

pub(crate) fn node(script: &Script, at: usize) -> NodeId {
    let (_, bytes) = sent(script, at);
    decode(&bytes).expect("a sound frame").node()
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, .. } => frame.decode().ok(),
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}

/// The first `FIN` of a conversation.
pub(crate) fn fin(node: NodeId) -> Vec<u8> {
    let fields = FrameFields {
        version: Version::V3_2,
        node,
        content: Content::Opts(OptsFields {
            seq: Seq::INITIAL,
            options: Options::NONE,
            inner: InnerFields::Fin,
        }),
    };
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode_into(&mut bytes).expect("as long as it said");
    bytes
}

pub(crate) fn with_number(opts: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = opts.to_vec();
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

pub(crate) fn is_fin(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Opts(opts) if opts.inner == Ok(dlmwire_codec::Inner::Fin))
}

pub(crate) fn is_fin_bytes(bytes: &[u8]) -> bool {
    decode(bytes).is_some_and(|frame| is_fin(&frame))
}

pub(crate) fn rcom_type(frame: &Frame<'_>) -> Option<u32> {
    match frame {
        Frame::Rcom(rcom) => Some(rcom.rcom_type().wire()),
        Frame::Msg(_) | Frame::Opts(_) | Frame::Ack(_) => None,
    }
}

pub(crate) fn msg_type(frame: &Frame<'_>) -> Option<MsgType> {
    match dlmwire_interop::exchange::message(frame) {
        Some(dlmwire_codec::Inner::Msg(msg)) => Some(msg.msg_type()),
        Some(dlmwire_codec::Inner::Rcom(_) | dlmwire_codec::Inner::Fin) | None => None,
    }
}
