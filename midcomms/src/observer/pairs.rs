//! All pairs, within the bounds on their memory.

use std::collections::BTreeMap;

use crate::observer::link::Link;
use crate::observer::pair::Pair;
use crate::observer::side::Report;
use crate::observer::{Config, Ends, LinkId, StationId};

/// What the observer did not look at, or forgot, to keep within [`Config`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GivenUp {
    /// Pairs without a link that made room for others. What never happened between them was told then; their
    /// figures are not in the summaries.
    pub pairs: u64,
    /// Links that were not looked at.
    pub links: u64,
    /// Pairs whose digests were dropped: what they had sent is not recognised if it comes again.
    pub windows: u64,
}

/// Pairs by number; a number is used again once its pair was given up.
#[derive(Debug)]
pub(super) struct Pairs {
    config: Config,
    pairs: Vec<Pair>,
    index: BTreeMap<(StationId, StationId), usize>,
    /// The pairs without a link, the one that lost its last link first in front.
    parked: BTreeMap<u64, usize>,
    parkings: u64,
    /// Over all pairs.
    digests: usize,
    given_up: GivenUp,
}

impl Pairs {
    pub(super) const fn new(config: Config) -> Self {
        Self {
            config,
            pairs: Vec::new(),
            index: BTreeMap::new(),
            parked: BTreeMap::new(),
            parkings: 0,
            digests: 0,
            given_up: GivenUp {
                pairs: 0,
                links: 0,
                windows: 0,
            },
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Pair> {
        self.pairs.get_mut(number)
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Pair> {
        self.pairs.iter()
    }

    pub(super) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Pair> {
        self.pairs.iter_mut()
    }

    pub(super) const fn given_up(&self) -> GivenUp {
        self.given_up
    }

    /// A link is not looked at.
    pub(super) const fn count_link(&mut self) {
        self.given_up.links = self.given_up.links.saturating_add(1);
    }

    /// The number of the pair of these stations, to which a link comes up; `None` if there is no room for it.
    pub(super) fn open(
        &mut self,
        report: &mut Report<'_>,
        ends: Ends,
        ended: &mut BTreeMap<LinkId, Link>,
    ) -> Option<usize> {
        let key = (ends.dialled.min(ends.accepted), ends.dialled.max(ends.accepted));
        if let Some(number) = self.index.get(&key) {
            if let Some(ticket) = self.pairs.get_mut(*number).and_then(|pair| pair.parked.take()) {
                self.parked.remove(&ticket);
            }
            return Some(*number);
        }
        let pair = Pair::new(key.0, key.1, self.config.window_messages_max);
        let number = if self.pairs.len() < self.config.pairs_max {
            self.pairs.push(pair);
            self.pairs.len().saturating_sub(1)
        } else {
            let Some((_, number)) = self.parked.pop_first() else {
                self.count_link();
                return None;
            };
            ended.retain(|_, link| link.pair != number);
            self.replace(report, number, pair);
            number
        };
        self.index.insert(key, number);
        Some(number)
    }

    /// A link of the pair ended; without a link, the pair may be given up.
    pub(super) fn park(&mut self, number: usize) {
        let Some(pair) = self.pairs.get_mut(number).filter(|pair| pair.live.is_empty()) else {
            return;
        };
        self.parkings = self.parkings.saturating_add(1);
        pair.parked = Some(self.parkings);
        self.parked.insert(self.parkings, number);
    }

    /// A pair keeps `after` digests instead of `before`.
    #[inline]
    pub(super) fn count_digests(&mut self, before: usize, after: usize) {
        self.digests = self.digests.saturating_sub(before).saturating_add(after);
        if self.digests > self.config.digests_max {
            self.forget_silent();
        }
    }

    fn replace(&mut self, report: &mut Report<'_>, number: usize, by: Pair) {
        let Some(pair) = self.pairs.get_mut(number) else {
            return;
        };
        pair.end(report);
        self.digests = self.digests.saturating_sub(pair.digests());
        let [low, high] = [pair.stations.low, pair.stations.high];
        *pair = by;
        self.index.remove(&(low, high));
        self.given_up.pairs = self.given_up.pairs.saturating_add(1);
    }

    /// Drops the digests of the pairs that were silent for longest, until a quarter of the room is free: rarely
    /// enough that looking at every pair does not matter.
    #[cold]
    fn forget_silent(&mut self) {
        let enough = self
            .config
            .digests_max
            .saturating_sub(self.config.digests_max / 4);
        let mut silent: Vec<&mut Pair> = self.pairs.iter_mut().filter(|pair| pair.digests() > 0).collect();
        silent.sort_by_key(|pair| pair.last_heard);
        for pair in silent {
            if self.digests <= enough {
                break;
            }
            self.digests = self.digests.saturating_sub(pair.digests());
            self.given_up.windows = self.given_up.windows.saturating_add(1);
            pair.forget();
        }
    }
}
