//! Zstandard frames one after the other; ruzstd itself stops after the first.
//!
//! The decoder keeps back as much as its window holds until the frame ends. Where the input breaks off, an empty
//! last block ends the frame, so that what was decoded comes out.

use std::error::Error;
use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Larger windows are refused: the decompressor allocates them on the file's word.
const WINDOW_BYTES_MAX: u64 = 64 << 20;
/// A raw block of no bytes, the last of its frame, and room for a checksum.
const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// What the frames of a file hold.
pub(super) struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
    /// Why the frame ends before its end, to be told behind what it holds.
    broken: Option<io::Error>,
}

impl<R: BufRead> ZstdFrames<R> {
    pub(super) fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW_BYTES_MAX);
        Self {
            source,
            decoder,
            in_frame: false,
            broken: None,
        }
    }

    fn start_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(failure(error)),
        }
        Ok(())
    }

    fn decode_some(&mut self) {
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let step = self
                .decoder
                .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
            if let Err(error) = step {
                self.broken = Some(failure(error));
                let _ = self
                    .decoder
                    .decode_blocks(EMPTY_LAST_BLOCK.as_slice(), BlockDecodingStrategy::All);
                return;
            }
        }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let stated = self.decoder.get_checksum_from_data();
        if stated.is_some() && stated != self.decoder.get_calculated_checksum() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the checksum differs"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.in_frame {
                self.decode_some();
                if self.decoder.can_collect() > 0 {
                    return self.decoder.read(buffer);
                }
                if let Some(error) = self.broken.take() {
                    return Err(error);
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

/// Running out of input is a cut file, everything else a damaged one.
fn failure(error: FrameDecoderError) -> io::Error {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    let mut kind = ErrorKind::InvalidData;
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            kind = error.kind();
        }
        cause = error.source();
    }
    io::Error::new(kind, error)
}
