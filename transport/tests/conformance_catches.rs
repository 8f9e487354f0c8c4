//! The suite is shown to fail: a transport with one planted bug after the other, and the check that finds it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use dlmwire_codec::NodeId;
use dlmwire_transport::conformance::{Limits, NAMES, Suite};
use dlmwire_transport::{
    Accepted, Capabilities, Link, MemoryLink, MemoryNet, MemoryTransport, Ready, Received, Roster, Token,
    Transport, Waker,
};

/// Names every bug with the check that must find it, and makes a test of it.
macro_rules! catches {
    ($($test:ident: $bug:ident => $($check:ident)+,)+) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Bug {
            None,
            $($bug,)+
        }

        const CAUGHT: &[&str] = &[$($(stringify!($check)),+),+];

        $(
            #[test]
            fn $test() {
                for check in [$(stringify!($check)),+] {
                    let failure = suite(Bug::$bug).check(check).expect_err("the bug is found");
                    println!("{failure}");
                }
            }
        )+
    };
}

catches! {
    conformance_catches_a_dial_that_connects_twice: DialsTwice => dial_is_told_and_accepted,
    conformance_catches_a_wrong_node: WrongNode => accepted_link_has_the_dialers_node,
    conformance_catches_a_missing_port: PortZero => local_address_carries_the_bound_port,
    conformance_catches_a_wrong_error_for_unknown_nodes: OtherError => unknown_node_is_not_dialed,
    conformance_catches_accepted_strangers: AcceptsStrangers => stranger_is_refused_without_a_byte,
    conformance_catches_uncounted_strangers: ForgetsStrangers => stranger_is_refused_without_a_byte,
    conformance_catches_an_accept_that_stops_at_a_stranger: StopsAtStranger => stranger_does_not_hold_up_a_peer,
    conformance_catches_a_refusal_told_as_a_connection: RefusedIsDialed => refused_dial_fails,
    conformance_catches_an_untold_refusal: RefusedIsSilent => refused_dial_fails,
    conformance_catches_a_link_that_stays_after_its_drop: DropLeaves =>
        given_up_dial_is_silent dropped_link_is_seen dropped_link_fails_the_sender dropped_token_is_silent,
    conformance_catches_an_accept_that_takes_one_only: AcceptsOne => waiting_connections_are_all_accepted,
    conformance_catches_a_frozen_roster: FrozenRoster => roster_change_counts_for_later_connections,
    conformance_catches_leaked_descriptors: LeaksDescriptors => reconnects_leak_no_descriptor,
    conformance_catches_a_lost_byte: LosesAByte => pieces_arrive_in_order large_transfers_cross_intact,
    conformance_catches_waiting_told_as_the_end: BlockIsEnd => nothing_to_receive_would_block,
    conformance_catches_an_empty_send_that_closes: EmptySendCloses => empty_send_takes_nothing,
    conformance_catches_reordered_slices: ReordersSlices => slices_keep_their_order,
    conformance_catches_readiness_of_the_wrong_link: MixesTokens => readiness_names_the_token,
    conformance_catches_forgotten_early_bytes: ForgetsEarlyBytes => bytes_before_the_accept_are_told,
    conformance_catches_an_endless_buffer: EndlessBuffer => stopped_reader_blocks_the_sender,
    conformance_catches_a_forgotten_writable: ForgetsWritable => blocked_sender_is_told_of_room,
    conformance_catches_a_swallowed_half_close: SwallowsHalfClose => half_close_leaves_the_other_direction,
    conformance_catches_a_half_close_of_both_directions: HalfCloseEndsBoth =>
        half_close_leaves_the_other_direction both_ends_close_at_once,
    conformance_catches_a_close_that_drops_the_last_send: CloseDropsLastSend => queued_bytes_come_before_the_end,
    conformance_catches_an_end_untold_after_a_short_receive: ForgetsEnd => end_after_a_short_receive_is_told,
    conformance_catches_an_end_told_as_an_error: EndIsError => end_stays_the_end,
    conformance_catches_an_abort_that_is_a_close: AbortIsClose => abort_is_seen_as_a_loss,
    conformance_catches_a_loss_told_as_the_end: LossIsEnd => abort_is_seen_as_a_loss,
    conformance_catches_a_loss_that_looks_like_no_room: LossIsNoRoom =>
        abort_reaches_a_blocked_sender dropped_link_fails_the_sender,
    conformance_catches_an_endless_wait: EndlessWait => wait_ends_at_its_timeout,
    conformance_catches_a_wait_that_keeps_old_readiness: WaitAppends => wait_ends_at_its_timeout,
    conformance_catches_a_deaf_waker: DeafWaker => wake_before_a_wait_ends_it wake_ends_a_running_wait,
    conformance_catches_a_waker_of_one_thread: WakesOwnThread => wake_ends_a_running_wait,
    conformance_catches_a_waker_that_dies_with_its_transport: MortalWaker => waker_outlives_its_transport,
}

#[test]
fn every_check_finds_a_planted_bug() {
    let caught: BTreeSet<&str> = CAUGHT.iter().copied().collect();
    let unproved: Vec<_> = NAMES.iter().filter(|name| !caught.contains(**name)).collect();
    assert!(
        unproved.is_empty(),
        "no planted bug shows that these checks can fail: {unproved:?}"
    );
}

#[test]
fn wrapper_without_a_bug_conforms() {
    let limits = Limits {
        deadline: Duration::from_secs(30),
        ..limits()
    };
    suite(Bug::None).with_limits(limits).run();
}

#[test]
fn run_names_every_failed_check() {
    let failures = suite(Bug::WrongNode).failures();
    let failed: Vec<_> = failures.iter().map(|failure| failure.check).collect();
    assert!(
        failed.contains(&"accepted_link_has_the_dialers_node"),
        "{failures:?}"
    );
    assert!(
        failed.len() < NAMES.len(),
        "a wrong node leaves most checks alone: {failed:?}"
    );
}

fn suite(bug: Bug) -> Suite<impl Fn(NodeId) -> Broken> {
    let net = MemoryNet::new();
    let make = move |node: NodeId| {
        let last = u8::try_from(node.get()).expect("a small node id");
        let roster =
            Roster::new(node, vec![([127, 0, 0, last], 0).into()], []).expect("one address is a roster");
        Broken::new(bug, net.transport(roster).expect("the address is free"))
    };
    Suite::new(make).with_limits(limits())
}

fn limits() -> Limits {
    let deadline = Duration::from_secs(1);
    Limits {
        deadline,
        in_flight_bytes_max: 4 << 20,
        transfer_bytes: 1 << 20,
        reconnects: 200,
    }
}

struct Broken {
    bug: Bug,
    inner: MemoryTransport,
    rosters: usize,
    /// A connection was given since the last wait.
    accepted: bool,
    alive: Arc<AtomicBool>,
    mute: Mute,
}

struct BrokenLink {
    bug: Bug,
    /// `None` once it is dropped on purpose.
    inner: Option<MemoryLink>,
    token: Token,
    held: Vec<u8>,
    half_closed: bool,
    mute: Mute,
}

/// Tokens that are never told as readable again.
#[derive(Clone, Default)]
struct Mute(Arc<Mutex<BTreeSet<Token>>>);

impl Broken {
    fn new(bug: Bug, inner: MemoryTransport) -> Self {
        let alive = Arc::new(AtomicBool::new(true));
        Self {
            bug,
            inner,
            rosters: 0,
            accepted: false,
            alive,
            mute: Mute::default(),
        }
    }

    fn wrap(&self, inner: MemoryLink, token: Token) -> BrokenLink {
        if self.bug == Bug::LeaksDescriptors {
            std::mem::forget(File::open("/dev/null").expect("it can be opened"));
        }
        let mute = self.mute.clone();
        BrokenLink {
            bug: self.bug,
            inner: Some(inner),
            token,
            held: Vec::new(),
            half_closed: false,
            mute,
        }
    }

    fn distort(&self, told: Ready) -> Option<Ready> {
        match (self.bug, told) {
            (Bug::RefusedIsDialed, Ready::Failed(token, _)) => Some(Ready::Dialed(token)),
            (Bug::RefusedIsSilent, Ready::Failed(..)) | (Bug::ForgetsWritable, Ready::Writable(_)) => None,
            (Bug::MixesTokens, Ready::Readable(Token(token))) => Some(Ready::Readable(Token(token ^ 1))),
            (_, Ready::Readable(token)) if self.mute.lock().contains(&token) => None,
            _ => Some(told),
        }
    }
}

impl Transport for Broken {
    type Link = BrokenLink;

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn dial(&mut self, peer: NodeId, token: Token) -> io::Result<BrokenLink> {
        if self.bug == Bug::DialsTwice {
            std::mem::forget(self.inner.dial(peer, token)?);
        }
        match self.inner.dial(peer, token) {
            Err(_) if self.bug == Bug::OtherError => Err(io::ErrorKind::Other.into()),
            link => link.map(|link| self.wrap(link, token)),
        }
    }

    fn accept(&mut self, token: Token) -> io::Result<Option<Accepted<BrokenLink>>> {
        if self.bug == Bug::AcceptsOne && std::mem::replace(&mut self.accepted, true) {
            return Ok(None);
        }
        let refused = self.inner.refused();
        let Some(Accepted { node, link }) = self.inner.accept(token)? else {
            return Ok(None);
        };
        if self.bug == Bug::StopsAtStranger && self.inner.refused() > refused {
            return Ok(None);
        }
        if self.bug == Bug::ForgetsEarlyBytes {
            self.mute.lock().insert(token);
        }
        let wrong = NodeId::new(node.get() + 1).expect("not 0");
        let node = if self.bug == Bug::WrongNode { wrong } else { node };
        Ok(Some(Accepted {
            node,
            link: self.wrap(link, token),
        }))
    }

    fn wait(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let before = std::mem::take(ready);
        self.inner
            .wait(ready, timeout.filter(|_| self.bug != Bug::EndlessWait))?;
        self.accepted = false;
        *ready = ready.iter().filter_map(|told| self.distort(*told)).collect();
        if self.bug == Bug::WaitAppends {
            ready.extend(before);
        }
        Ok(())
    }

    fn waker(&self) -> Waker {
        let waker = self.inner.waker();
        let (bug, own, alive) = (self.bug, thread::current().id(), Arc::clone(&self.alive));
        Waker::new(move || match bug {
            Bug::DeafWaker => {}
            Bug::WakesOwnThread if thread::current().id() != own => {}
            Bug::MortalWaker if !alive.load(Ordering::SeqCst) => panic!("planted: nobody is there to wake"),
            _ => waker.wake(),
        })
    }

    fn set_roster(&mut self, roster: Roster) {
        self.rosters += 1;
        if self.bug == Bug::FrozenRoster && self.rosters > 1 {
            return;
        }
        if self.bug != Bug::AcceptsStrangers {
            return self.inner.set_roster(roster);
        }
        let third = NodeId::new(3).expect("not 0");
        let stranger = (third, vec![([127, 0, 0, 3], 0).into()]);
        let peers = roster.peers().map(|(node, addresses)| (node, addresses.to_vec()));
        let more = Roster::new(roster.node(), roster.local().to_vec(), peers.chain([stranger]));
        self.inner.set_roster(more.unwrap_or(roster));
    }

    fn refused(&self) -> u64 {
        if self.bug == Bug::ForgetsStrangers {
            0
        } else {
            self.inner.refused()
        }
    }

    fn local_address(&self) -> SocketAddr {
        let mut address = self.inner.local_address();
        if self.bug == Bug::PortZero {
            address.set_port(0);
        }
        address
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
    }
}

impl BrokenLink {
    fn inner(&mut self) -> &mut MemoryLink {
        self.inner.as_mut().expect("it is there until it is dropped")
    }

    /// Whether the end is all that is left; a byte that was there instead is lost, which the check does not reach.
    fn only_end_is_left(&mut self) -> bool {
        matches!(self.inner().receive(&mut [0]), Ok(Received::End))
    }
}

impl Link for BrokenLink {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.half_closed && self.bug == Bug::HalfCloseEndsBoth {
            return Ok(Received::End);
        }
        match (self.bug, self.inner().receive(buffer)) {
            (Bug::LosesAByte, Ok(Received::Bytes(count))) if count > 500 => Ok(Received::Bytes(count - 1)),
            (Bug::EndIsError, Ok(Received::End)) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Bug::BlockIsEnd, Err(e)) if e.kind() == io::ErrorKind::WouldBlock => Ok(Received::End),
            (Bug::LossIsEnd, Err(e)) if e.kind() == io::ErrorKind::ConnectionReset => Ok(Received::End),
            (Bug::LossIsNoRoom, Err(_)) => Err(io::ErrorKind::WouldBlock.into()),
            (Bug::ForgetsEnd, Ok(Received::Bytes(count))) if count < buffer.len() => {
                if self.only_end_is_left() {
                    self.mute.lock().insert(self.token);
                }
                Ok(Received::Bytes(count))
            }
            (_, outcome) => outcome,
        }
    }

    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        match self.bug {
            Bug::EmptySendCloses if wanted == 0 => self.inner().close_send().map(|()| 0),
            Bug::ReordersSlices => {
                let reversed: Vec<_> = slices.iter().rev().map(|slice| IoSlice::new(slice)).collect();
                self.inner().send(&reversed)
            }
            Bug::EndlessBuffer => {
                self.held.extend(slices.iter().flat_map(|slice| slice.iter()));
                Ok(wanted)
            }
            Bug::CloseDropsLastSend => {
                let held = std::mem::take(&mut self.held);
                let taken = self.inner().send(&[IoSlice::new(&held)]);
                if held.len() == taken.unwrap_or(0) {
                    self.held = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                    return Ok(wanted);
                }
                self.held = held;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Bug::LossIsNoRoom => self
                .inner()
                .send(slices)
                .map_err(|_| io::ErrorKind::WouldBlock.into()),
            _ => self.inner().send(slices),
        }
    }

    fn close_send(&mut self) -> io::Result<()> {
        self.half_closed = true;
        if self.bug == Bug::SwallowsHalfClose {
            Ok(())
        } else {
            self.inner().close_send()
        }
    }

    fn abort(mut self) {
        let Some(inner) = self.inner.take() else { return };
        if self.bug == Bug::AbortIsClose {
            drop(inner)
        } else {
            inner.abort()
        }
    }

    fn peer_address(&self) -> SocketAddr {
        self.inner
            .as_ref()
            .expect("it is there until it is dropped")
            .peer_address()
    }
}

impl Drop for BrokenLink {
    fn drop(&mut self) {
        if self.bug == Bug::DropLeaves {
            std::mem::forget(self.inner.take());
        }
    }
}

impl Mute {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
