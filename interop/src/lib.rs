//! Captures of DLM traffic: read, reassembled, judged.

pub mod capture;
pub mod chaos;
pub mod check;
pub mod exchange;
pub mod fields;
pub mod replay;
pub mod synth;
