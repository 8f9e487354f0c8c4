//! Standard output: buffered, with or without colour.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstyle::{AnsiColor, Style};

use super::ColorWhen;

const BUFFER_BYTES: usize = 64 * 1024;

/// Standard output. Whoever writes to it asks [`paint`](Self::paint) for colour and gets none where there is
/// to be none.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    palette: Palette,
}

/// What colours mean.
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    /// Comments, offsets, what repeats.
    Dim,
    /// Headings.
    Heading,
    /// What kind of message.
    Lock,
    /// Recovery messages.
    Recovery,
    /// Acknowledgements and ends.
    Control,
    /// Damage.
    Bad,
    /// Names that people gave.
    Name,
}

/// Whether there are colours; apart from [`Output`] so that it can be asked while lines are made.
#[derive(Clone, Copy)]
pub(crate) struct Palette {
    colored: bool,
}

/// A text in its colour.
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl Output {
    pub(crate) fn to_stdout(color: ColorWhen) -> Self {
        let stdout = io::stdout();
        let colored = match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
            }
        };
        Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, stdout.lock()),
            palette: Palette { colored },
        }
    }

    /// Writes out what is buffered.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// One line on standard error, behind everything written so far.
    ///
    /// Whoever closed standard error does not want it.
    pub(crate) fn complain(&mut self, line: impl fmt::Display) -> io::Result<()> {
        let flushed = self.out.flush();
        let _ = writeln!(io::stderr(), "dlmwire: {line}");
        flushed
    }

    pub(crate) fn palette(&self) -> Palette {
        self.palette
    }

    pub(crate) fn paint<T: fmt::Display>(&self, paint: Paint, text: T) -> Painted<T> {
        self.palette.paint(paint, text)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Palette {
    pub(crate) fn paint<T: fmt::Display>(self, paint: Paint, text: T) -> Painted<T> {
        let style = match paint {
            _ if !self.colored => Style::new(),
            Paint::Dim => Style::new().dimmed(),
            Paint::Heading => Style::new().bold(),
            Paint::Lock => AnsiColor::Green.on_default(),
            Paint::Recovery => AnsiColor::Yellow.on_default(),
            Paint::Control => AnsiColor::Blue.on_default(),
            Paint::Bad => AnsiColor::Red.on_default().bold(),
            Paint::Name => AnsiColor::Cyan.on_default(),
        };
        Painted { style, text }
    }
}

/// Width and alignment are the text's own: the escapes around it do not count.
impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style.render())?;
        self.text.fmt(f)?;
        write!(f, "{}", self.style.render_reset())
    }
}
