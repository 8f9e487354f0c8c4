//! Exhaustive exploration of the real engine with `stateright`: every order of events of small scenarios, to the
//! last state.
//!
//! A state is two nodes (each an engine, or a kernel as a small machine), the connections between them with the
//! bytes in flight, and a ledger of what each application sent and got. A step is one command, one dial, one
//! connection that comes up, one read run, one bite of a socket, one end of a stream, one cut, one loss that is
//! noticed, one timer. Every property is checked in every state; a scenario that does not close within its bounds
//! fails.
//!
//! What is abstracted: time stands still but for timers, which fire when the model says so. Two numbers before the
//! wrap the conversations begin, where nothing else is said. A connection that is cut is seen by each end on its own,
//! so that old bytes may come after a newer connection is up.
//!
//! # Between two of ours
//!
//! | promise | holds |
//! |---|---|
//! | each message comes out once, in order, in its own conversation | always; across a rejoin as far as explored (it does not close) |
//! | what was acknowledged has come out | always |
//! | a finished conversation stays finished, whatever comes late | always |
//! | nobody is wrongly said to have restarted or to break the protocol | always |
//! | at rest everything is delivered and acknowledged, both are `CLOSED`, no connection is left | always, after two cuts with the help of the `FIN`'s timer |
//! | both end by both `FIN`s | unless a node is added again before its last `ACK` arrived: the other side then gives up at its deadline; or is told of a member only when that has left: it waits until the next membership change |
//!
//! # With a kernel at the other end
//!
//! What can show in the end, and the rule behind it (spec: midcomms 6.2, holes 1 to 5). Our side delivers each
//! message once and in order in all of them, and loses none of its own.
//!
//! | shows | 5.14, 6.1 | 6.12 | because |
//! |---|---|---|---|
//! | "unacknowledged" | after a lost `ACK` | always | 6.12 acknowledges only every 256th message, a `FIN` and duplicates; nobody repeats an `ACK` that was lost with the kernel's own connection. The `FIN` settles it. |
//! | "kernel's lost" | unreported loss, or after "kernel gave up" | unreported loss | an orderly end of a connection makes no kernel send again |
//! | "kernel gave up" | any termination | never | a `STATUS` that comes while it terminates makes it forget everything ("shutdown stuck", hole 4) |
//! | "kernel reopened" | by a late `STATUS` | by any late message | nothing is remembered of a finished conversation (hole 3) |
//! | "kernel got it twice" | after it forgot | after it forgot | what we rightly send again is new to it (holes 1, 3, 4) |
//! | "kernel stuck" | after it forgot, or unreported loss | the same | its `FIN`, or our last `ACK`, is not sent again |
//! | "gave up" (we) | after it forgot, or unreported loss | unreported loss | it acknowledges no `FIN` of a conversation that it has forgotten (holes 1, 2, 5): our deadline ends it |
//! | "stuck" (we, `ESTABLISHED` and no member) | after it forgot, or unreported loss | unreported loss | its `FIN` never comes: the cluster manager's fence ends it |
//! | "suspects the kernel" | after it forgot | never | its numbers began again: said, and rightly |
//! | "without a cause" | any other way for a kernel to be left waiting, while every loss was reported and nothing was forgotten | | ours: see the table's rows in `mixed` |
//!
//! `MODEL_DEEP=1` explores larger scenarios as well.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a test's own numbers are small and its nodes are two"
)]

mod driver;
mod explore;
mod kernel;
mod late;
mod mixed;
mod net;
mod pair;
mod planted;
mod side;
mod world;
