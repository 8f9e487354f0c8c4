//! Who has which address: the only proof of identity that the protocol knows (spec: lowcomms 4).

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dlmwire_codec::NodeId;

/// Addresses that a node may have, as the newest kernels.
pub const ADDRESSES_MAX: usize = 8;

/// Our own addresses and those of every configured node.
///
/// A built roster holds no address twice and no node without an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roster {
    node: NodeId,
    local: Vec<SocketAddr>,
    peers: BTreeMap<NodeId, Vec<SocketAddr>>,
    owners: BTreeMap<IpAddr, NodeId>,
}

/// Why addresses make no roster.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RosterError {
    /// Two nodes, or we and a node, have one address. The port does not tell nodes apart.
    SameAddress {
        /// The address.
        address: IpAddr,
        /// The nodes that claim it.
        nodes: [NodeId; 2],
    },
    /// A node has no address, or more than [`ADDRESSES_MAX`].
    AddressCount {
        /// The node.
        node: NodeId,
        /// How many it has.
        count: usize,
    },
    /// A node has an address of another family than our first.
    OtherFamily {
        /// The node.
        node: NodeId,
        /// The address.
        address: IpAddr,
    },
    /// A node is named twice, or a peer has our own node id.
    SameNode {
        /// The node.
        node: NodeId,
    },
}

impl Roster {
    /// A roster of `node` with its own addresses, first the one to listen on and dial from, and its peers'.
    ///
    /// Ports count for dialing and listening only, never for identity. An IPv4-mapped IPv6 address is the IPv4
    /// address in it.
    ///
    /// # Errors
    ///
    /// What makes the addresses no roster; the first flaw found.
    pub fn new(
        node: NodeId,
        local: Vec<SocketAddr>,
        peers: impl IntoIterator<Item = (NodeId, Vec<SocketAddr>)>,
    ) -> Result<Self, RosterError> {
        let mut roster = Self {
            node,
            local: Vec::new(),
            peers: BTreeMap::new(),
            owners: BTreeMap::new(),
        };
        roster.local = roster.claim(node, local)?;
        let family = roster.local.first().map(SocketAddr::is_ipv4);
        if let Some(other) = roster
            .local
            .iter()
            .find(|address| Some(address.is_ipv4()) != family)
        {
            return Err(RosterError::OtherFamily {
                node,
                address: other.ip(),
            });
        }
        for (peer, addresses) in peers {
            if peer == node || roster.peers.contains_key(&peer) {
                return Err(RosterError::SameNode { node: peer });
            }
            let addresses = roster.claim(peer, addresses)?;
            if let Some(other) = addresses.iter().find(|address| Some(address.is_ipv4()) != family) {
                return Err(RosterError::OtherFamily {
                    node: peer,
                    address: other.ip(),
                });
            }
            roster.peers.insert(peer, addresses);
        }
        Ok(roster)
    }

    /// Our own node id.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Our own addresses, at least one; the first is listened on and dialed from.
    pub fn local(&self) -> &[SocketAddr] {
        &self.local
    }

    /// The addresses of a configured peer, at least one; `None` for ourselves and for unknown nodes.
    pub fn peer(&self, node: NodeId) -> Option<&[SocketAddr]> {
        self.peers.get(&node).map(Vec::as_slice)
    }

    /// The node that has an address, ourselves included.
    pub fn owner(&self, address: IpAddr) -> Option<NodeId> {
        self.owners.get(&address.to_canonical()).copied()
    }

    /// The peer that has an address: as [`owner`](Self::owner), without ourselves.
    pub fn peer_at(&self, address: IpAddr) -> Option<NodeId> {
        self.owner(address).filter(|owner| *owner != self.node)
    }

    /// The configured peers and their addresses, by node id.
    pub fn peers(&self) -> impl Iterator<Item = (NodeId, &[SocketAddr])> {
        self.peers
            .iter()
            .map(|(node, addresses)| (*node, addresses.as_slice()))
    }

    /// Notes whose these addresses are and gives them back in their canonical form.
    fn claim(&mut self, node: NodeId, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, RosterError> {
        let count = addresses.len();
        if count == 0 || count > ADDRESSES_MAX {
            return Err(RosterError::AddressCount { node, count });
        }
        for address in &addresses {
            let address = address.ip().to_canonical();
            if let Some(other) = self.owners.insert(address, node) {
                return Err(RosterError::SameAddress {
                    address,
                    nodes: [other, node],
                });
            }
        }
        Ok(addresses.into_iter().map(canonical).collect())
    }
}

impl fmt::Display for RosterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameAddress {
                address,
                nodes: [first, second],
            } if first == second => {
                write!(f, "address {address} is given twice for node {first}")
            }
            Self::SameAddress {
                address,
                nodes: [first, second],
            } => {
                write!(
                    f,
                    "address {address} is given for node {first} and for node {second}"
                )
            }
            Self::AddressCount { node, count } => {
                write!(f, "node {node} has {count} addresses, not 1 to {ADDRESSES_MAX}")
            }
            Self::OtherFamily { node, address } => {
                write!(
                    f,
                    "address {address} of node {node} is of another family than our first address"
                )
            }
            Self::SameNode { node } => write!(f, "node {node} is configured twice"),
        }
    }
}

impl std::error::Error for RosterError {}

/// The same address with an IPv4-mapped one unwrapped; everything else, the IPv6 scope too, is kept.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    fn roster(local: &[&str], peers: &[(u32, &[&str])]) -> Result<Roster, RosterError> {
        let peers = peers.iter().map(|(id, texts)| (node(*id), addresses(texts)));
        Roster::new(node(1), addresses(local), peers)
    }

    #[test]
    fn sound_roster_finds_everybody() {
        let two: &[&str] = &["10.0.0.2:21064", "10.0.1.2:21064"];
        let roster = roster(&["10.0.0.1:21064"], &[(3, &["10.0.0.3:0"]), (2, two)]).expect("a sound roster");
        assert_eq!(roster.node(), node(1));
        assert_eq!(roster.local(), addresses(&["10.0.0.1:21064"]));
        assert_eq!(roster.peer(node(2)), Some(addresses(two).as_slice()));
        assert_eq!(roster.peer(node(1)), None, "we are not our peer");
        assert_eq!(roster.peer(node(9)), None);
        assert_eq!(
            roster.peers().map(|(node, _)| node.get()).collect::<Vec<_>>(),
            [2, 3]
        );
        for (address, owner) in [("10.0.1.2", Some(2)), ("10.0.0.1", Some(1)), ("10.0.0.9", None)] {
            assert_eq!(
                roster.owner(address.parse().expect("an address")),
                owner.and_then(NodeId::new),
                "{address}"
            );
        }
        assert_eq!(roster.peer_at("10.0.0.1".parse().expect("an address")), None);
    }

    #[test]
    fn mapped_address_is_the_ipv4_address() {
        let roster =
            roster(&["10.0.0.1:1"], &[(2, &["[::ffff:10.0.0.2]:21064"])]).expect("a mapped address is IPv4");
        assert_eq!(
            roster.owner("10.0.0.2".parse().expect("an address")),
            Some(node(2))
        );
        assert_eq!(
            roster.owner("::ffff:10.0.0.2".parse().expect("an address")),
            Some(node(2))
        );
        assert_eq!(
            roster.peer(node(2)),
            Some(addresses(&["10.0.0.2:21064"]).as_slice())
        );
    }

    #[test]
    fn flaws_are_named() {
        let many: Vec<String> = (0..9).map(|i| format!("10.0.9.{i}:0")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        type Row<'a> = (&'a [&'a str], &'a [(u32, &'a [&'a str])], &'a str);
        let rows: [Row<'_>; 10] = [
            (&[], &[], "node 1 has 0 addresses, not 1 to 8"),
            (&["10.0.0.1:0"], &[(2, &[])], "node 2 has 0 addresses, not 1 to 8"),
            (
                &["10.0.0.1:0"],
                &[(2, &many)],
                "node 2 has 9 addresses, not 1 to 8",
            ),
            (
                &["10.0.0.1:0"],
                &[(2, &["10.0.0.1:9"])],
                "address 10.0.0.1 is given for node 1 and for node 2",
            ),
            (
                &["10.0.0.1:0"],
                &[(2, &["10.0.0.2:1"]), (3, &["[::ffff:10.0.0.2]:2"])],
                "address 10.0.0.2 is given for node 2 and for node 3",
            ),
            (
                &["10.0.0.1:0"],
                &[(2, &["10.0.0.2:1", "10.0.0.2:2"])],
                "address 10.0.0.2 is given twice for node 2",
            ),
            (
                &["10.0.0.1:0"],
                &[(2, &["[fd00::2]:1"])],
                "address fd00::2 of node 2 is of another family than our first address",
            ),
            (
                &["10.0.0.1:0", "[fd00::1]:0"],
                &[],
                "address fd00::1 of node 1 is of another family than our first address",
            ),
            (
                &["10.0.0.1:0"],
                &[(1, &["10.0.0.2:1"])],
                "node 1 is configured twice",
            ),
            (
                &["10.0.0.1:0"],
                &[(2, &["10.0.0.2:1"]), (2, &["10.0.0.3:1"])],
                "node 2 is configured twice",
            ),
        ];
        for (local, peers, text) in rows {
            assert_eq!(roster(local, peers).expect_err(text).to_string(), text);
        }
    }
}
