//! Messages counted by version, command and type.

use std::collections::BTreeMap;

use dlmwire_codec::{Command, Frame, Inner, MsgType, RcomType, Version};
use dlmwire_midcomms::engine::APPLICATION_MSG;

/// Types are counted one by one up to this number; larger ones have no name in any kernel.
const TYPES: usize = 16;

/// Counts of frames; cheap enough for every frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    commands: [[u64; 5]; 2],
    /// By carriage (bare, wrapped) and `m_type`; 0 stands for types without a name.
    msg_types: [[u64; TYPES]; 2],
    rcom_types: [[u64; TYPES]; 2],
    /// Messages of applications, between nodes of ours.
    applications: u64,
    fins: u64,
}

impl Tally {
    /// Counts one frame.
    pub(crate) fn count(&mut self, frame: &Frame<'_>) {
        let version = match frame.version() {
            Version::V3_1 => 0,
            Version::V3_2 => 1,
        };
        self.commands[version][usize::from(frame.command().wire() - 1)] += 1;
        match frame {
            Frame::Msg(msg) => self.msg_types[0][slot(msg.msg_type().wire())] += 1,
            Frame::Rcom(rcom) => self.rcom_types[0][slot(rcom.rcom_type().wire())] += 1,
            Frame::Opts(opts) => match &opts.inner {
                Ok(Inner::Msg(msg)) if msg.msg_type().wire() == APPLICATION_MSG => self.applications += 1,
                Ok(Inner::Msg(msg)) => self.msg_types[1][slot(msg.msg_type().wire())] += 1,
                Ok(Inner::Rcom(rcom)) => self.rcom_types[1][slot(rcom.rcom_type().wire())] += 1,
                Ok(Inner::Fin) => self.fins += 1,
                Err(_) => {}
            },
            Frame::Ack(_) => {}
        }
    }

    /// Frames by version and command, as `3.2 OPTS`, without those that are 0.
    pub(crate) fn by_command(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for (version, row) in [Version::V3_1, Version::V3_2].into_iter().zip(self.commands) {
            for (command, count) in Command::ALL.into_iter().zip(row) {
                if count > 0 {
                    counts.insert(format!("{version} {command}"), count);
                }
            }
        }
        counts
    }

    /// Messages by type, as `MSG GRANT`, bare and wrapped together, without those that are 0.
    pub(crate) fn by_type(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        let mut add = |name: String, count: u64| {
            if count > 0 {
                *counts.entry(name).or_default() += count;
            }
        };
        for carriage in 0..2 {
            for (number, count) in (0_u32..).zip(self.msg_types[carriage]) {
                add(format!("MSG {}", MsgType::from_wire(number)), count);
            }
            for (number, count) in (0_u32..).zip(self.rcom_types[carriage]) {
                add(format!("RCOM {}", RcomType::from_wire(number)), count);
            }
        }
        add("MSG application".into(), self.applications);
        add("FIN".into(), self.fins);
        counts
    }
}

/// The place of a type in its row; 0 for numbers without a name.
fn slot(number: u32) -> usize {
    usize::try_from(number)
        .ok()
        .filter(|slot| *slot < TYPES)
        .unwrap_or(0)
}
