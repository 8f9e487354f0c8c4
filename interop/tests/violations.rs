//! A good conversation, broken in one way at a time: the rule for it has to fire, and no other error.
//!
//! The frames are those of a real kernel's capture; the connections they travel on are made up around them,
//! so that a capture of the broken conversation is sound in every other respect.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dlmwire_codec::{
    Command, Content, Frame, FrameFields, HEADER_LEN, InnerFields, Limits, MsgType, NodeId, Options,
    OptsFields, Seq, Split, Version, split,
};
use dlmwire_interop::capture::{self, Event, Side, Stamp, Timestamp};
use dlmwire_interop::check::{Checker, KernelLog, Known, Report, Severity, rules};
use dlmwire_interop::synth::{CaptureWriter, End, TcpLink};

/// Something that happens on the made-up wire.
#[derive(Clone, Debug)]
enum Step {
    Send {
        from: End,
        bytes: Vec<u8>,
    },
    /// The connection is closed by both ends.
    Close,
    Reset,
    /// A new connection, dialled by the same end.
    Open,
    /// Sent on a second connection, which stays open beside the first.
    Aside {
        from: End,
        bytes: Vec<u8>,
    },
    /// Sent to the acceptor by a third host.
    Stranger {
        bytes: Vec<u8>,
    },
    Wait {
        seconds: u64,
    },
}

type Script = Vec<Step>;

/// What a broken conversation has to be reported as.
struct Case {
    name: &'static str,
    base: fn() -> Script,
    mutate: fn(&mut Script),
    expected: &'static [&'static str],
}

const CASES: &[Case] = &[
    case(
        "drop_message",
        workload,
        |s| drop(s.remove(numbered(s, 700))),
        &["DLM-SEQ-008"],
    ),
    case(
        "drop_message_and_stop",
        workload,
        drop_message_and_stop,
        &["DLM-SEQ-001"],
    ),
    case("repeat_message", workload, |s| repeat(s, 700), &["DLM-SEQ-004"]),
    case(
        "resend_after_reset",
        workload,
        resend_after_reset,
        &["DLM-LINK-001", "DLM-SEQ-003"],
    ),
    case(
        "cut_frame_at_reset",
        workload,
        |s| cut_frame(s, Step::Reset),
        &["DLM-LINK-003"],
    ),
    case(
        "cut_frame_at_close",
        workload,
        |s| cut_frame(s, Step::Close),
        &["DLM-LINK-004"],
    ),
    case(
        "go_on_with_cut_frame",
        workload,
        go_on_with_cut_frame,
        &["DLM-LINK-005", "DLM-FRAME-001"],
    ),
    case(
        "length_0",
        workload,
        |s| insert(s, 700, |bytes| bytes[12..14].fill(0)),
        &["DLM-FRAME-001"],
    ),
    case(
        "version_4_2",
        workload,
        |s| insert(s, 700, |bytes| bytes[2] = 4),
        &["DLM-FRAME-002"],
    ),
    case(
        "version_3_3",
        workload,
        |s| insert(s, 700, |bytes| bytes[0] = 3),
        &["DLM-FRAME-002"],
    ),
    case(
        "unknown_command",
        workload,
        |s| insert(s, 700, |bytes| bytes[14] = 9),
        &["DLM-FRAME-003"],
    ),
    case("short_msg", workload, short_msg, &["DLM-FRAME-004"]),
    case(
        "node_0",
        workload,
        |s| insert(s, 700, |bytes| bytes[8] = 0),
        &["DLM-FRAME-005"],
    ),
    case(
        "bare_fin",
        workload,
        |s| insert(s, 700, |bytes| bytes[14] = 5),
        &["DLM-FRAME-006"],
    ),
    case(
        "ack_marked_3_1",
        workload,
        |s| insert(s, 700, |bytes| bytes[0] = 1),
        &["DLM-FRAME-006"],
    ),
    case(
        "inner_command",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 14] = 2),
        &["DLM-FRAME-007"],
    ),
    case(
        "inner_version",
        workload,
        |s| change(s, 700, |bytes| bytes[24] = 1),
        &["DLM-FRAME-007"],
    ),
    case(
        "inner_length",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 12] += 1),
        &["DLM-FRAME-007"],
    ),
    case("slots", workload, slots_beyond_payload, &["DLM-FRAME-008"]),
    case(
        "status_marked_3_1",
        workload,
        status_marked_3_1,
        &["DLM-VERS-002"],
    ),
    case(
        "opened_by_message",
        workload,
        opened_by_message,
        &["DLM-VERS-003"],
    ),
    case("bare_msg", workload, bare_msg, &["DLM-VERS-004"]),
    case("opts_to_3_1", workload_3_1, opts_to_3_1, &["DLM-VERS-002"]),
    case(
        "foreign_node",
        workload,
        |s| insert(s, 700, |bytes| bytes[8] = 77),
        &["DLM-NODE-001"],
    ),
    case("other_bytes", workload, other_bytes, &["DLM-SEQ-005"]),
    case("restart", workload, restart, &["DLM-SEQ-006"]),
    case("ack_beyond", workload, |s| ack(s, 1000), &["DLM-ACK-001"]),
    case("ack_back", workload, |s| ack(s, -50), &["DLM-ACK-002"]),
    case("data_after_fin", workload, data_after_fin, &["DLM-FIN-001"]),
    case("no_last_ack", workload, no_last_ack, &["DLM-FIN-003"]),
    case(
        "ends_before_last_ack",
        workload,
        ends_before_last_ack,
        &["DLM-FIN-007"],
    ),
    case("no_second_fin", workload, no_second_fin, &["DLM-FIN-005"]),
    case("no_fin", workload, no_fin, &["DLM-FIN-004"]),
    case("late_ack", workload, late_ack, &["DLM-KERN-004"]),
    case("lvblen", workload, lvblen_differs, &["DLM-RCOM-003"]),
    case("recovery_stuck", workload, recovery_stuck, &["DLM-RCOM-001"]),
    case("no_reply", workload_3_1, no_reply, &["DLM-MSG-001"]),
    case("reply_twice", workload_3_1, reply_twice, &["DLM-MSG-003"]),
    case("hash", workload, wrong_hash, &["DLM-MSG-004"]),
    case(
        "unknown_type",
        workload,
        |s| change(s, 700, |bytes| bytes[24 + 16] = 99),
        &["DLM-MSG-005"],
    ),
    case(
        "queued_before_resent",
        workload,
        queued_before_resent,
        &["DLM-SEQ-002"],
    ),
    case(
        "old_ack_on_other_link",
        workload,
        old_ack_on_other_link,
        &["DLM-ACK-005"],
    ),
    case("second_fin", workload, second_fin, &["DLM-FIN-002"]),
    case("fin_resent", workload, fin_resent, &["DLM-FIN-006"]),
    case("not_ready", workload, not_ready, &["DLM-RCOM-004"]),
    case(
        "lost_with_clean_close",
        workload,
        lost_with_clean_close,
        &["DLM-KERN-003"],
    ),
    case(
        "status_while_terminating",
        workload,
        status_while_terminating,
        &["DLM-KERN-005"],
    ),
    case(
        "opts_to_node_of_3_1",
        workload_mixed,
        opts_to_node_of_3_1,
        &["DLM-VERS-005"],
    ),
    case(
        "two_hosts_one_node",
        workload,
        two_hosts_one_node,
        &["DLM-NODE-002"],
    ),
];

const fn case(
    name: &'static str,
    base: fn() -> Script,
    mutate: fn(&mut Script),
    expected: &'static [&'static str],
) -> Case {
    Case {
        name,
        base,
        mutate,
        expected,
    }
}

/// The control: without a mutation nothing is found that would be a warning.
#[test]
fn unbroken_conversations_conform() {
    for base in [workload, workload_3_1] {
        let report = check(&base());
        let worse: Vec<_> = report
            .findings
            .iter()
            .filter(|one| one.severity > Severity::Note)
            .collect();
        assert!(worse.is_empty(), "{worse:#?}");
    }
}

#[test]
fn every_violation_is_reported_and_nothing_else_is_an_error() {
    let mut wrong = Vec::new();
    for case in CASES {
        let mut script = (case.base)();
        (case.mutate)(&mut script);
        let report = check(&script);
        let fired: BTreeSet<&str> = report.findings.iter().map(|finding| finding.rule.id).collect();
        let errors = report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        let surplus: Vec<String> = errors
            .filter(|finding| !case.expected.contains(&finding.rule.id))
            .map(|finding| format!("{} {}", finding.rule.id, finding.text))
            .collect();
        if !case.expected.iter().all(|rule| fired.contains(rule)) || !surplus.is_empty() {
            wrong.push(format!(
                "{}: wanted {:?}, fired {fired:?}, surplus {surplus:?}",
                case.name, case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rules that neither a case above nor a shipped capture shows, each with where else it is shown.
const SHOWN_ELSEWHERE: &[(&str, &str)] = &[
    ("DLM-CAP-001", "mutations.rs"),
    ("DLM-CAP-002", "mutations.rs"),
    ("DLM-CAP-003", "mutations.rs"),
    ("DLM-CAP-004", "mutations.rs"),
    ("DLM-CAP-006", "mutations.rs"),
    ("DLM-CAP-005", "check/mod.rs"),
    (
        "DLM-CAP-007",
        "check/stations.rs: needs more hosts than a test should make up",
    ),
    ("DLM-KLOG-002", "check/log_check.rs"),
];

#[test]
fn every_rule_is_shown_to_fire() {
    let mut fired: BTreeSet<&str> = SHOWN_ELSEWHERE.iter().map(|(rule, _)| *rule).collect();
    for case in CASES {
        let mut script = (case.base)();
        (case.mutate)(&mut script);
        fired.extend(check(&script).findings.iter().map(|finding| finding.rule.id));
    }
    for entry in std::fs::read_dir(captures()).expect("captures") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().contains(".pcap") {
            let log = path
                .to_string_lossy()
                .split(".pcap")
                .next()
                .map(|name| format!("{name}.txt"));
            fired.extend(
                check_file(&path, log.as_deref())
                    .findings
                    .iter()
                    .map(|finding| finding.rule.id),
            );
        }
    }
    let silent: Vec<&str> = rules::RULES
        .iter()
        .map(|rule| rule.id)
        .filter(|id| !fired.contains(id))
        .collect();
    assert!(silent.is_empty(), "nothing shows {silent:?}");
}

// Mutations.

fn drop_message_and_stop(script: &mut Script) {
    let at = numbered(script, 700);
    let behind = script.split_off(at);
    // Nobody acknowledges what comes behind the gap, and nobody says goodbye.
    let silent =
        |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4 || is_fin_bytes(bytes));
    script.extend(behind.into_iter().skip(1).filter(|step| !silent(step)));
    script.push(Step::Wait { seconds: 6 });
}

fn repeat(script: &mut Script, number: u32) {
    let at = numbered(script, number);
    let copy = script[at].clone();
    script.insert(at + 1, copy);
}

fn resend_after_reset(script: &mut Script) {
    let at = numbered(script, 700);
    let copy = script[at].clone();
    script.splice(at + 1..at + 1, [Step::Reset, Step::Open, copy]);
}

fn cut_frame(script: &mut Script, end: Step) {
    let at = numbered(script, 700);
    let whole = script[at].clone();
    let Step::Send { from, bytes } = &whole else {
        unreachable!("numbered() finds what is sent")
    };
    let cut = Step::Send {
        from: *from,
        bytes: bytes[..50].to_vec(),
    };
    script.splice(at..=at, [cut, end, Step::Open, whole.clone()]);
}

fn go_on_with_cut_frame(script: &mut Script) {
    let at = numbered(script, 700);
    let whole = script[at].clone();
    let Step::Send { from, bytes } = &whole else {
        unreachable!("numbered() finds what is sent")
    };
    let head = Step::Send {
        from: *from,
        bytes: bytes[..50].to_vec(),
    };
    let tail = Step::Send {
        from: *from,
        bytes: bytes[50..].to_vec(),
    };
    script.splice(at..=at, [head, Step::Reset, Step::Open, tail, whole.clone()]);
}

/// Puts a frame of 16 bytes in front of a numbered message: an `ACK` that repeats the last one, then changed.
fn insert(script: &mut Script, number: u32, change: fn(&mut [u8])) {
    let at = numbered(script, number);
    let from = sender(script, at);
    let mut bytes = script[..at]
        .iter()
        .rev()
        .find_map(|step| match step {
            Step::Send { from: other, bytes } if *other == from && bytes[14] == Command::Ack.wire() => {
                Some(bytes.clone())
            }
            _ => None,
        })
        .expect("an ACK before the message");
    change(&mut bytes);
    script.insert(at, Step::Send { from, bytes });
}

/// Changes a numbered message in place.
fn change(script: &mut Script, number: u32, change: fn(&mut [u8])) {
    let at = numbered(script, number);
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("numbered() finds what is sent")
    };
    change(bytes);
}

fn short_msg(script: &mut Script) {
    insert(script, 700, |bytes| bytes[14] = Command::Msg.wire());
}

fn slots_beyond_payload(script: &mut Script) {
    let at = position(script, |frame| rcom_type(frame) == Some(5));
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("position() finds what is sent")
    };
    bytes[48 + 14] = 200;
}

fn status_marked_3_1(script: &mut Script) {
    let first = position(script, |frame| rcom_type(frame) == Some(1));
    let from = sender(script, first);
    let again = script.iter().skip(first + 1).position(|step| {
        matches!(step, Step::Send { from: other, bytes } if *other == from && bytes[14] == 2 && bytes[16] == 1)
    });
    let at = first + 1 + again.expect("a second STATUS of the same node");
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("STATUS is sent")
    };
    bytes[0] = 1;
}

fn opened_by_message(script: &mut Script) {
    let at = numbered(script, 700);
    let Step::Send { from, bytes } = script[at].clone() else {
        unreachable!("numbered() finds what is sent")
    };
    let bytes = with_number(&bytes, 0);
    script.insert(0, Step::Send { from, bytes });
}

fn bare_msg(script: &mut Script) {
    let at = numbered(script, 700);
    let Step::Send { from, bytes } = script[at].clone() else {
        unreachable!("numbered() finds what is sent")
    };
    script.insert(
        at,
        Step::Send {
            from,
            bytes: bytes[24..].to_vec(),
        },
    );
}

fn opts_to_3_1(script: &mut Script) {
    let at = script.len() / 2;
    let from = sender(script, at);
    let node = node(script, at);
    let fin = FrameFields {
        version: Version::V3_2,
        node,
        content: Content::Opts(OptsFields {
            seq: Seq::INITIAL,
            options: Options::NONE,
            inner: InnerFields::Fin,
        }),
    };
    script.insert(
        at,
        Step::Send {
            from,
            bytes: encode(&fin),
        },
    );
}

fn other_bytes(script: &mut Script) {
    repeat(script, 700);
    let at = numbered(script, 700) + 1;
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("numbered() finds what is sent")
    };
    bytes[24 + 24] ^= 0xff; // m_pid
}

fn restart(script: &mut Script) {
    let at = numbered(script, 700);
    let Step::Send { from, bytes } = script[at].clone() else {
        unreachable!("numbered() finds what is sent")
    };
    let bytes = with_number(&bytes, 0);
    script.truncate(at);
    script.extend([Step::Reset, Step::Open, Step::Send { from, bytes }]);
}

/// Moves the first `ACK` behind message 700.
fn ack(script: &mut Script, by: i32) {
    let at = numbered(script, 700);
    let ack = script
        .iter()
        .skip(at)
        .position(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4));
    let at = at + ack.expect("an ACK behind the message");
    let Step::Send { from, bytes } = script[at].clone() else {
        unreachable!("ACK is sent")
    };
    let number = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    let mut moved = bytes;
    moved[4..8].copy_from_slice(&number.wrapping_add_signed(by).to_le_bytes());
    script.insert(at + 1, Step::Send { from, bytes: moved });
}

fn data_after_fin(script: &mut Script) {
    let fin = position(script, is_fin);
    let before = script[..fin]
        .iter()
        .rposition(|step| matches!(step, Step::Send { from, bytes } if *from == sender(script, fin) && bytes[14] == 3))
        .expect("a message before FIN");
    let Step::Send { from, bytes } = script[before].clone() else {
        unreachable!("OPTS is sent")
    };
    let Step::Send { bytes: fin_bytes, .. } = &script[fin] else {
        unreachable!("FIN is sent")
    };
    let number = u32::from_le_bytes(fin_bytes[4..8].try_into().expect("four bytes"));
    let bytes = with_number(&bytes, number + 1);
    script.insert(fin + 1, Step::Send { from, bytes });
}

fn queued_before_resent(script: &mut Script) {
    let at = numbered(script, 700);
    let newer = script[numbered(script, 701)].clone();
    script.splice(at..at, [Step::Reset, Step::Open, newer]);
}

fn old_ack_on_other_link(script: &mut Script) {
    let first = last_ack_before(script, numbered(script, 600));
    let Step::Send { from, bytes } = script[first].clone() else {
        unreachable!("ACK is sent")
    };
    let at = numbered(script, 700);
    script.insert(at, Step::Aside { from, bytes });
}

fn second_fin(script: &mut Script) {
    let fin = position(script, is_fin);
    let Step::Send { from, bytes } = script[fin].clone() else {
        unreachable!("FIN is sent")
    };
    let number = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    let bytes = with_number(&bytes, number + 1);
    script.insert(fin + 1, Step::Send { from, bytes });
}

fn fin_resent(script: &mut Script) {
    let fin = position(script, is_fin);
    let again = script[fin].clone();
    script.splice(fin + 1..fin + 1, [Step::Reset, Step::Open, again]);
}

fn not_ready(script: &mut Script) {
    let at = position(script, |frame| rcom_type(frame) == Some(5));
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("position() finds what is sent")
    };
    bytes[20..24].copy_from_slice(&(-3_i32).to_le_bytes());
}

fn lost_with_clean_close(script: &mut Script) {
    // From some point on nobody acknowledges, and a clean close takes a message with it.
    let silent =
        |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4 || is_fin_bytes(bytes));
    let at = numbered(script, 700);
    let behind = script.split_off(at);
    script.extend([behind[0].clone(), Step::Close, Step::Open]);
    script.extend(behind.into_iter().skip(1).filter(|step| !silent(step)));
    script.push(Step::Wait { seconds: 6 });
    script.push(script[position(script, |frame| rcom_type(frame) == Some(1))].clone());
}

fn status_while_terminating(script: &mut Script) {
    let fin = position(script, is_fin);
    let leaver = sender(script, fin);
    let status = script.iter().position(|step| {
        matches!(step, Step::Send { from, bytes } if *from != leaver && bytes[14] == 2 && bytes[16] == 1)
    });
    let status = script[status.expect("a STATUS of the other node")].clone();
    script.insert(fin + 1, status);
}

fn opts_to_node_of_3_1(script: &mut Script) {
    let newer = |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[0] == 2 && bytes[14] == 1);
    let at = script.iter().rposition(newer).expect("a bare message marked 3.2");
    let (from, node) = (sender(script, at), node(script, at));
    let fin = FrameFields {
        version: Version::V3_2,
        node,
        content: Content::Opts(OptsFields {
            seq: Seq::INITIAL,
            options: Options::NONE,
            inner: InnerFields::Fin,
        }),
    };
    script.insert(
        at,
        Step::Send {
            from,
            bytes: encode(&fin),
        },
    );
}

fn two_hosts_one_node(script: &mut Script) {
    let status = script.iter().find_map(|step| match step {
        Step::Send {
            from: End::Opener,
            bytes,
        } if bytes[14] == 2 && bytes[16] == 1 => Some(bytes.clone()),
        _ => None,
    });
    let at = numbered(script, 700);
    script.insert(
        at,
        Step::Stranger {
            bytes: status.expect("a STATUS of the opener"),
        },
    );
}

/// The last `ACK` before a position that node 2 sent.
fn last_ack_before(script: &Script, at: usize) -> usize {
    let acks = script[..at]
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4));
    acks.expect("an ACK")
}

fn no_second_fin(script: &mut Script) {
    let last = script
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if is_fin_bytes(bytes)));
    script.truncate(last.expect("a FIN"));
    script.extend([Step::Wait { seconds: 6 }, Step::Close]);
}

fn no_last_ack(script: &mut Script) {
    ends_before_last_ack(script);
    script.insert(script.len() - 1, Step::Wait { seconds: 6 });
}

fn ends_before_last_ack(script: &mut Script) {
    script.remove(last_of(script, Command::Ack));
}

fn no_fin(script: &mut Script) {
    let first = position(script, is_fin);
    script.truncate(first);
    script.extend([Step::Wait { seconds: 6 }, Step::Close]);
}

fn late_ack(script: &mut Script) {
    let at = last_of(script, Command::Ack);
    let late = script[at].clone();
    script.extend([Step::Open, late]);
}

fn lvblen_differs(script: &mut Script) {
    // Of the ready members of the lockspace, the second to answer.
    let ready = |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 2 && bytes[16] == 5 && bytes[20] & 1 == 1);
    let first = script.iter().position(ready).expect("a STATUS_REPLY");
    let from = sender(script, first);
    let second = script
        .iter()
        .skip(first)
        .position(|step| ready(step) && matches!(step, Step::Send { from: other, .. } if *other != from));
    let at = first + second.expect("a STATUS_REPLY of the other node");
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("STATUS_REPLY is sent")
    };
    bytes[48] = 64;
}

fn recovery_stuck(script: &mut Script) {
    // The first polls are answered, but with nothing done; then nobody says anything for long.
    let replies = script
        .iter()
        .enumerate()
        .filter(|(_, step)| matches!(step, Step::Send { bytes, .. } if bytes[14] == 2 && bytes[16] == 5));
    let (at, _) = replies.take(4).last().expect("four STATUS_REPLY");
    script.truncate(at + 1);
    let status = position(script, |frame| rcom_type(frame) == Some(1));
    let again = script[status].clone();
    script.extend([Step::Wait { seconds: 6 }, again]);
}

fn no_reply(script: &mut Script) {
    let unlocked = script.iter().rposition(|step| {
        matches!(step, Step::Send { bytes, .. }
            if decode(bytes).is_some_and(|frame| msg_type(&frame) == Some(MsgType::UnlockReply)))
    });
    // The connection stays: what is asked stays asked.
    script.truncate(unlocked.expect("an UNLOCK_REPLY"));
    let sign_of_life = script[position(script, |frame| msg_type(frame) == Some(MsgType::Bast))].clone();
    script.extend([Step::Wait { seconds: 6 }, sign_of_life]);
}

fn reply_twice(script: &mut Script) {
    let reply = position(script, |frame| msg_type(frame) == Some(MsgType::UnlockReply));
    let copy = script[reply].clone();
    script.insert(reply + 1, copy);
}

fn wrong_hash(script: &mut Script) {
    let at = position(script, |frame| msg_type(frame) == Some(MsgType::Request));
    let Step::Send { bytes, .. } = &mut script[at] else {
        unreachable!("position() finds what is sent")
    };
    bytes[24 + 60] ^= 0xff;
}

// Looking at scripts.

/// The position of the message of node 1 with this number.
fn numbered(script: &Script, number: u32) -> usize {
    position(
        script,
        |frame| matches!(frame, Frame::Opts(opts) if opts.seq.get() == number && opts.node.get() == 1),
    )
}

fn last_of(script: &Script, command: Command) -> usize {
    let found = script
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == command.wire()));
    found.expect("such a frame")
}

fn position(script: &Script, wanted: impl Fn(&Frame<'_>) -> bool) -> usize {
    let found = script.iter().position(|step| match step {
        Step::Send { bytes, .. } => decode(bytes).is_some_and(|frame| wanted(&frame)),
        _ => false,
    });
    found.expect("such a frame")
}

fn sender(script: &Script, at: usize) -> End {
    match &script[at] {
        Step::Send { from, .. } => *from,
        _ => panic!("nothing is sent here"),
    }
}

fn node(script: &Script, at: usize) -> NodeId {
    let Step::Send { bytes, .. } = &script[at] else {
        panic!("nothing is sent here")
    };
    decode(bytes).expect("a sound frame").node()
}

fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    match split(bytes, Limits::KERNEL) {
        Split::Frame { frame, .. } => frame.decode().ok(),
        Split::NeedMore { .. } | Split::Lost(_) => None,
    }
}

fn encode(fields: &FrameFields<'_>) -> Vec<u8> {
    let mut bytes = vec![0; fields.encoded_len()];
    fields.encode_into(&mut bytes).expect("as long as it said");
    bytes
}

fn with_number(opts: &[u8], number: u32) -> Vec<u8> {
    let mut bytes = opts.to_vec();
    bytes[4..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn is_fin(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Opts(opts) if opts.inner == Ok(dlmwire_codec::Inner::Fin))
}

fn is_fin_bytes(bytes: &[u8]) -> bool {
    decode(bytes).is_some_and(|frame| is_fin(&frame))
}

fn rcom_type(frame: &Frame<'_>) -> Option<u32> {
    match frame {
        Frame::Rcom(rcom) => Some(rcom.rcom_type().wire()),
        Frame::Msg(_) | Frame::Opts(_) | Frame::Ack(_) => None,
    }
}

fn msg_type(frame: &Frame<'_>) -> Option<MsgType> {
    match dlmwire_interop::exchange::message(frame) {
        Some(dlmwire_codec::Inner::Msg(msg)) => Some(msg.msg_type()),
        Some(dlmwire_codec::Inner::Rcom(_) | dlmwire_codec::Inner::Fin) | None => None,
    }
}

// From captures to scripts and back.

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures")
}

fn check_file(path: &Path, log: Option<&str>) -> Report {
    let log = log.and_then(|log| std::fs::File::open(log).ok());
    let log = log.map(|log| KernelLog::read(std::io::BufReader::new(log), None).expect("a log"));
    let known = Known {
        kernel_logs: log.into_iter().collect(),
        ..Known::default()
    };
    let mut checker = Checker::new(&known);
    let summary =
        capture::read_path(path, &capture::Options::default(), &mut checker).expect("a shipped capture");
    checker.finish(&summary)
}

/// A workload of two 3.2 kernels: join, locks, FIN handshake.
fn workload() -> Script {
    script("tcp-3.2-linux7.2-2node-workload.pcap.zst")
}

/// The same of two 3.1 kernels, which number nothing.
fn workload_3_1() -> Script {
    script("tcp-3.1-linux5.10-2node-workload.pcap.zst")
}

/// Two kernels of which one speaks 3.1.
fn workload_mixed() -> Script {
    script("tcp-mixed-linux5.10-linux6.1-workload.pcap.zst")
}

fn script(file: &str) -> Script {
    let path = captures().join(file);
    let mut script = Script::new();
    let mut openers = std::collections::BTreeMap::new();
    let mut sink = |_: Stamp, event: Event<'_>| match event {
        Event::LinkUp { link, ends, .. } => {
            openers.insert(link, ends[0].addresses[0]);
        }
        Event::Frame {
            link, from, frame, ..
        } => {
            // All connections become one: whoever opened the first is its opener.
            let first = openers.values().next().expect("a link");
            let same = openers.get(&link) == Some(first);
            let from = if (from == Side::A) == same {
                End::Opener
            } else {
                End::Acceptor
            };
            script.push(Step::Send {
                from,
                bytes: frame.bytes().to_vec(),
            });
        }
        _ => {}
    };
    let summary =
        capture::read_path(&path, &capture::Options::default(), &mut sink).expect("a shipped capture");
    assert!(matches!(summary.end, capture::End::Complete));
    script.push(Step::Close);
    script
}

fn check(script: &Script) -> Report {
    let mut writer = CaptureWriter::new(Vec::new()).expect("memory");
    let opener: SocketAddr = "10.0.0.1:40000".parse().expect("an address");
    let acceptor: SocketAddr = "10.0.0.2:21064".parse().expect("an address");
    let mut now = 1_700_000_000_000_000_000_u64;
    let mut ports = opener.port()..;
    let mut dial = |now: u64, writer: &mut CaptureWriter<Vec<u8>>| {
        let opener = SocketAddr::new(opener.ip(), ports.next().expect("ports"));
        TcpLink::open(writer, Timestamp::from_nanos(now), opener, acceptor).expect("memory")
    };
    let mut link = dial(now, &mut writer);
    let mut second = None;
    for step in script {
        now += 10_000;
        let time = Timestamp::from_nanos(now);
        match step {
            Step::Send { from, bytes } => link.send(&mut writer, time, *from, bytes).expect("memory"),
            Step::Reset => link.reset(&mut writer, time, End::Opener).expect("memory"),
            Step::Open => link = dial(now, &mut writer),
            Step::Aside { from, bytes } => {
                let aside = second.get_or_insert_with(|| dial(now, &mut writer));
                aside.send(&mut writer, time, *from, bytes).expect("memory");
            }
            Step::Stranger { bytes } => {
                let stranger = "10.0.0.3:40000".parse().expect("an address");
                let mut link = TcpLink::open(&mut writer, time, stranger, acceptor).expect("memory");
                link.send(&mut writer, time, End::Opener, bytes).expect("memory");
            }
            Step::Wait { seconds } => now += seconds * 1_000_000_000,
            Step::Close => {
                link.close(&mut writer, time, End::Opener).expect("memory");
                link.close(&mut writer, time, End::Acceptor).expect("memory");
            }
        }
    }
    let file = writer.finish().expect("memory");
    assert!(file.len() > HEADER_LEN);
    let mut checker = Checker::new(&Known::default());
    let summary = capture::read(
        std::io::Cursor::new(file),
        &capture::Options::default(),
        &mut checker,
    );
    checker.finish(&summary.expect("a capture"))
}
