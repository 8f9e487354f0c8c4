//! The loops through the crate.

use dlmwire_codec::{Frame, FrameFields, Inner, Limits, Msg, Split, split};

use crate::Seen;

/// Finds the frames, nothing else.
#[inline(never)]
#[must_use]
pub fn deframe(bytes: &[u8]) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
        rest = behind;
        seen.slice(frame.bytes());
    }
    assert!(rest.is_empty(), "the mix holds whole frames");
    seen
}

/// Checks both headers and hands out the tail.
#[inline(never)]
#[must_use]
pub fn view(bytes: &[u8]) -> Seen {
    each(bytes, tail)
}

/// The same, and reads the 18 words of every lock message.
#[inline(never)]
#[must_use]
pub fn full(bytes: &[u8]) -> Seen {
    each(bytes, words)
}

/// Reads frames as typed fields, as [`encode`] takes them.
///
/// # Panics
///
/// On anything but whole, sound frames.
#[must_use]
pub fn fields(bytes: &[u8]) -> Vec<FrameFields<'_>> {
    let mut list = Vec::new();
    let mut rest = bytes;
    while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
        rest = behind;
        let frame = frame.decode().expect("the mix is sound");
        list.push(frame.fields().expect("the mix is sound"));
    }
    list
}

/// Writes frames one behind the other and returns how many bytes that was.
///
/// # Panics
///
/// When `out` is too short.
#[inline(never)]
#[must_use]
pub fn encode(list: &[FrameFields<'_>], out: &mut [u8]) -> usize {
    let mut length = 0;
    for fields in list {
        length += fields.encode_into(&mut out[length..]).expect("there is room");
    }
    length
}

#[inline(always)]
fn tail(seen: &mut Seen, msg: &Msg<'_>) {
    seen.slice(msg.extra());
}

#[inline(always)]
fn words(seen: &mut Seen, msg: &Msg<'_>) {
    tail(seen, msg);
    seen.words([
        msg.msg_type().wire(),
        msg.nodeid(),
        msg.pid(),
        msg.lkid(),
        msg.remid(),
        msg.parent_lkid(),
        msg.parent_remid(),
        msg.exflags().bits(),
        msg.sbflags().bits(),
        msg.flags().bits(),
        msg.lvbseq(),
        msg.hash(),
        msg.status().wire().cast_unsigned(),
        msg.grmode().wire().cast_unsigned(),
        msg.rqmode().wire().cast_unsigned(),
        msg.bastmode().wire().cast_unsigned(),
        msg.asts().bits(),
        msg.result().wire().cast_unsigned(),
    ]);
}

#[inline(always)]
fn each(bytes: &[u8], on_msg: impl Fn(&mut Seen, &Msg<'_>)) -> Seen {
    let mut seen = Seen::default();
    let mut rest = bytes;
    while let Split::Frame { frame, rest: behind } = split(rest, Limits::KERNEL) {
        rest = behind;
        let msg = match frame.decode() {
            Ok(Frame::Opts(opts)) => {
                seen.number(opts.version.wire());
                seen.number(opts.seq.get());
                match opts.inner {
                    Ok(Inner::Msg(msg)) => msg,
                    Ok(Inner::Rcom(rcom)) => {
                        seen.slice(rcom.payload_bytes());
                        continue;
                    }
                    Ok(Inner::Fin) => continue,
                    Err(error) => panic!("the mix is sound: {error}"),
                }
            }
            Ok(Frame::Ack(ack)) => {
                seen.number(ack.version.wire());
                seen.number(ack.seq.get());
                continue;
            }
            Ok(Frame::Msg(msg)) => msg,
            Ok(Frame::Rcom(rcom)) => {
                seen.slice(rcom.payload_bytes());
                continue;
            }
            Err(error) => panic!("the mix is sound: {error}"),
        };
        on_msg(&mut seen, &msg);
    }
    assert!(rest.is_empty(), "the mix holds whole frames");
    seen
}
