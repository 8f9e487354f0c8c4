//! Nodes, lockspaces and addresses that the kernel does not know, and a name that is too long.

use std::net::{IpAddr, SocketAddr};

use super::expected::Expected::{Same, Split};
use super::frames::{AT_LENGTH, AT_NODE, put16, put32};
use super::scene::{SOON, Scene};
use super::seen::Seen;
use super::speaker::What;
use super::{Probe, With};
use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::raw_peer::RawPeer;

const NODE: &str = "invalid h_nodeid";
const LOCKSPACE: &str = "invalid lockspace";
const STRANGER: &str = "critical error accepting connection: -1";
/// A node that nobody knows.
const UNKNOWN_NODE: u32 = 3;
/// A lockspace that nobody has.
const UNKNOWN_LOCKSPACE: u32 = 0x0bad;
const AT_LOCKSPACE: usize = 4;
/// One more than a name may have.
const NAME_LEN: usize = 65;
const ID: u64 = 0x5eed;

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "node-3-inside",
        sent: "LOOKUP in OPTS, inner h_nodeid 3",
        with: With::Numbers,
        expected: Same(&[Seen::logged(NODE), Seen::Unanswered, Seen::Consumed, Seen::Works]),
        run: node_inside,
    },
    Probe {
        name: "node-3-bare",
        sent: "bare STATUS, h_nodeid 3",
        with: With::All,
        expected: Same(&[Seen::logged(NODE), Seen::Unanswered, Seen::Works]),
        run: node_bare,
    },
    Probe {
        name: "lockspace-unknown-status",
        sent: "bare STATUS for a lockspace that the kernel does not have",
        with: With::All,
        expected: Same(&[
            Seen::NotReady {
                lvblen: u32::MAX,
                seq: 0,
            },
            Seen::Works,
        ]),
        run: lockspace_status,
    },
    Probe {
        name: "lockspace-unknown-lookup",
        sent: "LOOKUP in OPTS for a lockspace that the kernel does not have",
        with: With::Numbers,
        expected: Same(&[
            Seen::logged(LOCKSPACE),
            Seen::Unanswered,
            Seen::Consumed,
            Seen::Works,
        ]),
        run: lockspace_lookup,
    },
    Probe {
        name: "name-of-65",
        sent: "LOOKUP with a name of 65 bytes",
        with: With::All,
        expected: Same(&[Seen::LookupReply { node: 0, result: -22 }, Seen::Works]),
        run: name_too_long,
    },
    Probe {
        name: "stranger",
        sent: "a connection from an address without a comm",
        with: With::All,
        expected: Split {
            delayed: &[Seen::Refused, Seen::Silent, Seen::Works],
            later: &[Seen::Refused, Seen::logged(STRANGER), Seen::Works],
        },
        run: stranger,
    },
];

fn node_inside(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, mut lookup) = scene.lookup()?;
    put32(&mut lookup, AT_NODE, UNKNOWN_NODE);
    ignored(scene, id, &lookup, NODE)
}

fn lockspace_lookup(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let (id, mut lookup) = scene.lookup()?;
    put32(&mut lookup, AT_LOCKSPACE, UNKNOWN_LOCKSPACE);
    ignored(scene, id, &lookup, LOCKSPACE)
}

/// Sends `lookup` wrapped in order and says what became of it and of its number.
fn ignored(scene: &mut Scene<'_>, id: u32, lookup: &[u8], text: &'static str) -> Result<Vec<Seen>> {
    let frame = scene.speaker.pen.wrap(scene.speaker.send_next, lookup);
    scene.speaker.say(&frame)?;
    let log = scene.log_has(&[text])?;
    let number = scene.number()?;
    let works = scene.works()?;
    Ok(vec![log, scene.answered(id), number, works])
}

fn node_bare(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let mut status = scene.speaker.pen.status(ID)?;
    put32(&mut status, AT_NODE, UNKNOWN_NODE);
    scene.speaker.say(&status)?;
    let log = scene.log_has(&[NODE])?;
    let works = scene.works()?;
    Ok(vec![log, scene.status_answered(ID), works])
}

fn lockspace_status(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let mark = scene.mark();
    let mut status = scene.speaker.pen.status(ID)?;
    put32(&mut status, AT_LOCKSPACE, UNKNOWN_LOCKSPACE);
    scene.speaker.say(&status)?;
    let works = scene.works()?;
    let not_ready = scene.since(mark).iter().find_map(|heard| match heard.what {
        What::StatusReply {
            result: -3,
            id: ID,
            lvblen,
            seq,
        } => Some((heard.number, Seen::NotReady { lvblen, seq })),
        _ => None,
    });
    let seen = match not_ready {
        Some((Some(_), seen)) => seen,
        Some((None, _)) => Seen::NotReadyBare,
        None => Seen::Unanswered,
    };
    Ok(vec![seen, works])
}

fn name_too_long(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let id = scene.new_id();
    let mut lookup = scene.speaker.pen.lookup(id, &"n".repeat(NAME_LEN - 1))?;
    lookup.push(b'n');
    let length = lookup.len();
    put16(&mut lookup, AT_LENGTH, length);
    let frame = scene.speaker.in_order(&lookup);
    scene.speaker.say(&frame)?;
    let reply = scene.lookup_reply(id)?;
    Ok(vec![reply, scene.works()?])
}

fn stranger(scene: &mut Scene<'_>) -> Result<Vec<Seen>> {
    let network = &scene.bench.plan.network;
    let device = network
        .links
        .first()
        .map(|link| link.peer_device.clone())
        .unwrap_or_default();
    let kernel = SocketAddr::new(scene.bench.kernel_address()?, network.port);
    let IpAddr::V4(known) = scene.bench.peer_address()? else {
        return Err(LabError::unsupported("only with an IPv4 address"));
    };
    let [a, b, c, _] = known.octets();
    let stranger = IpAddr::from([a, b, c, 77]);
    scene
        .bench
        .run_peer_command("ip", &format!("address add {stranger}/24 dev {device}"))?;
    let refused = refused(scene, stranger, kernel);
    scene
        .bench
        .run_peer_command("ip", &format!("address delete {stranger}/24 dev {device}"))?;
    let refused = refused?;
    let log = scene.log_has(&[STRANGER])?;
    Ok(vec![refused, log, scene.works()?])
}

fn refused(scene: &Scene<'_>, stranger: IpAddr, kernel: SocketAddr) -> Result<Seen> {
    let mut raw = RawPeer::connect(&scene.bench.peer, stranger, kernel)?;
    // Its end, or a reset, and not a frame before that.
    match raw.frame(SOON) {
        Ok(None) => Ok(Seen::Refused),
        Ok(Some(_)) => Ok(Seen::Answered),
        Err(LabError::Deadline { .. }) => Ok(Seen::Open),
        Err(LabError::System { .. }) => Ok(Seen::Refused),
        Err(error) => Err(error),
    }
}
