//! The engine, command by command and fact by fact.

#![expect(clippy::arithmetic_side_effects, reason = "a panic is how a test reports")]

mod acknowledgement;
mod delivery;
mod fixture;
mod links;
mod membership;
mod queue;
mod termination;
mod versions;
