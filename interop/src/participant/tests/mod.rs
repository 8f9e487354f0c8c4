//! Lockspaces among themselves, without a kernel: the same code on both sides, every order of messages by a seed.

mod hosts;
mod locks;
mod random;
mod recovery;
mod world;
