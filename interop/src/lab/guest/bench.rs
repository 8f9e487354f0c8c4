//! What a case is given: the guest's kernel, the evidence, and everything that a pair of nodes needs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::super::plan::{Figure, RunPlan, Transport, VethPair};
use super::command;
use super::debugfs::DebugFs;
use super::error::{LabError, Result};
use super::journal::Journal;
use super::kernel::Kernel;
use super::kmsg::Kmsg;
use super::lockspace::{Lockspace, Space};
use super::manager::{Cluster, Comm, Manager};
use super::netns::Namespace;
use super::stub::{Event, Place, Stub};
use super::uevents::Uevent;
use super::wait::Log;

/// The kernel's node.
pub const KERNEL_NODE: u32 = 1;
/// Our node.
pub const PEER_NODE: u32 = 2;
/// How long a join may take; it takes 20 to 300 ms.
const JOIN: Duration = Duration::from_secs(20);
/// How long the kernel may take to notice its peer's version.
const DETECT: Duration = Duration::from_secs(10);

/// The bench on which a case works.
pub struct Bench {
    /// What the host wants.
    pub plan: RunPlan,
    /// The kernel under test.
    pub kernel: Kernel,
    /// The evidence folder of this case.
    pub folder: PathBuf,
    /// What was done, step by step.
    pub journal: Journal,
    /// The kernel's log since the case began.
    pub kmsg: Kmsg,
    /// The namespace of our side.
    pub peer: Namespace,
    /// What the kernel shows of itself.
    pub debugfs: DebugFs,
    pub(super) uevents: Log<Uevent>,
    pub(super) deadline: Instant,
    pub(super) managers: Vec<Manager>,
    pub(super) figures: BTreeMap<String, Figure>,
    pub(super) allowed: Vec<(String, String)>,
}

/// How a [`Pair`] is to begin.
#[derive(Clone, Debug)]
pub struct PairOptions {
    /// The lockspace's name.
    pub lockspace: String,
    /// The lockspace's id.
    pub id: u32,
    /// Members and weights; `(1, 0), (2, 1)` makes us directory of every name.
    pub members: Vec<(u32, u32)>,
    /// More arguments of the stub.
    pub stub_args: String,
}

/// The kernel and our node in one lockspace.
pub struct Pair {
    /// The kernel's cluster manager.
    pub manager: Manager,
    /// Our node.
    pub stub: Stub,
    /// The lockspace of the kernel's side.
    pub lockspace: Lockspace,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            lockspace: "ls1".to_owned(),
            id: 0x1234,
            members: vec![(KERNEL_NODE, 1), (PEER_NODE, 1)],
            stub_args: String::new(),
        }
    }
}

impl Bench {
    /// What carries the messages in this run.
    pub fn transport(&self) -> Transport {
        self.plan.transport
    }

    /// What is left of the case's time.
    pub fn limit(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The kernel's addresses in this run: over TCP the first line's first one, over SCTP one of each line.
    pub fn kernel_addresses(&self) -> Vec<IpAddr> {
        self.addresses(|link| &link.kernel)
    }

    /// Our addresses in this run, as [`kernel_addresses`](Self::kernel_addresses).
    pub fn peer_addresses(&self) -> Vec<IpAddr> {
        self.addresses(|link| &link.peer)
    }

    /// The kernel's first address.
    ///
    /// # Errors
    ///
    /// When the plan has none.
    pub fn kernel_address(&self) -> Result<IpAddr> {
        first(&self.kernel_addresses())
    }

    /// Our first address.
    ///
    /// # Errors
    ///
    /// When the plan has none.
    pub fn peer_address(&self) -> Result<IpAddr> {
        first(&self.peer_addresses())
    }

    /// The cluster as a case has it unless it wants another: the kernel is node 1, we are node 2.
    pub fn cluster(&self) -> Cluster {
        Cluster {
            name: self.plan.network.cluster.clone(),
            transport: self.plan.transport,
            port: None,
            mark: None,
            nodes: vec![
                Comm::local(KERNEL_NODE, self.kernel_addresses()),
                Comm::remote(PEER_NODE, self.peer_addresses()),
            ],
        }
    }

    /// Starts the kernel's cluster manager; the runner cleans up behind it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start_manager(&mut self) -> Result<Manager> {
        self.start_manager_with(&self.cluster())
    }

    /// The same with another cluster.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start_manager_with(&mut self, cluster: &Cluster) -> Result<Manager> {
        let manager = Manager::start(cluster, &self.journal, &self.uevents, &self.debugfs)?;
        self.managers.push(manager.clone());
        Ok(manager)
    }

    /// The arguments with which our node meets the kernel.
    ///
    /// # Errors
    ///
    /// When the plan has no addresses.
    pub fn stub_args(&self) -> Result<String> {
        let mut args = format!("--testing --id {PEER_NODE}");
        for address in self.peer_addresses() {
            let _ = write!(args, " --listen {address}");
        }
        let kernel: Vec<_> = self.kernel_addresses().iter().map(IpAddr::to_string).collect();
        if kernel.is_empty() {
            return Err(LabError::unexpected("the plan has no address of the kernel"));
        }
        let _ = write!(args, " --peer {KERNEL_NODE}={}", kernel.join(","));
        if self.plan.transport == Transport::Sctp {
            args.push_str(" --transport sctp");
        }
        Ok(args)
    }

    /// Starts our node with [`stub_args`](Self::stub_args) and more arguments, split at blanks.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn stub(&self, more: &str) -> Result<Stub> {
        let args = format!("{} {more}", self.stub_args()?);
        let args: Vec<_> = args.split_whitespace().collect();
        self.bare_stub(&args)
    }

    /// Starts our node with exactly these arguments.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn bare_stub(&self, args: &[&str]) -> Result<Stub> {
        let place = Place {
            namespace: &self.peer,
            program: &self.plan.program,
            folder: &self.folder,
            journal: &self.journal,
        };
        Stub::start(&place, args)
    }

    /// Brings both into one lockspace, and waits until both can take locks.
    ///
    /// # Errors
    ///
    /// When a step fails or takes too long.
    pub fn pair(&mut self, options: &PairOptions) -> Result<Pair> {
        let begun = self.kmsg.mark();
        let manager = self.start_manager()?;
        let PairOptions {
            lockspace,
            id,
            members,
            ..
        } = options;
        let mut args = format!("--lockspace {lockspace}={id:#x}");
        for (node, weight) in members.iter().filter(|(_, weight)| *weight != 1) {
            let _ = write!(args, " --weight {node}={weight}");
        }
        let _ = write!(args, " {}", options.stub_args);
        // The kernel listens first, so that nobody runs into a closed door and waits a second to knock again.
        let prepared = manager.prepare(&Space::new(lockspace, *id).members(members))?;
        let stub = self.stub(&args)?;
        let lockspace = prepared.start()?.finish(JOIN)?;
        stub.wait_event("joined", 0, JOIN)?;
        if self.kernel.speaks_opts() {
            self.kmsg
                .wait(&format!("for node {PEER_NODE} detected"), begun, DETECT)?;
        }
        Ok(Pair {
            manager,
            stub,
            lockspace,
        })
    }

    /// Notes something that was measured; its name ends with its unit.
    pub fn figure(&mut self, name: &str, value: impl Into<Measured>) {
        self.figures.insert(name.to_owned(), value.into().0);
    }

    /// Fails the case with `text` unless `good`.
    ///
    /// # Errors
    ///
    /// [`LabError::Unexpected`] unless `good`.
    pub fn require(&self, good: bool, text: impl FnOnce() -> String) -> Result<()> {
        if good {
            Ok(())
        } else {
            Err(LabError::unexpected(text()))
        }
    }

    /// A bad line of the kernel's log that is to be expected here, and why.
    pub fn allow_log(&mut self, text: &str, why: &str) {
        self.journal
            .note("log_allowed", &[("text", text.into()), ("why", why.into())]);
        self.allowed.push((text.to_owned(), why.to_owned()));
    }

    /// Runs a program in the kernel's namespace; its arguments are split at blanks.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn run_command(&self, program: &str, args: &str) -> Result<String> {
        self.journal
            .note("command", &[("program", program.into()), ("args", args.into())]);
        command::run(program, args)
    }

    /// The same in our namespace.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn run_peer_command(&self, program: &str, args: &str) -> Result<String> {
        self.journal.note(
            "peer_command",
            &[("program", program.into()), ("args", args.into())],
        );
        self.peer.within(|| command::run(program, args))
    }

    fn addresses(&self, end: impl Fn(&VethPair) -> &Vec<IpAddr>) -> Vec<IpAddr> {
        let links = match self.plan.transport {
            Transport::Tcp => 1,
            Transport::Sctp => usize::MAX,
        };
        let links = self.plan.network.links.iter().take(links);
        links.filter_map(|link| end(link).first().copied()).collect()
    }
}

impl Pair {
    /// The kernel leaves first, we follow, both in order.
    ///
    /// # Errors
    ///
    /// When a step takes longer than `limit`, or our node ends with another status than 0.
    pub fn leave(self, limit: Duration) -> Result<()> {
        self.settle(limit).map(drop)
    }

    /// The same; our node's last word, its account, comes back.
    ///
    /// # Errors
    ///
    /// As [`leave`](Self::leave).
    pub fn settle(self, limit: Duration) -> Result<Event> {
        let (status, account) = self.part(limit)?;
        if status.success() {
            return Ok(account);
        }
        Err(LabError::unexpected(format!(
            "the stub ended with {status}: {account}"
        )))
    }

    /// The same, however our node ends: one that has fenced somebody may have lost what was under way.
    ///
    /// # Errors
    ///
    /// When a step takes longer than `limit`.
    pub fn part(self, limit: Duration) -> Result<(ExitStatus, Event)> {
        let Self {
            lockspace, mut stub, ..
        } = self;
        let name = lockspace.name().to_owned();
        let leaving = lockspace.begin_leave()?;
        // As a real manager does: the node that stays is told, and only then says its own goodbye.
        stub.send(&format!("remove {KERNEL_NODE} ls={name}"))?;
        leaving.finish(limit)?;
        stub.close_input();
        let status = stub.ended(limit)?;
        Ok((status, stub.wait_event("ended", 0, limit)?))
    }
}

/// Something that can be a figure.
pub struct Measured(Figure);

impl From<u64> for Measured {
    fn from(count: u64) -> Self {
        Self(Figure::Count(count))
    }
}

impl From<f64> for Measured {
    fn from(measure: f64) -> Self {
        Self(Figure::Measure(measure))
    }
}

impl From<String> for Measured {
    fn from(text: String) -> Self {
        Self(Figure::Text(text))
    }
}

impl From<&str> for Measured {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

fn first(addresses: &[IpAddr]) -> Result<IpAddr> {
    let first = addresses.first().copied();
    first.ok_or_else(|| LabError::unexpected("the plan's network has no addresses"))
}
