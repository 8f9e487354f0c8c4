//! Commands, carried out.

use std::collections::BTreeMap;

use dlmwire_codec::{
    Command as FrameCommand, Content, FrameFields, HEADER_LEN, NodeId, OPTS_HEADER_LEN, Seq, Version,
};
use dlmwire_midcomms::engine::{CommandError, Outcome};
use dlmwire_node::Outbox;

use super::{Cutting, Heard, Host, Leaving, Listener, What, token};
use crate::participant::command::{Command, Lie, Number, Told};
use crate::participant::lockspace::{Lockspace, after};
use crate::participant::view::PeerLine;
use crate::participant::work::Job;

impl<L: Listener> Host<L> {
    pub(super) fn carry_out(&mut self, outbox: &mut Outbox<'_>, told: Told) {
        let Told {
            tag,
            line,
            lockspace,
            command,
        } = told;
        let index = match lockspace {
            None => Some(0),
            Some(name) => self.spaces.iter().position(|space| space.name == name),
        };
        let done = match index {
            Some(index) => self.carry_out_in(outbox, index, tag.as_ref(), command),
            None => Err("no such lockspace".to_owned()),
        };
        if let Err(text) = done {
            self.tell(outbox.now(), None, tag.as_deref(), What::Error { line, text });
        }
    }

    fn carry_out_in(
        &mut self,
        outbox: &mut Outbox<'_>,
        index: usize,
        tag: Option<&String>,
        command: Command,
    ) -> Result<(), String> {
        let now = outbox.now();
        let space = self.spaces.get_mut(index).ok_or("no such lockspace")?;
        match command {
            Command::Join(others) => {
                let others = if others.is_empty() {
                    self.peers.clone()
                } else {
                    others
                };
                let nodes = others.into_iter().chain([self.node]).collect();
                self.set_members(outbox, index, nodes, tag)
            }
            Command::Leave => self.leave(outbox, index, tag),
            Command::LeaveAll => {
                self.ending = true;
                for index in 0..self.spaces.len() {
                    self.forget_members(outbox, index);
                }
                self.leave_everybody(outbox, tag);
                Ok(())
            }
            Command::Add(node) => {
                let mut nodes: Vec<NodeId> = space.lockspace.members().collect();
                if nodes.contains(&node) {
                    return Err(format!("node {node} is a member already"));
                }
                nodes.push(node);
                self.set_members(outbox, index, nodes, tag)
            }
            Command::Remove(node) => {
                let mut nodes: Vec<NodeId> = space.lockspace.members().collect();
                if !nodes.contains(&node) {
                    return Err(format!("node {node} is no member"));
                }
                nodes.retain(|other| *other != node);
                self.set_members(outbox, index, nodes, tag)
            }
            Command::Fence(node) => {
                outbox.fence(node);
                for index in 0..self.spaces.len() {
                    self.remove_fenced(outbox, index, node, tag)?;
                }
                Ok(())
            }
            Command::Lock { name, wish, quiet } => {
                let lock = space
                    .lockspace
                    .lock(now, name, wish)
                    .map_err(|error| error.to_string())?;
                if quiet {
                    space.quiet.insert(lock);
                }
                if let Some(tag) = tag {
                    space.lock_tags.insert(lock, tag.clone());
                }
                Ok(())
            }
            Command::Order(lock, order) => {
                if let Some(tag) = tag {
                    space.lock_tags.insert(lock, tag.clone());
                }
                let done = space.lockspace.order(now, lock, order);
                done.map_err(|error| error.to_string())
            }
            Command::Work(work) => {
                if space.job.is_some() {
                    return Err("work is under way already".to_owned());
                }
                let mut job = Job::new(work, tag.cloned(), now);
                job.go_on(now, &mut space.lockspace);
                match job.outcome(now) {
                    Some(worked) => {
                        let name = space.name.clone();
                        self.tell(now, Some(&name), tag.map(String::as_str), What::Worked(worked));
                    }
                    None => space.job = Some(job),
                }
                Ok(())
            }
            Command::Status => {
                let peers = self.peers.iter().filter_map(|node| outbox.peer(*node));
                let peers = peers.map(|peer| PeerLine::from(&peer)).collect();
                let spaces = self.spaces.iter();
                let lockspaces = spaces
                    .map(|space| (space.name.as_str(), space.lockspace.view()))
                    .collect();
                self.listener.hear(Heard {
                    at: now,
                    lockspace: None,
                    tag: tag.map(String::as_str),
                    what: What::Status { peers, lockspaces },
                });
                Ok(())
            }
            Command::Claim(on) => {
                space.lockspace.set_claim(on);
                space.config.claim = on;
                Ok(())
            }
            Command::NotReady(count) => {
                space.lockspace.mischief.not_ready = count;
                Ok(())
            }
            Command::Lie(lie) => self.lie(outbox, index, lie),
            other => self.meddle(outbox, tag, other),
        }
    }

    // Membership.

    fn set_members(
        &mut self,
        outbox: &mut Outbox<'_>,
        index: usize,
        mut nodes: Vec<NodeId>,
        tag: Option<&String>,
    ) -> Result<(), String> {
        nodes.sort_unstable();
        nodes.dedup();
        let space = self.spaces.get_mut(index).ok_or("no such lockspace")?;
        if !nodes.contains(&self.node) {
            return Err("we are no member: join first, and leave to go".to_owned());
        }
        let known = |node: &NodeId| *node == self.node || self.peers.contains(node);
        if let Some(stranger) = nodes.iter().find(|node| !known(node)) {
            return Err(format!("node {stranger}: no address is configured"));
        }
        let id = space.config.lockspace;
        let before: Vec<NodeId> = space.lockspace.members().collect();
        for node in nodes
            .iter()
            .filter(|node| **node != self.node && !before.contains(node))
        {
            outbox.add_member(*node, id).map_err(|error| match error {
                CommandError::Leaving => "this node is leaving: wait for \"left\"".to_owned(),
                error => format!("node {node}: {error}"),
            })?;
        }
        for node in before.iter().filter(|node| !nodes.contains(node)) {
            outbox.remove_member(*node, id);
        }
        space.tag = tag.cloned();
        space.lockspace.set_members(outbox.now(), &nodes);
        self.tell_left(outbox.now());
        self.leaving = Leaving::No;
        Ok(())
    }

    fn remove_fenced(
        &mut self,
        outbox: &mut Outbox<'_>,
        index: usize,
        node: NodeId,
        tag: Option<&String>,
    ) -> Result<(), String> {
        let space = self.spaces.get(index).ok_or("no such lockspace")?;
        let nodes: Vec<NodeId> = space.lockspace.members().collect();
        if !nodes.contains(&node) {
            return Ok(());
        }
        let left = nodes.into_iter().filter(|other| *other != node).collect();
        self.set_members(outbox, index, left, tag)
    }

    fn leave(&mut self, outbox: &mut Outbox<'_>, index: usize, tag: Option<&String>) -> Result<(), String> {
        let space = self.spaces.get(index).ok_or("no such lockspace")?;
        if space.lockspace.members().next().is_none() {
            return Err("we are no member".to_owned());
        }
        let name = space.name.clone();
        self.forget_members(outbox, index);
        let mut spaces = self.spaces.iter();
        if spaces.any(|space| space.lockspace.members().next().is_some()) {
            self.tell(
                outbox.now(),
                Some(&name),
                tag.map(String::as_str),
                What::LeftLockspace,
            );
        } else {
            self.leave_everybody(outbox, tag);
        }
        Ok(())
    }

    /// What a lockspace knew is gone; when it is joined again it begins anew.
    fn forget_members(&mut self, outbox: &mut Outbox<'_>, index: usize) {
        let Some(space) = self.spaces.get_mut(index) else {
            return;
        };
        let others: Vec<NodeId> = space
            .lockspace
            .members()
            .filter(|node| *node != self.node)
            .collect();
        // The last lockspace is left by the shutdown, which still needs the members.
        let last = self
            .spaces
            .iter()
            .filter(|space| space.lockspace.members().next().is_some())
            .count()
            <= 1;
        let Some(space) = self.spaces.get_mut(index) else {
            return;
        };
        if !last {
            for node in others {
                outbox.remove_member(node, space.config.lockspace);
            }
        }
        space.lockspace = Lockspace::new(space.config.clone());
        space.lock_tags = BTreeMap::new();
        space.quiet.clear();
        space.job = None;
    }

    fn leave_everybody(&mut self, outbox: &mut Outbox<'_>, tag: Option<&String>) {
        match self.leaving {
            Leaving::No => {
                self.leaving = Leaving::Begun;
                self.leave_tag = tag.cloned();
                outbox.shutdown();
            }
            Leaving::Begun | Leaving::Closing { .. } => {}
            // Nothing was joined since: there is nobody to be left.
            Leaving::Done => {
                let what = What::Left(Outcome::Clean);
                self.tell(outbox.now(), None, tag.map(String::as_str), what);
            }
        }
    }

    // Mischief.

    fn meddle(
        &mut self,
        outbox: &mut Outbox<'_>,
        tag: Option<&String>,
        command: Command,
    ) -> Result<(), String> {
        let now = outbox.now();
        match command {
            Command::Cut { node, every, lasting } => {
                let Some(every) = every else {
                    self.cut(now, node, 1, tag.map(String::as_str));
                    return Ok(());
                };
                self.cutting = Some(Cutting {
                    node,
                    every,
                    next: now,
                    until: lasting.map(|lasting| after(now, lasting)),
                    count: 0,
                    tag: tag.cloned(),
                });
                self.go_on_cutting(now);
            }
            Command::CutOff => self.cutting = None,
            Command::Close(node) => {
                self.meddling.close(node);
            }
            Command::Deaf(on) => self.meddling.set_deaf(on),
            Command::Mute(on) => {
                self.mute = on;
                self.take_held(outbox);
            }
            Command::NoAck(on) => self.meddling.set_withhold_acks(on),
            Command::Slow(pause) => self.slow = pause,
            Command::Verbose(on) => {
                self.verbose = on;
                self.tell(now, None, None, What::Verbose(on));
            }
            Command::Raw { node, bytes, number } => return self.inject(outbox, node, bytes, number),
            Command::Quit => self.tell(now, None, None, What::Quit),
            other => return Err(format!("not to be carried out here: {other:?}")),
        }
        Ok(())
    }

    fn lie(&mut self, outbox: &mut Outbox<'_>, index: usize, lie: Lie) -> Result<(), String> {
        let space = self.spaces.get_mut(index).ok_or("no such lockspace")?;
        let mischief = &mut space.lockspace.mischief;
        match lie {
            Lie::Ack(seq) => {
                let ack = self.ack(seq)?;
                return self.inject(outbox, None, ack, None);
            }
            Lie::Slot(slot) => mischief.slot = slot,
            Lie::LvbLen(lvblen) => mischief.lvblen = lvblen,
            Lie::LsFlags(lsflags) => mischief.lsflags = lsflags,
            Lie::Node(node) => mischief.node = node,
            Lie::Off => *mischief = Default::default(),
        }
        Ok(())
    }

    /// Puts bytes between two frames to a node, past the engine.
    fn inject(
        &mut self,
        outbox: &mut Outbox<'_>,
        node: Option<NodeId>,
        bytes: Vec<u8>,
        number: Option<Number>,
    ) -> Result<(), String> {
        let node = node.or(self.peers.first().copied()).ok_or("there are no peers")?;
        let peer = outbox
            .peer(node)
            .ok_or_else(|| format!("node {node} is not known"))?;
        let seq = match number {
            None => None,
            Some(Number::Of(seq)) => Some(seq),
            Some(Number::Ahead(more)) => Some(peer.send_seq.get().wrapping_add(more)),
        };
        let bytes = match seq {
            Some(seq) => self.wrapped(seq, &bytes)?,
            None => bytes,
        };
        let link = peer.sending_link.map(token);
        if self.meddling.inject(node, link, bytes) {
            Ok(())
        } else {
            Err(format!("node {node}: no link, or too much waits for one"))
        }
    }

    /// An inner frame in `OPTS`, whatever it says.
    fn wrapped(&self, seq: u32, inner: &[u8]) -> Result<Vec<u8>, String> {
        let length =
            u16::try_from(OPTS_HEADER_LEN + inner.len()).map_err(|_| "longer than a frame".to_owned())?;
        let mut frame = Vec::with_capacity(usize::from(length));
        frame.extend(Version::V3_2.wire().to_le_bytes());
        frame.extend(seq.to_le_bytes());
        frame.extend(self.node.get().to_le_bytes());
        frame.extend(length.to_le_bytes());
        frame.extend([FrameCommand::Opts.wire(), 0]);
        // What is inside is said once more, by its own command.
        frame.push(inner.get(HEADER_LEN - 2).copied().unwrap_or(0));
        frame.extend([0; 7]);
        frame.extend_from_slice(inner);
        Ok(frame)
    }

    fn ack(&self, seq: u32) -> Result<Vec<u8>, String> {
        let fields = FrameFields {
            version: Version::V3_2,
            node: self.node,
            content: Content::Ack(Seq::new(seq)),
        };
        let mut frame = vec![0; fields.encoded_len()];
        fields
            .encode_into(&mut frame)
            .map_err(|error| error.to_string())?;
        Ok(frame)
    }
}
