//! One suite for every transport, a user's own too.
//!
//! It acts as a strict caller: it receives and sends only when readiness has told it to, takes a short receive for
//! a drained link and a short send for a full one, and so finds every lost wake-up. All that it needs is a function
//! that makes the transport of a node, on an address of its own, with no peer in its roster yet; the suite puts
//! the peers in by [`set_roster`](crate::Transport::set_roster). A link has to take 8 KiB that nobody reads yet.
//!
//! ```
//! use dlmwire_transport::conformance::Suite;
//! use dlmwire_transport::{MemoryNet, Roster};
//!
//! let net = MemoryNet::new();
//! let suite = Suite::new(move |node| {
//!     let address = ([127, 0, 0, node.get().try_into().unwrap_or(u8::MAX)], 0).into();
//!     let roster = Roster::new(node, vec![address], []).expect("one address is a roster");
//!     net.transport(roster).expect("the address is free")
//! });
//! suite.check("half_close_leaves_the_other_direction").expect("the memory transport conforms");
//! ```
//!
//! [`conformance_tests!`](crate::conformance_tests) makes one `#[test]` of every check. Every check has a hard
//! deadline, even if a call of the transport never comes back.

mod bytes;
mod closing;
mod connecting;
mod site;
mod waiting;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;

use self::site::World;
use crate::Transport;

/// What the suite grants a transport.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// For one check, generous for a loaded machine; 60 s.
    pub deadline: Duration,
    /// What the sender gets rid of while nobody reads, at most; 64 MiB.
    pub in_flight_bytes_max: usize,
    /// How much goes each way in the large transfer; 8 MiB.
    pub transfer_bytes: usize,
    /// How often a link is made and dropped while descriptors are counted; 1000.
    pub reconnects: usize,
}

/// The checks, bound to what makes the transports.
#[derive(Debug)]
pub struct Suite<M> {
    make: Arc<M>,
    limits: Limits,
}

/// What a transport does not do as it should.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failure {
    /// The check that found it.
    pub check: &'static str,
    /// What was expected and what came.
    pub reason: String,
}

/// What a check ends with.
type Outcome = Result<(), String>;

/// Fails the check with a text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}
use ensure;

/// Lists the checks once: their names, what runs them, and a test of each.
macro_rules! checks {
    ($d:tt $($room:ident::$name:ident,)+) => {
        /// The names of all checks, in the order in which they run.
        pub const NAMES: &[&str] = &[$(stringify!($name)),+];

        fn find<T: Transport>(name: &str) -> Option<fn(&World<'_, T>) -> Outcome> {
            match name {
                $(stringify!($name) => Some($room::$name),)+
                _ => None,
            }
        }

        /// Makes one `#[test]` of every check of [`conformance`](crate::conformance).
        ///
        /// Takes an expression that gives a [`Suite`](crate::conformance::Suite), evaluated for each; before it,
        /// for a transport that not every host has, `ignore = "why",`.
        #[macro_export]
        macro_rules! conformance_tests {
            (ignore = $d why:literal, $d suite:expr) => {
                $(
                    #[test]
                    #[ignore = $d why]
                    fn $name() {
                        if let Err(failure) = $d suite.check(stringify!($name)) {
                            panic!("{failure}");
                        }
                    }
                )+
            };
            ($d suite:expr) => {
                $(
                    #[test]
                    fn $name() {
                        if let Err(failure) = $d suite.check(stringify!($name)) {
                            panic!("{failure}");
                        }
                    }
                )+
            };
        }
    };
}

checks! { $
    connecting::dial_is_told_and_accepted,
    connecting::accepted_link_has_the_dialers_node,
    connecting::local_address_carries_the_bound_port,
    connecting::unknown_node_is_not_dialed,
    connecting::stranger_is_refused_without_a_byte,
    connecting::stranger_does_not_hold_up_a_peer,
    connecting::refused_dial_fails,
    connecting::given_up_dial_is_silent,
    connecting::waiting_connections_are_all_accepted,
    connecting::roster_change_counts_for_later_connections,
    connecting::reconnects_leak_no_descriptor,
    bytes::pieces_arrive_in_order,
    bytes::nothing_to_receive_would_block,
    bytes::empty_send_takes_nothing,
    bytes::slices_keep_their_order,
    bytes::readiness_names_the_token,
    bytes::bytes_before_the_accept_are_told,
    bytes::stopped_reader_blocks_the_sender,
    bytes::blocked_sender_is_told_of_room,
    bytes::large_transfers_cross_intact,
    closing::half_close_leaves_the_other_direction,
    closing::queued_bytes_come_before_the_end,
    closing::end_after_a_short_receive_is_told,
    closing::end_stays_the_end,
    closing::both_ends_close_at_once,
    closing::abort_is_seen_as_a_loss,
    closing::abort_reaches_a_blocked_sender,
    closing::dropped_link_is_seen,
    closing::dropped_link_fails_the_sender,
    closing::dropped_token_is_silent,
    waiting::wait_ends_at_its_timeout,
    waiting::wake_before_a_wait_ends_it,
    waiting::wake_ends_a_running_wait,
    waiting::waker_outlives_its_transport,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(60),
            in_flight_bytes_max: 64 << 20,
            transfer_bytes: 8 << 20,
            reconnects: 1000,
        }
    }
}

impl<T, M> Suite<M>
where
    T: Transport + 'static,
    M: Fn(NodeId) -> T + Send + Sync + 'static,
{
    /// A suite of transports that `make` gives: of a node, on an address of its own with a free port, that know no
    /// peer. It is called with the nodes 1 to 3, again for every check.
    pub fn new(make: M) -> Self {
        Self {
            make: Arc::new(make),
            limits: Limits::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Runs every check.
    ///
    /// # Panics
    ///
    /// With all failures, if there are any.
    pub fn run(&self) {
        let failures = self.failures();
        assert!(
            failures.is_empty(),
            "{}",
            failures
                .iter()
                .map(|failure| format!("{failure}\n"))
                .collect::<String>()
        );
    }

    /// Runs every check and tells the failures.
    pub fn failures(&self) -> Vec<Failure> {
        NAMES.iter().filter_map(|name| self.check(name).err()).collect()
    }

    /// Runs the check of this name.
    ///
    /// It runs on a thread of its own, which is left behind if it does not end.
    ///
    /// # Errors
    ///
    /// What the transport does wrong.
    ///
    /// # Panics
    ///
    /// If no check has this name.
    pub fn check(&self, name: &str) -> Result<(), Failure> {
        let known = NAMES.iter().find(|known| **known == name);
        let (Some(&check), Some(run)) = (known, find::<T>(name)) else {
            panic!("no check is called {name:?}");
        };
        let (make, limits) = (Arc::clone(&self.make), self.limits);
        let (tell, told) = sync_channel(1);
        let body = move || {
            let outcome = run(&World {
                make: &*make,
                limits,
                until: Instant::now() + limits.deadline,
            });
            // Nobody listens any more if the deadline is over.
            let _ = tell.send(outcome);
        };
        let fail = |reason| Err(Failure { check, reason });
        let thread = match thread::Builder::new().name(check.to_owned()).spawn(body) {
            Ok(thread) => thread,
            Err(e) => return fail(format!("no thread for it: {e}")),
        };
        // The check watches its deadline itself; the second half is for a call that hangs.
        match told.recv_timeout(self.limits.deadline * 3 / 2) {
            Ok(outcome) => outcome.or_else(fail),
            Err(RecvTimeoutError::Timeout) => fail("a call of the transport has not come back".to_owned()),
            Err(RecvTimeoutError::Disconnected) => fail(match thread.join() {
                Err(panic) => format!("panicked: {}", text_of(&*panic)),
                Ok(()) => "ended without an outcome".to_owned(),
            }),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conformance check {}: {}", self.check, self.reason)
    }
}

impl std::error::Error for Failure {}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
