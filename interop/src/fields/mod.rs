//! Every field of a frame in the order of the wire, each with its place, its value and what it means.
//!
//! One walk serves the tree of `decode`, the JSON of `dump` and the comparison with tshark. It reads bytes,
//! not decoded frames, so that a damaged frame still shows all that is readable; the codec has the last word
//! on what is wrong.
//!
//! Names are Wireshark's (`dlm3.h.version`, also its odd `dlm3.h.lockspac`). What Wireshark does not know is
//! named in its style:
//!
//! | name | what |
//! |---|---|
//! | `dlm3.h.unused` | the header's union in a `FIN` |
//! | `dlm3.rf.flags` .. `dlm3.rf.unused2` | the configuration in `STATUS_REPLY` behind `rf_lsflags` |
//! | `dlm3.ro.*` | a slot: `rcom_slot` |
//! | `dlm3.names.*` | a name in `NAMES_REPLY`, the end mark, the filling |
//! | `dlm3.unread` | bytes that belong to no field |

mod layout;
mod meaning;

use dlmwire_codec::{DecodeError, RawFrame, RcomType, TailKind};

use self::layout::Row;
pub use self::meaning::Meaning;

/// One field of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Wireshark's name, or ours in its style.
    pub name: &'static str,
    /// Offset from the start of the frame, in bytes.
    pub offset: usize,
    /// How many bytes the field has.
    pub len: usize,
    /// How deep the field lies: 0 in the outermost frame, one more in what an `OPTS` wraps, in a buffer that
    /// has parts, and in each part.
    pub depth: u8,
    /// The value.
    pub value: Value<'a>,
    /// What the value says, in the kernel's words.
    pub meaning: Meaning<'a>,
    /// Whether the field is only a frame around those that follow it one level deeper.
    pub has_parts: bool,
    /// Whether a frame may have several of this name at one level: options, slots, names.
    pub repeats: bool,
}

/// The value of a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Value<'a> {
    /// A number without a sign.
    U64(u64),
    /// A number with a sign.
    I64(i64),
    /// Bytes: names, lock value blocks, buffers.
    Bytes(&'a [u8]),
}

/// Walks over a whole frame.
///
/// All that is readable is visited, damaged or not.
///
/// ```
/// use dlmwire_codec::{Limits, Split, split};
/// use dlmwire_interop::fields::{Value, walk};
///
/// let ack = [2, 0, 3, 0, 42, 0, 0, 0, 2, 0, 0, 0, 16, 0, 4, 0];
/// let Split::Frame { frame, .. } = split(&ack, Limits::KERNEL) else { panic!() };
/// let mut lines = Vec::new();
/// walk(frame, |field| lines.push(format!("{:02} {} {}", field.offset, field.name, field.meaning))).unwrap();
/// assert_eq!(lines[0], "00 dlm3.h.version 3.2");
/// assert_eq!(lines[4], "14 dlm3.h.cmd ACK");
/// ```
///
/// # Errors
///
/// What the codec finds wrong with the frame, after everything has been visited.
pub fn walk<'a>(frame: RawFrame<'a>, visit: impl FnMut(Field<'a>)) -> Result<(), DecodeError> {
    walk_partial(frame.bytes(), visit);
    frame.decode()?.fields().map(drop)
}

/// Walks over the start of a frame whose rest is missing, and judges nothing.
pub fn walk_partial<'a>(bytes: &'a [u8], mut visit: impl FnMut(Field<'a>)) {
    let mut walk = Walk {
        bytes,
        at: 0,
        end: bytes.len(),
        depth: 0,
        visit: &mut visit,
    };
    walk.frame();
    walk.unread();
}

/// A cursor over a frame. The lengths in the frame bound it only where they lie within the bytes.
struct Walk<'a, 'v> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    depth: u8,
    visit: &'v mut dyn FnMut(Field<'a>),
}

impl<'a> Walk<'a, '_> {
    fn frame(&mut self) {
        let start = self.at;
        match self.header() {
            Some(1) => self.msg(start),
            Some(2) => self.rcom(start),
            // Wrapped once is wrapped enough: no frame in an inner frame.
            Some(3) if self.depth == 0 => self.opts(),
            _ => {}
        }
    }

    /// The command, if the header is whole.
    fn header(&mut self) -> Option<u8> {
        let command = self.rest().get(14).copied();
        let union = match command {
            Some(1 | 2) | None => &layout::LOCKSPACE,
            Some(3 | 4) => &layout::SEQ,
            Some(_) => &layout::UNUSED,
        };
        let whole =
            self.rows(&layout::VERSION) && self.rows(union) && self.rows(&layout::HEADER_BEHIND_UNION);
        command.filter(|_| whole)
    }

    fn opts(&mut self) {
        let option_bytes = self.number(self.at.saturating_add(2), 2);
        if !self.rows(&layout::OPTS) {
            return;
        }
        let option_bytes = usize::try_from(option_bytes).unwrap_or(usize::MAX);
        if option_bytes > self.rest().len() {
            return;
        }
        if option_bytes > 0 {
            self.part("dlm3.o.opts", option_bytes, Self::options);
        }
        self.depth = self.depth.saturating_add(1);
        self.frame();
        self.unread();
        self.depth = self.depth.saturating_sub(1);
    }

    fn options(&mut self) {
        while !self.rest().is_empty() {
            let length = self.number(self.at.saturating_add(2), 2);
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !self.rows(&layout::OPTION) || !self.bytes("dlm3.t.value", length, Meaning::None, true) {
                return;
            }
        }
    }

    fn msg(&mut self, start: usize) {
        let msg_type = dlmwire_codec::MsgType::from_wire(self.word(start.saturating_add(16)));
        if !self.rows(&layout::MSG) || self.rest().is_empty() {
            return;
        }
        let extra = self.rest();
        let meaning = match msg_type.tail() {
            TailKind::Name => Meaning::name(extra),
            TailKind::Lvb | TailKind::Opaque => Meaning::None,
        };
        self.bytes("dlm3.m.extra", extra.len(), meaning, false);
    }

    fn rcom(&mut self, start: usize) {
        let rcom_type = RcomType::from_wire(self.word(start.saturating_add(16)));
        let result = match rcom_type {
            RcomType::StatusReply => &layout::RCOM_RESULT_STATUS,
            RcomType::LookupReply => &layout::RCOM_RESULT_NODE,
            _ => &layout::RCOM_RESULT,
        };
        let whole = self.rows(&layout::RCOM_TYPE) && self.rows(result) && self.rows(&layout::RCOM_BEHIND);
        let payload = self.rest();
        if !whole || payload.is_empty() {
            return;
        }
        const BUFFER: &str = "dlm3.rc.buf";
        match rcom_type {
            RcomType::Status => self.part(BUFFER, payload.len(), |walk| {
                walk.rows(&layout::STATUS);
            }),
            RcomType::StatusReply => self.part(BUFFER, payload.len(), Self::config),
            RcomType::Lock | RcomType::LockReply => self.part(BUFFER, payload.len(), Self::lock),
            RcomType::NamesReply => self.part(BUFFER, payload.len(), Self::names),
            RcomType::Names | RcomType::Lookup => {
                self.bytes(BUFFER, payload.len(), Meaning::name(payload), false);
            }
            RcomType::LookupReply | RcomType::Other(_) => {
                self.bytes(BUFFER, payload.len(), Meaning::None, false);
            }
        }
    }

    fn config(&mut self) {
        let slots = self.number(self.at.saturating_add(14), 2);
        if !self.rows(&layout::CONFIG) {
            return;
        }
        self.depth = self.depth.saturating_add(1);
        for _ in 0..slots {
            if !self.rows(&layout::SLOT) {
                break;
            }
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn lock(&mut self) {
        let name_length = self.number(self.at.saturating_add(42), 2);
        if !self.rows(&layout::LOCK) {
            return;
        }
        let field = self.rest().len().min(dlmwire_codec::NAME_LEN_MAX);
        let length = usize::try_from(name_length).unwrap_or(usize::MAX).min(field);
        self.part("dlm3.rl.name", field, |walk| {
            let name = walk.rest().get(..length).unwrap_or_default();
            walk.bytes("dlm3.rl.name_contents", length, Meaning::name(name), false);
            walk.bytes(
                "dlm3.rl.name_padding",
                field.saturating_sub(length),
                Meaning::None,
                false,
            );
        });
        self.bytes("dlm3.rl.lvb", self.rest().len(), Meaning::None, false);
    }

    fn names(&mut self) {
        while let Some(prefix) = self.rest().first_chunk() {
            let length = u16::from_be_bytes(*prefix);
            if let 0 | u16::MAX = length {
                let end = if length == 0 { "more names follow" } else { "last" };
                self.big_endian("dlm3.names.end", length, Meaning::Word(end));
                self.bytes("dlm3.names.padding", self.rest().len(), Meaning::None, false);
                return;
            }
            self.big_endian("dlm3.names.length", length, Meaning::None);
            let length = usize::from(length);
            let name = self.rest().get(..length).unwrap_or_default();
            if !self.bytes("dlm3.names.name", length, Meaning::name(name), true) {
                return;
            }
        }
    }

    /// Visits a buffer, then its parts one level deeper, then what they leave over.
    fn part(&mut self, name: &'static str, len: usize, parts: impl FnOnce(&mut Self)) {
        let Some(bytes) = self.rest().get(..len) else {
            return;
        };
        (self.visit)(Field {
            name,
            offset: self.at,
            len,
            depth: self.depth,
            value: Value::Bytes(bytes),
            meaning: Meaning::None,
            has_parts: true,
            repeats: false,
        });
        let outer_end = std::mem::replace(&mut self.end, self.at.saturating_add(len));
        self.depth = self.depth.saturating_add(1);
        parts(self);
        self.unread();
        self.depth = self.depth.saturating_sub(1);
        self.end = outer_end;
    }

    /// Visits the rows in turn; `false` if the bytes end before them.
    fn rows(&mut self, rows: &[Row]) -> bool {
        rows.iter().all(|row| {
            let Some(bytes) = self.rest().get(..row.len) else {
                return false;
            };
            let (value, meaning) = row.kind.read(bytes);
            self.visit(row.name, row.len, value, meaning, row.repeats);
            true
        })
    }

    /// Visits bytes, if there are any; `false` if they are not all there.
    fn bytes(&mut self, name: &'static str, len: usize, meaning: Meaning<'a>, repeats: bool) -> bool {
        let Some(bytes) = self.rest().get(..len) else {
            return false;
        };
        if len > 0 {
            self.visit(name, len, Value::Bytes(bytes), meaning, repeats);
        }
        true
    }

    /// Visits the protocol's only big-endian numbers: the name lengths in `NAMES_REPLY`.
    fn big_endian(&mut self, name: &'static str, value: u16, meaning: Meaning<'a>) {
        let repeats = name == "dlm3.names.length";
        self.visit(name, 2, Value::U64(value.into()), meaning, repeats);
    }

    fn unread(&mut self) {
        let len = self.rest().len();
        self.bytes("dlm3.unread", len, Meaning::None, true);
    }

    fn visit(
        &mut self,
        name: &'static str,
        len: usize,
        value: Value<'a>,
        meaning: Meaning<'a>,
        repeats: bool,
    ) {
        (self.visit)(Field {
            name,
            offset: self.at,
            len,
            depth: self.depth,
            value,
            meaning,
            has_parts: false,
            repeats,
        });
        self.at = self.at.saturating_add(len);
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// The little-endian number at an offset, 0 where the bytes end before it.
    fn number(&self, at: usize, len: usize) -> u64 {
        let bytes = self.bytes.get(at..at.saturating_add(len)).unwrap_or_default();
        layout::little_endian(bytes)
    }

    fn word(&self, at: usize) -> u32 {
        u32::try_from(self.number(at, 4)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use dlmwire_codec::{ErrorKind, Limits, Split, split};

    use super::*;

    const STATUS_REPLY: &str = "02 00 03 00 52 7a 1f 6b 01 00 00 00 70 00 02 00 \
        05 00 00 00 03 00 00 00 88 77 66 55 44 33 22 11 02 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 \
        20 00 00 00 00 00 00 00 00 00 00 00 01 00 02 00 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \
        01 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 02 00 00 00 00 00 00 00 00 00 00 00";

    const REQUEST: &str = "02 00 03 00 29 00 00 00 01 00 00 00 75 00 03 00 01 00 00 00 00 00 00 00 \
        02 00 03 00 52 7a 1f 6b 01 00 00 00 5d 00 01 00 01 00 00 00 02 00 00 00 \
        d2 04 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00 00 \
        00 00 00 00 96 cf 63 89 00 00 00 00 ff ff ff ff 05 00 00 00 00 00 00 00 03 00 00 00 00 00 00 00 \
        74 65 73 74 31";

    fn bytes(hex: &str) -> Vec<u8> {
        hex.split_whitespace()
            .map(|digits| u8::from_str_radix(digits, 16).unwrap())
            .collect()
    }

    /// The frame's fields as `depth name text`, and the codec's verdict.
    fn lines(bytes: &[u8]) -> (Vec<String>, Result<(), DecodeError>) {
        let Split::Frame { frame, .. } = split(bytes, Limits::KERNEL) else {
            panic!("not a whole frame");
        };
        let mut lines = Vec::new();
        let verdict = walk(frame, |field| {
            lines.push(format!("{} {} {}", field.depth, field.name, field.meaning))
        });
        (lines, verdict)
    }

    /// Every byte of the frame, from the fields that have no parts.
    fn covered(bytes: &[u8]) -> Vec<usize> {
        let mut covered = Vec::new();
        walk_partial(bytes, |field| {
            if !field.has_parts {
                covered.extend(field.offset..field.offset + field.len);
            }
        });
        covered
    }

    #[test]
    fn wrapped_request_shows_both_headers_and_the_name() {
        let (lines, verdict) = lines(&bytes(REQUEST));
        assert_eq!(verdict, Ok(()));
        assert_eq!(lines.len(), 6 + 4 + 6 + 18 + 1);
        for line in [
            "0 dlm3.h.cmd OPTS",
            "0 dlm3.o.nextcmd MSG",
            "1 dlm3.h.lockspac 0x6b1f7a52",
            "1 dlm3.m.type REQUEST",
            "1 dlm3.m.flags USER",
            "1 dlm3.m.rqmode EX",
            "1 dlm3.m.asts CAST|BAST",
            "1 dlm3.m.extra \"test1\"",
        ] {
            assert!(lines.iter().any(|other| other == line), "{line} in {lines:#?}");
        }
    }

    #[test]
    fn status_reply_shows_its_slots_as_repeated_parts() {
        let (lines, verdict) = lines(&bytes(STATUS_REPLY));
        assert_eq!(verdict, Ok(()));
        assert!(lines.contains(&"0 dlm3.rc.result NODES|NODES_ALL".to_owned()));
        let slots = lines.iter().filter(|line| line.starts_with("2 dlm3.ro.slot"));
        assert_eq!(slots.count(), 2);
    }

    #[test]
    fn every_byte_belongs_to_one_field_however_short_the_frame() {
        for frame in [bytes(REQUEST), bytes(STATUS_REPLY)] {
            for length in 0..=frame.len() {
                let present = &frame[..length];
                assert_eq!(
                    covered(present),
                    (0..length).collect::<Vec<_>>(),
                    "{length} bytes"
                );
            }
        }
    }

    #[test]
    fn every_byte_belongs_to_one_field_whatever_it_says() {
        for frame in [bytes(REQUEST), bytes(STATUS_REPLY)] {
            for at in 0..frame.len() {
                for byte in [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7f, 0x80, 0xff] {
                    let mut damaged = frame.clone();
                    damaged[at] = byte;
                    let all: Vec<_> = (0..frame.len()).collect();
                    assert_eq!(covered(&damaged), all, "{byte:#x} at {at}");
                }
            }
        }
    }

    #[test]
    fn damage_is_reported_behind_what_is_readable() {
        let mut frame = bytes(REQUEST);
        frame[38] = 2;
        let (lines, verdict) = lines(&frame);
        let error = verdict.unwrap_err();
        assert_eq!(error.offset, 38);
        assert!(
            matches!(error.kind, ErrorKind::InnerCommandDiffers { .. }),
            "{error}"
        );
        assert!(lines.contains(&"1 dlm3.h.cmd RCOM".to_owned()), "{lines:#?}");
    }
}
