//! Standard input: read, understood, carried out, one line after the other.

use std::io::{self, BufReader};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_node::{HandleError, NodeHandle};

use super::leave::Leave;
use super::line::{Failed, Status};
use super::order::{LINE_BYTES_MAX, Line, Lines, Order, Target};
use super::outlet::Outlet;
use super::setup::Setup;

const BUFFER_BYTES: usize = 64 << 10;

/// How long one wait for room lasts; it is begun again until there is room or none to be had.
const WAIT: Duration = Duration::from_secs(5);

/// How long to let the loop work off its commands before one more is offered.
const PAUSE: Duration = Duration::from_millis(5);

/// Begins to read. The thread ends with the process.
pub(super) fn start(
    handle: NodeHandle,
    setup: &Setup,
    outlet: Arc<Outlet>,
    leave: Leave,
    exit_on_eof: bool,
) -> io::Result<()> {
    let feed = Feed {
        handle,
        lockspace: setup.file.node.lockspace,
        peers: setup.peers(),
        outlet,
        leave,
    };
    let reader = move || {
        let read = feed.read();
        if let Err(error) = &read {
            tracing::error!("standard input: {error}");
        }
        if exit_on_eof {
            feed.leave.begin();
        }
    };
    thread::Builder::new()
        .name("dlmwire-input".to_owned())
        .spawn(reader)?;
    Ok(())
}

struct Feed {
    handle: NodeHandle,
    lockspace: LockspaceId,
    peers: Vec<NodeId>,
    outlet: Arc<Outlet>,
    leave: Leave,
}

impl Feed {
    fn read(&self) -> io::Result<()> {
        let mut lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin()));
        while let Some(line) = lines.next()? {
            let done = match line {
                Line::TooLong => Err(format!("line exceeds limit {LINE_BYTES_MAX}")),
                Line::Whole(bytes) if bytes.trim_ascii().is_empty() => Ok(()),
                Line::Whole(bytes) => Order::parse(bytes).and_then(|order| self.carry_out(order)),
            };
            if let Err(error) = done {
                self.outlet.tell(&Failed {
                    error: &error,
                    line: lines.count(),
                });
            }
        }
        Ok(())
    }

    fn carry_out(&self, order: Order) -> Result<(), String> {
        match order {
            Order::Send {
                to,
                lockspace,
                payload,
            } => {
                let lockspace = lockspace.unwrap_or(self.lockspace);
                match to {
                    Target::Node(node) => self
                        .send(node, lockspace, &payload)
                        .map_err(|error| about(node, error)),
                    Target::All => self.send_all(lockspace, &payload),
                }
            }
            Order::Add(node, lockspace) => self.add(node, lockspace.unwrap_or(self.lockspace)),
            Order::Remove(node, lockspace) => {
                let lockspace = lockspace.unwrap_or(self.lockspace);
                patiently(|| self.handle.remove_member(node, lockspace)).map_err(|error| about(node, error))
            }
            Order::Fence(node) => patiently(|| self.handle.fence(node)).map_err(|error| about(node, error)),
            Order::Status => {
                let status = self.handle.status(WAIT).map_err(|error| error.to_string())?;
                self.outlet.tell(&Status { status: &status });
                Ok(())
            }
            Order::Shutdown => {
                self.leave.begin();
                Ok(())
            }
        }
    }

    /// Sends when there is room: until then nothing more is read.
    fn send(&self, node: NodeId, lockspace: LockspaceId, payload: &[u8]) -> Result<(), HandleError> {
        loop {
            match self.handle.send_wait(node, lockspace, payload, WAIT) {
                Err(HandleError::TimedOut) => {}
                done => return done,
            }
        }
    }

    /// To all members that are not fenced.
    fn send_all(&self, lockspace: LockspaceId, payload: &[u8]) -> Result<(), String> {
        for node in &self.peers {
            match self.send(*node, lockspace, payload) {
                Ok(()) | Err(HandleError::UnknownNode | HandleError::Fenced) => {}
                Err(error) => return Err(about(*node, error)),
            }
        }
        Ok(())
    }

    fn add(&self, node: NodeId, lockspace: LockspaceId) -> Result<(), String> {
        if node != self.handle.node() && !self.peers.contains(&node) {
            return Err(format!("node {node}: no address is configured"));
        }
        patiently(|| self.handle.add_member(node, lockspace)).map_err(|error| about(node, error))
    }
}

/// Posts a command when there is room for it.
fn patiently(mut post: impl FnMut() -> Result<(), HandleError>) -> Result<(), HandleError> {
    loop {
        match post() {
            Err(HandleError::QueueFull) => thread::sleep(PAUSE),
            done => return done,
        }
    }
}

fn about(node: NodeId, error: HandleError) -> String {
    format!("node {node}: {error}")
}
