//! What can happen to the connections between two nodes.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Lab, Whose};
use crate::tools::Random;

/// A way to cut, and at which node.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// Both ends are told: the socket is destroyed, and sends a reset.
    Kill(u8, Whose),
    /// The other end is told; our own learns it from its next packet.
    Reset(u8),
    /// The node has no interface for a while: what is sent fails.
    Interface(u8),
    /// Nobody is told anything for a while.
    Cable(u8),
    /// Nobody is told anything for longer.
    Silence,
}

impl Cut {
    fn draw(random: &mut Random) -> Self {
        let node = if random.below(2) == 0 { 1 } else { 2 };
        match random.below(8) {
            0 => Self::Kill(node, Whose::Dialed),
            1 => Self::Kill(node, Whose::Accepted),
            2 | 3 => Self::Kill(node, Whose::All),
            4 | 5 => Self::Reset(node),
            6 if random.below(2) == 0 => Self::Interface(node),
            6 => Self::Cable(node),
            _ => Self::Silence,
        }
    }

    fn make(self, lab: &Lab) {
        const MOMENT: Duration = Duration::from_millis(20);
        const OUTAGE: Duration = Duration::from_millis(300);
        const SILENCE: Duration = Duration::from_millis(500);
        match self {
            Self::Kill(node, whose) => lab.kill_connections(node, whose),
            Self::Reset(node) => {
                lab.reject(node);
                thread::sleep(MOMENT);
                lab.unfilter(node);
            }
            Self::Interface(node) => {
                lab.set_interface(node, false);
                thread::sleep(OUTAGE);
                lab.set_interface(node, true);
            }
            Self::Cable(node) => {
                lab.set_cable(node, false);
                thread::sleep(OUTAGE);
                lab.set_cable(node, true);
            }
            Self::Silence => {
                lab.deafen(1);
                lab.deafen(2);
                thread::sleep(SILENCE);
                lab.unfilter(1);
                lab.unfilter(2);
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Kill(..) => "kill",
            Self::Reset(_) => "reset",
            Self::Interface(_) => "interface",
            Self::Cable(_) => "cable",
            Self::Silence => "silence",
        }
    }
}

/// Cuts between nodes 1 and 2 for so long, every 200 to 1000 ms. Gives how often which way.
pub(crate) fn cut_for(lab: &Lab, time: Duration, random: &mut Random) -> BTreeMap<&'static str, u32> {
    let mut made = BTreeMap::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let cut = Cut::draw(random);
        cut.make(lab);
        *made.entry(cut.name()).or_default() += 1;
        thread::sleep(random.milliseconds(200, 1000));
    }
    made
}
