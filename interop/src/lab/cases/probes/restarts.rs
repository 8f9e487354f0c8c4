//! A peer that begins again without anybody's word, and connections that are closed too early.

use super::expected::Expected::{Same, Split};
use super::frames::put32;
use super::scene::{SOON, Scene, WHILE};
use super::seen::Seen;
use super::speaker::What;
use super::{Probe, With};
use crate::lab::guest::error::Result;

/// Messages that were read but never handled when the connection is closed.
const UNHANDLED: usize = 5;
const UNKNOWN_LOCKSPACE: u32 = 0x0bad;
const AT_LOCKSPACE: usize = 4;
const ID: u64 = 0x5eed;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "reset-idle",
        sent: "RST of the only connection, nothing waits on either side",
        with: With::All,
        expected: Split {
            delayed: &[Seen::Reconnects, Seen::Works],
            later: &[Seen::StaysAway, Seen::Works],
        },
        run: reset_idle,
    },
    Probe {
        name: "restart-at-0",
        sent: "RST, then numbers from 0 again, membership unchanged",
        with: With::Numbers,
        expected: Same(&[
            Seen::Unanswered,
            Seen::OldNumbers,
            Seen::NobodyTold,
            Seen::HealedByComm,
        ]),
        run: restart,
    },
    Probe {
        name: "closed-with-unhandled",
        sent: "5 messages read but not handled, an orderly close, a new connection and a request; then RST",
        with: With::Numbers,
        expected: Same(&[Seen::Resent(0), Seen::Gap(5), Seen::Resent(6)]),
        run: closed_with_unhandled,
    },
];

fn reset_idle(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let lines = scene.speaker.lines();
    scene.speaker.reset_all()?;
    let again = scene.reconnected(lines)?;
    let again = if again { Seen::Reconnects } else { Seen::StaysAway };
    Ok(vec![again, scene.works()?])
}

fn restart(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let lines = scene.speaker.lines();
    scene.speaker.reset_all()?;
    scene.reconnected(lines)?;
    scene.speaker.begin_again();
    let mark = scene.mark();
    let id = scene.ask()?;
    let answer = scene.answer(id, WHILE)?;
    // What the kernel numbers next is not 0: it goes on where it was.
    let mut status = scene.speaker.pen.status(ID)?;
    put32(&mut status, AT_LOCKSPACE, UNKNOWN_LOCKSPACE);
    scene.speaker.say(&status)?;
    let is_reply = |what: &What| matches!(what, What::StatusReply { id: ID, .. });
    scene.speaker.listen_until(SOON, |speaker| {
        Ok(speaker.heard.iter().any(|heard| is_reply(&heard.what)))
    })?;
    let number = scene
        .since(mark)
        .iter()
        .filter(|heard| is_reply(&heard.what))
        .find_map(|heard| heard.number);
    let numbers = match number {
        Some(0) => Seen::Gap(0),
        Some(_) => Seen::OldNumbers,
        None => Seen::Unanswered,
    };
    let told = scene.told()?;
    Ok(vec![answer, numbers, told, scene.heal()?])
}

fn closed_with_unhandled(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let handled = scene.speaker.recv_next;
    scene.fill(UNHANDLED)?;
    scene.speaker.recv_next = handled;
    let mark = scene.mark();
    scene.speaker.close_all()?;
    scene.speaker.listen_for(WHILE)?;
    scene.speaker.dial()?;
    scene.speaker.listen_for(WHILE)?;
    let resent = scene
        .since(mark)
        .iter()
        .filter(|heard| heard.number.is_some())
        .count();
    let id = scene.ask()?;
    scene.answer(id, SOON)?;
    let number = scene.since(mark).iter().rev().find_map(|heard| heard.number);
    let gap = number.map_or(Seen::Unanswered, |number| Seen::Gap(number.wrapping_sub(handled)));
    Ok(vec![Seen::Resent(resent), gap, scene.resent()?])
}
