//! The classes of faults, and the books that prove that each of them really happened.

use std::fmt;

/// Declares the classes with their names and what counts as their effect.
macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $name:literal,)*) => {
        /// A class of faults.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub(crate) enum Fault {
            $($(#[$doc])* $class,)*
        }

        impl Fault {
            /// All classes.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$class),*];

            /// A short name for the table.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$class => $name,)*
                }
            }
        }
    };
}

classes! {
    /// A connection breaks; what was under way is cut at any byte. Effect: bytes were lost.
    Cut "cut at any byte",
    /// One end notices a reset, the other goes on for a while. Effect: frames came after the reset.
    CutOneWay "one end cut",
    /// Bytes vanish without a sign, the reset comes later. Effect: bytes vanished.
    HalfOpen "half-open",
    /// One end closes in order without being told to. Effect: the other saw the end.
    CleanEof "clean EOF",
    /// Dials are refused. Effect: one was.
    RefusedDial "refused dial",
    /// A reader takes few bytes at a time. Effect: it left some for later.
    SlowReader "slow reader",
    /// Nothing can be written. Effect: something should have been.
    ZeroWindow "zero window",
    /// Writes take one byte each. Effect: one was taken.
    OneByteWrites "1-byte writes",
    /// Writes take a few bytes. Effect: a frame was cut between two writes.
    ShortWrites "short writes",
    /// Arrivals wait and come in one read. Effect: several did.
    CoalescedReads "coalesced reads",
    /// A direction is slow. Effect: something was delayed.
    Delay "delay",
    /// Nothing gets through between two nodes, dials time out. Effect: bytes or a dial were lost.
    Partition "partition",
    /// Both nodes dial at the same moment. Effect: both came up.
    CrossingDials "crossing dials",
    /// A broken link's bytes arrive when a newer link is up. Effect: they did.
    StaleLink "late stale link",
    /// A connection is seen late by the node that accepts it. Effect: it was.
    LateAccept "late accept",
    /// A node restarts, and the others are told before it begins anew.
    RestartTold "restart, told",
    /// A node restarts and nobody is told.
    RestartUntold "restart, untold",
    /// A node restarts and the others are told when it is back for a while.
    RestartToldLate "restart, told late",
    /// A node's clock leaps forward.
    ClockJump "clock jump",
    /// A node's clock stands still.
    ClockStall "clock stall",
    /// The deadline is reported though it has not come.
    EarlyTimeout "early timeout call",
    /// Earlier frames of a connection come again on it. Effect: they were sent.
    Replay "old bytes again",
    /// Bits of a frame flip. Effect: they did.
    Corrupt "corrupted field",
    /// A member is removed and added again at once.
    Flap "membership flap",
    /// Two nodes are fenced from each other while they say hello.
    FenceInHandshake "fence in handshake",
    /// Two nodes are fenced from each other while they talk.
    FenceBusy "fence while talking",
    /// One node opens many connections to another. Effect: more than two came up.
    Storm "connection storm",
    /// A node leaves and joins again while faults go on. Effect: it had left.
    Leave "leave and rejoin",
    /// A node joins and leaves before the others were told that it joined.
    LeaveUnmet "leave before met",
    /// Two nodes leave at the same moment. Effect: both left.
    LeaveTogether "two leave at once",
    /// A node that left is added again before the others have finished.
    HastyRejoin "hasty rejoin",
    /// A node stops in the middle of a termination.
    StopMidFin "stop mid-FIN",
    /// A node speaks 3.1. Effect: it was detected.
    Peer31 "3.1 peer",
    /// A send queue is so small that it fills up. Effect: a send was refused.
    QueueFull "queue full",
}

/// How often each class had its effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tally([u64; Fault::ALL.len()]);

impl Tally {
    /// Nothing counted.
    pub(crate) const fn new() -> Self {
        Self([0; Fault::ALL.len()])
    }

    /// Counts one effect.
    pub(crate) const fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often a class had its effect.
    pub(crate) const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds another run's.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            writeln!(f, "  {:<22}{:>12}", fault.name(), self.of(*fault))?;
        }
        Ok(())
    }
}
