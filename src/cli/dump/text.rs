//! Lines for people.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use dlmwire_interop::capture::{Ending, Event, Stamp};

use super::events::{link_name, words};
use super::{Layout, Shown, Verdict};
use crate::cli::hex;
use crate::cli::message::Message;
use crate::cli::nodes::{End, Nodes};
use crate::cli::output::{Output, Paint};
use crate::cli::sequence::Turn;
use crate::cli::time::{self, TimeFormat};

const BYTES_A_LINE: usize = 16;

impl Layout<'_> {
    pub(super) fn file_text(&mut self, path: &Path, out: &mut Output) -> io::Result<()> {
        let line = format!("# {}", path.display());
        writeln!(out, "{}", out.paint(Paint::Dim, line))?;
        let time = match self.args.time {
            TimeFormat::Relative => format!("{:>13}", "time"),
            TimeFormat::Absolute => format!("{:<27}", "time"),
        };
        let line = format!(
            "#{:>6} {time} {:>4} -> {:<4} {:<4} {:<18} {:>10} {:<10} says",
            "frame", "from", "to", "link", "message", "seq", "lockspace"
        );
        writeln!(out, "{}", out.paint(Paint::Dim, line))
    }

    pub(super) fn message_text(
        &mut self,
        shown: &Shown<'_>,
        message: Option<&Message<'_>>,
        verdict: Verdict,
        out: &mut Output,
    ) -> io::Result<()> {
        self.start_of_line(shown.at, ' ', out)?;
        let [from, to] = [shown.from, shown.to].map(EndText);
        write!(out, "{from:>4} -> {to:<4} {:<4} ", link_name(shown.link))?;
        if let Some(message) = message {
            self.message_columns(message, out)?;
        } else {
            write!(out, "{}", out.paint(Paint::Bad, "undecodable"))?;
        }
        match shown.turn {
            Some(Turn::Again) => write!(out, " {}", out.paint(Paint::Heading, "(sent again)"))?,
            Some(Turn::Ahead(count)) => {
                let text = format!("({count} left out before it)");
                write!(out, " {}", out.paint(Paint::Bad, text))?;
            }
            Some(Turn::Restart) => write!(out, " {}", out.paint(Paint::Heading, "(starts anew)"))?,
            Some(Turn::Next) | None => {}
        }
        if shown.late {
            write!(out, " {}", out.paint(Paint::Bad, "(behind the reset)"))?;
        }
        if let Err(error) = verdict {
            let text = format!("damaged: {error}");
            write!(out, " {}", out.paint(Paint::Bad, text))?;
        }
        writeln!(out)?;
        if self.args.hex {
            hex_lines(shown.frame.bytes(), out)?;
        }
        Ok(())
    }

    fn message_columns(&self, message: &Message<'_>, out: &mut Output) -> io::Result<()> {
        let paint = message.paint();
        let command = out.paint(paint, message.command.name());
        let type_name = out.paint(paint, message.type_name());
        write!(out, "{command:<4} {type_name:<13} ")?;
        match message.seq {
            Some(seq) => write!(out, "{:>10}", seq.get())?,
            None => write!(out, "{:>10}", "-")?,
        }
        if let Some(lockspace) = message.lockspace() {
            write!(out, " {:<10}", self.lockspaces.show(lockspace))?;
        }
        write!(out, "{}", message.details(out.palette()))
    }

    pub(super) fn event_text(
        &mut self,
        at: Stamp,
        event: &Event<'_>,
        nodes: &Nodes,
        out: &mut Output,
    ) -> io::Result<()> {
        let Some(text) = words(event, nodes) else {
            return Ok(());
        };
        self.start_of_line(at, '#', out)?;
        let paint = match event {
            Event::FramingLost { .. } | Event::Missing { .. } => Paint::Bad,
            Event::LinkDown {
                why: Ending::Reset { .. } | Ending::Abort { .. },
                ..
            } => Paint::Bad,
            _ => Paint::Dim,
        };
        writeln!(out, "{}", out.paint(paint, text))
    }

    /// Frame number and time.
    fn start_of_line(&self, at: Stamp, mark: char, out: &mut Output) -> io::Result<()> {
        let number = format!("{mark}{:>6}", at.packet);
        write!(out, "{} ", out.paint(Paint::Dim, number))?;
        match self.args.time {
            TimeFormat::Relative => {
                let start = self.start.unwrap_or(at.time);
                write!(out, "{:>13} ", time::relative_micros(start, at.time))
            }
            TimeFormat::Absolute => write!(out, "{} ", time::absolute(at.time)),
        }
    }
}

fn hex_lines(bytes: &[u8], out: &mut Output) -> io::Result<()> {
    for (index, line) in bytes.chunks(BYTES_A_LINE).enumerate() {
        let digits = hex::spaced(line).to_string();
        let text = format!(
            "          {:04x}  {digits:<47}  {}",
            index * BYTES_A_LINE,
            hex::text(line)
        );
        writeln!(out, "{}", out.paint(Paint::Dim, text))?;
    }
    Ok(())
}

/// An end of a link, or a question mark.
struct EndText<'a>(Option<&'a End>);

impl fmt::Display for EndText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(end) => end.fmt(f),
            None => f.pad("?"),
        }
    }
}
