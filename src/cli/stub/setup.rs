//! What a stub is to be, from a file or from the command line.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use dlmwire_codec::{Generation, LockspaceId, NodeId, Seq, Version};
use dlmwire_interop::participant::Config;
use dlmwire_node::NodeConfig;
use dlmwire_node::config::{FileConfig, PORT, read_toml};

use super::super::control::node_id;
use super::super::error::Error;
use super::{Args, Kernel, Speak};
use crate::cli::node::Log;
use crate::cli::node::setup::{members_of, roster_from};

/// The longest name of a lockspace in bytes, as in the kernel.
const NAME_LEN_MAX: usize = 64;

/// A stub's settings, whichever way they were told.
pub(super) struct Setup {
    pub(super) file: FileConfig,
    /// The lockspaces by name.
    pub(super) lockspaces: Vec<(String, Config)>,
    /// How long leaving may take.
    pub(super) shutdown_deadline: Duration,
    verbose: bool,
}

/// A lockspace, as `--lockspace` names it.
#[derive(Clone)]
pub(super) struct LockspaceArg {
    name: String,
    id: LockspaceId,
}

impl FromStr for LockspaceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, id) = text.split_once('=').ok_or("expected NAME=ID")?;
        if name.is_empty() || name.len() > NAME_LEN_MAX || name.contains(char::is_whitespace) {
            return Err("a lockspace's name has 1 to 64 bytes and no blanks".to_owned());
        }
        let id = match id.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => id.parse(),
        };
        let id = id.ok().filter(|id| *id != 0);
        Ok(Self {
            name: name.to_owned(),
            id: LockspaceId::new(id.ok_or("a lockspace's id is a number from 1 to 4294967295, or 0x...")?),
        })
    }
}

/// A node's share of the directory, as `--weight` names it.
#[derive(Clone, Copy)]
pub(super) struct Weight {
    node: NodeId,
    weight: u32,
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, weight) = text.split_once('=').ok_or("expected N=WEIGHT")?;
        Ok(Self {
            node: node_id(node)?,
            weight: weight
                .parse()
                .map_err(|_| "a weight is a number from 0 to 4294967295")?,
        })
    }
}

impl Setup {
    pub(super) fn read(args: &Args) -> Result<Self, Error> {
        let mut file = match (&args.config, args.id) {
            (Some(path), _) => read_toml(path).map_err(Error::Config)?,
            (None, Some(id)) => from_arguments(args, id)?,
            (None, None) => return Err(refused("--id", "is missing".to_owned())),
        };
        // The participant does what the hello stands for.
        file.node.hello = false;
        let engine = &mut file.node.engine;
        if let Some(speak) = args.speak {
            engine.version = match speak {
                Speak::V3_1 => Version::V3_1,
                Speak::V3_2 => Version::V3_2,
            };
        }
        if let Some(kernel) = args.generation {
            engine.generation = match kernel {
                Kernel::Linux2021 | Kernel::Linux6_1 => Generation::Linux6_1,
                Kernel::Linux6_12 => Generation::Linux6_12,
            };
        }
        if let Some(seq) = args.start_seq {
            engine.start_seq = Seq::new(seq);
        }
        let told = args.shutdown_deadline.map(Duration::from_secs);
        let shutdown_deadline = told.unwrap_or(Duration::from_nanos(engine.shutdown_deadline));
        engine.shutdown_deadline = u64::try_from(shutdown_deadline.as_nanos()).unwrap_or(u64::MAX);
        // Whoever still waits for an answer is to find one.
        engine.tombstone_lifetime = engine.tombstone_lifetime.max(engine.shutdown_deadline);
        Ok(Self {
            lockspaces: lockspaces(args, &file)?,
            shutdown_deadline,
            verbose: matches!(args.log, Log::Debug | Log::Trace),
            file,
        })
    }

    pub(super) fn node(&self) -> NodeId {
        self.file.node.engine.node
    }

    /// Whether other nodes' questions are told from the start.
    pub(super) const fn tells_questions(&self) -> bool {
        self.verbose
    }
}

/// As a file would say it.
fn from_arguments(args: &Args, own: NodeId) -> Result<FileConfig, Error> {
    let roster = roster_from(own, &args.listen, &args.peer)?;
    Ok(FileConfig {
        node: NodeConfig::new(own, LockspaceId::new(0)),
        carrier: args.transport.unwrap_or_default().carrier(roster.local().len()),
        members: members_of(&roster),
        port: roster.local().first().map_or(PORT, std::net::SocketAddr::port),
        roster,
        mark: 0,
        control: None,
    })
}

fn lockspaces(args: &Args, file: &FileConfig) -> Result<Vec<(String, Config)>, Error> {
    let mut told = args.lockspace.clone();
    if told.is_empty() {
        let id = file.node.lockspace;
        told.push(LockspaceArg {
            name: id.to_string(),
            id,
        });
    }
    let weights: BTreeMap<NodeId, u32> = args.weight.iter().map(|each| (each.node, each.weight)).collect();
    let mut lockspaces: Vec<(String, Config)> = Vec::new();
    for LockspaceArg { name, id } in told {
        if lockspaces
            .iter()
            .any(|(other, config)| *other == name || config.lockspace == id)
        {
            return Err(refused("--lockspace", format!("{name}={id} is there twice")));
        }
        let config = Config {
            lvblen: args.lvblen,
            lsflags: args.lsflags,
            weights: weights.clone(),
            claim: args.claim,
            lazy: args.lazy,
            ..Config::new(file.node.engine.node, id)
        };
        lockspaces.push((name, config));
    }
    Ok(lockspaces)
}

pub(super) fn refused(place: &'static str, reason: String) -> Error {
    Error::Unread {
        place: place.into(),
        reason,
    }
}
