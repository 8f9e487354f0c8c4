//! The loop: sockets, timers, commands.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::event::Event as Readiness;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::SockRef;

use super::fault::{Direction, Fault};
use super::handle::{Command, Handle};
use super::link::{Link, Verdict};
use super::pipe::Pipe;
use super::plan::Plan;
use super::report::{Ending, Log, Report, Summary};
use super::route::{Door, Route, Source};
use super::schedule::Event;

/// The most routes of one proxy.
pub const ROUTES_MAX: usize = 64;

/// The largest buffer of one direction of a connection.
pub const BUFFER_BYTES_MAX: usize = 16 << 20;

/// The most connections at once of one proxy.
pub const CONNECTIONS_MAX: usize = 16 << 10;

/// What a proxy is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The ways through it: 1 to [`ROUTES_MAX`]. Schedules and reports number them from 1 in this order.
    pub routes: Vec<Route>,
    /// What goes wrong.
    pub plan: Plan,
    /// How much one direction of a connection holds, from 1 to [`BUFFER_BYTES_MAX`]. When it is full the sender
    /// is not read, so that the system's flow control reaches it.
    pub buffer_bytes_max: usize,
    /// Connections at once, from 1 to [`CONNECTIONS_MAX`]; who dials beyond waits to be accepted.
    pub connections_max: usize,
    /// How long [`Proxy::run`] goes on; until it is stopped where it is `None`.
    pub run_time: Option<Duration>,
}

impl Default for Config {
    /// No route, nothing goes wrong, 64 KiB a direction, 1024 connections, no end.
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            plan: Plan::Seeded {
                seed: 0,
                rates: Vec::new(),
            },
            buffer_bytes_max: 64 << 10,
            connections_max: 1024,
            run_time: None,
        }
    }
}

/// A proxy that listens, and runs in whichever thread calls [`run`](Self::run).
pub struct Proxy {
    poll: Poll,
    doors: Vec<Door>,
    handle: Handle,
    commands: Receiver<Command>,
    config: Config,
    links: BTreeMap<usize, Link>,
    /// One entry a link at most, which a heap could not promise.
    timers: BTreeSet<(Instant, usize)>,
    armed: BTreeMap<usize, Instant>,
    next_link: usize,
    scratch: Vec<u8>,
}

const WAKER: Token = Token(0);
const FIRST_DOOR: usize = 1;
/// Links have two tokens each from here on: client, server.
const FIRST_LINK: usize = FIRST_DOOR + ROUTES_MAX;

impl Proxy {
    /// Listens on every route.
    ///
    /// # Errors
    ///
    /// The configuration makes no sense, or the system does not let it listen there or dial from there; the text
    /// names the route and the address.
    pub fn bind(config: Config) -> io::Result<Self> {
        check(&config)?;
        let poll = Poll::new()?;
        let (handle, commands) = Handle::new(Waker::new(poll.registry(), WAKER)?);
        let mut doors = Vec::new();
        for (index, &route) in config.routes.iter().enumerate() {
            let number = index + 1;
            route.try_from_address().map_err(|error| match route.from {
                Source::Address(from) => at(number, &format!("dial {} from {from}", route.to), &error),
                Source::Any | Source::Client => error,
            })?;
            let mut door = Door::open(route)
                .map_err(|error| at(number, &format!("listen on {}", route.listen), &error))?;
            if let Some(listener) = door.listener() {
                let token = Token(FIRST_DOOR + index);
                poll.registry().register(listener, token, Interest::READABLE)?;
            }
            doors.push(door);
        }
        Ok(Self {
            poll,
            doors,
            handle,
            commands,
            scratch: vec![0; config.buffer_bytes_max.min(64 << 10)],
            config,
            links: BTreeMap::new(),
            timers: BTreeSet::new(),
            armed: BTreeMap::new(),
            next_link: 0,
        })
    }

    /// The routes, with the ports that the system chose.
    pub fn routes(&self) -> Vec<Route> {
        self.doors.iter().map(|door| door.route).collect()
    }

    /// The proxy from other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until [`Handle::stop`] or the end of the [`run_time`](Config::run_time); then every connection is
    /// closed. `tell` is called for everything that happens, as it happens; the proxy waits for it.
    ///
    /// # Errors
    ///
    /// The system does not tell any more what sockets are ready for.
    pub fn run(mut self, mut tell: impl FnMut(&Report)) -> io::Result<Summary> {
        let handle = self.handle.clone();
        let mut log = Log {
            shared: handle.shared(),
            tell: &mut tell,
        };
        let end = self.config.run_time.map(|time| Instant::now() + time);
        let mut events = Events::with_capacity(256);
        let mut due = BTreeSet::new();
        loop {
            let now = Instant::now();
            if handle.shared().stopped() || end.is_some_and(|end| end <= now) {
                break;
            }
            self.obey(now, &mut due, &mut log);
            self.timers_due(now, &mut due);
            let mut again = BTreeSet::new();
            for id in std::mem::take(&mut due) {
                if self.pump(id, now, &mut log) {
                    again.insert(id);
                }
            }
            for door in 0..self.doors.len() {
                self.answer(door, now, &mut again, &mut log);
            }
            due = again;
            let timeout = if due.is_empty() {
                self.timeout(end)
            } else {
                Some(Duration::ZERO)
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                due.extend(self.ready(event));
            }
        }
        for (_, link) in std::mem::take(&mut self.links) {
            link.end(Ending::Stopped, &mut log);
        }
        log.count(|summary| summary.open = 0);
        Ok(handle.summary())
    }

    /// Remembers what is ready, and tells which link it concerns.
    fn ready(&mut self, event: &Readiness) -> Option<usize> {
        let token = event.token().0;
        if token < FIRST_LINK {
            if let Some(door) = token
                .checked_sub(FIRST_DOOR)
                .and_then(|door| self.doors.get_mut(door))
            {
                door.knocked = true;
            }
            return None;
        }
        let (id, end) = ((token - FIRST_LINK) / 2, (token - FIRST_LINK) % 2);
        self.links.get_mut(&id)?.ready(end, event);
        Some(id)
    }

    /// Does what the handles ask for.
    fn obey(&mut self, now: Instant, due: &mut BTreeSet<usize>, log: &mut Log<'_>) {
        while let Ok(Command { target, fault }) = self.commands.try_recv() {
            if let Fault::Refuse { ms } = fault {
                let door = usize::try_from(target.route)
                    .unwrap_or(usize::MAX)
                    .wrapping_sub(1);
                match self.doors.get_mut(door) {
                    Some(door) => {
                        let event = refusal(target.route, door.count + 1, ms);
                        door.close_until(now + Duration::from_millis(ms));
                        log.tell(&Report::Fault(event));
                    }
                    None => log.count(|summary| summary.missed += 1),
                }
                continue;
            }
            let mut missed = true;
            for (&id, link) in &mut self.links {
                if link.is_at(target.route, target.connection) {
                    link.inject(target.direction, fault.clone(), now, log);
                    due.insert(id);
                    missed = false;
                }
            }
            if missed {
                log.count(|summary| summary.missed += 1);
            }
        }
    }

    fn timers_due(&mut self, now: Instant, due: &mut BTreeSet<usize>) {
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.armed.remove(&id);
            due.insert(id);
        }
    }

    /// Tells whether the link has more to do.
    fn pump(&mut self, id: usize, now: Instant, log: &mut Log<'_>) -> bool {
        let Some(link) = self.links.get_mut(&id) else {
            return false;
        };
        let verdict = link.pump(now, &mut self.scratch, log);
        let wake = match verdict {
            Verdict::Waits(wake) => wake,
            Verdict::Again => return true,
            Verdict::Over(ending) => {
                if let Some(link) = self.links.remove(&id) {
                    link.end(ending, log);
                }
                log.count(|summary| summary.open -= 1);
                None
            }
        };
        if let Some(before) = self.armed.remove(&id) {
            self.timers.remove(&(before, id));
        }
        if let Some(wake) = wake {
            self.armed.insert(id, wake);
            self.timers.insert((wake, id));
        }
        false
    }

    /// Accepts who knocks at this door.
    fn answer(&mut self, index: usize, now: Instant, due: &mut BTreeSet<usize>, log: &mut Log<'_>) {
        let Some(route) = u32::try_from(index + 1).ok() else {
            return;
        };
        let token = Token(FIRST_DOOR + index);
        let door = &mut self.doors[index];
        let registry = self.poll.registry();
        let reopened = door.reopen(now, |listener| {
            registry.register(listener, token, Interest::READABLE)
        });
        if let Err(error) = reopened {
            log.tell(&Report::Trouble {
                route,
                doing: "listen again",
                error,
            });
        }
        while self.links.len() < self.config.connections_max {
            let door = &mut self.doors[index];
            let (stream, client) = match door.accept(now) {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return,
                Err(error) => {
                    return log.tell(&Report::Trouble {
                        route,
                        doing: "accept",
                        error,
                    });
                }
            };
            log.count(|summary| summary.connections += 1);
            let connection = door.count;
            if let Some(event) = self.config.plan.refusal(route, connection) {
                if let Fault::Refuse { ms } = event.fault {
                    door.close_until(now + Duration::from_millis(ms));
                }
                reset(stream);
                log.tell(&Report::Fault(event));
                return;
            }
            match self.connect(index, route, connection, stream, client) {
                Ok(id) => {
                    log.count(|summary| summary.open += 1);
                    due.insert(id);
                }
                Err(error) => log.tell(&Report::Trouble {
                    route,
                    doing: "connect onward",
                    error,
                }),
            }
        }
    }

    fn connect(
        &mut self,
        index: usize,
        route: u32,
        connection: u64,
        mut client: TcpStream,
        address: SocketAddr,
    ) -> io::Result<usize> {
        let mut server = match self.doors[index].route.dial(address) {
            Ok(server) => server,
            Err(error) => {
                reset(client);
                return Err(error);
            }
        };
        let id = self.next_link;
        self.next_link += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        for (end, stream) in [&mut client, &mut server].into_iter().enumerate() {
            self.poll
                .registry()
                .register(stream, Token(FIRST_LINK + 2 * id + end), interest)?;
        }
        let pipes = Direction::ALL.map(|direction| {
            let upcoming = self.config.plan.stream(route, connection, direction);
            Pipe::new(self.config.buffer_bytes_max, upcoming)
        });
        let addresses = [address, self.doors[index].route.to];
        let link = Link::new((route, connection), [client, server], addresses, pipes);
        self.links.insert(id, link);
        Ok(id)
    }

    fn timeout(&self, end: Option<Instant>) -> Option<Duration> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let doors = self.doors.iter().filter_map(|door| door.retry).min();
        let next = [timer, doors, end].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }
}

fn check(config: &Config) -> io::Result<()> {
    let limits = [
        ("routes", config.routes.len(), ROUTES_MAX),
        ("buffer bytes", config.buffer_bytes_max, BUFFER_BYTES_MAX),
        ("connections at once", config.connections_max, CONNECTIONS_MAX),
    ];
    for (name, value, max) in limits {
        if !(1..=max).contains(&value) {
            return Err(invalid(format!("{value} {name}: not within 1..{max}")));
        }
    }
    for (index, route) in config.routes.iter().enumerate() {
        let number = index + 1;
        if let Source::Address(from) = route.from
            && from.is_ipv4() != route.to.is_ipv4()
        {
            return Err(invalid(format!(
                "route {number}: {from} and {} are of two families",
                route.to
            )));
        }
    }
    if let Plan::Script(schedule) = &config.plan
        && let Some((route, line)) = schedule.highest_route
        && config.routes.len() < usize::try_from(route).unwrap_or(usize::MAX)
    {
        let count = config.routes.len();
        return Err(invalid(format!(
            "schedule: line {line}: route {route} of {count}"
        )));
    }
    Ok(())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, text)
}

fn at(number: usize, doing: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("route {number}: cannot {doing}: {error}"))
}

fn refusal(route: u32, connection: u64, ms: u64) -> Event {
    let direction = Direction::Forward;
    Event {
        route,
        connection,
        direction,
        at_byte: 0,
        fault: Fault::Refuse { ms },
    }
}

fn reset(stream: TcpStream) {
    // Refused only for sockets that are already dead.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}
