//! How often the same peer's breaches are told (spec: midcomms, patch "macros for rate-limited log").

use crate::Time;

/// Told at once before the rate counts.
const BURST: u32 = 10;
/// Afterwards one in this time, in nanoseconds.
const INTERVAL: u64 = 1_000_000_000;

/// A bucket of tokens, and what was not told for want of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limiter {
    tokens: u32,
    refilled: Time,
    suppressed: u64,
}

impl Limiter {
    pub(super) const fn new() -> Self {
        Self {
            tokens: BURST,
            refilled: Time(0),
            suppressed: 0,
        }
    }

    /// Whether something may be told now, and if so how many before it were not.
    pub(super) fn admit(&mut self, now: Time) -> Option<u64> {
        let earned = now.since(self.refilled) / INTERVAL;
        if earned > 0 {
            self.tokens = BURST.min(
                self.tokens
                    .saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)),
            );
            self.refilled = Time(self.refilled.0.saturating_add(earned.saturating_mul(INTERVAL)));
        }
        if self.tokens == 0 {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.tokens = self.tokens.saturating_sub(1);
        Some(std::mem::take(&mut self.suppressed))
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_at_the_rate_with_what_was_suppressed() {
        let mut limiter = Limiter::new();
        let mut told = 0;
        let mut suppressed = 0;
        for step in 0..100_000_u64 {
            if let Some(before) = limiter.admit(Time(step * INTERVAL / 10_000)) {
                told += 1;
                suppressed += before;
            }
        }
        assert_eq!(told, u64::from(BURST) + 9);
        assert!(suppressed > 80_000);
        assert_eq!(
            limiter.admit(Time(1_000 * INTERVAL)),
            Some(100_000 - told - suppressed)
        );
    }
}
