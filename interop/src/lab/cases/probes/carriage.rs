//! Messages wrapped as they must not be, and messages bare that have to be wrapped.

use super::expected::Expected::Same;
use super::frames::RCOM;
use super::scene::{SOON, Scene};
use super::seen::Seen;
use super::{Probe, With};
use crate::lab::guest::error::Result;

const COMMAND: &str = "unsupported h_cmd";
const NEXT_COMMAND: &str = "unsupported o_nextcmd received: 4";
const RCOM_TYPE: &str = "unsupported rcom type";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "nextcmd-of-another",
        sent: "OPTS with o_nextcmd RCOM around a LOOKUP (MSG)",
        with: With::Numbers,
        expected: Same(&[Seen::Answered, Seen::Consumed]),
        run: |scene| wrapped_as(scene, RCOM, &[]),
    },
    Probe {
        name: "options-16",
        sent: "OPTS with 16 bytes of options around a LOOKUP",
        with: With::Numbers,
        expected: Same(&[Seen::Answered, Seen::Consumed]),
        run: |scene| wrapped_as(scene, super::frames::MSG, &[0xee; 16]),
    },
    Probe {
        name: "options-3",
        sent: "OPTS with 3 bytes of options around a LOOKUP",
        with: With::Numbers,
        expected: Same(&[Seen::Answered, Seen::Consumed]),
        run: |scene| wrapped_as(scene, super::frames::MSG, &[0xee; 3]),
    },
    Probe {
        name: "opts-around-ack",
        sent: "OPTS around an ACK",
        with: With::Numbers,
        expected: Same(&[Seen::logged(NEXT_COMMAND), Seen::NotConsumed, Seen::Works]),
        run: around_ack,
    },
    Probe {
        name: "bare-msg",
        sent: "bare LOOKUP (MSG) with version 3.2",
        with: With::Numbers,
        expected: Same(&[Seen::logged(COMMAND), Seen::Unanswered, Seen::Works]),
        run: bare_msg,
    },
    Probe {
        name: "bare-fin",
        sent: "bare FIN with version 3.2",
        with: With::Numbers,
        expected: Same(&[Seen::logged(COMMAND), Seen::NoFin, Seen::Works]),
        run: bare_fin,
    },
    Probe {
        name: "bare-rcom-lookup",
        sent: "bare LOOKUP (RCOM) with version 3.2",
        with: With::Numbers,
        expected: Same(&[Seen::logged(RCOM_TYPE), Seen::Works]),
        run: bare_rcom,
    },
];

fn wrapped_as(scene: &mut Scene<'_>, next_command: u8, options: &[u8]) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    let speaker = &mut scene.speaker;
    let frame = speaker
        .pen
        .wrap_as(speaker.send_next, next_command, options, &lookup);
    speaker.say(&frame)?;
    let answer = scene.answer(id, SOON)?;
    Ok(vec![answer, scene.number()?])
}

fn around_ack(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let speaker = &mut scene.speaker;
    let ack = speaker.pen.ack(speaker.recv_next)?;
    let frame = speaker.pen.wrap(speaker.send_next, &ack);
    speaker.say(&frame)?;
    let log = scene.log_has(&[NEXT_COMMAND])?;
    let number = scene.number()?;
    Ok(vec![log, number, scene.works()?])
}

fn bare_msg(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    scene.speaker.say(&lookup)?;
    let log = scene.log_has(&[COMMAND])?;
    let works = scene.works()?;
    Ok(vec![log, scene.answered(id), works])
}

fn bare_fin(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let mark = scene.mark();
    let fin = scene.speaker.pen.fin();
    scene.speaker.say(&fin)?;
    let log = scene.log_has(&[COMMAND])?;
    let works = scene.works()?;
    Ok(vec![log, scene.fin_since(mark), works])
}

fn bare_rcom(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let lookup = scene.speaker.pen.recovery_lookup("name")?;
    scene.speaker.say(&lookup)?;
    let log = scene.log_has(&[RCOM_TYPE])?;
    Ok(vec![log, scene.works()?])
}
