//! What our engine writes, against what the captured node wrote.

use std::collections::VecDeque;

use super::recording::Recording;
use super::report::Class;
use super::script::Conversation;
use crate::capture::LinkId;

/// One conversation's sending side.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Numbered messages given to the engine.
    pub(crate) given: u32,
    /// Numbered messages that it has written at least once.
    written: u32,
    /// What the peer acknowledged so far.
    acked: u32,
    /// Bare messages given to the engine and not written yet, by their records.
    bare: VecDeque<usize>,
    /// The link that was written to last, and the number.
    last: Option<(LinkId, u32)>,
    pub(crate) identical: u64,
    pub(crate) bare_given: u64,
    pub(crate) bare_identical: u64,
    pub(crate) resent: u64,
    /// Of these, by the timer of an unacknowledged `FIN`.
    pub(crate) resent_by_timer: u64,
}

impl Sending {
    /// The peer acknowledged up to here.
    pub(crate) fn peer_acks(&mut self, ack: u32) {
        self.acked = self.acked.max(ack);
    }

    /// A bare message was given to the engine.
    pub(crate) fn give_bare(&mut self, record: usize) {
        self.bare.push_back(record);
        self.bare_given += 1;
    }

    /// Bare messages that the engine holds back.
    pub(crate) fn bare_waiting(&self) -> usize {
        self.bare.len()
    }

    /// Whether everything given has been written.
    pub(crate) const fn is_written(&self) -> bool {
        self.written == self.given
    }

    /// Messages that the peer has not acknowledged.
    pub(crate) const fn unacked(&self) -> u32 {
        self.given.saturating_sub(self.acked)
    }

    /// Takes a bare frame that the engine wrote.
    pub(crate) fn wrote_bare(&mut self, recording: &Recording, bytes: &[u8]) -> Option<(Class, String)> {
        let Some(record) = self.bare.pop_front() else {
            let text = "our engine wrote a message on its own that was not given to it".to_owned();
            return Some((Class::Unlisted, text));
        };
        match differs(recording.frame_bytes(record), bytes) {
            None => {
                self.bare_identical += 1;
                None
            }
            Some(how) => {
                let packet = recording.stamp(record).packet;
                let text = format!("our engine wrote the message of packet {packet} otherwise: {how}");
                Some((Class::Unlisted, text))
            }
        }
    }

    /// Takes a numbered frame that the engine wrote.
    pub(crate) fn wrote_numbered(
        &mut self,
        recording: &Recording,
        conversation: &Conversation,
        wrote: Wrote<'_>,
    ) -> Option<(Class, String)> {
        let Wrote {
            seq,
            bytes,
            link,
            is_fin,
            by_timer,
        } = wrote;
        let Some(record) = conversation.own.numbers.get(&seq) else {
            if is_fin && conversation.own.fin.is_none() && seq == conversation.own.behind() {
                let text = format!("our engine left with FIN {seq}, the kernel had not got to it");
                return Some((Class::LeaveTogether, text));
            }
            return Some((
                Class::Unlisted,
                format!("our engine wrote number {seq}, which the node never sent"),
            ));
        };
        let differs = differs(recording.frame_bytes(*record), bytes);
        let anew = self.acked;
        let due = match self.last {
            Some((last_link, last)) if last_link == link => last.wrapping_add(1).max(anew),
            Some(_) | None => anew,
        };
        self.last = Some((link, seq));
        if seq == self.written {
            self.written = self.written.wrapping_add(1);
            self.identical += u64::from(differs.is_none());
        } else {
            self.resent += 1;
            self.resent_by_timer += u64::from(by_timer);
        }
        if let Some(how) = differs {
            let packet = recording.stamp(*record).packet;
            let text = format!("our engine wrote number {seq} otherwise than packet {packet}: {how}");
            return Some((Class::Unlisted, text));
        }
        let is_due = seq == due || (by_timer && seq == anew);
        if !is_due || seq >= self.written {
            let text = format!("our engine wrote number {seq} where {due} was due");
            return Some((Class::Unlisted, text));
        }
        None
    }
}

/// A numbered frame that the engine wrote.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrote<'a> {
    pub(crate) seq: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) link: LinkId,
    pub(crate) is_fin: bool,
    /// The timer of an unacknowledged `FIN` was the reason.
    pub(crate) by_timer: bool,
}

/// The first difference between what the node wrote and what our engine did.
pub(crate) fn differs(captured: &[u8], ours: &[u8]) -> Option<String> {
    if captured.len() != ours.len() {
        return Some(format!("{} bytes, not {}", ours.len(), captured.len()));
    }
    let at = captured.iter().zip(ours).position(|(a, b)| a != b)?;
    Some(format!(
        "byte {at} is {:#04x}, not {:#04x}",
        ours[at], captured[at]
    ))
}
