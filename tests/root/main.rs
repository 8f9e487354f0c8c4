//! Real sockets, broken on purpose in network namespaces: every test makes a small network of its own, lets the
//! example `flow` run in it, and breaks it.
//!
//! Needs root, `ip`, `ss`, `nft` and a few more, and touches the system's network namespaces only if it is told to:
//!
//! ```sh
//! cargo build --example flow --profile test
//! DLMWIRE_ROOT=1 cargo test --test root -- --nocapture --test-threads=1
//! ```
//!
//! `DLMWIRE_DEEP=1` makes the long tests longer, `DLMWIRE_SEED=N` repeats a random one.

mod capture;
mod cut;
mod cuts;
mod flow;
mod idle;
mod impostor;
mod lab;
mod leaving;
mod storm;
mod tools;
