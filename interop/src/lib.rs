//! Captures of DLM traffic: read, reassembled, judged.

pub mod capture;
pub mod check;
pub mod exchange;
pub mod fields;
pub mod synth;
