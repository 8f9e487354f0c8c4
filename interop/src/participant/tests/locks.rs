//! Locks between nodes: queues, conversions, callbacks, value blocks.

use std::time::Duration;

use dlmwire_codec::{ExFlags, Mode, MsgResult};

use super::world::{World, name, node, wish};
use crate::participant::{By, Event, LockId, Order, OrderError};

const NONE: ExFlags = ExFlags::new(0);

fn granted(lock: LockId, mode: Mode, by: By) -> Event {
    Event::Granted {
        lock,
        mode,
        lvb: None,
        lvb_invalid: false,
        by,
    }
}

/// Nodes 1 and 2, and a name that the given node masters, held in `NL` by it.
fn mastered_by(master: u32, text: &str) -> World {
    let mut world = World::of(1, &[1, 2]);
    world.lock(master, text, Mode::Nl, NONE);
    world.run();
    world.told(1);
    world.told(2);
    world
}

/// A master here, or there: to a holder it is the same but for the way it hears of it.
const BOTH: [(u32, By); 2] = [(1, By::Local), (2, By::Reply)];

#[test]
fn first_asker_becomes_master_wherever_the_directory_is() {
    // Node 1 is directory node of testlock, node 2 of test1.
    for text in ["test1", "testlock"] {
        for asker in [1, 2] {
            let mut world = World::of(1, &[1, 2]);
            world.lock(asker, text, Mode::Pr, NONE);
            world.run();
            let other = 3 - asker;
            world.lock(other, text, Mode::Pr, NONE);
            world.run();
            for id in [1, 2] {
                let master = world.at(id).resources[&name(text)].master;
                assert_eq!(
                    master,
                    Some(node(asker)),
                    "{text} asked for by {asker}, seen by {id}"
                );
            }
        }
    }
}

#[test]
fn claiming_directory_masters_what_nobody_does() {
    let mut world = World::configured(1, |config| config.claim = true);
    world.set_members(&[1, 2]);
    world.run();
    let lock = world.lock(1, "test1", Mode::Ex, NONE);
    world.run();
    assert_eq!(
        world.told_of(1, lock).last(),
        Some(&granted(lock, Mode::Ex, By::Reply))
    );
    assert!(world.at(2).is_master(&name("test1")));
}

#[test]
fn blocked_request_is_queued_its_blocker_told_and_granted_in_turn() {
    for (master, by) in BOTH {
        let mut world = mastered_by(master, "test1");
        let first = world.lock(1, "test1", Mode::Ex, NONE);
        world.run();
        assert_eq!(
            world.told_of(1, first).last(),
            Some(&granted(first, Mode::Ex, by))
        );
        let second = world.lock(2, "test1", Mode::Pr, NONE);
        world.run();
        assert_eq!(
            world.told_of(2, second).last(),
            Some(&Event::Queued { lock: second })
        );
        let bast = Event::Bast {
            lock: first,
            mode: Mode::Pr,
        };
        assert_eq!(world.told_of(1, first), [bast]);
        world.unlock(1, first);
        world.run();
        assert_eq!(world.told_of(1, first), [Event::Unlocked { lock: first }]);
        assert_eq!(world.told_of(2, second), [granted(second, Mode::Pr, By::Grant)]);
    }
}

#[test]
fn noqueue_is_refused_and_tells_the_blocker_only_if_asked_to() {
    for (master, _) in BOTH {
        let mut world = mastered_by(master, "test1");
        let first = world.lock(1, "test1", Mode::Ex, NONE);
        world.run();
        world.told(1);
        for (flags, basts) in [
            (ExFlags::NOQUEUE, 0),
            (ExFlags::NOQUEUE.with(ExFlags::NOQUEUEBAST), 1),
        ] {
            let second = world.lock(2, "test1", Mode::Ex, flags);
            world.run();
            let refused = Event::Refused {
                lock: second,
                result: MsgResult::Again,
            };
            assert_eq!(world.told_of(2, second).last(), Some(&refused));
            assert_eq!(world.told_of(1, first).len(), basts, "master {master}");
        }
        let left = [1, 2].map(|id| world.at(id).locks.values().filter(|lock| lock.is_ours()).count());
        assert_eq!(left.iter().sum::<usize>(), 2, "NL and EX");
    }
}

#[test]
fn down_conversion_lets_the_waiter_in_and_up_conversion_waits_for_it() {
    for (master, by) in BOTH {
        let mut world = mastered_by(master, "test1");
        let first = world.lock(1, "test1", Mode::Ex, NONE);
        world.run();
        let second = world.lock(2, "test1", Mode::Pr, NONE);
        world.run();
        world.told(1);
        world.told(2);
        world.order(1, first, Order::Convert(wish(Mode::Cr, NONE)));
        world.run();
        assert_eq!(world.told_of(1, first), [granted(first, Mode::Cr, By::Local)]);
        assert_eq!(world.told_of(2, second), [granted(second, Mode::Pr, By::Grant)]);
        world.order(1, first, Order::Convert(wish(Mode::Pr, NONE)));
        world.run();
        assert_eq!(world.told_of(1, first), [granted(first, Mode::Pr, by)]);
        world.order(1, first, Order::Convert(wish(Mode::Ex, NONE)));
        world.run();
        assert_eq!(world.told_of(1, first), [Event::Queued { lock: first }]);
        world.unlock(2, second);
        world.run();
        assert_eq!(world.told_of(1, first), [granted(first, Mode::Ex, By::Grant)]);
    }
}

#[test]
fn conversions_that_wait_for_each_other_are_refused() {
    for (master, _) in BOTH {
        let mut world = mastered_by(master, "test1");
        let first = world.lock(1, "test1", Mode::Pr, NONE);
        let second = world.lock(2, "test1", Mode::Pr, NONE);
        world.run();
        world.order(1, first, Order::Convert(wish(Mode::Ex, NONE)));
        world.run();
        world.order(2, second, Order::Convert(wish(Mode::Ex, NONE)));
        world.run();
        let refused = Event::Refused {
            lock: second,
            result: MsgResult::Deadlock,
        };
        assert_eq!(world.told_of(2, second).last(), Some(&refused));
        // As it was: still in the way, and can be given back.
        world.unlock(2, second);
        world.run();
        assert_eq!(
            world.told_of(1, first).last(),
            Some(&granted(first, Mode::Ex, By::Grant))
        );
    }
}

#[test]
fn cancel_takes_a_request_or_a_conversion_back_or_finds_nothing() {
    for (master, _) in BOTH {
        let mut world = mastered_by(master, "test1");
        let held = world.lock(2, "test1", Mode::Pr, NONE);
        world.run();
        let asked = world.lock(1, "test1", Mode::Ex, NONE);
        world.run();
        world.order(1, asked, Order::Cancel);
        world.run();
        assert_eq!(
            world.told_of(1, asked).last(),
            Some(&Event::Cancelled { lock: asked })
        );
        assert!(!world.at(1).has(asked));

        let shared = world.lock(1, "test1", Mode::Pr, NONE);
        world.run();
        world.order(1, shared, Order::Convert(wish(Mode::Ex, NONE)));
        world.run();
        world.order(1, shared, Order::Cancel);
        world.run();
        assert_eq!(
            world.told_of(1, shared).last(),
            Some(&Event::Cancelled { lock: shared })
        );
        world.order(1, shared, Order::Cancel);
        world.run();
        let nothing = Event::Failed {
            lock: shared,
            result: MsgResult::Success,
        };
        assert_eq!(world.told_of(1, shared), [nothing]);
        world.unlock(1, shared);
        world.unlock(2, held);
        world.run();
        assert!(!world.at(1).has(shared) && !world.at(2).has(held));
    }
}

#[test]
fn value_block_goes_from_writer_to_reader_and_can_be_spoilt() {
    for (master, _) in BOTH {
        let mut world = mastered_by(master, "test1");
        let writer = world.lock(1, "test1", Mode::Ex, ExFlags::VALBLK);
        world.run();
        world.order(1, writer, Order::Unlock(Some(vec![1, 2, 3])));
        world.run();
        let reader = world.lock(2, "test1", Mode::Pr, ExFlags::VALBLK);
        world.run();
        let told = world.told_of(2, reader);
        let Some(Event::Granted {
            lvb: Some(lvb),
            lvb_invalid: false,
            ..
        }) = told.last()
        else {
            panic!("{told:?}");
        };
        assert_eq!((lvb.len(), &lvb[..4]), (32, &[1, 2, 3, 0][..]));

        let order = Order::Convert(wish(Mode::Pw, ExFlags::VALBLK));
        world.order(2, reader, order);
        world.order_after_run(
            2,
            reader,
            Order::Convert(wish(Mode::Nl, ExFlags::VALBLK.with(ExFlags::IVVALBLK))),
        );
        world.run();
        let late = world.lock(1, "test1", Mode::Cr, ExFlags::VALBLK);
        world.run();
        let told = world.told_of(1, late);
        assert!(
            matches!(
                told.last(),
                Some(Event::Granted {
                    lvb_invalid: true,
                    ..
                })
            ),
            "{told:?}"
        );
    }
}

#[test]
fn order_that_makes_no_sense_is_refused_with_its_reason() {
    let mut world = mastered_by(1, "test1");
    let now = world.now;
    let at = world.at(2);
    let unknown = at.order(now, LockId(99), Order::Cancel);
    assert_eq!(unknown, Err(OrderError::NoSuchLock(LockId(99))));
    let lock = at
        .lock(now, name("test1"), wish(Mode::Ex, NONE))
        .expect("a member");
    let busy = at.order(now, lock, Order::Unlock(None));
    assert_eq!(busy, Err(OrderError::Busy(lock)));
    assert_eq!(
        at.lock(now, name("a"), wish(Mode::Iv, NONE)),
        Err(OrderError::NoMode)
    );
    let mut long = wish(Mode::Ex, NONE);
    long.lvb = Some(vec![0; 33]);
    let too_long = OrderError::LvbTooLong { bytes: 33, limit: 32 };
    assert_eq!(at.lock(now, name("a"), long), Err(too_long));
}

#[test]
fn order_during_recovery_is_carried_out_after_it() {
    let mut world = mastered_by(1, "test1");
    let lock = world.lock(2, "test1", Mode::Ex, NONE);
    world.run();
    world.told(2);
    world.set_members(&[1, 2]);
    world.unlock(2, lock);
    assert_eq!(world.told_of(2, lock), []);
    world.run();
    assert!(!world.at(2).has(lock));
    assert_eq!(world.at(1).locks.len(), 1, "the NL lock");
}

#[test]
fn master_that_denies_it_is_looked_for_ever_more_slowly_and_then_given_up() {
    // Node 1 is directory node of testlock. It names a master that says it is none, each time.
    let mut world = World::of(1, &[1, 2]);
    let lock = world.lock(2, "testlock", Mode::Ex, NONE);
    let lockspace = world.at(2);
    let mut asked = 0;
    let mut pauses = Vec::new();
    while lockspace.has(lock) {
        asked += std::iter::from_fn(|| lockspace.poll_mail()).count();
        assert!(asked <= 20, "it is asked for ever");
        let now = lockspace.now;
        lockspace.seek_again(lock);
        if let Some((at, _)) = lockspace.again.front().copied() {
            pauses.push(at.since(now));
            lockspace.handle_timeout(at);
        }
    }
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert_eq!(pauses.first(), Some(&10_000_000));
    assert_eq!(pauses.last(), Some(&1_000_000_000));
    let failed = Event::Failed {
        lock,
        result: MsgResult::BadRequest,
    };
    world.collect();
    assert_eq!(world.told_of(2, lock).last(), Some(&failed));
}

#[test]
fn repeats_come_when_they_are_due_whoever_asked_first() {
    let mut world = World::of(1, &[1, 2]);
    let [slow, fast] = ["testlock", "test1"].map(|text| world.lock(2, text, Mode::Ex, NONE));
    let lockspace = world.at(2);
    lockspace.repeat_after(Duration::from_secs(1), slow);
    lockspace.repeat_after(Duration::from_millis(10), fast);
    let order: Vec<LockId> = lockspace.again.iter().map(|(_, lock)| *lock).collect();
    assert_eq!(order, [fast, slow]);
}
