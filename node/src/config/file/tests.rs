//! Tests of the TOML reader.

use super::*;

fn parsed(text: &str) -> Result<FileConfig, String> {
    parse(text, Path::new("node.toml")).map_err(|error| error.to_string())
}

const NODES: &str =
    "[[nodes]]\nid = 1\naddresses = [\"10.0.0.1\"]\n[[nodes]]\nid = 2\naddresses = [\"10.0.0.2\"]\n";

fn with(lines: &str) -> String {
    format!("node = 1\nlockspace = \"group\"\n{lines}\n{NODES}")
}

#[test]
fn example_is_read_and_shows_the_defaults() {
    let text = include_str!("../../../example.toml");
    let file = parsed(text).unwrap();
    let expected = NodeConfig::new(NodeId::new(1).unwrap(), LockspaceId::from_name(b"example"));
    assert_eq!(file.node, expected);
    assert_eq!((file.port, file.mark, file.control.as_deref()), (PORT, 0, None));
    assert_eq!(file.peers().collect::<Vec<_>>(), [NodeId::new(2).unwrap()]);

    let set: String = text
        .lines()
        .map(|line| format!("{}\n", uncommented(line)))
        .collect();
    let set = set
        .replace("corosync_conf", "#")
        .replace("dlm_conf", "#")
        .replace("control", "#");
    assert_eq!(
        parsed(&set).unwrap(),
        file,
        "the commented values are the defaults"
    );
}

/// The line itself, or the key that it comments out.
fn uncommented(line: &str) -> &str {
    match line.strip_prefix("# ") {
        Some(key) if key.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) => key,
        _ => line,
    }
}

#[test]
fn every_key_of_the_table_is_in_the_example() {
    let source = include_str!("../file.rs");
    let keys = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
    let example = include_str!("../../../example.toml");
    let mut seen = 0;
    for key in keys {
        let found = if let Some(table) = key.strip_prefix("[[") {
            example.contains(&format!("[[{table}"))
        } else {
            example
                .lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} = ")))
        };
        assert!(found, "{key}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} keys");
}

#[test]
fn keys_set_what_they_name() {
    let lines = "port = 4000\nmark = 3\nhello = false\nspeak = \"3.1\"\nrecover_timer_ms = 40\nqueue_bytes_max = 1000000\n\
                 shutdown_deadline_ms = 7\nredial_delay_ms_max = 9000";
    let file = parsed(&with(lines)).unwrap();
    assert_eq!((file.port, file.mark), (4000, 3));
    assert!(!file.node.hello);
    assert_eq!(file.node.engine.version, Version::V3_1);
    assert_eq!(file.node.recover_timer, Duration::from_millis(40));
    assert_eq!(file.node.redial_delay_max, Duration::from_secs(9));
    assert_eq!(file.node.engine.queue_bytes_max, 1_000_000);
    assert_eq!(file.node.engine.shutdown_deadline, 7_000_000);
    assert_eq!(
        file.roster.peer(NodeId::new(2).unwrap()).unwrap(),
        ["10.0.0.2:4000".parse::<SocketAddr>().unwrap()]
    );
}

#[test]
fn flaws_name_file_and_place_and_value() {
    for (text, message) in [
        (with("colour = 1"), "node.toml:3: unknown field `colour`"),
        (
            with("port = 70000"),
            "node.toml:3: invalid value: integer `70000`",
        ),
        (
            "node = 0\nlockspace = \"g\"".to_owned(),
            "node.toml: node = 0: expected a node id from 1 on",
        ),
        (
            with("").replace("group", "0xzz"),
            "node.toml: lockspace = 0xzz: expected up to 8 hexadecimal digits",
        ),
        (
            with("queue_bytes_max = 1"),
            "node.toml: queue_bytes_max is 1, at least",
        ),
        (
            with("recover_timer_ms = 0"),
            "node.toml: recover_timer is 0ns, at least 1ms is needed",
        ),
        (with("protocol = \"udp\""), "node.toml:3: unknown variant `udp`"),
        (
            with("corosync_conf = \"x\""),
            "node.toml: corosync_conf = set: expected either corosync_conf or [[nodes]]",
        ),
        (
            with("dlm_conf = \"nowhere/dlm.conf\""),
            "nowhere/dlm.conf: No such file",
        ),
        ("lockspace = \"g\"".to_owned(), "missing field `node`"),
    ] {
        let error = parsed(&text).unwrap_err();
        assert!(error.contains(message), "{error}, expected {message}");
    }
}

#[test]
fn own_node_has_to_be_listed_once() {
    let error = parsed(&with("").replace("node = 1\n", "node = 3\n")).unwrap_err();
    assert!(error.contains("our own node id is missing"), "{error}");
    let error = parsed(&with("").replace("id = 2", "id = 1")).unwrap_err();
    assert!(error.contains("node.toml: "), "{error}");
}

#[test]
fn carrier_is_the_word_itself_or_follows_the_number_of_our_own_addresses() {
    let ours = |text: &str| text.replace("\"10.0.0.1\"", "\"10.0.0.1\", \"10.0.1.1\"");
    let theirs = |text: &str| text.replace("\"10.0.0.2\"", "\"10.0.0.2\", \"10.0.1.2\"");
    let detect = with("protocol = \"detect\"");
    for (text, carrier) in [
        (with(""), Carrier::Tcp),
        (ours(&with("")), Carrier::Tcp),
        (with("protocol = \"sctp\""), Carrier::Sctp),
        (detect.clone(), Carrier::Tcp),
        (theirs(&detect), Carrier::Tcp),
        (ours(&detect), Carrier::Sctp),
        (ours(&theirs(&detect)), Carrier::Sctp),
        (ours(&detect.replace("detect", "tcp")), Carrier::Tcp),
    ] {
        assert_eq!(parsed(&text).unwrap().carrier, carrier, "{text}");
    }
}
