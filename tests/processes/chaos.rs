//! Nodes behind `dlmwire chaos`, which resets, splits and holds back what they say.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Group, Process, dlmwire, wait};

/// Two nodes behind a proxy.
struct Pair {
    group: Group,
    nodes: [Process; 2],
    proxy: Process,
    /// Where a node is told that the other is.
    elsewhere: [String; 2],
}

impl Pair {
    fn new(name: &str, faults: &[&str]) -> Self {
        let group = Group::new(name, 2);
        let ports = [1, 2].map(|node| group.other_port(node));
        let mut command = dlmwire();
        command
            .args(["chaos", "--log", "json", "--for", "300"])
            .args(faults);
        for (node, other) in [(1, 2), (2, 1)] {
            let listen = ports[usize::try_from(node).expect("small") - 1];
            command
                .arg("--route")
                .arg(format!("{listen}={},{}", group.address(node), group.ip(other)));
        }
        let proxy = Process::start(&mut command, &group.file("chaos.err"));
        wait("the proxy", || {
            proxy.find(|line| (line["kind"] == "start").then_some(()))
        });
        let elsewhere = [0, 1].map(|at| format!("{}={}", Self::other(at), ports[1 - at]));
        let nodes = [0, 1].map(|at| group.start_with(Self::other(1 - at), "", &["--peer", &elsewhere[at]]));
        Self {
            group,
            nodes,
            proxy,
            elsewhere,
        }
    }

    /// The id of the node that the `at`-th is not.
    const fn other(at: usize) -> u32 {
        if at == 0 { 2 } else { 1 }
    }

    /// Starts a node that has ended.
    fn restart(&mut self, at: usize) {
        self.nodes[at] = self
            .group
            .start_with(Self::other(1 - at), "", &["--peer", &self.elsewhere[at]]);
    }

    /// Waits for the end of a node that leaves, or of the conversation of one that stays: the `ended`-th behind it.
    fn assert_end(&mut self, at: usize, leaves: bool, ended: usize, round: &str) {
        if leaves {
            return self.nodes[at].assert_clean_end();
        }
        let (process, other) = (&self.nodes[at], Self::other(at));
        wait(&format!("{round}: the end of a conversation"), || {
            (process.count("finished", other) > ended).then_some(())
        });
        let peer = self.group.peer(Self::other(1 - at), other);
        assert_eq!(
            (&peer["state"], &peer["users"]),
            (&"CLOSED".into(), &0.into()),
            "{round}: {peer}"
        );
        assert_eq!(peer["lost"], 0, "{round}: {peer}");
    }

    /// How often the proxy did this.
    fn faults(&self, kind: &str) -> usize {
        self.proxy
            .lines()
            .iter()
            .filter(|line| line["fault"]["kind"] == kind)
            .count()
    }
}

#[test]
fn resets_splits_and_stalls_lose_double_and_reorder_nothing() {
    const BATCH: usize = 100;
    const TIME: Duration = Duration::from_secs(10);
    let faults = [
        "--seed",
        "7",
        "--rst",
        "20K",
        "--split",
        "4K",
        "--stall",
        "200K,ms=20..200",
    ];
    let mut pair = Pair::new("resets", &faults);
    let padding = "x".repeat(150);
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < TIME {
        for (process, to) in pair.nodes.iter_mut().zip([2, 1]) {
            for number in count..count + BATCH {
                process.say(&format!(r#"{{"to":{to},"data":"flow {number} {padding}"}}"#));
            }
        }
        count += BATCH;
        thread::sleep(Duration::from_millis(50));
    }
    for (process, from) in pair.nodes.iter().zip([2, 1]) {
        process.assert_flow(from, "flow", count);
        assert_eq!(process.count("lost", from), 0, "{process}");
    }
    let peers = [pair.group.peer(1, 2), pair.group.peer(2, 1)];
    let resets = pair.faults("rst");
    eprintln!("{count} messages each way, {resets} resets, status {peers:?}");
    assert!(resets > 20, "{}", pair.proxy);
    for peer in &peers {
        assert!(
            peer["resent"].as_u64() > Some(0) && peer["reconnects"].as_u64() > Some(10),
            "{peer}"
        );
        assert_eq!((&peer["lost"], &peer["gaps"]), (&0.into(), &0.into()), "{peer}");
    }
    for process in &pair.nodes {
        process.signal("-TERM");
    }
    for process in &mut pair.nodes {
        process.assert_clean_end();
    }
    pair.proxy.signal("-TERM");
    assert_eq!(pair.proxy.ended().code(), Some(0), "{}", pair.proxy);
}

/// Small numbers, the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn pause(&mut self, milliseconds: u64) {
        thread::sleep(Duration::from_millis(self.below(milliseconds)));
    }

    /// Both, in any order.
    fn order(&mut self) -> [usize; 2] {
        let first = usize::from(self.below(2) == 1);
        [first, 1 - first]
    }

    /// Who leaves in a round.
    fn leaving(&mut self) -> [bool; 2] {
        match self.below(5) {
            0 | 1 => [true, false],
            2 | 3 => [false, true],
            _ => [true, true],
        }
    }
}

/// Proves C31.
#[test]
fn nodes_join_and_leave_in_any_order_while_their_connections_are_cut() {
    const ROUNDS: usize = 60;
    let seed = std::env::var("DLMWIRE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(31);
    eprintln!("DLMWIRE_SEED={seed}");
    let mut random = Random(seed);
    let text = seed.to_string();
    let faults = [
        "--seed", &text, "--rst", "1500", "--fin", "8K", "--close", "8K", "--split", "1K",
    ];
    let mut pair = Pair::new("soak", &faults);
    for round in 0..ROUNDS {
        let name = format!("round{round}");
        let leaves = random.leaving();
        let ended = [0, 1].map(|at| pair.nodes[at].count("finished", Pair::other(at)));
        let sent = random.order().map(|at| {
            let count = usize::try_from(random.below(20)).expect("below 20");
            for number in 0..count {
                pair.nodes[at].say(&format!(
                    r#"{{"to":{},"data":"{name} {number} "}}"#,
                    Pair::other(at)
                ));
            }
            random.pause(20);
            (at, count)
        });
        // A node that leaves answers no STATUS, so both are to know each other's version before that.
        for at in [0, 1] {
            let (node, other) = (Pair::other(1 - at), Pair::other(at));
            wait(
                &format!("{name}: the version of node {other}\n{}", pair.nodes[at]),
                || (pair.group.peer(node, other)["delivery"] == "exactly once").then_some(()),
            );
        }
        for at in random.order() {
            let other = Pair::other(at);
            let line = if leaves[at] {
                r#"{"shutdown":true}"#.to_owned()
            } else {
                format!(r#"{{"remove":{other}}}"#)
            };
            pair.nodes[at].say(&line);
            random.pause(20);
        }
        for at in [0, 1] {
            pair.assert_end(at, leaves[at], ended[at], &name);
        }
        for (at, count) in sent {
            pair.nodes[1 - at].assert_flow(Pair::other(1 - at), &name, count);
        }
        for at in random.order() {
            if leaves[at] {
                pair.restart(at);
            } else {
                pair.nodes[at].say(&format!(r#"{{"add":{}}}"#, Pair::other(at)));
            }
            random.pause(20);
        }
    }
    for at in [0, 1] {
        pair.nodes[at].say(&format!(r#"{{"to":{},"data":"last 0 "}}"#, Pair::other(at)));
    }
    for at in [0, 1] {
        pair.nodes[at].assert_flow(Pair::other(at), "last", 1);
    }
    let cuts = pair.faults("rst") + pair.faults("fin") + pair.faults("close");
    eprintln!("{ROUNDS} rounds, {cuts} cuts");
    assert!(cuts > ROUNDS, "{}", pair.proxy);
    for process in &pair.nodes {
        process.signal("-TERM");
    }
    for process in &mut pair.nodes {
        process.assert_clean_end();
    }
}
