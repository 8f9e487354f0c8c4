//! A transport of your own passes the suite: `cargo run --example own_transport`.
//!
//! It is made of Unix socket pairs. Readiness may be told without need, so the simplest honest
//! transport tells all of it every millisecond.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::conformance::{NAMES, Suite};
use dlmwire_transport::{Accepted, Capabilities, Link, Ready, Received, Roster, Token, Transport, Waker};

type Call = (SocketAddr, UnixStream);
type Doors = Arc<Mutex<BTreeMap<SocketAddr, SyncSender<Call>>>>;

struct Pairs {
    roster: Roster,
    refused: u64,
    doors: Doors,
    callers: Receiver<Call>,
    dials: Vec<Ready>,
    links: BTreeMap<Token, Weak<UnixStream>>,
}

struct PairLink(Arc<UnixStream>, SocketAddr);

impl Transport for Pairs {
    type Link = PairLink;

    fn capabilities(&self) -> Capabilities {
        // The other end of a Unix socket pair sees every close as orderly.
        Capabilities {
            half_close: true,
            record_bytes_max: None,
            multihomed: false,
            close_signal: false,
        }
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<PairLink> {
        let address = self.roster.peer(peer).ok_or(ErrorKind::NotFound)?[0];
        let doors = self.doors.lock().expect("nobody panics with it").clone();
        let door = doors.get(&address).ok_or(ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = UnixStream::pair()?;
        let called = door.try_send((self.local_address(), theirs));
        called.map_err(|_| ErrorKind::ConnectionRefused)?;
        self.dials.push(Ready::Dialed(token));
        self.link(ours, token, address)
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<PairLink>>> {
        while let Ok((caller, stream)) = self.callers.try_recv() {
            if let Some(node) = self.roster.peer_at(caller.ip()) {
                let link = self.link(stream, token, caller)?;
                return Ok(Some(Accepted { node, link }));
            }
            self.refused += 1;
        }
        Ok(None)
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        std::thread::sleep(timeout.unwrap_or(Duration::MAX).min(Duration::from_millis(1)));
        *ready = std::mem::take(&mut self.dials);
        self.links.retain(|_, stream| stream.strong_count() > 0);
        ready.retain(|told| matches!(told, Ready::Dialed(token) if self.links.contains_key(token)));
        ready.push(Ready::Incoming);
        let links = self.links.keys();
        ready.extend(links.flat_map(|link| [Ready::Readable(*link), Ready::Writable(*link)]));
        Ok(())
    }

    fn waker(&self) -> Waker {
        Waker::new(|| {}) // every wait ends by itself
    }

    fn set_roster(&mut self, roster: Roster) {
        self.roster = roster;
    }

    fn refused(&self) -> u64 {
        self.refused
    }

    fn local_address(&self) -> SocketAddr {
        self.roster.local()[0]
    }
}

impl Link for PairLink {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        match (&*self.0).read(buffer)? {
            0 => Ok(Received::End),
            count => Ok(Received::Bytes(count)),
        }
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(slices)
    }

    fn close_send(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    fn abort(self) {}

    fn peer_address(&self) -> SocketAddr {
        self.1
    }
}

impl Pairs {
    fn link(&mut self, stream: UnixStream, token: Token, peer: SocketAddr) -> io::Result<PairLink> {
        stream.set_nonblocking(true)?;
        let stream = Arc::new(stream);
        self.links.insert(token, Arc::downgrade(&stream));
        Ok(PairLink(stream, peer))
    }
}

fn main() {
    let doors = Doors::default();
    let make = move |node: NodeId| {
        let address = SocketAddr::from(([127, 0, 0, node.get().to_le_bytes()[0]], 21064));
        let roster = Roster::new(node, vec![address], []).expect("one address is a roster");
        let (door, callers) = sync_channel(100);
        doors.lock().expect("nobody panics with it").insert(address, door);
        Pairs {
            roster,
            refused: 0,
            doors: Arc::clone(&doors),
            callers,
            dials: Vec::new(),
            links: BTreeMap::new(),
        }
    };
    Suite::new(make).run();
    println!("{} checks passed", NAMES.len());
}
