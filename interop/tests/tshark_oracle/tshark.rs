//! tshark, asked for everything that it knows of the DLM messages in a capture.

use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// A packet in which tshark shows DLM messages.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    /// `frame.number`.
    pub(crate) number: u64,
    /// The messages in the order in which tshark shows them.
    pub(crate) messages: Vec<Message>,
    /// Whether tshark calls the packet malformed.
    pub(crate) malformed: bool,
}

/// A DLM message as tshark shows it.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Bytes that tshark counts to the message.
    pub(crate) len: usize,
    /// All fields that start with `dlm3.`, in order.
    pub(crate) fields: Vec<Shown>,
}

/// A field as tshark shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// From the start of the outermost message, in bytes.
    pub(crate) offset: usize,
    pub(crate) len: usize,
    /// The value as text.
    pub(crate) text: String,
    /// The bytes that tshark marks as the field's, in hexadecimal; not the bytes for parts of a byte.
    pub(crate) raw: String,
}

impl Message {
    /// The 16 bytes of the outer header, put together from what tshark marks as its fields.
    pub(crate) fn header(&self) -> String {
        [0, 4, 8, 12, 14, 15]
            .into_iter()
            .filter_map(|offset| self.fields.iter().find(|field| field.offset == offset))
            .map(|field| field.raw.as_str())
            .collect()
    }
}

/// The first line of `tshark --version`, or `None` where there is no tshark.
pub(crate) fn version() -> Option<String> {
    let output = Command::new("tshark")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// The names of all fields that this tshark can show of a DLM message.
pub(crate) fn field_names() -> io::Result<Vec<String>> {
    let output = Command::new("tshark")
        .args(["-G", "fields"])
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let third_column = text.lines().filter_map(|line| line.split('\t').nth(2));
    Ok(third_column
        .filter(|name| name.starts_with("dlm3."))
        .map(str::to_owned)
        .collect())
}

/// Reads the capture at `path`, whatever the user's own preferences are.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(Packet) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new("tshark")
        .env("XDG_CONFIG_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(["-n", "-T", "pdml", "-J", "dlm3", "-Y", "dlm3"])
        .args([
            "-o",
            "tcp.desegment_tcp_streams:TRUE",
            "-o",
            "tcp.reassemble_out_of_order:TRUE",
        ])
        .args(["-d", "tcp.port==21064,dlm3", "-d", "sctp.port==21064,dlm3"])
        .arg("-r")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no pipe to tshark"))?;
    let mut packet = Packet::default();
    let mut start = None;
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        let line = line.trim_start();
        if line.starts_with("<packet>") {
            packet = Packet::default();
        } else if line.starts_with("</packet>") {
            each(std::mem::take(&mut packet))?;
        } else if line.starts_with("<field name=\"num\"") {
            packet.number = number(line, "show")?;
        } else if line.starts_with("<proto name=\"dlm3\"") {
            start = Some(number(line, "pos")?);
            let len = number(line, "size")?;
            packet.messages.push(Message {
                len,
                fields: Vec::new(),
            });
        } else if line.starts_with("<proto ") {
            start = None;
            packet.malformed |= line.starts_with("<proto name=\"_ws.malformed\"");
        } else if line.starts_with("<field name=\"dlm3.")
            && let (Some(start), Some(message)) = (start, packet.messages.last_mut())
        {
            let pos: usize = number(line, "pos")?;
            message.fields.push(Shown {
                name: text(line, "name").to_owned(),
                offset: pos.saturating_sub(start),
                len: number(line, "size")?,
                text: text(line, "show").to_owned(),
                raw: text(line, "value").to_owned(),
            });
        }
    }
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("tshark gave up on {}: {status}", path.display()).into()),
    }
}

/// An attribute of the element on a line; PDML has one element a line.
fn text<'a>(line: &'a str, attribute: &str) -> &'a str {
    let value = line.match_indices(attribute).find_map(|(at, _)| {
        let before = line.get(..at)?;
        let behind = line.get(at + attribute.len()..)?.strip_prefix("=\"")?;
        before.ends_with(' ').then_some(behind)
    });
    value
        .and_then(|value| value.split('"').next())
        .unwrap_or_default()
}

fn number<T: std::str::FromStr>(line: &str, attribute: &str) -> io::Result<T> {
    let parsed = text(line, attribute).parse();
    parsed.map_err(|_| io::Error::other(format!("no number in {attribute} of {line}")))
}
