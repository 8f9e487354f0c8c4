//! What everything here needs: whether it may run, commands with a limit, waits with a deadline, and a generator.

use std::fs;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(10);

/// Says why a test that needs these tools cannot run.
pub(crate) fn missing(tools: &[&str]) -> Option<String> {
    if std::env::var_os("DLMWIRE_ROOT").is_none_or(|value| value != "1") {
        return Some("DLMWIRE_ROOT=1 is not set".to_owned());
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    if ids.and_then(|ids| ids.split_whitespace().nth(1)) != Some("0") {
        return Some("needs root".to_owned());
    }
    let common = ["ip", "ss", "nft", "timeout"];
    let absent = common.iter().chain(tools).find(|tool| !is_there(tool));
    absent.map(|tool| format!("{tool} is not installed"))
}

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

/// Whether the long tests are to be longer.
pub(crate) fn is_deep() -> bool {
    std::env::var_os("DLMWIRE_DEEP").is_some_and(|value| value == "1")
}

/// Runs a command, words separated by spaces, for 20 s at most.
pub(crate) fn run(line: &str) -> Output {
    let output = Command::new("timeout")
        .args(["-k", "1", "20"])
        .args(line.split_whitespace())
        .output();
    output.unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// As [`run`]; the test fails if the command does.
pub(crate) fn must(line: &str) -> String {
    let output = run(line);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {}: {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asks again until there is an answer, or the test fails.
pub(crate) fn wait<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "nothing within {limit:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// Random numbers that a seed repeats.
pub(crate) struct Random(u64);

impl Random {
    /// The seed is told, for a replay by `DLMWIRE_SEED`.
    pub(crate) fn new(test: &str) -> Self {
        let given = std::env::var("DLMWIRE_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or(0x7a31);
        eprintln!("root_{test}: DLMWIRE_SEED={seed}");
        Self(seed)
    }

    /// Another generator, for another thread.
    pub(crate) fn branch(&mut self) -> Self {
        Self(self.next())
    }

    /// One of `count` numbers from 0 on.
    pub(crate) fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// A duration between two numbers of milliseconds.
    pub(crate) fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}
