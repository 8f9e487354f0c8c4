//! More pairs, links and messages than there is room for.

use dlmwire_codec::{Limits, Split, split};

use super::fixture::Wire;
use crate::observer::*;
use crate::time::Time;

/// One station that many others dial.
struct Crowd {
    wire: Wire,
    packet: u64,
}

impl Crowd {
    fn new(config: Config) -> Self {
        let mut wire = Wire::silent(0);
        wire.observer = Observer::new(config);
        Self { wire, packet: 0 }
    }

    fn at(&mut self) -> At {
        self.packet = self.packet.saturating_add(1);
        At {
            time: Time(self.packet),
            mark: Mark(self.packet),
        }
    }

    fn up(&mut self, station: u32) {
        let (at, link) = (self.at(), LinkId(u64::from(station)));
        let ends = Ends {
            dialled: StationId(station),
            accepted: StationId(0),
        };
        self.wire
            .observer
            .handle_link_up(at, link, ends, LinkStart::Handshake);
    }

    fn down(&mut self, station: u32) {
        let (at, link) = (self.at(), LinkId(u64::from(station)));
        self.wire
            .observer
            .handle_link_down(at, link, LinkEnd::Closed, HalfSent::default());
    }

    fn sends(&mut self, station: u32, number: u32) -> Verdict {
        let at = self.at();
        self.wire.nodes = [station, 0];
        let bytes = self.wire.frame("A", &["opts", &number.to_string()]);
        let Split::Frame { frame, .. } = split(&bytes, Limits::KERNEL) else {
            unreachable!("one frame is encoded")
        };
        let (link, from) = (LinkId(u64::from(station)), StationId(station));
        self.wire
            .observer
            .handle_frame(at, link, from, &bytes, frame.decode())
            .verdict
    }

    fn facts(&mut self) -> Vec<Fact> {
        core::iter::from_fn(|| self.wire.observer.poll_fact()).collect()
    }
}

#[test]
fn pairs_full_the_longest_without_a_link_is_given_up() {
    let mut crowd = Crowd::new(Config {
        pairs_max: 2,
        ..Config::default()
    });
    for station in [1, 2] {
        crowd.up(station);
        crowd.sends(station, 0);
    }
    crowd.down(2);
    crowd.down(1);
    crowd.facts();
    crowd.up(3);
    let ended = |fact: &Fact| matches!(fact.kind, FactKind::ConversationEnded { .. }).then_some(fact.to);
    let ends: Vec<StationId> = crowd.facts().iter().filter_map(ended).collect();
    assert_eq!(ends, [StationId(2)]);
    assert_eq!(crowd.sends(2, 1), Verdict::NoLink);
    assert_eq!(crowd.sends(3, 0), Verdict::InOrder);
    let given_up = GivenUp {
        pairs: 1,
        ..GivenUp::default()
    };
    assert_eq!(crowd.wire.observer.given_up(), given_up);
}

#[test]
fn pairs_full_with_every_link_up_the_new_link_is_not_looked_at() {
    let mut crowd = Crowd::new(Config {
        pairs_max: 1,
        ..Config::default()
    });
    crowd.up(1);
    crowd.up(2);
    assert_eq!(crowd.sends(2, 0), Verdict::NoLink);
    assert_eq!(crowd.wire.observer.given_up().links, 1);
    crowd.down(1);
    crowd.up(1);
    crowd.up(2);
    assert_eq!(crowd.sends(1, 0), Verdict::InOrder);
}

#[test]
fn digests_full_the_most_silent_pair_loses_its_own() {
    let mut crowd = Crowd::new(Config {
        digests_max: 8,
        ..Config::default()
    });
    for station in [1, 2] {
        crowd.up(station);
        for number in 0..4 {
            crowd.sends(station, number);
        }
    }
    assert_eq!(crowd.sends(1, 4), Verdict::InOrder);
    assert_eq!(crowd.wire.observer.given_up().windows, 1);
    crowd.facts();
    // Pair 2 is forgotten: what comes again is a duplicate, of what cannot be said.
    assert_eq!(crowd.sends(2, 3), Verdict::Duplicate { acked: false });
    assert_eq!(crowd.sends(2, 4), Verdict::InOrder);
    assert!(crowd.facts().is_empty());
}
