//! What this guest's kernel is and can do.

use std::fs;
use std::path::Path;

use super::super::plan::Transport;
use super::command;
use super::debugfs::DebugFs;
use super::tracefs;

/// The first kernel whose DLM speaks 3.2.
const FIRST_3_2: (u32, u32) = (5, 14);

/// The kernel of this guest.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Its first two numbers.
    pub version: (u32, u32),
    /// Whether it is User-Mode Linux.
    pub uml: bool,
}

/// What a case cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A kernel that speaks 3.2: numbers, acknowledgements, FIN.
    Midcomms,
    /// A kernel that speaks 3.1.
    Old,
    /// The midcomms state in debugfs.
    DebugFs,
    /// State changes in the kernel's log.
    DynamicDebug,
    /// Tracepoints of messages.
    Tracepoints,
    /// Messages of one's own through debugfs.
    RawMsg,
    /// `ss -K`.
    SockDestroy,
    /// The kernel sends again what a connection that ends costs it, at the latest when another is reset.
    Resends,
    /// The run is over TCP.
    Tcp,
    /// The run is over SCTP.
    Sctp,
    /// A program in the guest.
    Tool(&'static str),
}

impl Kernel {
    /// The kernel that runs here.
    pub fn running() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            version: version(&release),
            uml: processor.contains("User Mode Linux"),
            release,
        }
    }

    /// Whether its DLM speaks 3.2.
    pub fn speaks_opts(&self) -> bool {
        self.version >= FIRST_3_2
    }

    /// What is missing for a case with these needs, the first of them in words.
    pub fn missing(&self, needs: &[Need], transport: Transport) -> Option<String> {
        needs.iter().find_map(|need| self.lacks(*need, transport))
    }

    fn lacks(&self, need: Need, transport: Transport) -> Option<String> {
        let debugfs = DebugFs::default();
        let (there, missing) = match need {
            Need::Midcomms => (self.speaks_opts(), "the kernel speaks 3.1"),
            Need::Old => (!self.speaks_opts(), "the kernel speaks 3.2"),
            Need::DebugFs => (
                debugfs.is_there() && self.speaks_opts(),
                "no midcomms state in debugfs",
            ),
            Need::DynamicDebug => (
                Path::new("/proc/dynamic_debug/control").exists()
                    || Path::new("/sys/kernel/debug/dynamic_debug/control").exists(),
                "no dynamic debug",
            ),
            Need::Tracepoints => (tracefs::is_there(), "no tracepoints of messages"),
            Need::RawMsg => (
                debugfs.is_there() && self.version >= (5, 17),
                "no rawmsg in debugfs",
            ),
            Need::SockDestroy => (!self.uml, "the kernel cannot destroy sockets (ss -K)"),
            Need::Resends => (
                transport == Transport::Tcp,
                "over SCTP no kernel sends again what it lost",
            ),
            Need::Tcp => (transport == Transport::Tcp, "only over TCP"),
            Need::Sctp => (transport == Transport::Sctp, "only over SCTP"),
            Need::Tool(tool) => return (!command::is_there(tool)).then(|| format!("no {tool} in the guest")),
        };
        (!there).then(|| missing.to_owned())
    }
}

/// `6.12.95+deb12-amd64` is 6.12.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(release: &str) -> Kernel {
        Kernel {
            release: release.to_owned(),
            version: version(release),
            uml: false,
        }
    }

    #[test]
    fn release_says_which_protocol_the_kernel_speaks() {
        for (release, opts) in [
            ("5.10.0-32-amd64", false),
            ("6.1.176", true),
            ("6.12.95+deb12-amd64", true),
            ("7.2.13+deb14-amd64", true),
            ("nonsense", false),
        ] {
            assert_eq!(kernel(release).speaks_opts(), opts, "{release}");
        }
    }

    #[test]
    fn need_that_is_not_met_is_said_in_words() {
        let old = kernel("5.10.0");
        let missing = old.missing(&[Need::Tcp, Need::Midcomms], Transport::Tcp);
        assert_eq!(missing.as_deref(), Some("the kernel speaks 3.1"));
        assert_eq!(old.missing(&[Need::Old], Transport::Tcp), None);
        let missing = old.missing(&[Need::Tool("no-such-tool")], Transport::Tcp);
        assert_eq!(missing.as_deref(), Some("no no-such-tool in the guest"));
    }
}
