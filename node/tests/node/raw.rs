//! A peer that says exactly what the test wants, on the bare transport.

use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use dlmwire_codec::{
    Content, FrameFields, InnerFields, Limits, MsgFields, MsgType, NodeId, Options, OptsFields, Payload,
    RcomFields, Seq, Split, StatusFlags, Tail, Version, split,
};
use dlmwire_midcomms::engine::APPLICATION_MSG;
use dlmwire_transport::{Link, Ready, Received, Token, Transport};

use crate::world::{group, id};

/// Node 2, with one link to node 1 that node 1 made.
pub(crate) struct Raw<T: Transport> {
    transport: T,
    pub(crate) link: Option<T::Link>,
    ready: Vec<Ready>,
    /// All bytes that came.
    pub(crate) came: Vec<u8>,
    /// The end, or an error, was seen.
    pub(crate) ended: bool,
    tokens: u64,
}

impl<T: Transport> Raw<T> {
    pub(crate) fn new(transport: T) -> Self {
        Self {
            transport,
            link: None,
            ready: Vec::new(),
            came: Vec::new(),
            ended: false,
            tokens: 0,
        }
    }

    /// Accepts what waits and reads what is there.
    pub(crate) fn turn(&mut self) {
        self.transport
            .wait(&mut self.ready, Some(Duration::ZERO))
            .unwrap();
        self.tokens += 1;
        if let Some(accepted) = self.transport.accept(Token(self.tokens)).unwrap() {
            self.link = Some(accepted.link);
            self.came.clear();
            self.ended = false;
        }
        let Some(link) = &mut self.link else { return };
        let mut buffer = [0; 64 << 10];
        loop {
            match link.receive(&mut buffer) {
                Ok(Received::Bytes(read)) => self.came.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(Received::End) | Err(_) => {
                    self.ended = true;
                    return;
                }
            }
        }
    }

    /// Starts a link of its own.
    pub(crate) fn dial(&mut self) {
        self.tokens += 1;
        self.link = Some(self.transport.dial(id(1), Token(self.tokens)).unwrap());
        self.came.clear();
        self.ended = false;
    }

    /// Writes bytes as far as there is room, and says how many went.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(link) = &mut self.link else { return 0 };
        let mut done = 0;
        while done < bytes.len() {
            match link.send(&[IoSlice::new(&bytes[done..])]) {
                Ok(taken) => done += taken,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                    break;
                }
            }
        }
        done
    }

    /// The whole frames that came, as bytes.
    pub(crate) fn frames(&self) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        let mut rest = &self.came[..];
        while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
            frames.push(frame.bytes());
            rest = behind;
        }
        frames
    }
}

fn frame(content: Content<'_>) -> Vec<u8> {
    let node: NodeId = id(2);
    let fields = FrameFields {
        version: Version::V3_2,
        node,
        content,
    };
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode_into(&mut bytes).unwrap();
    bytes
}

/// The STATUS that tells node 2's version.
pub(crate) fn status(id: u64) -> Vec<u8> {
    frame(Content::Rcom(RcomFields {
        lockspace: group(),
        result: 0,
        id,
        seq: 77,
        seq_reply: 0,
        payload: Payload::Status {
            flags: StatusFlags::new(0),
        },
    }))
}

pub(crate) fn ack(seq: u32) -> Vec<u8> {
    frame(Content::Ack(Seq::new(seq)))
}

pub(crate) fn message(seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut fields = MsgFields::new(group(), MsgType::Other(APPLICATION_MSG));
    fields.tail = Tail::Opaque(payload);
    frame(Content::Opts(OptsFields {
        seq: Seq::new(seq),
        options: Options::NONE,
        inner: InnerFields::Msg(fields),
    }))
}

pub(crate) fn fin(seq: u32) -> Vec<u8> {
    frame(Content::Opts(OptsFields {
        seq: Seq::new(seq),
        options: Options::NONE,
        inner: InnerFields::Fin,
    }))
}
