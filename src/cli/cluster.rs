//! What the user says of the cluster: ports, nodes, lockspaces. Every verb that reads captures takes what is
//! to be told of it; those that show messages also take which part of it is wanted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use dlmwire_codec::{LockspaceId, NodeId};
use dlmwire_interop::capture;

use super::error::Error;

/// Lockspaces that have the same name in every cluster: those of lvmlockd and of clvmd.
const WELL_KNOWN: [&str; 2] = ["lvm_global", "clvmd"];

/// How the cluster's messages are found.
#[derive(clap::Args)]
#[command(next_help_heading = "Cluster")]
struct PortArgs {
    /// Port that means DLM, instead of 21064; may be given several times
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Vec<u16>,
}

impl PortArgs {
    fn options(&self) -> capture::Options {
        let mut options = capture::Options::default();
        if !self.port.is_empty() {
            options.ports.clone_from(&self.port);
        }
        options
    }
}

/// What the cluster is, for a verb that takes all of it.
#[derive(clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct NamingArgs {
    #[command(flatten)]
    ports: PortArgs,

    /// Tells which node has an address, where the capture does not. May be given several times
    #[arg(long, value_name = "ID=ADDRESS", value_parser = NodeArg::telling)]
    node: Vec<NodeArg>,

    /// A lockspace's name, shown for the id that dlm_controld derives from it, or for the one told. May be given
    /// several times
    #[arg(long, value_name = "[0xID=]NAME", value_parser = LockspaceArg::naming)]
    lockspace: Vec<LockspaceArg>,
}

impl NamingArgs {
    /// How captures are to be read.
    pub(crate) fn options(&self) -> capture::Options {
        self.ports.options()
    }

    /// Addresses whose nodes were told.
    pub(crate) fn addresses(&self) -> Result<Addresses, Error> {
        addresses(&self.node)
    }

    /// The lockspaces whose names are known.
    pub(crate) fn lockspace_names(&self) -> Result<LockspaceNames, Error> {
        LockspaceNames::new(&self.lockspace)
    }
}

/// What the cluster is, and which part of it is wanted.
#[derive(clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    ports: PortArgs,

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
        self.ports.options()
    }

    /// Addresses whose nodes were told.
    pub(crate) fn addresses(&self) -> Result<Addresses, Error> {
        addresses(&self.node)
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
    pub(crate) fn lockspace_names(&self) -> Result<LockspaceNames, Error> {
        LockspaceNames::new(&self.lockspace)
    }
}

/// Nodes by address.
pub(crate) type Addresses = BTreeMap<IpAddr, NodeId>;

/// Who has which address; an address belongs to one node.
fn addresses(args: &[NodeArg]) -> Result<Addresses, Error> {
    let mut told = Addresses::new();
    for arg in args {
        let Some(address) = arg.address else { continue };
        let node = *told.entry(address).or_insert(arg.node);
        if node != arg.node {
            let nodes = [node, arg.node];
            return Err(Error::TwoNodes { address, nodes });
        }
    }
    Ok(told)
}

/// Names of lockspaces by id.
pub(crate) struct LockspaceNames {
    names: BTreeMap<LockspaceId, String>,
}

impl LockspaceNames {
    /// The names that are told and those that are the same everywhere; an id has one name.
    fn new(args: &[LockspaceArg]) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        for arg in args {
            let Some(name) = &arg.name else { continue };
            match names.entry(arg.id) {
                Entry::Vacant(entry) => drop(entry.insert(name.clone())),
                Entry::Occupied(entry) if entry.get() == name => {}
                Entry::Occupied(entry) => {
                    return Err(Error::TwoNames {
                        id: arg.id,
                        names: [entry.get().clone(), name.clone()],
                    });
                }
            }
        }
        for name in WELL_KNOWN {
            let id = LockspaceId::from_name(name.as_bytes());
            names.entry(id).or_insert_with(|| name.to_owned());
        }
        Ok(Self { names })
    }

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
    /// `ID` alone where nothing is selected.
    NodeSelects,
    /// `0xID` alone where nothing is selected.
    LockspaceSelects,
}

impl fmt::Display for ClusterArgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeId => "a node id is a number from 1 to 4294967295",
            Self::Address => "behind = has to stand an IPv4 or IPv6 address",
            Self::LockspaceId => "a lockspace id is 0x and up to 8 hexadecimal digits",
            Self::LockspaceName => "a lockspace name has 1 to 64 bytes",
            Self::NodeSelects => {
                "nodes cannot be selected here, all are judged; ID=ADDRESS tells which node has an address"
            }
            Self::LockspaceSelects => {
                "lockspaces cannot be selected here, all are judged; 0xID=NAME gives a name"
            }
        })
    }
}

impl std::error::Error for ClusterArgError {}

impl NodeArg {
    /// Only the form that tells.
    fn telling(text: &str) -> Result<Self, ClusterArgError> {
        let arg: Self = text.parse()?;
        match arg.address {
            Some(_) => Ok(arg),
            None => Err(ClusterArgError::NodeSelects),
        }
    }
}

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
    /// Only the forms with a name.
    fn naming(text: &str) -> Result<Self, ClusterArgError> {
        let arg: Self = text.parse()?;
        match arg.name {
            Some(_) => Ok(arg),
            None => Err(ClusterArgError::LockspaceSelects),
        }
    }

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
            ports: PortArgs { port: Vec::new() },
            node: node.iter().map(|text| text.parse().unwrap()).collect(),
            lockspace: lockspace.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn node_with_address_tells_and_node_alone_selects() {
        let node = NodeId::new;
        let told = cluster(&["2=10.0.0.2", "3=fd00::3"], &[]);
        assert!(told.selects_nodes(node(7), None));
        assert_eq!(told.addresses().unwrap().len(), 2);
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
        assert_eq!(told.lockspace_names().unwrap().name(id), Some("scratch"));
        let selected = cluster(&[], &["lvm_clvg0", "0x6b1f7a52"]);
        assert!(selected.selects_lockspace(Some(id)));
        assert!(selected.selects_lockspace(Some(LockspaceId::new(0x45d1_d4f1))));
        assert!(!selected.selects_lockspace(Some(LockspaceId::new(1))));
        assert!(!selected.selects_lockspace(None));
    }

    #[test]
    fn contradictions_are_refused_and_repetitions_are_not() {
        assert!(
            cluster(&["1=10.0.0.1", "1=10.0.0.1", "1=10.0.0.2"], &[])
                .addresses()
                .is_ok()
        );
        assert!(cluster(&["1=10.0.0.1", "2=10.0.0.1"], &[]).addresses().is_err());
        assert!(
            cluster(&[], &["=a", "0x1=a", "0x2=a", "0x1=a"])
                .lockspace_names()
                .is_ok()
        );
        assert!(cluster(&[], &["0x1=a", "0x1=b"]).lockspace_names().is_err());
    }

    #[test]
    fn well_known_name_gives_way_to_the_one_told() {
        let id = LockspaceId::from_name(b"clvmd");
        let told = cluster(&[], &[&format!("{id}=mine")]).lockspace_names().unwrap();
        assert_eq!(told.name(id), Some("mine"));
        assert_eq!(
            cluster(&[], &[]).lockspace_names().unwrap().name(id),
            Some("clvmd")
        );
    }

    #[test]
    fn selecting_forms_are_refused_where_only_names_are_taken() {
        assert!(NodeArg::telling("1=10.0.0.1").is_ok());
        assert!(matches!(NodeArg::telling("1"), Err(ClusterArgError::NodeSelects)));
        for text in ["ls1", "=ls1", "0x1=ls1"] {
            assert!(LockspaceArg::naming(text).is_ok(), "{text}");
        }
        let refused = LockspaceArg::naming("0x1");
        assert!(matches!(refused, Err(ClusterArgError::LockspaceSelects)));
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
