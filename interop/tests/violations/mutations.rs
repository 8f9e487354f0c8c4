//! One thing broken at a time.

use dlmwire_codec::{Command, MsgType};
use dlmwire_interop::synth::End;

use crate::script::{
    Script, Step, bytes_mut, decode, fin, is_fin, is_fin_bytes, last_of, msg_type, node, numbered, position,
    rcom_type, sender, sent, with_number,
};

pub(crate) fn drop_message_and_stop(script: &mut Script) {
    let at = numbered(script, 700);
    let behind = script.split_off(at);
    // Nobody acknowledges what comes behind the gap, and nobody says goodbye.
    let silent =
        |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4 || is_fin_bytes(bytes));
    script.extend(behind.into_iter().skip(1).filter(|step| !silent(step)));
    script.push(Step::Wait { seconds: 6 });
}

pub(crate) fn repeat(script: &mut Script, number: u32) {
    let at = numbered(script, number);
    let copy = script[at].clone();
    script.insert(at + 1, copy);
}

pub(crate) fn resend_after_reset(script: &mut Script) {
    let at = numbered(script, 700);
    let copy = script[at].clone();
    script.splice(at + 1..at + 1, [Step::Reset, Step::Open, copy]);
}

pub(crate) fn cut_frame(script: &mut Script, end: Step) {
    let at = numbered(script, 700);
    let whole = script[at].clone();
    let (from, bytes) = sent(script, at);
    let cut = Step::Send {
        from,
        bytes: bytes[..50].to_vec(),
    };
    script.splice(at..=at, [cut, end, Step::Open, whole.clone()]);
}

pub(crate) fn go_on_with_cut_frame(script: &mut Script) {
    let at = numbered(script, 700);
    let whole = script[at].clone();
    let (from, bytes) = sent(script, at);
    let head = Step::Send {
        from,
        bytes: bytes[..50].to_vec(),
    };
    let tail = Step::Send {
        from,
        bytes: bytes[50..].to_vec(),
    };
    script.splice(at..=at, [head, Step::Reset, Step::Open, tail, whole.clone()]);
}

/// Puts a frame of 16 bytes in front of a numbered message: an `ACK` that repeats the last one, then changed.
pub(crate) fn insert(script: &mut Script, number: u32, change: fn(&mut [u8])) {
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
pub(crate) fn change(script: &mut Script, number: u32, change: fn(&mut [u8])) {
    let at = numbered(script, number);
    let bytes = bytes_mut(script, at);
    change(bytes);
}

pub(crate) fn short_msg(script: &mut Script) {
    insert(script, 700, |bytes| bytes[14] = Command::Msg.wire());
}

pub(crate) fn slots_beyond_payload(script: &mut Script) {
    let at = position(script, |frame| rcom_type(frame) == Some(5));
    let bytes = bytes_mut(script, at);
    bytes[48 + 14] = 200;
}

pub(crate) fn status_marked_3_1(script: &mut Script) {
    let first = position(script, |frame| rcom_type(frame) == Some(1));
    let from = sender(script, first);
    let again = script.iter().skip(first + 1).position(|step| {
        matches!(step, Step::Send { from: other, bytes } if *other == from && bytes[14] == 2 && bytes[16] == 1)
    });
    let at = first + 1 + again.expect("a second STATUS of the same node");
    let bytes = bytes_mut(script, at);
    bytes[0] = 1;
}

pub(crate) fn opened_by_message(script: &mut Script) {
    let at = numbered(script, 700);
    let (from, bytes) = sent(script, at);
    let bytes = with_number(&bytes, 0);
    script.insert(0, Step::Send { from, bytes });
}

pub(crate) fn bare_msg(script: &mut Script) {
    let at = numbered(script, 700);
    let (from, bytes) = sent(script, at);
    script.insert(
        at,
        Step::Send {
            from,
            bytes: bytes[24..].to_vec(),
        },
    );
}

pub(crate) fn opts_to_3_1(script: &mut Script) {
    let at = script.len() / 2;
    let from = sender(script, at);
    let node = node(script, at);
    script.insert(
        at,
        Step::Send {
            from,
            bytes: fin(node),
        },
    );
}

pub(crate) fn other_bytes(script: &mut Script) {
    repeat(script, 700);
    let at = numbered(script, 700) + 1;
    let bytes = bytes_mut(script, at);
    bytes[24 + 24] ^= 0xff; // m_pid
}

pub(crate) fn restart(script: &mut Script) {
    let at = numbered(script, 700);
    let (from, bytes) = sent(script, at);
    let bytes = with_number(&bytes, 0);
    script.truncate(at);
    script.extend([Step::Reset, Step::Open, Step::Send { from, bytes }]);
}

/// Moves the first `ACK` behind message 700.
pub(crate) fn ack(script: &mut Script, by: i32) {
    let at = numbered(script, 700);
    let ack = script
        .iter()
        .skip(at)
        .position(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4));
    let at = at + ack.expect("an ACK behind the message");
    let (from, bytes) = sent(script, at);
    let number = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    let mut moved = bytes;
    moved[4..8].copy_from_slice(&number.wrapping_add_signed(by).to_le_bytes());
    script.insert(at + 1, Step::Send { from, bytes: moved });
}

pub(crate) fn data_after_fin(script: &mut Script) {
    let fin = position(script, is_fin);
    let before = script[..fin]
        .iter()
        .rposition(|step| matches!(step, Step::Send { from, bytes } if *from == sender(script, fin) && bytes[14] == 3))
        .expect("a message before FIN");
    let (from, bytes) = sent(script, before);
    let (_, fin_bytes) = sent(script, fin);
    let number = u32::from_le_bytes(fin_bytes[4..8].try_into().expect("four bytes"));
    let bytes = with_number(&bytes, number + 1);
    script.insert(fin + 1, Step::Send { from, bytes });
}

pub(crate) fn queued_before_resent(script: &mut Script) {
    let at = numbered(script, 700);
    let newer = script[numbered(script, 701)].clone();
    script.splice(at..at, [Step::Reset, Step::Open, newer]);
}

pub(crate) fn old_ack_on_other_link(script: &mut Script) {
    let first = last_ack_before(script, numbered(script, 600));
    let (from, bytes) = sent(script, first);
    let at = numbered(script, 700);
    script.insert(at, Step::Aside { from, bytes });
}

pub(crate) fn second_fin(script: &mut Script) {
    let fin = position(script, is_fin);
    let (from, bytes) = sent(script, fin);
    let number = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
    let bytes = with_number(&bytes, number + 1);
    script.insert(fin + 1, Step::Send { from, bytes });
}

pub(crate) fn fin_resent(script: &mut Script) {
    let fin = position(script, is_fin);
    let again = script[fin].clone();
    script.splice(fin + 1..fin + 1, [Step::Reset, Step::Open, again]);
}

pub(crate) fn not_ready(script: &mut Script) {
    let at = position(script, |frame| rcom_type(frame) == Some(5));
    let bytes = bytes_mut(script, at);
    bytes[20..24].copy_from_slice(&(-3_i32).to_le_bytes());
}

pub(crate) fn lost_with_clean_close(script: &mut Script) {
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

pub(crate) fn status_while_terminating(script: &mut Script) {
    let fin = position(script, is_fin);
    let leaver = sender(script, fin);
    let status = script.iter().position(|step| {
        matches!(step, Step::Send { from, bytes } if *from != leaver && bytes[14] == 2 && bytes[16] == 1)
    });
    let status = script[status.expect("a STATUS of the other node")].clone();
    script.insert(fin + 1, status);
}

pub(crate) fn opts_to_node_of_3_1(script: &mut Script) {
    let newer = |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[0] == 2 && bytes[14] == 1);
    let at = script.iter().rposition(newer).expect("a bare message marked 3.2");
    let (from, node) = (sender(script, at), node(script, at));
    script.insert(
        at,
        Step::Send {
            from,
            bytes: fin(node),
        },
    );
}

pub(crate) fn two_hosts_one_node(script: &mut Script) {
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
pub(crate) fn last_ack_before(script: &Script, at: usize) -> usize {
    let acks = script[..at]
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 4));
    acks.expect("an ACK")
}

pub(crate) fn no_second_fin(script: &mut Script) {
    let last = script
        .iter()
        .rposition(|step| matches!(step, Step::Send { bytes, .. } if is_fin_bytes(bytes)));
    script.truncate(last.expect("a FIN"));
    script.extend([Step::Wait { seconds: 6 }, Step::Close]);
}

pub(crate) fn no_last_ack(script: &mut Script) {
    ends_before_last_ack(script);
    script.insert(script.len() - 1, Step::Wait { seconds: 6 });
}

pub(crate) fn ends_before_last_ack(script: &mut Script) {
    script.remove(last_of(script, Command::Ack));
}

pub(crate) fn no_fin(script: &mut Script) {
    let first = position(script, is_fin);
    script.truncate(first);
    script.extend([Step::Wait { seconds: 6 }, Step::Close]);
}

pub(crate) fn late_ack(script: &mut Script) {
    let at = last_of(script, Command::Ack);
    let late = script[at].clone();
    script.extend([Step::Open, late]);
}

pub(crate) fn lvblen_differs(script: &mut Script) {
    // Of the ready members of the lockspace, the second to answer.
    let ready = |step: &Step| matches!(step, Step::Send { bytes, .. } if bytes[14] == 2 && bytes[16] == 5 && bytes[20] & 1 == 1);
    let first = script.iter().position(ready).expect("a STATUS_REPLY");
    let from = sender(script, first);
    let second = script
        .iter()
        .skip(first)
        .position(|step| ready(step) && matches!(step, Step::Send { from: other, .. } if *other != from));
    let at = first + second.expect("a STATUS_REPLY of the other node");
    let bytes = bytes_mut(script, at);
    bytes[48] = 64;
}

pub(crate) fn recovery_stuck(script: &mut Script) {
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

pub(crate) fn no_reply(script: &mut Script) {
    let unlocked = script.iter().rposition(|step| {
        matches!(step, Step::Send { bytes, .. }
            if decode(bytes).is_some_and(|frame| msg_type(&frame) == Some(MsgType::UnlockReply)))
    });
    // The connection stays: what is asked stays asked.
    script.truncate(unlocked.expect("an UNLOCK_REPLY"));
    let sign_of_life = script[position(script, |frame| msg_type(frame) == Some(MsgType::Bast))].clone();
    script.extend([Step::Wait { seconds: 6 }, sign_of_life]);
}

pub(crate) fn reply_twice(script: &mut Script) {
    let reply = position(script, |frame| msg_type(frame) == Some(MsgType::UnlockReply));
    let copy = script[reply].clone();
    script.insert(reply + 1, copy);
}

pub(crate) fn wrong_hash(script: &mut Script) {
    let at = position(script, |frame| msg_type(frame) == Some(MsgType::Request));
    let bytes = bytes_mut(script, at);
    bytes[24 + 60] ^= 0xff;
}
