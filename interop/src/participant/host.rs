//! Participants on a node: the adaptor between lockspaces, engine and whoever gives orders.

mod carry_out;
mod heard;

pub use heard::{Heard, Listener, What};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use dlmwire_codec::{Frame, Limits, LockspaceId, NodeId, Rcom, RcomType, Split, split};
use dlmwire_midcomms::engine::{Content, Delivery, Event as EngineEvent, Message, Outcome};
use dlmwire_midcomms::{LinkId, Time};
use dlmwire_node::{Application, NodeEvent, Outbox};
use dlmwire_transport::Token;

use super::command::Told;
use super::event::Event;
use super::lock::LockId;
use super::lockspace::{Config, Lockspace, after};
use super::mail::Mail;
use super::meddler::Meddling;
use super::work::Job;

/// Messages that are held back while mute or slow.
const HELD_MAX: usize = 1 << 16;
/// Events that are worked off before the loop turns.
const EVENTS_PER_TURN_MAX: usize = 1 << 12;
/// Commands that are carried out before the loop turns.
const COMMANDS_PER_TURN_MAX: usize = 64;
/// How long the links to peers that were left are waited for before that is told.
const CLOSING_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether they are gone.
const CLOSING_LOOK: Duration = Duration::from_millis(5);

/// A lockspace that a host takes part in.
#[derive(Debug)]
struct Space {
    name: String,
    config: Config,
    lockspace: Lockspace,
    /// Of the command that changed the members.
    tag: Option<String>,
    lock_tags: BTreeMap<LockId, String>,
    quiet: BTreeSet<LockId>,
    job: Option<Job>,
}

/// Cuts that go on.
#[derive(Debug)]
struct Cutting {
    node: Option<NodeId>,
    every: Duration,
    next: Time,
    until: Option<Time>,
    count: u64,
    tag: Option<String>,
}

/// Several [`Lockspace`]s as one node's [`Application`].
#[derive(Debug)]
pub struct Host<L> {
    listener: L,
    node: NodeId,
    /// All other nodes that have an address.
    peers: Vec<NodeId>,
    spaces: Vec<Space>,
    commands: Receiver<Told>,
    meddling: Meddling,
    cutting: Option<Cutting>,
    verbose: bool,
    mute: bool,
    slow: Duration,
    /// What came while mute, and what waits for its time.
    muted: VecDeque<Vec<u8>>,
    slowed: VecDeque<(Time, Vec<u8>)>,
    /// What was sent on to each peer, last.
    sending: BTreeMap<NodeId, LinkId>,
    leaving: Leaving,
    leave_tag: Option<String>,
    /// To end when everybody is left.
    ending: bool,
}

/// How far we are out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaving {
    /// A member somewhere, or nowhere yet.
    No,
    /// `FIN`s are exchanged.
    Begun,
    /// They were, and the links are being closed. Who comes back before that is answered on a link that is lost.
    Closing { outcome: Outcome, until: Time },
    /// Everybody was left.
    Done,
}

impl<L: Listener> Host<L> {
    /// A host of these lockspaces, named; nobody is a member of any yet. `peers` are all other nodes.
    pub fn new(
        listener: L,
        lockspaces: Vec<(String, Config)>,
        peers: Vec<NodeId>,
        commands: Receiver<Told>,
        meddling: Meddling,
    ) -> Option<Self> {
        let node = lockspaces.first()?.1.node;
        let space = |(name, config): (String, Config)| Space {
            name,
            lockspace: Lockspace::new(config.clone()),
            config,
            tag: None,
            lock_tags: BTreeMap::new(),
            quiet: BTreeSet::new(),
            job: None,
        };
        Some(Self {
            listener,
            node,
            peers,
            spaces: lockspaces.into_iter().map(space).collect(),
            commands,
            meddling,
            cutting: None,
            verbose: true,
            mute: false,
            slow: Duration::ZERO,
            muted: VecDeque::new(),
            slowed: VecDeque::new(),
            sending: BTreeMap::new(),
            leaving: Leaving::No,
            leave_tag: None,
            ending: false,
        })
    }

    /// Who listens.
    pub const fn listener(&mut self) -> &mut L {
        &mut self.listener
    }

    /// Whether everything is left for good.
    pub const fn is_over(&self) -> bool {
        self.ending && matches!(self.leaving, Leaving::Done)
    }

    // What comes.

    fn take(&mut self, outbox: &mut Outbox<'_>, bytes: &[u8]) {
        let Split::Frame { frame, .. } = split(bytes, Limits::KERNEL) else {
            return;
        };
        let now = outbox.now();
        match frame.decode() {
            Ok(Frame::Msg(msg)) => {
                if let Some(at) = self.space_of(msg.lockspace()) {
                    at.handle_msg(now, &msg, bytes);
                }
            }
            Ok(Frame::Rcom(rcom)) => match self.space_of(rcom.lockspace()) {
                Some(at) => at.handle_rcom(now, &rcom),
                None => self.answer_stranger(outbox, &rcom),
            },
            // The engine delivers nothing else.
            Ok(Frame::Opts(_) | Frame::Ack(_)) | Err(_) => {}
        }
    }

    /// A joined lockspace.
    fn space_of(&mut self, id: LockspaceId) -> Option<&mut Lockspace> {
        let spaces = self.spaces.iter_mut().map(|space| &mut space.lockspace);
        let mut joined = spaces.filter(|lockspace| lockspace.members().next().is_some());
        joined.find(|lockspace| lockspace.config().lockspace == id)
    }

    /// A `STATUS` for a lockspace that we are not in.
    fn answer_stranger(&mut self, outbox: &mut Outbox<'_>, rcom: &Rcom<'_>) {
        if rcom.rcom_type() == RcomType::Status {
            let answer = super::answers::not_ready(rcom);
            // It is asked again.
            let _unsent = outbox.send(rcom.node(), &Message::Rcom(answer));
        }
    }

    fn take_held(&mut self, outbox: &mut Outbox<'_>) {
        while !self.mute
            && let Some(bytes) = self.muted.pop_front()
        {
            self.take(outbox, &bytes);
        }
        while !self.mute
            && self.slowed.front().is_some_and(|(at, _)| *at <= outbox.now())
            && let Some((_, bytes)) = self.slowed.pop_front()
        {
            self.take(outbox, &bytes);
        }
    }

    // What goes.

    /// Sends and tells what the lockspaces have to say. False if there is more.
    fn drain(&mut self, outbox: &mut Outbox<'_>) -> bool {
        let mut budget = EVENTS_PER_TURN_MAX;
        for index in 0..self.spaces.len() {
            while budget > 0 {
                budget -= 1;
                let Some(space) = self.spaces.get_mut(index) else {
                    break;
                };
                if let Some(mail) = space.lockspace.poll_mail() {
                    self.send(outbox, &mail);
                } else if let Some(event) = space.lockspace.poll_event() {
                    self.tell_event(outbox.now(), index, &event);
                } else {
                    break;
                }
            }
        }
        budget > 0
    }

    fn send(&mut self, outbox: &mut Outbox<'_>, mail: &Mail) {
        let node = mail.to();
        if mail.has_false_sender() {
            let link = outbox.peer(node).and_then(|peer| peer.sending_link).map(token);
            self.meddling.inject(node, link, mail.frame().to_vec());
            return;
        }
        if let Err(error) = outbox.send(node, &mail.message()) {
            self.tell(outbox.now(), None, None, What::Unsent { node, error });
        }
    }

    fn tell_event(&mut self, now: Time, index: usize, event: &Event) {
        let verbose = self.verbose;
        let Some(space) = self.spaces.get_mut(index) else {
            return;
        };
        let lock = event.lock();
        if let Some(job) = &mut space.job {
            let was_its = job.take(now, &mut space.lockspace, event);
            if let Some(worked) = job.outcome(now) {
                let tag = space.job.take().and_then(|job| job.tag);
                let name = space.name.clone();
                self.tell(now, Some(&name), tag.as_deref(), What::Worked(worked));
                return;
            }
            if was_its || event.is_of_others() {
                return;
            }
        }
        if (event.is_of_others() && !verbose) || lock.is_some_and(|lock| space.hushes(lock, event)) {
            return;
        }
        let tag = match lock {
            Some(lock) => space.lock_tags.get(&lock).cloned(),
            None if event.is_of_others() => None,
            None => space.tag.clone(),
        };
        if let Some(lock) = lock.filter(|lock| event.may_end_lock() && !space.lockspace.has(*lock)) {
            space.lock_tags.remove(&lock);
            space.quiet.remove(&lock);
        }
        let name = space.name.clone();
        self.tell(now, Some(&name), tag.as_deref(), What::Lockspace(event));
    }

    fn tell(&mut self, at: Time, lockspace: Option<&str>, tag: Option<&str>, what: What<'_>) {
        self.listener.hear(Heard {
            at,
            lockspace,
            tag,
            what,
        });
    }

    /// Tells that everybody is left, once no link is.
    fn look_at_leaving(&mut self, outbox: &mut Outbox<'_>) {
        let Leaving::Closing { until, .. } = self.leaving else {
            return;
        };
        let mut peers = self.peers.iter().filter_map(|node| outbox.peer(*node));
        if outbox.now() < until && peers.any(|peer| !peer.links.is_empty()) {
            outbox.wake_after(CLOSING_LOOK);
        } else {
            self.tell_left(outbox.now());
        }
    }

    fn tell_left(&mut self, now: Time) {
        if let Leaving::Closing { outcome, .. } = self.leaving {
            self.leaving = Leaving::Done;
            let tag = self.leave_tag.take();
            self.tell(now, None, tag.as_deref(), What::Left(outcome));
        }
    }

    // What is due.

    fn run_timers(&mut self, outbox: &mut Outbox<'_>) {
        let now = outbox.now();
        for space in &mut self.spaces {
            if space.lockspace.poll_timeout().is_some_and(|at| at <= now) {
                space.lockspace.handle_timeout(now);
            }
        }
        self.go_on_cutting(now);
    }

    fn go_on_cutting(&mut self, now: Time) {
        let Some(cutting) = &mut self.cutting else { return };
        if cutting.until.is_some_and(|until| until <= now) {
            self.cutting = None;
            return;
        }
        if cutting.next > now {
            return;
        }
        cutting.next = after(now, cutting.every);
        cutting.count += 1;
        let (node, count, tag) = (cutting.node, cutting.count, cutting.tag.clone());
        self.cut(now, node, count, tag.as_deref());
    }

    fn cut(&mut self, now: Time, node: Option<NodeId>, count: u64, tag: Option<&str>) {
        let links = self.meddling.cut(node);
        self.tell(now, None, tag, What::Cut { node, links, count });
    }

    fn set_alarm(&self, outbox: &mut Outbox<'_>) {
        let spaces = self
            .spaces
            .iter()
            .filter_map(|space| space.lockspace.poll_timeout());
        let cutting = self.cutting.as_ref().map(|cutting| cutting.next);
        let slowed = self.slowed.front().map(|(at, _)| *at);
        if let Some(at) = spaces.chain(cutting).chain(slowed).min() {
            outbox.wake_after(Duration::from_nanos(at.since(outbox.now())));
        }
    }
}

impl<L: Listener> Application for Host<L> {
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        let bytes = delivery.bytes;
        if self.mute {
            if self.muted.len() < HELD_MAX {
                self.muted.push_back(bytes.to_vec());
            }
            return;
        }
        let question = match delivery.content {
            Content::Rcom(rcom) => matches!(
                rcom.rcom_type(),
                RcomType::Status | RcomType::Names | RcomType::Lookup | RcomType::Lock
            ),
            Content::Msg(_) => false,
        };
        if question && self.slow > Duration::ZERO && self.slowed.len() < HELD_MAX {
            self.slowed
                .push_back((after(outbox.now(), self.slow), bytes.to_vec()));
            return;
        }
        self.take(outbox, bytes);
    }

    fn event(&mut self, outbox: &mut Outbox<'_>, event: &NodeEvent) {
        let now = outbox.now();
        match *event {
            NodeEvent::Engine(EngineEvent::Connected { node, link }) => {
                let before = self.sending.insert(node, link);
                // What travels bare is not sent again when its link goes, also where another was there already.
                if before.is_some_and(|before| before != link) {
                    for space in &mut self.spaces {
                        space.lockspace.handle_reconnected(now, node);
                    }
                }
            }
            NodeEvent::Engine(EngineEvent::ShutdownComplete { outcome }) => {
                let until = after(now, CLOSING_MAX);
                self.leaving = Leaving::Closing { outcome, until };
                outbox.wake_after(Duration::ZERO);
                return;
            }
            _ => {}
        }
        self.tell(now, None, None, What::Node(event));
        // An event may come behind the turn's idle.
        outbox.wake_after(Duration::ZERO);
    }

    fn idle(&mut self, outbox: &mut Outbox<'_>) {
        self.take_held(outbox);
        self.run_timers(outbox);
        for _ in 0..COMMANDS_PER_TURN_MAX {
            let Ok(told) = self.commands.try_recv() else {
                break;
            };
            self.carry_out(outbox, told);
        }
        self.look_at_leaving(outbox);
        if !self.drain(outbox) {
            outbox.wake_after(Duration::ZERO);
        }
        self.set_alarm(outbox);
    }
}

impl Space {
    /// Whether nothing is to be told of a lock but failures.
    fn hushes(&self, lock: LockId, event: &Event) -> bool {
        let failure = matches!(event, Event::Refused { .. } | Event::Failed { .. });
        self.quiet.contains(&lock) && !failure
    }
}

/// The node names its links as its transport's tokens.
const fn token(link: LinkId) -> Token {
    Token(link.0)
}
