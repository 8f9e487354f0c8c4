//! The kernel lab: a guest whose kernel's own DLM is node 1, this project's node is node 2.
//!
//! The host makes an evidence folder, puts a [plan](plan::RunPlan) there and boots a guest: User-Mode Linux, or
//! QEMU without acceleration. The guest's root is the host's own tree, read-only; only the evidence folder can be
//! written. Process 1 of the guest is this same program, told `lab guest --plan FILE`: it mounts, loads modules,
//! sets up the network, runs the cases, writes [results](plan::RunResult) after each of them and at last its
//! status, and powers off. A guest that leaves no status has died, and that is a failure.
//!
//! spec: kernel-lab 1, 10, 11.

mod boot;
pub mod cases;
pub mod error;
pub mod exec;
pub mod fetch;
pub mod guest;
mod image;
pub mod kernels;
pub mod matrix;
pub mod plan;
mod processes;
mod qemu;
pub mod run;
pub mod tools;
mod uml;
