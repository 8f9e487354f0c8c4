//! What the user says of the cluster: ports, nodes, lockspaces. The same for every verb that reads captures.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_interop::capture;

/// Lockspaces that have the same name in every cluster: those of lvmlockd and of clvmd.
const WELL_KNOWN: [&str; 2] = ["lvm_global", "clvmd"];

/// Which cluster, and which part of it.
#[derive(clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Port that means DLM, instead of 21064; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,

    /// `ID=ADDRESS` tells which node has an address, where the capture does not; `ID` alone selects the
    /// messages from and to a node. May be given several times
    #[arg(long, value_name = "ID[=ADDRESS]")]
    node: Vec<NodeArg>,

    /// `NAME` or `0xID` selects a lockspace, and NAME is shown for the id that dlm_controld derives from it.
    /// `=NAME` and `0xID=NAME` give a name without selecting. May be given several times
    #[arg(long, value_name = "[0xID=]NAME")]
    lockspace: Vec<LockspaceArg>,
}

impl ClusterArgs {
    /// How captures are to be read.
    pub(crate) fn options(&self) -> capture::Options {
        let mut options = capture::Options::default();
        if !self.port.is_empty() {
            options.ports.clone_from(&self.port);
        }
        options
    }

    /// Addresses whose nodes were told.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (NodeId, IpAddr)> {
        self.node.iter().filter_map(|arg| Some((arg.node, arg.address?)))
    }

    /// Whether messages between these nodes are selected.
    pub(crate) fn selects_nodes(&self, from: Option<NodeId>, to: Option<NodeId>) -> bool {
        let mut selected = self
            .node
            .iter()
            .filter(|arg| arg.address.is_none())
            .map(|arg| Some(arg.node))
            .peekable();
        selected.peek().is_none() || selected.any(|node| node == from || node == to)
    }

    /// Whether messages of this lockspace, `None` for those of no lockspace, are selected.
    pub(crate) fn selects_lockspace(&self, lockspace: Option<LockspaceId>) -> bool {
        let mut selected = self.lockspace.iter().filter(|arg| arg.selects).peekable();
        selected.peek().is_none() || selected.any(|arg| Some(arg.id) == lockspace)
    }

    /// The lockspaces whose names are known.
    pub(crate) fn lockspace_names(&self) -> LockspaceNames {
        let known = WELL_KNOWN
            .iter()
            .map(|name| (LockspaceId::from_name(name.as_bytes()), (*name).to_owned()));
        let told = self
            .lockspace
            .iter()
            .filter_map(|arg| Some((arg.id, arg.name.clone()?)));
        LockspaceNames {
            names: known.chain(told).collect(),
        }
    }
}

/// Names of lockspaces by id.
pub(crate) struct LockspaceNames {
    names: BTreeMap<LockspaceId, String>,
}

impl LockspaceNames {
    /// The name that belongs to an id, if it is known.
    pub(crate) fn name(&self, id: LockspaceId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// The name, or the id where none is known.
    pub(crate) fn show(&self, id: LockspaceId) -> impl fmt::Display + '_ {
        fmt::from_fn(move |f| match self.name(id) {
            Some(name) => f.pad(name),
            None => f.pad(&id.to_string()),
        })
    }
}

impl From<LockspaceNames> for BTreeMap<LockspaceId, String> {
    fn from(names: LockspaceNames) -> Self {
        names.names
    }
}

#[derive(Clone, Copy)]
struct NodeArg {
    node: NodeId,
    address: Option<IpAddr>,
}

#[derive(Clone)]
struct LockspaceArg {
    id: LockspaceId,
    name: Option<String>,
    selects: bool,
}

/// What is wrong with a `--node` or a `--lockspace`. clap shows it behind the value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClusterArgError {
    NodeId,
    Address,
    LockspaceId,
    LockspaceName,
}

impl fmt::Display for ClusterArgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeId => "a node id is a number from 1 to 4294967295",
            Self::Address => "behind = has to stand an IPv4 or IPv6 address",
            Self::LockspaceId => "a lockspace id is 0x and up to 8 hexadecimal digits",
            Self::LockspaceName => "a lockspace name has 1 to 64 bytes",
        })
    }
}

impl std::error::Error for ClusterArgError {}

impl FromStr for NodeArg {
    type Err = ClusterArgError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (node, address) = match text.split_once('=') {
            None => (text, None),
            Some((node, address)) => {
                let address = address.parse().map_err(|_| ClusterArgError::Address)?;
                (node, Some(address))
            }
        };
        let node = node
            .parse()
            .ok()
            .and_then(NodeId::new)
            .ok_or(ClusterArgError::NodeId)?;
        Ok(Self { node, address })
    }
}

impl FromStr for LockspaceArg {
    type Err = ClusterArgError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some(("", name)) => Self::named(name, false),
            Some((id, name)) => {
                let id = lockspace_id(id).ok_or(ClusterArgError::LockspaceId)?;
                Ok(Self {
                    id,
                    ..Self::named(name, false)?
                })
            }
            None => match lockspace_id(text) {
                Some(id) => Ok(Self {
                    id,
                    name: None,
                    selects: true,
                }),
                None => Self::named(text, true),
            },
        }
    }
}

impl LockspaceArg {
    fn named(name: &str, selects: bool) -> Result<Self, ClusterArgError> {
        if name.is_empty() || name.len() > 64 {
            return Err(ClusterArgError::LockspaceName);
        }
        Ok(Self {
            id: LockspaceId::from_name(name.as_bytes()),
            name: Some(name.to_owned()),
            selects,
        })
    }
}

fn lockspace_id(text: &str) -> Option<LockspaceId> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok().map(LockspaceId::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(node: &[&str], lockspace: &[&str]) -> ClusterArgs {
        ClusterArgs {
            port: Vec::new(),
            node: node.iter().map(|text| text.parse().unwrap()).collect(),
            lockspace: lockspace.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn node_with_address_tells_and_node_alone_selects() {
        let node = NodeId::new;
        let told = cluster(&["2=10.0.0.2", "3=fd00::3"], &[]);
        assert!(told.selects_nodes(node(7), None));
        assert_eq!(told.addresses().count(), 2);
        let selected = cluster(&["2=10.0.0.2", "2"], &[]);
        assert!(selected.selects_nodes(node(1), node(2)));
        assert!(selected.selects_nodes(node(2), None));
        assert!(!selected.selects_nodes(node(1), node(3)));
        assert!(!selected.selects_nodes(node(1), None));
    }

    #[test]
    fn lockspace_selects_unless_it_only_gets_a_name() {
        let id = LockspaceId::new(0x6b1f_7a52);
        let told = cluster(&[], &["0x6b1f7a52=scratch", "=other"]);
        assert!(told.selects_lockspace(None));
        assert_eq!(told.lockspace_names().name(id), Some("scratch"));
        let selected = cluster(&[], &["lvm_clvg0", "0x6b1f7a52"]);
        assert!(selected.selects_lockspace(Some(id)));
        assert!(selected.selects_lockspace(Some(LockspaceId::new(0x45d1_d4f1))));
        assert!(!selected.selects_lockspace(Some(LockspaceId::new(1))));
        assert!(!selected.selects_lockspace(None));
    }

    #[test]
    fn what_is_not_a_node_or_lockspace_is_refused() {
        for text in ["", "0", "x", "1=", "1=host", "=10.0.0.1", "4294967296"] {
            assert!(text.parse::<NodeArg>().is_err(), "{text}");
        }
        for text in ["", "=", "0x1=", "zz=name"] {
            assert!(text.parse::<LockspaceArg>().is_err(), "{text}");
        }
    }
}
