//! Whole traces, as kernels and `trace-cmd` print them.

use super::*;

const HEAD: &str = "\
# tracer: nop
#
# entries-in-buffer/entries-written: 3/3   #P:2
#
#                                _-----=> irqs-off/BH-disabled
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
";

/// `RCOM` `STATUS` as 6.1 prints it: a comma behind the number, no receiver.
const STATUS: &str = "seq=0, h_version=3.2 h_lockspace=1172329713 h_nodeid=1 h_length=80 h_cmd=RCOM rc_type=STATUS \
                      rc_result=0 rc_id=9518001700015910 rc_seq=7 rc_seq_reply=0 \
                      rc_buf=0x0000000000000000000000000000000000000000000000000000000000000000";

/// `REQUEST_REPLY` as newer kernels print it.
const REPLY: &str = "dst=1 h_seq=12 h_version=3.2 h_lockspace=1172329713 h_nodeid=2 h_length=90 h_cmd=MSG \
                     m_type=REQUEST_REPLY m_nodeid=2 m_pid=99 m_lkid=5 m_remid=6 m_parent_lkid=0 m_parent_remid=0 \
                     m_exflags=NOQUEUE|PERSISTENT m_sbflags= m_flags=USER|0x10000 m_lvbseq=3 m_hash=77 m_status=2 \
                     m_grmode=EX m_rqmode=IV m_bastmode=IV m_asts=1 m_result=-11 m_extra=0xabcd";

fn line(name: &str, fields: &str) -> String {
    format!("     kworker/u4:0-11      [000] .....  17.000001: {name}: {fields}\n")
}

fn read(text: &str) -> Trace {
    Trace::read(text.as_bytes()).expect("memory does not fail")
}

fn message(trace: &Trace) -> &Message {
    match &trace.events[0].kind {
        EventKind::Message(message) => message,
        EventKind::Socket(call) => panic!("{call:?}"),
    }
}

#[test]
fn fields_become_the_frame_that_was_on_the_wire() {
    let trace = read(&line("dlm_recv_message", REPLY));
    let message = message(&trace);
    assert_eq!(message.direction, Direction::Received);
    assert_eq!(message.seq.get(), 12);
    assert_eq!(message.to.map(dlmwire_codec::NodeId::get), Some(1));
    assert_eq!(message.frame.len(), usize::from(message.stated_length));
    assert_eq!(message.frame[52..56], 0x1_0001_u32.to_le_bytes());
    assert_eq!(message.frame[44..48], 0x81_u32.to_le_bytes());
    assert_eq!(message.frame[84..88], (-11_i32).to_le_bytes());
    assert_eq!(message.frame[88..], [0xab, 0xcd]);
}

#[test]
fn older_kernels_have_a_comma_and_no_receiver() {
    let trace = read(&format!("{HEAD}{}", line("dlm_send_rcom", STATUS)));
    let message = message(&trace);
    assert_eq!(message.seq.get(), 0);
    assert_eq!(message.to, None);
    assert_eq!(message.frame.len(), 80);
    assert_eq!(message.frame[24..32], 9_518_001_700_015_910_u64.to_le_bytes());
    assert!(trace.is_whole());
}

#[test]
fn bad_lines_are_named_and_the_others_are_read() {
    let rows = [
        (
            line("dlm_recv_message", &REPLY.replace("m_pid=99", "m_pid=x")),
            "field m_pid cannot be \"x\"",
        ),
        (
            line("dlm_recv_message", &REPLY.replace("m_hash=77 ", "")),
            "field m_hash is missing",
        ),
        (
            line("dlm_recv_message", &REPLY.replace("EX", "XX")),
            "field m_grmode cannot be \"XX\"",
        ),
        (
            line("dlm_recv_message", &REPLY.replace("h_cmd=MSG", "h_cmd=RCOM")),
            "field h_cmd does not fit the event",
        ),
        (
            line("dlm_recv_message", &REPLY.replace("h_nodeid=2", "h_nodeid=0")),
            "field h_nodeid cannot be \"0\"",
        ),
        (line("dlm_recv", "nodeid=2"), "field ret is missing"),
        ("something else\n".to_owned(), "neither an event nor a comment"),
        (
            "# clock: trace=1 realtime=2\n".to_owned(),
            "a clock line has to say `: trace=SECONDS realtime=SECONDS`",
        ),
        (format!("{}\n", "x".repeat(100_000)), "longer than 65536 bytes"),
    ];
    for (bad, told) in rows {
        let trace = read(&format!("{HEAD}{bad}{}", line("dlm_recv", "nodeid=2 ret=16")));
        assert_eq!(trace.events.len(), 1, "{told}");
        assert_eq!(trace.bad_lines, 1, "{told}");
        assert_eq!(trace.bad[0].to_string(), format!("line 8: {told}"));
        assert!(!trace.is_whole());
    }
    let trace = Trace::read(&b"\xff\xfe\n"[..]).expect("memory does not fail");
    assert_eq!(trace.bad[0].fault, Fault::NotText);
}

#[test]
fn losses_of_both_kinds_are_kept() {
    let trace =
        read("# entries-in-buffer/entries-written: 3/13   #P:2\nCPU:1 [LOST 5 EVENTS]\n[LINE TOO BIG]\n");
    let events: Vec<_> = trace.losses.iter().map(|loss| (loss.line, loss.events)).collect();
    assert_eq!(events, [(1, Some(10)), (2, Some(5))]);
    assert_eq!(trace.too_big, 1);
    assert_eq!(trace.bad_lines, 0);
}

#[test]
fn clock_line_is_taken_and_events_of_others_are_counted() {
    let trace = read(&format!(
        "# clock: trace=17.5 realtime=1700000000.25\n{}",
        line("dlm_lock_start", "ls_id=1 lkb_id=2 mode=EX flags= res_name=0x61")
    ));
    let clock = trace.clock.expect("it is told");
    assert_eq!(
        [clock.trace, clock.realtime],
        [17_500_000_000, 1_700_000_000_250_000_000]
    );
    assert_eq!(trace.other_events, 1);
    assert!(trace.events.is_empty());
}

/// Whatever stands in a file, reading ends, without a panic and with every line accounted for.
#[test]
fn arbitrary_changes_do_no_harm() {
    let text = format!(
        "{HEAD}{}{}",
        line("dlm_recv_message", REPLY),
        line("dlm_send_rcom", STATUS)
    );
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % bound
    };
    for _ in 0..3000 {
        let mut bytes = text.clone().into_bytes();
        for _ in 0..1 + below(3) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes[at] ^= 1 << below(8),
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let trace = Trace::read(bytes.as_slice()).expect("memory does not fail");
        assert!(trace.events.len() <= 4 && trace.lines_read <= 12);
        let _ = rebuild(
            &trace,
            dlmwire_codec::NodeId::new(1).expect("not 0"),
            None,
            Vec::new(),
        )
        .expect("memory");
    }
}
