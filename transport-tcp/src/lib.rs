//! DLM over TCP: a [`Transport`](dlmwire_transport::Transport) of non-blocking sockets (spec: lowcomms 3, 4, 5, 8).
//!
//! What it does as the kernels do: it listens on the first local address alone, dials from that address to the
//! first address of a node, sends without Nagle's delay, and knows a peer by its address only. What it does beyond
//! them: keepalive and a user timeout, so that a dead link is noticed without traffic.
//!
//! It knows links and addresses, nothing of frames or sequences. Linux is the target.
//!
//! ```
//! use dlmwire_codec::NodeId;
//! use dlmwire_tcp::{Options, TcpTransport};
//! use dlmwire_transport::{Roster, Transport};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
//! let (ours, theirs) = ("127.0.0.1:0".parse()?, "127.0.0.2:21064".parse()?);
//! let roster = Roster::new(one, vec![ours], [(two, vec![theirs])])?;
//! let transport = TcpTransport::bind(roster, Options::default())?;
//! assert_ne!(transport.local_address().port(), 0);
//! # Ok(())
//! # }
//! ```

mod line;
mod listener;
mod options;
mod transport;

pub use line::TcpLink;
pub use options::{Keepalive, Options};
pub use transport::TcpTransport;

/// What every transport over TCP can do.
pub const CAPABILITIES: dlmwire_transport::Capabilities = dlmwire_transport::Capabilities {
    half_close: true,
    record_bytes_max: None,
    multihomed: false,
    close_signal: true,
};
