//! Far more connections than anybody needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::flow::{Flow, sum};
use crate::lab::{Lab, PORT};
use crate::tools::wait;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Connections of each kind, from each of four threads.
const EACH: usize = 1250;

/// Half-open connections: asked for and never confirmed.
const HALF_OPEN: usize = 500;

/// Host 3 is a configured node that is no member, host 4 a stranger; half of the configured one's connections get
/// the start of a frame.
#[test]
fn storm_of_connections_leaves_the_flow_whole_and_memory_and_descriptors_bounded() {
    const GROWTH_KIB_MAX: u64 = 64 << 10;
    let Some(lab) = Lab::new("storm", 4, &[]) else {
        return;
    };
    let more = format!(
        "--messages 20000 --rate 2500 --hold --known 3={}:{PORT}",
        lab.address(3)
    );
    let (mut one, mut two) = (
        Flow::start(&lab, 1, 2, &more),
        Flow::start(&lab, 2, 1, "--messages 20000 --rate 2500 --hold"),
    );
    one.wait_for("connected", 1, LIMIT);
    thread::sleep(Duration::from_millis(500));
    let (memory, descriptors) = (one.status_of("VmHWM:"), one.descriptors());

    let target = SocketAddr::from((lab.address(1), PORT));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| lab.within(4, || (0..EACH).for_each(|_| be_turned_away(target))));
            scope.spawn(|| lab.within(3, || disturb(target)));
        }
    });
    lab.deafen_to(3, target);
    lab.within(3, || {
        for _ in 0..HALF_OPEN {
            // It cannot succeed: the answer is not heard.
            let _ = TcpStream::connect_timeout(&target, Duration::from_millis(1));
        }
    });

    for flow in [&one, &two] {
        flow.wait_for("complete", 1, LIMIT);
    }
    let now = wait("descriptors to go back", LIMIT, || {
        let now = one.descriptors();
        (now <= descriptors + 2).then_some(now)
    });
    let growth = one.status_of("VmHWM:").saturating_sub(memory);
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more");
    one.release();
    two.release();
    let reports = [one.assert_sound(LIMIT), two.assert_sound(LIMIT)];
    eprintln!(
        "root_storm: {growth} KiB more, {descriptors} descriptors before and {now} after, {}",
        reports[0]
    );
    assert!(sum(&reports, "refused") > 0, "{reports:?}");
}

/// A stranger connects and gets no byte, only the end.
fn be_turned_away(target: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect_timeout(&target, LIMIT) else {
        return;
    };
    stream.set_read_timeout(Some(LIMIT)).expect("a limit above 0");
    match stream.read(&mut [0; 16]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("a stranger got {other:?}"),
    }
}

/// A configured node's host connects again and again, says nothing or too little, and leaves some connections open.
fn disturb(target: SocketAddr) {
    const OPEN: usize = 16;
    let mut open: Vec<TcpStream> = Vec::new();
    for count in 0..EACH {
        let Ok(mut stream) = TcpStream::connect_timeout(&target, LIMIT) else {
            continue;
        };
        if count % 2 == 0 {
            // The start of a header; it may be closed already.
            let _ = stream.write_all(&[2, 0, 3, 0, 0]);
        }
        if open.len() >= OPEN {
            open.remove(0);
        }
        open.push(stream);
    }
}
