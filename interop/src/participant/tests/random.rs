//! Random locks, conversions and membership changes; who holds what is compatible at every moment, and at the end
//! nothing is left.

use dlmwire_codec::{ExFlags, LockStatus, Mode};

use super::world::{World, name, node, wish};
use crate::participant::{LockId, Order};

const SEEDS: u64 = 60;
const OPERATIONS: u32 = 400;
const NAMES: [&str; 4] = ["a", "b", "test1", "testlock"];

/// A lock of the node that can be told something.
fn any_lock(world: &mut World, id: u32) -> Option<(LockId, LockStatus)> {
    let at = world.nodes.get(&node(id))?;
    let ready = at
        .locks
        .iter()
        .filter(|(_, lock)| lock.is_ours() && lock.waiting().is_none());
    let ready: Vec<_> = ready.map(|(lock, state)| (*lock, state.status)).collect();
    let count = u32::try_from(ready.len()).expect("few");
    (count > 0).then(|| ready[usize::try_from(world.pick(count)).expect("few")])
}

fn operate(world: &mut World, id: u32) {
    let modes = &Mode::NAMED[1..];
    let mode = modes[usize::try_from(world.pick(6)).expect("small")];
    let flags = match world.pick(4) {
        0 => ExFlags::NOQUEUE,
        1 => ExFlags::VALBLK,
        _ => ExFlags::new(0),
    };
    let chosen = any_lock(world, id);
    let now = world.now;
    match (world.pick(6), chosen) {
        (0 | 1, _) | (_, None) => {
            let text = NAMES[usize::try_from(world.pick(4)).expect("small")];
            world.lock(id, text, mode, flags);
        }
        (2, Some((lock, LockStatus::Granted))) => {
            // During a recovery an order may come to nothing later.
            let _taken = world.at(id).order(now, lock, Order::Convert(wish(mode, flags)));
        }
        (3, Some((lock, LockStatus::Waiting | LockStatus::Convert))) => {
            let _taken = world.at(id).order(now, lock, Order::Cancel);
        }
        (_, Some((lock, LockStatus::Granted))) => {
            let _taken = world.at(id).order(now, lock, Order::Unlock(None));
        }
        _ => {}
    }
    world.collect();
}

/// Everything is given back, first what is granted, until nothing is left.
fn unwind(world: &mut World, seed: u64) {
    for _ in 0..2000 {
        world.run();
        let ids: Vec<u32> = world.nodes.keys().map(|node| node.get()).collect();
        let mut left = 0;
        for id in ids {
            let ours: Vec<LockId> = world
                .at(id)
                .locks
                .iter()
                .filter(|(_, lock)| lock.is_ours() && lock.status == LockStatus::Granted)
                .map(|(lock, _)| *lock)
                .collect();
            left += world.at(id).locks.len();
            let now = world.now;
            for lock in ours {
                let _taken = world.at(id).order(now, lock, Order::Unlock(None));
            }
        }
        world.collect();
        if left == 0 {
            return;
        }
    }
    let left: Vec<_> = world
        .nodes
        .iter()
        .map(|(node, at)| (node, at.view().locks))
        .collect();
    panic!("seed {seed}: locks are left: {left:?}");
}

#[test]
fn random_locks_of_three_nodes_never_conflict_and_all_end() {
    for seed in 0..SEEDS {
        let mut world = World::of(seed, &[1, 2, 3]);
        for _ in 0..OPERATIONS {
            let id = 1 + world.pick(3);
            operate(&mut world, id);
            for _ in 0..world.pick(6) {
                world.step();
            }
        }
        unwind(&mut world, seed);
    }
}

#[test]
fn random_membership_changes_lose_no_lock_of_who_stays() {
    for seed in 0..SEEDS {
        let mut world = World::of(seed, &[1, 2, 3]);
        let mut members = vec![1, 2, 3];
        for _ in 0..OPERATIONS {
            if world.pick(25) == 0 {
                let id = 1 + world.pick(3);
                if members.contains(&id) && members.len() > 1 {
                    members.retain(|member| *member != id);
                } else if !members.contains(&id) {
                    members.push(id);
                }
                world.set_members(&members);
            }
            let count = u32::try_from(members.len()).expect("three");
            let id = members[usize::try_from(world.pick(count)).expect("small")];
            operate(&mut world, id);
            for _ in 0..world.pick(6) {
                world.step();
            }
        }
        unwind(&mut world, seed);
        for (node, at) in &world.nodes {
            let names = NAMES.map(name);
            assert!(
                at.resources.keys().all(|known| names.contains(known)),
                "node {node}"
            );
        }
    }
}
