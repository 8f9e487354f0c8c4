//! The properties that the targets try to break; `cargo test` replays the corpus through the same functions.

#[path = "../../codec/tests/properties/mod.rs"]
pub mod properties;

/// Operations on engines, with oracles.
#[path = "../../midcomms/tests/operations/mod.rs"]
pub mod operations;

/// Files that a user hands over, with oracles.
#[path = "../../interop/tests/files/mod.rs"]
pub mod files;
