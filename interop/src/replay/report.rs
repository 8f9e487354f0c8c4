//! What a replay found.

use std::collections::BTreeSet;
use std::fmt;

use dlmwire_codec::{Generation, LockspaceId, NodeId, Version};

use super::script::Partial;
use crate::capture::Stamp;

/// Why our engine and the captured kernel differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// V1: everything unacknowledged is sent again on every new sending link, behind one `ACK`; kernels send again
    /// only after a reported error.
    Resend,
    /// V3: an unacknowledged `FIN` is sent again by a timer.
    FinTimer,
    /// V5: the cluster manager is asked about a peer that does not acknowledge.
    FenceNeeded,
    /// V7: one `ACK` for a run of frames; kernels answer every duplicate, and newer ones acknowledge before they send.
    AckPerRun,
    /// V9: all peers are left at once, kernels leave them one by one.
    LeaveTogether,
    /// The same numbers are acknowledged, at other moments.
    AckTiming,
    /// The kernel threw away, with a link, what had been delivered to it.
    ThrownAway,
    /// None of these: our engine, or this comparison, is wrong.
    Unlisted,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 8] = [
        Self::Resend,
        Self::FinTimer,
        Self::FenceNeeded,
        Self::AckPerRun,
        Self::LeaveTogether,
        Self::AckTiming,
        Self::ThrownAway,
        Self::Unlisted,
    ];

    /// The word in reports: a documented deviation by its number.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resend => "V1",
            Self::FinTimer => "V3",
            Self::FenceNeeded => "V5",
            Self::AckPerRun => "V7",
            Self::LeaveTogether => "V9",
            Self::AckTiming => "ack timing",
            Self::ThrownAway => "thrown away",
            Self::Unlisted => "unlisted",
        }
    }

    /// What it means, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Resend => {
                "everything unacknowledged is sent again on a new link, kernels do so after an error"
            }
            Self::FinTimer => "an unacknowledged FIN is sent again by a timer, kernels have none",
            Self::FenceNeeded => "a peer that does not acknowledge is reported, kernels wait in silence",
            Self::AckPerRun => "one ACK for a run of frames, kernels may send several",
            Self::LeaveTogether => "all peers are left at once, kernels leave them one by one",
            Self::AckTiming => "the same numbers are acknowledged, at other moments",
            Self::ThrownAway => "the kernel threw away with a link what had been delivered to it",
            Self::Unlisted => "no reason is known",
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One difference, in one sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Why.
    pub class: Class,
    /// The peer that it is about.
    pub peer: NodeId,
    /// The packet at which it shows.
    pub at: Stamp,
    /// The sentence.
    pub text: String,
}

/// Differences kept of each class; later ones are counted only.
pub const KEPT_PER_CLASS: u64 = 1000;

/// Counts of differences by class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts([u64; Class::ALL.len()]);

impl Counts {
    /// How many of this class.
    pub const fn of(&self, class: Class) -> u64 {
        self.0[class.index()]
    }

    /// Classes that occur, with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Class, u64)> {
        let all = Class::ALL.into_iter().map(|class| (class, self.of(class)));
        all.filter(|(_, count)| *count > 0)
    }
}

/// What became of one peer's conversations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerReport {
    /// The peer.
    pub peer: NodeId,
    /// The lockspaces that they are about.
    pub lockspaces: BTreeSet<LockspaceId>,
    /// Conversations in the capture.
    pub conversations: u64,
    /// Conversations that could not be replayed, by their number from 1, and why.
    pub partial: Vec<(u64, Partial)>,
    /// Frames of the peer given to our engine.
    pub frames: u64,
    /// Messages that our engine delivered.
    pub delivered: u64,
    /// Numbered messages that it delivered more than once; has to be 0.
    pub delivered_twice: u64,
    /// Numbered messages that it dropped because they had come before.
    pub duplicates: u64,
    /// Numbered messages that it dropped because they came too early.
    pub gaps: u64,
    /// `ACK`s of the captured node.
    pub acks_captured: u64,
    /// `ACK`s of our engine.
    pub acks_ours: u64,
    /// Distinct numbered messages of the captured node.
    pub own: u64,
    /// Of these, those that our engine wrote byte for byte alike.
    pub own_identical: u64,
    /// Messages that the captured node sent on their own.
    pub bare: u64,
    /// Of these, those that our engine wrote byte for byte alike.
    pub bare_identical: u64,
    /// Numbered messages that the captured node sent again.
    pub resent_captured: u64,
    /// Numbered messages that our engine sent again.
    pub resent_ours: u64,
    /// Frames that came after our engine had let go of their link or their conversation.
    pub unread: u64,
    /// Differences by class.
    pub differences: Counts,
}

impl PeerReport {
    pub(crate) fn new(peer: NodeId) -> Self {
        Self {
            peer,
            lockspaces: BTreeSet::new(),
            conversations: 0,
            partial: Vec::new(),
            frames: 0,
            delivered: 0,
            delivered_twice: 0,
            duplicates: 0,
            gaps: 0,
            acks_captured: 0,
            acks_ours: 0,
            own: 0,
            own_identical: 0,
            bare: 0,
            bare_identical: 0,
            resent_captured: 0,
            resent_ours: 0,
            unread: 0,
            differences: Counts::default(),
        }
    }
}

/// What came of taking a node's place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The node.
    pub node: NodeId,
    /// The version that it speaks, and our engine in its place.
    pub version: Version,
    /// The kernels that it sends like, and our engine in its place; `None` if what it sent does not tell, then our
    /// engine sends like the newest.
    pub generation: Option<Generation>,
    /// Its peers, in the order of their ids.
    pub peers: Vec<PeerReport>,
    /// Differences in the order in which they showed; a bounded number of each class.
    pub differences: Vec<Difference>,
    totals: Counts,
}

impl Report {
    pub(crate) fn new(node: NodeId, version: Version, generation: Option<Generation>) -> Self {
        Self {
            node,
            version,
            generation,
            peers: Vec::new(),
            differences: Vec::new(),
            totals: Counts::default(),
        }
    }

    /// Differences of a class, over all peers.
    pub const fn count(&self, class: Class) -> u64 {
        self.totals.of(class)
    }

    /// Whether nothing was found that is not explained.
    pub const fn agrees(&self) -> bool {
        self.count(Class::Unlisted) == 0
    }

    /// Whether all conversations could be replayed.
    pub fn is_complete(&self) -> bool {
        self.peers.iter().all(|peer| peer.partial.is_empty())
    }

    /// Differences that are counted but not kept.
    pub fn left_out(&self) -> u64 {
        let counted: u64 = self.totals.0.iter().sum();
        counted.saturating_sub(u64::try_from(self.differences.len()).unwrap_or(u64::MAX))
    }

    pub(crate) fn peer(&mut self, node: NodeId) -> &mut PeerReport {
        let place = match self.peers.binary_search_by_key(&node, |peer| peer.peer) {
            Ok(place) => place,
            Err(place) => {
                self.peers.insert(place, PeerReport::new(node));
                place
            }
        };
        &mut self.peers[place]
    }

    pub(crate) fn differs(&mut self, class: Class, peer: NodeId, at: Stamp, text: String) {
        self.peer(peer).differences.0[class.index()] += 1;
        self.totals.0[class.index()] += 1;
        if self.count(class) <= KEPT_PER_CLASS {
            self.differences.push(Difference {
                class,
                peer,
                at,
                text,
            });
        }
    }
}
