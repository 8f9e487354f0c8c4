//! `dlmwire decode`.

use crate::support::{ACK, FIN, REQUEST, STATUS, STATUS_REPLY, code, run, run_with, stderr, stdout};

#[test]
fn decode_shows_the_documented_examples() {
    let rows = [
        (
            STATUS,
            &["RCOM (2)", "STATUS (1)", "0x1122334455667788", "NEED_SLOTS (0x1)"][..],
        ),
        (
            STATUS_REPLY,
            &["STATUS_REPLY (5)", "NODES|NODES_ALL (3)", "dlm3.ro.slot"],
        ),
        (
            REQUEST,
            &["OPTS (3)", "REQUEST (1)", "EX (5)", "USER (0x1)", "\"test1\""],
        ),
        (ACK, &["ACK (4)", "42"]),
        (FIN, &["OPTS (3)", "FIN (5)"]),
    ];
    for (hex, words) in rows {
        let output = run(["decode", hex]);
        assert_eq!(code(&output), 0, "{}", stdout(&output));
        let text = stdout(&output);
        for word in words {
            assert!(text.contains(word), "{word:?} in {text}");
        }
    }
    let all = [STATUS, STATUS_REPLY, REQUEST, ACK, FIN].join("\n");
    for output in [
        run_with(["decode"], all.as_bytes()),
        run_with(["decode", "-"], all.as_bytes()),
    ] {
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("frame 5 at byte 309: 40 bytes"));
    }
}

#[test]
fn decode_says_what_is_missing_or_damaged() {
    let rows = [
        (
            ACK.trim_end_matches(" 00").to_owned(),
            1,
            "1 bytes of the header are missing",
        ),
        (
            format!("{ACK} {}", &REQUEST[..3 * 100]),
            1,
            "17 bytes are missing",
        ),
        (
            FIN.replacen("28 00 03", "ff 7f 03", 1),
            1,
            "length 32767 exceeds limit 4096",
        ),
        (ACK.replacen("10 00 04", "10 00 09", 1), 1, "unknown command 9"),
        (
            FIN.replacen("10 00 05", "10 00 01", 1),
            1,
            "damaged at 0026: inner command 1",
        ),
    ];
    for (hex, expected, words) in rows {
        let output = run(["decode", &hex]);
        assert_eq!(code(&output), expected, "{hex}: {}", stdout(&output));
        assert!(
            stdout(&output).contains(words),
            "{words:?} in {}",
            stdout(&output)
        );
    }
    for (hex, words) in [
        (
            "02 00 0x",
            "argument: line 1, column 8: 'x' is not a hexadecimal digit",
        ),
        ("", "argument: no bytes to decode"),
    ] {
        let output = run(["decode", hex]);
        assert_eq!(code(&output), 2, "{hex}");
        assert_eq!(stderr(&output), format!("dlmwire: {words}\n"));
    }
}

#[test]
fn decode_of_anything_ends_with_a_code() {
    for seed in 0..200_u32 {
        let byte = |n: u32| seed.wrapping_mul(40_503).wrapping_add(n * n * 31).to_le_bytes()[1];
        let bytes: String = (0..seed % 70).map(|n| format!("{:02x}", byte(n))).collect();
        let output = run(["decode", &format!("020003{bytes}")]);
        assert!(matches!(code(&output), 0 | 1), "seed {seed}");
    }
}

#[test]
fn decode_takes_16_mib_of_text_and_no_more() {
    let mut text = ACK.as_bytes().to_vec();
    text.resize(16 << 20, b' ');
    assert_eq!(code(&run_with(["decode", "-"], &text)), 0);
    text.push(b' ');
    let output = run_with(["decode", "-"], &text);
    assert_eq!((code(&output), stdout(&output)), (2, String::new()));
    assert_eq!(
        stderr(&output),
        "dlmwire: standard input: more than 16 MiB of text, which is the limit\n"
    );
}
