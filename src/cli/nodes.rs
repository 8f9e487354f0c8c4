//! Which node is at which end of a link: told by the user, or learned from what the ends send.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dlmwire_codec::NodeId;
use dlmwire_interop::capture::{Event, LinkId, Side, Transport};

/// Addresses whose nodes are remembered; clusters have some dozens.
const ADDRESSES_MAX: usize = 65_536;

/// Links that are down and still remembered.
const DOWN_MAX: usize = 1024;

/// Nodes by address, and the ends of the links.
#[derive(Default)]
pub(crate) struct Nodes {
    told: BTreeMap<IpAddr, NodeId>,
    learned: HashMap<IpAddr, NodeId>,
    links: HashMap<LinkId, Link>,
    /// Links that are down, in the order in which they went: what comes behind a reset belongs to them.
    down: VecDeque<LinkId>,
}

/// A link.
pub(crate) struct Link {
    pub(crate) transport: Transport,
    pub(crate) ends: [End; 2],
    one_host: bool,
}

/// One end of a link.
#[derive(Clone)]
pub(crate) struct End {
    addresses: Vec<IpAddr>,
    port: u16,
    /// The node, once known.
    pub(crate) node: Option<NodeId>,
}

impl End {
    /// The address first seen, with the port.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address = self.addresses.first()?;
        Some(SocketAddr::new(*address, self.port))
    }

    /// Who is at this end.
    pub(crate) fn party(&self) -> Party {
        match (self.node, self.addresses.first()) {
            (Some(node), _) => Party::Node(node),
            (None, Some(address)) => Party::Address(*address),
            (None, None) => Party::Unknown,
        }
    }
}

/// The node id, or the address where it is not known.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.party().fmt(f)
    }
}

/// Who talks, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Party {
    /// A node.
    Node(NodeId),
    /// An address whose node is not known.
    Address(IpAddr),
    /// Not even an address.
    Unknown,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => f.pad(&node.to_string()),
            Self::Address(address) => f.pad(&address.to_string()),
            Self::Unknown => f.pad("?"),
        }
    }
}

impl Nodes {
    pub(crate) fn new(told: BTreeMap<IpAddr, NodeId>) -> Self {
        Self {
            told,
            ..Self::default()
        }
    }

    /// Takes what an event says of nodes and links.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::LinkUp {
                link,
                transport,
                ends,
                ..
            } => {
                let [a, b] = ends;
                // On one host addresses tell nothing.
                let one_host = a.addresses.iter().any(|address| b.addresses.contains(address));
                let ends = ends.map(|end| {
                    let addresses = end.addresses.to_vec();
                    let node = if one_host {
                        None
                    } else {
                        addresses.iter().find_map(|address| self.node(*address))
                    };
                    End {
                        addresses,
                        port: end.port,
                        node,
                    }
                });
                let transport = *transport;
                self.links.insert(
                    *link,
                    Link {
                        transport,
                        ends,
                        one_host,
                    },
                );
            }
            Event::Frame {
                link, from, frame, ..
            } => {
                if let Ok(frame) = frame.decode() {
                    self.learn(*link, *from, frame.node());
                }
            }
            Event::AddressAdded { link, side, address } => {
                if let Some(end) = self.end_mut(*link, *side) {
                    end.addresses.push(*address);
                }
            }
            _ => {}
        }
    }

    /// Marks a link that is down, to be forgotten in time.
    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.down.push_back(link);
        if self.down.len() > DOWN_MAX
            && let Some(oldest) = self.down.pop_front()
        {
            self.links.remove(&oldest);
        }
    }

    /// Forgets all links, but not which node has which address.
    pub(crate) fn forget_links(&mut self) {
        self.links.clear();
        self.down.clear();
    }

    /// The link with this number, unless it is down for long.
    pub(crate) fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    /// The node with this address, if it is known.
    pub(crate) fn node(&self, address: IpAddr) -> Option<NodeId> {
        self.told
            .get(&address)
            .or_else(|| self.learned.get(&address))
            .copied()
    }

    fn end_mut(&mut self, link: LinkId, side: Side) -> Option<&mut End> {
        self.links.get_mut(&link).map(|link| &mut link.ends[side.index()])
    }

    /// An end names its node in every frame; the first word stands, the user's before it.
    fn learn(&mut self, link: LinkId, side: Side, node: NodeId) {
        let Some(link) = self.links.get_mut(&link) else {
            return;
        };
        let one_host = link.one_host;
        let end = &mut link.ends[side.index()];
        if end.node.is_some() {
            return;
        }
        end.node = Some(node);
        if one_host || self.learned.len() >= ADDRESSES_MAX {
            return;
        }
        for address in end.addresses.clone() {
            self.learned.entry(address).or_insert(node);
        }
        // Other open links of the same node know it from now on.
        let (told, learned) = (&self.told, &self.learned);
        let others = self.links.values_mut().filter(|link| !link.one_host);
        for end in others.flat_map(|link| &mut link.ends) {
            let known = |address: &IpAddr| told.get(address).or_else(|| learned.get(address));
            if end.node.is_none() {
                end.node = end.addresses.iter().find_map(known).copied();
            }
        }
    }
}
