//! What is logged, and how often: a peer must not be able to fill a disk.

use dlmwire_midcomms::Time;
use dlmwire_midcomms::engine::Event;
use tracing::Level;

use crate::event::NodeEvent;

/// Lines that may come in one go.
const BURST: u64 = 10;

/// Nanoseconds after which one more line may come.
const INTERVAL: u64 = 1_000_000_000;

/// Lets `BURST` lines and then one a second through, and counts the others.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    left: u64,
    refilled: Time,
    suppressed: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            left: BURST,
            refilled: Time(0),
            suppressed: 0,
        }
    }
}

impl Limiter {
    /// How many lines were suppressed since the last one, if one may be written now.
    pub(crate) fn allow(&mut self, now: Time) -> Option<u64> {
        let earned = now.since(self.refilled) / INTERVAL;
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(BURST);
            self.refilled = Time(self.refilled.0.saturating_add(earned.saturating_mul(INTERVAL)));
        }
        if self.left == 0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// The limiters of one peer: what a peer can cause at will does not use up the lines of what matters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limiters {
    noisy: Limiter,
    rare: Limiter,
}

impl Limiters {
    /// Logs an event, if it may be.
    pub(crate) fn log(&mut self, now: Time, event: &NodeEvent) {
        let (limiter, level) = match event {
            NodeEvent::Engine(event) => match event {
                Event::LinkWanted { .. } | Event::CloseLink { .. } | Event::Writable { .. } => {
                    (&mut self.noisy, Level::DEBUG)
                }
                Event::Connected { .. } | Event::Disconnected { .. } | Event::StateChanged { .. } => {
                    (&mut self.noisy, Level::INFO)
                }
                Event::Violation { .. } => (&mut self.noisy, Level::WARN),
                Event::VersionDetected {
                    version: dlmwire_codec::Version::V3_2,
                    ..
                }
                | Event::PeerFinished { .. }
                | Event::Finished { .. }
                | Event::ShutdownComplete { .. } => (&mut self.rare, Level::INFO),
                Event::VersionDetected { .. }
                | Event::Incompatible { .. }
                | Event::MembershipMissing { .. }
                | Event::Lost { .. } => (&mut self.rare, Level::WARN),
                Event::PeerRestarted { .. } | Event::FenceNeeded { .. } => (&mut self.rare, Level::ERROR),
            },
            NodeEvent::DialFailed { .. }
            | NodeEvent::PartialFrame { .. }
            | NodeEvent::FlushTimedOut { .. }
            | NodeEvent::Refused { .. } => (&mut self.noisy, Level::WARN),
            NodeEvent::Dropped { .. } => (&mut self.rare, Level::WARN),
        };
        if let Some(suppressed) = limiter.allow(now) {
            line(level, event, suppressed);
        }
    }
}

/// Writes one line. The level of a `tracing` event is part of its call site, so there is one for each.
fn line(level: Level, event: &NodeEvent, suppressed: u64) {
    macro_rules! at {
        ($level:expr) => {
            if suppressed == 0 {
                tracing::event!($level, "{event}");
            } else {
                tracing::event!(
                    $level,
                    suppressed,
                    "{event}, suppressed {suppressed} lines before this"
                );
            }
        };
    }
    match level {
        Level::ERROR => at!(Level::ERROR),
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        _ => at!(Level::DEBUG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_then_one_a_second_with_the_count_of_the_others() {
        let mut limiter = Limiter::default();
        let passed = (0..100_000).filter(|_| limiter.allow(Time(1)).is_some()).count();
        assert_eq!(passed, 10);
        assert_eq!(limiter.allow(Time(INTERVAL)), Some(99_990));
        assert_eq!(limiter.allow(Time(INTERVAL)), None);
        assert_eq!(limiter.allow(Time(3 * INTERVAL)), Some(1));
    }

    #[test]
    fn long_silence_earns_no_more_than_a_burst() {
        let mut limiter = Limiter::default();
        let passed = (0..100)
            .filter(|_| limiter.allow(Time(1_000 * INTERVAL)).is_some())
            .count();
        assert_eq!(passed, 10);
    }
}
