//! The states of both sides, as far as the wire shows them (spec: midcomms 6).
//!
//! A side shows that it took the other's `FIN` by acknowledging it, or by taking anything that the other sent
//! later on. That a `FIN` was delivered is not enough: two of them cross before either is taken.

use dlmwire_codec::{Frame, Inner, Seq};

use crate::observer::Verdict;
use crate::observer::facts::{Ending, FactKind};
use crate::observer::pair::{Pair, Phase};
use crate::observer::side::{Report, Side};
use crate::observer::stream::Sight;
use crate::state::{Input, Membership, State, step};

impl Pair {
    /// A side takes part in the conversation: it is a member's peer, whatever led to it.
    #[cold]
    pub(super) fn establish(&mut self, report: &mut Report<'_>, side: Side) {
        self.phase = Phase::Open;
        self.sides.of_mut(side).opened = true;
        self.go(report, side, Input::Add, Membership::Member);
    }

    /// What follows from a numbered message once its number is judged.
    #[inline]
    pub(super) fn after_number(
        &mut self,
        report: &mut Report<'_>,
        from: Side,
        seq: Seq,
        inner: &Inner<'_>,
        sight: Sight,
        verdict: Verdict,
    ) {
        match inner {
            Inner::Fin => self.fin_sent(report, from, seq, sight, verdict),
            Inner::Msg(_) | Inner::Rcom(_) => {
                if let (Some(fin), Sight::New) = (self.sides.of(from).fin, sight)
                    && fin.before(seq)
                {
                    report.tell(self.direction(from), FactKind::DataAfterFin { seq, fin });
                }
            }
        }
    }

    #[cold]
    fn fin_sent(&mut self, report: &mut Report<'_>, from: Side, seq: Seq, sight: Sight, verdict: Verdict) {
        let of = self.direction(from);
        let receiver = self.sides.of(from.other()).state;
        let view = self.sides.of_mut(from);
        let (state, acked) = (view.state, view.fin_acked);
        match (sight, view.fin) {
            (Sight::Again(_) | Sight::Changed(_) | Sight::Behind, _) => {
                report.tell(of, FactKind::FinRepeated { seq, acked, receiver });
            }
            (Sight::New, Some(_)) => report.tell(of, FactKind::FinInState { seq, state }),
            (Sight::New, None) => {
                view.fin = Some(seq);
                view.fin_time = report.at.time;
                report.tell(of, FactKind::FinSent { seq });
                self.leave(report, from, state);
            }
        }
        if verdict == Verdict::InOrder {
            self.sides.of_mut(from.other()).fin_due = true;
        }
    }

    /// A side's own `FIN` moves it on, by what must have caused it.
    fn leave(&mut self, report: &mut Report<'_>, side: Side, state: State) {
        match state {
            State::Established => self.go(report, side, Input::Shutdown, Membership::Member),
            State::CloseWait => self.go(report, side, Input::Remove, Membership::NotMember),
            // It took the other's FIN and answered at once.
            State::LastAck => {}
            State::Closed | State::FinWait1 | State::FinWait2 | State::Closing => {
                debug_assert!(
                    false,
                    "a side without a FIN is neither closed nor waiting for its ACK"
                );
            }
        }
    }

    /// `ack` of the other side is believed: it may cover the `FIN` of `sender`.
    #[cold]
    pub(super) fn fin_acked(&mut self, report: &mut Report<'_>, sender: Side, ack: Seq) {
        let view = self.sides.of(sender);
        if !view.fin.is_some_and(|fin| fin.before(ack)) {
            return;
        }
        let (was_acked, due) = (view.fin_acked, view.fin_due);
        self.take_fin(report, sender.other());
        if was_acked {
            return;
        }
        self.sides.of_mut(sender).fin_acked = true;
        if due {
            // The other's FIN went out before this ACK, so that the sender has it.
            self.take_fin(report, sender);
        }
        self.go(report, sender, Input::AckOfFin, Membership::NotMember);
        if Side::ALL
            .into_iter()
            .all(|side| self.sides.of(side).state == State::Closed)
        {
            self.finish(report, Ending::Clean);
            self.phase = Phase::Done;
        }
    }

    /// A side takes the other's `FIN`, once.
    fn take_fin(&mut self, report: &mut Report<'_>, side: Side) {
        let view = self.sides.of_mut(side);
        if core::mem::replace(&mut view.fin_taken, true) {
            return;
        }
        match view.state {
            // Whether the cluster still lists the other shows in what comes next.
            State::Established => self.unsettled = Some(side),
            State::Closed
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::LastAck
            | State::Closing => self.go(report, side, Input::Fin, Membership::NotMember),
        }
    }

    /// Decides how a side took a `FIN` in `ESTABLISHED`, when a frame follows: its own `FIN` is the answer of a
    /// node that no longer lists the other, anything else shows `CLOSE_WAIT`.
    #[inline]
    pub(super) fn settle_before(&mut self, report: &mut Report<'_>, from: Side, frame: &Frame<'_>) {
        if let Some(side) = self.unsettled {
            let answers = side == from && matches!(frame, Frame::Opts(opts) if opts.inner == Ok(Inner::Fin));
            let membership = if answers {
                Membership::NotMember
            } else {
                Membership::Member
            };
            self.unsettled = None;
            self.go(report, side, Input::Fin, membership);
        }
    }

    /// Decides the same when no frame follows.
    #[inline]
    pub(super) fn settle(&mut self, report: &mut Report<'_>) {
        if let Some(side) = self.unsettled.take() {
            self.go(report, side, Input::Fin, Membership::Member);
        }
    }

    /// Moves a side by the table.
    fn go(&mut self, report: &mut Report<'_>, side: Side, input: Input, membership: Membership) {
        let of = self.direction(side);
        let view = self.sides.of_mut(side);
        let (was, now) = (view.state, step(view.state, input, membership).next);
        if now != was {
            view.pass(now);
            report.tell(of, FactKind::StateChanged { was, now });
        }
    }
}
