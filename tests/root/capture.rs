//! What the wire shows while connections are lost, judged by `dlmwire check`.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cut::cut_for;
use crate::flow::Flow;
use crate::lab::Lab;
use crate::tools::{Random, wait};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// The checker, which knows nothing of the engine, finds no breach of the protocol.
#[test]
fn capture_of_a_flow_under_cuts_has_no_errors() {
    let Some(lab) = Lab::new("capture", 2, &["tcpdump"]) else {
        return;
    };
    let file = lab.file("cuts.pcap");
    let mut random = Random::new("capture");
    let mut tcpdump = lab
        .command(1, "timeout")
        .args([
            "100", "tcpdump", "-i", "eth0", "-Z", "root", "-B", "16384", "-U", "-w",
        ])
        .arg(&file)
        .args(["tcp", "port", "21064"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ip is there");
    wait("tcpdump to listen", LIMIT, || {
        std::fs::metadata(&file)
            .is_ok_and(|file| file.len() >= 24)
            .then_some(())
    });
    let more = "--messages 15000 --rate 2500 --user-timeout 3000";
    let (mut one, mut two) = (Flow::start(&lab, 1, 2, more), Flow::start(&lab, 2, 1, more));
    one.wait_for("connected", 1, LIMIT);
    let cuts = cut_for(&lab, Duration::from_secs(6), &mut random);
    one.assert_sound(LIMIT);
    two.assert_sound(LIMIT);
    crate::tools::must(&format!("kill -TERM {}", tcpdump.id()));
    tcpdump.wait().expect("it is our child");

    let output = Command::new(env!("CARGO_BIN_EXE_dlmwire"))
        .arg("check")
        .arg(&file)
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {cuts:?}\n{text}", file.display());
    eprintln!("root_capture: {cuts:?}");
    let notable = |line: &&str| {
        ["warn", "verdict"]
            .iter()
            .any(|word| line.trim_start().starts_with(word))
    };
    text.lines()
        .filter(notable)
        .for_each(|line| eprintln!("root_capture:{line}"));
    // A capture that was found wanting is kept for a look.
    let _gone = std::fs::remove_file(&file);
}
