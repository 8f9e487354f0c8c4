//! Our stand-in for the cluster manager: configfs, sysfs, the monitor device. spec: kernel-lab 2.
//!
//! A real one listens, votes and fences; this one does what a case says, in the order that the kernel needs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::plan::Transport;
use super::control;
use super::debugfs::DebugFs;
use super::error::{At, LabError, Result};
use super::init::{read_file, write_file};
use super::journal::Journal;
use super::lockspace::{Joining, Lockspace, Prepared, Space};
use super::uevents::Uevent;
use super::wait::{self, Log};

/// configfs of the DLM.
const CONFIGFS: &str = "/sys/kernel/config/dlm";
/// Held open: closed it means that the cluster manager died.
const MONITOR: &str = "/dev/dlm-monitor";
/// Creates and removes lockspaces.
pub(super) const CONTROL: &str = "/dev/dlm-control";
/// Bytes of an address in configfs.
const ADDRESS_LEN: usize = 128;
/// How long the kernel may take for what it does without a peer.
const LOCAL: Duration = Duration::from_secs(10);

/// How the kernel's side is set up, before the first lockspace.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The directory in configfs; its name does not matter to the kernel.
    pub name: String,
    /// TCP or SCTP.
    pub transport: Transport,
    /// The port of every node; `None` leaves the kernel's own.
    pub port: Option<u16>,
    /// The packet mark of what the kernel sends to all nodes; `None` leaves the kernel's own.
    pub mark: Option<u32>,
    /// The nodes that the kernel knows; exactly one of them is itself.
    pub nodes: Vec<Comm>,
}

/// One node as the kernel knows it.
#[derive(Clone, Debug)]
pub struct Comm {
    /// Its id.
    pub node: u32,
    /// Its addresses, the first one first.
    pub addresses: Vec<IpAddr>,
    /// Whether it is the kernel itself.
    pub local: bool,
    /// The packet mark of what is sent to it.
    pub mark: Option<u32>,
}

/// The cluster manager of the kernel's node. Clones are the same one.
#[derive(Clone)]
pub struct Manager {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) cluster: PathBuf,
    pub(super) journal: Journal,
    pub(super) uevents: Log<Uevent>,
    pub(super) debugfs: DebugFs,
    monitor: Mutex<Option<File>>,
    /// Lockspaces that exist or are under creation.
    open: Mutex<BTreeSet<String>>,
}

impl Comm {
    /// The kernel's own node.
    pub fn local(node: u32, addresses: impl Into<Vec<IpAddr>>) -> Self {
        Self {
            node,
            addresses: addresses.into(),
            local: true,
            mark: None,
        }
    }

    /// Another node.
    pub fn remote(node: u32, addresses: impl Into<Vec<IpAddr>>) -> Self {
        Self {
            local: false,
            ..Self::local(node, addresses)
        }
    }
}

impl Manager {
    /// Sets the cluster up.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, as it does when a cluster is there already.
    pub(super) fn start(
        cluster: &Cluster,
        journal: &Journal,
        uevents: &Log<Uevent>,
        debugfs: &DebugFs,
    ) -> Result<Self> {
        let monitor = Path::new(MONITOR);
        let monitor = File::options().read(true).open(monitor).at("open", monitor)?;
        let directory = Path::new(CONFIGFS).join(&cluster.name);
        make_directory(&directory)?;
        let manager = Self {
            shared: Arc::new(Shared {
                cluster: directory,
                journal: journal.clone(),
                uevents: uevents.clone(),
                debugfs: debugfs.clone(),
                monitor: Mutex::new(Some(monitor)),
                open: Mutex::default(),
            }),
        };
        manager.configure(cluster)?;
        for node in &cluster.nodes {
            manager.add_comm(node)?;
        }
        Ok(manager)
    }

    /// Makes a node known.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, as when the node is known already.
    pub fn add_comm(&self, comm: &Comm) -> Result<()> {
        let directory = self.comm(comm.node);
        make_directory(&directory)?;
        write_file(directory.join("nodeid"), comm.node.to_string())?;
        for address in &comm.addresses {
            write_file(directory.join("addr"), sockaddr(*address))?;
        }
        if let Some(mark) = comm.mark {
            write_file(directory.join("mark"), mark.to_string())?;
        }
        if comm.local {
            write_file(directory.join("local"), "1")?;
        }
        let addresses: Vec<_> = comm.addresses.iter().map(ToString::to_string).collect();
        self.note(
            "comm_added",
            &[("node", comm.node.into()), ("addresses", addresses.into())],
        );
        Ok(())
    }

    /// Forgets a node: fenced, or a pair that is stuck. Its membership is another matter.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, as when the node is not known.
    pub fn remove_comm(&self, node: u32) -> Result<()> {
        self.note("comm_removed", &[("node", node.into())]);
        remove_directory(&self.comm(node))
    }

    /// Whether the kernel knows this node.
    pub fn has_comm(&self, node: u32) -> bool {
        self.comm(node).exists()
    }

    /// Begins to create a lockspace and tells its members; the kernel listens from now on, but seeks nobody before
    /// [`Prepared::start`].
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step.
    pub fn prepare(&self, space: &Space) -> Result<Prepared> {
        Prepared::begin(self, space)
    }

    /// Begins to create a lockspace and starts its recovery; the kernel ends that with its members.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step.
    pub fn begin_join(&self, space: &Space) -> Result<Joining> {
        self.prepare(space)?.start()
    }

    /// Creates a lockspace and waits until its first recovery is done and locks can be taken.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step, or the recovery is not done within `limit`.
    pub fn join(&self, space: &Space, limit: Duration) -> Result<Lockspace> {
        self.begin_join(space)?.finish(limit)
    }

    /// A setting of the cluster in configfs.
    ///
    /// # Errors
    ///
    /// When this kernel does not have it.
    pub fn setting(&self, name: &str) -> Result<String> {
        read_file(self.shared.cluster.join(name))
    }

    /// Changes a setting of the cluster in configfs.
    ///
    /// # Errors
    ///
    /// When this kernel does not have it, or refuses, as with EBUSY for some while lockspaces exist.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.note("set", &[("name", name.into()), ("value", value.into())]);
        write_file(self.shared.cluster.join(name), value)
    }

    /// Closes the monitor device, as the death of a cluster manager does.
    pub fn close_monitor(&self) {
        self.note("monitor_closed", &[]);
        self.shared
            .monitor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Takes everything away, in whatever state it is: nodes forgotten, lockspaces removed by force, the cluster
    /// removed. Afterwards the kernel is ready for the next case.
    ///
    /// # Errors
    ///
    /// When something is left: only a new boot helps then. What is clean already is no error.
    pub fn clean_up(&self) -> Result<()> {
        if !self.shared.cluster.is_dir() {
            return Ok(());
        }
        let names: Vec<_> = self.open().into_iter().collect();
        if !names.is_empty() {
            self.note("cleaning_up", &[("lockspaces", names.clone().into())]);
            for node in self.comms()? {
                if !self.is_local(node) {
                    self.remove_comm(node)?;
                }
            }
        }
        for name in names {
            let lockspace = Lockspace::named(self, &name);
            // A recovery that waits for nobody ends, and with it a creation that waits for it.
            lockspace.set_members(&[(self.local_node()?, 1)])?;
            lockspace.wait_device(LOCAL)?;
            lockspace.leave(LOCAL)?;
        }
        for node in self.comms()? {
            self.remove_comm(node)?;
        }
        remove_directory(&self.shared.cluster)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn note(&self, event: &str, fields: &[(&str, serde_json::Value)]) {
        self.shared.journal.note(event, fields);
    }

    /// A lockspace came to be.
    pub(super) fn opened(&self, name: &str) {
        self.open_mut().insert(name.to_owned());
    }

    /// A lockspace is going.
    pub(super) fn closed(&self, name: &str) {
        self.open_mut().remove(name);
    }

    fn open(&self) -> BTreeSet<String> {
        self.open_mut().clone()
    }

    fn open_mut(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an announcement about a lockspace that came after `mark`.
    pub(super) fn wait_uevent(
        &self,
        action: &str,
        lockspace: &str,
        mark: usize,
        limit: Duration,
    ) -> Result<()> {
        let path = format!("/kernel/dlm/{lockspace}");
        let waited_for = format!("uevent {action} of lockspace {lockspace}");
        let good = |event: &Uevent| event.action == action && event.path == path;
        self.shared.uevents.wait_from(&waited_for, mark, limit, good)?;
        self.note(
            "uevent",
            &[("action", action.into()), ("lockspace", lockspace.into())],
        );
        Ok(())
    }

    fn configure(&self, cluster: &Cluster) -> Result<()> {
        let protocol = match cluster.transport {
            Transport::Tcp => "0",
            Transport::Sctp => "1",
        };
        // Not every kernel has a name here, and the log's settings moved about.
        for (name, value) in [
            ("cluster_name", cluster.name.as_str()),
            ("log_debug", "1"),
            ("log_info", "1"),
        ] {
            let _ = self.set(name, value);
        }
        self.set("protocol", protocol)?;
        if let Some(port) = cluster.port {
            self.set("tcp_port", &port.to_string())?;
        }
        if let Some(mark) = cluster.mark {
            self.set("mark", &mark.to_string())?;
        }
        Ok(())
    }

    fn comm(&self, node: u32) -> PathBuf {
        self.shared.cluster.join("comms").join(node.to_string())
    }

    /// The nodes that the kernel knows.
    fn comms(&self) -> Result<Vec<u32>> {
        numbers_in(&self.shared.cluster.join("comms"))
    }

    fn is_local(&self, node: u32) -> bool {
        read_file(self.comm(node).join("local")).is_ok_and(|text| text == "1")
    }

    fn local_node(&self) -> Result<u32> {
        let local = self.comms()?.into_iter().find(|node| self.is_local(*node));
        local.ok_or_else(|| LabError::unexpected("the kernel has no node of its own"))
    }
}

/// A request to the control device, in a thread: it blocks until the kernel has its answers.
pub(super) fn control_request(what: &'static str, bytes: [u8; control::REQUEST_LEN]) -> Result<Request> {
    let path = Path::new(CONTROL);
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .at("open", path)?;
    let thread = thread::Builder::new().name(what.into());
    let thread = thread
        .spawn(move || rustix::io::write(&file, &bytes).map_err(Into::into))
        .on("start a thread")?;
    Ok(Request { what, thread })
}

/// A request to the control device under way.
pub(super) struct Request {
    what: &'static str,
    thread: JoinHandle<std::io::Result<usize>>,
}

impl Request {
    /// What the kernel returned.
    pub(super) fn finish(self, lockspace: &str, limit: Duration) -> Result<usize> {
        let what = format!("the {} of lockspace {lockspace}", self.what);
        wait::join(&what, self.thread, limit)?.on(&what)
    }

    /// Whether the kernel returned.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

/// The ids that name directories here.
pub(super) fn numbers_in(directory: &Path) -> Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).at("list", directory)? {
        let name = entry.at("list", directory)?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub(super) fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir(path).at("make", path)
}

pub(super) fn remove_directory(path: &Path) -> Result<()> {
    fs::remove_dir(path).at("remove", path)
}

/// An address as configfs takes it: a socket address with port 0, filled with zeros.
fn sockaddr(address: IpAddr) -> [u8; ADDRESS_LEN] {
    const INET: u16 = 2;
    const INET6: u16 = 10;
    let mut bytes = [0; ADDRESS_LEN];
    match address {
        IpAddr::V4(address) => {
            bytes[0..2].copy_from_slice(&INET.to_ne_bytes());
            bytes[4..8].copy_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            bytes[0..2].copy_from_slice(&INET6.to_ne_bytes());
            bytes[8..24].copy_from_slice(&address.octets());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn address_is_128_bytes_with_family_and_port_zero() {
        let v4 = sockaddr("10.77.0.2".parse().expect("IPv4"));
        assert_eq!(v4[..8], [2, 0, 0, 0, 10, 77, 0, 2]);
        assert!(v4[8..].iter().all(|byte| *byte == 0));
        let v6 = sockaddr("fd77::2".parse().expect("IPv6"));
        assert_eq!(v6[..8], [10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(v6[8..24], [0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert!(v6[24..].iter().all(|byte| *byte == 0));
    }
}
