//! How long something takes, in percentiles.

use hdrhistogram::Histogram;

/// Digits that percentiles keep.
const DIGITS: u8 = 2;

/// Delays in nanoseconds. A few kilobytes, however many there are.
pub(super) struct Delays {
    histogram: Histogram<u64>,
    max: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            histogram: Histogram::new(DIGITS).expect("2 digits are possible"),
            max: 0,
        }
    }
}

impl Delays {
    pub(super) fn record(&mut self, nanos: u64) {
        // A histogram that grows as needed takes every number.
        let recorded = self.histogram.record(nanos);
        debug_assert!(recorded.is_ok());
        self.max = self.max.max(nanos);
    }

    pub(super) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The delay that so many per cent do not exceed, exact to two digits.
    pub(super) fn percentile(&self, percent: f64) -> u64 {
        self.histogram.value_at_percentile(percent).min(self.max)
    }

    /// The longest delay, exact.
    pub(super) fn max(&self) -> u64 {
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_and_the_longest_is_exact() {
        let mut delays = Delays::default();
        (1..=1000).for_each(|step| delays.record(step * 1_000_003));
        assert_eq!(delays.count(), 1000);
        assert_eq!(delays.max(), 1_000_003_000);
        for (percent, near) in [(50.0, 500_000_000_u64), (90.0, 900_000_000), (99.0, 990_000_000)] {
            let found = delays.percentile(percent);
            assert!(found.abs_diff(near) < near / 50, "{percent}: {found}");
        }
    }
}
