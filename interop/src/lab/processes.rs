//! Ending a program with everything that it started.
//!
//! A process group is not enough: User-Mode Linux makes a session of its own. So the tree is read from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgrp, kill_process, kill_process_group};

/// How long it takes at most until killed processes are gone.
const GONE_LIMIT: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_millis(20);

/// A process as `/proc` shows it.
struct Process {
    id: i32,
    parent: i32,
    group: i32,
}

/// Kills a process, all its descendants, and their process groups, and waits until they are gone or only wait
/// for being collected.
pub(super) fn kill_tree(root: u32) {
    let Ok(root) = i32::try_from(root) else {
        return;
    };
    let ours = getpgrp().as_raw_nonzero().get();
    // Killed while they are read they could go on forking: all at once, then again whoever is left.
    let (mut tree, mut groups) = (BTreeSet::from([root]), BTreeSet::new());
    let started = Instant::now();
    loop {
        let left = extend(&mut tree, &mut groups, ours);
        for group in groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        for id in left.iter().filter_map(|id| Pid::from_raw(*id)) {
            let _ = kill_process(id, Signal::KILL);
        }
        if left.is_empty() || started.elapsed() > GONE_LIMIT {
            return;
        }
        thread::sleep(TURN);
    }
}

/// Adds the descendants of the tree and their groups, and says who of them still runs.
fn extend(tree: &mut BTreeSet<i32>, groups: &mut BTreeSet<i32>, ours: i32) -> Vec<i32> {
    let processes = running();
    let mut left = Vec::new();
    loop {
        let before = left.len();
        for process in &processes {
            let belongs = tree.contains(&process.id)
                || tree.contains(&process.parent)
                || groups.contains(&process.group);
            if belongs && !left.contains(&process.id) {
                left.push(process.id);
                tree.insert(process.id);
                if process.group != ours {
                    groups.insert(process.group);
                }
            }
        }
        if left.len() == before {
            return left;
        }
    }
}

/// Every process that runs; not those that only wait for being collected.
fn running() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = entries.filter_map(|entry| {
        let id: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name may have spaces and parentheses; what follows its last one is numbers.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Process { id, parent, group })
    });
    processes.collect()
}
