//! Which host an address belongs to.
//!
//! A node of the cluster may have several addresses (SCTP binds them all), and what links share is the host,
//! not the address. The observer follows hosts; node ids are what they say of themselves, or what the
//! operator says of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dlmwire_codec::NodeId;
use dlmwire_midcomms::observer::StationId;

/// Hosts by address.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    by_address: BTreeMap<IpAddr, StationId>,
    stations: Vec<Station>,
}

#[derive(Debug, Default)]
struct Station {
    addresses: Vec<IpAddr>,
    node: Option<NodeId>,
}

/// Hosts that are told apart; clusters have some dozens.
const STATIONS_MAX: usize = 65_536;

/// Addresses kept for one host; kernels take at most 8.
const ADDRESSES_MAX: usize = 16;

impl Stations {
    /// Hosts known beforehand: node ids with their addresses.
    pub(crate) fn new(known: &[(NodeId, IpAddr)]) -> Self {
        let mut stations = Self::default();
        for &(node, address) in known {
            let existing = stations
                .stations
                .iter()
                .position(|station| station.node == Some(node));
            let index = existing.unwrap_or_else(|| stations.add(Some(node)));
            stations.assign(index, address);
        }
        stations
    }

    /// The host that has these addresses: the one that has the first known of them, else a new one. Addresses
    /// not known yet become its own. `None` once there are too many hosts.
    pub(crate) fn resolve(&mut self, addresses: &[IpAddr]) -> Option<StationId> {
        let known = addresses
            .iter()
            .find_map(|address| self.by_address.get(address).copied());
        let id = match known {
            Some(id) => id,
            None if addresses.is_empty() || self.stations.len() >= STATIONS_MAX => return None,
            None => station_id(self.add(None)),
        };
        for &address in addresses {
            self.assign(index_of(id), address);
        }
        Some(id)
    }

    /// Notes a further address of a host.
    pub(crate) fn add_address(&mut self, id: StationId, address: IpAddr) {
        self.assign(index_of(id), address);
    }

    /// Notes what a host's frames say of its node id; the first word stands.
    pub(crate) fn learn(&mut self, id: StationId, node: NodeId) {
        if let Some(station) = self.stations.get_mut(index_of(id)) {
            station.node.get_or_insert(node);
        }
    }

    /// The host's node id, once known.
    pub(crate) fn node(&self, id: StationId) -> Option<NodeId> {
        self.stations.get(index_of(id)).and_then(|station| station.node)
    }

    /// The host's addresses in the order in which they were seen.
    pub(crate) fn addresses(&self, id: StationId) -> &[IpAddr] {
        self.stations
            .get(index_of(id))
            .map_or(&[], |station| &station.addresses)
    }

    fn add(&mut self, node: Option<NodeId>) -> usize {
        self.stations.push(Station {
            addresses: Vec::new(),
            node,
        });
        self.stations.len() - 1
    }

    fn assign(&mut self, index: usize, address: IpAddr) {
        let Some(station) = self.stations.get_mut(index) else {
            return;
        };
        if station.addresses.len() < ADDRESSES_MAX && !self.by_address.contains_key(&address) {
            station.addresses.push(address);
            self.by_address.insert(address, station_id(index));
        }
    }
}

fn station_id(index: usize) -> StationId {
    StationId(u32::try_from(index).unwrap_or(u32::MAX))
}

fn index_of(id: StationId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    #[test]
    fn addresses_of_one_association_are_one_host() {
        let mut stations = Stations::default();
        let both = stations.resolve(&[ip("10.0.0.1"), ip("10.1.0.1")]).expect("room");
        assert_eq!(stations.resolve(&[ip("10.1.0.1")]), Some(both));
        assert_ne!(stations.resolve(&[ip("10.0.0.2")]), Some(both));
        assert_eq!(stations.addresses(both), [ip("10.0.0.1"), ip("10.1.0.1")]);
    }

    #[test]
    fn operator_names_hosts_before_they_speak() {
        let mut stations = Stations::new(&[(node(7), ip("10.0.0.1")), (node(7), ip("10.1.0.1"))]);
        let id = stations.resolve(&[ip("10.1.0.1")]).expect("room");
        stations.learn(id, node(9));
        assert_eq!(stations.node(id), Some(node(7)));
        assert_eq!(stations.stations.len(), 1);
    }
}
