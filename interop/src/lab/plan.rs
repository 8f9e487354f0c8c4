//! What host and guest tell each other: the plan on the way in, the results on the way out.
//!
//! Both are files in the run's evidence folder, JSON, written whole and then renamed: whoever reads one never
//! sees half of it. The folder has the same path on both sides.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The plan, in the evidence folder.
pub const PLAN_FILE: &str = "plan.json";
/// The results so far, in the evidence folder.
pub const RESULT_FILE: &str = "result.json";
/// The guest's last word, in the evidence folder: its exit code in decimal. Without it the guest died.
pub const STATUS_FILE: &str = "status";
/// What a command wrote on standard output, in the evidence folder.
pub const EXEC_OUT_FILE: &str = "exec.out";
/// What a command wrote on standard error, in the evidence folder.
pub const EXEC_ERR_FILE: &str = "exec.err";
/// The memory of a guest unless told, in MiB.
pub const MEMORY_MIB: u32 = 512;
/// Set in the environment of the agent by whoever boots it; without it the agent refuses to touch the machine.
pub const GUEST_MARK: &str = "DLMWIRE_LAB_GUEST";

/// The longest plan or result that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the guest is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The kernel's label, for what is printed: `uml`, `6.1`, or a file's name.
    pub kernel: String,
    /// What the kernel's DLM is to speak.
    pub transport: Transport,
    /// The cases by name, in the order in which they run.
    pub cases: Vec<String>,
    /// How long one case may take, in seconds; past it the case fails.
    pub case_deadline_s: u64,
    /// Whether to go on behind a case that failed.
    pub keep_going: bool,
    /// The network to set up.
    pub network: Network,
    /// The evidence folder: absolute, the same path in host and guest.
    pub out: PathBuf,
    /// How the guest reaches the evidence folder for writing.
    pub share: Share,
    /// What `modprobe -d` takes: the directory that has `lib/modules/RELEASE` in it.
    pub modules: PathBuf,
    /// The `dlmwire` program, seen from the guest.
    pub program: PathBuf,
    /// No cases: a shell on the console, in the prepared guest.
    pub shell: bool,
    /// No cases: this command, in the prepared guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// The guest's memory in MiB.
    pub memory_mib: u32,
    /// More on the console.
    pub verbose: bool,
}

/// A command for the guest. Its output goes to [`EXEC_OUT_FILE`] and [`EXEC_ERR_FILE`], how it ended to
/// [`STATUS_FILE`]; without a usable end, [`RunResult::setup_error`] says why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The program and its arguments, at least the program.
    pub words: Vec<String>,
    /// Where it runs: the same path in host and guest.
    pub folder: PathBuf,
    /// What it finds in its environment beside what every program of the guest finds there.
    pub environment: BTreeMap<String, String>,
    /// How long it may run, in seconds; then it is killed.
    pub limit_s: u64,
}

/// What carries the DLM's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP, the kernel's `protocol` 0.
    Tcp,
    /// SCTP, the kernel's `protocol` 1.
    Sctp,
}

/// How the guest mounts the evidence folder so that it can write there; all else of the host it sees read-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Share {
    /// `mount -t hostfs -o PATH none PATH`, in User-Mode Linux.
    Hostfs,
    /// `mount -t 9p -o trans=virtio,version=9p2000.L TAG PATH`, in QEMU.
    Ninep {
        /// The device's mount tag.
        tag: String,
    },
}

/// The network in the guest: the kernel's side in the init namespace, ours in another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The namespace of our side.
    pub namespace: String,
    /// The name of the cluster in configfs.
    pub cluster: String,
    /// The port of both sides.
    pub port: u16,
    /// The lines between the two, the first one first.
    pub links: Vec<VethPair>,
}

/// One line: a pair of devices and the addresses at its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VethPair {
    /// The device of the kernel's side.
    pub kernel_device: String,
    /// The device of our side.
    pub peer_device: String,
    /// The kernel's addresses; prefixes are /24 and /64.
    pub kernel: Vec<IpAddr>,
    /// Our addresses.
    pub peer: Vec<IpAddr>,
}

/// What the guest found, complete up to the last case that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// `uname -r` in the guest; empty as long as it is not known.
    pub kernel_release: String,
    /// The case that runs now: if the guest dies, this is the one that killed it.
    pub running: Option<String>,
    /// Why no case could be begun, if so.
    pub setup_error: Option<String>,
    /// The cases that ended.
    pub results: Vec<CaseResult>,
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's name.
    pub case: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took.
    pub seconds: f64,
    /// What was measured, by name; units are in the names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Figure>,
    /// What the rules found in the capture, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// `uname -r` in the guest.
    pub kernel_release: String,
}

/// The verdict on a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Verdict {
    /// Everything that was to happen happened.
    Pass,
    /// Something did not.
    Fail {
        /// What, in one line.
        reason: String,
    },
    /// This kernel or this guest cannot do it.
    Unsupported {
        /// What is missing, in one line.
        reason: String,
    },
}

/// Something that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Figure {
    /// A count.
    Count(u64),
    /// A measure.
    Measure(f64),
    /// Something else that is worth a line.
    Text(String),
}

impl RunPlan {
    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no plan.
    pub fn read(path: &Path) -> io::Result<Self> {
        read_json(path)
    }

    /// Writes the plan into its evidence folder and says where.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self) -> io::Result<PathBuf> {
        let path = self.out.join(PLAN_FILE);
        write_json(&path, self)?;
        Ok(path)
    }
}

impl RunResult {
    /// Reads the results in an evidence folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub fn read(out: &Path) -> io::Result<Self> {
        read_json(&out.join(RESULT_FILE))
    }

    /// Writes the results into an evidence folder; what was there is replaced at once or not at all.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, out: &Path) -> io::Result<()> {
        write_json(&out.join(RESULT_FILE), self)
    }
}

impl Verdict {
    /// Whether this fails a run.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Fail { .. })
    }

    /// A failure.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail {
            reason: reason.into(),
        }
    }

    /// Not for this kernel or guest.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported {
            reason: reason.into(),
        }
    }
}

impl Network {
    /// The kernel's first address.
    pub fn kernel_address(&self) -> Option<IpAddr> {
        self.links.first()?.kernel.first().copied()
    }

    /// Our first address.
    pub fn peer_address(&self) -> Option<IpAddr> {
        self.links.first()?.peer.first().copied()
    }
}

/// Two lines; the second one for SCTP's second path.
impl Default for Network {
    fn default() -> Self {
        let pair = |number: u8| {
            let ends = |host: u8| {
                let v4 = Ipv4Addr::new(10, 77 + number, 0, host);
                let v6 = Ipv6Addr::new(0xfd77 + u16::from(number), 0, 0, 0, 0, 0, 0, u16::from(host));
                vec![IpAddr::V4(v4), IpAddr::V6(v6)]
            };
            VethPair {
                kernel_device: format!("k{number}"),
                peer_device: format!("p{number}"),
                kernel: ends(1),
                peer: ends(2),
            }
        };
        Self {
            namespace: "peer".to_owned(),
            cluster: "lab".to_owned(),
            port: 21064,
            links: vec![pair(0), pair(1)],
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(format!("{text:?}: expected tcp or sctp")),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Measure(measure) => write!(f, "{measure:.3}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {FILE_BYTES_MAX} bytes"),
        ));
    }
    serde_json::from_str(&text).map_err(io::Error::from)
}

fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(out: &Path) -> RunPlan {
        RunPlan {
            kernel: "6.1".to_owned(),
            transport: Transport::Tcp,
            cases: vec!["join".to_owned()],
            case_deadline_s: 60,
            keep_going: true,
            network: Network::default(),
            out: out.to_owned(),
            share: Share::Ninep {
                tag: "out".to_owned(),
            },
            modules: "/cache/6.1".into(),
            program: "/bin/dlmwire".into(),
            shell: false,
            exec: Some(Exec {
                words: vec!["ip".to_owned(), "link".to_owned()],
                folder: "/".into(),
                environment: BTreeMap::from([("RUST_LOG".to_owned(), "debug".to_owned())]),
                limit_s: 5,
            }),
            memory_mib: MEMORY_MIB,
            verbose: false,
        }
    }

    #[test]
    fn plan_written_and_read_is_the_same() {
        let folder = std::env::temp_dir().join(format!("dlmwire-plan-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let plan = plan(&folder);
        let path = plan.write().expect("written");
        assert_eq!(RunPlan::read(&path).expect("read"), plan);
        fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn result_has_its_verdict_beside_the_case() {
        let text = r#"{"case":"join","verdict":"unsupported","reason":"no debugfs","seconds":0.5,
            "figures":{"messages":7,"rate_s":1.5,"state":"ESTABLISHED"},"kernel_release":"6.1.176"}"#;
        let result: CaseResult = serde_json::from_str(text).expect("a result");
        assert_eq!(result.verdict, Verdict::unsupported("no debugfs"));
        assert_eq!(result.figures["messages"], Figure::Count(7));
        assert_eq!(result.figures["rate_s"], Figure::Measure(1.5));
        assert_eq!(result.figures["state"], Figure::Text("ESTABLISHED".to_owned()));
        let again = serde_json::to_string(&result).expect("text");
        assert_eq!(
            serde_json::from_str::<CaseResult>(&again).expect("a result"),
            result
        );
    }

    #[test]
    fn network_is_two_lines_with_both_families() {
        let network = Network::default();
        assert_eq!(network.kernel_address(), "10.77.0.1".parse().ok());
        assert_eq!(network.peer_address(), "10.77.0.2".parse().ok());
        assert_eq!(
            network.links[0].peer[1],
            "fd77::2".parse::<IpAddr>().expect("IPv6")
        );
        assert_eq!(
            network.links[1].kernel[0],
            "10.78.0.1".parse::<IpAddr>().expect("IPv4")
        );
    }
}
