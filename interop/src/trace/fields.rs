//! The fields of an event, put together to the message that it tells.

use std::fmt;

use dlmwire_codec::{
    Asts, Command, Content, FrameFields, LockStatus, LockspaceId, MsgFields, MsgResult, NodeId, Payload,
    RcomFields, Seq, Tail,
};

use super::event::{Direction, Message, SocketCall};
use super::words;

/// Fields of one event, at most; the longest has 27.
const FIELDS_MAX: usize = 64;

/// Characters of a value that an error shows.
const SHOWN_MAX: usize = 40;

/// What is wrong with an event's fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldError {
    /// A field is not there.
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A value is not of its field's kind.
    Value {
        /// The field's name.
        field: &'static str,
        /// The value, or its start.
        value: Box<str>,
    },
    /// The event would be a frame that is longer than `h_length` can say.
    TooLong {
        /// Bytes.
        length: usize,
    },
    /// The command is not the one that the event is about.
    Command,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field } => write!(f, "field {field} is missing"),
            Self::Value { field, value } => write!(f, "field {field} cannot be {value:?}"),
            Self::TooLong { length } => write!(f, "message of {length} bytes exceeds 65535"),
            Self::Command => f.write_str("field h_cmd does not fit the event"),
        }
    }
}

impl std::error::Error for FieldError {}

/// The fields of one line.
pub(super) struct Fields<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Takes `name=value` pairs apart; what is no pair is left out.
    pub(super) fn new(text: &'a str) -> Self {
        let words = text.split_ascii_whitespace();
        // Recovery events of 6.1 have a comma behind the first field.
        let pairs = words.filter_map(|word| word.trim_end_matches(',').split_once('='));
        Self {
            pairs: pairs.take(FIELDS_MAX).collect(),
        }
    }

    fn text(&self, field: &'static str) -> Result<&'a str, FieldError> {
        let pair = self.pairs.iter().find(|(name, _)| *name == field);
        pair.map(|(_, value)| *value).ok_or(FieldError::Missing { field })
    }

    fn value<T>(&self, field: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, FieldError> {
        let text = self.text(field)?;
        read(text).ok_or_else(|| FieldError::Value {
            field,
            value: text.chars().take(SHOWN_MAX).collect::<String>().into(),
        })
    }

    fn u32(&self, field: &'static str) -> Result<u32, FieldError> {
        self.value(field, words::number)
    }

    fn i32(&self, field: &'static str) -> Result<i32, FieldError> {
        self.value(field, words::number)
    }

    fn u64(&self, field: &'static str) -> Result<u64, FieldError> {
        self.value(field, words::number)
    }

    /// `dlm_send`, `dlm_recv`.
    pub(super) fn socket_call(&self, direction: Direction) -> Result<SocketCall, FieldError> {
        let peer = self.i32("nodeid")?;
        Ok(SocketCall {
            direction,
            peer: u32::try_from(peer).ok().and_then(NodeId::new),
            result: self.i32("ret")?,
        })
    }

    /// `dlm_send_message`, `dlm_recv_message`.
    pub(super) fn lock_message(&self, direction: Direction) -> Result<Message, FieldError> {
        let extra = self.value("m_extra", words::bytes)?;
        let content = Content::Msg(MsgFields {
            lockspace: LockspaceId::new(self.u32("h_lockspace")?),
            msg_type: self.value("m_type", words::msg_type)?,
            nodeid: self.u32("m_nodeid")?,
            pid: self.u32("m_pid")?,
            lkid: self.u32("m_lkid")?,
            remid: self.u32("m_remid")?,
            parent_lkid: self.u32("m_parent_lkid")?,
            parent_remid: self.u32("m_parent_remid")?,
            exflags: self.value("m_exflags", words::exflags)?,
            sbflags: self.value("m_sbflags", words::sbflags)?,
            flags: self.value("m_flags", words::msg_flags)?,
            lvbseq: self.u32("m_lvbseq")?,
            hash: self.u32("m_hash")?,
            status: LockStatus::from_wire(self.i32("m_status")?),
            grmode: self.value("m_grmode", words::mode)?,
            rqmode: self.value("m_rqmode", words::mode)?,
            bastmode: self.value("m_bastmode", words::mode)?,
            asts: Asts::new(self.i32("m_asts")?.cast_unsigned()),
            result: MsgResult::from_wire(self.i32("m_result")?),
            tail: Tail::Opaque(&extra),
        });
        self.message(direction, Command::Msg, content)
    }

    /// `dlm_send_rcom`, `dlm_recv_rcom`.
    pub(super) fn recovery_message(&self, direction: Direction) -> Result<Message, FieldError> {
        let buffer = self.value("rc_buf", words::bytes)?;
        let content = Content::Rcom(RcomFields {
            lockspace: LockspaceId::new(self.u32("h_lockspace")?),
            result: self.i32("rc_result")?,
            id: self.u64("rc_id")?,
            seq: self.u64("rc_seq")?,
            seq_reply: self.u64("rc_seq_reply")?,
            // The buffer as it is: what its type makes of it is not the event's business.
            payload: Payload::Other {
                rcom_type: self.value("rc_type", words::rcom_type)?.wire(),
                bytes: &buffer,
            },
        });
        self.message(direction, Command::Rcom, content)
    }

    fn message(
        &self,
        direction: Direction,
        command: Command,
        content: Content<'_>,
    ) -> Result<Message, FieldError> {
        if self.value("h_cmd", words::command)? != command {
            return Err(FieldError::Command);
        }
        let fields = FrameFields {
            version: self.value("h_version", words::version)?,
            node: self.value("h_nodeid", |text| NodeId::new(words::number(text)?))?,
            content,
        };
        let mut frame = vec![0; fields.encoded_len()];
        fields.encode_into(&mut frame).map_err(|_| FieldError::TooLong {
            length: fields.encoded_len(),
        })?;
        // 6.1 has the one name, newer kernels the other.
        let seq = match self.text("h_seq") {
            Ok(_) => self.u32("h_seq")?,
            Err(_) => self.u32("seq")?,
        };
        let to = match self.text("dst") {
            Ok(_) => NodeId::new(self.u32("dst")?),
            Err(_) => None,
        };
        let resource = match self.text("res_name") {
            Ok(_) => self.value("res_name", words::bytes)?,
            Err(_) => Vec::new(),
        };
        Ok(Message {
            direction,
            seq: Seq::new(seq),
            to,
            frame,
            stated_length: self.value("h_length", words::number)?,
            resource,
        })
    }
}
