//! tshark as an oracle: every field that it shows of every DLM message in every capture has to be what we say,
//! and the other way round, but for a list of known mistakes.
//!
//! Messages that tshark cannot read where they stand are given to it once more in a capture made of them: each
//! alone in its TCP segment, and 3.2 messages without `OPTS` marked as 3.1. So do frames that no capture holds.
//!
//! The table in docs/tshark.md is made here: `UPDATE_DOCS=1 cargo test -p dlmwire-interop --test tshark_oracle`.

mod compare;
mod mistakes;
mod ours;
mod pairing;
mod report;
mod tshark;

use std::error::Error;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dlmwire_codec::{Limits, RawFrame, Split, Version, split};
use dlmwire_interop::capture::Timestamp;
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};

use crate::compare::compare;
use crate::pairing::OurFrame;
use crate::report::{Asked, Report};

/// The version whose mistakes docs/tshark.md counts.
const DOCUMENTED: &str = "4.0.17";

/// Names that tshark has but never shows rightly, or never at all: see the list of mistakes.
const NEVER_RIGHT: [&str; 7] = [
    "dlm3.h.major_version",
    "dlm3.h.minor_version",
    "dlm3.rf.lsflags.unused",
    "dlm3.rl.lvb",
    "dlm3.t.length",
    "dlm3.t.pad",
    "dlm3.t.value",
];

#[test]
fn tshark_and_dlmwire_read_every_message_alike() -> Result<(), Box<dyn Error>> {
    let Some(version) = tshark::version() else {
        writeln!(
            std::io::stderr(),
            "SKIPPED tshark_oracle: tshark is not installed"
        )?;
        return Ok(());
    };
    println!("{version}");
    let mut report = Report::default();
    for capture in captures()? {
        let unread = pairing::compare_capture(&capture, &mut report)?;
        ask_again(&unread, &name(&capture), Asked::Again, &mut report)?;
    }
    ask_again(&made_up()?, "made up", Asked::MadeUp, &mut report)?;

    let table = report.table();
    println!("{table}");
    report.verdict()?;
    let never: Vec<_> = tshark::field_names()?
        .into_iter()
        .filter(|name| !report.agreed.contains_key(name) && !NEVER_RIGHT.contains(&name.as_str()))
        .collect();
    assert!(never.is_empty(), "never compared: {never:?}");

    if version.contains(DOCUMENTED) {
        check_page(&table)
    } else {
        writeln!(
            std::io::stderr(),
            "SKIPPED tshark_page: docs/tshark.md counts what tshark {DOCUMENTED} shows, this is {version}"
        )?;
        Ok(())
    }
}

/// The oracle can say no: a frame agrees with itself, and no longer once two fields are swapped.
#[test]
fn swapped_fields_are_found() -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(root().join("fuzz/corpus/decode/3.2-opts-msg-convert-1"))?;
    let frame = raw(&bytes)?;
    let mut shown = tshark::Message {
        len: bytes.len(),
        fields: as_shown(frame),
    };
    let outcome = compare(frame, false, &shown);
    assert_eq!(outcome.unexplained, Vec::<String>::new());
    assert!(outcome.mistakes.is_empty());

    let place = |name| shown.fields.iter().position(|field| field.name == name);
    let (Some(lkid), Some(remid)) = (place("dlm3.m.lkid"), place("dlm3.m.remid")) else {
        return Err("no lock ids".into());
    };
    let text = shown.fields[lkid].text.clone();
    shown.fields[lkid].text = std::mem::replace(&mut shown.fields[remid].text, text);
    assert_eq!(compare(frame, false, &shown).unexplained.len(), 2);

    shown.fields.remove(lkid);
    assert_eq!(
        compare(frame, false, &shown).unexplained.len(),
        2,
        "one is missing, one is wrong"
    );
    Ok(())
}

fn as_shown(frame: RawFrame<'_>) -> Vec<tshark::Shown> {
    let shown = |((offset, name), said): (ours::Key, ours::Said)| {
        let (text, raw) = match said.value {
            ours::Saying::Number(number) => (number.to_string(), String::new()),
            ours::Saying::Bytes(bytes) => (mistakes::hex(&bytes), mistakes::hex(&bytes)),
        };
        tshark::Shown {
            name,
            offset,
            len: said.len,
            text,
            raw,
        }
    };
    ours::fields(frame).into_iter().map(shown).collect()
}

/// Frames that every kernel could send and none of the captures holds: options, `PURGE`, slots, limits.
fn made_up() -> Result<Vec<OurFrame>, Box<dyn Error>> {
    let mut frames = Vec::new();
    for path in sorted(&root().join("fuzz/corpus/roundtrip"))? {
        frames.push(OurFrame::made_up(fs::read(path)?));
    }
    Ok(frames)
}

/// Gives messages to tshark in a way that it understands, and compares what it then shows.
fn ask_again(
    frames: &[OurFrame],
    origin: &str,
    asked: Asked,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    if frames.is_empty() {
        return Ok(());
    }
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tshark-oracle-{}.pcap", std::process::id()));
    let mut readable = Vec::new();
    for frame in frames {
        readable.push(marked_readable(&frame.bytes)?);
    }
    write_capture(&path, &readable)?;
    let mut shown = Vec::new();
    tshark::read(&path, |packet| {
        if packet.malformed {
            report.unexplained(format!("{origin}, {asked:?}: malformed packet"));
        }
        shown.extend(packet.messages);
        Ok(())
    })?;
    fs::remove_file(&path)?;
    assert_eq!(
        shown.len(),
        readable.len(),
        "messages of {origin} that tshark finds when asked again"
    );
    for ((frame, bytes), shown) in frames.iter().zip(&readable).zip(&shown) {
        let outcome = compare(raw(bytes)?, false, shown);
        report.message(asked, &format!("{origin}, packet {}", frame.packet), outcome);
    }
    Ok(())
}

/// The frame, or where tshark would take it for a wrapper the same frame as a 3.1 node sends it.
fn marked_readable(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = bytes.to_vec();
    if mistakes::is_bare_3_2(raw(&bytes)?) {
        bytes[..4].copy_from_slice(&Version::V3_1.wire().to_le_bytes());
    }
    Ok(bytes)
}

fn write_capture(path: &Path, frames: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    let opener: SocketAddr = "10.0.0.1:40000".parse()?;
    let acceptor: SocketAddr = "10.0.0.2:21064".parse()?;
    let start = Timestamp::from_nanos(0);
    let mut writer = CaptureWriter::new(fs::File::create(path)?)?;
    let mut link = TcpLink::open(&mut writer, start, opener, acceptor)?;
    for frame in frames {
        link.send(&mut writer, start, End::Opener, frame)?;
    }
    writer.finish()?;
    Ok(())
}

/// Compares the table with the one in docs/tshark.md, or puts it there.
fn check_page(table: &str) -> Result<(), Box<dyn Error>> {
    const BEGIN: &str = "<!-- made by the oracle: begin -->";
    const END: &str = "<!-- made by the oracle: end -->";
    let path = root().join("docs/tshark.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page
        .split_once(BEGIN)
        .ok_or("docs/tshark.md has no place for the table")?;
    let (_, behind) = rest
        .split_once(END)
        .ok_or("the table in docs/tshark.md has no end")?;
    let made = format!("{before}{BEGIN}\n\n{table}\n{END}{behind}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, made)?;
        return Ok(());
    }
    assert!(
        page == made,
        "docs/tshark.md is stale: UPDATE_DOCS=1 cargo test -p dlmwire-interop --test tshark_oracle"
    );
    Ok(())
}

fn captures() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut captures = sorted(&root().join("captures"))?;
    captures.retain(|path| name(path).contains(".pcap"));
    assert!(
        captures.len() >= 30,
        "{} captures, there have been 30",
        captures.len()
    );
    Ok(captures)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let entries: Result<Vec<_>, _> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths: Vec<PathBuf> = entries.map_err(|error: std::io::Error| error)?;
    paths.sort();
    Ok(paths)
}

fn raw(bytes: &[u8]) -> Result<RawFrame<'_>, Box<dyn Error>> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, rest: [] } => Ok(frame),
        other => Err(format!("not one frame: {other:?}").into()),
    }
}

fn name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
