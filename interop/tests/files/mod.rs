//! What holds for any file whatever that a user hands over: called by the corpus test on stable and by the fuzz targets.
//!
//! Every function takes arbitrary bytes and panics with what it found. [`capture`] takes them for a capture file,
//! [`texts`] for a kernel's trace, its log, a schedule. Few bytes get past headers and checksums, so that
//! [`pieces`] and [`hostile`] make packets of them: the one cuts known streams of frames into segments and chunks and
//! knows what must come out again, the other sends what no stack would.

mod books;
mod hostile;
mod pieces;
mod report;
mod stage;
mod streams;
mod texts;

use std::io::{self, Read};

use dlmwire_interop::capture::{self, CaptureError, End, Options, Side, Summary};
use dlmwire_interop::check::{Checker, Known, Report};

use books::Books;

pub use hostile::hostile;
pub use pieces::pieces;
pub use texts::texts;

/// What fits into an IP packet with its headers.
const PACKET_PAYLOAD_MAX: usize = 65_000;

/// Bytes as a capture file: reading ends, its events are well formed and agree with its counts, the report on it
/// renders, and neither depends on how the bytes come in.
pub fn capture(bytes: &[u8]) {
    let whole = judged(bytes, usize::MAX);
    let step = 1 + bytes
        .iter()
        .fold(0, |sum, byte| (sum * 31 + usize::from(*byte)) % 97);
    let dribbled = judged(bytes, step);
    // How much a decompressor gives before it meets damage depends on how much it is given at once.
    if let (Some(whole), Some(dribbled)) = (whole, dribbled) {
        assert_eq!(whole, dribbled, "in pieces of {step} bytes");
    }
}

/// What came of a file, in words: the reader's and the checker's. `None` if its compressed data is damaged.
fn judged(bytes: &[u8], step: usize) -> Option<String> {
    let reader = Dribble {
        bytes: bytes.to_vec(),
        at: 0,
        step,
    };
    let options = Options::default();
    let mut books = Books::new(&options);
    let mut checker = Checker::new(&Known::default());
    let outcome = capture::read(reader, &options, &mut books.beside(&mut checker));
    match outcome {
        Ok(summary) => {
            books.agree_with(&summary);
            let told = told(&checker.finish(&summary), &summary, &books);
            let is_exact = !matches!(summary.end, End::Damaged(CaptureError::Decompress { .. }));
            is_exact.then(|| format!("{}\n{told}", books.said()))
        }
        Err(error) => {
            assert!(books.is_empty(), "{error}, and yet there were events");
            let is_exact = !matches!(error, CaptureError::Decompress { .. });
            is_exact.then(|| refusal(&error))
        }
    }
}

fn told(report: &Report, summary: &Summary, books: &Books) -> String {
    report::check(report, summary, books);
    report::render(report)
}

fn refusal(error: &CaptureError) -> String {
    let text = error.to_string();
    assert!(!text.is_empty());
    format!("{text}\n{error:?}")
}

/// A reader that gives a few bytes at a time.
struct Dribble {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
}

impl Read for Dribble {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let count = self.step.min(rest.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Bytes as a source of decisions; zeros when there are none left.
struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn flip(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn side(&mut self) -> Side {
        if self.flip() { Side::A } else { Side::B }
    }

    /// Bytes as they stand, fewer than `limit`.
    fn some(&mut self, limit: usize) -> &'a [u8] {
        let count = self.below(limit);
        let (taken, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}
