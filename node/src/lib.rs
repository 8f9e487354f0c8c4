//! A DLM messaging node: engine, transport and clock in one loop.
//!
//! # What it is
//!
//! - [`Node`]: drives an [`Engine`](dlmwire_midcomms::engine::Engine) over any
//!   [`Transport`](dlmwire_transport::Transport), and an [`Application`] on top of both;
//! - [`Outbox`]: how the application sends and commands from inside the loop;
//! - [`NodeHandle`]: how other threads do;
//! - [`NodeConfig`] and the readers of configuration files: our own TOML, `dlm.conf` and `corosync.conf`;
//! - [`NodeStatus`], and [`control`]: a Unix socket that tells it and takes commands.
//!
//! # What it is not
//!
//! It decides nothing about membership: who is a member, and who is to be fenced, is told by the cluster manager
//! through [`NodeHandle`], the control socket or the application. It takes no part in recovery; an application that
//! does turns [`NodeConfig::hello`] off.
//!
//! # Driving it
//!
//! ```
//! use dlmwire_codec::{LockspaceId, NodeId};
//! use dlmwire_midcomms::engine::Delivery;
//! use dlmwire_node::{Application, Node, NodeConfig, Outbox};
//! use dlmwire_transport::{MemoryNet, Roster};
//!
//! /// Answers every message.
//! struct Echo;
//!
//! impl Application for Echo {
//!     fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
//!         if let Some((lockspace, payload)) = delivery.payload() {
//!             // Leaves at the end of this turn, together with the acknowledgement.
//!             if let Err(error) = outbox.send_payload(delivery.node, lockspace, payload) {
//!                 eprintln!("no answer to node {}: {error}", delivery.node);
//!             }
//!         }
//!     }
//! }
//!
//! /// Waits for one answer.
//! #[derive(Default)]
//! struct Caller(Vec<u8>);
//!
//! impl Application for Caller {
//!     fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
//!         if let Some((_, payload)) = delivery.payload() {
//!             self.0 = payload.to_vec();
//!             outbox.stop();
//!         }
//!     }
//! }
//!
//! let group = LockspaceId::from_name(b"example");
//! let [alice, bob] = [1, 2].map(|id| NodeId::new(id).unwrap());
//! let addresses = ["10.0.0.1:21064", "10.0.0.2:21064"].map(|address| address.parse().unwrap());
//!
//! // In memory here; over TCP it is the same with another transport.
//! let net = MemoryNet::new();
//! let transport = net.transport(Roster::new(alice, vec![addresses[0]], [(bob, vec![addresses[1]])])?)?;
//! let mut first = Node::new(NodeConfig::new(alice, group), transport)?;
//! let transport = net.transport(Roster::new(bob, vec![addresses[1]], [(alice, vec![addresses[0]])])?)?;
//! let mut second = Node::new(NodeConfig::new(bob, group), transport)?;
//!
//! first.add_member(bob, group)?;
//! second.add_member(alice, group)?;
//! let stop = second.handle();
//! let echo = std::thread::spawn(move || second.run(&mut Echo));
//!
//! // Any thread may send, also before there is a connection.
//! first.handle().send_payload(bob, group, b"hello")?;
//! let mut caller = Caller::default();
//! first.run(&mut caller)?;
//! assert_eq!(caller.0, b"hello");
//!
//! stop.stop();
//! echo.join().unwrap()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing is printed: what is worth a line goes to `tracing`, rate-limited.

mod application;
mod arena;
mod clock;
pub mod config;
pub mod control;
mod core;
mod dialer;
mod event;
mod handle;
mod hello;
mod log;
mod mailbox;
mod node;
mod request_queue;
mod status;

pub use application::{Application, Outbox};
pub use config::{ConfigError, NodeConfig};
pub use event::NodeEvent;
pub use handle::{HandleError, MessageHandle, NodeHandle};
pub use node::{Node, NodeError};
pub use request_queue::{Generation, KeptMessage, Offered, RequestQueue};
pub use status::{LinkStatus, NodeStatus, PeerStatus, STATUS_VERSION};
