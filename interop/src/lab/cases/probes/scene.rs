//! One fresh pair for one probe: the kernel and our scripted node in a lockspace, and the questions that can be asked.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, MsgType, NodeId, Version};

use super::frames::Pen;
use super::seen::{Pace, Seen};
use super::speaker::{Habits, Heard, LineId, Opened, Speaker, What};
use crate::lab::guest::bench::{Bench, KERNEL_NODE, PEER_NODE};
use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::lockspace::{Leaving, Lockspace, Space};
use crate::lab::guest::manager::{Comm, Manager};

/// For what is going to happen.
pub(super) const SOON: Duration = Duration::from_secs(5);
/// For what is not going to happen.
pub(super) const WHILE: Duration = Duration::from_millis(1500);
/// For what may still be under way.
pub(super) const MOMENT: Duration = Duration::from_millis(200);
/// How long a join may take.
const JOIN: Duration = Duration::from_secs(20);
/// How long a release is watched.
const RELEASE: Duration = Duration::from_secs(9);
/// A release that waits for nothing ends before this.
const PROMPT: Duration = Duration::from_secs(3);
/// How long the kernel may take to forget a peer and leave alone.
const FORGET: Duration = Duration::from_secs(30);

const LOCKSPACE: &str = "probe";
const LOCKSPACE_ID: u32 = 0x7072;
/// The kernel is directory of every name.
const BOTH: [(u32, u32); 2] = [(KERNEL_NODE, 1), (PEER_NODE, 0)];
const ALONE: [(u32, u32); 1] = [(KERNEL_NODE, 1)];
/// In `recover_status`: done, here and everywhere.
const DONE: u32 = 0xc0;

/// A pair, and what was seen of it.
pub(super) struct Scene<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) speaker: Speaker,
    manager: &'a Manager,
    lockspace: Option<Lockspace>,
    leaving: Option<Leaving>,
    /// The number that the kernel expected when the probe began.
    base: u32,
    /// Where the kernel's log stood when the probe began.
    log: usize,
    last_id: u32,
}

impl<'a> Scene<'a> {
    /// Joins, in this version.
    pub(super) fn open(bench: &'a mut Bench, manager: &'a Manager, version: Version) -> Result<Self> {
        let node = NodeId::new(PEER_NODE).ok_or_else(|| LabError::unexpected("node 0"))?;
        let pen = Pen {
            version,
            node,
            lockspace: LockspaceId::new(LOCKSPACE_ID),
        };
        let kernel = SocketAddr::new(bench.kernel_address()?, bench.plan.network.port);
        let wraps = version == Version::V3_2;
        let mut speaker = Speaker::start(&bench.peer, bench.peer_address()?, kernel, pen, wraps)?;
        let joining = manager.begin_join(&Space::new(LOCKSPACE, LOCKSPACE_ID).members(&BOTH))?;
        let joined = speaker.listen_until(JOIN, |_| {
            Ok(joining.is_finished() && is_done(joining.lockspace())?)
        })?;
        if !joined {
            return Err(LabError::unexpected(
                "the kernel does not finish its recovery with the scripted node",
            ));
        }
        let lockspace = joining.finish(SOON)?;
        let log = bench.kmsg.mark();
        Ok(Self {
            bench,
            speaker,
            manager,
            lockspace: Some(lockspace),
            leaving: None,
            base: 0,
            log,
            last_id: 0,
        })
    }

    /// Shows that the pair works before anything is done to it; from here on the log is looked at.
    pub(super) fn warm_up(&mut self) -> Result<()> {
        if self.works()? != Seen::Works {
            return Err(LabError::unexpected("the pair does not work before the probe"));
        }
        self.settle()?;
        self.base = self.speaker.send_next;
        self.log = self.bench.kmsg.mark();
        Ok(())
    }

    /// Takes the pair apart, in whatever state it is: forgotten by the kernel, then known again for the next probe.
    pub(super) fn close(mut self) -> Result<()> {
        if self.manager.has_comm(PEER_NODE) {
            self.manager.remove_comm(PEER_NODE)?;
        }
        // A kernel that leaves waits for the end of every connection.
        self.speaker.close_all()?;
        if let Some(leaving) = self.leaving.take() {
            leaving.finish(FORGET)?;
        }
        if let Some(lockspace) = self.lockspace.take() {
            lockspace.set_members(&ALONE)?;
            lockspace.wait_recovered(FORGET)?;
            lockspace.leave(FORGET)?;
        }
        self.manager
            .add_comm(&Comm::remote(PEER_NODE, self.bench.peer_addresses()))
    }

    // What is said.

    /// A lock id of ours that was not used before.
    pub(super) fn new_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// A `LOOKUP` for a name that was not used before, not wrapped, and the id that its answer will have.
    pub(super) fn lookup(&mut self) -> Result<(u32, Vec<u8>)> {
        let id = self.new_id();
        Ok((id, self.speaker.pen.lookup(id, &format!("name{id}"))?))
    }

    /// Asks for a name in order; the id that the answer will have.
    pub(super) fn ask(&mut self) -> Result<u32> {
        let (id, lookup) = self.lookup()?;
        let frame = self.speaker.in_order(&lookup);
        self.speaker.say(&frame)?;
        Ok(id)
    }

    /// Lets the kernel send so many messages that nobody acknowledges.
    pub(super) fn fill(&mut self, count: usize) -> Result<()> {
        self.speaker.habits.acks = false;
        for _ in 0..count {
            let id = self.ask()?;
            if self.answer(id, SOON)? == Seen::Unanswered {
                return Err(LabError::unexpected(
                    "no answer while the kernel's queue is filled",
                ));
            }
        }
        Ok(())
    }

    // What is seen.

    pub(super) fn mark(&self) -> usize {
        self.speaker.heard.len()
    }

    /// What came since `mark`.
    pub(super) fn since(&self, mark: usize) -> &[Heard] {
        self.speaker.heard.get(mark..).unwrap_or_default()
    }

    /// Whether the kernel answers this id within `limit`.
    pub(super) fn answer(&mut self, id: u32, limit: Duration) -> Result<Seen> {
        self.speaker
            .listen_until(limit, |speaker| Ok(reply(&speaker.heard, id).is_some()))?;
        Ok(self.answered(id))
    }

    /// Whether the kernel has answered this id by now.
    pub(super) fn answered(&self, id: u32) -> Seen {
        reply(&self.speaker.heard, id).map_or(Seen::Unanswered, |_| Seen::Answered)
    }

    /// The answer to this id.
    pub(super) fn lookup_reply(&mut self, id: u32) -> Result<Seen> {
        self.answer(id, SOON)?;
        Ok(match reply(&self.speaker.heard, id).map(|heard| &heard.what) {
            Some(What::Msg { node, result, .. }) => Seen::LookupReply {
                node: *node,
                result: *result,
            },
            _ => Seen::Unanswered,
        })
    }

    /// The connection on which the kernel answered this id.
    pub(super) fn answered_on(&self, id: u32) -> Option<LineId> {
        reply(&self.speaker.heard, id).map(|heard| heard.line)
    }

    /// Whether the kernel answers a `STATUS` with this id by now.
    pub(super) fn status_answered(&self, id: u64) -> Seen {
        let heard = self.speaker.heard.iter();
        let is_reply = |what: &What| matches!(what, What::StatusReply { id: other, .. } if *other == id);
        let answered = heard.map(|heard| &heard.what).any(is_reply);
        if answered {
            Seen::Answered
        } else {
            Seen::Unanswered
        }
    }

    /// Whether a message in order is answered.
    pub(super) fn works(&mut self) -> Result<Seen> {
        let Ok(id) = self.ask() else {
            return Ok(Seen::Dead);
        };
        Ok(match self.answer(id, SOON)? {
            Seen::Answered => Seen::Works,
            _ => Seen::Dead,
        })
    }

    /// The number that the kernel expects: our first message, sent again, is acknowledged at once.
    pub(super) fn expects(&mut self) -> Result<u32> {
        let mark = self.mark();
        let Some(first) = self.speaker.first.clone() else {
            return Err(LabError::unexpected("nothing was sent that could be sent again"));
        };
        self.speaker.say(&first)?;
        self.speaker.listen_until(SOON, |speaker| {
            Ok(!acks(speaker.heard.get(mark..).unwrap_or_default()).is_empty())
        })?;
        acks(self.since(mark))
            .last()
            .copied()
            .ok_or_else(|| LabError::unexpected("the kernel does not acknowledge a number from before"))
    }

    /// Waits until everything that was sent is handled, and everything that comes of it is here.
    pub(super) fn settle(&mut self) -> Result<()> {
        if self.speaker.wraps {
            self.expects()?;
        } else if self.works()? == Seen::Dead {
            return Err(LabError::unexpected("the kernel does not answer any more"));
        }
        self.speaker.listen_for(MOMENT)
    }

    /// What became of the one number that was used since the probe began; we go on from there.
    pub(super) fn number(&mut self) -> Result<Seen> {
        let expected = self.expects()?;
        self.speaker.send_next = expected;
        match expected.wrapping_sub(self.base) {
            0 => Ok(Seen::NotConsumed),
            1 => Ok(Seen::Consumed),
            count => Err(LabError::unexpected(format!(
                "{count} numbers consumed, sent was one"
            ))),
        }
    }

    /// The acknowledgements since `mark` of the number that the kernel expected when the probe began.
    pub(super) fn acks_since(&self, mark: usize) -> Seen {
        Seen::Acks(
            acks(self.since(mark))
                .iter()
                .filter(|number| **number == self.base)
                .count(),
        )
    }

    /// Whether the kernel has said goodbye since `mark`, and with which number.
    pub(super) fn fin_since(&self, mark: usize) -> Seen {
        let fin = self.since(mark).iter().find(|heard| heard.what == What::Fin);
        fin.and_then(|heard| heard.number).map_or(Seen::NoFin, Seen::Fin)
    }

    /// Whether the kernel's log has more than dropped messages and connections since the probe began.
    pub(super) fn told(&mut self) -> Result<Seen> {
        self.speaker.listen_for(MOMENT)?;
        let lines = self.bench.kmsg.from(self.log);
        let known = [
            "seq mismatch",
            "connect",
            "socket error",
            "invalid lockspace",
            "retransmit",
            "callbacks suppressed",
        ];
        let other = lines
            .into_iter()
            .find(|line| line.text.contains("dlm") && !known.iter().any(|known| line.text.contains(known)));
        Ok(other.map_or(Seen::NobodyTold, |line| Seen::Logged(Cow::Owned(line.text))))
    }

    /// Which of these texts the kernel's log has since the probe began.
    pub(super) fn log_has(&mut self, texts: &[&'static str]) -> Result<Seen> {
        self.speaker.listen_for(MOMENT)?;
        let lines = self.bench.kmsg.from(self.log);
        let found = texts
            .iter()
            .find(|text| lines.iter().any(|line| line.text.contains(**text)));
        Ok(found.map_or(Seen::Silent, |text| Seen::logged(text)))
    }

    /// The first line of the kernel's DLM since the probe began.
    pub(super) fn log_first(&mut self) -> Result<Seen> {
        self.speaker.listen_for(MOMENT)?;
        let lines = self.bench.kmsg.from(self.log);
        let first = lines.into_iter().find(|line| line.text.contains("dlm"));
        Ok(first.map_or(Seen::Silent, |line| Seen::Logged(Cow::Owned(line.text))))
    }

    /// Forgets what the log said until now.
    pub(super) fn log_from_here(&mut self) {
        self.log = self.bench.kmsg.mark();
    }

    /// How many messages wait, where the kernel shows it.
    pub(super) fn queue(&mut self) -> Result<Option<Seen>> {
        self.speaker.listen_for(MOMENT)?;
        self.debugfs(|debugfs| debugfs.queued(PEER_NODE).map(Seen::Queue))
    }

    /// The state of our node, where the kernel shows it.
    pub(super) fn state(&mut self) -> Result<Option<Seen>> {
        self.debugfs(|debugfs| {
            debugfs
                .state(PEER_NODE)
                .map(|state| Seen::State(Cow::Owned(state)))
        })
    }

    /// The version of our node, where the kernel shows it.
    pub(super) fn version(&mut self) -> Result<Option<Seen>> {
        self.debugfs(|debugfs| debugfs.version(PEER_NODE).map(Seen::Version))
    }

    /// Resets every connection: how many messages come again on the next one, on which we then speak.
    pub(super) fn resent(&mut self) -> Result<Seen> {
        let (mark, lines) = (self.mark(), self.speaker.lines());
        self.speaker.reset_all()?;
        self.reconnected(lines)?;
        self.speaker.listen_for(WHILE)?;
        let numbers: BTreeSet<u32> = self.since(mark).iter().filter_map(|heard| heard.number).collect();
        Ok(Seen::Resent(numbers.len()))
    }

    /// Waits until the kernel has opened one more connection than `lines` and speaks on it; where it opens none, we
    /// open one. Whether it was the kernel.
    pub(super) fn reconnected(&mut self, lines: usize) -> Result<bool> {
        let connected = self.speaker.listen_until(WHILE, |speaker| {
            Ok(speaker.lines() > lines && speaker.newest(Opened::ByKernel).is_some())
        })?;
        match self.speaker.newest(Opened::ByKernel) {
            Some(line) if connected => self.speaker.voice = line,
            _ => self.speaker.voice = self.speaker.dial()?,
        }
        Ok(connected)
    }

    // What the manager does.

    /// Our node leaves, as a good neighbour: `FIN`, the kernel's members change, the kernel's `FIN`. The number of
    /// our `FIN` comes back.
    pub(super) fn part(&mut self) -> Result<u32> {
        self.speaker.habits = Habits {
            answers_fin: false,
            ..self.speaker.habits
        };
        let number = self.speaker.send_next;
        let fin = self.speaker.pen.fin();
        let frame = self.speaker.in_order(&fin);
        let mark = self.mark();
        self.speaker.say(&frame)?;
        let acked = self.speaker.listen_until(SOON, |speaker| {
            Ok(acks(speaker.heard.get(mark..).unwrap_or_default()).contains(&number.wrapping_add(1)))
        })?;
        self.lockspace()?.set_members(&ALONE)?;
        let answered = self.speaker.listen_until(SOON, |speaker| {
            Ok(speaker
                .heard
                .iter()
                .skip(mark)
                .any(|heard| heard.what == What::Fin))
        })?;
        if !(acked && answered) {
            return Err(LabError::unexpected("the kernel does not say goodbye"));
        }
        self.lockspace()?.wait_recovered(SOON)?;
        self.speaker.listen_for(MOMENT)?;
        Ok(number)
    }

    /// Our node begins again, with numbers from 0 on the connections that are there.
    pub(super) fn rejoin(&mut self) -> Result<Seen> {
        self.speaker.begin_again();
        self.speaker.habits = Habits::GOOD;
        self.lockspace()?.set_members(&BOTH)?;
        self.recovered()?;
        Ok(match self.works()? {
            Seen::Works => Seen::Rejoins,
            _ => Seen::RejoinsDead,
        })
    }

    /// Removes our node's comm and membership, and begins again with both.
    pub(super) fn heal(&mut self) -> Result<Seen> {
        self.manager.remove_comm(PEER_NODE)?;
        self.lockspace()?.set_members(&ALONE)?;
        self.lockspace()?.wait_recovered(SOON)?;
        self.manager
            .add_comm(&Comm::remote(PEER_NODE, self.bench.peer_addresses()))?;
        self.speaker.reset_all()?;
        Ok(match self.rejoin()? {
            Seen::Rejoins => Seen::HealedByComm,
            _ => Seen::Dead,
        })
    }

    /// Begins the kernel's leave.
    pub(super) fn begin_leave(&mut self) -> Result<()> {
        let lockspace = self
            .lockspace
            .take()
            .ok_or_else(|| LabError::unexpected("the kernel has left before"))?;
        self.leaving = Some(lockspace.begin_leave()?);
        Ok(())
    }

    /// How long the kernel's leave takes from now on.
    pub(super) fn leaves(&mut self) -> Result<Seen> {
        let begun = Instant::now();
        let Self { speaker, leaving, .. } = self;
        let ended =
            speaker.listen_until(RELEASE, |_| Ok(leaving.as_ref().is_none_or(Leaving::is_finished)))?;
        Ok(Seen::Leaves(match begun.elapsed() {
            _ if !ended => Pace::Stuck,
            elapsed if elapsed < PROMPT => Pace::Prompt,
            _ => Pace::Waits,
        }))
    }

    /// The kernel's warnings since the log was last marked, and the lines that say so.
    pub(super) fn warnings(&self) -> Vec<(Seen, String)> {
        let lines = self.bench.kmsg.from(self.log);
        let warnings = lines
            .into_iter()
            .map(|line| line.text)
            .filter(|text| text.contains("WARNING:"));
        warnings
            .map(|text| (Seen::Warned(Cow::Owned(function(&text).to_owned())), text))
            .collect()
    }

    fn lockspace(&self) -> Result<&Lockspace> {
        self.lockspace
            .as_ref()
            .ok_or_else(|| LabError::unexpected("the kernel has left"))
    }

    fn recovered(&mut self) -> Result<()> {
        let lockspace = self.lockspace()?.clone();
        if self.speaker.listen_until(JOIN, |_| is_done(&lockspace))? {
            return Ok(());
        }
        Err(LabError::unexpected("the kernel does not finish its recovery"))
    }

    fn debugfs(
        &self,
        look: impl FnOnce(&crate::lab::guest::debugfs::DebugFs) -> Result<Seen>,
    ) -> Result<Option<Seen>> {
        match look(&self.bench.debugfs) {
            Ok(seen) => Ok(Some(seen)),
            Err(LabError::Unsupported(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn is_done(lockspace: &Lockspace) -> Result<bool> {
    Ok(lockspace.recover_status()? & DONE == DONE)
}

fn reply(heard: &[Heard], id: u32) -> Option<&Heard> {
    heard.iter().find(
        |heard| matches!(heard.what, What::Msg { msg_type: MsgType::LookupReply, lkid, .. } if lkid == id),
    )
}

fn acks(heard: &[Heard]) -> Vec<u32> {
    let number = |heard: &Heard| match heard.what {
        What::Ack(number) => Some(number),
        _ => None,
    };
    heard.iter().filter_map(number).collect()
}

/// The function that a warning names: the word before `+0x`.
fn function(line: &str) -> &str {
    let place = line.split_whitespace().find_map(|word| word.split_once("+0x"));
    place.map_or(line, |(function, _)| function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warning_names_its_function() {
        let line =
            "WARNING: CPU: 0 PID: 44 at fs/dlm/midcomms.c:1205 dlm_midcomms_get_mhandle+0x1f0/0x200 [dlm]";
        assert_eq!(function(line), "dlm_midcomms_get_mhandle");
        assert_eq!(function("WARNING: something"), "WARNING: something");
    }
}
