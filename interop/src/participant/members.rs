//! Who takes part: members, weights, slots, and the barrier's polls (spec: peer 4, 5).

use std::collections::BTreeMap;

use dlmwire_codec::{NodeId, Slot};

use super::name::Name;

/// The members of a lockspace, ourselves among them, and their slots.
#[derive(Clone, Debug)]
pub(super) struct Members {
    own: NodeId,
    /// By ascending id, with what is known of the slot.
    list: BTreeMap<NodeId, Report>,
    weights: BTreeMap<NodeId, u32>,
    slots: BTreeMap<NodeId, u16>,
    pub(super) generation: u32,
}

/// What a member said last of its own slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Report {
    /// 0: none yet, please assign one.
    pub(super) slot: u16,
    pub(super) generation: u32,
}

impl Members {
    /// Nobody.
    pub(super) const fn new(own: NodeId, weights: BTreeMap<NodeId, u32>) -> Self {
        Self {
            own,
            list: BTreeMap::new(),
            weights,
            slots: BTreeMap::new(),
            generation: 0,
        }
    }

    /// Replaces the list; who stays keeps what it said.
    pub(super) fn set(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        let before = std::mem::take(&mut self.list);
        let report = |node| before.get(&node).copied().unwrap_or_default();
        self.list = nodes.into_iter().map(|node| (node, report(node))).collect();
        self.slots.retain(|node, _| self.list.contains_key(node));
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.list.contains_key(&node)
    }

    /// All, by ascending id.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.list.keys().copied()
    }

    /// All but us.
    pub(super) fn others(&self) -> impl Iterator<Item = NodeId> {
        self.nodes().filter(|node| *node != self.own)
    }

    /// Who says when everybody is ready.
    pub(super) fn low(&self) -> NodeId {
        self.nodes().next().unwrap_or(self.own)
    }

    pub(super) fn are_low(&self) -> bool {
        self.low() == self.own
    }

    /// The member that keeps the record of a name.
    pub(super) fn directory(&self, name: &Name) -> NodeId {
        let weighted = self.list.keys().map(|node| (*node, self.weight(*node)));
        name.directory(weighted).unwrap_or(self.own)
    }

    fn weight(&self, node: NodeId) -> u32 {
        self.weights.get(&node).copied().unwrap_or(1)
    }

    /// A member said what slot it has.
    pub(super) fn report(&mut self, node: NodeId, report: Report) {
        if let Some(known) = self.list.get_mut(&node) {
            *known = report;
        }
    }

    /// Being the lowest node: who has a slot keeps it, the others get the lowest free ones, by ascending id.
    pub(super) fn assign(&mut self) {
        let ours = Report {
            slot: self.slot(),
            generation: self.generation,
        };
        self.report(self.own, ours);
        let newest = self.list.values().map(|report| report.generation).max();
        self.generation = newest.unwrap_or(0).wrapping_add(1);
        let mut slots = BTreeMap::new();
        for (node, report) in &self.list {
            if report.slot != 0 && slots.values().all(|slot| *slot != report.slot) {
                slots.insert(*node, report.slot);
            }
        }
        let mut free = (1..u16::MAX).filter({
            let taken: Vec<u16> = slots.values().copied().collect();
            move |slot| !taken.contains(slot)
        });
        for node in self.list.keys() {
            if !slots.contains_key(node)
                && let Some(slot) = free.next()
            {
                slots.insert(*node, slot);
            }
        }
        self.slots = slots;
    }

    /// The lowest node told all slots.
    pub(super) fn take(&mut self, slots: impl Iterator<Item = Slot>, generation: u32) {
        self.slots = slots
            .filter_map(|slot| NodeId::new(slot.nodeid).map(|node| (node, slot.slot)))
            .filter(|(node, _)| self.list.contains_key(node))
            .collect();
        self.generation = generation;
    }

    /// Our own slot, 0 for none.
    pub(super) fn slot(&self) -> u16 {
        self.slots.get(&self.own).copied().unwrap_or(0)
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = (NodeId, u16)> {
        self.slots.iter().map(|(node, slot)| (*node, *slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    #[test]
    fn slots_stay_and_new_members_get_the_lowest_free_ones() {
        let mut members = Members::new(node(1), BTreeMap::new());
        members.set([node(1), node(2), node(3)]);
        members.assign();
        let slots: Vec<_> = members.slots().map(|(node, slot)| (node.get(), slot)).collect();
        assert_eq!((slots, members.generation), (vec![(1, 1), (2, 2), (3, 3)], 1));

        members.set([node(1), node(3), node(4)]);
        let report = Report {
            slot: 3,
            generation: 8,
        };
        members.report(node(3), report);
        members.assign();
        let slots: Vec<_> = members.slots().map(|(node, slot)| (node.get(), slot)).collect();
        assert_eq!((slots, members.generation), (vec![(1, 1), (3, 3), (4, 2)], 9));
    }
}
