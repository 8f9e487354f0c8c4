//! Schedules, written and drawn: what they say is done, at its byte, and done again the same.

use dlmwire_interop::chaos::{Direction, Event, Fault, Kind, Plan, Schedule};

use crate::bench::{Bench, exchange, pattern, seeded};

#[test]
fn flips_change_exactly_the_bytes_of_the_schedule() {
    let event = |at_byte: u64, mask: u8| {
        let fault = Fault::Flip { mask };
        Event {
            route: 1,
            connection: 1,
            direction: Direction::Back,
            at_byte,
            fault,
        }
    };
    let flips = [
        event(0, 1),
        event(777, 0x80),
        event(778, 255),
        event(9999, 7),
        event(10_000, 7),
    ];
    let lines: Vec<String> = flips.iter().map(|event| event.to_line().unwrap()).collect();
    let schedule = Schedule::read(lines.join("\n").as_bytes()).unwrap();
    let bench = Bench::new(Plan::Script(schedule));
    let bytes = pattern(10_000);
    let [at_server, at_client] = exchange(&bench, &bytes, 1000);
    let mut flipped = bytes.clone();
    flipped[0] ^= 1;
    flipped[777] ^= 0x80;
    flipped[778] ^= 255;
    flipped[9999] ^= 7;
    assert!(at_server == bytes, "forward has no flip");
    assert!(at_client == flipped, "back has these and no other");
    let (_, events) = bench.finish();
    assert_eq!(events, flips[..4], "the last lies behind the end");
}

#[test]
fn drawn_flips_are_told_where_they_are_done() {
    let bench = Bench::new(seeded(3, &[(Kind::Flip, "500")]));
    let bytes = pattern(20_000);
    let [at_server, at_client] = exchange(&bench, &bytes, 1000);
    let (_, events) = bench.finish();
    assert!(events.len() > 40, "{}", events.len());
    let mut expected = [bytes.clone(), bytes];
    for event in &events {
        let Fault::Flip { mask } = event.fault else {
            panic!("{event:?}");
        };
        let direction = usize::from(event.direction == Direction::Back);
        expected[direction][usize::try_from(event.at_byte).unwrap()] ^= mask;
    }
    assert!(expected == [at_server, at_client]);
}

#[test]
fn same_seed_does_the_same_and_its_written_schedule_does_it_again() {
    let rates = [
        (Kind::Split, "1K,gap_us=0"),
        (Kind::Coalesce, "5K,ms=1"),
        (Kind::Delay, "5K,ms=0..2"),
        (Kind::Bandwidth, "20K,rate=4M..8M,bytes=1..10K"),
        (Kind::Flip, "2K"),
    ];
    let bytes = pattern(60_000);
    let run = |plan: Plan, chunk: usize| {
        let bench = Bench::new(plan);
        let received = [exchange(&bench, &bytes, chunk), exchange(&bench, &bytes, chunk)];
        (bench.finish().1, received)
    };
    let (events, received) = run(seeded(42, &rates), 777);
    assert!(events.len() > 200, "{}", events.len());
    // Bytes that come in another rhythm make no difference.
    assert!(
        run(seeded(42, &rates), 10_000) == (events.clone(), received.clone()),
        "the same seed"
    );
    assert!(run(seeded(43, &rates), 777).0 != events, "another seed");
    let lines: Vec<String> = events.iter().map(|event| event.to_line().unwrap()).collect();
    let schedule = Schedule::read(lines.join("\n").as_bytes()).unwrap();
    assert!(
        run(Plan::Script(schedule), 100) == (events, received),
        "the written schedule"
    );
}
