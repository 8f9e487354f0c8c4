//! A network of namespaces, one a node, on a bridge in one more.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::tools::{missing, must, run};

/// The port of every node, as the kernels'.
pub(crate) const PORT: u16 = 21064;

/// Everything to and from [`PORT`] is turned away with a reset.
const RESET: &str = "reject with tcp reset";

/// Nodes from 1 on, each `10.77.x.node` at `eth0` of a namespace of its own.
pub(crate) struct Lab {
    name: String,
    third: u8,
    /// Namespaces made, in order; only these are removed.
    made: Vec<String>,
}

impl Lab {
    /// A network for a test; `None`, told loudly, where it cannot run.
    pub(crate) fn new(test: &str, nodes: u8, tools: &[&str]) -> Option<Self> {
        static LABS: AtomicU8 = AtomicU8::new(0);
        let third = LABS.fetch_add(1, Ordering::Relaxed);
        let mut lab = Self {
            name: format!("dlmwire{}-{third}", std::process::id()),
            third,
            made: Vec::new(),
        };
        let reason = missing(tools).or_else(|| lab.make("bridge").err());
        if let Some(reason) = reason {
            eprintln!("SKIPPED root_{test}: {reason}");
            return None;
        }
        lab.build(nodes);
        Some(lab)
    }

    fn build(&mut self, nodes: u8) {
        let bridge = self.bridge();
        must(&format!("ip -n {bridge} link add br0 up type bridge"));
        for node in 1..=nodes {
            self.make(&node.to_string())
                .expect("one more namespace can be made");
            let namespace = self.namespace(node);
            must(&format!(
                "ip -n {bridge} link add port{node} up master br0 type veth peer name eth0 netns {namespace}"
            ));
            must(&format!("ip -n {namespace} link set lo up"));
            must(&format!("ip -n {namespace} link set eth0 up"));
            must(&format!(
                "ip -n {namespace} address add {}/24 dev eth0",
                self.address(node)
            ));
        }
    }

    fn make(&mut self, end: &str) -> Result<(), String> {
        let namespace = format!("{}-{end}", self.name);
        let output = run(&format!("ip netns add {namespace}"));
        if !output.status.success() {
            return Err(format!(
                "no namespace can be made: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        self.made.push(namespace);
        Ok(())
    }

    fn bridge(&self) -> String {
        format!("{}-bridge", self.name)
    }

    pub(crate) fn namespace(&self, node: u8) -> String {
        format!("{}-{node}", self.name)
    }

    pub(crate) const fn address(&self, node: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.third, node)
    }

    /// A name for a file, nobody else's.
    pub(crate) fn file(&self, end: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("{}-{end}", self.name))
    }

    /// Runs a command as a node; the test fails if it does.
    pub(crate) fn must(&self, node: u8, line: &str) -> String {
        must(&format!("ip netns exec {} {line}", self.namespace(node)))
    }

    /// A command to be started as a node.
    pub(crate) fn command(&self, node: u8, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace(node)])
            .arg(program);
        command
    }

    /// Does something in a thread whose sockets are a node's.
    pub(crate) fn within<T: Send>(&self, node: u8, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace(node));
        let thread = move || {
            let namespace = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace");
            work()
        };
        thread::scope(|scope| scope.spawn(thread).join().expect("the work does not panic"))
    }

    /// Kills a node's established connections: those that it made, those that it accepted, or both.
    pub(crate) fn kill_connections(&self, node: u8, whose: Whose) {
        let filter = match whose {
            Whose::Dialed => format!("( dport = :{PORT} )"),
            Whose::Accepted => format!("( sport = :{PORT} )"),
            Whose::All => format!("( sport = :{PORT} or dport = :{PORT} )"),
        };
        must(&format!(
            "ss -N {} -K -Htn state established {filter}",
            self.namespace(node)
        ));
    }

    /// A node's established connections, as their pairs of addresses.
    pub(crate) fn connections(&self, node: u8) -> Vec<String> {
        let filter = format!("( sport = :{PORT} or dport = :{PORT} )");
        let found = must(&format!(
            "ss -N {} -Htn state established {filter}",
            self.namespace(node)
        ));
        let ends = |line: &str| {
            line.split_whitespace()
                .skip(2)
                .take(2)
                .collect::<Vec<_>>()
                .join(" ")
        };
        found.lines().map(ends).collect()
    }

    /// From now on a node answers whatever comes to or from [`PORT`] with a reset.
    pub(crate) fn reject(&self, node: u8) {
        self.filter(node, RESET);
    }

    /// From now on a node hears nothing to or from [`PORT`].
    pub(crate) fn deafen(&self, node: u8) {
        self.filter(node, "drop");
    }

    fn filter(&self, node: u8, what: &str) {
        self.must(
            node,
            &format!(
                "nft add table inet cut ; \
                 add chain inet cut in {{ type filter hook input priority 0 ; }} ; \
                 add rule inet cut in tcp dport {PORT} {what} ; \
                 add rule inet cut in tcp sport {PORT} {what}"
            ),
        );
    }

    /// From now on a node hears no answer to the connections that it asks `target` for.
    pub(crate) fn deafen_to(&self, node: u8, target: SocketAddr) {
        self.must(
            node,
            &format!(
                "nft add table inet cut ; \
                 add chain inet cut in {{ type filter hook input priority 0 ; }} ; \
                 add rule inet cut in ip saddr {} tcp sport {} drop",
                target.ip(),
                target.port()
            ),
        );
    }

    /// Ends [`reject`](Self::reject) or [`deafen`](Self::deafen).
    pub(crate) fn unfilter(&self, node: u8) {
        self.must(node, "nft delete table inet cut");
    }

    /// Takes a node's interface down or up.
    pub(crate) fn set_interface(&self, node: u8, up: bool) {
        let state = if up { "up" } else { "down" };
        must(&format!("ip -n {} link set eth0 {state}", self.namespace(node)));
    }

    /// Unplugs a node's cable, or plugs it in.
    pub(crate) fn set_cable(&self, node: u8, plugged: bool) {
        let state = if plugged { "up" } else { "down" };
        must(&format!("ip -n {} link set port{node} {state}", self.bridge()));
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in &self.made {
            let _gone = run(&format!("ip netns delete {namespace}"));
        }
    }
}

/// Which connections of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    Dialed,
    Accepted,
    All,
}
