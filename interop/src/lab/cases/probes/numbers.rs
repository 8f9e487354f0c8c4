//! Numbers that were seen before, and numbers ahead of their time.

use super::expected::Expected::Same;
use super::scene::{SOON, Scene};
use super::seen::Seen;
use super::{Probe, With};
use crate::lab::guest::error::Result;

const MISMATCH: &str = "ignore dlm msg because seq mismatch";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "number-seen-before",
        sent: "OPTS with a number already seen, three times",
        with: With::Numbers,
        expected: Same(&[
            Seen::Acks(3),
            Seen::Unanswered,
            Seen::logged(MISMATCH),
            Seen::Works,
        ]),
        run: seen_before,
    },
    Probe {
        name: "number-ahead",
        sent: "OPTS 5 ahead; then the right number",
        with: With::Numbers,
        expected: Same(&[
            Seen::Acks(0),
            Seen::Unanswered,
            Seen::logged(MISMATCH),
            Seen::Works,
        ]),
        run: ahead,
    },
];

fn seen_before(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    let again = scene.speaker.pen.wrap(0, &lookup);
    let mark = scene.mark();
    for count in 1..=3 {
        scene.speaker.say(&again)?;
        let begun = mark;
        scene
            .speaker
            .listen_until(SOON, |speaker| Ok(speaker.heard.len() >= begun + count))?;
    }
    let acks = scene.acks_since(mark);
    let log = scene.log_has(&[MISMATCH])?;
    let works = scene.works()?;
    Ok(vec![acks, scene.answered(id), log, works])
}

fn ahead(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    let early = scene
        .speaker
        .pen
        .wrap(scene.speaker.send_next.wrapping_add(5), &lookup);
    let mark = scene.mark();
    scene.speaker.say(&early)?;
    let log = scene.log_has(&[MISMATCH])?;
    let acks = scene.acks_since(mark);
    let works = scene.works()?;
    Ok(vec![acks, scene.answered(id), log, works])
}
