//! A cheap 64-bit digest of a frame: equal digests mean the same bytes, as far as accidents go.
//!
//! All bytes count, because a lock request differs from the next by few of them. It is no protection against
//! frames that were made to collide: an adversary can at worst pass a changed frame for a resent one.

/// Odd constants with bits spread evenly (from the binary digits of the golden ratio and of pi).
const LANE_A: u64 = 0x9e37_79b9_7f4a_7c15;
const LANE_B: u64 = 0x2437_54a8_885a_308d;

/// The digest of `bytes`: two lanes of eight bytes each, multiplied and folded.
#[inline]
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let (mut a, mut b) = (LANE_A, LANE_B ^ u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    let (blocks, rest) = bytes.as_chunks::<16>();
    for block in blocks {
        let [a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7] = *block;
        a = stir(a, u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]), LANE_B);
        b = stir(b, u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]), LANE_A);
    }
    for byte in rest {
        a = stir(a, u64::from(*byte), LANE_B);
    }
    stir(a, b, LANE_A)
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
