//! Sequence numbers of `DLM_OPTS`, in serial arithmetic (spec: wire 2, midcomms 2).

use core::fmt;

/// The number of a `DLM_OPTS` frame, or the next one expected in a `DLM_ACK`.
///
/// Numbers start at 0, grow by one per frame and wrap at 2^32. There is no order on them (`<` is wrong at
/// the wrap): ask [`before`](Self::before) or [`distance`](Self::distance).
///
/// ```
/// use dlmwire_codec::Seq;
///
/// let last = Seq::new(u32::MAX);
/// assert_eq!(last.next(), Seq::new(0));
/// assert!(last.before(last.next()));
/// assert_eq!(last.distance(Seq::new(4)), 5);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(u32);

impl Seq {
    /// The number of the first frame after both sides have reset.
    pub const INITIAL: Self = Self(0);

    /// Takes the number as it stands on the wire.
    #[inline]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number as it stands on the wire.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number that follows.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number `count` frames later.
    #[inline]
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// Whether this number comes before `other`: at most 2^31 - 1 steps forward lead from it to `other`.
    ///
    /// Of two numbers exactly 2^31 apart each is before the other; the kernel's TCP rule says the same.
    #[inline]
    pub const fn before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// Steps forward from this number to `other`, 0 when they are equal.
    ///
    /// Meaningful as a count only where `other` is known not to come before this number.
    #[inline]
    pub const fn distance(self, other: Self) -> u32 {
        other.0.wrapping_sub(self.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seq({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u32; 6] = [0, 1, 0x7fff_ff00, 1 << 31, 0xffff_ff00, u32::MAX];

    /// Proves C35.
    #[test]
    fn before_holds_across_the_wrap() {
        for start in STARTS.map(Seq::new) {
            for steps in [1, 2, 4096, (1 << 31) - 1] {
                let later = start.plus(steps);
                assert!(start.before(later), "{start} before {later}");
                assert!(!later.before(start), "{later} not before {start}");
                assert_eq!(start.distance(later), steps);
            }
            assert!(!start.before(start));
        }
    }

    #[test]
    fn before_is_ambiguous_only_at_half_the_range() {
        for start in STARTS.map(Seq::new) {
            let opposite = start.plus(1 << 31);
            assert!(start.before(opposite) && opposite.before(start));
            assert!(!start.before(start.plus((1 << 31) + 1)));
        }
    }
}
