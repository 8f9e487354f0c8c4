//! Joining, leaving, and what becomes of directory and locks.

use dlmwire_codec::{ExFlags, Mode};

use super::world::{World, name, node, wish};
use crate::participant::{By, Event, Milestone, Order};

fn phases(told: &[Event]) -> Vec<Milestone> {
    let phase = |event: &Event| match event {
        Event::Recovery { phase, .. } => Some(*phase),
        _ => None,
    };
    told.iter().filter_map(phase).collect()
}

#[test]
fn two_nodes_join_pass_every_barrier_and_agree_on_slots() {
    for seed in 0..50 {
        let mut world = World::of(seed, &[1, 2]);
        for id in [1, 2] {
            let told = world.told(id);
            use Milestone::{Dir, Done, Locks, Nodes, Start};
            assert_eq!(phases(&told), [Start, Nodes, Dir, Locks, Done], "seed {seed}");
            assert!(
                told.contains(&Event::Joined { generation: 1 }),
                "seed {seed}: {told:?}"
            );
            let view = world.at(id).view();
            assert_eq!(view.slots, [(1, 1), (2, 2)]);
            // The lowest node says what everybody has finished (spec: kernel-observed, Join).
            assert_eq!(view.status, if id == 1 { 255 } else { 85 });
        }
    }
}

#[test]
fn third_node_joins_and_slots_stay() {
    for seed in 0..50 {
        let mut world = World::of(seed, &[2, 3]);
        world.set_members(&[1, 2, 3]);
        world.run();
        let views = [1, 2, 3].map(|id| world.at(id).view());
        for view in &views {
            assert_eq!(view.slots, [(1, 3), (2, 1), (3, 2)], "seed {seed}");
            assert_eq!(view.generation, 2, "seed {seed}");
            assert_eq!(view.phase, "running", "seed {seed}");
        }
    }
}

#[test]
fn alone_a_node_is_ready_at_once() {
    let mut world = World::of(1, &[5]);
    assert!(world.at(5).is_running());
    let lock = world.lock(5, "a", Mode::Ex, ExFlags::new(0));
    assert!(matches!(
        world.told_of(5, lock)[1],
        Event::Granted { by: By::Local, .. }
    ));
}

#[test]
fn not_ready_answers_are_polled_until_ready() {
    let mut world = World::new(3);
    world.set_members(&[1, 2]);
    world.at(2).mischief.not_ready = 3;
    world.run();
    assert!(world.at(1).is_running() && world.at(2).is_running());
}

#[test]
fn false_lvblen_holds_recovery_up_and_is_told_once() {
    let mut world = World::new(3);
    world.set_members(&[1, 2]);
    world.at(2).mischief.lvblen = Some(64);
    for _ in 0..500 {
        world.step();
    }
    assert!(!world.at(1).is_running());
    let troubles = world.told(1);
    let troubles = troubles
        .iter()
        .filter(|event| matches!(event, Event::Trouble { .. }));
    assert_eq!(troubles.count(), 1);

    world.at(2).mischief.lvblen = None;
    world.run();
    assert!(world.at(1).is_running());
}

#[test]
fn lock_wanted_during_recovery_is_granted_after_it() {
    let mut world = World::new(4);
    world.set_members(&[1, 2]);
    let lock = world.lock(2, "test1", Mode::Ex, ExFlags::new(0));
    world.run();
    assert!(matches!(
        world.told_of(2, lock).last(),
        Some(Event::Granted { mode: Mode::Ex, .. })
    ));
}

#[test]
fn holder_leaves_and_who_waits_is_granted_with_an_untrusted_value() {
    for seed in 0..50 {
        let mut world = World::of(seed, &[1, 2, 3]);
        let held = world.lock(3, "test1", Mode::Ex, ExFlags::VALBLK);
        world.run();
        assert!(matches!(
            world.told_of(3, held).last(),
            Some(Event::Granted { .. })
        ));
        let waits = world.lock(1, "test1", Mode::Ex, ExFlags::VALBLK);
        world.run();
        assert_eq!(
            world.told_of(1, waits).last(),
            Some(&Event::Queued { lock: waits })
        );
        // Gone without a word.
        world.set_members(&[1, 2]);
        world.run();
        let told = world.told_of(1, waits);
        assert!(
            matches!(told.last(), Some(Event::Granted { mode: Mode::Ex, .. })),
            "seed {seed}: {told:?}"
        );
    }
}

#[test]
fn master_leaves_and_its_locks_move_with_their_modes_and_queue() {
    for seed in 0..50 {
        let mut world = World::of(seed, &[1, 2, 3]);
        // Node 3 masters it because it asked first.
        let first = world.lock(3, "test1", Mode::Nl, ExFlags::new(0));
        world.run();
        let held = world.lock(1, "test1", Mode::Pr, ExFlags::new(0));
        world.run();
        let waits = world.lock(2, "test1", Mode::Ex, ExFlags::new(0));
        world.run();
        assert!(matches!(
            world.told_of(3, first).last(),
            Some(Event::Granted { by: By::Local, .. })
        ));
        world.told(1);
        world.told(2);

        world.set_members(&[1, 2]);
        world.run();
        assert_eq!(world.told_of(2, waits), [], "seed {seed}: it still has to wait");
        world.unlock(1, held);
        world.run();
        let told = world.told_of(2, waits);
        assert!(
            matches!(told.last(), Some(Event::Granted { mode: Mode::Ex, .. })),
            "seed {seed}: {told:?}"
        );
    }
}

#[test]
fn value_block_survives_its_master() {
    for seed in 0..20 {
        let mut world = World::of(seed, &[1, 2, 3]);
        world.lock(3, "test1", Mode::Nl, ExFlags::new(0));
        world.run();
        let writer = world.lock(1, "test1", Mode::Ex, ExFlags::VALBLK);
        world.run();
        let mut down = wish(Mode::Nl, ExFlags::VALBLK);
        down.lvb = Some(vec![7; 32]);
        world.order(1, writer, Order::Convert(down));
        world.run();
        world.set_members(&[1, 2]);
        world.run();
        let reader = world.lock(2, "test1", Mode::Pr, ExFlags::VALBLK);
        world.run();
        let told = world.told_of(2, reader);
        let Some(Event::Granted { lvb: Some(lvb), .. }) = told.last() else {
            panic!("seed {seed}: {told:?}");
        };
        assert_eq!(lvb, &[7; 32], "seed {seed}");
    }
}

#[test]
fn directory_of_many_names_is_rebuilt_in_blocks() {
    let mut world = World::of(1, &[1, 2]);
    let long = |number: u32| format!("{number:064}");
    for number in 0..300 {
        world.lock(1, &long(number), Mode::Pr, ExFlags::new(0));
    }
    world.lock(1, "a", Mode::Pr, ExFlags::new(0));
    world.run();
    let before = world.at(2).directory.clone();
    assert!(before.len() > 100, "{}: more than two blocks", before.len());
    world.set_members(&[1, 2]);
    world.run();
    assert_eq!(world.at(2).directory, before);
}

#[test]
fn members_changed_in_the_middle_begin_anew() {
    for seed in 0..50 {
        let mut world = World::new(seed);
        world.set_members(&[1, 2, 3]);
        let lock = world.lock(2, "test1", Mode::Ex, ExFlags::new(0));
        for _ in 0..world.pick(40) {
            world.step();
        }
        world.set_members(&[1, 2]);
        for _ in 0..world.pick(40) {
            world.step();
        }
        world.set_members(&[1, 2, 3]);
        world.run();
        for lockspace in world.nodes.values() {
            assert!(lockspace.is_running(), "seed {seed}: {:?}", lockspace.recovery);
        }
        assert!(
            matches!(world.told_of(2, lock).last(), Some(Event::Granted { .. })),
            "seed {seed}"
        );
    }
}

#[test]
fn lost_question_is_asked_again() {
    let mut world = World::new(9);
    world.set_members(&[1, 2]);
    // A link was lost with everything on it.
    world.lose_mail();
    let now = world.now;
    world.at(1).handle_reconnected(now, node(2));
    world.collect();
    world.wait_seconds(6);
    assert!(world.at(1).is_running() && world.at(2).is_running());
}

#[test]
fn resource_without_locks_is_forgotten_here_and_at_the_directory() {
    for id in [1, 2] {
        let mut world = World::of(1, &[1, 2]);
        let lock = world.lock(id, "test1", Mode::Ex, ExFlags::new(0));
        world.run();
        world.unlock(id, lock);
        world.run();
        // Node 2 is the directory node of this name.
        assert!(world.at(2).directory.contains_key(&name("test1")));
        world.wait_seconds(12);
        assert!(!world.at(2).directory.contains_key(&name("test1")), "master {id}");
        assert!(world.at(id).resources.is_empty(), "master {id}");
    }
}
