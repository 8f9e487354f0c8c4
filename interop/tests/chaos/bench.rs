//! A proxy between plain TCP peers, and what the tests do with it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dlmwire_interop::chaos::{Config, Event, Handle, Kind, Plan, Proxy, Rate, Report, Summary};
use socket2::{Domain, SockRef, Socket, Type};

/// Longer than anything here takes; whoever waits longer fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Nobody panics who holds a lock.
pub(crate) const UNBROKEN: &str = "nobody panicked";

/// A proxy at node B's address, B's listener behind it, and what was told.
pub(crate) struct Bench {
    pub(crate) server: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    pub(crate) events: Arc<Mutex<Vec<Event>>>,
    pub(crate) thread: JoinHandle<io::Result<Summary>>,
}

impl Bench {
    pub(crate) fn new(plan: Plan) -> Self {
        Self::with(plan, "127.0.0.1")
    }

    /// A bench whose proxy dials from this address.
    pub(crate) fn with(plan: Plan, from: &str) -> Self {
        let bench = Self::deaf(plan, from);
        SockRef::from(&bench.server).listen(8).expect("it is bound");
        bench
    }

    /// A bench whose server has its address but does not listen yet.
    pub(crate) fn deaf(plan: Plan, from: &str) -> Self {
        let server = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is TCP");
        let any_port: SocketAddr = "127.0.0.2:0".parse().expect("an address");
        server.bind(&any_port.into()).expect("loopback has this address");
        let server = TcpListener::from(server);
        server
            .set_nonblocking(true)
            .expect("a socket can be non-blocking");
        let to = server.local_addr().expect("it listens");
        let config = Config {
            routes: vec![format!("127.0.0.2:0={to},{from}").parse().expect("a route")],
            plan,
            run_time: Some(DEADLINE * 2),
            ..Config::default()
        };
        let proxy = Proxy::bind(config).expect("loopback has these addresses");
        let (handle, address) = (proxy.handle(), proxy.routes()[0].listen);
        let (told, events) = <(Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<Event>>>)>::default();
        let thread = {
            let (told, events) = (Arc::clone(&told), Arc::clone(&events));
            thread::spawn(move || {
                proxy.run(|report| {
                    told.lock().expect(UNBROKEN).push(report.to_string());
                    if let Report::Fault(event) = report {
                        events.lock().expect(UNBROKEN).push(event.clone());
                    }
                })
            })
        };
        Self {
            server,
            address,
            handle,
            told,
            events,
            thread,
        }
    }

    /// A connection through the proxy: the client's end and the server's.
    pub(crate) fn connect(&self) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect_timeout(&self.address, DEADLINE).expect("the proxy listens");
        (limited(client), self.accept())
    }

    /// Dials, and tells how the proxy ends the connection; that may be known before dialling returns.
    pub(crate) fn dial_to_be_ended(&self) -> (Vec<u8>, Result<(), ErrorKind>) {
        match TcpStream::connect_timeout(&self.address, DEADLINE) {
            Ok(client) => read_all(&mut limited(client)),
            Err(error) => (vec![], Err(error.kind())),
        }
    }

    pub(crate) fn accept(&self) -> TcpStream {
        let mut accepted = None;
        wait_for("a connection at the server", || {
            accepted = self.server.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("waited for");
        stream.set_nonblocking(false).expect("a socket can be blocking");
        limited(stream)
    }

    /// Ends the proxy: what was counted, and all faults by place.
    pub(crate) fn finish(self) -> (Summary, Vec<Event>) {
        self.handle.stop().expect("the proxy can be woken");
        let summary = self
            .thread
            .join()
            .expect("the proxy does not panic")
            .expect("the proxy runs");
        let mut events = self.events.lock().expect(UNBROKEN).clone();
        events.sort_by_key(|event| (event.connection, event.direction, event.at_byte));
        (summary, events)
    }

    pub(crate) fn await_told(&self, words: &str) {
        wait_for(words, || {
            self.told
                .lock()
                .expect(UNBROKEN)
                .iter()
                .any(|line| line.contains(words))
        });
    }
}

pub(crate) fn limited(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
    stream.set_write_timeout(Some(DEADLINE)).expect("not zero");
    stream
}

pub(crate) fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < DEADLINE, "waited for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn seeded(seed: u64, rates: &[(Kind, &str)]) -> Plan {
    let rates = rates
        .iter()
        .map(|(kind, text)| Rate::parse(*kind, text).expect("a rate"));
    Plan::Seeded {
        seed,
        rates: rates.collect(),
    }
}

pub(crate) fn quiet() -> Plan {
    seeded(0, &[])
}

/// Bytes of which no two neighbourhoods look alike.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let byte = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0];
    (0..length).map(byte).collect()
}

/// Everything up to the end, and how it ended.
pub(crate) fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    (bytes, ended.map(drop).map_err(|error| error.kind()))
}

/// Sends both ways at once in chunks of so many bytes, closes, and tells what came out: at the server, at the client.
pub(crate) fn exchange(bench: &Bench, bytes: &[u8], chunk: usize) -> [Vec<u8>; 2] {
    let (client, server) = bench.connect();
    let send = |stream: &TcpStream| {
        let (mut stream, bytes) = (stream.try_clone().expect("a descriptor"), bytes.to_vec());
        thread::spawn(move || {
            for chunk in bytes.chunks(chunk) {
                stream.write_all(chunk).expect("the connection is there");
            }
            stream.shutdown(Shutdown::Write).expect("the connection is there");
        })
    };
    let writers = [send(&client), send(&server)];
    let received = [server, client].map(|mut stream| {
        let (bytes, ended) = read_all(&mut stream);
        assert_eq!(ended, Ok(()));
        bytes
    });
    for writer in writers {
        writer.join().expect("all is written");
    }
    received
}
