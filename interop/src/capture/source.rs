//! Opening: a path or standard input, decompressed if need be, behind a window that slides.
//!
//! What a file is decides its first bytes, not its name. The window grows only as bytes really arrive, so
//! that a length stated in the file allocates nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::error::{CaptureError, Compression};

/// What is read at once. Small enough for the processor's second level cache, large enough for any packet.
const WINDOW_BYTES: usize = 512 << 10;
const COMPRESSED_BUFFER_BYTES: usize = 128 << 10;
/// Larger windows are refused: the decompressor allocates them on the file's word.
const ZSTD_WINDOW_BYTES_MAX: u64 = 64 << 20;

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
        let (reader, compression): (Box<dyn Read>, _) = match magic {
            [0x1f, 0x8b, ..] => (
                Box::new(MultiGzDecoder::new(buffered(whole))),
                Some(Compression::Gzip),
            ),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => (
                Box::new(ZstdFrames::new(buffered(whole))),
                Some(Compression::Zstd),
            ),
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

    /// Whether the file ends in the middle of its compressed data.
    pub(super) const fn is_cut(&self) -> bool {
        self.cut
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
                    offset,
                    source,
                }
            }
            _ => CaptureError::Read { offset, source },
        }
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(COMPRESSED_BUFFER_BYTES, reader)
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

type Whole<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// Zstandard frames one after the other; ruzstd itself stops after the first.
struct ZstdFrames<R: Read> {
    source: Whole<R>,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: Read> ZstdFrames<R> {
    fn new(source: Whole<R>) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES_MAX);
        Self {
            source,
            decoder,
            in_frame: false,
        }
    }

    fn start_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
            }
            Err(error) => return Err(self.failure(error)),
        }
        Ok(())
    }

    fn decode_some(&mut self) -> io::Result<()> {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let step = self
                .decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
            if let Err(error) = step {
                return Err(self.failure(error));
            }
        }
        Ok(())
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the checksum differs"));
        }
        Ok(())
    }

    /// Running out of input is a cut file, everything else a damaged one.
    fn failure(&mut self, error: FrameDecoderError) -> io::Error {
        match self.source.fill_buf() {
            Ok([]) => io::Error::new(ErrorKind::UnexpectedEof, error),
            Ok(_) => io::Error::new(ErrorKind::InvalidData, error),
            Err(error) => error,
        }
    }
}

impl<R: Read> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame {
                self.decode_some()?;
                if self.decoder.can_collect() > 0 {
                    return self.decoder.read(buffer);
                }
                self.end_frame()?;
            }
            if self.source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            self.start_frame()?;
        }
    }
}
