//! One connection through the proxy: two sockets, two pipes, and what ends them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event as Readiness;
use mio::net::TcpStream;
use socket2::SockRef;

use super::fault::{Direction, Fault, Side};
use super::pipe::{Input, Pipe, Step};
use super::report::{Ending, Log, Report};
use super::schedule::Event;

/// How long the onward connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what still comes is taken after both ends were passed on: closing earlier would reset.
const DRAIN: Duration = Duration::from_secs(1);

/// Reads and writes of one direction before others get their turn.
const ROUNDS: usize = 16;

/// One connection through the proxy.
pub(super) struct Link {
    route: u32,
    connection: u64,
    addresses: [SocketAddr; 2],
    /// Client and server, while they are there.
    ends: [Option<End>; 2],
    /// Forward and back.
    pipes: [Pipe; 2],
    state: State,
    /// When each pipe wants to go on.
    wakes: [Option<Instant>; 2],
}

/// What to do with a link.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Nothing before its sockets are ready, or before this time.
    Waits(Option<Instant>),
    /// It has more to do.
    Again,
    /// Drop it.
    Over(Ending),
}

struct End {
    stream: TcpStream,
    readable: bool,
    writable: bool,
    /// The system has reported an error: an end that is read from here on is a reset.
    broken: bool,
}

enum State {
    Connecting {
        until: Instant,
    },
    Open,
    /// Only thrown away any more, until a time.
    Doomed(Doom),
}

struct Doom {
    until: Instant,
    ending: Ending,
    last_act: LastAct,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LastAct {
    /// Close when the time is over or both sides have ended.
    Close,
    /// Reset when the time is over.
    Reset,
}

impl Link {
    /// A link whose server is being connected to.
    pub(super) fn new(
        place: (u32, u64),
        streams: [TcpStream; 2],
        addresses: [SocketAddr; 2],
        pipes: [Pipe; 2],
    ) -> Self {
        let (route, connection) = place;
        Self {
            route,
            connection,
            addresses,
            ends: streams.map(|stream| {
                Some(End {
                    stream,
                    readable: true,
                    writable: true,
                    broken: false,
                })
            }),
            pipes,
            state: State::Connecting {
                until: Instant::now() + CONNECT_TIMEOUT,
            },
            wakes: [None; 2],
        }
    }

    pub(super) fn is_at(&self, route: u32, connection: Option<u64>) -> bool {
        self.route == route && connection.is_none_or(|connection| connection == self.connection)
    }

    /// Remembers what a socket is ready for.
    pub(super) fn ready(&mut self, end: usize, readiness: &Readiness) {
        if let Some(end) = self.ends.get_mut(end).and_then(Option::as_mut) {
            let failed = readiness.is_error();
            end.readable |= readiness.is_readable() || readiness.is_read_closed() || failed;
            end.writable |= readiness.is_writable() || readiness.is_write_closed() || failed;
            end.broken |= failed;
        }
    }

    /// Does something now that was not planned.
    pub(super) fn inject(&mut self, direction: Direction, fault: Fault, now: Instant, log: &mut Log<'_>) {
        if !matches!(self.state, State::Open) {
            log.count(|summary| summary.missed += 1);
            return;
        }
        let event = Event {
            route: self.route,
            connection: self.connection,
            direction,
            at_byte: self.pipes[direction.index()].position(),
            fault,
        };
        self.perform(event, now, log);
    }

    /// Moves what can be moved.
    pub(super) fn pump(&mut self, now: Instant, scratch: &mut [u8], log: &mut Log<'_>) -> Verdict {
        if let State::Connecting { until } = self.state {
            match self.connected() {
                Ok(false) if now < until => return Verdict::Waits(Some(until)),
                Ok(true) => self.open(log),
                Ok(false) => return self.not_connected(ErrorKind::TimedOut.into(), log),
                Err(error) => return self.not_connected(error, log),
            }
        }
        let mut again = false;
        for direction in Direction::ALL {
            again |= self.pump_direction(direction, now, scratch, log);
        }
        self.notice_late_reset(log);
        self.verdict(now, again)
    }

    /// Tells that it is over.
    pub(super) fn end(self, ending: Ending, log: &mut Log<'_>) {
        let [forward_bytes, back_bytes] = [&self.pipes[0], &self.pipes[1]].map(Pipe::position);
        log.tell(&Report::Ended {
            route: self.route,
            connection: self.connection,
            forward_bytes,
            back_bytes,
            ending,
        });
    }

    /// Whether the server is there yet.
    fn connected(&self) -> io::Result<bool> {
        let Some(server) = &self.ends[1] else {
            return Ok(false);
        };
        if let Some(error) = server.stream.take_error()? {
            return Err(error);
        }
        match server.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn open(&mut self, log: &mut Log<'_>) {
        self.state = State::Open;
        let [client, server] = self.addresses;
        log.tell(&Report::Opened {
            route: self.route,
            connection: self.connection,
            client,
            server,
        });
    }

    fn not_connected(&mut self, error: io::Error, log: &mut Log<'_>) -> Verdict {
        log.tell(&Report::Trouble {
            route: self.route,
            doing: "connect onward",
            error,
        });
        self.reset(Side::Both);
        Verdict::Over(Ending::NotConnected)
    }

    /// Tells whether there is more to do.
    fn pump_direction(
        &mut self,
        direction: Direction,
        now: Instant,
        scratch: &mut [u8],
        log: &mut Log<'_>,
    ) -> bool {
        for _ in 0..ROUNDS {
            let read = self.fill(direction, now, scratch, log);
            let done = self.step(direction, now, log);
            if !(read || done) {
                return false;
            }
        }
        true
    }

    /// Reads once; tells whether something came of it.
    fn fill(&mut self, direction: Direction, now: Instant, scratch: &mut [u8], log: &mut Log<'_>) -> bool {
        let pipe = &mut self.pipes[direction.index()];
        let room = pipe.room(now).min(scratch.len());
        let Some(sender) = self.ends[direction.index()]
            .as_mut()
            .filter(|end| end.readable && room > 0)
        else {
            return false;
        };
        match sender.stream.read(&mut scratch[..room]) {
            Ok(0) if sender.broken => pipe.end(Input::Reset),
            Ok(0) => pipe.end(Input::Ended),
            Ok(count) => {
                log.dropped(pipe.fill(&scratch[..count]));
                let buffered = pipe.buffered() as u64;
                log.count(|summary| summary.buffered_bytes_max = summary.buffered_bytes_max.max(buffered));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                sender.readable = false;
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => pipe.end(Input::Reset),
        }
        true
    }

    /// Does the next thing; tells whether there was one.
    fn step(&mut self, direction: Direction, now: Instant, log: &mut Log<'_>) -> bool {
        let at = direction.index();
        self.wakes[at] = None;
        match self.pipes[at].step(now) {
            Step::Idle => return false,
            Step::Wait(until) => {
                self.wakes[at] = Some(until);
                return false;
            }
            Step::Fault(event) => self.perform(event, now, log),
            Step::Write(count) => return self.write(direction, count, now, log),
            Step::Finish(Input::Reset) => {
                let by = [Side::Client, Side::Server][at];
                self.doom(now, Ending::Reset { by }, LastAct::Reset, log);
            }
            Step::Finish(_) => {
                self.shut(1 - at);
                self.pipes[at].finished();
            }
        }
        true
    }

    fn write(&mut self, direction: Direction, count: usize, now: Instant, log: &mut Log<'_>) -> bool {
        let at = direction.index();
        let pipe = &mut self.pipes[at];
        let Some(receiver) = self.ends[1 - at].as_mut().filter(|end| end.writable) else {
            return false;
        };
        match receiver.stream.write(pipe.front(count)) {
            Ok(written) => {
                pipe.forwarded(written, now);
                log.count(|summary| summary.forwarded(direction, written as u64));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                receiver.writable = false;
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                // What it sent before it went is still to be read, and comes before the news that it is gone.
                receiver.broken = true;
                receiver.readable = true;
                log.dropped(pipe.discard());
            }
        }
        true
    }

    fn perform(&mut self, event: Event, now: Instant, log: &mut Log<'_>) {
        let at = event.direction.index();
        let ending = Ending::Fault {
            fault: event.fault.name(),
        };
        match &event.fault {
            Fault::HalfOpen { ms } => {
                self.doom(now + Duration::from_millis(*ms), ending, LastAct::Reset, log);
            }
            Fault::Rst { side } => {
                self.reset(*side);
                self.shut(0);
                self.shut(1);
                self.doom(now + DRAIN, ending, LastAct::Close, log);
            }
            Fault::Close {} => {
                self.shut(0);
                self.shut(1);
                self.doom(now + DRAIN, ending, LastAct::Close, log);
            }
            Fault::Fin {} => {
                self.shut(1 - at);
                log.dropped(self.pipes[at].discard());
            }
            fault => self.pipes[at].apply(fault, now),
        }
        log.tell(&Report::Fault(event));
    }

    /// From now on everything is thrown away.
    fn doom(&mut self, until: Instant, ending: Ending, last_act: LastAct, log: &mut Log<'_>) {
        for pipe in &mut self.pipes {
            log.dropped(pipe.discard());
        }
        self.state = State::Doomed(Doom {
            until,
            ending,
            last_act,
        });
    }

    /// A side that has ended and is then reset has nothing left to read, so only the system can tell.
    fn notice_late_reset(&mut self, log: &mut Log<'_>) {
        if !matches!(self.state, State::Open) {
            return;
        }
        for (at, by) in [Side::Client, Side::Server].into_iter().enumerate() {
            let broken = self.ends[at].as_ref().is_some_and(|end| end.broken);
            if broken && self.pipes[at].input() == Input::Ended {
                self.doom(Instant::now(), Ending::Reset { by }, LastAct::Reset, log);
                return;
            }
        }
    }

    fn verdict(&mut self, now: Instant, again: bool) -> Verdict {
        let over = |at: usize| self.ends[at].is_none() || self.pipes[at].is_over();
        let both_over = over(0) && over(1);
        match &self.state {
            State::Doomed(doom) => {
                let (until, ending, last_act) = (doom.until, doom.ending, doom.last_act);
                if now < until && !(both_over && last_act == LastAct::Close) {
                    return if again {
                        Verdict::Again
                    } else {
                        Verdict::Waits(Some(until))
                    };
                }
                if last_act == LastAct::Reset {
                    self.reset(Side::Both);
                }
                Verdict::Over(ending)
            }
            State::Connecting { .. } | State::Open if both_over => Verdict::Over(Ending::Closed),
            State::Connecting { .. } | State::Open if again => Verdict::Again,
            State::Connecting { .. } | State::Open => Verdict::Waits(self.wakes.into_iter().flatten().min()),
        }
    }

    /// Passes a clean end on; a socket that is no longer connected has none to pass.
    fn shut(&self, end: usize) {
        if let Some(end) = &self.ends[end] {
            let _ = end.stream.shutdown(Shutdown::Write);
        }
    }

    /// Closes with a reset.
    fn reset(&mut self, side: Side) {
        let ends: &[usize] = match side {
            Side::Client => &[0],
            Side::Server => &[1],
            Side::Both => &[0, 1],
        };
        for &end in ends {
            if let Some(end) = self.ends[end].take() {
                // Refused only for sockets that are already dead.
                let _ = SockRef::from(&end.stream).set_linger(Some(Duration::ZERO));
            }
        }
    }
}
