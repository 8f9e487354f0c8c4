//! What messages say: requests and replies, recovery, names and hashes. Links and numbers are no concern here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroUsize;

use dlmwire_codec::{Frame, Inner, LockspaceId, Msg, MsgType, NodeId, Rcom, RcomType, Tail};
use dlmwire_midcomms::engine::APPLICATION_MSG;

use crate::capture::Stamp;
use crate::check::recovery::{ConfigDiffers, Progress, Recoveries, Recovery};
use crate::check::rules;
use crate::check::sentences::{Sentence, of_damage, seconds};
use crate::exchange::{self, Ask, ExchangeKey, Exchanges, Step};

/// A request without a reply for longer than this is one that somebody waits for in vain; a recovery that
/// takes longer is stuck.
const PATIENCE_NS: u64 = 5_000_000_000;

/// Requests that may be open at once; beyond, the oldest are forgotten.
const OPEN_REQUESTS_MAX: NonZeroUsize = NonZeroUsize::new(262_144).expect("not 0");

/// Replies that may wait for their requests: packets of two directions can be captured in the wrong order.
const EARLY_REPLIES_MAX: usize = 1024;

/// How many packets later a request may still be captured behind its reply.
const REORDER_PACKETS: u64 = 256;

/// Lockspaces kept books on.
const LOCKSPACES_MAX: usize = 4096;

/// Who it is about, where it shows, what it is.
pub(crate) type Told = (Vec<NodeId>, Stamp, Sentence);

/// The books on one lockspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockspace {
    pub(crate) messages: u64,
    pub(crate) recoveries_finished: u64,
    pub(crate) recoveries_unfinished: u64,
    pub(crate) recovery_ns_max: u64,
    last_recovery: Option<Stamp>,
    /// Nodes of ours send messages of their own in it. There is no recovery then: a `STATUS` is only a greeting.
    is_ours: bool,
}

/// Follows what messages say to each other.
#[derive(Debug)]
pub(crate) struct Messages {
    exchanges: Exchanges<Stamp>,
    recoveries: Recoveries,
    lockspaces: BTreeMap<LockspaceId, Lockspace>,
    /// Replies whose requests have not been seen (yet), oldest first.
    early: VecDeque<(ExchangeKey, Stamp)>,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            exchanges: Exchanges::new(OPEN_REQUESTS_MAX),
            recoveries: Recoveries::default(),
            lockspaces: BTreeMap::new(),
            early: VecDeque::new(),
        }
    }
}

impl Messages {
    /// Takes a frame that its receiver took; with sender and receiver as far as they are known. `asked_unseen`
    /// says whether what it answers may have been asked without being seen.
    pub(crate) fn take(
        &mut self,
        at: Stamp,
        frame: &Frame<'_>,
        nodes: [Option<NodeId>; 2],
        asked_unseen: impl FnOnce() -> bool,
    ) -> Vec<Sentence> {
        let mut told = Vec::new();
        if let Err(error) = frame.fields() {
            let number = match frame {
                Frame::Opts(opts) => Some((opts.seq.get(), true)),
                Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => None,
            };
            told.push(of_damage(error, number));
            return told;
        }
        let Some(message) = exchange::message(frame) else {
            return told;
        };
        match &message {
            Inner::Msg(msg) => {
                let lockspace = self.lockspace(msg.lockspace());
                lockspace.messages += 1;
                lockspace.is_ours |= msg.msg_type() == MsgType::Other(APPLICATION_MSG);
                told.extend(look_at_msg(msg));
            }
            Inner::Rcom(rcom) => {
                self.lockspace(rcom.lockspace()).messages += 1;
                told.extend(self.rcom(at, rcom, nodes[1]));
            }
            Inner::Fin => {}
        }
        if let [_, Some(to)] = nodes {
            match self.exchanges.observe(to, &message, at) {
                Step::Asked { key, .. } if !self.early.is_empty() => self.answered_early(&key),
                Step::Unasked { key } if !asked_unseen() => {
                    self.early.push_back((key, at));
                }
                Step::Apart | Step::Asked { .. } | Step::Answered { .. } | Step::Unasked { .. } => {}
            }
        }
        told
    }

    /// A reply whose request should have been seen by now.
    pub(crate) fn poll_overdue(&mut self, now: Stamp) -> Option<Told> {
        let (_, at) = self.early.front()?;
        let overdue = now.packet > at.packet.saturating_add(REORDER_PACKETS);
        if !overdue && self.early.len() <= EARLY_REPLIES_MAX {
            return None;
        }
        self.early.pop_front().map(|(key, at)| unasked(&key, at))
    }

    /// The reply was captured before its request.
    fn answered_early(&mut self, asked: &ExchangeKey) {
        let same = |early: &ExchangeKey| {
            let as_lookup = ExchangeKey {
                ask: Ask::Lookup,
                ..*early
            };
            early == asked || (early.ask == Ask::Request && as_lookup == *asked)
        };
        if let Some(index) = self.early.iter().position(|(early, _)| same(early)) {
            self.early.remove(index);
            self.exchanges.close(asked);
        }
    }

    /// A conversation is over: nothing that was asked in it will be answered.
    pub(crate) fn conversation_over(&mut self, nodes: [Option<NodeId>; 2], at: Stamp) -> Option<Sentence> {
        let [Some(one), Some(other)] = nodes else {
            return None;
        };
        self.recoveries.conversation_over([one, other]);
        let lockspaces = &self.lockspaces;
        let (mut void, mut in_vain) = (0_u64, 0_u64);
        for (asker, answerer) in [(one, other), (other, one)] {
            self.exchanges.forget_between(asker, answerer, |key, asked| {
                void += 1;
                in_vain += u64::from(waits_in_vain(lockspaces, key, asked, at));
            });
        }
        let rule = if in_vain > 0 {
            &rules::MSG_UNANSWERED
        } else {
            &rules::MSG_PENDING
        };
        let text = format!(
            "{void} requests were open when the conversation ended, {in_vain} of them for more than {}",
            seconds(PATIENCE_NS),
        );
        (void > 0).then(|| Sentence::new(rule, text))
    }

    /// The capture ends: what was asked and never answered, and recoveries that did not finish.
    /// `heard`: who was heard by whom, for what was never captured cannot be missed.
    pub(crate) fn end(&mut self, last: Stamp, heard: &BTreeSet<(NodeId, NodeId)>) -> Vec<Told> {
        let mut told = self.unanswered(last, heard);
        told.extend(self.early.drain(..).map(|(key, at)| unasked(&key, at)));
        for recovery in self.recoveries.end() {
            if self.lockspace(recovery.lockspace).is_ours {
                continue;
            }
            self.lockspace(recovery.lockspace).recoveries_unfinished += 1;
            let stuck = recovery.was_answered() && last.time.nanos_since(recovery.first.time) > PATIENCE_NS;
            let rule = if stuck {
                &rules::RCOM_STUCK
            } else {
                &rules::RCOM_UNFINISHED
            };
            told.push((
                vec![recovery.node],
                recovery.last,
                Sentence::new(rule, unfinished(&recovery)),
            ));
        }
        told
    }

    /// The books, by lockspace.
    pub(crate) const fn lockspaces(&self) -> &BTreeMap<LockspaceId, Lockspace> {
        &self.lockspaces
    }

    fn lockspace(&mut self, id: LockspaceId) -> &mut Lockspace {
        // A peer can name any number; beyond the bound all share the last entry.
        let id = if self.lockspaces.len() < LOCKSPACES_MAX || self.lockspaces.contains_key(&id) {
            id
        } else {
            LockspaceId::new(u32::MAX)
        };
        self.lockspaces.entry(id).or_default()
    }

    fn rcom(&mut self, at: Stamp, rcom: &Rcom<'_>, to: Option<NodeId>) -> Option<Sentence> {
        if let RcomType::Other(number) = rcom.rcom_type() {
            return Some(Sentence::new(&rules::MSG_UNKNOWN, format!("rc_type {number}")));
        }
        match self.recoveries.rcom(at, rcom, to) {
            Progress::Nothing => None,
            Progress::Began { instead_of } => {
                let lockspace = self.lockspace(rcom.lockspace());
                lockspace.last_recovery = Some(at);
                let recovery = instead_of?;
                lockspace.recoveries_unfinished += 1;
                Some(Sentence::new(&rules::RCOM_UNFINISHED, unfinished(&recovery)))
            }
            Progress::Finished(recovery) => {
                let lockspace = self.lockspace(recovery.lockspace);
                lockspace.recoveries_finished += 1;
                lockspace.recovery_ns_max = lockspace.recovery_ns_max.max(recovery.duration_ns());
                None
            }
            Progress::NotReady { lockspace } => {
                let text = format!("lockspace {lockspace} is not there (yet)");
                Some(Sentence::new(&rules::RCOM_NOT_READY, text))
            }
            Progress::ConfigDiffers(differs) => Some(config_differs(&differs)),
        }
    }

    /// Open requests by pair: those that are old and that no recovery explains, and the others.
    fn unanswered(&self, last: Stamp, heard: &BTreeSet<(NodeId, NodeId)>) -> Vec<Told> {
        let mut groups: BTreeMap<(NodeId, NodeId, bool), (u64, ExchangeKey, Stamp)> = BTreeMap::new();
        for (key, asked) in self.exchanges.open().filter(|(key, _)| !key.ask.is_recovery()) {
            let audible = heard.contains(&(key.answerer, key.asker));
            let in_vain = audible && waits_in_vain(&self.lockspaces, key, *asked, last);
            let group = (key.asker, key.answerer, in_vain);
            groups.entry(group).or_insert((0, *key, *asked)).0 += 1;
        }
        let told = |((asker, answerer, in_vain), (count, oldest, asked)): (_, (u64, ExchangeKey, Stamp))| {
            let rule = if in_vain {
                &rules::MSG_UNANSWERED
            } else {
                &rules::MSG_PENDING
            };
            let text = format!(
                "{count} requests without a reply, the oldest {} of lock {:#x} for {}",
                oldest.ask.name(),
                oldest.id,
                seconds(last.time.nanos_since(asked.time)),
            );
            (vec![asker, answerer], asked, Sentence::new(rule, text))
        };
        groups.into_iter().map(told).collect()
    }
}

fn look_at_msg(msg: &Msg<'_>) -> Option<Sentence> {
    if let MsgType::Other(number) = msg.msg_type()
        && number != APPLICATION_MSG
    {
        return Some(Sentence::new(&rules::MSG_UNKNOWN, format!("m_type {number}")));
    }
    let Ok(Tail::Name(name)) = msg.tail() else {
        return None;
    };
    let (said, is) = (msg.hash(), name.hash());
    (said != is).then(|| {
        let text = format!(
            "{} of \"{name}\" says hash {said:#010x}, it is {is:#010x}",
            msg.msg_type()
        );
        Sentence::new(&rules::MSG_HASH, text)
    })
}

/// Whether somebody waits for this reply longer than they should, and no recovery explains it.
fn waits_in_vain(
    lockspaces: &BTreeMap<LockspaceId, Lockspace>,
    key: &ExchangeKey,
    asked: Stamp,
    now: Stamp,
) -> bool {
    let recovered = lockspaces.get(&key.lockspace).and_then(|book| book.last_recovery);
    let explained = recovered.is_some_and(|recovery| recovery.time >= asked.time);
    now.time.nanos_since(asked.time) > PATIENCE_NS && !explained
}

fn unasked(key: &ExchangeKey, at: Stamp) -> Told {
    let text = format!(
        "reply to a {} of lock or id {:#x} that was not seen",
        key.ask.name(),
        key.id
    );
    (
        vec![key.answerer, key.asker],
        at,
        Sentence::new(&rules::MSG_UNASKED, text),
    )
}

fn unfinished(recovery: &Recovery) -> String {
    let waits: Vec<String> = recovery
        .waits_for()
        .map(|(node, status)| format!("node {node} ({status})"))
        .collect();
    let waits = if waits.is_empty() {
        "an answer".to_owned()
    } else {
        waits.join(", ")
    };
    format!(
        "recovery of {} at node {} reached {} in {} and {} polls, waited for {waits}",
        recovery.lockspace,
        recovery.node,
        recovery.phase.name(),
        seconds(recovery.duration_ns()),
        recovery.polls,
    )
}

fn config_differs(differs: &ConfigDiffers) -> Sentence {
    let [one, other] = differs.nodes;
    let text = format!(
        "lockspace {}: node {one} has lvblen {} and flags {:#x}, node {other} has {} and {:#x}",
        differs.lockspace, differs.lvblen[0], differs.lsflags[0], differs.lvblen[1], differs.lsflags[1],
    );
    Sentence::new(&rules::RCOM_CONFIG, text)
}
