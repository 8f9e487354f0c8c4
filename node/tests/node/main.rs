//! Nodes among themselves: in memory, with injected faults, and over TCP on the loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod callback;
mod control;
mod delivery;
mod handle;
mod links;
mod policy;
#[allow(dead_code, reason = "the counters use the rest")]
mod probe;
mod raw;
mod waits;
mod world;
