//! Connections that are lost while a conversation ends.

use std::thread;
use std::time::Duration;

use crate::flow::{Flow, sum};
use crate::lab::{Lab, Whose};
use crate::tools::Random;

/// Longer than a whole round takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Proves D8.
#[test]
fn cuts_around_the_fin_handshake_still_end_it_at_both_ends() {
    const LABS: usize = 5;
    const ROUNDS: usize = 4;
    let labs: Vec<Lab> = (0..LABS).map_while(|_| Lab::new("fin", 2, &[])).collect();
    if labs.len() < LABS {
        return;
    }
    let mut random = Random::new("fin");
    let reconnects: u64 = thread::scope(|scope| {
        let threads: Vec<_> = labs
            .iter()
            .map(|lab| {
                let mut random = random.branch();
                scope.spawn(move || (0..ROUNDS).map(|_| round(lab, &mut random)).sum::<u64>())
            })
            .collect();
        let ends = threads.into_iter().map(|thread| thread.join());
        ends.map(|end| end.expect("every round is sound")).sum()
    });
    eprintln!("root_fin: {} rounds, {reconnects} reconnects", LABS * ROUNDS);
    assert!(reconnects > 0, "no cut met the handshake");
}

/// One conversation, its end, and cuts around it. Gives the reconnects.
fn round(lab: &Lab, random: &mut Random) -> u64 {
    let more = "--messages 200 --rate 100000 --hold";
    let mut pair = [Flow::start(lab, 1, 2, more), Flow::start(lab, 2, 1, more)];
    for flow in &pair {
        flow.wait_for("complete", 1, LIMIT);
    }
    let first = usize::from(random.below(2) == 0);
    pair[first].release();
    thread::sleep(random.milliseconds(0, 10));
    lab.kill_connections(if random.below(2) == 0 { 1 } else { 2 }, Whose::All);
    pair[1 - first].release();
    for _ in 0..random.below(4) {
        thread::sleep(random.milliseconds(0, 10));
        lab.kill_connections(if random.below(2) == 0 { 1 } else { 2 }, Whose::All);
    }
    let reports = pair.each_mut().map(|flow| flow.assert_sound(LIMIT));
    sum(&reports, "reconnects")
}
