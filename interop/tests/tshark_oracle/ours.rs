//! What we say of a frame, in tshark's terms.

use std::collections::BTreeMap;

use dlmwire_codec::{
    Asts, ExFlags, Frame, Inner, Msg, MsgFlags, Payload, RawFrame, Rcom, RcomLock, SbFlags, StatusFlags,
};
use dlmwire_interop::fields::{Field, Value, walk_partial};

/// Where a field starts, from the start of the frame, and its name.
pub(crate) type Key = (usize, String);

/// What a field says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Said {
    pub(crate) len: usize,
    pub(crate) value: Saying,
}

/// A value, whatever its width.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Saying {
    Number(i128),
    Bytes(Vec<u8>),
}

/// All fields of a frame, and those that tshark derives from them: the halves of the version, single flags.
pub(crate) fn fields(frame: RawFrame<'_>) -> BTreeMap<Key, Said> {
    let mut all = BTreeMap::new();
    walk_partial(frame.bytes(), |field| {
        let Field {
            name, offset, len, ..
        } = field;
        let value = saying(field.value);
        if let Saying::Number(number) = value {
            for (part, offset, len, number) in parts(name, offset, len, number) {
                all.insert(
                    (offset, part),
                    Said {
                        len,
                        value: Saying::Number(number),
                    },
                );
            }
        }
        all.insert((offset, name.to_owned()), Said { len, value });
    });
    all
}

fn saying(value: Value<'_>) -> Saying {
    match value {
        Value::U64(number) => Saying::Number(number.into()),
        Value::I64(number) => Saying::Number(number.into()),
        Value::Bytes(bytes) => Saying::Bytes(bytes.to_vec()),
    }
}

/// The parts that tshark shows of a number: name, offset, length, value.
fn parts(name: &str, offset: usize, len: usize, number: i128) -> Vec<(String, usize, usize, i128)> {
    if name == "dlm3.h.version" {
        return vec![
            ("dlm3.h.minor_version".to_owned(), offset, 2, number & 0xffff),
            ("dlm3.h.major_version".to_owned(), offset + 2, 2, number >> 16),
        ];
    }
    let flags: &[(&str, u32)] = match name {
        "dlm3.m.exflags" | "dlm3.rl.exflags" | "dlm3.rf.lsflags" => &EXFLAGS,
        "dlm3.m.sbflags" => &[
            ("demoted", SbFlags::DEMOTED.bits()),
            ("valnotvalid", SbFlags::VALNOTVALID.bits()),
            ("altmode", SbFlags::ALTMODE.bits()),
        ],
        "dlm3.m.flags" | "dlm3.rl.flags" => &[
            ("user", MsgFlags::USER.bits()),
            ("orphan", MsgFlags::ORPHAN.bits()),
        ],
        "dlm3.m.asts" | "dlm3.rl.asts" => &[("comp", Asts::CAST.bits()), ("bast", Asts::BAST.bits())],
        "dlm3.rs.flags" => &[("need_slots", StatusFlags::NEED_SLOTS.bits())],
        _ => &[],
    };
    let flag = |(flag, bit): &(&str, u32)| {
        let set = number & i128::from(*bit) != 0;
        (format!("{name}.{flag}"), offset, len, i128::from(set))
    };
    flags.iter().map(flag).collect()
}

/// The flags of a lock operation by tshark's names, which are the kernel's in lower case.
const EXFLAGS: [(&str, u32); 19] = [
    ("noqueue", ExFlags::NOQUEUE.bits()),
    ("cancel", ExFlags::CANCEL.bits()),
    ("convert", ExFlags::CONVERT.bits()),
    ("valblk", ExFlags::VALBLK.bits()),
    ("quecvt", ExFlags::QUECVT.bits()),
    ("ivvalblk", ExFlags::IVVALBLK.bits()),
    ("convdeadlk", ExFlags::CONVDEADLK.bits()),
    ("persistent", ExFlags::PERSISTENT.bits()),
    ("nodlckwt", ExFlags::NODLCKWT.bits()),
    ("nodlckblk", ExFlags::NODLCKBLK.bits()),
    ("expedite", ExFlags::EXPEDITE.bits()),
    ("noqueuebast", ExFlags::NOQUEUEBAST.bits()),
    ("headque", ExFlags::HEADQUE.bits()),
    ("noorder", ExFlags::NOORDER.bits()),
    ("orphan", ExFlags::ORPHAN.bits()),
    ("altpr", ExFlags::ALTPR.bits()),
    ("altcw", ExFlags::ALTCW.bits()),
    ("forceunlock", ExFlags::FORCEUNLOCK.bits()),
    ("timeout", ExFlags::TIMEOUT.bits()),
];

/// Compares what the walk says with what the codec's own views say: two readings of the same bytes.
///
/// Returns how many fields were compared.
pub(crate) fn check_views(raw: RawFrame<'_>, walked: &BTreeMap<Key, Said>) -> Result<usize, String> {
    let frame = raw.decode().map_err(|error| error.to_string())?;
    let mut views = Views {
        walked,
        base: 0,
        compared: 0,
    };
    views.number("dlm3.h.version", frame.version().wire())?;
    views.number("dlm3.h.nodeid", frame.node().get())?;
    views.number("dlm3.h.cmd", frame.command().wire())?;
    views.number(
        "dlm3.h.length",
        u32::try_from(raw.bytes().len()).unwrap_or(u32::MAX),
    )?;
    match frame {
        Frame::Msg(msg) => views.msg(&msg)?,
        Frame::Rcom(rcom) => views.rcom(&rcom)?,
        Frame::Ack(ack) => views.number("dlm3.h.seq", ack.seq.get())?,
        Frame::Opts(opts) => {
            let inner = opts.inner.map_err(|error| error.to_string())?;
            let options = opts.options.encoded_len();
            views.number("dlm3.h.seq", opts.seq.get())?;
            views.number("dlm3.o.nextcmd", inner.command().wire())?;
            views.number("dlm3.o.optlen", u32::try_from(options).unwrap_or(u32::MAX))?;
            views.base = dlmwire_codec::OPTS_HEADER_LEN + options;
            views.number("dlm3.h.cmd", inner.command().wire())?;
            match inner {
                Inner::Msg(msg) => views.msg(&msg)?,
                Inner::Rcom(rcom) => views.rcom(&rcom)?,
                Inner::Fin => {}
            }
        }
    }
    Ok(views.compared)
}

struct Views<'a> {
    walked: &'a BTreeMap<Key, Said>,
    /// Where the header of what is read starts.
    base: usize,
    compared: usize,
}

impl Views<'_> {
    fn number(&mut self, name: &str, value: impl Into<i128>) -> Result<(), String> {
        self.same(name, Saying::Number(value.into()))
    }

    fn bytes(&mut self, name: &str, value: &[u8]) -> Result<(), String> {
        if value.is_empty() {
            Ok(())
        } else {
            self.same(name, Saying::Bytes(value.to_vec()))
        }
    }

    fn same(&mut self, name: &str, value: Saying) -> Result<(), String> {
        let mut behind = self.walked.range((self.base, String::new())..);
        let Some((_, walked)) = behind.find(|((_, other), _)| other == name) else {
            return Err(format!(
                "the codec reads {name} as {value:?}, the walk has no such field"
            ));
        };
        if walked.value != value {
            return Err(format!(
                "the codec reads {name} as {value:?}, the walk as {:?}",
                walked.value
            ));
        }
        self.compared += 1;
        Ok(())
    }

    fn msg(&mut self, msg: &Msg<'_>) -> Result<(), String> {
        self.number("dlm3.h.lockspac", msg.lockspace().get())?;
        self.number("dlm3.m.type", msg.msg_type().wire())?;
        self.number("dlm3.m.nodeid", msg.nodeid())?;
        self.number("dlm3.m.pid", msg.pid())?;
        self.number("dlm3.m.lkid", msg.lkid())?;
        self.number("dlm3.m.remid", msg.remid())?;
        self.number("dlm3.m.parent_lkid", msg.parent_lkid())?;
        self.number("dlm3.m.parent_remid", msg.parent_remid())?;
        self.number("dlm3.m.exflags", msg.exflags().bits())?;
        self.number("dlm3.m.sbflags", msg.sbflags().bits())?;
        self.number("dlm3.m.flags", msg.flags().bits())?;
        self.number("dlm3.m.lvbseq", msg.lvbseq())?;
        self.number("dlm3.m.hash", msg.hash())?;
        self.number("dlm3.m.status", msg.status().wire())?;
        self.number("dlm3.m.grmode", msg.grmode().wire())?;
        self.number("dlm3.m.rqmode", msg.rqmode().wire())?;
        self.number("dlm3.m.bastmode", msg.bastmode().wire())?;
        self.number("dlm3.m.asts", msg.asts().bits())?;
        self.number("dlm3.m.result", msg.result().wire())?;
        self.bytes("dlm3.m.extra", msg.extra())
    }

    fn rcom(&mut self, rcom: &Rcom<'_>) -> Result<(), String> {
        self.number("dlm3.h.lockspac", rcom.lockspace().get())?;
        self.number("dlm3.rc.type", rcom.rcom_type().wire())?;
        self.number("dlm3.rc.result", rcom.result())?;
        self.number("dlm3.rc.id", rcom.id())?;
        self.number("dlm3.rc.seq", rcom.seq())?;
        self.number("dlm3.rc.seq_reply", rcom.seq_reply())?;
        self.bytes("dlm3.rc.buf", rcom.payload_bytes())?;
        match rcom.payload().map_err(|error| error.to_string())? {
            Payload::Status { flags } => self.number("dlm3.rs.flags", flags.bits()),
            Payload::StatusReply { config, slots } => {
                self.number("dlm3.rf.lvblen", config.lvblen)?;
                self.number("dlm3.rf.lsflags", config.lsflags)?;
                self.number("dlm3.rf.flags", config.flags)?;
                self.number("dlm3.rf.our_slot", config.our_slot)?;
                self.number(
                    "dlm3.rf.num_slots",
                    u32::try_from(slots.len()).unwrap_or(u32::MAX),
                )?;
                self.number("dlm3.rf.generation", config.generation)
            }
            Payload::Lock(lock) | Payload::LockReply(lock) => self.lock(&lock),
            Payload::Names { resume: name } => {
                name.map_or(Ok(()), |name| self.bytes("dlm3.rc.buf", name.bytes()))
            }
            Payload::Lookup { name } => self.bytes("dlm3.rc.buf", name.bytes()),
            Payload::NamesReply(_) | Payload::LookupReply | Payload::Other { .. } => Ok(()),
        }
    }

    fn lock(&mut self, lock: &RcomLock<'_>) -> Result<(), String> {
        self.number("dlm3.rl.ownpid", lock.ownpid)?;
        self.number("dlm3.rl.lkid", lock.lkid)?;
        self.number("dlm3.rl.remid", lock.remid)?;
        self.number("dlm3.rl.parent_lkid", lock.parent_lkid)?;
        self.number("dlm3.rl.parent_remid", lock.parent_remid)?;
        self.number("dlm3.rl.exflags", lock.exflags.bits())?;
        self.number("dlm3.rl.flags", lock.flags.bits())?;
        self.number("dlm3.rl.lvbseq", lock.lvbseq)?;
        self.number("dlm3.rl.result", lock.result)?;
        self.number("dlm3.rl.rqmode", lock.rqmode)?;
        self.number("dlm3.rl.grmode", lock.grmode)?;
        self.number("dlm3.rl.status", lock.status)?;
        self.number("dlm3.rl.asts", lock.asts)?;
        self.number("dlm3.rl.wait_type", lock.wait_type)?;
        self.bytes("dlm3.rl.name_contents", lock.name.bytes())?;
        self.bytes("dlm3.rl.lvb", lock.lvb)
    }
}
