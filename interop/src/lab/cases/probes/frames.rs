//! The frames that probes send: right ones by the codec, wrong ones by hand on top of them.

use dlmwire_codec::{
    Asts, BlockEnd, Content, FrameFields, HEADER_LEN, LockspaceId, Mode, MsgFields, MsgType, NameBlock,
    NodeId, OPTS_HEADER_LEN, Payload, RcomConfig, RcomFields, ResourceName, Seq, Slots, StatusFlags, Tail,
    Version,
};

use crate::lab::guest::error::{LabError, Result};

/// `h_cmd` of the five kinds.
pub(super) const MSG: u8 = 1;
pub(super) const RCOM: u8 = 2;
pub(super) const OPTS: u8 = 3;
pub(super) const FIN: u8 = 5;

/// Where the fields of a header stand.
pub(super) const AT_VERSION: usize = 0;
pub(super) const AT_NODE: usize = 8;
pub(super) const AT_LENGTH: usize = 12;

/// The LVBs of a lockspace that user space made, in bytes.
const LVB_LEN: u32 = 32;
/// What a kernel fills a `NAMES_REPLY` up to.
const NAMES_PAYLOAD: usize = 4024;
/// In a `STATUS_REPLY`: every phase of the recovery is over, here and everywhere.
const ALL_DONE: i32 = 0xff;
/// Longer than any frame that is made here.
const FRAME_MAX: usize = 4096;
const OPTION_LEN_AT: usize = 18;

/// Who sends, in which version, about which lockspace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) version: Version,
    pub(super) node: NodeId,
    pub(super) lockspace: LockspaceId,
}

/// What a reply copies from its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) lockspace: LockspaceId,
    pub(super) id: u64,
    pub(super) seq: u64,
}

impl Pen {
    /// `LOOKUP` of an exclusive lock; `lkid` comes back in the answer.
    pub(super) fn lookup(&self, lkid: u32, name: &str) -> Result<Vec<u8>> {
        let name = ResourceName::new(name.as_bytes())
            .map_err(|error| LabError::unexpected(format!("name {name:?}: {error:?}")))?;
        self.encode(Content::Msg(MsgFields {
            nodeid: u32::MAX,
            pid: 1,
            lkid,
            hash: name.hash(),
            grmode: Mode::Iv,
            rqmode: Mode::Ex,
            asts: Asts::new(3),
            tail: Tail::Name(name),
            ..MsgFields::new(self.lockspace, MsgType::Lookup)
        }))
    }

    /// `LOOKUP` among the recovery messages.
    pub(super) fn recovery_lookup(&self, name: &str) -> Result<Vec<u8>> {
        let name = ResourceName::new(name.as_bytes())
            .map_err(|error| LabError::unexpected(format!("name {name:?}: {error:?}")))?;
        self.rcom(0, Request::none(self.lockspace), Payload::Lookup { name })
    }

    /// `STATUS` with this `rc_id`.
    pub(super) fn status(&self, id: u64) -> Result<Vec<u8>> {
        let request = Request {
            id,
            ..Request::none(self.lockspace)
        };
        self.rcom(
            0,
            request,
            Payload::Status {
                flags: StatusFlags::new(0),
            },
        )
    }

    /// Says that there is nothing to recover.
    pub(super) fn status_reply(&self, request: Request) -> Result<Vec<u8>> {
        let config = RcomConfig {
            lvblen: LVB_LEN,
            ..RcomConfig::default()
        };
        let slots = Slots::NONE;
        self.rcom(ALL_DONE, request, Payload::StatusReply { config, slots })
    }

    /// Says that nothing is mastered here.
    pub(super) fn names_reply(&self, request: Request) -> Result<Vec<u8>> {
        let block = NameBlock::new(&[], BlockEnd::Last, NAMES_PAYLOAD);
        self.rcom(0, request, Payload::NamesReply(block))
    }

    /// An acknowledgement of everything before `next`.
    pub(super) fn ack(&self, next: u32) -> Result<Vec<u8>> {
        self.encode(Content::Ack(Seq::new(next)))
    }

    /// A `FIN`, to be wrapped.
    pub(super) fn fin(&self) -> Vec<u8> {
        self.header(FIN, 0, HEADER_LEN)
    }

    /// `inner` in an `OPTS` with this number.
    pub(super) fn wrap(&self, number: u32, inner: &[u8]) -> Vec<u8> {
        let command = inner.get(14).copied().unwrap_or(MSG);
        self.wrap_as(number, command, &[], inner)
    }

    /// The same with another `o_nextcmd` and with options.
    pub(super) fn wrap_as(&self, number: u32, next_command: u8, options: &[u8], inner: &[u8]) -> Vec<u8> {
        let mut frame = self.header(OPTS, number, OPTS_HEADER_LEN + options.len() + inner.len());
        frame.resize(OPTS_HEADER_LEN, 0);
        frame[HEADER_LEN] = next_command;
        put16(&mut frame, OPTION_LEN_AT, options.len());
        frame.extend_from_slice(options);
        frame.extend_from_slice(inner);
        frame
    }

    /// A header, with whatever in its fields.
    pub(super) fn header(&self, command: u8, union: u32, length: usize) -> Vec<u8> {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(&self.version.wire().to_le_bytes());
        header.extend_from_slice(&union.to_le_bytes());
        header.extend_from_slice(&self.node.get().to_le_bytes());
        header.extend_from_slice(&[0, 0, command, 0]);
        put16(&mut header, AT_LENGTH, length);
        header
    }

    fn rcom(&self, result: i32, request: Request, payload: Payload<'_>) -> Result<Vec<u8>> {
        let is_reply = matches!(payload, Payload::StatusReply { .. } | Payload::NamesReply(_));
        self.encode(Content::Rcom(RcomFields {
            lockspace: request.lockspace,
            result,
            id: request.id,
            seq: 1,
            seq_reply: if is_reply { request.seq } else { 0 },
            payload,
        }))
    }

    fn encode(&self, content: Content<'_>) -> Result<Vec<u8>> {
        let fields = FrameFields {
            version: self.version,
            node: self.node,
            content,
        };
        let mut frame = vec![0; FRAME_MAX];
        let length = fields.encode_into(&mut frame);
        let length =
            length.map_err(|error| LabError::unexpected(format!("a frame of the lab's: {error:?}")))?;
        frame.truncate(length);
        Ok(frame)
    }
}

impl Request {
    fn none(lockspace: LockspaceId) -> Self {
        Self {
            lockspace,
            id: 0,
            seq: 0,
        }
    }
}

/// Puts a 16-bit number, cut to its low half, into a frame.
pub(super) fn put16(frame: &mut [u8], at: usize, number: usize) {
    let bytes = (number & 0xffff).to_le_bytes();
    frame[at..at + 2].copy_from_slice(&bytes[..2]);
}

/// Puts a 32-bit number into a frame.
pub(super) fn put32(frame: &mut [u8], at: usize, number: u32) {
    frame[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use dlmwire_codec::{Frame, Inner, Limits, Split, split};

    use super::*;

    fn pen() -> Pen {
        Pen {
            version: Version::V3_2,
            node: NodeId::new(2).expect("not 0"),
            lockspace: LockspaceId::new(7),
        }
    }

    fn decoded(bytes: &[u8]) -> Frame<'_> {
        let Split::Frame { frame, rest: [] } = split(bytes, Limits::KERNEL) else {
            panic!("no frame");
        };
        frame.decode().expect("a sound frame")
    }

    #[test]
    fn frames_that_do_not_lie_are_read_by_the_codec() {
        let lookup = pen().lookup(9, "name").expect("a frame");
        let wrapped = pen().wrap(3, &lookup);
        let Frame::Opts(opts) = decoded(&wrapped) else {
            panic!("no OPTS")
        };
        assert_eq!(opts.seq.get(), 3);
        assert!(matches!(opts.inner, Ok(Inner::Msg(msg)) if msg.lkid() == 9 && msg.extra() == b"name"));
        let fin = pen().wrap(4, &pen().fin());
        let Frame::Opts(opts) = decoded(&fin) else {
            panic!("no OPTS")
        };
        assert_eq!(opts.inner, Ok(Inner::Fin));
        assert!(matches!(decoded(&pen().ack(5).expect("a frame")), Frame::Ack(ack) if ack.seq.get() == 5));
    }

    #[test]
    fn replies_have_the_lengths_of_kernels() {
        let request = Request {
            lockspace: LockspaceId::new(7),
            id: 1,
            seq: 2,
        };
        assert_eq!(pen().status_reply(request).expect("a frame").len(), 80);
        assert_eq!(pen().names_reply(request).expect("a frame").len(), 4072);
        assert_eq!(pen().status(3).expect("a frame").len(), 64);
    }

    #[test]
    fn options_and_next_command_are_what_was_asked_for() {
        let frame = pen().wrap_as(1, RCOM, &[0xee; 3], &pen().fin());
        assert_eq!(frame.len(), OPTS_HEADER_LEN + 3 + HEADER_LEN);
        assert_eq!((frame[14], frame[16], frame[18], frame[12]), (OPTS, RCOM, 3, 43));
    }
}
