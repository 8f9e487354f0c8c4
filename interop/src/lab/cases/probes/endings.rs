//! Goodbyes: late, repeated, not acknowledged, and questions asked in the middle of one.

use super::expected::Expected::{Same, Split};
use super::scene::{MOMENT, SOON, Scene};
use super::seen::{Pace, Seen};
use super::speaker::{Habits, What};
use super::{Probe, With};
use crate::lab::guest::bench::PEER_NODE;
use crate::lab::guest::error::{LabError, Result};

const STUCK: &str = "because shutdown stuck";
const MISMATCH: &str = "ignore dlm msg because seq mismatch";
const ID: u64 = 0x5eed;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "late-ack",
        sent: "both said goodbye, then one more ACK",
        with: With::Numbers,
        expected: Split {
            delayed: &[Seen::state("CLOSED"), Seen::Version(0x30002), Seen::Rejoins],
            later: &[Seen::state("ESTABLISHED"), Seen::Version(0x30002), Seen::Rejoins],
        },
        run: late_ack,
    },
    Probe {
        name: "fin-0-in-closed",
        sent: "both said goodbye, then a FIN with number 0",
        with: With::Numbers,
        expected: Split {
            delayed: &[
                Seen::Acks(0),
                Seen::NoFin,
                Seen::state("CLOSED"),
                Seen::Version(0x30002),
                Seen::RejoinsDead,
                Seen::warned("dlm_process_incoming_buffer"),
            ],
            later: &[
                Seen::Acks(1),
                Seen::Fin(0),
                Seen::state("CLOSED"),
                Seen::Version(0),
                Seen::Rejoins,
            ],
        },
        run: fin_zero,
    },
    Probe {
        name: "fin-again-in-closed",
        sent: "both said goodbye, then our FIN again with its old number",
        with: With::Numbers,
        expected: Same(&[Seen::Acks(0), Seen::logged(MISMATCH), Seen::Rejoins]),
        run: fin_again,
    },
    Probe {
        name: "fin-not-acked",
        sent: "our FIN, then nothing: the kernel's FIN is not acknowledged; then a rejoin",
        with: With::Numbers,
        expected: Same(&[Seen::state("LAST_ACK"), Seen::Rejoins, Seen::logged(STUCK)]),
        run: fin_not_acked,
    },
    Probe {
        name: "status-in-fin-wait-2",
        sent: "the kernel leaves, its FIN is acknowledged, then a bare STATUS, then our FIN with number 0",
        with: With::Unused,
        expected: Split {
            delayed: &[
                Seen::Answered,
                Seen::state("ESTABLISHED"),
                Seen::Fin(0),
                Seen::Leaves(Pace::Stuck),
            ],
            later: &[
                Seen::Answered,
                Seen::state("FIN_WAIT2"),
                Seen::NoFin,
                Seen::Leaves(Pace::Prompt),
            ],
        },
        run: status_in_fin_wait,
    },
    Probe {
        name: "status-in-fin-wait-2-used",
        sent: "the same in a conversation in which we have sent a message: our FIN has number 1",
        with: With::Numbers,
        expected: Split {
            delayed: &[
                Seen::Answered,
                Seen::state("ESTABLISHED"),
                Seen::NoFin,
                Seen::Leaves(Pace::Stuck),
            ],
            later: &[
                Seen::Answered,
                Seen::state("FIN_WAIT2"),
                Seen::NoFin,
                Seen::Leaves(Pace::Prompt),
            ],
        },
        run: status_in_fin_wait,
    },
];

fn late_ack(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    scene.part()?;
    let ack = scene.speaker.pen.ack(scene.speaker.recv_next)?;
    scene.speaker.say(&ack)?;
    scene.speaker.listen_for(MOMENT)?;
    let mut seen = state_and_version(scene)?;
    seen.push(scene.rejoin()?);
    Ok(seen)
}

fn fin_zero(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    scene.part()?;
    scene.speaker.begin_again();
    let mark = scene.mark();
    let fin = scene.speaker.pen.fin();
    let frame = scene.speaker.in_order(&fin);
    scene.speaker.say(&frame)?;
    scene.speaker.listen_for(MOMENT + MOMENT)?;
    let mut seen = vec![acks_of(scene, mark, 1), scene.fin_since(mark)];
    seen.extend(state_and_version(scene)?);
    seen.push(scene.rejoin()?);
    Ok(seen)
}

fn fin_again(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let number = scene.part()?;
    scene.log_from_here();
    let mark = scene.mark();
    let fin = scene.speaker.pen.wrap(number, &scene.speaker.pen.fin());
    scene.speaker.say(&fin)?;
    let log = scene.log_has(&[MISMATCH])?;
    let acks = acks_of(scene, mark, number.wrapping_add(1));
    Ok(vec![acks, log, scene.rejoin()?])
}

fn fin_not_acked(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    scene.speaker.habits.acks_fin = false;
    scene.part()?;
    let mut seen: Vec<_> = scene.state()?.into_iter().collect();
    scene.log_from_here();
    seen.push(scene.rejoin()?);
    seen.push(scene.log_has(&[STUCK])?);
    Ok(seen)
}

fn status_in_fin_wait(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    scene.speaker.habits = Habits {
        answers_fin: false,
        ..Habits::GOOD
    };
    scene.begin_leave()?;
    let heard_fin =
        |speaker: &super::speaker::Speaker| Ok(speaker.heard.iter().any(|heard| heard.what == What::Fin));
    if !scene.speaker.listen_until(SOON, heard_fin)? {
        return Err(LabError::unexpected("the kernel says no goodbye"));
    }
    scene.speaker.listen_for(MOMENT)?;
    if let Some(Seen::State(state)) = scene.state()?
        && state != "FIN_WAIT2"
    {
        return Err(LabError::unexpected(format!(
            "state of node {PEER_NODE} is {state}, expected FIN_WAIT2"
        )));
    }
    let status = scene.speaker.pen.status(ID)?;
    scene.speaker.say(&status)?;
    scene.speaker.listen_for(MOMENT)?;
    let mut seen = vec![scene.status_answered(ID)];
    seen.extend(scene.state()?);
    let mark = scene.mark();
    let fin = scene.speaker.pen.fin();
    let frame = scene.speaker.in_order(&fin);
    scene.speaker.say(&frame)?;
    scene.speaker.listen_for(MOMENT)?;
    seen.push(scene.fin_since(mark));
    seen.push(scene.leaves()?);
    Ok(seen)
}

fn state_and_version(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let mut seen: Vec<_> = scene.state()?.into_iter().collect();
    seen.extend(scene.version()?);
    Ok(seen)
}

fn acks_of(scene: &Scene<'_>, mark: usize, number: u32) -> Seen {
    let acks = scene
        .since(mark)
        .iter()
        .filter(|heard| heard.what == What::Ack(number));
    Seen::Acks(acks.count())
}
