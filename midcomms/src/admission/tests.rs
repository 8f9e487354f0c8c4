use dlmwire_codec::{Limits, Split, split};

use super::*;

/// What a row's receiver knows: the sender's version, its own, and whether it knows both nodes (1 and 2).
struct Receiver {
    sender: Option<Version>,
    receiver: Option<Version>,
    nodes: bool,
}

const UNKNOWN: Receiver = Receiver {
    sender: None,
    receiver: Some(Version::V3_2),
    nodes: true,
};
const BOTH_3_2: Receiver = Receiver {
    sender: Some(Version::V3_2),
    receiver: Some(Version::V3_2),
    nodes: true,
};
const FROM_3_1: Receiver = Receiver {
    sender: Some(Version::V3_1),
    receiver: Some(Version::V3_2),
    nodes: true,
};
const TO_3_1: Receiver = Receiver {
    sender: Some(Version::V3_2),
    receiver: Some(Version::V3_1),
    nodes: true,
};
const STRANGER: Receiver = Receiver {
    sender: Some(Version::V3_2),
    receiver: None,
    nodes: false,
};

// Frames of node 1 unless their name says otherwise, in the order of the headers; `z44` stands for 44 zero bytes.
const STATUS: &str = "02000300 527a1f6b 01000000 40000200 01000000 z44";
const STATUS_3_1: &str = "01000300 527a1f6b 01000000 40000200 01000000 z44";
const STATUS_REPLY: &str = "02000300 527a1f6b 01000000 50000200 05000000 z60";
const NAMES: &str = "02000300 527a1f6b 01000000 30000200 02000000 z28";
const NAMES_REPLY: &str = "02000300 527a1f6b 01000000 32000200 06000000 z28 ffff";
const LOOKUP: &str = "02000300 527a1f6b 01000000 31000200 03000000 z28 61";
const LOOKUP_3_1: &str = "01000300 527a1f6b 01000000 31000200 03000000 z28 61";
const LOOKUP_REPLY: &str = "02000300 527a1f6b 01000000 30000200 07000000 z28";
const LOCK: &str = "02000300 527a1f6b 01000000 9c000200 04000000 z136";
const LOCK_REPLY: &str = "02000300 527a1f6b 01000000 9c000200 08000000 z136";
const MSG: &str = "02000300 527a1f6b 01000000 58000100 0a000000 z68";
const MSG_3_1: &str = "01000300 527a1f6b 01000000 58000100 0a000000 z68";
const ACK: &str = "02000300 05000000 01000000 10000400";
const OPTS_MSG: &str = "02000300 05000000 01000000 70000300 01000000 00000000 \
                        02000300 527a1f6b 01000000 58000100 0a000000 z68";
const OPTS_FIN: &str =
    "02000300 05000000 01000000 28000300 05000000 00000000 02000300 00000000 01000000 10000500";
const OPTS_NAMES: &str = "02000300 00000000 01000000 48000300 02000000 00000000 \
                          02000300 527a1f6b 01000000 30000200 02000000 z28";
const OPTS_NOT_READY: &str = "02000300 00000000 01000000 68000300 02000000 00000000 \
                              02000300 527a1f6b 01000000 50000200 05000000 fdffffff z56";
const OPTS_LOOKUP: &str = "02000300 00000000 01000000 49000300 02000000 00000000 \
                           02000300 527a1f6b 01000000 31000200 03000000 z28 61";
const OPTS_UNREADABLE: &str = "02000300 05000000 01000000 18000300 04000000 00000000";
const STATUS_OF_2: &str = "02000300 527a1f6b 02000000 40000200 01000000 z44";
const STATUS_OF_9: &str = "02000300 527a1f6b 09000000 40000200 01000000 z44";
const ACK_OF_9: &str = "02000300 05000000 09000000 10000400";
const OPTS_FIN_OF_9: &str =
    "02000300 05000000 09000000 28000300 05000000 00000000 02000300 00000000 09000000 10000500";

/// Name, frame, what the receiver knows, and the beginning of the refusal's name; empty for a frame that is taken.
const ROWS: [(&str, &str, &Receiver, &str); 46] = [
    ("status opens", STATUS, &UNKNOWN, ""),
    ("status of 3.1 opens", STATUS_3_1, &UNKNOWN, ""),
    ("status reply opens", STATUS_REPLY, &UNKNOWN, ""),
    ("names opens", NAMES, &UNKNOWN, ""),
    ("names reply opens", NAMES_REPLY, &UNKNOWN, ""),
    ("wrapped names opens", OPTS_NAMES, &UNKNOWN, ""),
    ("wrapped not-ready reply opens", OPTS_NOT_READY, &UNKNOWN, ""),
    ("msg cannot open", MSG, &UNKNOWN, "CannotOpen"),
    ("msg of 3.1 cannot open", MSG_3_1, &UNKNOWN, "CannotOpen"),
    ("wrapped msg cannot open", OPTS_MSG, &UNKNOWN, "CannotOpen"),
    ("lookup cannot open", LOOKUP, &UNKNOWN, "CannotOpen"),
    ("wrapped lookup cannot open", OPTS_LOOKUP, &UNKNOWN, "CannotOpen"),
    ("ack cannot open", ACK, &UNKNOWN, "CannotOpen"),
    ("fin cannot open", OPTS_FIN, &UNKNOWN, "CannotOpen"),
    (
        "unreadable opts cannot open",
        OPTS_UNREADABLE,
        &UNKNOWN,
        "CannotOpen",
    ),
    ("3.1 from a 3.2 node", STATUS_3_1, &BOTH_3_2, "VersionDiffers"),
    ("3.2 from a 3.1 node", STATUS, &FROM_3_1, "VersionDiffers"),
    ("msg of 3.1 from a 3.2 node", MSG_3_1, &BOTH_3_2, "VersionDiffers"),
    ("opts from a 3.1 node", OPTS_MSG, &FROM_3_1, "VersionDiffers"),
    ("ack from a 3.1 node", ACK, &FROM_3_1, "VersionDiffers"),
    ("opts to a 3.1 node", OPTS_MSG, &TO_3_1, "NumberedTo3_1"),
    ("fin to a 3.1 node", OPTS_FIN, &TO_3_1, "NumberedTo3_1"),
    ("ack to a 3.1 node", ACK, &TO_3_1, "NumberedTo3_1"),
    ("bare msg", MSG, &BOTH_3_2, "MustBeWrapped"),
    ("bare lookup", LOOKUP, &BOTH_3_2, "MustBeWrapped"),
    ("bare lookup reply", LOOKUP_REPLY, &BOTH_3_2, "MustBeWrapped"),
    ("bare lock", LOCK, &BOTH_3_2, "MustBeWrapped"),
    ("bare lock reply", LOCK_REPLY, &BOTH_3_2, "MustBeWrapped"),
    ("bare msg marked 3.2 to a 3.1 node", MSG, &TO_3_1, ""),
    ("bare lookup marked 3.2 to a 3.1 node", LOOKUP, &TO_3_1, ""),
    ("bare lock marked 3.2 to a 3.1 node", LOCK, &TO_3_1, ""),
    ("bare msg from a 3.1 node", MSG_3_1, &FROM_3_1, ""),
    ("bare lookup from a 3.1 node", LOOKUP_3_1, &FROM_3_1, ""),
    ("bare msg to who knows whom", MSG, &STRANGER, ""),
    ("own node", STATUS_OF_2, &BOTH_3_2, "OwnNode"),
    ("other node", STATUS_OF_9, &BOTH_3_2, "OtherNode"),
    ("other node in opts", OPTS_FIN_OF_9, &BOTH_3_2, "OtherNode"),
    ("other node in ack", ACK_OF_9, &BOTH_3_2, "OtherNode"),
    ("any node as long as none is known", STATUS_OF_9, &STRANGER, ""),
    ("bare names", NAMES, &BOTH_3_2, ""),
    ("wrapped names", OPTS_NAMES, &BOTH_3_2, ""),
    ("wrapped msg", OPTS_MSG, &BOTH_3_2, ""),
    ("wrapped lookup", OPTS_LOOKUP, &BOTH_3_2, ""),
    ("fin", OPTS_FIN, &BOTH_3_2, ""),
    ("ack", ACK, &BOTH_3_2, ""),
    ("unreadable opts", OPTS_UNREADABLE, &BOTH_3_2, ""),
];

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    let word = |word: &str| match word.strip_prefix('z') {
        Some(count) => vec![0; count.parse().unwrap()],
        None => word.as_bytes().chunks(2).map(byte).collect(),
    };
    hex.split_whitespace().flat_map(word).collect()
}

fn known(receiver: &Receiver) -> Known {
    let node = |id| NodeId::new(id).filter(|_| receiver.nodes);
    Known {
        sender: receiver.sender,
        receiver: receiver.receiver,
        sender_node: node(1),
        receiver_node: node(2),
    }
}

#[test]
fn every_row_is_refused_as_written_and_the_next_good_frame_is_taken() {
    for (name, hex, receiver, refusal) in ROWS {
        let known = known(receiver);
        // STATUS is welcome from whomever, in the sender's own version.
        let next = if receiver.sender == Some(Version::V3_1) {
            STATUS_3_1
        } else {
            STATUS
        };
        let stream = [bytes(hex), bytes(next)].concat();
        let Split::Frame { frame, rest } = split(&stream, Limits::KERNEL) else {
            panic!("{name}: no frame")
        };
        let told = match admit(&frame.decode().expect(name), &known) {
            Ok(()) => String::new(),
            Err(refusal) => {
                assert_eq!(refusal.disposition(), Disposition::SkipFrame, "{name}");
                format!("{refusal:?}")
            }
        };
        assert_eq!(told.split(' ').next(), Some(refusal), "{name}: {told}");
        let Split::Frame { frame, rest: [] } = split(rest, Limits::KERNEL) else {
            panic!("{name}: no second")
        };
        assert_eq!(admit(&frame.decode().unwrap(), &known), Ok(()), "{name}");
    }
}

#[test]
fn only_the_wrong_node_consumes_the_number() {
    for (name, hex, receiver, _) in ROWS {
        let stream = bytes(hex);
        let Split::Frame { frame, .. } = split(&stream, Limits::KERNEL) else {
            panic!("{name}: no frame")
        };
        if let Err(refusal) = admit(&frame.decode().expect(name), &known(receiver)) {
            let node = matches!(refusal, Refusal::OwnNode { .. } | Refusal::OtherNode { .. });
            assert_eq!(refusal.consumes_number(), node, "{name}");
        }
    }
}

#[test]
fn refusals_say_what_is_wrong_with_the_numbers_inside() {
    let known = known(&BOTH_3_2);
    let say = |hex: &str| {
        let stream = bytes(hex);
        let Split::Frame { frame, .. } = split(&stream, Limits::KERNEL) else {
            panic!("no frame")
        };
        admit(&frame.decode().unwrap(), &known).unwrap_err().to_string()
    };
    assert_eq!(
        say(STATUS_3_1),
        "frame of version 3.1 from a node detected as 3.2"
    );
    assert_eq!(say(STATUS_OF_9), "node id 9 on a link of node 1");
    assert_eq!(say(STATUS_OF_2), "node id 2 is the receiver's own");
    assert_eq!(say(MSG), "MSG outside OPTS between 3.2 nodes");
}
