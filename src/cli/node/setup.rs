//! What a node is to be, from a file or from the command line.

use std::fs::DirBuilder;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_node::NodeConfig;
use dlmwire_node::config::{
    FileConfig, Member, PORT, parse_lockspace, read_corosync_conf, read_dlm_conf, read_toml,
};
use dlmwire_transport::Roster;

use super::super::control::{default_path, node_id};
use super::super::error::Error;
use super::Args;

/// The group's name unless told.
const LOCKSPACE: &str = "dlmwire";

/// A node's settings, whichever way they were told.
pub(super) struct Setup {
    pub(super) file: FileConfig,
    /// Where the settings come from, for complaints.
    pub(super) place: PathBuf,
    pub(super) control: PathBuf,
    /// Nobody told where the control socket is to be.
    pub(super) control_is_default: bool,
    /// How long leaving may take.
    pub(super) shutdown_deadline: Duration,
}

/// Another node, as `--peer` names it.
#[derive(Clone)]
pub(in crate::cli) struct Peer {
    pub(in crate::cli) node: NodeId,
    /// At least one.
    pub(in crate::cli) addresses: Vec<SocketAddr>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, addresses) = text.split_once('=').ok_or("expected ID=ADDR[:PORT],..")?;
        Ok(Self {
            node: node_id(node)?,
            addresses: addresses.split(',').map(address).collect::<Result<_, _>>()?,
        })
    }
}

/// An address, with the port of DLM unless it has one.
pub(in crate::cli) fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = || {
        text.parse::<IpAddr>()
            .map(|address| SocketAddr::new(address, PORT))
    };
    text.parse()
        .or_else(|_| bare())
        .map_err(|_| "expected an IP address, perhaps with a port".to_owned())
}

impl Setup {
    pub(super) fn read(args: &Args) -> Result<Self, Error> {
        let (mut file, place) = match (&args.config, args.id) {
            (Some(path), _) => {
                let mut file = read_toml(path).map_err(Error::Config)?;
                dial_elsewhere(&mut file, &args.peer)?;
                (file, path.clone())
            }
            (None, Some(id)) => (from_arguments(args, id)?, "node".into()),
            (None, None) => return Err(contradiction("--id", "is missing".to_owned())),
        };
        let told = args.shutdown_deadline.map(Duration::from_secs);
        let engine = &mut file.node.engine;
        let shutdown_deadline = told.unwrap_or(Duration::from_nanos(engine.shutdown_deadline));
        engine.shutdown_deadline = u64::try_from(shutdown_deadline.as_nanos()).unwrap_or(u64::MAX);
        // Whoever still waits for an answer is to find one.
        engine.tombstone_lifetime = engine.tombstone_lifetime.max(engine.shutdown_deadline);
        file.node.drain_deadline = file.node.drain_deadline.min(shutdown_deadline);
        let control = args.control.clone().or_else(|| file.control.clone());
        let own = file.node.engine.node;
        Ok(Self {
            place,
            control_is_default: control.is_none(),
            control: control.unwrap_or_else(|| default_path(own)),
            shutdown_deadline,
            file,
        })
    }

    pub(super) fn node(&self) -> NodeId {
        self.file.node.engine.node
    }

    /// The other nodes that have an address.
    pub(super) fn peers(&self) -> Vec<NodeId> {
        self.file.peers().collect()
    }
}

/// Puts other addresses in the place of a file's.
fn dial_elsewhere(file: &mut FileConfig, elsewhere: &[Peer]) -> Result<(), Error> {
    if elsewhere.is_empty() {
        return Ok(());
    }
    let roster = &file.roster;
    if let Some(peer) = elsewhere.iter().find(|peer| roster.peer(peer.node).is_none()) {
        return Err(contradiction(
            "--peer",
            format!("node {} is no other node of --config", peer.node),
        ));
    }
    let peers: Vec<_> = roster
        .peers()
        .map(
            |(node, addresses)| match elsewhere.iter().find(|peer| peer.node == node) {
                Some(peer) => (node, peer.addresses.clone()),
                None => (node, addresses.to_vec()),
            },
        )
        .collect();
    let changed = Roster::new(roster.node(), roster.local().to_vec(), peers);
    file.roster = changed.map_err(|error| contradiction("--peer", error.to_string()))?;
    Ok(())
}

/// As a file would say it.
fn from_arguments(args: &Args, own: NodeId) -> Result<FileConfig, Error> {
    let name = args.lockspace.as_deref().unwrap_or(LOCKSPACE);
    let lockspace = parse_lockspace(name)
        .map_err(|expected| contradiction("--lockspace", format!("{name:?}: expected {expected}")))?;
    let conf = args
        .dlm_conf
        .as_deref()
        .map(read_dlm_conf)
        .transpose()
        .map_err(Error::Config)?
        .unwrap_or_default();
    let (members, roster) = match &args.corosync_conf {
        Some(path) => {
            let members = read_corosync_conf(path).map_err(Error::Config)?;
            let roster = roster_of(own, &members, path)?;
            (members, roster)
        }
        None => {
            let roster = roster_from(own, &args.listen, &args.peer)?;
            (members_of(&roster), roster)
        }
    };
    let protocol = args.transport.or(conf.protocol).unwrap_or_default();
    Ok(FileConfig {
        node: NodeConfig::new(own, lockspace),
        carrier: protocol.carrier(roster.local().len()),
        port: roster.local().first().map_or(PORT, SocketAddr::port),
        roster,
        members,
        mark: conf
            .node_marks
            .get(&own)
            .copied()
            .or(conf.mark)
            .unwrap_or_default(),
        control: None,
    })
}

/// Who has which address as `--listen` and `--peer` say it.
pub(in crate::cli) fn roster_from(
    own: NodeId,
    listen: &[SocketAddr],
    peers: &[Peer],
) -> Result<Roster, Error> {
    if listen.is_empty() {
        return Err(contradiction("--listen", "is missing".to_owned()));
    }
    let peers = peers.iter().map(|peer| (peer.node, peer.addresses.clone()));
    Roster::new(own, listen.to_vec(), peers).map_err(|error| contradiction("--peer", error.to_string()))
}

/// The same as a file lists it, ourselves first.
pub(in crate::cli) fn members_of(roster: &Roster) -> Vec<Member> {
    let member = |node, addresses: &[SocketAddr]| Member {
        node,
        name: None,
        addresses: addresses.iter().map(SocketAddr::ip).collect(),
    };
    let ours = member(roster.node(), roster.local());
    let others = roster.peers().map(|(node, addresses)| member(node, addresses));
    std::iter::once(ours).chain(others).collect()
}

/// Who has which address by a corosync.conf. TCP knows a node by its first address; the others are known too.
fn roster_of(own: NodeId, members: &[Member], path: &Path) -> Result<Roster, Error> {
    let flaw = |reason: String| Error::Unread {
        place: path.to_owned(),
        reason,
    };
    let addresses = |member: &Member| -> Vec<SocketAddr> {
        member
            .addresses
            .iter()
            .map(|address| SocketAddr::new(*address, PORT))
            .collect()
    };
    let ours: Vec<&Member> = members.iter().filter(|member| member.node == own).collect();
    let [ours] = ours.as_slice() else {
        return Err(flaw(format!(
            "{} nodes have our own id {own}, not one",
            ours.len()
        )));
    };
    let others = members.iter().filter(|member| member.node != own);
    let others: Vec<_> = others.map(|member| (member.node, addresses(member))).collect();
    Roster::new(own, addresses(ours), others).map_err(|error| flaw(error.to_string()))
}

/// The directory of default control sockets, for this user only.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn contradiction(place: &'static str, reason: String) -> Error {
    Error::Unread {
        place: place.into(),
        reason,
    }
}
