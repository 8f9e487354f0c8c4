//! The dialer in virtual time.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn dialer() -> Dialer {
    Dialer::new(
        Duration::from_secs(1),
        Duration::from_secs(8),
        Duration::from_secs(5),
        7,
    )
}

fn peer() -> NodeId {
    NodeId::new(2).unwrap()
}

fn seconds(seconds: u64) -> Time {
    Time(seconds * SECOND)
}

/// A quarter more or less than `expected`.
fn is_about(pause: Duration, expected: u64) -> bool {
    let expected = Duration::from_secs(expected);
    pause >= expected.mul_f64(0.75) && pause <= expected.mul_f64(1.25)
}

#[test]
fn first_wish_dials_at_once() {
    let mut dialer = dialer();
    dialer.wanted(seconds(3), peer(), Progress::NONE);
    assert_eq!(dialer.poll_timeout(), Some(seconds(3)));
    assert_eq!(dialer.poll_due(seconds(3)), Some(Due::Dial(peer())));
    dialer.started(seconds(3), peer(), LinkId(1));
    assert_eq!(dialer.poll_due(seconds(3)), None);
    assert_eq!(dialer.poll_timeout(), Some(seconds(8)));
}

#[test]
fn refused_dials_wait_one_second_then_twice_as_long_up_to_the_limit() {
    let mut dialer = dialer();
    let mut now = seconds(0);
    dialer.wanted(now, peer(), Progress::NONE);
    for (attempt, expected) in (1..).zip([1, 2, 4, 8, 8, 8]) {
        assert_eq!(dialer.poll_due(now), Some(Due::Dial(peer())), "attempt {attempt}");
        dialer.started(now, peer(), LinkId(attempt.into()));
        let failed = dialer.failed(now, peer());
        assert_eq!(failed.attempts, attempt);
        assert!(
            is_about(failed.retry_in, expected) && failed.retry_in <= Duration::from_secs(8),
            "{failed:?}"
        );
        let just_before = Time(after(now, failed.retry_in).0 - 1);
        assert_eq!(dialer.poll_due(just_before), None);
        now = after(now, failed.retry_in);
    }
}

#[test]
fn seed_decides_the_jitter() {
    let pauses = |seed| {
        let mut dialer = Dialer::new(
            Duration::from_secs(1),
            Duration::from_secs(64),
            Duration::from_secs(5),
            seed,
        );
        [0; 5].map(|_| dialer.failed(seconds(0), peer()).retry_in)
    };
    assert_eq!(pauses(1), pauses(1));
    assert_ne!(pauses(1), pauses(2));
}

#[test]
fn lost_connection_is_replaced_at_once_and_repeated_loss_is_not() {
    let mut dialer = dialer();
    let mut now = seconds(100);
    dialer.wanted(now, peer(), Progress::NONE);
    let mut pauses = Vec::new();
    for link in 1..6 {
        let before = now;
        while dialer.poll_due(now) != Some(Due::Dial(peer())) {
            now = dialer.poll_timeout().unwrap();
        }
        pauses.push(now.since(before) / (SECOND / 2));
        dialer.started(now, peer(), LinkId(link));
        dialer.settled(peer());
        dialer.connected(now, peer(), Progress::NONE);
        dialer.wanted(now, peer(), Progress::NONE);
    }
    assert_eq!(pauses[..2], [0, 0], "the first loss costs no pause");
    assert!(pauses[2] >= 1 && pauses[3] >= 3 && pauses[4] >= 6, "{pauses:?}");
}

#[test]
fn short_connection_that_served_is_replaced_at_once_every_time() {
    let mut dialer = dialer();
    let now = seconds(100);
    for round in 0..10 {
        let progress = Progress {
            acknowledged: round,
            ..Progress::NONE
        };
        dialer.wanted(now, peer(), progress);
        assert_eq!(dialer.poll_due(now), Some(Due::Dial(peer())), "round {round}");
        dialer.started(now, peer(), LinkId(round));
        dialer.settled(peer());
        dialer.connected(now, peer(), progress);
    }
}

#[test]
fn connection_that_lived_forgives_earlier_failures() {
    let mut dialer = dialer();
    dialer.wanted(seconds(0), peer(), Progress::NONE);
    for _ in 0..5 {
        dialer.failed(seconds(0), peer());
    }
    dialer.connected(seconds(10), peer(), Progress::NONE);
    dialer.wanted(seconds(20), peer(), Progress::NONE);
    assert_eq!(dialer.poll_due(seconds(20)), Some(Due::Dial(peer())));
    assert_eq!(dialer.phase(peer()).1, 0);
}

#[test]
fn accepted_link_ends_the_wait_but_not_a_dial_under_way() {
    let mut dialer = dialer();
    dialer.wanted(seconds(0), peer(), Progress::NONE);
    dialer.connected(seconds(0), peer(), Progress::NONE);
    assert_eq!(dialer.poll_due(seconds(60)), None);
    assert_eq!(dialer.poll_timeout(), None);

    dialer.wanted(seconds(100), peer(), Progress::NONE);
    dialer.started(seconds(100), peer(), LinkId(1));
    dialer.connected(seconds(101), peer(), Progress::NONE);
    assert!(matches!(dialer.phase(peer()).0, Phase::Dialing { .. }));
}

#[test]
fn dial_without_an_answer_is_given_up() {
    let mut dialer = dialer();
    dialer.wanted(seconds(0), peer(), Progress::NONE);
    dialer.started(seconds(0), peer(), LinkId(4));
    assert_eq!(dialer.poll_due(Time(5 * SECOND - 1)), None);
    assert_eq!(dialer.poll_due(seconds(5)), Some(Due::GiveUp(peer(), LinkId(4))));
    dialer.failed(seconds(5), peer());
    assert_eq!(dialer.poll_due(seconds(5)), None);
}

#[test]
fn unwanted_peer_is_not_dialed_and_its_dial_is_given_back() {
    let mut dialer = dialer();
    dialer.wanted(seconds(0), peer(), Progress::NONE);
    assert_eq!(dialer.unwanted(peer()), None);
    assert_eq!(dialer.poll_due(seconds(60)), None);
    dialer.wanted(seconds(60), peer(), Progress::NONE);
    dialer.started(seconds(60), peer(), LinkId(9));
    assert_eq!(dialer.unwanted(peer()), Some(LinkId(9)));
    assert_eq!(dialer.poll_due(seconds(600)), None);
}
