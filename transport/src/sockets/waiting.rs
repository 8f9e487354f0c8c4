//! What a listener remembers.

use std::io;
use std::time::{Duration, Instant};

/// How long a listener that gave an error, for example for want of descriptors, is left alone.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether somebody may wait at a listener of whom the system, which tells each change once, will not tell again.
///
/// The listener notes here what its accepts give ([`note`](Self::note)); the [`Queue`](super::Queue) asks it how long
/// it may wait and when to tell [`Ready::Incoming`](crate::Ready::Incoming) by itself. The default is that nobody
/// waits.
#[derive(Clone, Copy, Default, Debug)]
pub struct Waiting(Who);

#[derive(Clone, Copy, Default, Debug)]
enum Who {
    /// Nobody; the system will tell.
    #[default]
    Nobody,
    /// Perhaps somebody, of whom the system will not tell again.
    Perhaps,
    /// The same, but an error advises to pause until then.
    After(Instant),
}

impl Waiting {
    /// Notes what an accept gave, and gives it on; `None` if there was no connection to take.
    ///
    /// A connection that was taken may have another one behind it. One that the caller gave up meanwhile counts as
    /// none taken, and so does a signal: another try follows at the next wait.
    ///
    /// # Errors
    ///
    /// Every other error of the accept, for example that descriptors have run out. The next try is due in 100 ms: at
    /// once, it would most likely fail again.
    pub fn note<T>(&mut self, accepted: io::Result<T>) -> io::Result<Option<T>> {
        let (who, taken) = match accepted {
            Ok(taken) => (Who::Perhaps, Ok(Some(taken))),
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock => (Who::Nobody, Ok(None)),
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => (Who::Perhaps, Ok(None)),
                _ => (Who::After(Instant::now() + PAUSE), Err(e)),
            },
        };
        self.0 = who;
        taken
    }

    /// How long a wait may last, of `timeout`, so that nobody is kept waiting.
    #[inline]
    pub(super) fn patience(self, timeout: Option<Duration>) -> Option<Duration> {
        let own = match self.0 {
            Who::Nobody => return timeout,
            Who::Perhaps => Duration::ZERO,
            Who::After(then) => then.saturating_duration_since(Instant::now()),
        };
        Some(timeout.map_or(own, |timeout| timeout.min(own)))
    }

    /// Whether a wait that ends now must tell of somebody; it does so once.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        let due = match self.0 {
            Who::Nobody => false,
            Who::Perhaps => true,
            Who::After(then) => then <= Instant::now(),
        };
        if due {
            self.0 = Who::Nobody;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));
    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn noted(accepted: Result<(), io::ErrorKind>) -> Waiting {
        let mut waiting = Waiting::default();
        let _ = waiting.note(accepted.map_err(io::Error::from));
        waiting
    }

    #[test]
    fn nobody_waits_at_first_or_when_an_accept_finds_nobody() {
        for mut waiting in [Waiting::default(), noted(Err(io::ErrorKind::WouldBlock))] {
            assert_eq!(waiting.patience(HOUR), HOUR);
            assert_eq!(waiting.patience(None), None);
            assert!(!waiting.is_due());
        }
    }

    #[test]
    fn somebody_may_wait_behind_who_was_taken_gave_up_or_was_interrupted_and_is_told_once() {
        for accepted in [
            Ok(()),
            Err(io::ErrorKind::ConnectionAborted),
            Err(io::ErrorKind::Interrupted),
        ] {
            let mut waiting = noted(accepted);
            assert_eq!([HOUR, None].map(|timeout| waiting.patience(timeout)), [NOW; 2]);
            assert!(waiting.is_due());
            assert!(!waiting.is_due());
            assert_eq!(waiting.patience(HOUR), HOUR);
        }
    }

    #[test]
    fn who_was_taken_is_given_on_and_errors_that_end_by_themselves_are_none() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.note(Ok(7)).expect("no error"), Some(7));
        for kind in [
            io::ErrorKind::WouldBlock,
            io::ErrorKind::ConnectionAborted,
            io::ErrorKind::Interrupted,
        ] {
            assert_eq!(waiting.note(Err::<u8, _>(kind.into())).expect("no error"), None);
        }
        let error = waiting
            .note(Err::<u8, _>(io::ErrorKind::OutOfMemory.into()))
            .expect_err("this one stays");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    }

    #[test]
    fn error_lets_the_listener_alone_for_a_while_and_then_is_due_once() {
        let mut waiting = noted(Err(io::ErrorKind::OutOfMemory));
        assert!(
            [HOUR, None]
                .into_iter()
                .all(|timeout| waiting.patience(timeout) <= Some(PAUSE))
        );
        assert_eq!(waiting.patience(NOW), NOW);
        waiting.0 = Who::After(Instant::now() + 3600 * Duration::from_secs(1));
        assert!(!waiting.is_due());
        waiting.0 = Who::After(Instant::now());
        assert_eq!(waiting.patience(HOUR), NOW);
        assert!(waiting.is_due());
        assert!(!waiting.is_due());
    }
}
