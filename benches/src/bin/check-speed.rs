//! Prints how fast `dlmwire check` goes through a long capture, beside tshark on the same file, as Markdown.
//!
//! `cargo build --release && cargo run --release -p dlmwire-benches --bin check-speed`
//!
//! The capture is a shipped one, repeated on new connections until it has 500 MB (or as many as the argument says).

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dlmwire_interop::capture::{self, DLM_PORT, Event, Options, Stamp};

const CAPTURE: &str = "captures/tcp-3.2-linux6.1-3node-heldlocks.pcap.zst";
const MEGABYTES: u64 = 500;
const ROUNDS: usize = 3;

/// How often a running program is asked for its memory.
const SAMPLE_EVERY: Duration = Duration::from_millis(2);

/// What one run of a program cost.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// The most memory seen resident, in KiB.
    resident_kib: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let megabytes = std::env::args()
        .nth(1)
        .map_or(Ok(MEGABYTES), |text| text.parse())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dlmwire = std::env::current_exe()?.with_file_name("dlmwire");
    if !dlmwire.exists() {
        return Err(format!("{} is not there: cargo build --release", dlmwire.display()).into());
    }
    let long =
        Temporary(std::env::temp_dir().join(format!("dlmwire-check-speed-{}.pcap", std::process::id())));
    let repetitions = capture::repeat(
        &root.join(CAPTURE),
        File::create(&long.0)?,
        &[DLM_PORT],
        megabytes * 1_000_000,
    )?;
    let bytes = fs::metadata(&long.0)?.len();
    let (packets, messages) = count(&long.0)?;
    println!("{CAPTURE}, {repetitions} times: {bytes} bytes, {packets} packets, {messages} messages.\n");

    let check = || {
        Command::new(&dlmwire)
            .arg("check")
            .arg(&long.0)
            .stdout(Stdio::null())
            .spawn()
    };
    let tshark = || {
        let arguments = ["-q", "-z", "io,stat,0", "-r"];
        Command::new("tshark")
            .args(arguments)
            .arg(&long.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    };
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(cost(check()?)?);
        match tshark() {
            Ok(child) => theirs.push(cost(child)?),
            Err(error) => eprintln!("SKIPPED tshark: {error}"),
        }
    }
    println!("| program | s | MB/s | messages/s | peak memory, MiB |\n|---|---|---|---|---|");
    let ours = median(&mut ours).ok_or("no runs")?;
    row("dlmwire check", ours, bytes, messages);
    if let Some(theirs) = median(&mut theirs) {
        row("tshark -q -z io,stat,0", theirs, bytes, messages);
        println!(
            "\ntshark takes {:.1} times as long.",
            theirs.time.as_secs_f64() / ours.time.as_secs_f64()
        );
    }
    Ok(())
}

/// Packets and messages of a capture.
fn count(path: &Path) -> Result<(u64, u64), Box<dyn Error>> {
    let mut sink = |_: Stamp, _: Event<'_>| {};
    let stats = capture::read_path(path, &Options::default(), &mut sink)?.stats;
    Ok((stats.packets, stats.frames))
}

/// Waits for a program and watches its memory meanwhile.
fn cost(mut child: Child) -> Result<Cost, Box<dyn Error>> {
    let start = Instant::now();
    let status = format!("/proc/{}/status", child.id());
    let mut resident_kib = 0;
    let ended = loop {
        resident_kib = resident(&status).unwrap_or(0).max(resident_kib);
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        std::thread::sleep(SAMPLE_EVERY);
    };
    if !ended.success() {
        return Err(format!("ended with {ended}").into());
    }
    Ok(Cost {
        time: start.elapsed(),
        resident_kib,
    })
}

/// `VmHWM`: the kernel's own record of the most memory that was resident so far.
fn resident(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn median(costs: &mut [Cost]) -> Option<Cost> {
    costs.sort_by_key(|cost| cost.time);
    costs.get(costs.len() / 2).copied()
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn row(program: &str, cost: Cost, bytes: u64, messages: u64) {
    let seconds = cost.time.as_secs_f64();
    println!(
        "| {program} | {seconds:.2} | {:.0} | {:.2} M | {:.1} |",
        bytes as f64 / 1e6 / seconds,
        messages as f64 / 1e6 / seconds,
        cost.resident_kib as f64 / 1024.0
    );
}

/// A file that goes when the program ends.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}
