//! Two nodes with two addresses each, one association over both networks, and what SCTP says of its paths.
//! `cargo run -p dlmwire-sctp --example two_addresses` on a host with SCTP; elsewhere it says what is missing.

use std::error::Error;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;
use dlmwire_sctp::{Options, SctpTransport, probe};
use dlmwire_transport::{Link, Ready, Received, Roster, Token, Transport};

const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    if let Err(reason) = probe() {
        println!("SKIPPED two_addresses: {reason}");
        return Ok(());
    }
    let [one, two] = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
    let addresses = |node: u8, port| -> Vec<SocketAddr> {
        [35, 36]
            .map(|network| ([127, network, 0, node], port).into())
            .to_vec()
    };
    // Ports are the system's choice: each learns the other's before the first dial.
    let roster = Roster::new(one, addresses(1, 0), [(two, addresses(2, 0))])?;
    let mut a = SctpTransport::bind(roster, Options::default())?;
    let dialed_at = a.local_address().port();
    let roster = Roster::new(two, addresses(2, 0), [(one, addresses(1, dialed_at))])?;
    let mut b = SctpTransport::bind(roster, Options::default())?;
    let events = b.events();

    let mut dialed = b.dial(one, Token(1))?;
    let (mut accepted, mut greeted) = (None, false);
    let (mut ready, mut buffer) = (Vec::new(), [0; 4096]);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        b.wait(&mut ready, Some(Duration::from_millis(5)))?;
        if ready.contains(&Ready::Dialed(Token(1))) {
            dialed.send(&[IoSlice::new(b"hello "), IoSlice::new(b"over two networks")])?;
        }
        // What SCTP says is found while the link is read.
        if let Ok(Received::End) = dialed.receive(&mut buffer) {
            println!("the other end has closed");
            return Ok(());
        }
        while let Some(report) = events.take() {
            println!("{report}");
        }
        a.wait(&mut ready, Some(Duration::from_millis(5)))?;
        if accepted.is_none() {
            accepted = a.accept(Token(1))?;
        }
        if let Some(from) = &mut accepted
            && !greeted
            && let Ok(Received::Bytes(count)) = from.link.receive(&mut buffer)
        {
            println!(
                "node {}: {}",
                from.node,
                String::from_utf8_lossy(&buffer[..count])
            );
            for path in from.link.paths()? {
                println!(
                    "path to {}: {:?}, primary: {}",
                    path.address.ip(),
                    path.state,
                    path.primary
                );
            }
            from.link.close_send()?;
            greeted = true;
        }
    }
    Err("the end did not come".into())
}
