//! Where events come from: drawn from a seed, or read from a schedule.

use std::collections::{BTreeMap, VecDeque};

use super::fault::{Direction, Fault, Side};
use super::rate::{Bounds, Kind, Pace, Rate, Span};
use super::schedule::{Event, Schedule};

/// Where events come from.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Drawn.
    ///
    /// Every draw depends on the seed, the place (route, connection, direction), the rate's kind, its number among
    /// those of its kind, and the event's number: never on time, on other rates, or on what else is going on.
    Seeded {
        /// What all is derived from.
        seed: u64,
        /// How often what happens; nothing does where there are none.
        rates: Vec<Rate>,
    },
    /// Exactly these.
    Script(Schedule),
}

impl Plan {
    /// What happens to one direction of a connection.
    pub(super) fn stream(&self, route: u32, connection: u64, direction: Direction) -> Upcoming {
        match self {
            Self::Script(schedule) => Upcoming::Script(schedule.stream(route, connection, direction)),
            Self::Seeded { seed, rates } => {
                let draws = numbered(rates)
                    .filter(|(_, rate)| rate.kind() != Kind::Refuse)
                    .filter(|(_, rate)| rate.way.is_none_or(|way| way == direction))
                    .map(|(nth, rate)| {
                        let place = Place {
                            seed: *seed,
                            route,
                            connection,
                            direction,
                            nth,
                        };
                        Draws::new(place, rate.clone())
                    });
                Upcoming::Seeded(draws.collect())
            }
        }
    }

    /// The event that refuses this connection, if it is to be refused.
    pub(super) fn refusal(&self, route: u32, connection: u64) -> Option<Event> {
        let (seed, rates) = match self {
            Self::Script(schedule) => return schedule.refusal(route, connection),
            Self::Seeded { seed, rates } => (*seed, rates),
        };
        let direction = Direction::Forward;
        numbered(rates).find_map(|(nth, rate)| {
            let Bounds::Refuse { ms } = rate.bounds else {
                return None;
            };
            let mut random = Place {
                seed,
                route,
                connection,
                direction,
                nth,
            }
            .random(Kind::Refuse, 0);
            let hit = match rate.pace {
                Pace::Every(mean) => random.within(Span { min: 1, max: mean }) == 1,
                Pace::At(number) => number == connection,
            };
            let fault = Fault::Refuse {
                ms: random.within(ms),
            };
            hit.then_some(Event {
                route,
                connection,
                direction,
                at_byte: 0,
                fault,
            })
        })
    }
}

/// What is still to come in one direction of a connection, in the order of its bytes.
pub(super) enum Upcoming {
    Script(VecDeque<Event>),
    Seeded(Vec<Draws>),
}

impl Upcoming {
    /// Where the next one happens, and whether it needs the byte that is there.
    pub(super) fn next_place(&self) -> Option<(u64, bool)> {
        let event = match self {
            Self::Script(events) => events.front()?,
            Self::Seeded(draws) => draws.get(first(draws)?)?.next.as_ref()?,
        };
        Some((event.at_byte, matches!(event.fault, Fault::Flip { .. })))
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        match self {
            Self::Script(events) => events.pop_front(),
            Self::Seeded(draws) => {
                let first = first(draws)?;
                draws.get_mut(first)?.advance()
            }
        }
    }
}

/// Which of them comes next; among equals by kind, then in the order of the configuration.
fn first(draws: &[Draws]) -> Option<usize> {
    let next = |draws: &Draws| {
        let event = draws.next.as_ref()?;
        Some((event.at_byte, draws.rate.kind(), draws.place.nth))
    };
    let places = draws.iter().enumerate();
    let (_, index) = places
        .filter_map(|(index, draws)| Some((next(draws)?, index)))
        .min()?;
    Some(index)
}

/// The events that one rate makes in one direction of a connection; one is drawn ahead.
pub(super) struct Draws {
    place: Place,
    rate: Rate,
    /// How many were drawn.
    count: u64,
    next: Option<Event>,
}

impl Draws {
    fn new(place: Place, rate: Rate) -> Self {
        let mut draws = Self {
            place,
            rate,
            count: 0,
            next: None,
        };
        draws.next = draws.draw(0);
        draws
    }

    fn advance(&mut self) -> Option<Event> {
        let event = self.next.take()?;
        self.next = self.draw(event.at_byte);
        Some(event)
    }

    fn draw(&mut self, behind: u64) -> Option<Event> {
        let mut random = self.place.random(self.rate.kind(), self.count);
        let at_byte = match self.rate.pace {
            Pace::At(_) if self.count > 0 => return None,
            Pace::At(place) => place,
            Pace::Every(mean) => {
                let max = mean.saturating_mul(2).saturating_sub(1);
                behind.checked_add(random.within(Span { min: 1, max }))?
            }
        };
        self.count += 1;
        Some(Event {
            route: self.place.route,
            connection: self.place.connection,
            direction: self.place.direction,
            at_byte,
            fault: draw_fault(&self.rate.bounds, &mut random),
        })
    }
}

fn draw_fault(bounds: &Bounds, random: &mut Random) -> Fault {
    match bounds {
        Bounds::Bandwidth { bytes_per_s, bytes } => Fault::Bandwidth {
            bytes_per_s: random.within(*bytes_per_s),
            bytes: bytes.map(|bytes| random.within(bytes)),
        },
        Bounds::Split {
            pieces,
            piece_bytes,
            gap_us,
        } => {
            let count = random.within(*pieces);
            Fault::Split {
                pieces: (0..count).map(|_| random.within_u32(*piece_bytes)).collect(),
                gap_us: random.within(*gap_us),
            }
        }
        Bounds::Coalesce { bytes, ms } => Fault::Coalesce {
            bytes: random.within_u32(*bytes),
            ms: random.within(*ms),
        },
        Bounds::Delay { ms } => Fault::Delay {
            ms: random.within(*ms),
        },
        Bounds::Stall { ms } => Fault::Stall {
            ms: random.within(*ms),
        },
        Bounds::HalfOpen { ms } => Fault::HalfOpen {
            ms: random.within(*ms),
        },
        Bounds::Rst { side } => {
            let any = [Side::Client, Side::Server, Side::Both];
            let drawn = random.within(Span { min: 0, max: 2 });
            let drawn = usize::try_from(drawn).ok().and_then(|at| any.get(at).copied());
            Fault::Rst {
                side: side.or(drawn).unwrap_or(Side::Both),
            }
        }
        Bounds::Fin => Fault::Fin {},
        Bounds::Close => Fault::Close {},
        Bounds::Flip { mask } => {
            let drawn = u8::try_from(random.within(Span { min: 1, max: 255 }));
            Fault::Flip {
                mask: mask.unwrap_or(drawn.unwrap_or(1)),
            }
        }
        Bounds::Refuse { ms } => Fault::Refuse {
            ms: random.within(*ms),
        },
    }
}

/// Rates with their numbers among those of their kind.
fn numbered(rates: &[Rate]) -> impl Iterator<Item = (u64, &Rate)> {
    let mut counts = BTreeMap::new();
    rates.iter().map(move |rate| {
        let count = counts.entry(rate.kind()).or_insert(0);
        let nth = *count;
        *count += 1;
        (nth, rate)
    })
}

/// What a draw depends on, but for the rate's kind and the event's number.
#[derive(Clone, Copy)]
struct Place {
    seed: u64,
    route: u32,
    connection: u64,
    direction: Direction,
    nth: u64,
}

impl Place {
    fn random(self, kind: Kind, index: u64) -> Random {
        let direction = match self.direction {
            Direction::Forward => 0,
            Direction::Back => 1,
        };
        let place = [
            self.route.into(),
            self.connection,
            direction,
            kind as u64,
            self.nth,
            index,
        ];
        let state = place.into_iter().fold(self.seed, |state, part| {
            Random(state ^ part.wrapping_mul(0xff51_afd7_ed55_8ccd)).next()
        });
        Random(state)
    }
}

/// SplitMix64: own and small, because a schedule has to come out the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn within(&mut self, span: Span) -> u64 {
        let count = u128::from(span.max - span.min) + 1;
        let scaled = (u128::from(self.next()) * count) >> 64;
        // Less than `count`, hence not above `max - min`.
        span.min + u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// From a span whose limits are of 32 bits.
    fn within_u32(&mut self, span: Span) -> u32 {
        u32::try_from(self.within(span)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(texts: &[(Kind, &str)]) -> Vec<Rate> {
        let rate = |&(kind, text)| Rate::parse(kind, text).unwrap();
        texts.iter().map(rate).collect()
    }

    fn events(plan: &Plan, connection: u64, direction: Direction, below: u64) -> Vec<Event> {
        let mut upcoming = plan.stream(1, connection, direction);
        let mut events = Vec::new();
        while upcoming.next_place().is_some_and(|(at_byte, _)| at_byte < below) {
            events.extend(upcoming.pop());
        }
        events
    }

    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut random = Random(1_234_567);
        let numbers = [random.next(), random.next(), random.next()];
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn same_seed_draws_the_same_events_and_another_seed_others() {
        let all = [
            (Kind::Split, "100"),
            (Kind::Delay, "300"),
            (Kind::Flip, "500,way=back"),
        ];
        let plan = |seed| Plan::Seeded {
            seed,
            rates: rates(&all),
        };
        let drawn = |seed| events(&plan(seed), 3, Direction::Back, 10_000);
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        assert!(drawn(7).is_sorted_by_key(|event| event.at_byte));
        assert_ne!(
            events(&plan(7), 3, Direction::Back, 10_000),
            events(&plan(7), 4, Direction::Back, 10_000)
        );
        let forward = events(&plan(7), 3, Direction::Forward, 10_000);
        assert!(forward.iter().all(|event| event.fault.name() != "flip"));
    }

    #[test]
    fn rate_added_of_another_kind_changes_none_of_the_others() {
        let few = Plan::Seeded {
            seed: 1,
            rates: rates(&[(Kind::Delay, "300")]),
        };
        let more = Plan::Seeded {
            seed: 1,
            rates: rates(&[(Kind::Split, "100"), (Kind::Delay, "300")]),
        };
        let mut with_more = events(&more, 1, Direction::Forward, 10_000);
        with_more.retain(|event| event.fault.name() == "delay");
        assert_eq!(with_more, events(&few, 1, Direction::Forward, 10_000));
    }

    #[test]
    fn distances_and_parameters_keep_to_their_bounds() {
        let plan = Plan::Seeded {
            seed: 5,
            rates: rates(&[(Kind::Split, "100,pieces=2..3,bytes=4..6")]),
        };
        let events = events(&plan, 1, Direction::Forward, 1_000_000);
        let mut behind = 0;
        for event in &events {
            assert!((1..200).contains(&(event.at_byte - behind)), "{event:?}");
            behind = event.at_byte;
            let Fault::Split { pieces, .. } = &event.fault else {
                panic!("{event:?}");
            };
            assert!((2..=3).contains(&pieces.len()), "{event:?}");
            assert!(pieces.iter().all(|piece| (4..=6).contains(piece)), "{event:?}");
            event.fault.check().unwrap();
        }
        assert!((9_000..11_000).contains(&events.len()), "{}", events.len());
    }

    #[test]
    fn refusals_come_at_their_rate_or_at_their_number() {
        let plan = Plan::Seeded {
            seed: 5,
            rates: rates(&[(Kind::Refuse, "10,ms=7")]),
        };
        let refused = (1..=10_000)
            .filter_map(|connection| plan.refusal(1, connection))
            .count();
        assert!((800..1200).contains(&refused), "{refused}");
        let plan = Plan::Seeded {
            seed: 5,
            rates: rates(&[(Kind::Refuse, "@3,ms=7")]),
        };
        let refused: Vec<_> = (1..=10)
            .filter_map(|connection| plan.refusal(1, connection))
            .collect();
        assert_eq!(refused.len(), 1);
        assert_eq!(
            (refused[0].connection, &refused[0].fault),
            (3, &Fault::Refuse { ms: 7 })
        );
    }
}
