//! `dlmwire stub`: participants as processes, among themselves.

use serde_json::Value;

use crate::support::{Group, Process, dlmwire, text, wait};

const LOCKSPACE: [&str; 2] = ["--lockspace", "ls1=0x1234"];

/// Starts a stub of the group, with these arguments besides.
fn stub(group: &Group, node: u32, arguments: &[&str]) -> Process {
    let mut command = dlmwire();
    command
        .args(["stub", "--testing", "--config"])
        .arg(group.config(node, ""))
        .args(arguments);
    Process::start(&mut command, &group.file(&format!("{node}.err")))
}

/// Two stubs that have joined.
fn joined(group: &Group, arguments: &[&str]) -> [Process; 2] {
    let stubs = [1, 2].map(|node| stub(group, node, arguments));
    for stub in &stubs {
        told(stub, "joined", |_| true);
    }
    stubs
}

/// Waits for an event for which this is so.
fn told(stub: &Process, event: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let end = std::time::Instant::now() + crate::support::DEADLINE;
    loop {
        if let Some(line) = stub.find(|line| (line["event"] == event && is_it(line)).then(|| line.clone())) {
            return line;
        }
        assert!(std::time::Instant::now() < end, "no such event {event}\n{stub}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn tagged(stub: &Process, event: &str, tag: &str) -> Value {
    told(stub, event, |line| line["tag"] == tag)
}

/// Says a line with a tag and waits for what it causes.
fn ask(stub: &mut Process, tag: &str, line: &str, event: &str) -> Value {
    stub.say(&format!("@{tag} {line}"));
    tagged(stub, event, tag)
}

fn assert_ended(stub: &mut Process) -> Value {
    let status = stub.ended();
    let last = wait("the last line", || {
        stub.find(|line| (line["event"] == "ended").then(|| line.clone()))
    });
    assert_eq!(last["clean"], true, "{last}\n{stub}");
    assert_eq!(status.code(), Some(0), "{status}\n{stub}");
    last
}

#[test]
fn stub_without_testing_refuses_and_says_why() {
    let arguments = [
        "stub",
        "--id",
        "1",
        "--listen",
        "127.0.0.1:0",
        "--lockspace",
        "ls1=1",
    ];
    let output = dlmwire().args(arguments).output().expect("the command runs");
    assert_eq!(output.status.code(), Some(2));
    let reason = text(&output.stderr);
    assert!(
        reason.contains("corrupt a real cluster") && reason.contains("--testing"),
        "{reason}"
    );
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let rows: [(&[&str], &str); 6] = [
        (&["--lockspace", "ls1"], "NAME=ID"),
        (&["--lockspace", "ls1=0"], "from 1"),
        (&["--lockspace", "a b=1"], "blanks"),
        (&["--lockspace", "ls1=1", "--lockspace", "ls1=2"], "twice"),
        (&["--lockspace", "ls1=1", "--weight", "x"], "N=WEIGHT"),
        (&[], "--lockspace"),
    ];
    for (arguments, reason) in rows {
        let output = dlmwire()
            .args(["stub", "--testing", "--id", "1", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .output()
            .expect("the command runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).contains(reason),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn two_stubs_lock_both_ways_and_leave_in_order() {
    let group = Group::new("stub-locks", 2);
    let [mut one, mut two] = joined(&group, &LOCKSPACE);
    let granted = ask(&mut one, "a", "lock test1 EX valblk", "granted");
    assert_eq!(
        (&granted["mode"], &granted["lockspace"]),
        (&"EX".into(), &"ls1".into())
    );
    ask(&mut two, "b", "lock test1 PR valblk", "queued");
    assert_eq!(tagged(&one, "bast", "a")["mode"], "PR");
    let lock = granted["lock"].as_u64().expect("a number");
    ask(&mut one, "c", &format!("unlock {lock} lvb=0102"), "unlocked");
    let granted = tagged(&two, "granted", "b");
    assert!(
        granted["lvb"]
            .as_str()
            .is_some_and(|lvb| lvb.starts_with("010200")),
        "{granted}"
    );

    let lock = granted["lock"].as_u64().expect("a number");
    ask(&mut two, "d", &format!("convert {lock} EX"), "granted");
    ask(&mut one, "e", "lock test1 EX noqueue", "refused");
    let waiting = ask(&mut one, "f", "lock test1 EX", "queued")["lock"]
        .as_u64()
        .expect("a number");
    ask(&mut one, "g", &format!("cancel {waiting}"), "cancelled");
    for stub in [&mut one, &mut two] {
        stub.close_input();
    }
    for stub in [&mut one, &mut two] {
        assert_ended(stub);
    }
}

#[test]
fn work_goes_on_while_links_are_cut_and_every_pair_counts_once() {
    let group = Group::new("stub-cuts", 2);
    let [mut one, mut two] = joined(&group, &LOCKSPACE);
    one.say("@cut cut every=20");
    for stub in [&mut one, &mut two] {
        stub.say("@work work 3000 names=7 outstanding=4 lvb");
    }
    for stub in [&one, &two] {
        let worked = tagged(stub, "worked", "work");
        assert_eq!(
            (&worked["pairs"], &worked["errors"]),
            (&3000.into(), &0.into()),
            "{worked}"
        );
    }
    one.say("cut off");
    assert!(tagged(&one, "cut", "cut")["links"].is_u64());
    one.close_input();
    two.signal("-TERM");
    let resent = [&mut one, &mut two].map(|stub| {
        let ended = assert_ended(stub);
        assert_eq!(ended["lost"], 0, "{ended}");
        ended["resent"].as_u64().expect("a number")
    });
    assert!(resent.iter().sum::<u64>() > 0, "no cut met a message");
}

#[test]
fn leave_remove_add_and_rejoin() {
    let group = Group::new("stub-rejoin", 2);
    let [mut one, mut two] = joined(&group, &LOCKSPACE);
    ask(&mut two, "a", "lock test1 EX", "granted");
    ask(&mut one, "b", "lock test1 EX", "queued");
    two.say("@leave leave");
    told(&one, "peer_finished", |_| true);
    one.say("remove 2");
    assert_eq!(tagged(&two, "left", "leave")["outcome"], "clean");
    // The lock of who left is gone.
    tagged(&one, "granted", "b");
    one.say("@add add 2");
    ask(&mut two, "join", "join", "joined");
    told(&one, "recovery", |line| {
        line["tag"] == "add" && line["phase"] == "done"
    });
    ask(&mut two, "c", "lock testlock EX", "granted");
    for stub in [&mut one, &mut two] {
        stub.close_input();
    }
    for stub in [&mut one, &mut two] {
        assert_ended(stub);
    }
}

#[test]
fn two_lockspaces_are_apart_and_the_last_one_ends_the_conversation() {
    let group = Group::new("stub-two", 2);
    let both = ["--lockspace", "ls1=1", "--lockspace", "ls2=2", "--no-join"];
    let mut stubs = [1, 2].map(|node| stub(&group, node, &both));
    for stub in &mut stubs {
        stub.say("@one join");
        stub.say("@two join ls=ls2");
    }
    for stub in &stubs {
        for tag in ["one", "two"] {
            tagged(stub, "joined", tag);
        }
    }
    let [one, two] = &mut stubs;
    ask(one, "a", "lock test1 EX", "granted");
    assert_eq!(
        ask(two, "b", "lock test1 EX ls=ls2", "granted")["lockspace"],
        "ls2"
    );
    assert_eq!(ask(one, "c", "leave ls=ls2", "left")["lockspace"], "ls2");
    two.say("remove 1 ls=ls2");
    assert_eq!(
        ask(one, "d", "status", "status")["peers"][0]["state"],
        "ESTABLISHED"
    );
    for stub in &mut stubs {
        stub.close_input();
    }
    for stub in &mut stubs {
        assert_ended(stub);
    }
}

#[test]
fn stub_that_speaks_3_1_locks_with_one_that_speaks_3_2() {
    let group = Group::new("stub-old", 2);
    let mut one = stub(&group, 1, &[&LOCKSPACE[..], &["--speak", "3.1"]].concat());
    let mut two = stub(&group, 2, &LOCKSPACE);
    told(&one, "joined", |_| true);
    let version = told(&two, "version", |_| true);
    assert_eq!(version["version"], "0x00030001");
    told(&two, "joined", |_| true);
    ask(&mut one, "a", "lock test1 EX", "granted");
    ask(&mut two, "b", "lock test1 EX", "queued");
}

#[test]
fn every_command_is_understood_and_every_bad_line_is_named() {
    let group = Group::new("stub-lines", 2);
    let [mut one, _two] = joined(&group, &LOCKSPACE);
    let good = [
        "",
        "# a comment",
        "verbose on",
        "verbose off",
        "claim on",
        "claim off",
        "slow 5",
        "slow 0",
        "notready 1",
        "mute on",
        "mute off",
        "deaf on",
        "deaf off",
        "noack on",
        "noack off",
        "lie slot 3",
        "lie slot off",
        "lie lvblen 64",
        "lie lsflags 0x10",
        "lie nodeid 9",
        "lie off",
        "cut 2",
        "eof 2",
        "cut every=5 for=1",
        "cut off",
        "lock a NL quiet",
    ];
    for line in good {
        one.say(line);
    }
    ask(&mut one, "good", "status", "status");
    let complaints = |stub: &Process| {
        stub.lines()
            .iter()
            .filter(|line| line["event"] == "error")
            .count()
    };
    assert_eq!(complaints(&one), 0, "{one}");

    let bad = [
        "bogus",
        "lock",
        "lock a",
        "lock a XX",
        "lock a EX later",
        "lock a EX lvb=0",
        "lock 0xf EX",
        "unlock x",
        "unlock 99",
        "convert 1",
        "cancel 77",
        "work",
        "work 5 names=x",
        "cut 2 every=0",
        "deaf maybe",
        "lie",
        "lie ack x",
        "raw",
        "raw 0g",
        "raw opts",
        "raw opts 1",
        "add 9",
        "add 2",
        "remove 7",
        "join 9",
        "join 0",
        "status now",
        "leave ls=nobody",
        "slow",
        "fence",
    ];
    for (number, line) in bad.iter().enumerate() {
        let error = ask(&mut one, &format!("bad{number}"), line, "error");
        assert!(
            error["line"].is_u64() && error["text"].is_string(),
            "{line}: {error}"
        );
    }
    // It is as alive as before.
    ask(&mut one, "end", "lock b EX", "granted");
}

#[test]
fn frames_past_the_engine_come_as_they_were_given() {
    let group = Group::new("stub-raw", 2);
    let [mut one, two] = joined(&group, &LOCKSPACE);
    // A bare FIN, which no receiver takes; then a FIN in OPTS, far ahead.
    one.say("raw 02000300000000000100000010000500 2");
    told(&two, "violation", |line| line["node"] == 1);
    one.say("raw opts +5 02000300000000000100000010000500 2");
    let gaps = |status: &Value| status["peers"][0]["gaps"].as_u64().unwrap_or(0);
    let mut two = two;
    let mut tries = 0..;
    wait("a gap", || {
        let tag = format!("gap{}", tries.next()?);
        (gaps(&ask(&mut two, &tag, "status", "status")) > 0).then_some(())
    });
}

#[test]
fn quit_ends_at_once() {
    let group = Group::new("stub-quit", 2);
    let [mut one, two] = joined(&group, &LOCKSPACE);
    one.say("quit");
    assert_eq!(one.ended().code(), Some(1));
    told(&two, "disconnected", |_| true);
    assert_eq!(two.count("peer_finished", 1), 0);
}
