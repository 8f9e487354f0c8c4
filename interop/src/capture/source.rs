//! Opening: a path or standard input, decompressed if need be, behind a window that slides.
//!
//! What a file is decides its first bytes, not its name. The window grows only as bytes really arrive, so
//! that a length stated in the file allocates nothing.

mod gzip;
mod zstd;

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::rc::Rc;

use super::error::{CaptureError, Compression};
use gzip::GzipMembers;
use zstd::ZstdFrames;

/// What is read at once. Small enough for the processor's second level cache, large enough for any packet.
const WINDOW_BYTES: usize = 512 << 10;
const COMPRESSED_BUFFER_BYTES: usize = 128 << 10;

/// The bytes of a capture, seen through a window.
pub(super) struct Source {
    reader: Box<dyn Read>,
    compression: Option<Compression>,
    window: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of `start` in the (decompressed) file.
    offset: u64,
    ended: bool,
    /// The compressed file ends in the middle.
    cut: bool,
    /// Bytes of the compressed file that the decompressor has taken.
    compressed: Rc<Cell<u64>>,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, CaptureError> {
        if path.as_os_str() == OsStr::new("-") {
            return Self::new(io::stdin());
        }
        let file = File::open(path).map_err(|source| CaptureError::Open {
            path: path.into(),
            source,
        })?;
        Self::new(file)
    }

    pub(super) fn new(mut reader: impl Read + 'static) -> Result<Self, CaptureError> {
        let mut magic = [0; 4];
        let have =
            read_full(&mut reader, &mut magic).map_err(|source| CaptureError::Read { offset: 0, source })?;
        if have == 0 {
            return Err(CaptureError::Empty);
        }
        let head = magic.get(..have).unwrap_or_default().to_vec();
        let whole = Cursor::new(head).chain(reader);
        let compressed = Rc::new(Cell::new(0));
        let counted = |whole| Counted {
            inner: BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, whole),
            taken: Rc::clone(&compressed),
        };
        let (reader, compression): (Box<dyn Read>, _) = match magic {
            [0x1f, 0x8b, ..] => (
                Box::new(GzipMembers::new(counted(whole))),
                Some(Compression::Gzip),
            ),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                (Box::new(ZstdFrames::new(counted(whole))), Some(Compression::Zstd))
            }
            _ => (Box::new(whole), None),
        };
        let window = vec![0; WINDOW_BYTES];
        Ok(Self {
            reader,
            compression,
            window,
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            cut: false,
            compressed,
        })
    }

    /// Sees to it that `count` bytes are in the window. False if the file ends before.
    #[inline]
    pub(super) fn ensure(&mut self, count: usize) -> Result<bool, CaptureError> {
        if self.end - self.start >= count {
            return Ok(true);
        }
        self.fill(count)
    }

    /// The bytes in the window.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.window.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes `count` bytes, all of them in the window, and lends them.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        debug_assert!(count <= self.end - start, "only what was ensured is taken");
        self.start += count;
        self.offset += count as u64;
        self.window.get(start..self.start).unwrap_or_default()
    }

    /// Bytes consumed so far.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// What to say if the file ends in the middle of its compressed data, behind so many whole packets.
    pub(super) fn cut(&self, packets: u64) -> Option<CaptureError> {
        let compression = self.compression.filter(|_| self.cut)?;
        Some(CaptureError::CompressedCut {
            compression,
            compressed_offset: self.compressed.get(),
            packets,
        })
    }

    #[cold]
    fn fill(&mut self, count: usize) -> Result<bool, CaptureError> {
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < count && !self.ended {
            if self.end == self.window.len() {
                self.window.resize(self.window.len() * 2, 0);
            }
            match self
                .reader
                .read(self.window.get_mut(self.end..).unwrap_or_default())
            {
                Ok(0) => self.ended = true,
                Ok(more) => self.end += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.compression.is_some() => {
                    self.ended = true;
                    self.cut = true;
                }
                Err(source) => return Err(self.failure(source)),
            }
        }
        Ok(self.end >= count)
    }

    fn failure(&self, source: io::Error) -> CaptureError {
        let offset = self.offset + self.end as u64;
        match (self.compression, source.kind()) {
            (Some(compression), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other) => {
                CaptureError::Decompress {
                    compression,
                    compressed_offset: self.compressed.get(),
                    offset,
                    source,
                }
            }
            _ => CaptureError::Read { offset, source },
        }
    }
}

/// Reads until `buffer` is full or the input ends.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(have)
}

/// A reader that counts what is taken out of it.
struct Counted<B> {
    inner: B,
    taken: Rc<Cell<u64>>,
}

impl<B: BufRead> Read for Counted<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

impl<B: BufRead> BufRead for Counted<B> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.taken.set(self.taken.get() + count as u64);
        self.inner.consume(count);
    }
}
