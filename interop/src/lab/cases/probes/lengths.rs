//! Lengths that lie, and messages that arrive in pieces.

use super::expected::Expected::{Same, Split};
use super::frames::{AT_LENGTH, MSG, put16};
use super::scene::{SOON, Scene, WHILE};
use super::seen::{Pace, Seen};
use super::speaker::{LineId, Opened};
use super::{Probe, With};
use crate::lab::guest::error::{LabError, Result};

/// Beyond what any message may have.
const TOO_LONG: usize = 5000;
/// Below a header.
const TOO_SHORT: usize = 8;
/// What the inner length has too much.
const OVERRUN: usize = 40;
/// Where the inner header stands in an `OPTS` without options.
const INNER: usize = 24;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "length-5000-accepted",
        sent: "h_length 5000, header only, on a second connection that we opened",
        with: With::All,
        expected: Split {
            delayed: &[Seen::Open, Seen::Works],
            later: &[Seen::Closed, Seen::Works],
        },
        run: |scene| bad_length_on_second(scene, TOO_LONG),
    },
    Probe {
        name: "length-8-accepted",
        sent: "h_length 8, header only, on a second connection that we opened",
        with: With::All,
        expected: Split {
            delayed: &[Seen::Open, Seen::Works],
            later: &[Seen::Closed, Seen::Works],
        },
        run: |scene| bad_length_on_second(scene, TOO_SHORT),
    },
    Probe {
        name: "length-5000-dialed",
        sent: "h_length 5000, header only, on the connection that the kernel opened; then the kernel leaves",
        with: With::All,
        expected: Split {
            delayed: &[Seen::Open, Seen::StillSends, Seen::Leaves(Pace::Prompt)],
            later: &[Seen::Deaf, Seen::StillSends, Seen::Leaves(Pace::Waits)],
        },
        run: bad_length_on_first,
    },
    Probe {
        name: "inner-length-beyond",
        sent: "LOOKUP in OPTS, inner h_length 40 longer than the frame, a right message directly behind",
        with: With::Numbers,
        expected: Same(&[Seen::LookupReply { node: 2, result: 0 }, Seen::Answered]),
        run: inner_beyond,
    },
    Probe {
        name: "byte-by-byte",
        sent: "one message, byte by byte",
        with: With::All,
        expected: Same(&[Seen::Answered]),
        run: byte_by_byte,
    },
    Probe {
        name: "half-then-reset",
        sent: "half a message, RST, the whole message on a new connection",
        with: With::All,
        expected: Same(&[Seen::Answered]),
        run: half_then_reset,
    },
];

fn bad_length_on_second(scene: &mut Scene<'_>, length: usize) -> Result<Vec<Seen>> {
    let first = scene.speaker.voice;
    let second = scene.speaker.dial()?;
    if scene.works()? == Seen::Dead {
        return Err(LabError::unexpected(
            "the kernel does not read the second connection",
        ));
    }
    let stays = after_bad_length(scene, second, length)?;
    if stays == Seen::Closed {
        scene.speaker.voice = scene.speaker.newest(Opened::ByKernel).unwrap_or(first);
    }
    let works = scene.works()?;
    Ok(vec![stays, works])
}

/// Sends a header with this length and says what becomes of the connection.
fn after_bad_length(scene: &mut Scene<'_>, line: LineId, length: usize) -> Result<Seen> {
    let header = scene
        .speaker
        .pen
        .header(MSG, scene.speaker.pen.lockspace.get(), length);
    scene.speaker.say_on(line, &header)?;
    if scene
        .speaker
        .listen_until(WHILE, |speaker| Ok(!speaker.is_open(line)))?
    {
        return Ok(Seen::Closed);
    }
    let number = scene.speaker.send_next;
    let id = scene.ask()?;
    if scene.answer(id, WHILE)? == Seen::Answered {
        return Ok(Seen::Open);
    }
    // It was never read: the number is still to come.
    scene.speaker.send_next = number;
    Ok(Seen::Deaf)
}

fn bad_length_on_first(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let first = scene.speaker.voice;
    let mut seen = vec![after_bad_length(scene, first, TOO_LONG)?];
    if seen == [Seen::Closed] {
        scene.speaker.listen_for(WHILE)?;
    }
    scene.speaker.dial()?;
    let id = scene.ask()?;
    let answered = scene.answer(id, SOON)?;
    if scene.answered_on(id) == Some(first) {
        seen.push(Seen::StillSends);
    } else {
        seen.push(answered);
    }
    scene.begin_leave()?;
    seen.push(scene.leaves()?);
    Ok(seen)
}

fn inner_beyond(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (lying, lookup) = scene.lookup()?;
    let mut bytes = scene.speaker.in_order(&lookup);
    put16(&mut bytes, INNER + AT_LENGTH, lookup.len() + OVERRUN);
    let (right, lookup) = scene.lookup()?;
    bytes.extend(scene.speaker.in_order(&lookup));
    scene.speaker.say(&bytes)?;
    let right = scene.answer(right, SOON)?;
    Ok(vec![scene.lookup_reply(lying)?, right])
}

fn byte_by_byte(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    let frame = scene.speaker.in_order(&lookup);
    for byte in frame {
        scene.speaker.say(&[byte])?;
        // Long enough for the kernel to read it alone.
        scene.speaker.listen_for(std::time::Duration::from_millis(1))?;
    }
    Ok(vec![scene.answer(id, SOON)?])
}

fn half_then_reset(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, lookup) = scene.lookup()?;
    let frame = scene.speaker.in_order(&lookup);
    scene.speaker.say(&frame[..frame.len() / 2])?;
    scene.speaker.listen_for(super::scene::MOMENT)?;
    scene.speaker.reset_all()?;
    scene.speaker.dial()?;
    scene.speaker.say(&frame)?;
    Ok(vec![scene.answer(id, SOON)?])
}
