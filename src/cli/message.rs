//! One message in words: what it is, and what it says in one line.

use std::fmt;

use dlmwire_codec::{
    BlockEnd, Command, Frame, Inner, LockspaceId, Mode, Msg, MsgType, NOT_READY, Payload, Rcom, RcomLock,
    RcomType, RecoveryStatus, ResourceName, Seq, Tail,
};
use dlmwire_interop::exchange;

use super::output::{Paint, Palette};

/// What stands for the name of a type that has none.
const UNKNOWN: &str = "unknown";

/// What a frame is about: the message in it, bare or wrapped.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    /// The command of the message proper; `OPTS` if what it wraps cannot be read.
    pub(crate) command: Command,
    /// Whether it came in `OPTS`.
    pub(crate) wrapped: bool,
    /// The number of an `OPTS`, or the one that an `ACK` expects.
    pub(crate) seq: Option<Seq>,
    /// The message, unless the frame is an `ACK` or cannot be read.
    pub(crate) inner: Option<Inner<'a>>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(frame: &Frame<'a>) -> Self {
        let inner = exchange::message(frame);
        let (wrapped, seq) = match frame {
            Frame::Opts(opts) => (true, Some(opts.seq)),
            Frame::Ack(ack) => (false, Some(ack.seq)),
            Frame::Msg(_) | Frame::Rcom(_) => (false, None),
        };
        let command = inner.map_or(frame.command(), |inner| inner.command());
        Self {
            command,
            wrapped,
            seq,
            inner,
        }
    }

    /// The lockspace, where the message is about one.
    pub(crate) fn lockspace(&self) -> Option<LockspaceId> {
        match &self.inner {
            Some(Inner::Msg(msg)) => Some(msg.lockspace()),
            Some(Inner::Rcom(rcom)) => Some(rcom.lockspace()),
            Some(Inner::Fin) | None => None,
        }
    }

    /// The kernel's name of the message's type, `unknown` where it has none; empty for `ACK` and `FIN`.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.inner {
            Some(Inner::Msg(msg)) => msg.msg_type().name().unwrap_or(UNKNOWN),
            Some(Inner::Rcom(rcom)) => rcom.rcom_type().name().unwrap_or(UNKNOWN),
            Some(Inner::Fin) | None => "",
        }
    }

    /// The colour of messages like this.
    pub(crate) fn paint(&self) -> Paint {
        match self.command {
            Command::Msg => Paint::Lock,
            Command::Rcom => Paint::Recovery,
            Command::Opts | Command::Ack | Command::Fin => Paint::Control,
        }
    }

    /// What else the message says, as `name=value`.
    pub(crate) fn details(&self, palette: Palette) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| {
            let mut line = Line { f, palette };
            match &self.inner {
                Some(Inner::Msg(msg)) => line.msg(msg),
                Some(Inner::Rcom(rcom)) => line.rcom(rcom),
                Some(Inner::Fin) | None => Ok(()),
            }
        })
    }
}

/// Whether the hash in the message is the name's, where it carries both.
pub(crate) fn hash_matches(inner: &Inner<'_>) -> Option<bool> {
    match inner {
        Inner::Msg(msg) => match msg.tail() {
            Ok(Tail::Name(name)) => Some(name.hash() == msg.hash()),
            Ok(Tail::Lvb(_) | Tail::Opaque(_)) | Err(_) => None,
        },
        Inner::Rcom(_) | Inner::Fin => None,
    }
}

/// What GFS2 locks under a name of its form: `%8x%16x`, the type and the number.
pub(crate) struct Glock {
    kind: u8,
    number: u64,
}

impl Glock {
    /// The glock of this name, if it has GFS2's form.
    pub(crate) fn from_name(name: ResourceName<'_>) -> Option<Self> {
        let text = std::str::from_utf8(name.bytes()).ok()?;
        if text.len() != 24 || !text.is_ascii() {
            return None;
        }
        let (kind, number) = text.split_at(8);
        let kind = u8::from_str_radix(kind.trim_start_matches(' '), 16).ok()?;
        let number = u64::from_str_radix(number.trim_start_matches(' '), 16).ok()?;
        (1..=9).contains(&kind).then_some(Self { kind, number })
    }
}

impl fmt::Display for Glock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            1 => "nondisk",
            2 => "inode",
            3 => "rgrp",
            4 => "meta",
            5 => "iopen",
            6 => "flock",
            8 => "quota",
            9 => "journal",
            other => return write!(f, "gfs2:{other}/{:x}", self.number),
        };
        write!(f, "gfs2:{kind}/{:x}", self.number)
    }
}

struct Line<'f, 'g> {
    f: &'f mut fmt::Formatter<'g>,
    palette: Palette,
}

impl Line<'_, '_> {
    fn msg(&mut self, msg: &Msg<'_>) -> fmt::Result {
        if let MsgType::Other(number) = msg.msg_type() {
            write!(self.f, " type={number}")?;
        }
        if msg.lkid() != 0 {
            write!(self.f, " lkid={:x}", msg.lkid())?;
        }
        if msg.remid() != 0 {
            write!(self.f, " remid={:x}", msg.remid())?;
        }
        match msg.msg_type() {
            MsgType::Request | MsgType::Lookup => write!(self.f, " rq={}", msg.rqmode())?,
            MsgType::Convert => {
                write!(self.f, " {}->{}", msg.grmode(), msg.rqmode())?;
                if exchange::is_down_conversion(msg) {
                    self.f.write_str(" down")?;
                }
            }
            MsgType::Unlock
            | MsgType::Cancel
            | MsgType::RequestReply
            | MsgType::ConvertReply
            | MsgType::UnlockReply
            | MsgType::CancelReply
            | MsgType::Grant
            | MsgType::Other(_) => self.modes(msg.grmode(), msg.rqmode())?,
            MsgType::Bast => write!(self.f, " wanted={}", msg.bastmode())?,
            MsgType::LookupReply => self.master(msg.nodeid())?,
            MsgType::Purge => write!(self.f, " node={} pid={}", msg.nodeid(), msg.pid())?,
            MsgType::Remove => {}
        }
        self.msg_flags(msg)?;
        if is_reply(msg.msg_type()) || msg.result().wire() != 0 {
            write!(self.f, " result={}", msg.result())?;
        }
        self.tail(msg)
    }

    fn msg_flags(&mut self, msg: &Msg<'_>) -> fmt::Result {
        if msg.exflags().bits() != 0 {
            write!(self.f, " ex={}", msg.exflags())?;
        }
        if msg.sbflags().bits() != 0 {
            write!(self.f, " sb={}", msg.sbflags())?;
        }
        if msg.flags().bits() != 0 {
            write!(self.f, " fl={}", msg.flags())?;
        }
        Ok(())
    }

    fn tail(&mut self, msg: &Msg<'_>) -> fmt::Result {
        match msg.tail() {
            Ok(Tail::Name(name)) => {
                self.name("name", name)?;
                if name.hash() != msg.hash() {
                    let found = format!(" hash={:#010x}, the name's is {:#010x}", msg.hash(), name.hash());
                    write!(self.f, "{}", self.palette.paint(Paint::Bad, found))?;
                }
                Ok(())
            }
            Ok(Tail::Lvb([]) | Tail::Opaque([])) => Ok(()),
            Ok(Tail::Lvb(bytes)) => write!(self.f, " lvb={}", bytes.len()),
            Ok(Tail::Opaque(bytes)) => write!(self.f, " extra={}", bytes.len()),
            // The damage is shown by itself.
            Err(_) => Ok(()),
        }
    }

    fn rcom(&mut self, rcom: &Rcom<'_>) -> fmt::Result {
        if let RcomType::Other(number) = rcom.rcom_type() {
            write!(self.f, " type={number}")?;
        }
        write!(self.f, " id={:x} rc_seq={:x}", rcom.id(), rcom.seq())?;
        if rcom.seq_reply() != 0 {
            write!(self.f, " reply_to={:x}", rcom.seq_reply())?;
        }
        match rcom.payload() {
            Ok(payload) => self.payload(rcom, &payload),
            Err(_) => Ok(()),
        }
    }

    fn payload(&mut self, rcom: &Rcom<'_>, payload: &Payload<'_>) -> fmt::Result {
        match payload {
            Payload::Status { flags } if flags.bits() != 0 => write!(self.f, " flags={flags}"),
            Payload::Status { .. } => Ok(()),
            Payload::StatusReply { config, slots } => {
                if rcom.result() == NOT_READY {
                    return self.f.write_str(" result=-ESRCH");
                }
                match u32::try_from(rcom.result()) {
                    Ok(bits) => write!(self.f, " status={}", RecoveryStatus::new(bits))?,
                    Err(_) => write!(self.f, " result={}", rcom.result())?,
                }
                write!(self.f, " lvblen={}", config.lvblen)?;
                if !slots.is_empty() {
                    write!(self.f, " generation={} slots=", config.generation)?;
                }
                let mut separator = "";
                for slot in slots.iter() {
                    write!(self.f, "{separator}{}:{}", slot.slot, slot.nodeid)?;
                    separator = ",";
                }
                Ok(())
            }
            Payload::Names { resume: Some(name) } => self.name("after", *name),
            Payload::Names { resume: None } => Ok(()),
            Payload::NamesReply(block) => {
                let end = match block.end() {
                    BlockEnd::More => "more",
                    BlockEnd::Last => "last",
                };
                write!(self.f, " names={} {end}", block.iter().count())
            }
            Payload::Lookup { name } => self.name("name", *name),
            Payload::LookupReply => match u32::try_from(rcom.result()) {
                Ok(node) => self.master(node),
                Err(_) => write!(self.f, " result={}", rcom.result()),
            },
            Payload::Lock(lock) => self.lock(lock),
            Payload::LockReply(lock) => {
                self.lock(lock)?;
                write!(self.f, " result={}", lock.result)
            }
            Payload::Other { bytes, .. } => write!(self.f, " payload={}", bytes.len()),
        }
    }

    fn lock(&mut self, lock: &RcomLock<'_>) -> fmt::Result {
        write!(self.f, " lkid={:x}", lock.lkid)?;
        if lock.remid != 0 {
            write!(self.f, " remid={:x}", lock.remid)?;
        }
        self.modes(
            Mode::from_wire(lock.grmode.into()),
            Mode::from_wire(lock.rqmode.into()),
        )?;
        if lock.exflags.bits() != 0 {
            write!(self.f, " ex={}", lock.exflags)?;
        }
        if lock.flags.bits() != 0 {
            write!(self.f, " fl={}", lock.flags)?;
        }
        if lock.wait_type != 0 {
            write!(self.f, " waits_for={}", MsgType::from_wire(lock.wait_type.into()))?;
        }
        if !lock.lvb.is_empty() {
            write!(self.f, " lvb={}", lock.lvb.len())?;
        }
        self.name("name", lock.name)
    }

    fn modes(&mut self, granted: Mode, requested: Mode) -> fmt::Result {
        // Zeros, which would be NL, stand where a message has no modes; a lock never has two equal ones.
        if granted == requested {
            return Ok(());
        }
        if granted != Mode::Iv {
            write!(self.f, " gr={granted}")?;
        }
        if requested != Mode::Iv {
            write!(self.f, " rq={requested}")?;
        }
        Ok(())
    }

    fn master(&mut self, node: u32) -> fmt::Result {
        write!(self.f, " master={node}")
    }

    fn name(&mut self, label: &str, name: ResourceName<'_>) -> fmt::Result {
        let shown = format!("\"{name}\"");
        write!(self.f, " {label}={}", self.palette.paint(Paint::Name, shown))?;
        match Glock::from_name(name) {
            Some(glock) => write!(self.f, " {glock}"),
            None => Ok(()),
        }
    }
}

fn is_reply(msg_type: MsgType) -> bool {
    matches!(
        msg_type,
        MsgType::RequestReply
            | MsgType::ConvertReply
            | MsgType::UnlockReply
            | MsgType::CancelReply
            | MsgType::LookupReply
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glocks_are_known_by_the_form_of_their_names() {
        let glock = |name: &'static str| {
            let name = ResourceName::new(name.as_bytes()).unwrap();
            Glock::from_name(name).map(|glock| glock.to_string())
        };
        assert_eq!(glock("       5               1").as_deref(), Some("gfs2:iopen/1"));
        assert_eq!(
            glock("       2           180ab").as_deref(),
            Some("gfs2:inode/180ab")
        );
        assert_eq!(glock("       2           180ag"), None);
        assert_eq!(glock("       0               1"), None);
        assert_eq!(glock("test1"), None);
    }
}
