//! gzip members one after the other, and the zeros that may fill up the file behind them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// What the members of a file hold.
pub(super) struct GzipMembers<R> {
    /// None only once an error was told, or behind the last member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> GzipMembers<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            member: Some(GzDecoder::new(source)),
        }
    }

    /// The next member, if there is one.
    fn behind(mut source: R) -> io::Result<Option<GzDecoder<R>>> {
        loop {
            let bytes = source.fill_buf()?;
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            if bytes.is_empty() {
                return Ok(None);
            }
            if zeros == 0 {
                return Ok(Some(GzDecoder::new(source)));
            }
            source.consume(zeros);
        }
    }
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let source = self.member.take().map(GzDecoder::into_inner);
            self.member = source.map(Self::behind).transpose()?.flatten();
        }
        Ok(0)
    }
}
