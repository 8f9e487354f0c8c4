//! What ends a long wait: one timer that is set for many of them.
//!
//! A timeout given to the system is a timer started and stopped for each wait, which shows in a round trip over
//! loopback. In a busy loop nearly every wait ends long before it, so that an alarm that is set already rings early
//! enough for the next ones, too. A wait that it ends early is one that ends with nothing, of which there is at most
//! one for every time that it is set. Where the system gives no such timer, every wait has its own timeout.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

/// Shorter waits get a timeout of their own: the alarm would be set for each of them.
const LEAST: Duration = Duration::from_millis(10);

/// How late it may ring: several waits for one moment are each a little shorter than what is left when it is set.
const SLACK: Duration = Duration::from_millis(1);

/// A timer that makes the event queue ready.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Option<Timer>,
    /// What it is set for, until it is told.
    set: Option<Set>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Set {
    delay: Duration,
    /// Not later than it will ring.
    rings: Instant,
}

impl Alarm {
    /// One that is not set, told as `token`.
    pub(super) fn new(registry: &Registry, token: Token) -> Self {
        Self {
            timer: Timer::new(registry, token).ok(),
            set: None,
        }
    }

    /// Sees to the end of a wait of `timeout`, and gives what is left for the system to see to.
    #[inline]
    pub(super) fn cover(&mut self, timeout: Option<Duration>) -> Option<Duration> {
        let timeout = timeout?;
        if timeout < LEAST {
            return Some(timeout);
        }
        if self.set.is_some_and(|set| set.is_early_enough(timeout)) {
            return None;
        }
        self.set = self.timer.as_ref().and_then(|timer| timer.set(timeout));
        if self.set.is_some() { None } else { Some(timeout) }
    }

    /// It rang and has been told.
    #[inline]
    pub(super) const fn told(&mut self) {
        self.set = None;
    }
}

impl Set {
    #[inline]
    fn is_early_enough(self, timeout: Duration) -> bool {
        // One that was set before, for as short a wait, is so without a look at the clock.
        self.delay <= timeout
            || Instant::now()
                .checked_add(timeout)
                .and_then(|by| by.checked_add(SLACK))
                .is_none_or(|by| self.rings <= by)
    }
}

/// The system's timer.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Timer(std::os::fd::OwnedFd);

#[cfg(target_os = "linux")]
impl Timer {
    fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use mio::Interest;
        use mio::unix::SourceFd;
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Lets it ring once after `delay`, and no more for what was set before; `None` if it will not. Nothing need be
    /// read: each ring is told by itself.
    fn set(&self, delay: Duration) -> Option<Set> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let rings = Instant::now().checked_add(delay)?;
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(delay).ok()?,
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).ok()?;
        Some(Set { delay, rings })
    }
}

/// Elsewhere there is none.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
enum Timer {}

#[cfg(not(target_os = "linux"))]
impl Timer {
    fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set(&self, _: Duration) -> Option<Set> {
        match *self {}
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use mio::{Events, Poll};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DEADLINE: Duration = Duration::from_secs(10);

    fn alarm() -> (Poll, Alarm) {
        let poll = Poll::new().expect("an event queue");
        let alarm = Alarm::new(poll.registry(), Token(7));
        (poll, alarm)
    }

    /// Waits as the queue does, and says whether the alarm ended it.
    fn wait(poll: &mut Poll, alarm: &mut Alarm, timeout: Duration) -> bool {
        let left = alarm.cover(Some(timeout));
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(left.unwrap_or(DEADLINE)))
            .expect("a wait");
        let told = !events.is_empty();
        if told {
            alarm.told();
        }
        told
    }

    #[test]
    fn waits_that_end_early_set_the_alarm_once() {
        let (_poll, mut alarm) = alarm();
        assert_eq!(alarm.cover(Some(HOUR)), None);
        let set = alarm.set;
        assert!(set.is_some());
        for _ in 0..1000 {
            assert_eq!(alarm.cover(Some(HOUR)), None);
        }
        assert_eq!(alarm.set, set);
    }

    #[test]
    fn waits_for_one_moment_set_the_alarm_once() {
        let (_poll, mut alarm) = alarm();
        let due = Instant::now() + HOUR;
        let left = || Some(due.saturating_duration_since(Instant::now()));
        assert_eq!(alarm.cover(left()), None);
        let set = alarm.set;
        assert!(set.is_some());
        for _ in 0..1000 {
            assert_eq!(alarm.cover(left()), None);
        }
        assert_eq!(alarm.set, set);
    }

    #[test]
    fn short_and_endless_waits_leave_the_alarm_alone() {
        let (_poll, mut alarm) = alarm();
        for timeout in [None, Some(Duration::ZERO), Some(Duration::from_millis(1))] {
            assert_eq!(alarm.cover(timeout), timeout);
        }
        assert_eq!(alarm.set, None);
    }

    #[test]
    fn each_of_several_waits_for_nothing_ends() {
        let (mut poll, mut alarm) = alarm();
        for _ in 0..3 {
            assert!(wait(&mut poll, &mut alarm, 2 * LEAST), "nobody rang");
        }
    }

    #[test]
    fn alarm_that_is_set_too_late_is_set_again() {
        let (mut poll, mut alarm) = alarm();
        assert_eq!(alarm.cover(Some(HOUR)), None);
        assert!(wait(&mut poll, &mut alarm, 2 * LEAST), "nobody rang");
    }

    #[test]
    fn alarm_that_rang_while_nobody_waited_ends_one_wait_early_and_no_more() {
        let (mut poll, mut alarm) = alarm();
        assert_eq!(alarm.cover(Some(LEAST)), None);
        std::thread::sleep(2 * LEAST);
        assert!(wait(&mut poll, &mut alarm, HOUR), "nobody rang");
        assert_eq!(alarm.cover(Some(HOUR)), None);
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO)).expect("a wait");
        assert!(events.is_empty(), "told twice");
        assert!(wait(&mut poll, &mut alarm, LEAST), "nobody rang");
    }

    #[test]
    fn longest_wait_is_left_to_the_system() {
        let (_poll, mut alarm) = alarm();
        assert_eq!(alarm.cover(Some(Duration::MAX)), Some(Duration::MAX));
    }

    #[test]
    fn without_a_timer_every_wait_has_its_timeout() {
        let mut alarm = Alarm {
            timer: None,
            set: None,
        };
        assert_eq!(alarm.cover(Some(HOUR)), Some(HOUR));
    }
}
