//! Scripts of two columns: what happens on the wire, and what the observer says to it.
//!
//! Left: `A opts 3` (a numbered message), `A opts 3 other` (the same number, other bytes), `A fin 4`, `B ack 3`,
//! `A status`, `A status 3.1`, `A reply`, `A msg` and `A msg 3.1` (bare), `A names 3` (in `OPTS`), `A broken 3`
//! (unreadable), `A junk` (no frame), `A lost framing`, `A hole`, `A closes`, `up 3 A`
//! (link 3, dialled by A; a side speaks on the last link that it dialled), `up 3 A midway`, `reset 3`, `abort 3`,
//! `eof 3`, `gone 3`, `reset 3 half A`, `later` (two seconds pass), `end`. A trailing `@1` says on which link.
//!
//! Right: the verdict on a frame, then the facts. Numbers on both sides count from the script's start.

mod acks;
mod bounds;
mod fixture;
mod identity;
mod links;
mod noise;
mod numbers;
mod sessions;
mod termination;
mod unseen;

use fixture::{Wire, at_every_start};
