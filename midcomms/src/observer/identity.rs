//! Who speaks, and whether the receiver listens (spec: midcomms 3, wire 7).

use dlmwire_codec::{Frame, Version};

use crate::admission::{Known, Refusal, admit, class_of};
use crate::digest::digest;
use crate::observer::Verdict;
use crate::observer::facts::{FactKind, Restart};
use crate::observer::link::Lane;
use crate::observer::pair::{Pair, Sent, is_consumed};
use crate::observer::side::{Identities, Report, Side};

impl Pair {
    #[inline]
    pub(super) const fn known(&self, from: Side) -> Known {
        let (sender, receiver) = (self.sides.of(from), self.sides.of(from.other()));
        Known {
            sender: sender.version,
            receiver: receiver.version,
            sender_node: sender.node,
            receiver_node: receiver.node,
        }
    }

    /// Whether a refusal is only the observer coming late, or a new conversation that begins here.
    #[cold]
    pub(super) fn excuse(
        &mut self,
        report: &mut Report<'_>,
        sent: Sent,
        frame: &Frame<'_>,
        refusal: Refusal,
    ) -> bool {
        match refusal {
            Refusal::CannotOpen { command, class } => {
                let known = Known {
                    sender: Some(frame.version()),
                    ..self.known(sent.from)
                };
                let excused = admit(frame, &known).is_ok();
                if excused {
                    self.opened_by_other(report, sent.from, frame, command, class);
                }
                excused
            }
            Refusal::VersionDiffers { .. }
                if class_of(frame).is_some_and(|class| class.opens_conversation())
                    && sent.ordinal > self.sides.of(sent.from).last_ordinal =>
            {
                self.restart(report, sent, Restart::OtherVersion, None);
                self.sides.of_mut(sent.from).version = None;
                true
            }
            Refusal::VersionDiffers { .. }
            | Refusal::NumberedTo3_1 { .. }
            | Refusal::MustBeWrapped { .. }
            | Refusal::OwnNode { .. }
            | Refusal::OtherNode { .. } => false,
        }
    }

    /// Tells a refusal; a number that counts all the same is taken.
    #[cold]
    pub(super) fn refuse(
        &mut self,
        report: &mut Report<'_>,
        lane: &mut Lane,
        sent: Sent,
        bytes: &[u8],
        frame: &Frame<'_>,
        refusal: Refusal,
    ) -> Verdict {
        let of = self.direction(sent.from);
        if let Refusal::VersionDiffers { detected, marked } = refusal {
            report.tell(of, FactKind::VersionMixed { detected, marked });
        }
        if let Refusal::CannotOpen { command, class } = refusal
            && self.links_begun()
        {
            report.tell(of, FactKind::CannotOpen { command, class });
        }
        if let Refusal::OtherNode {
            claimed: now,
            expected: was,
        } = refusal
            && !self.sides.of(sent.from).node_told
        {
            self.sides.of_mut(sent.from).node_told = true;
            report.tell(of, FactKind::NodeChanged { was, now });
        }
        let (seq, consumed) = match frame {
            Frame::Opts(opts) => (Some(opts.seq), refusal.consumes_number() && is_consumed(opts)),
            Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => (None, false),
        };
        report.tell(
            of,
            FactKind::Refused {
                refusal,
                seq,
                consumed,
            },
        );
        if let (Some(seq), true) = (seq, consumed) {
            self.count(report, lane, sent, seq, digest(bytes));
        }
        Verdict::Refused(refusal)
    }

    /// Notes who speaks, in which version, and that the conversation is open.
    #[inline]
    pub(super) fn attend(
        &mut self,
        report: &mut Report<'_>,
        identities: &mut Identities,
        from: Side,
        frame: &Frame<'_>,
    ) {
        let view = self.sides.of(from);
        if view.node.is_none() {
            self.introduce(report, identities, from, frame);
        }
        if self.sides.of(from).version.is_none() {
            self.detect(report, from, frame.version(), frame);
        }
        if !self.sides.of(from).opened {
            self.establish(report, from);
        }
    }

    #[cold]
    fn introduce(
        &mut self,
        report: &mut Report<'_>,
        identities: &mut Identities,
        from: Side,
        frame: &Frame<'_>,
    ) {
        let (station, node) = (*self.stations.of(from), frame.node());
        let known = identities.node(station);
        self.sides.of_mut(from).node = Some(known.unwrap_or(node));
        let of = self.direction(from);
        match known {
            Some(was) if was != node => report.tell(of, FactKind::NodeChanged { was, now: node }),
            Some(_) => {}
            None => {
                if let Some(other) = identities.claim(station, node) {
                    report.tell(of, FactKind::NodeClaimedTwice { node, other });
                }
            }
        }
    }

    #[cold]
    fn detect(&mut self, report: &mut Report<'_>, from: Side, version: Version, frame: &Frame<'_>) {
        self.sides.of_mut(from).version = Some(version);
        let by = class_of(frame);
        report.tell(self.direction(from), FactKind::VersionDetected { version, by });
    }
}
