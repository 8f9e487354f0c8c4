//! Versions that nobody speaks, and versions that change in a conversation.

use super::expected::Expected::{Old, Same};
use super::frames::{AT_VERSION, put32};
use super::scene::{Scene, WHILE};
use super::seen::Seen;
use super::{Probe, With};
use crate::lab::guest::error::Result;

const INVALID: &str = "received invalid version header";
const MISMATCH: &str = "version mismatch detected";
/// `rc_id` of our own STATUS.
const ID: u64 = 0x5eed;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "version-3.3",
        sent: "bare STATUS with version 3.3",
        with: With::All,
        expected: Same(&[Seen::Unanswered, Seen::logged(INVALID), Seen::Works]),
        run: |scene| status_in(scene, 0x0003_0003, INVALID),
    },
    Probe {
        name: "version-4.2",
        sent: "bare STATUS with version 4.2",
        with: With::All,
        expected: Same(&[Seen::Unanswered, Seen::logged(INVALID), Seen::Works]),
        run: |scene| status_in(scene, 0x0004_0002, INVALID),
    },
    Probe {
        name: "version-3.1-after-3.2",
        sent: "bare STATUS with version 3.1, after 3.2 was detected",
        with: With::Numbers,
        expected: Same(&[Seen::Unanswered, Seen::logged(MISMATCH), Seen::Works]),
        run: |scene| status_in(scene, 0x0003_0001, MISMATCH),
    },
    Probe {
        name: "3.2-facing-3.1",
        sent: "a 3.2 node joins a kernel that speaks 3.1, then a LOOKUP in OPTS",
        with: With::Mismatch,
        expected: Old(&[Seen::Joins, Seen::Unanswered]),
        run: facing_old,
    },
];

fn status_in(scene: &mut Scene<'_>, version: u32, text: &'static str) -> Result<Vec<Seen>> {
    let mut status = scene.speaker.pen.status(ID)?;
    put32(&mut status, AT_VERSION, version);
    scene.speaker.say(&status)?;
    let log = scene.log_has(&[text])?;
    let works = scene.works()?;
    Ok(vec![scene.status_answered(ID), log, works])
}

fn facing_old(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let id = scene.ask()?;
    Ok(vec![Seen::Joins, scene.answer(id, WHILE)?])
}
