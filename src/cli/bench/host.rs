//! The machine, and how its network is kept from deciding the result.

use std::fs;
use std::process::{Command, ExitCode, Stdio};

/// What paces nothing on loopback.
const WANTED: &str = "reno";

/// Where the measurement runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Network {
    /// A namespace of its own under reno if that can be made, else this one
    Auto,
    /// This one as it is
    Here,
}

/// The congestion control that the sockets have.
#[derive(Clone, Debug)]
pub(crate) struct Congestion {
    /// Its name.
    pub(crate) name: String,
    /// The one to be set at every socket, where the system's is another and may be changed.
    pub(crate) wanted: Option<String>,
}

impl Congestion {
    /// What to know before believing any figure.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.name == "bbr").then(|| {
            "bench: the congestion control is bbr, which paces loopback down to half; run as root, or allow \
             another in net.ipv4.tcp_allowed_congestion_control"
                .to_owned()
        })
    }
}

/// Runs this same command in a network namespace of its own, if it is to and can.
pub(crate) fn run_apart(network: Network) -> Option<ExitCode> {
    const PREPARE: &str = "ip link set lo up && echo reno > /proc/sys/net/ipv4/tcp_congestion_control";
    if network == Network::Here || system_congestion() == WANTED {
        return None;
    }
    let program = std::env::current_exe().ok()?;
    let works = |flags: &&str| {
        let mut trial = Command::new("unshare");
        trial.args([flags, "--", "sh", "-c", PREPARE]);
        trial
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        trial.status().is_ok_and(|status| status.success())
    };
    let flags = ["-n", "-rn"].into_iter().find(works)?;
    let run = format!("{PREPARE} && exec \"$0\" \"$@\"");
    let status = Command::new("unshare")
        .args([flags, "--", "sh", "-c", &run])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .args(["--network", "here"])
        .status()
        .ok()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(ExitCode::from(code.unwrap_or(super::super::FAILED)))
}

/// The congestion control that new sockets have, or can be given.
pub(crate) fn congestion() -> Congestion {
    let name = system_congestion();
    let settable = |path: &str| {
        let names = fs::read_to_string(path).unwrap_or_default();
        names.split_whitespace().any(|name| name == WANTED)
    };
    if name != WANTED && settable("/proc/sys/net/ipv4/tcp_allowed_congestion_control") {
        return Congestion {
            name: WANTED.to_owned(),
            wanted: Some(WANTED.to_owned()),
        };
    }
    Congestion { name, wanted: None }
}

fn system_congestion() -> String {
    let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}

/// The processor's name and the kernel's release.
pub(crate) fn describe() -> [String; 2] {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let processor = value("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let family = value("cpu family").map_or_else(String::new, |family| format!(", family {family}"));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    [format!("{processor}{family}"), kernel.trim().to_owned()]
}
