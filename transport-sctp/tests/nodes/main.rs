//! What needs networks of its own, or whole nodes, in a guest: exactly once and in order while associations are
//! aborted and networks cut.
#![cfg(target_os = "linux")]

mod flow;
mod group;
mod ipv6;
mod networks;
mod paths;
mod restart;
