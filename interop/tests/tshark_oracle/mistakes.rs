//! What tshark 4.0 is known to get wrong: the only differences that are not failures.
//!
//! Every entry is as narrow as it can be: it names the messages, the fields, and where tshark shows something
//! else instead, what that has to be. A tshark that does better differs less, which is no failure either.

use dlmwire_codec::{Command, Frame, Inner, OPTS_HEADER_LEN, RawFrame, Rcom, RcomType, Version};

use crate::compare::Difference;
use crate::ours::Saying;
use crate::tshark::Shown;

/// A mistake of tshark's, in the order of the table in docs/tshark.md.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mistake {
    BareReadAsWrapped,
    FirstOfUserMessage,
    RunsOn,
    OptionsFromOneByte,
    InnerFinHidden,
    ConfigurationCutShort,
    NamesHidden,
    LockReplyHidden,
    LvbHidden,
    NameAsText,
    HalvesSwapped,
}

impl Mistake {
    pub(crate) const ALL: [Self; 11] = [
        Self::BareReadAsWrapped,
        Self::FirstOfUserMessage,
        Self::RunsOn,
        Self::OptionsFromOneByte,
        Self::InnerFinHidden,
        Self::ConfigurationCutShort,
        Self::NamesHidden,
        Self::LockReplyHidden,
        Self::LvbHidden,
        Self::NameAsText,
        Self::HalvesSwapped,
    ];

    /// Which messages.
    pub(crate) const fn messages(self) -> &'static str {
        match self {
            Self::BareReadAsWrapped => {
                "bare `RCOM` of a 3.2 node; bare `MSG` and `RCOM` of a 3.2 node to a 3.1 node"
            }
            Self::FirstOfUserMessage => "SCTP: all but the first of a user message",
            Self::RunsOn => "SCTP: the first of a user message that holds several",
            Self::OptionsFromOneByte => "`OPTS` with options",
            Self::InnerFinHidden => "`FIN`",
            Self::ConfigurationCutShort => "`STATUS_REPLY`",
            Self::NamesHidden => "`NAMES_REPLY`",
            Self::LockReplyHidden => "`LOCK_REPLY`",
            Self::LvbHidden => "`LOCK` with a lock value block",
            Self::NameAsText => "`LOCK` whose resource name is binary",
            Self::HalvesSwapped => "all",
        }
    }

    /// What tshark shows, and why, as far as it can be told from outside.
    pub(crate) const fn shown(self) -> &'static str {
        match self {
            Self::BareReadAsWrapped => {
                "Takes every 3.2 message but `ACK` for one that wraps another: the lockspace id is shown as \
                 `dlm3.h.seq`, and bytes 16 and later as an inner header and body (so a `STATUS` may appear \
                 as a `LOOKUP`, with a version such as 0.1 and huge node ids). Many end as Malformed"
            }
            Self::FirstOfUserMessage => {
                "Nothing. Takes a user message for one DLM message, while kernels write as many as they have"
            }
            Self::RunsOn => "`dlm3.m.extra` or `dlm3.rc.buf` runs on over all messages that follow",
            Self::OptionsFromOneByte => {
                "Reads type, length, padding and value of an option all from the option's first byte on, and \
                 does not look at the message behind the options"
            }
            Self::InnerFinHidden => {
                "The outer header and `dlm3.o.nextcmd`; not the 16 bytes of the `FIN` itself"
            }
            Self::ConfigurationCutShort => {
                "`rf_lvblen` and `rf_lsflags`; then 8 bytes of `dlm3.rf.lsflags.unused`, which are `rf_flags`, \
                 `rf_our_slot` and `rf_num_slots`; not the generation and the slots"
            }
            Self::NamesHidden => "`dlm3.rc.buf` as one run of bytes",
            Self::LockReplyHidden => "`dlm3.rc.buf` as one run of bytes, though it is laid out as in `LOCK`",
            Self::LvbHidden => "No `dlm3.rl.lvb`",
            Self::NameAsText => {
                "`dlm3.rl.name_contents` as a text that ends at the first NUL, with a warning about stray characters"
            }
            Self::HalvesSwapped => {
                "Right numbers in `dlm3.h.major_version` and `dlm3.h.minor_version`, but each marks the other's bytes"
            }
        }
    }

    /// How dlmwire shows it.
    pub(crate) const fn ours(self) -> &'static str {
        match self {
            Self::BareReadAsWrapped => {
                "By command: `dlm3.h.lockspac`, then the body; whether a message may be bare is judged by `check`"
            }
            Self::FirstOfUserMessage | Self::RunsOn => {
                "Reads SCTP as the byte stream that it is to DLM: each message, with its own length"
            }
            Self::OptionsFromOneByte => "`dlm3.t.*` once per option at their places, then the message",
            Self::InnerFinHidden => "Both headers; the unused union as `dlm3.h.unused`",
            Self::ConfigurationCutShort => "All of `dlm3.rf.*`, and `dlm3.ro.*` per slot",
            Self::NamesHidden => "`dlm3.names.*`: every name, and whether more follow",
            Self::LockReplyHidden => "All of `dlm3.rl.*`",
            Self::LvbHidden => "`dlm3.rl.lvb`",
            Self::NameAsText => "All bytes; as text with escapes",
            Self::HalvesSwapped => "`dlm3.h.version` as one number",
        }
    }
}

/// A message about which tshark and we differ.
pub(crate) struct Subject<'a> {
    pub(crate) frame: RawFrame<'a>,
    pub(crate) sctp: bool,
}

impl Subject<'_> {
    /// The mistake that this difference comes from, if it is a known one.
    pub(crate) fn explain(&self, difference: &Difference<'_>) -> Option<Mistake> {
        let name = difference.name;
        let hidden = difference.theirs.is_none();
        if let "dlm3.h.major_version" | "dlm3.h.minor_version" = name
            && difference.swapped_with.is_some()
        {
            return Some(Mistake::HalvesSwapped);
        }
        if is_bare_3_2(self.frame) {
            return self
                .read_as_wrapped(difference)
                .then_some(Mistake::BareReadAsWrapped);
        }
        if self.sctp && self.runs_on(difference) {
            return Some(Mistake::RunsOn);
        }
        if self.has_options() && difference.offset >= OPTS_HEADER_LEN {
            let of_option = name.starts_with("dlm3.t.") && difference.offset == OPTS_HEADER_LEN;
            return (hidden || of_option).then_some(Mistake::OptionsFromOneByte);
        }
        if self.is_fin() && hidden && difference.offset >= OPTS_HEADER_LEN {
            return Some(Mistake::InnerFinHidden);
        }
        let rcom_type = self.rcom().map(|rcom| rcom.rcom_type());
        match rcom_type {
            Some(RcomType::StatusReply)
                if name == "dlm3.rf.lsflags.unused"
                    || hidden && (name.starts_with("dlm3.rf.") || name.starts_with("dlm3.ro.")) =>
            {
                Some(Mistake::ConfigurationCutShort)
            }
            Some(RcomType::NamesReply) if hidden && name.starts_with("dlm3.names.") => {
                Some(Mistake::NamesHidden)
            }
            Some(RcomType::LockReply) if hidden && name.starts_with("dlm3.rl.") => {
                Some(Mistake::LockReplyHidden)
            }
            Some(RcomType::Lock) if hidden && name == "dlm3.rl.lvb" => Some(Mistake::LvbHidden),
            Some(RcomType::Lock) if name == "dlm3.rl.name_contents" && difference.same_bytes() => {
                Some(Mistake::NameAsText)
            }
            _ => None,
        }
    }

    /// Options are all shown at the place of the first, so that a name may stand there more than once.
    pub(crate) fn explain_repeated(&self, shown: &Shown) -> Option<Mistake> {
        let of_option = shown.name.starts_with("dlm3.t.") && shown.offset == OPTS_HEADER_LEN;
        (of_option && self.has_options()).then_some(Mistake::OptionsFromOneByte)
    }

    /// The union as a sequence number; behind the header whatever tshark makes of the frame's own bytes.
    fn read_as_wrapped(&self, difference: &Difference<'_>) -> bool {
        if difference.offset >= dlmwire_codec::HEADER_LEN {
            let Some(theirs) = difference.theirs else {
                return true;
            };
            let own = self
                .frame
                .bytes()
                .get(difference.offset..)
                .map(hex)
                .unwrap_or_default();
            // Parts of a number show no bytes; a run that goes on behind the frame does so in SCTP only.
            let whole = theirs.raw.len() == theirs.len * 2;
            let same = own.starts_with(&theirs.raw) || self.sctp && theirs.raw.starts_with(&own);
            return !whole || same;
        }
        match (difference.name, difference.theirs) {
            ("dlm3.h.lockspac", None) => true,
            ("dlm3.h.seq", Some(theirs)) => {
                self.frame.bytes().get(4..8).map(hex).as_deref() == Some(&theirs.raw)
            }
            _ => false,
        }
    }

    /// The last field of the message, begun rightly, goes on behind its end.
    fn runs_on(&self, difference: &Difference<'_>) -> bool {
        let (Some(theirs), "dlm3.m.extra" | "dlm3.rc.buf") = (difference.theirs, difference.name) else {
            return false;
        };
        let end = self.frame.bytes().len();
        match difference.ours.map(|ours| &ours.value) {
            Some(Saying::Bytes(ours)) => theirs.len > ours.len() && theirs.raw.starts_with(&hex(ours)),
            Some(Saying::Number(_)) => false,
            None => difference.offset == end,
        }
    }

    fn has_options(&self) -> bool {
        matches!(self.frame.decode(), Ok(Frame::Opts(opts)) if !opts.options.is_empty())
    }

    fn is_fin(&self) -> bool {
        matches!(self.frame.decode(), Ok(Frame::Opts(opts)) if opts.inner == Ok(Inner::Fin))
    }

    fn rcom(&self) -> Option<Rcom<'_>> {
        match self.frame.decode() {
            Ok(Frame::Rcom(rcom)) => Some(rcom),
            Ok(Frame::Opts(opts)) => match opts.inner {
                Ok(Inner::Rcom(rcom)) => Some(rcom),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Whether the frame is of those whose body tshark does not read at all where it stands.
pub(crate) fn is_bare_3_2(frame: RawFrame<'_>) -> bool {
    frame.decode().is_ok_and(|frame| {
        frame.version() == Version::V3_2 && matches!(frame.command(), Command::Msg | Command::Rcom)
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
