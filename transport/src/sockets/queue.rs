//! The system's event queue, and the lines that it tells of.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry};

use super::again::Again;
use super::alarm::Alarm;
use super::error::in_operation;
use super::waiting::Waiting;
use crate::{Ready, Token, Waker};

/// Readiness that is fetched from the system in one call.
const EVENTS_MAX: usize = 1024;

/// Lines that are not worth a sweep.
const SWEEP_LEAST: usize = 64;

const LISTENER: mio::Token = mio::Token(usize::MAX);
const WAKER: mio::Token = mio::Token(usize::MAX - 1);
const ALARM: mio::Token = mio::Token(usize::MAX - 2);

/// The greatest token that a line may have; the three above it, up to the machine's word, are the queue's own.
pub const TOKEN_MAX: Token = Token((ALARM.0 - 1) as u64);

/// A connection as link and transport share it.
///
/// Its descriptor stays the same and open as long as it lives.
pub trait Line: AsFd {
    /// Translates what the system told of it.
    ///
    /// An event says all that is there, and not only what is new. A dropped line is told of no more.
    fn tell(&self, event: &Event, ready: &mut Vec<Ready>);
}

/// The event queue of one transport: its listener, its lines, its [`Waker`], and the wait for them.
///
/// It tells as [`Transport::wait`](crate::Transport::wait) asks for, and is the greater part of one. A wait allocates
/// nothing, takes no lock as long as nobody asks for [`Again`], and starts no timer of the system's when a long
/// timeout has one that was started for a wait before it (on Linux).
pub struct Queue<L> {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    again: Again,
    waker: Waker,
    lines: BTreeMap<mio::Token, Weak<L>>,
    /// How many lines there may be before dropped ones are swept out.
    sweep_at: usize,
}

impl<L: Line> Queue<L> {
    /// One that tells of who comes to `listener`, which must not block.
    ///
    /// # Errors
    ///
    /// What the system says, for example that descriptors have run out.
    pub fn new(listener: &impl AsFd) -> io::Result<Self> {
        let poll = Poll::new().map_err(|e| in_operation("create the event queue", e))?;
        poll.registry().register(
            &mut SourceFd(&listener.as_fd().as_raw_fd()),
            LISTENER,
            Interest::READABLE,
        )?;
        let waker = mio::Waker::new(poll.registry(), WAKER)?;
        let alarm = Alarm::new(poll.registry(), ALARM);
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            alarm,
            again: Again::default(),
            // It fails only when the queue is gone, and with it who waits.
            waker: Waker::new(move || drop(waker.wake())),
            lines: BTreeMap::new(),
            sweep_at: SWEEP_LEAST,
        })
    }

    /// Takes `line` in as `token`: from now on it is told what happens there, of what `interest` names; the end and
    /// errors in any case. It is forgotten when the last [`Arc`] of it is dropped.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if `token` is greater than [`TOKEN_MAX`] or names another line that is still there; else what
    /// the system says.
    pub fn adopt(&mut self, token: Token, interest: Interest, line: &Arc<L>) -> io::Result<()> {
        let name = name(token)?;
        if self.is_there(name) {
            let text = format!("token {} already names a link", token.0);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.poll
            .registry()
            .register(&mut SourceFd(&line.as_fd().as_raw_fd()), name, interest)?;
        if self.lines.len() >= self.sweep_at {
            self.lines.retain(|_, line| line.strong_count() > 0);
            self.sweep_at = SWEEP_LEAST + 2 * self.lines.len();
        }
        self.lines.insert(name, Arc::downgrade(line));
        Ok(())
    }

    /// Waits until something is ready, the waker is used, or `timeout` is over (`None`: without end), and puts what
    /// is ready into `ready`, which is cleared first: what was asked for [`Again`], what lines told, and at last
    /// [`Ready::Incoming`], which may be by the memory of the listener, `waiting`.
    ///
    /// It may end with nothing before `timeout` is over.
    ///
    /// # Errors
    ///
    /// What the system says; being interrupted is no error.
    pub fn wait(
        &mut self,
        waiting: &mut Waiting,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        ready.clear();
        for token in self.again.take() {
            if name(token).is_ok_and(|name| self.is_there(name)) {
                ready.push(Ready::Readable(token));
            }
        }
        let timeout = if ready.is_empty() {
            waiting.patience(timeout)
        } else {
            Some(Duration::ZERO)
        };
        let timeout = self.alarm.cover(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            outcome => outcome.map_err(|e| in_operation("wait for readiness", e))?,
        }
        let mut incoming = waiting.is_due();
        for event in &self.events {
            match event.token() {
                LISTENER => incoming = true,
                WAKER => {}
                ALARM => self.alarm.told(),
                name => {
                    if let Some(line) = self.lines.get(&name).and_then(Weak::upgrade) {
                        line.tell(event, ready);
                    }
                }
            }
        }
        ready.extend(incoming.then_some(Ready::Incoming));
        Ok(())
    }

    /// A handle that ends [`wait`](Self::wait) from another thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What lines ask to be told once more with; the same for all of them.
    pub fn again(&self) -> Again {
        self.again.clone()
    }

    /// What lines change their interest with; best asked for once and shared by clones.
    ///
    /// # Errors
    ///
    /// What the system says: it takes one descriptor.
    pub fn interests(&self) -> io::Result<Interests> {
        let registry = self.poll.registry().try_clone();
        let registry = registry.map_err(|e| in_operation("share the event queue", e))?;
        Ok(Interests(Arc::new(registry)))
    }

    #[inline]
    fn is_there(&self, name: mio::Token) -> bool {
        self.lines.get(&name).is_some_and(|line| line.strong_count() > 0)
    }
}

impl<L> fmt::Debug for Queue<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("Queue");
        text.field("lines", &self.lines.len()).finish_non_exhaustive()
    }
}

/// Lets a line choose what it is told of, at any time; a clone costs no system call.
#[derive(Clone, Debug)]
pub struct Interests(Arc<Registry>);

impl Interests {
    /// From now on the line of this descriptor and token is told of what `interest` names, and of nothing else but
    /// the end and errors. What is there already is told once more; one system call.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a token that no line can have; on Linux `NotFound` for a descriptor that
    /// was not [adopted](Queue::adopt); else what the system says.
    #[inline]
    pub fn change(&self, line: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        let descriptor = line.as_fd().as_raw_fd();
        self.0
            .reregister(&mut SourceFd(&descriptor), name(token)?, interest)
    }
}

/// What the system calls a line.
#[inline]
fn name(token: Token) -> io::Result<mio::Token> {
    let name = usize::try_from(token.0).ok().map(mio::Token);
    name.filter(|name| *name < ALARM).ok_or_else(|| {
        let text = format!("token {} is greater than {}", token.0, TOKEN_MAX.0);
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::BorrowedFd;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_secs(3600));
    const NOW: Option<Duration> = Some(Duration::ZERO);
    const READABLE: Interest = Interest::READABLE;

    /// For one wait.
    const DEADLINE: Duration = Duration::from_secs(10);

    /// Tells all that it is told.
    struct Wire(TcpStream, Token);

    impl AsFd for Wire {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Line for Wire {
        fn tell(&self, event: &Event, ready: &mut Vec<Ready>) {
            ready.extend(event.is_readable().then_some(Ready::Readable(self.1)));
            ready.extend(event.is_writable().then_some(Ready::Writable(self.1)));
        }
    }

    struct Room {
        queue: Queue<Wire>,
        waiting: Waiting,
        listener: TcpListener,
    }

    impl Room {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            listener.set_nonblocking(true).expect("a listener");
            Self {
                queue: Queue::new(&listener).expect("an event queue"),
                waiting: Waiting::default(),
                listener,
            }
        }

        fn dial(&self) -> TcpStream {
            let address = self.listener.local_addr().expect("it is bound");
            TcpStream::connect(address).expect("somebody listens")
        }

        /// A line and its other end.
        fn line(&mut self, token: u64, interest: Interest) -> (Arc<Wire>, TcpStream) {
            let far = self.dial();
            let stream = loop {
                match self.waiting.note(self.listener.accept()).expect("accept works") {
                    Some((stream, _)) => break stream,
                    None => drop(self.wait(HOUR)),
                }
            };
            stream.set_nonblocking(true).expect("a stream");
            let line = Arc::new(Wire(stream, Token(token)));
            self.queue
                .adopt(Token(token), interest, &line)
                .expect("the token is free");
            while !self.wait(NOW).is_empty() {}
            (line, far)
        }

        /// What one wait tells, which must end by itself.
        fn wait(&mut self, timeout: Option<Duration>) -> Vec<Ready> {
            let (ended, ends) = mpsc::sync_channel(1);
            let waker = self.queue.waker();
            let watch = thread::spawn(move || {
                let late = ends.recv_timeout(DEADLINE).is_err();
                if late {
                    waker.wake();
                }
                late
            });
            let mut ready = vec![Ready::Incoming];
            self.queue
                .wait(&mut self.waiting, &mut ready, timeout)
                .expect("wait works");
            let _ = ended.send(());
            assert!(!watch.join().expect("the watch ends"), "the wait does not end");
            ready
        }
    }

    #[test]
    fn who_comes_is_told_by_the_system_and_who_was_left_by_memory() {
        let mut room = Room::new();
        let _far = [room.dial(), room.dial()];
        assert_eq!(room.wait(HOUR), [Ready::Incoming]);
        let first = room.waiting.note(room.listener.accept()).expect("accept works");
        assert!(first.is_some());
        assert_eq!(room.wait(HOUR), [Ready::Incoming]);
    }

    #[test]
    fn listener_that_gave_an_error_is_told_after_a_pause() {
        let mut room = Room::new();
        let error = io::Error::from(io::ErrorKind::OutOfMemory);
        room.waiting
            .note(Err::<(), _>(error))
            .expect_err("it is given on");
        let deadline = Instant::now() + DEADLINE;
        while room.wait(None).is_empty() {
            assert!(Instant::now() < deadline, "the listener is not told");
        }
        assert_eq!(room.wait(NOW), []);
    }

    #[test]
    fn what_comes_on_a_line_is_told_by_its_token() {
        let mut room = Room::new();
        let (_first, _far) = room.line(1, READABLE);
        let (_second, mut far) = room.line(TOKEN_MAX.0, READABLE);
        far.write_all(b"bytes").expect("there is room");
        assert_eq!(room.wait(HOUR), [Ready::Readable(TOKEN_MAX)]);
        assert_eq!(room.wait(NOW), []);
    }

    #[test]
    fn token_that_is_taken_or_too_great_is_refused_until_its_line_is_dropped() {
        let mut room = Room::new();
        let (first, _far) = room.line(1, READABLE);
        let (second, _other) = room.line(2, READABLE);
        for token in [Token(1), Token(TOKEN_MAX.0 + 1), Token(u64::MAX)] {
            let error = room.queue.adopt(token, READABLE, &second).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        }
        drop(first);
        let _new = room.line(1, READABLE);
    }

    #[test]
    fn dropped_lines_are_told_no_more_and_swept_out() {
        let mut room = Room::new();
        for token in 0..3 * SWEEP_LEAST as u64 {
            let (line, mut far) = room.line(token, READABLE);
            far.write_all(b"bytes").expect("there is room");
            room.queue.again().push(Token(token));
            drop(line);
            assert_eq!(room.wait(NOW), []);
        }
        assert!(room.queue.lines.len() <= SWEEP_LEAST + 1, "{:?}", room.queue);
    }

    #[test]
    fn what_is_asked_for_again_is_told_at_once_and_once() {
        let mut room = Room::new();
        let (_line, _far) = room.line(1, READABLE);
        room.queue.again().push(Token(1));
        room.queue.again().push(Token(2));
        room.queue.again().push(Token(u64::MAX));
        assert_eq!(room.wait(HOUR), [Ready::Readable(Token(1))]);
        assert_eq!(room.wait(NOW), []);
    }

    #[test]
    fn waker_ends_the_next_wait_with_nothing_and_no_more() {
        let mut room = Room::new();
        let waker = room.queue.waker();
        thread::spawn(move || waker.wake()).join().expect("it wakes");
        assert_eq!(room.wait(None), []);
        // The next one ends by its own timeout.
        assert_eq!(room.wait(Some(Duration::from_millis(20))), []);
    }

    #[test]
    fn each_of_several_long_waits_for_nothing_ends() {
        let mut room = Room::new();
        for _ in 0..3 {
            assert_eq!(room.wait(Some(Duration::from_millis(20))), []);
        }
    }

    #[test]
    fn line_is_told_of_room_only_while_it_is_interested() {
        let mut room = Room::new();
        let (line, mut far) = room.line(1, READABLE);
        let interests = room.queue.interests().expect("one descriptor more");
        interests
            .change(&line, Token(1), READABLE | Interest::WRITABLE)
            .expect("it was adopted");
        assert_eq!(room.wait(HOUR), [Ready::Writable(Token(1))]);
        interests
            .clone()
            .change(&line, Token(1), READABLE)
            .expect("it was adopted");
        far.write_all(b"bytes").expect("there is room");
        assert_eq!(room.wait(HOUR), [Ready::Readable(Token(1))]);
        let error = interests
            .change(&line, Token(u64::MAX), READABLE)
            .expect_err("no line has this token");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        #[cfg(target_os = "linux")]
        {
            let error = interests
                .change(&far, Token(1), READABLE)
                .expect_err("it was not adopted");
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
