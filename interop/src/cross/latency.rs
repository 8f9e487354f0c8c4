//! How long it took from the wire to the kernel, and from the kernel to the wire.

use serde::Serialize;

/// Buckets: below 1 us, below 2 us, doubling, up to what is 2^22 us (4 s) or more.
const BUCKETS: usize = 24;

/// A distribution of times.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Latency {
    /// How many times.
    pub count: u64,
    /// The shortest, in nanoseconds.
    pub min_ns: u64,
    /// Half of them are not longer.
    pub p50_ns: u64,
    /// Nine of ten are not longer.
    pub p90_ns: u64,
    /// All but one of a hundred are not longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Bucket 0 counts what is below 1 us, bucket n what is below 2^n us and not below 2^(n-1) us, the last what is
    /// longer.
    pub buckets: Vec<u64>,
}

impl Latency {
    /// The distribution of these times, in nanoseconds.
    pub(super) fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let quantile = |hundredths: usize| {
            let rank = times.len().saturating_mul(hundredths).div_ceil(100);
            times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        let mut buckets = vec![0; if times.is_empty() { 0 } else { BUCKETS }];
        for nanos in &times {
            let micros = nanos / 1000;
            let bits = usize::try_from(u64::BITS - micros.leading_zeros()).unwrap_or(BUCKETS);
            buckets[bits.min(BUCKETS - 1)] += 1;
        }
        Self {
            count: u64::try_from(times.len()).unwrap_or(u64::MAX),
            min_ns: times.first().copied().unwrap_or_default(),
            p50_ns: quantile(50),
            p90_ns: quantile(90),
            p99_ns: quantile(99),
            max_ns: times.last().copied().unwrap_or_default(),
            buckets,
        }
    }

    /// The buckets that are not empty at both ends: the time that each stays below, in microseconds (`None` for
    /// the last of all), and its count.
    pub fn histogram(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let first = self.buckets.iter().position(|count| *count > 0).unwrap_or(0);
        let last = self
            .buckets
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        self.buckets
            .iter()
            .enumerate()
            .take(last)
            .skip(first)
            .map(|(bucket, count)| ((bucket < BUCKETS - 1).then(|| 1 << bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_doubling_buckets() {
        let latency = Latency::of(vec![3_000, 500, 1_000, u64::MAX]);
        assert_eq!(
            [latency.count, latency.min_ns, latency.max_ns],
            [4, 500, u64::MAX]
        );
        assert_eq!(latency.p50_ns, 1_000);
        assert_eq!(latency.p99_ns, u64::MAX);
        let told: Vec<_> = latency.histogram().filter(|(_, count)| *count > 0).collect();
        assert_eq!(told, [(Some(1), 1), (Some(2), 1), (Some(4), 1), (None, 1)]);
    }

    #[test]
    fn no_times_have_no_buckets() {
        assert_eq!(Latency::of(Vec::new()), Latency::default());
        assert_eq!(Latency::default().histogram().count(), 0);
    }
}
