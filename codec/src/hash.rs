//! The hash of a resource name and the directory node that follows from it (spec: peer 6).

use crate::ids::NodeId;

const INITIAL: u32 = 0xdead_beef;

/// The hash of a resource name: `m_hash`, and what the directory node is derived from.
///
/// The words of the name are read as little endian on every host.
///
/// ```
/// assert_eq!(dlmwire_codec::resource_hash(b"test1"), 0x8963_cf96);
/// ```
pub fn resource_hash(name: &[u8]) -> u32 {
    // The start value takes the length modulo 2^32; names have at most 64 bytes.
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let mut state = [INITIAL.wrapping_add(length); 3];
    let mut rest = name;
    while let Some((block, tail)) = rest.split_first_chunk::<12>() {
        if tail.is_empty() {
            break;
        }
        state = mix(add(state, block));
        rest = tail;
    }
    if rest.is_empty() {
        let [_, _, c] = state;
        return c;
    }
    let mut last = [0; 12];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    finish(add(state, &last))
}

/// Adds the three little-endian words of a block.
fn add([a, b, c]: [u32; 3], block: &[u8; 12]) -> [u32; 3] {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3] = *block;
    [
        a.wrapping_add(u32::from_le_bytes([a0, a1, a2, a3])),
        b.wrapping_add(u32::from_le_bytes([b0, b1, b2, b3])),
        c.wrapping_add(u32::from_le_bytes([c0, c1, c2, c3])),
    ]
}

/// Stirs between blocks: each word in turn gives way to the next.
fn mix(mut state: [u32; 3]) -> [u32; 3] {
    for rotation in [4, 6, 8, 16, 19, 4] {
        let [a, b, c] = state;
        let a = a.wrapping_sub(c) ^ c.rotate_left(rotation);
        // The next round takes (b, c, a) for (a, b, c), so that after six rounds each is back in its place.
        state = [b, c.wrapping_add(b), a];
    }
    state
}

/// Stirs after the last block.
fn finish([mut a, mut b, mut c]: [u32; 3]) -> u32 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

/// The directory node of the resource with this hash, or `None` without members.
///
/// `members` must yield the lockspace's members by ascending node id, each with its weight. A member takes
/// part as often as its weight says; if all weights are 0 each counts once.
///
/// ```
/// use dlmwire_codec::{NodeId, directory_node, resource_hash};
///
/// let member = |id, weight| (NodeId::new(id).unwrap(), weight);
/// let hash = resource_hash(b"test1");
/// // Of two equal members bit 16 of the hash decides; weight 0 leaves everything to the other.
/// assert_eq!(directory_node(hash, [member(1, 1), member(2, 1)]).unwrap().get(), 2);
/// assert_eq!(directory_node(hash, [member(1, 1), member(2, 0)]).unwrap().get(), 1);
/// ```
pub fn directory_node<M>(hash: u32, members: M) -> Option<NodeId>
where
    M: IntoIterator<Item = (NodeId, u32)>,
    M::IntoIter: Clone,
{
    let members = members.into_iter();
    let (count, total) = members.clone().fold((0_u64, 0_u64), |(count, sum), (_, weight)| {
        (count.saturating_add(1), sum.saturating_add(weight.into()))
    });
    let unweighted = total == 0;
    let slots = if unweighted { count } else { total };
    let mut slot = u64::from(hash >> 16).checked_rem(slots)?;
    for (node, weight) in members {
        let share = if unweighted { 1 } else { u64::from(weight) };
        match slot.checked_sub(share) {
            Some(behind) => slot = behind,
            None => return Some(node),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_agrees_with_the_vectors() {
        let digits: std::vec::Vec<u8> = (0..64).map(|at| b'0' + at % 10).collect();
        let vectors: [(&[u8], u32); 10] = [
            (b"a", 0x58d6_8708),
            (b"ab", 0xfbb3_a8df),
            (b"test1", 0x8963_cf96),
            (b"testlock", 0x0e26_0558),
            (b"abcdefghijkl", 0x4012_f87b),
            (b"abcdefghijklm", 0x9281_28f9),
            (b"resource-0001", 0x9e9d_6b89),
            (b"       5               1", 0xd816_ecf2),
            (&digits, 0xf008_4ed3),
            (b"", 0xdead_beef),
        ];
        for (name, hash) in vectors {
            assert_eq!(resource_hash(name), hash, "{}", name.escape_ascii());
        }
    }

    fn node(id: u32) -> NodeId {
        NodeId::new(id).expect("not 0")
    }

    #[test]
    fn directory_shares_follow_the_weights() {
        let members = [(node(1), 1), (node(2), 0), (node(5), 3)];
        let owner = |slot: u32| directory_node(slot << 16, members).map(NodeId::get);
        assert_eq!(
            [0, 1, 2, 3, 4].map(owner),
            [Some(1), Some(5), Some(5), Some(5), Some(1)]
        );
    }

    #[test]
    fn directory_without_weights_counts_each_member_once() {
        let members = [(node(1), 0), (node(2), 0)];
        assert_eq!(directory_node(0, members), Some(node(1)));
        assert_eq!(directory_node(1 << 16, members), Some(node(2)));
        assert_eq!(directory_node(7 << 16, [(node(3), 4)]), Some(node(3)));
        assert_eq!(directory_node(7 << 16, []), None);
    }
}
