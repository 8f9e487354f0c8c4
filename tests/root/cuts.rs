//! Connections that are lost while messages are on their way.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::cut::cut_for;
use crate::flow::{Flow, sum};
use crate::lab::Lab;
use crate::tools::{Random, is_deep};

/// Longer than any flow takes after the last cut.
const LIMIT: Duration = Duration::from_secs(60);

/// Proves A1, C30, D12.
#[test]
fn flow_under_cuts_loses_doubles_and_reorders_nothing() {
    const MESSAGES: u64 = 100_000;
    let Some(lab) = Lab::new("cuts", 2, &[]) else {
        return;
    };
    let mut random = Random::new("cuts");
    let time = Duration::from_secs(if is_deep() { 60 } else { 15 });
    let rate = MESSAGES / time.as_secs();
    let more = format!(
        "--messages {MESSAGES} --rate {rate} --user-timeout 3000 --deadline {}",
        (time + LIMIT).as_secs()
    );
    let (mut one, mut two) = (Flow::start(&lab, 1, 2, &more), Flow::start(&lab, 2, 1, &more));
    one.wait_for("connected", 1, LIMIT);
    let cuts = cut_for(&lab, time, &mut random);
    let lasted = one.count("complete") + two.count("complete") == 0;
    let reports = [one.assert_sound(LIMIT), two.assert_sound(LIMIT)];
    eprintln!("root_cuts: {cuts:?}, {} and {}", reports[0], reports[1]);
    for report in &reports {
        assert_eq!(report["received"], MESSAGES);
    }
    assert!(
        lasted || sum(&reports, "reconnects") > 5,
        "the flow ended long before the cuts"
    );
    assert!(sum(&reports, "resent") > 0, "nothing was sent again: {reports:?}");
    assert!(sum(&reports, "duplicates") > 0, "nothing came again: {reports:?}");
}

/// Proves C23.
///
/// Nothing is sent any more when the connection has died: only the user timeout can notice it.
#[test]
fn silently_lost_connection_with_unacknowledged_data_is_noticed_and_replaced_without_traffic() {
    let Some(lab) = Lab::new("silence", 2, &[]) else {
        return;
    };
    let more = "--messages 2000 --rate 1000 --hold --user-timeout 2000";
    let (mut one, mut two) = (Flow::start(&lab, 1, 2, more), Flow::start(&lab, 2, 1, more));
    one.wait_for("connected", 1, LIMIT);
    two.wait_for("connected", 1, LIMIT);
    thread::sleep(Duration::from_secs(1));
    lab.deafen(1);
    lab.deafen(2);
    let begun = Instant::now();
    for flow in [&one, &two] {
        flow.wait_for("sent", 1, LIMIT);
        flow.wait_for("disconnected", 1, LIMIT);
        assert_eq!(flow.count("complete"), 0, "it came before the silence\n{flow}");
    }
    eprintln!("root_silence: noticed after {:?}", begun.elapsed());
    lab.unfilter(1);
    lab.unfilter(2);
    for flow in [&one, &two] {
        flow.wait_for("complete", 1, LIMIT);
    }
    one.release();
    two.release();
    let reports = [one.assert_sound(LIMIT), two.assert_sound(LIMIT)];
    assert!(sum(&reports, "resent") > 0, "{reports:?}");
}

/// Proves A2.
///
/// tcpkill forges its resets from packets that it has seen, a little late: they fit, and break the connection, only
/// where nothing has followed meanwhile. So this flow is slow.
#[test]
fn flow_under_tcpkill_completes_when_it_stops() {
    const RATE: u64 = 20;
    let Some(lab) = Lab::new("tcpkill", 2, &["tcpkill"]) else {
        return;
    };
    let time = Duration::from_secs(if is_deep() { 20 } else { 8 });
    let more = format!("--messages {} --rate {RATE}", RATE * time.as_secs());
    let mut killer = lab
        .command(1, "timeout")
        .arg((time + LIMIT).as_secs().to_string())
        .args(["tcpkill", "-9", "-i", "eth0", "port", "21064"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ip is there");
    let (mut one, mut two) = (Flow::start(&lab, 1, 2, &more), Flow::start(&lab, 2, 1, &more));
    thread::sleep(time);
    // To the watchdog, which passes it on.
    crate::tools::must(&format!("kill -TERM {}", killer.id()));
    let stopped = Instant::now();
    killer.wait().expect("it is our child");
    for flow in [&one, &two] {
        flow.wait_for("complete", 1, LIMIT);
    }
    eprintln!("root_tcpkill: complete {:?} after its end", stopped.elapsed());
    let reports = [one.assert_sound(LIMIT), two.assert_sound(LIMIT)];
    eprintln!("root_tcpkill: {} and {}", reports[0], reports[1]);
    assert!(
        sum(&reports, "reconnects") > 4,
        "tcpkill did nothing: {reports:?}"
    );
}
