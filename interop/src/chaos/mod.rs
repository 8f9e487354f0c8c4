//! A TCP proxy between two nodes that breaks their connections on purpose, the same way every time.
//!
//! # Where it stands
//!
//! A DLM node is known by the address from which its connections come (spec: lowcomms 4); ports mean nothing. So
//! the proxy may listen on a node's own address at another port, and dials onward from the address of the node
//! whose connections it carries. Each node dials the other, hence two routes:
//!
//! | | address | listens on | is told that the other is at |
//! |---|---|---|---|
//! | node A | 127.0.0.1 | 127.0.0.1:21064 | 127.0.0.2:31064 |
//! | node B | 127.0.0.2 | 127.0.0.2:21064 | 127.0.0.1:31064 |
//! | route 1 | | 127.0.0.2:31064 | dials B, 127.0.0.2:21064, from A's 127.0.0.1 |
//! | route 2 | | 127.0.0.1:31064 | dials A, 127.0.0.1:21064, from B's 127.0.0.2 |
//!
//! A dials 127.0.0.2:31064, B's address as far as A can tell, and B sees a connection from 127.0.0.1, which is A.
//! No address is needed that the nodes do not have. A node that cannot be told a port for each peer needs the
//! proxy at port 21064 of further addresses: then A is told that B is there, and knows B's own connections,
//! which route 2 brings, by the `from` of that route.
//!
//! # What it does
//!
//! An [`Event`] is a [`Fault`] and its place: route, connection, direction, bytes forwarded before. A [`Plan`]
//! draws events from a seed or takes them from a [`Schedule`]; either way they depend on places alone, not on
//! time. What was done, [told](Report) as it happens, is again a schedule.
//!
//! Two things depend on time nevertheless: which of two nodes that dial at once gets which connection number, and
//! how far one direction has come when a fault in the other ends both.
//!
//! # What it does not do
//!
//! It knows nothing of DLM and never makes, repeats or reorders bytes. What the system had in its own buffers when
//! a connection is reset may be lost with it, as it is between real nodes.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! use dlmwire_interop::chaos::{Config, Kind, Plan, Proxy, Rate};
//!
//! let server = TcpListener::bind("127.0.0.2:0")?;
//! let route = format!("127.0.0.2:0={},127.0.0.1", server.local_addr()?);
//! let config = Config {
//!     routes: vec![route.parse()?],
//!     plan: Plan::Seeded { seed: 1, rates: vec![Rate::parse(Kind::Split, "@0,pieces=2,bytes=1")?] },
//!     ..Config::default()
//! };
//! let proxy = Proxy::bind(config)?;
//! let (handle, address) = (proxy.handle(), proxy.routes()[0].listen);
//! let thread = std::thread::spawn(move || proxy.run(|_| {}));
//!
//! TcpStream::connect(address)?.write_all(b"abc")?;
//! let (mut stream, from) = server.accept()?;
//! assert_eq!(from.ip().to_string(), "127.0.0.1");
//! let mut bytes = Vec::new();
//! stream.read_to_end(&mut bytes)?;
//! assert_eq!(bytes, b"abc");
//! handle.stop()?;
//! let summary = thread.join().expect("the proxy ends")?;
//! assert_eq!(summary.faults["split"], 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod fault;
mod handle;
mod link;
mod pipe;
mod plan;
mod proxy;
mod rate;
mod report;
mod route;
mod schedule;

pub use self::fault::{Direction, FAULT_MS_MAX, Fault, FaultError, GAP_US_MAX, PIECES_MAX, Side};
pub use self::handle::{Handle, InjectError, Target};
pub use self::plan::Plan;
pub use self::proxy::{BUFFER_BYTES_MAX, CONNECTIONS_MAX, Config, Proxy, ROUTES_MAX};
pub use self::rate::{Kind, Rate, RateError};
pub use self::report::{Ending, Report, Summary};
pub use self::route::{Route, RouteError, Source};
pub use self::schedule::{EVENTS_MAX, Event, LINE_BYTES_MAX, Schedule, ScheduleError};
