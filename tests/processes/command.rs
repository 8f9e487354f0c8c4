//! The command line and the sockets: what is refused, where, and in which words.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;

use crate::support::{Group, Process, dlmwire, messages, text, wait};

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    let complaint = text(&output.stderr);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
}

#[test]
fn wrong_settings_end_with_2_and_name_the_place() {
    let group = Group::new("settings", 2);
    let rows = [
        (
            "node = 1\nlockspace = \"x\"\nprot = 1\n",
            "wrong.toml:3: unknown field `prot`",
        ),
        (
            "node = 1\nlockspace = \"x\"\nport = 70000\n",
            "wrong.toml:3: invalid value",
        ),
        (
            "node = 0\nlockspace = \"x\"\n",
            "wrong.toml: node = 0: expected a node id from 1 on",
        ),
        (
            "node = 1\nlockspace = \"x\"\n",
            "wrong.toml: nodes: our own node id is missing",
        ),
        (
            "node = 1\nlockspace = \"x\"\ncorosync_conf = \"none.conf\"\n",
            "none.conf: No such file",
        ),
    ];
    for (settings, reason) in rows {
        let path = group.file("wrong.toml");
        fs::write(&path, settings).expect("the file can be written");
        let output = dlmwire()
            .args(["node", "--config"])
            .arg(&path)
            .output()
            .expect("the command runs");
        let complaint = refused(&output);
        assert!(complaint.contains(reason), "{reason}: {complaint}");
    }
    let missing = dlmwire()
        .args(["node", "--config", "/none.toml"])
        .output()
        .expect("the command runs");
    assert!(
        refused(&missing).contains("/none.toml: No such file"),
        "{missing:?}"
    );
}

#[test]
fn wrong_arguments_end_with_2_and_name_the_value() {
    let rows: [(&[&str], &str); 9] = [
        (&[], "--config"),
        (
            &["--id", "0", "--listen", "127.0.0.1"],
            "a node id is a number from 1",
        ),
        (&["--id", "1"], "--listen"),
        (&["--id", "1", "--listen", "localhost"], "expected an IP address"),
        (
            &["--id", "1", "--listen", "127.0.0.1", "--peer", "2"],
            "expected ID=ADDR[:PORT]",
        ),
        (
            &["--id", "1", "--listen", "127.0.0.1", "--peer", "2=127.0.0.1"],
            "address 127.0.0.1 is given for node 1",
        ),
        (
            &["--id", "1", "--listen", "127.0.0.1", "--lockspace", ""],
            "expected a name of 1 to 64 bytes",
        ),
        (&["--id", "1", "--config", "x"], "cannot be used with"),
        (&["--id", "1", "--listen", "192.0.2.1:1"], "listen on 192.0.2.1:1"),
    ];
    for (arguments, reason) in rows {
        let output = dlmwire()
            .arg("node")
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
fn cluster_files_are_read_with_their_lines() {
    let group = Group::new("files", 2);
    let corosync = group.file("corosync.conf");
    let nodes: String = (1..=2)
        .map(|node| {
            format!(
                "  node {{\n    nodeid: {node}\n    ring0_addr: {}\n  }}\n",
                group.ip(node)
            )
        })
        .collect();
    fs::write(&corosync, format!("nodelist {{\n{nodes}}}\n")).expect("the file can be written");
    let dlm = group.file("dlm.conf");
    fs::write(&dlm, "# ours\nprotocol=carrier-pigeon\n").expect("the file can be written");
    let command = |node: &str| {
        let mut command = dlmwire();
        command
            .args(["node", "--exit-on-eof", "--id", node, "--corosync-conf"])
            .arg(&corosync);
        command.arg("--control").arg(group.file(&format!("{node}.sock")));
        command
    };
    let output = command("1")
        .arg("--dlm-conf")
        .arg(&dlm)
        .output()
        .expect("the command runs");
    assert!(
        refused(&output).contains("dlm.conf:2: protocol = carrier-pigeon: expected"),
        "{output:?}"
    );
    fs::write(&dlm, "protocol=sctp\n").expect("the file can be written");
    let output = command("1")
        .arg("--dlm-conf")
        .arg(&dlm)
        .output()
        .expect("the command runs");
    // Not built in, or not in this host's kernel, which says how to get it; where it is there, somebody else's
    // addresses are refused.
    assert!(refused(&output).contains("dlmwire: node: "), "{output:?}");
    let output = command("3").output().expect("the command runs");
    assert!(
        refused(&output).contains("0 nodes have our own id 3"),
        "{output:?}"
    );

    fs::write(&dlm, "protocol=tcp\n").expect("the file can be written");
    let mut nodes = ["1", "2"].map(|node| {
        Process::start(
            command(node).arg("--dlm-conf").arg(&dlm),
            &group.file(&format!("{node}.err")),
        )
    });
    nodes[0].say(r#"{"to":"all","data":"by the files"}"#);
    wait("the message", || {
        nodes[1]
            .received(1)
            .contains(&"by the files".to_owned())
            .then_some(())
    });
    for process in &nodes {
        process.signal("-INT");
    }
    for process in &mut nodes {
        process.assert_clean_end();
    }
}

#[test]
fn socket_is_private_and_a_dead_one_is_replaced() {
    let group = Group::new("socket", 2);
    let one = group.start(1);
    one.event("state_changed", 2);
    let mode = fs::metadata(group.control(1))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    // A second node of the same name is told so, and does no harm.
    let config = group.config(1, "");
    let text_of = fs::read_to_string(&config).expect("it is there");
    let [one_ip, two_ip] = [1, 2].map(|node| format!("\"{}\"", group.ip(node)));
    let swapped = text_of
        .replace(&one_ip, "\"\"")
        .replace(&two_ip, &one_ip)
        .replace("\"\"", &two_ip);
    let other = group.file("other.toml");
    fs::write(&other, swapped).expect("the file can be written");
    let output = dlmwire()
        .args(["node", "--config"])
        .arg(&other)
        .output()
        .expect("the command runs");
    assert!(
        refused(&output).contains("a node listens there already"),
        "{output:?}"
    );
    one.kill();
    assert!(
        group.control(1).exists(),
        "a killed node leaves its socket behind"
    );
    let output = group.ask(1, &["status"]);
    let path = group.control(1).display().to_string();
    assert_eq!(refused(&output), format!("dlmwire: no node listens at {path}\n"));
    let _again = group.start(1);
    wait("the new node's status", || {
        group.ask(1, &["status"]).status.success().then_some(())
    });
}

#[test]
fn questions_that_cannot_be_answered_end_with_2() {
    let group = Group::new("questions", 2);
    for arguments in [
        &["status"][..],
        &["member", "fence", "2"],
        &["member", "add", "2"],
    ] {
        let output = group.ask(1, arguments);
        let path = group.control(1).display().to_string();
        assert_eq!(
            refused(&output),
            format!("dlmwire: no node listens at {path}\n"),
            "{arguments:?}"
        );
    }
    let _one = group.start(1);
    wait("a status", || {
        group.ask(1, &["status"]).status.success().then_some(())
    });
    let output = group.ask(1, &["status", "9"]);
    assert!(
        refused(&output).contains("node 1 does not know node 9"),
        "{output:?}"
    );
    let output = group.ask(1, &["member", "add", "1", "--lockspace", "processes"]);
    assert!(refused(&output).contains("the node is our own"), "{output:?}");
    let output = group.ask(1, &["member", "add", "2", "--lockspace", ""]);
    assert!(
        refused(&output).contains("expected a name of 1 to 64 bytes"),
        "{output:?}"
    );
}

#[test]
fn default_sockets_are_found_and_told_apart() {
    let group = Group::new("runtime", 2);
    let runtime = group.file("runtime");
    let status = |arguments: &[&str]| {
        let mut command = dlmwire();
        command
            .env("XDG_RUNTIME_DIR", &runtime)
            .arg("status")
            .args(arguments)
            .output()
            .expect("the command runs")
    };
    assert!(
        refused(&status(&[])).contains("no node listens at"),
        "nobody is there"
    );
    let start = |node: u32, peer: u32| {
        let mut command = dlmwire();
        command
            .env("XDG_RUNTIME_DIR", &runtime)
            .args(["node", "--exit-on-eof", "--id", &node.to_string()]);
        command.args(["--listen", &group.address(node).to_string()]);
        command.args(["--peer", &format!("{peer}={}", group.address(peer))]);
        Process::start(&mut command, &group.file(&format!("{node}.err")))
    };
    let one = start(1, 2);
    wait("the only node", || status(&[]).status.success().then_some(()));
    let _two = start(2, 1);
    one.event("version_detected", 2);
    assert!(
        refused(&status(&[])).contains("choose by --id or --control"),
        "there are two"
    );
    for node in ["1", "2"] {
        let shown = text(&status(&["--id", node]).stdout);
        assert!(shown.starts_with(&format!("node {node} at ")), "{shown}");
    }
}

/// Proves B15, H6.
#[test]
fn status_has_the_kernels_names_and_ours_as_table_and_as_json() {
    const FIELDS: [&str; 28] = [
        "nodeid",
        "state",
        "flags",
        "version",
        "delivery",
        "send_queue_count",
        "send_queue_bytes",
        "send_queue_memory_bytes",
        "handle_queue_bytes",
        "oldest_unacked_age_ms",
        "users",
        "lockspaces",
        "send_seq",
        "recv_next",
        "halted",
        "sent",
        "delivered",
        "resent",
        "duplicates",
        "gaps",
        "violations",
        "acks_sent",
        "acks_received",
        "lost",
        "reconnects",
        "dial",
        "dial_attempts",
        "links",
    ];
    let group = Group::new("status", 2);
    let (mut one, mut two) = (group.start(1), group.start(2));
    let saying = one.say_all(messages("2", "up", 10));
    two.assert_flow(1, "up", 10);
    one.said(saying);
    wait("acknowledgements", || {
        (group.peer(1, 2)["send_queue_count"] == 0).then_some(())
    });
    let status = group.status(1);
    assert_eq!(
        (&status["v"], &status["nodeid"]),
        (&1.into(), &1.into()),
        "{status}"
    );
    assert_eq!(status["local_address"], group.address(1).to_string(), "{status}");
    let peer = &status["peers"][0];
    for field in FIELDS {
        assert!(peer.get(field).is_some(), "{field}: {peer}");
    }
    let seen = [
        &peer["state"],
        &peer["flags"],
        &peer["version"],
        &peer["send_seq"],
        &peer["sent"],
    ];
    let expected: [Value; 5] = [
        "ESTABLISHED".into(),
        0.into(),
        "0x00030002".into(),
        10.into(),
        10.into(),
    ];
    assert_eq!(seen, expected.each_ref(), "{peer}");
    let link = &peer["links"][0];
    assert!(link["sending"].is_boolean() && link["phase"] == "up", "{link}");
    let alone: Value =
        serde_json::from_slice(&group.ask(1, &["status", "--json", "2"]).stdout).expect("JSON");
    assert_eq!(alone["nodeid"], 2);

    let table = text(&group.ask(1, &["status"]).stdout);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    for title in [
        "nodeid",
        "state",
        "flags",
        "version",
        "users",
        "send_queue_count",
        "delivery",
        "links",
    ] {
        assert!(
            lines[1].split_whitespace().any(|word| word == title),
            "{title}: {table}"
        );
    }
    let (title, state) = (lines[1].find("state"), lines[2].find("ESTABLISHED"));
    assert_eq!(title, state, "columns are aligned: {table}");
    assert!(lines[2].contains("exactly once"), "{table}");
    let alone = text(&group.ask(1, &["status", "2"]).stdout);
    for field in FIELDS {
        assert!(
            alone
                .lines()
                .any(|line| line.split_whitespace().next() == Some(field)),
            "{field}: {alone}"
        );
    }
    one.say(r#"{"status":true}"#);
    let told = wait("the status on standard output", || {
        one.find(|line| line.get("status").cloned())
    });
    assert_eq!(told["nodeid"], 1);

    // They change while the other leaves: its FIN came, ours did not follow yet; STOP_TX stands where it is sent.
    two.signal("-TERM");
    let peer = wait("its FIN", || {
        Some(group.peer(1, 2)).filter(|peer| peer["state"] == "CLOSE_WAIT")
    });
    assert_eq!((&peer["flags"], &peer["users"]), (&0.into(), &1.into()), "{peer}");
    let peer = group.peer(2, 1);
    assert_eq!(
        (&peer["state"], &peer["flags"], &peer["users"]),
        (&"FIN_WAIT2".into(), &4.into(), &0.into()),
        "{peer}"
    );
    group.member(1, "remove", 2);
    two.assert_clean_end();
    let peer = wait("the end", || {
        Some(group.peer(1, 2)).filter(|peer| peer["state"] == "CLOSED")
    });
    assert_eq!(peer["users"], 0, "{peer}");
}

#[test]
fn bad_lines_are_told_by_number_and_lose_nothing_else() {
    let group = Group::new("lines", 2);
    let (mut one, two) = (group.start(1), group.start(2));
    let long = "x".repeat(40_000);
    let lines = [
        r#"{"to":2,"data":"in 0 "}"#,
        "nonsense",
        r#"{"to":7,"data":"nobody"}"#,
        "",
        &long,
        r#"{"to":2,"data":"in 1 "}"#,
        r#"{"add":7}"#,
        r#"{"to":2,"hex":"00ff"}"#,
        r#"{"to":2,"data":"in 2 "}"#,
    ];
    for line in lines {
        one.say(line);
    }
    two.assert_flow(1, "in", 3);
    let hex = wait("bytes", || {
        two.find(|line| line["hex"].as_str().map(str::to_owned))
    });
    assert_eq!(hex, "00ff");
    let errors: Vec<(u64, String)> = one
        .lines()
        .iter()
        .filter_map(|line| Some((line["line"].as_u64()?, line["error"].as_str()?.to_owned())))
        .collect();
    let expected = [
        (2, "expected ident"),
        (3, "node 7: the node is no member"),
        (5, "line exceeds limit"),
        (7, "node 7: no address is configured"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for ((line, error), (number, reason)) in errors.iter().zip(expected) {
        assert!(
            *line == number && error.contains(reason),
            "{number} {reason}: {errors:?}"
        );
    }
}
