//! Sound conversations, captured badly: what comes out are the frames that went in, in order, each at most once, and
//! all of them if the capture has all bytes.

mod sctp;
mod tcp;

use std::net::SocketAddr;

use dlmwire_interop::capture::{Side, Summary};

use super::Choices;
use super::stage::Stage;
use super::streams::Stream;

use sctp::Sctp;
use tcp::Tcp;

/// Bytes as a way to cut streams of frames into packets, and what a capture does to those.
pub fn pieces(bytes: &[u8]) {
    let run = || {
        let mut choices = Choices { bytes };
        match choices.below(2) {
            0 => Tcp::new(&mut choices).play(&mut choices),
            _ => Sctp::new(&mut choices).play(&mut choices),
        }
    };
    assert_eq!(run(), run(), "the same packets tell the same");
}

/// Holds what was told of a capture against the streams of its two sides, in this order; everything that was told, in
/// words. `is_exact` says whether offsets count from the streams' starts.
fn judge(stage: Stage, streams: &[Stream], is_whole: bool, is_exact: impl Fn(&Summary) -> bool) -> String {
    let (books, summary, said) = stage.finish();
    let told = books.frames.as_deref().unwrap_or_default();
    for (stream, from) in streams.iter().zip(Side::BOTH) {
        let count = stream.check(told, 0, Some(from), is_exact(&summary));
        assert!(
            !is_whole || count == stream.frames(),
            "{count} of {}",
            stream.frames()
        );
        for link in 1..summary.stats.links {
            stream.check(told, link, None, false);
        }
    }
    // What comes very late opens further links in the middle of their streams.
    if is_whole && summary.stats.links == 1 {
        assert_eq!(
            (summary.stats.gaps, summary.stats.skipped_bytes),
            (0, 0),
            "nothing is missing"
        );
    }
    said
}

fn ends(choices: &mut Choices<'_>) -> [SocketAddr; 2] {
    let ends = match choices.below(3) {
        0 => ["10.0.0.1:40000", "10.0.0.2:21064"],
        1 => ["[fd00::2]:21064", "[fd00::1]:33000"],
        _ => ["10.0.0.9:21064", "10.0.0.2:21064"],
    };
    ends.map(|end| end.parse().expect("an address"))
}

fn later(choices: &mut Choices<'_>) -> u64 {
    match choices.below(16) {
        0 => 0,
        1 => 121_000_000_000,
        _ => 1000 * u64::from(choices.half()),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("streams are short")
}
