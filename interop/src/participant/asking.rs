//! Recovery's questions, one outstanding at a time, and their answers (spec: peer 3, 4).

use std::time::Duration;

use dlmwire_codec::{
    BlockEnd, NOT_READY, NameBlock, NodeId, Payload, Rcom, RcomConfig, RcomFields, Slots, StatusFlags,
};

use super::lockspace::{Lockspace, after};
use super::members::Report;
use super::name::Name;
use super::recovery::{Ask, POLL_PAUSE, Phase, Step};

/// The longest pause between polls.
const POLL_PAUSE_MAX: Duration = Duration::from_secs(1);

impl Lockspace {
    pub(super) fn ask_status(&mut self, node: NodeId, flags: StatusFlags) {
        if self.recovery.ask.is_none() && self.recovery.poll_at.is_none() {
            self.ask(node, Payload::Status { flags });
        }
    }

    pub(super) fn ask_names(&mut self, node: NodeId) {
        if self.recovery.ask.is_some() {
            return;
        }
        let resume = match &self.recovery.step {
            Step::Names(_, resume) => resume.clone(),
            _ => None,
        };
        let resume = resume.as_ref().map(Name::wire);
        self.ask(node, Payload::Names { resume });
    }

    fn ask(&mut self, node: NodeId, payload: Payload<'_>) {
        let id = self.recovery.next_id();
        self.recovery.ask = Some(Ask {
            id,
            node,
            repeat_at: after(self.now, self.config.recover_timer),
        });
        self.post_rcom(node, self.question(id, payload));
    }

    pub(super) const fn question<'a>(&self, id: u64, payload: Payload<'a>) -> RcomFields<'a> {
        RcomFields {
            lockspace: self.config.lockspace,
            result: 0,
            id,
            seq: self.recovery.seq,
            seq_reply: 0,
            payload,
        }
    }

    /// The answer to our outstanding question, or something else.
    fn is_answer(&self, rcom: &Rcom<'_>) -> bool {
        let asked = self.recovery.ask;
        asked.is_some_and(|ask| ask.id == rcom.id() && ask.node == rcom.node()) && self.is_of_now(rcom)
    }

    /// Whether a reply belongs to this recovery.
    pub(super) const fn is_of_now(&self, rcom: &Rcom<'_>) -> bool {
        rcom.seq_reply() == self.recovery.seq && !self.recovery.is_stopped()
    }

    /// What was asked of the node may be lost with its connection.
    pub(super) fn ask_again(&mut self, node: NodeId) {
        if self.recovery.ask.is_some_and(|ask| ask.node == node) {
            self.recovery.ask = None;
            self.advance();
        }
    }

    pub(super) fn run_recovery_timer(&mut self) {
        if self.recovery.due().is_some_and(|at| at <= self.now) {
            self.recovery.ask = None;
            self.recovery.poll_at = None;
            self.advance();
        }
    }

    // Answers.

    /// `STATUS_REPLY`: how far somebody is.
    pub(super) fn take_status(&mut self, rcom: &Rcom<'_>, config: RcomConfig, slots: Slots<'_>) {
        if !self.is_answer(rcom) {
            return;
        }
        self.recovery.ask = None;
        let node = rcom.node();
        let ready = rcom.result() != NOT_READY && self.fits(node, config);
        let status = if ready { rcom.result().cast_unsigned() } else { 0 };
        let low = self.members.are_low();
        match &mut self.recovery.step {
            Step::Ping(nodes) => {
                nodes.pop_front();
            }
            Step::Barrier(phase, nodes) => {
                let phase = *phase;
                let wanted = if low { phase.own() } else { phase.all() };
                if status & wanted == 0 {
                    self.recovery.poll_at = Some(after(self.now, self.recovery.pause));
                    self.recovery.pause = (self.recovery.pause + POLL_PAUSE).min(POLL_PAUSE_MAX);
                    return;
                }
                nodes.pop_front();
                if phase == Phase::Nodes && low {
                    let report = Report {
                        slot: config.our_slot,
                        generation: config.generation,
                    };
                    self.members.report(node, report);
                } else if phase == Phase::Nodes && !slots.is_empty() {
                    self.members.take(slots.iter(), config.generation);
                }
            }
            Step::Stopped | Step::Names(..) | Step::Masters | Step::Locks | Step::Running => {}
        }
        self.advance();
    }

    /// Whether a member's configuration is ours; told once a recovery if not, and then waited for.
    fn fits(&mut self, node: NodeId, config: RcomConfig) -> bool {
        let fits = config.lvblen == u32::from(self.config.lvblen) && config.lsflags == self.config.lsflags;
        if !fits && !std::mem::replace(&mut self.recovery.complained, true) {
            let (lvblen, lsflags) = (config.lvblen, config.lsflags);
            self.trouble(
                node,
                format_args!("lvblen {lvblen} and lsflags {lsflags:#x} are not ours"),
            );
        }
        fits
    }

    /// `NAMES_REPLY`: what somebody masters, and we are the directory node of.
    pub(super) fn take_names(&mut self, rcom: &Rcom<'_>, block: NameBlock<'_>) {
        if !self.is_answer(rcom) {
            return;
        }
        self.recovery.ask = None;
        let node = rcom.node();
        let mut last = None;
        for name in block.iter().map(Name::from) {
            self.record(&name, node);
            last = Some(name);
        }
        if let Step::Names(nodes, resume) = &mut self.recovery.step {
            match (block.end(), last) {
                (BlockEnd::More, Some(last)) if resume.as_ref() != Some(&last) => {
                    *resume = Some(last);
                }
                // An empty block that promises more would be asked for for ever.
                (BlockEnd::More | BlockEnd::Last, _) => {
                    nodes.pop_front();
                    *resume = None;
                }
            }
        }
        self.advance();
    }
}
