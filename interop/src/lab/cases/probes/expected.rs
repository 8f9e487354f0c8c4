//! What is known of each kernel's reactions. spec: kernel-lab 6, and what the first runs of these probes added:
//! that 6.12 logs a stranger too, that 6.12 and later stay away after a reset when nothing waits, and where each
//! release ends.

use crate::lab::guest::kernel::Kernel;

use super::seen::Seen;

/// Kernels that act alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// 5.10, which speaks 3.1.
    Old,
    /// 6.1, at work since 5.14.
    Delayed,
    /// 6.12 and 7.x.
    Later,
}

/// What the kernels of a table do; nothing is known of others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// All the same.
    Same(&'static [Seen]),
    /// 6.1 does one thing, the later ones another.
    Split {
        delayed: &'static [Seen],
        later: &'static [Seen],
    },
    /// Only something about 3.1.
    Old(&'static [Seen]),
}

impl Generation {
    /// The generation, if there are facts about this very kernel: not for User-Mode Linux.
    pub(super) fn of(kernel: &Kernel) -> Option<Self> {
        match kernel.version {
            _ if kernel.uml => None,
            (5, 10) => Some(Self::Old),
            (6, 1) => Some(Self::Delayed),
            (6, 12) | (7, _) => Some(Self::Later),
            _ => None,
        }
    }
}

impl Expected {
    /// What is known for this kernel.
    pub(super) fn of(&self, kernel: &Kernel) -> Option<&'static [Seen]> {
        let generation = Generation::of(kernel)?;
        match (generation, *self) {
            (Generation::Old, Self::Old(seen))
            | (Generation::Delayed, Self::Same(seen) | Self::Split { delayed: seen, .. })
            | (Generation::Later, Self::Same(seen) | Self::Split { later: seen, .. }) => Some(seen),
            (Generation::Old, Self::Same(_) | Self::Split { .. })
            | (Generation::Delayed | Generation::Later, Self::Old(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(version: (u32, u32), uml: bool) -> Kernel {
        Kernel {
            release: String::new(),
            version,
            uml,
        }
    }

    #[test]
    fn kernel_without_facts_has_no_expectation() {
        let same = Expected::Same(&[Seen::Answered]);
        for (version, uml) in [((5, 10), false), ((6, 1), true), ((6, 6), false)] {
            assert_eq!(same.of(&kernel(version, uml)), None, "{version:?}");
        }
        let old = Expected::Old(&[Seen::Joins]);
        assert_eq!(old.of(&kernel((7, 2), false)), None);
        assert_eq!(old.of(&kernel((5, 10), false)), Some(&[Seen::Joins][..]));
    }

    #[test]
    fn kernel_with_facts_has_those_of_its_generation() {
        let split = Expected::Split {
            delayed: &[Seen::Open],
            later: &[Seen::Closed],
        };
        for (version, link) in [
            ((6, 1), Seen::Open),
            ((6, 12), Seen::Closed),
            ((7, 2), Seen::Closed),
        ] {
            assert_eq!(split.of(&kernel(version, false)), Some(&[link][..]));
        }
    }
}
