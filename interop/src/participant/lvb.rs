//! The lock value block: which way it goes (spec: peer 8).

use dlmwire_codec::{ExFlags, Mode, SbFlags};

use super::lock::Lock;

/// A resource's value block at its master.
#[derive(Clone, Debug, Default)]
pub(super) struct Lvb {
    /// Empty until somebody writes it.
    pub(super) bytes: Vec<u8>,
    pub(super) seq: u32,
    pub(super) invalid: bool,
}

/// Which way it goes when a lock changes from one mode to another; `Iv` is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    ToHolder,
    ToResource,
    Neither,
}

impl Lvb {
    /// A lock is about to change from its granted mode to `to`, `Iv` for an unlock.
    pub(super) fn exchange(&mut self, lock: &mut Lock, to: Mode, lvblen: usize) {
        let way = way(lock.granted, to);
        if way == Way::ToResource && lock.has(ExFlags::IVVALBLK) {
            self.invalid = true;
        } else if lock.has(ExFlags::VALBLK) {
            match way {
                Way::ToHolder => {
                    lock.lvb.clone_from(&self.bytes);
                    lock.lvb.resize(lvblen, 0);
                    lock.lvbseq = self.seq;
                }
                Way::ToResource => {
                    self.bytes.clone_from(&lock.lvb);
                    self.bytes.resize(lvblen, 0);
                    self.seq = self.seq.wrapping_add(1);
                    self.invalid = false;
                    lock.lvbseq = self.seq;
                }
                Way::Neither => {}
            }
        }
        lock.sbflags = if self.invalid {
            SbFlags::VALNOTVALID
        } else {
            SbFlags::new(0)
        };
    }

    /// A holder brings its copy to the new master: the newest counts.
    pub(super) fn recover(&mut self, lock: &Lock, lvblen: usize) {
        let newer = lock.lvbseq.wrapping_sub(self.seq).cast_signed() > 0;
        if !lock.lvb.is_empty() && lock.has(ExFlags::VALBLK) && (self.bytes.is_empty() || newer) {
            self.bytes.clone_from(&lock.lvb);
            self.bytes.resize(lvblen, 0);
            self.seq = lock.lvbseq;
        }
    }
}

fn way(from: Mode, to: Mode) -> Way {
    let writes = matches!(from, Mode::Pw | Mode::Ex);
    if writes && to <= from {
        Way::ToResource
    } else if to >= from && to != Mode::Iv {
        Way::ToHolder
    } else {
        Way::Neither
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_goes_up_to_the_holder_and_down_from_writers_to_the_resource() {
        let rows = [
            (Mode::Iv, Mode::Nl, Way::ToHolder),
            (Mode::Iv, Mode::Ex, Way::ToHolder),
            (Mode::Nl, Mode::Pr, Way::ToHolder),
            (Mode::Pr, Mode::Ex, Way::ToHolder),
            (Mode::Pr, Mode::Nl, Way::Neither),
            (Mode::Cw, Mode::Iv, Way::Neither),
            (Mode::Pw, Mode::Nl, Way::ToResource),
            (Mode::Ex, Mode::Pr, Way::ToResource),
            (Mode::Ex, Mode::Iv, Way::ToResource),
        ];
        for (from, to, expected) in rows {
            assert_eq!(way(from, to), expected, "{from} {to}");
        }
    }
}
