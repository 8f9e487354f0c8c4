//! Captures of DLM traffic: read, reassembled, judged.

pub mod capture;
pub mod chaos;
pub mod check;
pub mod cross;
pub mod exchange;
pub mod fields;
#[cfg(target_os = "linux")]
pub mod lab;
pub mod participant;
pub mod replay;
pub mod synth;
pub mod trace;
