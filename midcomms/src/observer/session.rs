//! Where conversations begin and end (spec: midcomms 3, 6).

use dlmwire_codec::{Command, Frame, Inner, MessageClass, Seq};

use crate::admission::class_of;
use crate::digest::digest;
use crate::observer::facts::{Ending, FactKind, Restart};
use crate::observer::leftovers::Finish;
use crate::observer::pair::{Pair, Phase, Sent};
use crate::observer::side::{Report, Side};
use crate::observer::stream::Sight;
use crate::observer::{LinkEnd, Verdict};
use crate::state::State;

impl Pair {
    /// The sender's first message is none that sets its version: kernels that have the node configured take it
    /// all the same. At the beginning of a capture it says only that the capture came late.
    #[cold]
    pub(super) fn opened_by_other(
        &mut self,
        report: &mut Report<'_>,
        from: Side,
        frame: &Frame<'_>,
        command: Command,
        class: Option<MessageClass>,
    ) {
        let first = match frame {
            Frame::Opts(opts) => Some(opts.seq),
            Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => None,
        };
        if (self.session > 1 || first == Some(Seq::INITIAL)) && self.links_begun() {
            report.tell(self.direction(from), FactKind::CannotOpen { command, class });
        } else {
            self.midway = true;
            // A numbered message tells it by itself.
            if first.is_none() {
                report.tell(self.direction(from), FactKind::Midway { first });
            }
        }
    }

    /// Whether every link that is up began in the capture, so that what comes first was sent first.
    pub(super) fn links_begun(&self) -> bool {
        self.live.iter().all(|link| !link.midway)
    }

    /// A frame after both sides were done: the verdict, or `None` if it begins a new conversation.
    #[cold]
    pub(super) fn after_done(
        &mut self,
        report: &mut Report<'_>,
        sent: Sent,
        bytes: &[u8],
        frame: &Frame<'_>,
    ) -> Option<Verdict> {
        let opens = class_of(frame).is_some_and(|class| class.opens_conversation());
        let of = self.direction(sent.from);
        match frame {
            Frame::Msg(_) => None,
            Frame::Rcom(_) => {
                if opens {
                    self.begin(Phase::Open);
                }
                None
            }
            Frame::Ack(ack) => {
                let sender = self.sides.of_mut(sent.from.other());
                let awaited = sender.fin.is_some_and(|fin| fin.next() == ack.seq);
                if !(awaited && core::mem::take(&mut sender.late_fin)) {
                    report.tell(
                        of,
                        FactKind::AfterClosed {
                            command: Command::Ack,
                        },
                    );
                }
                Some(Verdict::Unnumbered)
            }
            Frame::Opts(opts) => {
                let digest = digest(bytes);
                let sight = self.streams.of(sent.from).look(opts.seq, digest);
                if let Sight::Again(_) = sight {
                    let fin = matches!(opts.inner, Ok(Inner::Fin));
                    return Some(self.repeated_after_done(report, sent, opts.seq, digest, sight, fin));
                }
                if opens || opts.seq == Seq::INITIAL {
                    self.begin(Phase::Open);
                    return None;
                }
                report.tell(
                    of,
                    FactKind::AfterClosed {
                        command: Command::Opts,
                    },
                );
                Some(Verdict::Gap)
            }
        }
    }

    /// A message of the finished conversation comes again: its sender is not done after all.
    fn repeated_after_done(
        &mut self,
        report: &mut Report<'_>,
        sent: Sent,
        seq: Seq,
        digest: u64,
        sight: Sight,
        fin: bool,
    ) -> Verdict {
        let of = self.direction(sent.from);
        if fin {
            let view = self.sides.of_mut(sent.from);
            view.late_fin = true;
            let waited = report.at.time.since(view.fin_time);
            report.tell(
                of,
                FactKind::FinRepeated {
                    seq,
                    acked: true,
                    receiver: State::Closed,
                },
            );
            report.tell(
                of,
                FactKind::LastAckLost {
                    fin: seq,
                    ack_seen: true,
                    waited,
                },
            );
        } else {
            report.tell(
                of,
                FactKind::AfterClosed {
                    command: Command::Opts,
                },
            );
        }
        let carrier = self.carrier(sent, true);
        self.streams
            .of_mut(sent.from)
            .take(report, of, carrier, seq, digest, sight)
    }

    /// Whether a number that was used before shows another incarnation of its sender.
    ///
    /// A low number alone does not: a resend may begin at 0. The bytes decide, on a link that is younger than
    /// the number's last use; number 0 with other bytes is where every numbering begins, on whatever link.
    #[inline]
    pub(super) fn restart_evidence(&self, sent: Sent, seq: Seq, sight: Sight) -> Option<Restart> {
        let (view, stream) = (self.sides.of(sent.from), self.streams.of(sent.from));
        let younger = sent.ordinal > view.numbered_ordinal;
        match sight {
            Sight::New | Sight::Again(_) => None,
            Sight::Changed(_) => {
                let beginning = seq == Seq::INITIAL && stream.began_at_0();
                (younger || beginning).then_some(Restart::OtherBytes)
            }
            Sight::Behind => {
                // Behind the first number of a capture that came late lie resends whose ACK was lost.
                let used = !(stream.is_before_first(seq) || stream.is_forgotten(seq))
                    || (seq == Seq::INITIAL && sent.after_opener);
                let acked = stream.acked.is_some_and(|acked| seq.before(acked));
                (younger && used && acked).then_some(Restart::LongAcknowledged)
            }
        }
    }

    /// Whether a number begins the next conversation of a side whose peer was never heard: nothing else than
    /// its own `FIN` can show that the last one ended.
    #[inline]
    pub(super) fn begins_alone(&self, sent: Sent, seq: Seq, sight: Sight) -> bool {
        seq == Seq::INITIAL
            && self.sides.of(sent.from).fin.is_some()
            && !self.heard(sent.from.other())
            && match sight {
                Sight::New | Sight::Changed(_) | Sight::Behind => true,
                Sight::Again(_) => sent.after_opener,
            }
    }

    /// Ends the conversation of which one side was heard, and begins another.
    #[cold]
    pub(super) fn begin_alone(&mut self, report: &mut Report<'_>, from: Side) {
        let version = self.sides.of(from).version;
        self.finish(report, Ending::OneSided);
        self.begin(Phase::Open);
        self.sides.of_mut(from).version = version;
        self.establish(report, from);
    }

    /// Ends the conversation because `sent.from` began to number anew, and begins another.
    #[cold]
    pub(super) fn restart(
        &mut self,
        report: &mut Report<'_>,
        sent: Sent,
        evidence: Restart,
        seq: Option<Seq>,
    ) {
        let from = sent.from;
        let restarted = FactKind::Restarted {
            evidence,
            seq,
            next: self.streams.of(from).sent_next(),
            after_status: sent.after_opener,
        };
        report.tell(self.direction(from), restarted);
        self.finish(report, Ending::Restarted);
        let versions = Side::ALL.map(|side| self.sides.of(side).version);
        self.begin(Phase::Open);
        for (side, version) in Side::ALL.into_iter().zip(versions) {
            self.sides.of_mut(side).version = version;
        }
        if seq.is_some_and(|seq| seq != Seq::INITIAL) {
            self.streams.of_mut(from).restart_somewhere();
        }
        self.establish(report, from);
    }

    /// Begins a conversation with fresh numbers.
    pub(super) fn begin(&mut self, phase: Phase) {
        self.session = self.session.saturating_add(1);
        self.phase = phase;
        self.unsettled = None;
        self.midway = false;
        self.ending = None;
        for side in Side::ALL {
            self.sides.of_mut(side).restart();
            if self.heard(side) {
                self.streams.of_mut(side).restart();
            } else {
                self.streams.of_mut(side).restart_somewhere();
            }
        }
    }

    /// Ends the conversation and tells what never happened in it.
    pub(super) fn finish(&mut self, report: &mut Report<'_>, how: Ending) {
        self.ending = Some(how);
        let [state, other] = Side::ALL.map(|side| self.sides.of(side).state);
        let midway = self.midway || Side::ALL.into_iter().any(|side| self.streams.of(side).midway);
        let ended = FactKind::ConversationEnded {
            how,
            state,
            other,
            midway,
            silent: report.at.time.since(self.last_heard),
        };
        report.tell(self.direction(Side::Low), ended);
        for side in Side::ALL {
            let finish = Finish {
                ending: how,
                ends: self.ends,
                last_end: self.last_end,
                live: &self.live,
                idle: report.at.time.since(self.last_heard),
                receiver_heard: self.heard(side.other()),
                receiver_hole: self.sides.of(side.other()).hole,
            };
            let of = self.direction(side);
            self.streams.of_mut(side).finish(report, of, &finish);
        }
    }

    /// The capture ends.
    pub(super) fn end(&mut self, report: &mut Report<'_>) {
        self.settle(report);
        match self.phase {
            Phase::Silent => {}
            Phase::Done => {
                for side in Side::ALL {
                    let of = self.direction(side);
                    self.streams.of_mut(side).flush_run(report, of);
                }
            }
            Phase::Open => {
                self.finish(report, self.ending_at_end());
                self.tell_last_acks(report);
                self.tell_never_rebuilt(report);
            }
        }
    }

    fn ending_at_end(&self) -> Ending {
        let heard = Side::ALL.map(|side| self.heard(side));
        let fins = Side::ALL.map(|side| self.sides.of(side).fin.is_some());
        let connected = self.live.iter().any(|link| !link.closing);
        match (heard, fins) {
            ([true, true], [false, false]) if connected => Ending::Open,
            ([true, true], [false, false]) if self.numbered => Ending::WithoutFin,
            ([true, true], [false, false]) => Ending::Unnumbered,
            ([true, true], [_, _]) => Ending::Unfinished,
            ([_, _], [_, _]) => Ending::OneSided,
        }
    }

    /// A side whose `FIN` was delivered and never acknowledged, although it has taken the other's. Behind lost
    /// messages a `FIN` is not even looked at.
    fn tell_last_acks(&self, report: &mut Report<'_>) {
        for side in Side::ALL {
            let view = self.sides.of(side);
            let taken = self.sides.of(side.other()).fin_due && !self.streams.of(side).lost;
            if let (State::LastAck, Some(fin), true) = (view.state, view.fin, taken) {
                let lost = FactKind::LastAckLost {
                    fin,
                    ack_seen: false,
                    waited: report.at.time.since(view.fin_time),
                };
                report.tell(self.direction(side), lost);
            }
        }
    }

    fn tell_never_rebuilt(&self, report: &mut Report<'_>) {
        let Some(lost) = self.last_end else { return };
        if self.live.is_empty() && matches!(lost.why, LinkEnd::Reset | LinkEnd::Aborted | LinkEnd::Vanished) {
            let silent = report.at.time.since(lost.at.time);
            report.tell(self.direction(Side::Low), FactKind::NeverRebuilt { lost, silent });
        }
    }
}
