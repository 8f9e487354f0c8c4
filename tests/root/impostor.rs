//! Another host that has taken a node's address.

use std::thread;
use std::time::{Duration, Instant};

use crate::flow::{Flow, sum};
use crate::lab::Lab;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Proves E12, E13.
///
/// Host 3 takes the address of node 2 and says so to everybody: the system of host 3 resets what node 1 has open, and
/// a node there accepts, dials and speaks. Node 2 notices nothing, and its connections look alive to it.
#[test]
fn duplicate_address_delays_the_flow_and_delivers_nothing_from_the_impostor() {
    let Some(lab) = Lab::new("impostor", 3, &["arping"]) else {
        return;
    };
    let more = "--messages 12000 --rate 2000 --user-timeout 3000";
    let (mut one, mut two) = (Flow::start(&lab, 1, 2, more), Flow::start(&lab, 2, 1, more));
    one.wait_for("connected", 1, LIMIT);
    two.wait_for("connected", 1, LIMIT);
    thread::sleep(Duration::from_secs(1));

    let stolen = lab.address(2);
    lab.must(3, &format!("ip address add {stolen}/24 dev eth0"));
    lab.must(3, &format!("arping -U -c 1 -I eth0 {stolen}"));
    let impostor = Flow::start_at(&lab, 3, stolen, 1, "--messages 50000 --rate 50000");
    one.wait_for("node id 3", 1, LIMIT);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(one.count("complete"), 0, "the impostor came too late\n{one}");
    assert_eq!(impostor.count("complete"), 0, "{impostor}");
    drop(impostor);
    lab.must(3, &format!("ip address delete {stolen}/24 dev eth0"));
    lab.set_interface(3, false);

    // Without this it takes node 1 half a minute to ask who has the address now.
    lab.must(2, &format!("arping -U -c 1 -I eth0 {stolen}"));
    let removed = Instant::now();
    let reports = [one.assert_sound(LIMIT), two.assert_sound(LIMIT)];
    eprintln!(
        "root_impostor: {:?} after its removal: {} and {}",
        removed.elapsed(),
        reports[0],
        reports[1]
    );
    assert!(sum(&reports, "reconnects") > 0, "{reports:?}");
    assert!(sum(&reports, "resent") > 0, "{reports:?}");
}
