//! What the readers of other programs' files share: bounded reading, lines without comments.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::{FileError, Flaw};

/// The longest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The file's text.
pub(super) fn read_text(path: &Path) -> Result<String, FileError> {
    let io = |error| FileError::new(path, None, Flaw::Io(error));
    let mut text = String::new();
    let read = File::open(path)
        .map_err(io)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(io)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        let message = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(FileError::new(path, None, Flaw::Syntax(message)));
    }
    Ok(text)
}

/// Lines with their numbers from 1 on, without comments and surrounding blanks, empty ones left out.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        (!line.is_empty()).then_some((at + 1, line))
    })
}
