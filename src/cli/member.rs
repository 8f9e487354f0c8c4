//! `dlmwire member`: what a cluster manager says, to a running node.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use dlmwire_codec::NodeId;
use dlmwire_node::config::parse_lockspace;
use dlmwire_node::control::{Answer, Request};

use super::control::{ControlArgs, ask, node_id, refused};
use super::error::Error;

const EXAMPLES: &str = "\
Examples:
  dlmwire member fence 2      node 2 is gone: what is queued for it is dropped and counted as lost
  dlmwire member remove 2     node 2 leaves: when its FIN comes, ours follows behind what is queued
  dlmwire member add 2        node 2 is back, or new
  dlmwire member --id 1 add 2 --lockspace lvm_global

A node that crashed: fence, remove, add when it is back. The commands are taken at once and carried out
in their order; `dlmwire status` and the node's events show what becomes of them.

Exit codes:
  0  the node has taken it
  2  it has not; standard error says why";

/// Tells a running node who is a member, as a cluster manager would
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    change: Change,

    #[command(flatten)]
    control: ControlArgs,
}

#[derive(clap::Subcommand)]
enum Change {
    /// Lists a node as a member
    Add(MemberArgs),
    /// Takes a node off the members: the conversation ends when it has said its FIN
    Remove(MemberArgs),
    /// Says that a node is gone
    Fence {
        /// The node
        #[arg(value_name = "NODE", value_parser = node_id)]
        node: NodeId,
    },
}

#[derive(clap::Args)]
struct MemberArgs {
    /// The node
    #[arg(value_name = "NODE", value_parser = node_id)]
    node: NodeId,

    /// The group, by name or id (0x...); the only one that the node is in, unless told
    #[arg(long, value_name = "NAME")]
    lockspace: Option<String>,
}

/// Tells the node and waits until it has taken it.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let path = args.control.path()?;
    let request = match &args.change {
        Change::Add(member) => Request::Add {
            node: member.node.get(),
            lockspace: lockspace(&path, member)?,
        },
        Change::Remove(member) => Request::Remove {
            node: member.node.get(),
            lockspace: lockspace(&path, member)?,
        },
        Change::Fence { node } => Request::Fence { node: node.get() },
    };
    match ask(&path, &request)? {
        Answer::Done => Ok(ExitCode::SUCCESS),
        answer => Err(refused(&path, format!("unexpected answer {answer:?}"))),
    }
}

/// The group that is told, or the only one that there is.
fn lockspace(path: &Path, member: &MemberArgs) -> Result<String, Error> {
    if let Some(name) = &member.lockspace {
        parse_lockspace(name)
            .map_err(|expected| refused("--lockspace".as_ref(), format!("{name:?}: expected {expected}")))?;
        return Ok(name.clone());
    }
    let Answer::Status { status } = ask(path, &Request::Status)? else {
        return Err(refused(path, "no status".to_owned()));
    };
    let lockspaces: BTreeSet<&String> = status.peers.iter().flat_map(|peer| &peer.lockspaces).collect();
    let mut lockspaces = lockspaces.into_iter();
    match (lockspaces.next(), lockspaces.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(refused(
            path,
            "the node has no member: say --lockspace".to_owned(),
        )),
        (Some(_), Some(_)) => Err(refused(
            path,
            "the node's members are in several groups: say --lockspace".to_owned(),
        )),
    }
}
