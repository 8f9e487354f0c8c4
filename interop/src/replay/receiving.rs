//! What a receiver has to make of a conversation's frames, counted apart from the engine, and how the captured
//! kernel's `ACK`s and the engine's compare.

use std::collections::{BTreeMap, BTreeSet};

use dlmwire_codec::{Carriage, DecodeError, Effect, Frame, Generation, Inner, MessageClass, Version, damage};

use super::report::Class;
use super::script::Conversation;
use crate::capture::LinkId;

/// What a receiver has to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Deliver it; with its number, if it has one.
    Deliver(Option<u32>),
    /// Count its number: a `FIN`, or content that makes no sense.
    Count,
    /// Drop it: its number came before.
    Duplicate,
    /// Drop it: its number is too high.
    Gap,
    /// Take the acknowledgement.
    Ack,
    /// Drop it: it makes no sense, or not between these versions.
    Refuse,
}

/// What the engine did with a frame.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Did<'a> {
    /// It delivered a message with this number and these bytes.
    pub(crate) delivered: Option<(Option<u32>, &'a [u8])>,
    /// It counted so many duplicates more.
    pub(crate) duplicates: u64,
    /// It counted so many gaps more.
    pub(crate) gaps: u64,
    /// What it complained of.
    pub(crate) violation: Option<String>,
}

/// Why the engine sent an `ACK`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// A run of frames ended, of which none had come before.
    Run,
    /// A run of frames ended, of which some had come before.
    Repeated,
    /// A new link is sent on.
    NewLink,
}

/// One conversation's receiving side.
#[derive(Debug, Default)]
pub(crate) struct Receiving {
    /// The link that brought each number first; so many numbers have been taken.
    brought_by: Vec<LinkId>,
    delivered: BTreeSet<u32>,
    /// Links that were reset.
    reset: BTreeSet<LinkId>,
    /// How far the count was at the last reset.
    taken_at_reset: u32,
    last_kernel_ack: Option<u32>,
    /// The last `ACK` that was found to leave out what had been delivered.
    last_thrown: Option<u32>,
    ours: Vec<(usize, u32, Cause)>,
    /// `ACK`s of ours that a run of frames brought about.
    for_runs: usize,
}

/// What comes of comparing: why, at which record, and the sentence.
pub(crate) type Told = (Class, usize, String);

impl Receiving {
    /// The number expected next.
    pub(crate) fn expected(&self) -> u32 {
        u32::try_from(self.brought_by.len()).unwrap_or(u32::MAX)
    }

    /// What has to become of a frame, between a receiver and a sender of these versions.
    pub(crate) fn verdict(
        &self,
        frame: &Result<Frame<'_>, DecodeError>,
        [receiver, sender]: [Version; 2],
    ) -> Verdict {
        let Ok(frame) = frame else {
            return Verdict::Refuse;
        };
        match frame {
            Frame::Ack(_) | Frame::Opts(_) if receiver == Version::V3_1 => Verdict::Refuse,
            Frame::Ack(_) => Verdict::Ack,
            Frame::Opts(opts) => {
                let seq = opts.seq.get();
                let expected = self.expected();
                if seq < expected {
                    return Verdict::Duplicate;
                }
                if seq > expected {
                    return Verdict::Gap;
                }
                match &opts.inner {
                    Ok(Inner::Fin) => Verdict::Count,
                    Ok(Inner::Msg(_) | Inner::Rcom(_)) => Verdict::Deliver(Some(seq)),
                    Err(error) => match damage(&error.kind).map(|row| row.ours) {
                        Some(Effect::Consumed | Effect::Delivered) => Verdict::Count,
                        Some(Effect::NotConsumed) | None => Verdict::Refuse,
                    },
                }
            }
            Frame::Msg(_) | Frame::Rcom(_) => {
                let class = MessageClass::of_frame(frame).map(|(class, _)| class);
                let taken = receiver == Version::V3_1
                    || class.is_some_and(|class| class.row().accepted(Carriage::Bare, sender));
                if taken {
                    Verdict::Deliver(None)
                } else {
                    Verdict::Refuse
                }
            }
        }
    }

    /// Compares what the engine did with what it had to do, and counts.
    pub(crate) fn judge(
        &mut self,
        verdict: Verdict,
        did: &Did<'_>,
        frame: &Result<Frame<'_>, DecodeError>,
        bytes: &[u8],
        link: LinkId,
    ) -> Option<String> {
        if matches!(verdict, Verdict::Count | Verdict::Deliver(Some(_))) {
            self.brought_by.push(link);
        }
        if let Some(violation) = &did.violation
            && verdict != Verdict::Refuse
        {
            return Some(format!(
                "our engine complains of a frame that the kernel takes: {violation}"
            ));
        }
        let wanted = match verdict {
            Verdict::Deliver(seq) => Some((seq, message_bytes(frame, bytes))),
            Verdict::Count | Verdict::Duplicate | Verdict::Gap | Verdict::Ack | Verdict::Refuse => None,
        };
        if let Some(told) = delivery_differs(wanted, did.delivered) {
            return Some(told);
        }
        let counts = [
            ("duplicate", did.duplicates, verdict == Verdict::Duplicate),
            ("gap", did.gaps, verdict == Verdict::Gap),
        ];
        let wrong = counts
            .into_iter()
            .find(|(_, counted, wanted)| *counted != u64::from(*wanted))?;
        let (what, counted, wanted) = (wrong.0, wrong.1, u64::from(wrong.2));
        Some(format!("our engine counted {counted} {what}, not {wanted}"))
    }

    /// Notes that a number was delivered; `false` if it had been before.
    pub(crate) fn delivered(&mut self, seq: u32) -> bool {
        self.delivered.insert(seq)
    }

    /// Notes that a link was reset.
    pub(crate) fn link_reset(&mut self, link: LinkId) {
        self.reset.insert(link);
        self.taken_at_reset = self.expected();
    }

    /// Takes an `ACK` of the captured kernel.
    pub(crate) fn kernel_acks(
        &mut self,
        record: usize,
        ack: u32,
        generation: Option<Generation>,
    ) -> Option<Told> {
        let repeated = self.last_kernel_ack.replace(ack) == Some(ack);
        let expected = self.expected();
        if ack > expected {
            let text = format!("the kernel acknowledged {ack}, our engine expects {expected}");
            return Some((Class::Unlisted, record, text));
        }
        // Newer kernels are late with acknowledging; how far they are shows when they answer a duplicate.
        let exact = repeated || generation == Some(Generation::Linux6_1);
        if !exact || ack >= self.taken_at_reset || self.last_thrown == Some(ack) {
            return None;
        }
        self.last_thrown = Some(ack);
        let text = format!(
            "the kernel expects {ack} although everything before {} had been delivered to it before the reset",
            self.taken_at_reset
        );
        Some((Class::ThrownAway, record, text))
    }

    /// Takes an `ACK` of our engine; `at_end` of a run of frames it has to cover all of them.
    pub(crate) fn engine_acks(&mut self, record: usize, ack: u32, cause: Cause) -> Option<Told> {
        let expected = self.expected();
        let last = self.ours.last().map(|(_, ack, _)| *ack);
        self.ours.push((record, ack, cause));
        self.for_runs += usize::from(cause != Cause::NewLink);
        let wrong = if ack > expected {
            "more than came in order"
        } else if ack < expected {
            "less than came in order"
        } else if last.is_some_and(|last| ack < last) {
            "less than before"
        } else {
            return None;
        };
        let text = format!("our engine acknowledged {ack}, {wrong}: {expected} is due");
        Some((Class::Unlisted, record, text))
    }

    /// `ACK`s of our engine so far, and those of them that a run of frames brought about.
    pub(crate) const fn acks(&self) -> (usize, usize) {
        (self.ours.len(), self.for_runs)
    }

    /// What our engine acknowledged last.
    pub(crate) fn acked(&self) -> u32 {
        self.ours.last().map_or(0, |(_, ack, _)| *ack)
    }

    /// Compares all acknowledgements once the conversation is over, or the capture.
    pub(crate) fn compare(&self, conversation: &Conversation) -> Vec<Told> {
        let mut kernel: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (record, ack) in &conversation.own.acks {
            kernel.entry(*ack).or_default().push(*record);
        }
        let mut ours: BTreeMap<u32, Vec<(usize, Cause)>> = BTreeMap::new();
        for (record, ack, cause) in &self.ours {
            ours.entry(*ack).or_default().push((*record, *cause));
        }
        let mut told = Vec::new();
        for (ack, records) in &kernel {
            match ours.get(ack) {
                None => told.push(only_kernel(*ack, records)),
                Some(ours) if ours.len() < records.len() => {
                    let extra = records[ours.len()..].iter();
                    told.extend(extra.map(|record| repeated_by_kernel(*ack, *record)));
                }
                Some(_) => {}
            }
        }
        let last = conversation.own.acked;
        for (ack, records) in &ours {
            let known = kernel.get(ack).map_or(0, Vec::len);
            let only_ours = records.iter().skip(known);
            told.extend(only_ours.map(|(record, cause)| {
                if known == 0 && *ack > last {
                    let text = format!("our engine acknowledged {ack}, the kernel nothing behind {last}");
                    (self.beyond(last, conversation.end.is_some()), *record, text)
                } else {
                    let (class, why) = self.by_cause(*cause);
                    (class, *record, format!("our engine acknowledged {ack} {why}"))
                }
            }));
        }
        if self.acked() < last || (conversation.end.is_some() && self.acked() > last) {
            let at = conversation.end.unwrap_or_default();
            let text = format!(
                "our engine's last ACK is {}, the kernel's was {last}",
                self.acked()
            );
            told.push((Class::Unlisted, at, text));
        }
        told
    }

    /// Why our engine acknowledges again, or at a number at which the kernel did not.
    fn by_cause(&self, cause: Cause) -> (Class, &'static str) {
        match cause {
            Cause::Run => (
                Class::AckTiming,
                "at once, the kernel together with later numbers",
            ),
            Cause::NewLink => (Class::Resend, "on a new link, the kernel did not"),
            Cause::Repeated if self.reset.is_empty() => (Class::Unlisted, "again, the kernel did not"),
            Cause::Repeated => (Class::ThrownAway, "again, what came again was new to the kernel"),
        }
    }

    /// Why our engine acknowledges more than the kernel ever did.
    pub(crate) fn beyond(&self, kernel: u32, is_over: bool) -> Class {
        let unacked = usize::try_from(kernel)
            .ok()
            .and_then(|first| self.brought_by.get(first));
        match unacked {
            _ if is_over => Class::Unlisted,
            Some(link) if self.reset.contains(link) => Class::ThrownAway,
            Some(_) | None => Class::AckTiming,
        }
    }
}

fn only_kernel(ack: u32, records: &[usize]) -> Told {
    let first = records.first().copied().unwrap_or_default();
    let text = format!("the kernel acknowledged {ack}, our engine together with later numbers");
    (Class::AckTiming, first, text)
}

fn repeated_by_kernel(ack: u32, record: usize) -> Told {
    let text = format!("the kernel acknowledged {ack} once more, our engine once for all");
    (Class::AckPerRun, record, text)
}

fn delivery_differs(
    wanted: Option<(Option<u32>, &[u8])>,
    did: Option<(Option<u32>, &[u8])>,
) -> Option<String> {
    let name = |seq: Option<u32>| {
        seq.map_or_else(
            || "a message on its own".to_owned(),
            |seq| format!("number {seq}"),
        )
    };
    match (wanted, did) {
        (None, None) => None,
        (Some((seq, _)), None) => Some(format!("our engine did not deliver {}", name(seq))),
        (None, Some((seq, _))) => Some(format!(
            "our engine delivered {}, which it had to drop",
            name(seq)
        )),
        (Some(wanted), Some(did)) if wanted == did => None,
        (Some((seq, _)), Some((other, _))) if seq != other => {
            Some(format!("our engine delivered {} as {}", name(seq), name(other)))
        }
        (Some((seq, _)), Some(_)) => Some(format!("our engine delivered {} with other bytes", name(seq))),
    }
}

/// The message proper, with its own header.
fn message_bytes<'a>(frame: &Result<Frame<'_>, DecodeError>, bytes: &'a [u8]) -> &'a [u8] {
    match frame {
        Ok(Frame::Opts(opts)) => {
            let before = dlmwire_codec::OPTS_HEADER_LEN.saturating_add(opts.options.encoded_len());
            bytes.get(before..).unwrap_or(&[])
        }
        Ok(Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_)) | Err(_) => bytes,
    }
}
