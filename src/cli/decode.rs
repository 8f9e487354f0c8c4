//! `dlmwire decode`: frames from hexadecimal, field by field.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use dlmwire_codec::{DecodeError, Limits, Split, split};
use dlmwire_interop::fields::{self, Field, Meaning, Value};

use super::error::Error;
use super::message::Message;
use super::output::{Output, Paint};
use super::{FOUND, hex};

const EXAMPLES: &str = "\
Examples:
  dlmwire decode 020003002a000000 0200000010000400
  xclip -o | dlmwire decode -
  tshark -r dlm.pcap -Y 'tcp.stream == 0 && tcp.dstport == 21064' -T fields -e tcp.payload | dlmwire decode
  dlmwire decode --offset 54 - < packet.txt   # behind Ethernet, IP and TCP headers

Hexadecimal may come as plain digits, with spaces, colons, commas or 0x, and as printed by xxd,
hexdump -C, tcpdump -x or Wireshark.

Exit codes: 0 sound frames; 1 a frame is damaged, or the last is cut; 2 no hexadecimal, or too much of
it: 16 MiB of text are read at most.";

/// Shows the fields of frames given in hexadecimal.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// One or several frames back to back; without it, or with -, from standard input
    hex: Vec<String>,

    /// Skip this many bytes first
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    offset: usize,
}

const STANDARD_INPUT: &str = "standard input";
/// Text that is read from standard input: thousands of the largest frames.
const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a field that stand on one line.
const BYTES_A_LINE: usize = 8;
/// Lines of a field's bytes; the rest is only counted.
const LINES_MAX: usize = 10;

pub(crate) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, Error> {
    let from_stdin = args.hex.is_empty() || args.hex == ["-"];
    let (place, text) = if from_stdin {
        (STANDARD_INPUT, standard_input()?)
    } else {
        ("argument", args.hex.join(" "))
    };
    let bytes = hex::parse(&text).map_err(|source| Error::Hex { place, source })?;
    drop(text);
    let bytes = bytes.get(args.offset..).unwrap_or_default();
    if bytes.is_empty() {
        return Err(Error::NoBytes { place });
    }
    if frames(bytes, args.offset, out)? {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::from(FOUND))
    }
}

/// All of standard input as text, unless it is too long.
fn standard_input() -> Result<String, Error> {
    let mut text = Vec::new();
    let read = io::stdin().take(TEXT_BYTES_MAX + 1).read_to_end(&mut text);
    let read = read.map_err(|error| Error::read(STANDARD_INPUT.as_ref(), error))?;
    if u64::try_from(read).is_ok_and(|read| read <= TEXT_BYTES_MAX) {
        Ok(String::from_utf8(text)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    } else {
        Err(Error::TooMuch {
            place: STANDARD_INPUT,
            limit_bytes: TEXT_BYTES_MAX,
        })
    }
}

/// Shows frame after frame; `true` if all are sound and whole.
fn frames(bytes: &[u8], offset: usize, out: &mut Output) -> io::Result<bool> {
    let mut all_sound = true;
    let mut rest = bytes;
    let mut number = 1;
    while !rest.is_empty() {
        let at = offset + bytes.len() - rest.len();
        if number > 1 {
            writeln!(out)?;
        }
        match split(rest, Limits::KERNEL) {
            Split::Frame { frame, rest: behind } => {
                let length = frame.bytes().len();
                let what = frame
                    .decode()
                    .map_or_else(|_| String::new(), |frame| summary(&Message::new(&frame)));
                heading(out, number, at, format_args!("{length} bytes{what}"))?;
                let mut written = Ok(());
                let verdict = fields::walk(frame, |field| show(out, rest, &field, &mut written));
                written?;
                all_sound &= verdict.is_ok();
                if let Err(error) = verdict {
                    damage(out, &error)?;
                }
                rest = behind;
            }
            Split::NeedMore { missing } => {
                heading(out, number, at, format_args!("cut after {} bytes", rest.len()))?;
                unjudged(out, rest)?;
                let more = if rest.len() < dlmwire_codec::HEADER_LEN {
                    " of the header"
                } else {
                    ""
                };
                let line = format!("{missing} bytes{more} are missing");
                writeln!(out, "  {}", out.paint(Paint::Bad, line))?;
                return Ok(false);
            }
            Split::Lost(error) => {
                heading(out, number, at, format_args!("no frame"))?;
                unjudged(out, rest.get(..dlmwire_codec::HEADER_LEN).unwrap_or(rest))?;
                damage(out, &error)?;
                writeln!(
                    out,
                    "  no frame can be found behind this; {} bytes are left",
                    rest.len()
                )?;
                return Ok(false);
            }
        }
        number += 1;
    }
    Ok(all_sound)
}

fn heading(out: &mut Output, number: usize, at: usize, size: std::fmt::Arguments<'_>) -> io::Result<()> {
    let line = format!("frame {number} at byte {at}: {size}");
    writeln!(out, "{}", out.paint(Paint::Heading, line))
}

/// What a sound frame is, in short.
fn summary(message: &Message<'_>) -> String {
    let [command, type_name] = [message.command.name(), message.type_name()];
    let separator = if type_name.is_empty() { "" } else { " " };
    match message.seq {
        Some(seq) if message.wrapped => format!(", {command}{separator}{type_name} with number {seq}"),
        Some(seq) => format!(", {command} of everything before {seq}"),
        None => format!(", {command}{separator}{type_name}, bare"),
    }
}

fn damage(out: &mut Output, error: &DecodeError) -> io::Result<()> {
    let line = format!("damaged at {:04x}: {}", error.offset, error.kind);
    writeln!(out, "  {}", out.paint(Paint::Bad, line))
}

/// Shows what is readable of bytes that are not a whole frame.
fn unjudged(out: &mut Output, bytes: &[u8]) -> io::Result<()> {
    let mut written = Ok(());
    fields::walk_partial(bytes, |field| show(out, bytes, &field, &mut written));
    written
}

/// Shows a field, unless an earlier one could not be written.
fn show(out: &mut Output, frame: &[u8], field: &Field<'_>, written: &mut io::Result<()>) {
    if written.is_ok() {
        *written = field_lines(out, frame, field);
    }
}

fn field_lines(out: &mut Output, frame: &[u8], field: &Field<'_>) -> io::Result<()> {
    let indent = usize::from(field.depth) * 2;
    if field.name == "dlm3.h.version" && field.depth > 0 {
        writeln!(
            out,
            "  {:indent$}{}",
            "",
            out.paint(Paint::Heading, "the message in it")
        )?;
    }
    let bytes = if field.has_parts {
        &[]
    } else {
        frame
            .get(field.offset..field.offset + field.len)
            .unwrap_or_default()
    };
    let (shown, zeros) = without_filling(bytes);
    let mut lines = shown.chunks(BYTES_A_LINE);
    let first = hex::spaced(lines.next().unwrap_or_default()).to_string();
    write!(
        out,
        "  {} {first:<23}  {:indent$}{:<width$} ",
        out.paint(Paint::Dim, format_args!("{:04x}", field.offset)),
        "",
        field.name,
        width = 26_usize.saturating_sub(indent),
    )?;
    value(out, field)?;
    writeln!(out)?;
    for (line, bytes) in lines.take(LINES_MAX - 1).enumerate() {
        let at = field.offset + (line + 1) * BYTES_A_LINE;
        let at = format!("{at:04x}");
        writeln!(out, "  {} {}", out.paint(Paint::Dim, at), hex::spaced(bytes))?;
    }
    let left = shown.len().saturating_sub(BYTES_A_LINE * LINES_MAX);
    if left > 0 {
        writeln!(out, "       .. {left} more bytes")?;
    }
    if zeros > 0 {
        writeln!(out, "       .. {zeros} zeros")?;
    }
    Ok(())
}

/// Long runs of zeros at the end are filling: how many bytes stand before them, how many they are.
fn without_filling(bytes: &[u8]) -> (&[u8], usize) {
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let shown = used.next_multiple_of(BYTES_A_LINE).max(BYTES_A_LINE);
    match bytes.split_at_checked(shown) {
        Some((shown, zeros)) if zeros.len() > BYTES_A_LINE => (shown, zeros.len()),
        _ => (bytes, 0),
    }
}

/// What a person reads first is the meaning, with the number behind it.
fn value(out: &mut Output, field: &Field<'_>) -> io::Result<()> {
    let paint = match field.meaning {
        Meaning::Name(_) => Paint::Name,
        Meaning::Unknown => Paint::Bad,
        _ => Paint::Heading,
    };
    match (field.meaning, field.value) {
        (_, Value::Bytes(bytes)) if field.has_parts => write!(out, "{} bytes", bytes.len()),
        (Meaning::None, Value::Bytes(bytes)) => write!(out, "{} bytes", bytes.len()),
        (meaning, Value::Bytes(_)) => write!(out, "{}", out.paint(paint, meaning)),
        (Meaning::None, Value::U64(number)) => write!(out, "{number}"),
        (Meaning::None, Value::I64(number)) => write!(out, "{number}"),
        (Meaning::Hex { number: 0, .. }, _) => write!(out, "0"),
        (meaning @ Meaning::Hex { .. }, _) => write!(out, "{meaning}"),
        (meaning @ Meaning::Unknown, Value::U64(number)) => {
            write!(out, "{number}: {}", out.paint(paint, meaning))
        }
        (meaning @ Meaning::Unknown, Value::I64(number)) => {
            write!(out, "{number}: {}", out.paint(paint, meaning))
        }
        (Meaning::Version(version), Value::U64(number)) => {
            write!(out, "{} ({number:#010x})", out.paint(paint, version))
        }
        (_, Value::U64(0) | Value::I64(0)) if field.meaning.each_flag(|_| {}) => write!(out, "0"),
        (meaning, Value::U64(number)) if field.meaning.each_flag(|_| {}) => {
            write!(out, "{} ({number:#x})", out.paint(paint, meaning))
        }
        (meaning, Value::U64(number)) => write!(out, "{} ({number})", out.paint(paint, meaning)),
        (meaning, Value::I64(number)) => write!(out, "{} ({number})", out.paint(paint, meaning)),
    }
}
