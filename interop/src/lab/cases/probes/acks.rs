//! Acknowledgements of numbers that nobody sent, and of numbers long gone.

use super::expected::Expected::{self, Same};
use super::scene::Scene;
use super::seen::Seen;
use super::{Probe, With};
use crate::lab::guest::error::Result;

/// Messages of the kernel's that wait when the acknowledgement comes.
const WAITING: usize = 5;
/// An acknowledgement this far off is of another conversation.
const FAR: u32 = 1000;
const HALF: u32 = 1 << 31;

const IGNORED: Expected = Same(&[Seen::Queue(5), Seen::Silent, Seen::Resent(5), Seen::Works]);

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "ack-beyond",
        sent: "ACK of 1000 numbers more than were sent, 5 messages waiting; then RST",
        with: With::Numbers,
        expected: Same(&[Seen::Queue(0), Seen::Silent, Seen::Resent(0), Seen::Works]),
        run: |scene| off_by(scene, FAR),
    },
    Probe {
        name: "ack-behind",
        sent: "ACK of a number 1000 behind, 5 messages waiting; then RST",
        with: With::Numbers,
        expected: IGNORED,
        run: |scene| off_by(scene, 0_u32.wrapping_sub(FAR)),
    },
    Probe {
        name: "ack-half-around",
        sent: "ACK of a number more than 2^31 ahead, 5 messages waiting; then RST",
        with: With::Numbers,
        expected: IGNORED,
        run: |scene| off_by(scene, HALF + FAR),
    },
];

fn off_by(scene: &mut Scene<'_>, distance: u32) -> Result<Vec<Seen>> {
    scene.fill(WAITING)?;
    scene.settle()?;
    scene.log_from_here();
    let sent = scene.speaker.recv_next;
    let ack = scene.speaker.pen.ack(sent.wrapping_add(distance))?;
    scene.speaker.say(&ack)?;
    let mut seen: Vec<_> = scene.queue()?.into_iter().collect();
    seen.push(scene.log_first()?);
    seen.push(scene.resent()?);
    seen.push(scene.works()?);
    Ok(seen)
}
