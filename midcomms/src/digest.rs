//! A cheap 64-bit digest of a frame: equal digests mean the same bytes, as far as accidents go.
//!
//! All bytes count, because a lock request differs from the next by few of them. It is no protection against
//! frames that were made to collide: an adversary can at worst pass a changed frame for a resent one.

/// Odd constants with bits spread evenly (from the binary digits of the golden ratio and of pi).
const LANE_A: u64 = 0x9e37_79b9_7f4a_7c15;
const LANE_B: u64 = 0x2437_54a8_885a_308d;

/// The digest of `bytes`: blocks of sixteen bytes, each half mixed with a lane and both multiplied and folded.
#[inline]
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let mut a = LANE_A ^ u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let mut b = LANE_B;
    let (blocks, rest) = bytes.as_chunks::<16>();
    // Two chains of multiplications, which a processor runs side by side.
    let (pairs, last) = blocks.as_chunks::<2>();
    for [one, other] in pairs {
        a = fold(a, *one, LANE_B);
        b = fold(b, *other, LANE_A);
    }
    for block in last {
        a = fold(a, *block, LANE_B);
    }
    for byte in rest {
        a = stir(a, u64::from(*byte), LANE_B);
    }
    stir(a, b, LANE_A)
}

/// Both halves of a block and a lane, in one product of 128 bits whose halves are folded.
#[inline]
fn fold(lane: u64, block: [u8; 16], factor: u64) -> u64 {
    let [low, high] = halves(u128::from_le_bytes(block));
    let [below, above] = halves(u128::from(low ^ lane).wrapping_mul(u128::from(high ^ factor)));
    // A half that happens to be zero must not swallow the lane.
    lane.rotate_left(23) ^ below ^ above
}

#[inline]
const fn halves(wide: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = wide.to_le_bytes();
    [
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        u64::from_le_bytes([i, j, k, l, m, n, o, p]),
    ]
}

#[inline]
const fn stir(lane: u64, word: u64, factor: u64) -> u64 {
    let product = (lane ^ word).wrapping_mul(factor);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn digest_depends_on_every_byte_and_on_the_length() {
        let frame: Vec<u8> = (0..200).collect();
        let mut seen = BTreeSet::from([digest(&frame)]);
        for at in 0..frame.len() {
            for flip in [1_u8, 0x80] {
                let mut other = frame.clone();
                other[at] ^= flip;
                assert!(seen.insert(digest(&other)), "byte {at} with {flip:#x}");
            }
        }
        for length in 0..frame.len() {
            assert!(seen.insert(digest(&frame[..length])), "length {length}");
        }
        assert!(seen.insert(digest(&[0; 64])) && seen.insert(digest(&[0; 65])));
    }

    #[test]
    fn digest_depends_on_the_order_of_blocks() {
        let mut frame = [1_u8; 64];
        frame[16..32].fill(2);
        let mut swapped = [1_u8; 64];
        swapped[32..48].fill(2);
        assert_ne!(digest(&frame), digest(&swapped));
    }
}
