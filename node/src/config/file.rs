//! Our own configuration file, in TOML. `node/example.toml` shows every key with its default.
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `node` | required | our own node id |
//! | `lockspace` | required | the group: a name, or an id as `0x12aabd2d` |
//! | `protocol` | `tcp` | `tcp`, `sctp` or `detect`: several addresses of our own node make SCTP, one makes TCP |
//! | `port` | 21064 | what everybody listens on |
//! | `mark` | 0 | `SO_MARK` of all sockets, 0 for none |
//! | `control` | none | path of the control socket |
//! | `corosync_conf` | none | file to take the nodes from, instead of `[[nodes]]` |
//! | `dlm_conf` | none | file to take `protocol` and `mark` from, unless they are set here |
//! | `hello` | true | do the minimal STATUS exchange; off for an application that takes part in recovery |
//! | `speak` | `3.2` | the newest version that we speak: `3.1` or `3.2` |
//! | `accept_3_1` | true | take peers that speak 3.1, which lose messages with every lost connection |
//! | `queue_bytes_max` | 16777216 | memory of a peer's send queue |
//! | `bare_bytes_max` | 65536 | bytes of frames that wait outside the send queue because they travel bare |
//! | `handle_queue_bytes_max` | 1048576 | bytes that handles may have waiting per peer |
//! | `read_buffer_bytes` | 262144 | bytes that are read at once |
//! | `ack_after_bytes` | 32768 | bytes that are acknowledged at the end of the read that brought them, 0 to 61440 |
//! | `links_per_peer_max` | 4 | links that a peer may have at once |
//! | `recover_timer_ms` | 5000 | how long an unanswered STATUS waits |
//! | `partial_frame_deadline_ms` | 30000 | how old an incomplete frame may be |
//! | `flush_deadline_ms` | 5000 | how long the close of a link may take |
//! | `dial_timeout_ms` | 5000 | how long a dial may take |
//! | `redial_delay_ms` | 1000 | pause after the first failed dial, then doubled |
//! | `redial_delay_ms_max` | 8000 | the longest such pause |
//! | `drain_deadline_ms` | 10000 | how long a removal waits for what handles have sent |
//! | `shutdown_deadline_ms` | 10000 | how long the termination of all peers may take |
//! | `unacked_age_ms_max` | 30000 | age of an unacknowledged message at which fencing is asked for |
//! | `version_wait_ms` | 5000 | how long a shutdown waits for a peer whose version is not known |
//! | `gap_reset_after_ms` | 500 | how long a number may be missing before the peer's links are reset, then doubled |
//! | `ack_delay_ms` | 100 | how long what came may stay unacknowledged when nothing takes the `ACK` along |
//! | `fin_resend_after_ms` | 500 | how long an unacknowledged `FIN` waits before the queue is sent again, then doubled |
//! | `tombstone_lifetime_ms` | 60000 | how long a finished conversation is remembered to answer a repeated `FIN` |
//! | `close_wait_warning_after_ms` | 30000 | when a missing removal of a finished peer is reported |
//! | `seed` | 0 | of the dialer's jitter |
//! | `[[nodes]]` | | a node, ourselves among them: `id`, `addresses`, perhaps `name` |

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dlmwire_codec::{LockspaceId, NodeId, Version};
use dlmwire_transport::Roster;
use serde::Deserialize;

use super::conf_lines::read_text;
use super::error::{FileError, Flaw};
use super::{NodeConfig, parse_lockspace, read_corosync_conf, read_dlm_conf};

/// The port of every DLM node unless said otherwise.
pub const PORT: u16 = 21064;

/// What our configuration file says, with every default filled in and every value checked.
#[derive(Clone, PartialEq, Debug)]
pub struct FileConfig {
    /// The node's settings.
    pub node: NodeConfig,
    /// What carries the frames. Whether this program has it is for whoever starts the node.
    pub carrier: Carrier,
    /// Who has which address, checked.
    pub roster: Roster,
    /// All nodes in the order of the file, ourselves among them.
    pub members: Vec<Member>,
    /// The port that everybody listens on.
    pub port: u16,
    /// `SO_MARK` of all sockets, 0 for none.
    pub mark: u32,
    /// Where the control socket is to be.
    pub control: Option<PathBuf>,
}

impl FileConfig {
    /// The other nodes' ids: those to be added as members.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        let own = self.node.engine.node;
        self.members
            .iter()
            .map(|member| member.node)
            .filter(move |node| *node != own)
    }
}

/// A configured node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// What people call it.
    pub name: Option<String>,
    /// Its addresses, at least one.
    pub addresses: Vec<IpAddr>,
}

/// What carries the frames, as `dlm.conf` says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, to each node's first address.
    #[default]
    Tcp,
    /// SCTP, with all addresses.
    Sctp,
    /// SCTP if our own node has several addresses, else TCP, as kernels decide it: the same on all nodes only if
    /// all have several or all have one. Decided from the configuration alone.
    Detect,
}

impl Protocol {
    /// The word or number of `dlm.conf`.
    pub(super) fn from_dlm_conf(value: &str) -> Option<Self> {
        match value {
            "tcp" | "0" => Some(Self::Tcp),
            "sctp" | "1" => Some(Self::Sctp),
            "detect" | "2" => Some(Self::Detect),
            _ => None,
        }
    }

    /// What it comes to for a node with so many addresses of its own.
    pub const fn carrier(self, own_addresses: usize) -> Carrier {
        match self {
            Self::Tcp => Carrier::Tcp,
            Self::Sctp => Carrier::Sctp,
            Self::Detect if own_addresses > 1 => Carrier::Sctp,
            Self::Detect => Carrier::Tcp,
        }
    }
}

/// What carries the frames, decided.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// TCP, to each node's first address.
    Tcp,
    /// SCTP, with all addresses.
    Sctp,
}

/// The word of the configuration, and of the cargo feature.
impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Sctp => "sctp",
        })
    }
}

/// Reads our configuration file, and those that it names; their paths are taken from its directory.
///
/// # Errors
///
/// The first flaw, with its file, and line, key and value where there are such.
pub fn read_toml(path: &Path) -> Result<FileConfig, FileError> {
    parse(&read_text(path)?, path)
}

/// The keys. What is not set is left to [`NodeConfig::new`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    node: u32,
    lockspace: String,
    protocol: Option<Protocol>,
    port: Option<u16>,
    mark: Option<u32>,
    control: Option<PathBuf>,
    corosync_conf: Option<PathBuf>,
    dlm_conf: Option<PathBuf>,
    hello: Option<bool>,
    speak: Option<Speak>,
    accept_3_1: Option<bool>,
    queue_bytes_max: Option<usize>,
    bare_bytes_max: Option<usize>,
    handle_queue_bytes_max: Option<usize>,
    read_buffer_bytes: Option<usize>,
    links_per_peer_max: Option<usize>,
    recover_timer_ms: Option<u64>,
    partial_frame_deadline_ms: Option<u64>,
    flush_deadline_ms: Option<u64>,
    dial_timeout_ms: Option<u64>,
    redial_delay_ms: Option<u64>,
    redial_delay_ms_max: Option<u64>,
    drain_deadline_ms: Option<u64>,
    shutdown_deadline_ms: Option<u64>,
    unacked_age_ms_max: Option<u64>,
    version_wait_ms: Option<u64>,
    gap_reset_after_ms: Option<u64>,
    ack_after_bytes: Option<usize>,
    ack_delay_ms: Option<u64>,
    fin_resend_after_ms: Option<u64>,
    tombstone_lifetime_ms: Option<u64>,
    close_wait_warning_after_ms: Option<u64>,
    seed: Option<u64>,
    #[serde(default)]
    nodes: Vec<NodeKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeKeys {
    id: u32,
    addresses: Vec<IpAddr>,
    name: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum Speak {
    #[serde(rename = "3.1")]
    V3_1,
    #[serde(rename = "3.2")]
    V3_2,
}

fn parse(text: &str, path: &Path) -> Result<FileConfig, FileError> {
    let keys: Keys = toml::from_str(text).map_err(|error| syntax(text, path, &error))?;
    let flaw = |flaw| FileError::new(path, None, flaw);
    let value = |key: &str, value: String, expected| {
        let key = key.to_owned();
        FileError::new(path, None, Flaw::Value { key, value, expected })
    };

    let own = NodeId::new(keys.node).ok_or_else(|| value("node", "0".to_owned(), "a node id from 1 on"))?;
    let lockspace = parse_lockspace(&keys.lockspace)
        .map_err(|expected| value("lockspace", keys.lockspace.clone(), expected))?;
    let dlm_conf = keys
        .dlm_conf
        .as_deref()
        .map(|other| read_dlm_conf(&beside(path, other)))
        .transpose()?;
    let dlm_conf = dlm_conf.unwrap_or_default();
    let members = match &keys.corosync_conf {
        Some(other) if keys.nodes.is_empty() => read_corosync_conf(&beside(path, other))?,
        Some(_) => {
            return Err(value(
                "corosync_conf",
                "set".to_owned(),
                "either corosync_conf or [[nodes]]",
            ));
        }
        None => listed(&keys.nodes).map_err(|id| value("nodes.id", id.to_string(), "a node id from 1 on"))?,
    };
    let port = keys.port.unwrap_or(PORT);
    let roster = roster(own, &members, port).map_err(flaw)?;
    let protocol = keys.protocol.or(dlm_conf.protocol).unwrap_or_default();
    let node = keys.settings(own, lockspace);
    node.check().map_err(|error| flaw(Flaw::Config(error)))?;
    Ok(FileConfig {
        node,
        carrier: protocol.carrier(roster.local().len()),
        roster,
        members,
        port,
        mark: keys.mark.or(dlm_conf.mark).unwrap_or_default(),
        control: keys.control.as_deref().map(|control| beside(path, control)),
    })
}

impl Keys {
    fn settings(&self, own: NodeId, lockspace: LockspaceId) -> NodeConfig {
        let mut node = NodeConfig::new(own, lockspace);
        let set = |value: &mut Duration, ms: Option<u64>| {
            if let Some(ms) = ms {
                *value = Duration::from_millis(ms);
            }
        };
        set(&mut node.recover_timer, self.recover_timer_ms);
        set(&mut node.partial_frame_deadline, self.partial_frame_deadline_ms);
        set(&mut node.flush_deadline, self.flush_deadline_ms);
        set(&mut node.dial_timeout, self.dial_timeout_ms);
        set(&mut node.redial_delay, self.redial_delay_ms);
        set(&mut node.redial_delay_max, self.redial_delay_ms_max);
        set(&mut node.drain_deadline, self.drain_deadline_ms);
        node.hello = self.hello.unwrap_or(node.hello);
        node.handle_queue_bytes_max = self.handle_queue_bytes_max.unwrap_or(node.handle_queue_bytes_max);
        node.read_buffer_bytes = self.read_buffer_bytes.unwrap_or(node.read_buffer_bytes);
        node.seed = self.seed.unwrap_or(node.seed);
        let engine = &mut node.engine;
        let nanoseconds = |ms: Option<u64>, default| ms.map_or(default, |ms| ms.saturating_mul(1_000_000));
        engine.shutdown_deadline = nanoseconds(self.shutdown_deadline_ms, engine.shutdown_deadline);
        engine.unacked_age_max = nanoseconds(self.unacked_age_ms_max, engine.unacked_age_max);
        engine.version_wait = nanoseconds(self.version_wait_ms, engine.version_wait);
        engine.gap_reset_after = nanoseconds(self.gap_reset_after_ms, engine.gap_reset_after);
        engine.ack_after_bytes = self.ack_after_bytes.unwrap_or(engine.ack_after_bytes);
        engine.ack_delay = nanoseconds(self.ack_delay_ms, engine.ack_delay);
        engine.fin_resend_after = nanoseconds(self.fin_resend_after_ms, engine.fin_resend_after);
        engine.tombstone_lifetime = nanoseconds(self.tombstone_lifetime_ms, engine.tombstone_lifetime);
        engine.close_wait_warning_after =
            nanoseconds(self.close_wait_warning_after_ms, engine.close_wait_warning_after);
        engine.bare_bytes_max = self.bare_bytes_max.unwrap_or(engine.bare_bytes_max);
        engine.accept_3_1 = self.accept_3_1.unwrap_or(engine.accept_3_1);
        engine.queue_bytes_max = self.queue_bytes_max.unwrap_or(engine.queue_bytes_max);
        engine.links_per_peer_max = self.links_per_peer_max.unwrap_or(engine.links_per_peer_max);
        engine.version = match self.speak {
            None => engine.version,
            Some(Speak::V3_1) => Version::V3_1,
            Some(Speak::V3_2) => Version::V3_2,
        };
        node
    }
}

/// The listed nodes, or an id that is none.
fn listed(nodes: &[NodeKeys]) -> Result<Vec<Member>, u32> {
    nodes
        .iter()
        .map(|keys| {
            let node = NodeId::new(keys.id).ok_or(keys.id)?;
            Ok(Member {
                node,
                name: keys.name.clone(),
                addresses: keys.addresses.clone(),
            })
        })
        .collect()
}

fn roster(own: NodeId, members: &[Member], port: u16) -> Result<Roster, Flaw> {
    let socket = |addresses: &[IpAddr]| -> Vec<SocketAddr> {
        addresses
            .iter()
            .map(|address| SocketAddr::new(*address, port))
            .collect()
    };
    let ours: Vec<&Member> = members.iter().filter(|member| member.node == own).collect();
    let local = match ours.as_slice() {
        [] => {
            return Err(Flaw::Missing {
                key: "nodes: our own node id",
            });
        }
        [member] => socket(&member.addresses),
        [..] => {
            return Err(Flaw::Roster(dlmwire_transport::RosterError::SameNode {
                node: own,
            }));
        }
    };
    let others = members.iter().filter(|member| member.node != own);
    let peers: Vec<_> = others
        .map(|member| (member.node, socket(&member.addresses)))
        .collect();
    Roster::new(own, local, peers).map_err(Flaw::Roster)
}

/// A path that a file names, from its own directory.
fn beside(file: &Path, other: &Path) -> PathBuf {
    file.parent()
        .map_or_else(|| other.to_owned(), |directory| directory.join(other))
}

/// What the TOML reader says, with the line.
fn syntax(text: &str, path: &Path, error: &toml::de::Error) -> FileError {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    FileError::new(path, line, Flaw::Syntax(error.message().to_owned()))
}

#[cfg(test)]
mod tests;
