//! Captured kernels as partners of our engine.
//!
//! A [`Recorder`] keeps what a capture tells, and [`replay`] lets one real engine take the place of one of its nodes:
//! what the others sent to the node is fed to the engine at the capture's times, what the node sent itself is the
//! script of its application, and members come and go as the capture shows. What the engine delivers, drops,
//! acknowledges and writes is compared, frame by frame and byte by byte, with what the captured kernel let see.
//!
//! Where they differ there is a reason on the list of [`Class`]; everything else is [`Class::Unlisted`]: a defect
//! of the engine or of this comparison.
//!
//! What cannot be compared: when and on which link the engine writes (the capture's links stand, whatever the engine
//! asks for), and what the peers would have said had they heard our engine instead of the kernel.
//!
//! ```no_run
//! use dlmwire_codec::NodeId;
//! use dlmwire_interop::capture;
//! use dlmwire_interop::replay::{Bounds, Recorder, replay};
//!
//! let mut recorder = Recorder::new(&[], Bounds::default());
//! let _ = capture::read_path("cluster.pcap".as_ref(), &capture::Options::default(), &mut recorder)?;
//! let recording = recorder.finish();
//! for node in recording.nodes() {
//!     let report = replay(&recording, node).expect("the node is in the capture");
//!     assert!(report.agrees(), "{:?}", report.differences);
//! }
//! # Ok::<(), capture::CaptureError>(())
//! ```

mod partner;
mod receiving;
mod recording;
mod report;
mod script;
mod sending;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use dlmwire_codec::NodeId;

use self::partner::Partner;
use self::script::Script;

pub use recording::{Bounds, Recorder, Recording};
pub use report::{Class, Counts, Difference, KEPT_PER_CLASS, PeerReport, Report};
pub use script::Partial;

/// Lets our engine take a node's place.
///
/// # Errors
///
/// The node is not in the capture.
pub fn replay(recording: &Recording, node: NodeId) -> Result<Report, NoSuchNode> {
    let nodes = recording.nodes();
    if !nodes.contains(&node) {
        return Err(NoSuchNode { node, nodes });
    }
    let script = Script::new(recording, node);
    Ok(Partner::new(recording, &script, node).play())
}

/// A node is not in a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoSuchNode {
    /// The node.
    pub node: NodeId,
    /// The nodes that are.
    pub nodes: BTreeSet<NodeId>,
}

impl fmt::Display for NoSuchNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(NodeId::to_string).collect();
        match nodes.as_slice() {
            [] => write!(f, "node {} is not in the capture, nor is any other", self.node),
            [one] => write!(f, "node {} is not in the capture, only node {one} is", self.node),
            nodes => write!(
                f,
                "node {} is not in the capture; nodes {} are",
                self.node,
                nodes.join(", ")
            ),
        }
    }
}

impl std::error::Error for NoSuchNode {}
