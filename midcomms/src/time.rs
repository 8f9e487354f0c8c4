//! Time as an argument.

/// Nanoseconds since a moment that the caller chose, the same for all calls.
///
/// This crate reads no clock: whoever drives it says what time it is.
///
/// ```
/// use dlmwire_midcomms::Time;
///
/// let (sent, acked) = (Time(1_000), Time(5_500));
/// assert_eq!(acked.since(sent), 4_500);
/// assert_eq!(sent.since(acked), 0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// Nanoseconds from `earlier` to this moment, 0 if `earlier` is later.
    ///
    /// Captures made on several interfaces are not always in the order of their time stamps.
    #[inline]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
