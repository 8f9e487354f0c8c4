//! A lockspace of the kernel's, from its creation to its end. spec: kernel-lab 2, steps 5 to 11.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::control;
use super::error::{At, LabError, Result};
use super::init::{read_file, write_file};
use super::locks::LockClient;
use super::manager::{Manager, Request, control_request, make_directory, numbers_in, remove_directory};
use super::wait;
use super::work::{WorkPlan, Worker};

/// How long the kernel may take for what it does without a peer.
const LOCAL: Duration = Duration::from_secs(10);
/// In `recover_status` of the node with the lowest id: everybody is done.
const DONE_ALL: u32 = 0x80;
/// In `recover_status`: this node is done.
const DONE: u32 = 0x40;

/// A lockspace to be created.
#[derive(Clone, Debug)]
pub struct Space {
    /// Its name.
    pub name: String,
    /// Its id, the same on all nodes.
    pub id: u32,
    /// Its members and their weights; weight 0 keeps a node from being directory of anything.
    pub members: Vec<(u32, u32)>,
    /// Flags of the creation; 0 as a rule.
    pub flags: u32,
    /// Without a directory: masters by hash.
    pub nodir: bool,
}

/// A lockspace under creation whose members are told but not yet sought: the kernel listens already.
pub struct Prepared {
    lockspace: Lockspace,
    request: Request,
}

/// A lockspace under creation: the kernel waits for its members.
pub struct Joining {
    lockspace: Lockspace,
    request: Request,
}

/// A lockspace under removal: the kernel says goodbye to its peers.
pub struct Leaving {
    lockspace: Lockspace,
    request: Request,
}

/// A lockspace that exists. Clones are the same one.
#[derive(Clone)]
pub struct Lockspace {
    manager: Manager,
    name: Arc<str>,
}

impl Space {
    /// Nodes 1 and 2 with equal weights.
    pub fn new(name: &str, id: u32) -> Self {
        Self {
            name: name.to_owned(),
            id,
            members: vec![(1, 1), (2, 1)],
            flags: 0,
            nodir: false,
        }
    }

    /// The same with these members and weights.
    pub fn members(mut self, members: &[(u32, u32)]) -> Self {
        self.members = members.to_vec();
        self
    }
}

impl Prepared {
    pub(super) fn begin(manager: &Manager, space: &Space) -> Result<Self> {
        let lockspace = Lockspace::named(manager, &space.name);
        let mark = manager.shared().uevents.mark();
        manager.note(
            "create",
            &[("lockspace", space.name.clone().into()), ("id", space.id.into())],
        );
        let request = control_request("creation", control::create_request(&space.name, space.flags))?;
        manager.opened(&space.name);
        manager
            .wait_uevent("online", &space.name, mark, LOCAL)
            .map_err(|error| {
                // The kernel says best itself why it did not even ask.
                if request.is_finished() {
                    LabError::unexpected(format!("{error}; the creation returned at once"))
                } else {
                    error
                }
            })?;
        lockspace.write("id", &space.id.to_string())?;
        if space.nodir {
            lockspace.write("nodir", "1")?;
        }
        make_directory(&lockspace.space())?;
        for (node, weight) in &space.members {
            lockspace.add_node(*node, *weight)?;
        }
        Ok(Self { lockspace, request })
    }

    /// Starts the recovery and tells the kernel that everything is set.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start(self) -> Result<Joining> {
        let Self { lockspace, request } = self;
        lockspace.start()?;
        lockspace.answer()?;
        Ok(Joining { lockspace, request })
    }
}

impl Joining {
    /// Waits until the lockspace is created and its first recovery done.
    ///
    /// # Errors
    ///
    /// When that does not happen within `limit`, or the kernel gives up.
    pub fn finish(self, limit: Duration) -> Result<Lockspace> {
        let Self { lockspace, request } = self;
        let minor = request.finish(&lockspace.name, limit)?;
        lockspace.note("created", &[("minor", minor.into())]);
        lockspace.wait_recovered(limit)?;
        lockspace.snapshot("joined");
        Ok(lockspace)
    }

    /// Whether the kernel has created it, or given up.
    pub fn is_finished(&self) -> bool {
        self.request.is_finished()
    }

    /// The lockspace, to look at while it is joined.
    pub fn lockspace(&self) -> &Lockspace {
        &self.lockspace
    }
}

impl Leaving {
    /// Waits until the lockspace is gone: the last one says goodbye to its peers first.
    ///
    /// # Errors
    ///
    /// When that does not happen within `limit`.
    pub fn finish(self, limit: Duration) -> Result<()> {
        self.request.finish(&self.lockspace.name, limit)?;
        self.lockspace.note("left", &[]);
        Ok(())
    }

    /// Whether it is gone.
    pub fn is_finished(&self) -> bool {
        self.request.is_finished()
    }
}

impl Lockspace {
    /// One that exists already, or is under creation.
    pub(super) fn named(manager: &Manager, name: &str) -> Self {
        Self {
            manager: manager.clone(),
            name: name.into(),
        }
    }

    /// Waits until the creation has gone so far that there is a device.
    pub(super) fn wait_device(&self, limit: Duration) -> Result<()> {
        let waited_for = format!("the device of lockspace {}", self.name);
        wait::until(&waited_for, limit, || Ok(self.minor().ok().map(drop)))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new client with locks of its own.
    ///
    /// # Errors
    ///
    /// When its device cannot be opened.
    pub fn client(&self) -> Result<LockClient> {
        LockClient::open(&self.name, &self.manager.shared().journal)
    }

    /// Begins many locks and unlocks.
    ///
    /// # Errors
    ///
    /// When its device cannot be opened.
    pub fn work(&self, plan: WorkPlan) -> Result<Worker> {
        Worker::begin(&self.name, plan, &self.manager.shared().journal)
    }

    /// The status bits of its recovery: 1 NODES, 4 DIR, 16 LOCKS, 64 DONE, each twice for "all".
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn recover_status(&self) -> Result<u32> {
        let path = self.sysfs().join("recover_status");
        let text = read_file(&path)?;
        let digits = text.trim_start_matches("0x");
        let number = u32::from_str_radix(digits, 16);
        number.map_err(|_| LabError::unexpected(format!("{}: {text:?}", path.display())))
    }

    /// Waits until the recovery is done on all members.
    ///
    /// # Errors
    ///
    /// When it is not within `limit`; the status seen last is in the error.
    pub fn wait_recovered(&self, limit: Duration) -> Result<()> {
        let waited_for = format!("the recovery of lockspace {} (status ff)", self.name);
        let done = |status: &u32| status & (DONE_ALL | DONE) == DONE_ALL | DONE;
        wait::until_value(&waited_for, limit, || self.recover_status(), done)?;
        self.note("recovered", &[]);
        Ok(())
    }

    /// Stops it: nothing is granted, requests block until [`start`](Self::start) and a recovery.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn stop(&self) -> Result<()> {
        self.note("stop", &[]);
        self.write("control", "0")
    }

    /// Starts a recovery with the members as they are now.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start(&self) -> Result<()> {
        self.note("start", &[]);
        self.write("control", "1")
    }

    /// Changes the members, while stopped.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn change_members(&self, members: &[(u32, u32)]) -> Result<()> {
        for node in numbers_in(&self.space().join("nodes"))? {
            if !members.iter().any(|(member, _)| *member == node) {
                self.remove_node(node)?;
            }
        }
        for (node, weight) in members {
            if !self.node(*node).exists() {
                self.add_node(*node, *weight)?;
            }
        }
        Ok(())
    }

    /// Stops, changes the members to these and starts the recovery; does not wait for it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step.
    pub fn set_members(&self, members: &[(u32, u32)]) -> Result<()> {
        self.stop()?;
        self.change_members(members)?;
        self.start()
    }

    /// Begins to leave; the members are taken away as the kernel asks for it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step. Open clients do not hinder it.
    pub fn begin_leave(self) -> Result<Leaving> {
        let minor = self.minor()?;
        self.snapshot("before leaving");
        let mark = self.manager.shared().uevents.mark();
        self.note("leave", &[]);
        let request = control_request("removal", control::remove_request(minor))?;
        self.manager.closed(&self.name);
        self.manager.wait_uevent("offline", &self.name, mark, LOCAL)?;
        for node in numbers_in(&self.space().join("nodes"))? {
            self.remove_node(node)?;
        }
        remove_directory(&self.space())?;
        self.answer()?;
        Ok(Leaving {
            lockspace: self,
            request,
        })
    }

    /// Leaves and waits until the lockspace is gone.
    ///
    /// # Errors
    ///
    /// When the kernel refuses a step, or it is not gone within `limit`.
    pub fn leave(self, limit: Duration) -> Result<()> {
        self.begin_leave()?.finish(limit)
    }

    fn minor(&self) -> Result<u32> {
        let path = PathBuf::from(format!("/dev/dlm_{}", self.name));
        let stat = rustix::fs::stat(&path).at("look at", &path)?;
        Ok(rustix::fs::minor(stat.st_rdev))
    }

    fn add_node(&self, node: u32, weight: u32) -> Result<()> {
        let directory = self.node(node);
        make_directory(&directory)?;
        write_file(directory.join("nodeid"), node.to_string())?;
        write_file(directory.join("weight"), weight.to_string())?;
        self.note(
            "member_added",
            &[("node", node.into()), ("weight", weight.into())],
        );
        Ok(())
    }

    fn remove_node(&self, node: u32) -> Result<()> {
        self.note("member_removed", &[("node", node.into())]);
        remove_directory(&self.node(node))
    }

    fn snapshot(&self, what: &str) {
        let debugfs = &self.manager.shared().debugfs;
        debugfs.snapshot(&format!("lockspace {}: {what}", self.name));
    }

    /// Tells the kernel that what it announced is done.
    fn answer(&self) -> Result<()> {
        self.write("event_done", "0")
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        write_file(self.sysfs().join(file), text)
    }

    fn sysfs(&self) -> PathBuf {
        Path::new("/sys/kernel/dlm").join(&*self.name)
    }

    fn space(&self) -> PathBuf {
        self.manager.shared().cluster.join("spaces").join(&*self.name)
    }

    fn node(&self, node: u32) -> PathBuf {
        self.space().join("nodes").join(node.to_string())
    }

    fn note(&self, event: &str, fields: &[(&str, serde_json::Value)]) {
        let mut all = vec![("lockspace", (*self.name).into())];
        all.extend_from_slice(fields);
        self.manager.note(event, &all);
    }
}
