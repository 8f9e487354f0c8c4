use super::*;

fn node(id: u32) -> NodeId {
    NodeId::new(id).expect("not 0")
}

fn send(to: Target, payload: &[u8]) -> Order {
    Order::Send {
        to,
        lockspace: None,
        payload: payload.to_vec(),
    }
}

#[test]
fn sound_lines_are_orders() {
    let rows: [(&str, Order); 10] = [
        (r#"{"to":2,"data":"text"}"#, send(Target::Node(node(2)), b"text")),
        (
            r#"{"data":"","to":4294967295}"#,
            send(Target::Node(node(u32::MAX)), b""),
        ),
        (r#"{"to":"all","hex":"00fF"}"#, send(Target::All, &[0, 255])),
        (
            r#" {"to":2,"data":"\u0000\n"} "#,
            send(Target::Node(node(2)), b"\0\n"),
        ),
        (r#"{"add":2}"#, Order::Add(node(2), None)),
        (
            r#"{"remove":2,"lockspace":"0x12aabd2d"}"#,
            Order::Remove(node(2), Some(LockspaceId::from_name(b"lvm_global"))),
        ),
        (
            r#"{"add":3,"lockspace":"lvm_global"}"#,
            Order::Add(node(3), Some(LockspaceId::new(0x12aa_bd2d))),
        ),
        (r#"{"fence":2}"#, Order::Fence(node(2))),
        (r#"{"status":true}"#, Order::Status),
        (r#"{"shutdown":true}"#, Order::Shutdown),
    ];
    for (line, order) in rows {
        assert_eq!(Order::parse(line.as_bytes()), Ok(order), "{line}");
    }
}

#[test]
fn flaws_are_named() {
    let long = format!(r#"{{"to":2,"data":"{}"}}"#, "x".repeat(PAYLOAD_BYTES_MAX + 1));
    let verbs = "expected one of to, add, remove, fence, status, shutdown";
    let rows: [(&str, &str); 18] = [
        ("", "EOF while parsing a value"),
        ("hello", "column 1: expected value"),
        ("[]", "invalid length 0, expected struct Keys with 9 elements"),
        ("{}", verbs),
        (r#"{"add":1,"remove":1}"#, verbs),
        (r#"{"data":"x"}"#, verbs),
        (r#"{"to":2}"#, "a message has data or hex, and not both"),
        (
            r#"{"to":2,"data":"","hex":""}"#,
            "a message has data or hex, and not both",
        ),
        (r#"{"to":0,"data":""}"#, r#"to = 0: expected a node id or "all""#),
        (
            r#"{"to":-1,"data":""}"#,
            r#"to = -1: expected a node id or "all""#,
        ),
        (
            r#"{"to":"each","data":""}"#,
            r#"to = "each": expected a node id or "all""#,
        ),
        (
            r#"{"to":2,"hex":"0"}"#,
            "hex: expected pairs of hexadecimal digits",
        ),
        (
            r#"{"to":2,"hex":"+1"}"#,
            "hex: expected pairs of hexadecimal digits",
        ),
        (r#"{"fence":0}"#, "fence = 0: expected a node id from 1 on"),
        (
            r#"{"fence":2,"lockspace":"a"}"#,
            "lockspace belongs to to, add and remove",
        ),
        (
            r#"{"add":2,"lockspace":""}"#,
            r#"lockspace = "": expected a name of 1 to 64 bytes"#,
        ),
        (r#"{"status":false}"#, "status and shutdown are true or left out"),
        (&long, "payload of 3985 bytes exceeds limit 3984"),
    ];
    for (line, flaw) in rows {
        let error = Order::parse(line.as_bytes()).expect_err(line);
        assert!(error.contains(flaw), "{line}: {error}");
    }
    let unknown = Order::parse(br#"{"sent":2}"#).expect_err("no such key");
    assert!(
        unknown.contains("unknown field `sent`, expected one of `to`"),
        "{unknown}"
    );
    assert!(!unknown.contains("at line"), "{unknown}");
    assert!(Order::parse(b"{\"to\":2,\"data\":\"\xff\"}").is_err(), "no UTF-8");
}

#[test]
fn longest_payload_fits_a_line_however_it_is_escaped() {
    let escaped = r"\u0001".repeat(PAYLOAD_BYTES_MAX);
    let line = format!(
        r#"{{"to":4294967295,"lockspace":"{}","data":"{escaped}"}}"#,
        r"\u0041".repeat(64)
    );
    assert!(line.len() <= LINE_BYTES_MAX, "{}", line.len());
    let order = Order::parse(line.as_bytes()).expect("it fits");
    assert!(matches!(order, Order::Send { payload, .. } if payload == [1; PAYLOAD_BYTES_MAX]));
}

#[test]
fn lines_are_bounded_and_counted_whatever_the_pieces() {
    let longest = "x".repeat(LINE_BYTES_MAX);
    let input = format!("one\n\n{longest}\n{longest}x\r\n{longest}{longest}\nlast");
    for capacity in [1, 7, 64 << 10] {
        let mut lines = Lines::new(io::BufReader::with_capacity(capacity, input.as_bytes()));
        let expected: [Line<'_>; 6] = [
            Line::Whole(b"one"),
            Line::Whole(b""),
            Line::Whole(longest.as_bytes()),
            Line::TooLong,
            Line::TooLong,
            Line::Whole(b"last"),
        ];
        for (line, count) in expected.into_iter().zip(1..) {
            assert_eq!(lines.next().expect("memory does not fail"), Some(line), "{count}");
            assert_eq!(lines.count(), count);
        }
        assert_eq!(lines.next().expect("memory does not fail"), None);
    }
}
