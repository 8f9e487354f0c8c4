//! The trace that a kernel would have made of a capture that was made without one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dlmwire_codec::{Frame, Inner, LockspaceId, Msg, OPTS_HEADER_LEN, Rcom, Version};
use dlmwire_interop::capture::{self, Event, LinkId, Options, Side, Stamp};
use dlmwire_interop::cross::{Bounds, Report, Wire, WireRecorder, cross};
use dlmwire_interop::trace::Trace;

use super::node;

/// The clock of the made-up trace starts this much after the epoch.
const BOOT: u64 = 1_000_000_000_000_000_000;

/// How a kernel prints its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// 6.1: the number is `seq`, there is no `dst`.
    Linux6_1,
    /// 6.12 and later.
    Linux6_12,
}

/// One line that a kernel would print.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) time: u64,
    pub(crate) name: &'static str,
    pub(crate) fields: String,
}

/// What one node's kernel would print of a capture.
pub(crate) struct Kernel {
    node: u32,
    style: Style,
    pub(crate) lines: Vec<Line>,
    /// What each direction between two nodes expects next, and whether its last number was a FIN.
    next: BTreeMap<(u32, u32), (u32, bool)>,
    sent: BTreeSet<(u32, u32, u32)>,
    ends: BTreeMap<LinkId, [Option<u32>; 2]>,
    by_address: BTreeMap<std::net::IpAddr, u32>,
}

impl Kernel {
    /// The lines that node's kernel would print of a capture.
    pub(crate) fn of(path: &Path, node: u32, style: Style) -> Self {
        let mut kernel = Self {
            node,
            style,
            lines: Vec::new(),
            next: BTreeMap::new(),
            sent: BTreeSet::new(),
            ends: BTreeMap::new(),
            by_address: BTreeMap::new(),
        };
        // Who is who first.
        let mut links = BTreeMap::new();
        let mut learn = |_: Stamp, event: Event<'_>| match event {
            Event::LinkUp { link, ends, .. } => drop(links.insert(link, ends.map(|end| end.addresses[0]))),
            Event::Frame {
                link, from, frame, ..
            } => {
                if let Ok(frame) = frame.decode() {
                    let address = links[&link][from.index()];
                    kernel.by_address.insert(address, frame.node().get());
                }
            }
            _ => {}
        };
        let _ = capture::read_path(path, &Options::default(), &mut learn).expect("it is a capture");
        let mut take = |stamp: Stamp, event: Event<'_>| match event {
            Event::LinkUp { link, ends, .. } => {
                let ends = ends.map(|end| kernel.by_address.get(&end.addresses[0]).copied());
                kernel.ends.insert(link, ends);
            }
            Event::Frame {
                link, from, frame, ..
            }
            | Event::Late {
                link, from, frame, ..
            } => {
                kernel.frame(stamp, link, from, frame.bytes(), frame.decode().ok());
            }
            _ => {}
        };
        let _ = capture::read_path(path, &Options::default(), &mut take).expect("it is a capture");
        kernel.lines.sort_by_key(|line| line.time);
        kernel
    }

    fn frame(&mut self, stamp: Stamp, link: LinkId, from: Side, bytes: &[u8], frame: Option<Frame<'_>>) {
        let ends = self.ends[&link];
        let (Some(sender), Some(receiver)) = (ends[from.index()], ends[from.other().index()]) else {
            return;
        };
        if ![sender, receiver].contains(&self.node) {
            return;
        }
        let is_sent = sender == self.node;
        let time = stamp.time.as_nanos() - BOOT;
        let time = if is_sent { time - 20_000 } else { time + 30_000 };
        // The socket call that read or wrote it.
        let (call, peer) = if is_sent {
            ("dlm_send", receiver)
        } else {
            ("dlm_recv", sender)
        };
        self.lines.push(Line {
            time: if is_sent { time + 10_000 } else { time - 10_000 },
            name: call,
            fields: format!("nodeid={peer} ret={}", bytes.len()),
        });
        let Some(frame) = frame else { return };
        match frame {
            Frame::Opts(opts) => {
                let seq = opts.seq.get();
                let expected = self.next.entry((sender, receiver)).or_insert((0, false));
                if seq == 0 && expected.1 {
                    *expected = (0, false);
                    self.sent
                        .retain(|(one, other, _)| (*one, *other) != (sender, receiver));
                }
                if seq == expected.0 {
                    *expected = (seq + 1, matches!(opts.inner, Ok(Inner::Fin)));
                } else if !is_sent {
                    return;
                }
                if is_sent && !self.sent.insert((sender, receiver, seq)) {
                    return;
                }
                let inner = &bytes[OPTS_HEADER_LEN + opts.options.encoded_len()..];
                match opts.inner {
                    Ok(Inner::Msg(msg)) => self.message(time, is_sent, receiver, seq, &msg, inner),
                    Ok(Inner::Rcom(rcom)) => self.rcom(time, is_sent, receiver, seq, &rcom, inner),
                    Ok(Inner::Fin) | Err(_) => {}
                }
            }
            // There are no events for what has no number.
            Frame::Msg(_) | Frame::Rcom(_) | Frame::Ack(_) => {}
        }
    }

    fn head(
        &self,
        receiver: u32,
        seq: u32,
        version: Version,
        lockspace: LockspaceId,
        inner: &[u8],
    ) -> String {
        let mut text = match self.style {
            Style::Linux6_1 => format!("seq={seq} "),
            Style::Linux6_12 => format!("dst={receiver} h_seq={seq} "),
        };
        let node = u32::from_le_bytes(inner[8..12].try_into().expect("four bytes"));
        let cmd = if inner[14] == 1 { "MSG" } else { "RCOM" };
        let (lockspace, length) = (lockspace.get(), inner.len());
        write!(
            text,
            "h_version={version} h_lockspace={lockspace} h_nodeid={node} h_length={length} h_cmd={cmd} "
        )
        .expect("a string takes everything");
        text
    }

    fn message(&mut self, time: u64, is_sent: bool, receiver: u32, seq: u32, msg: &Msg<'_>, inner: &[u8]) {
        let mut text = self.head(receiver, seq, msg.version(), msg.lockspace(), inner);
        let mode = |mode: dlmwire_codec::Mode| match mode.name() {
            Some(name) => name.to_owned(),
            None => format!("0x{:x}", i64::from(mode.wire())),
        };
        let flags = |text: String| if text == "0" { String::new() } else { text };
        let kind = msg.msg_type();
        let kind = kind
            .name()
            .map_or_else(|| format!("0x{:x}", kind.wire()), str::to_owned);
        // Newer kernels have no names for the private flags.
        let private = msg.flags().bits() & !3;
        let mflags = match self.style {
            Style::Linux6_1 => flags(msg.flags().to_string()),
            Style::Linux6_12 => {
                let shared = flags(dlmwire_codec::MsgFlags::new(msg.flags().bits() & 3).to_string());
                match (shared.is_empty(), private) {
                    (_, 0) => shared,
                    (true, _) => format!("0x{private:x}"),
                    (false, _) => format!("{shared}|0x{private:x}"),
                }
            }
        };
        write!(
            text,
            "m_type={kind} m_nodeid={} m_pid={} m_lkid={} m_remid={} m_parent_lkid={} m_parent_remid={} \
             m_exflags={} m_sbflags={} m_flags={mflags} m_lvbseq={} m_hash={} m_status={} m_grmode={} m_rqmode={} \
             m_bastmode={} m_asts={} m_result={} m_extra=0x{}",
            msg.nodeid(),
            msg.pid(),
            msg.lkid(),
            msg.remid(),
            msg.parent_lkid(),
            msg.parent_remid(),
            flags(msg.exflags().to_string()),
            flags(msg.sbflags().to_string()),
            msg.lvbseq(),
            msg.hash(),
            msg.status().wire(),
            mode(msg.grmode()),
            mode(msg.rqmode()),
            mode(msg.bastmode()),
            msg.asts().bits().cast_signed(),
            msg.result().wire(),
            hex(msg.extra())
        )
        .expect("a string takes everything");
        if is_sent {
            text.push_str(" res_name=0x616263");
        }
        let name = if is_sent {
            "dlm_send_message"
        } else {
            "dlm_recv_message"
        };
        self.lines.push(Line {
            time,
            name,
            fields: text,
        });
    }

    /// A recovery event; kernels drop those that are too long for their buffer.
    fn rcom(&mut self, time: u64, is_sent: bool, receiver: u32, seq: u32, rcom: &Rcom<'_>, inner: &[u8]) {
        if inner.len() > 1700 {
            return;
        }
        let mut text = self.head(receiver, seq, rcom.version(), rcom.lockspace(), inner);
        if self.style == Style::Linux6_1 {
            text = text.replacen(' ', ", ", 1);
        }
        write!(
            text,
            "rc_type={} rc_result={} rc_id={} rc_seq={} rc_seq_reply={} rc_buf=0x{}",
            rcom.rcom_type(),
            rcom.result(),
            rcom.id(),
            rcom.seq(),
            rcom.seq_reply(),
            hex(rcom.payload_bytes())
        )
        .expect("a string takes everything");
        let name = if is_sent { "dlm_send_rcom" } else { "dlm_recv_rcom" };
        self.lines.push(Line {
            time,
            name,
            fields: text,
        });
    }

    /// The trace as tracefs prints it, with the lab's clock line if it is told.
    pub(crate) fn text(&self, clock: bool) -> String {
        let mut text = String::new();
        if clock {
            writeln!(
                text,
                "# clock: trace=1.000000000 realtime={}.000000000",
                BOOT / 1_000_000_000 + 1
            )
            .expect("a string takes everything");
        }
        text.push_str("# tracer: nop\n#\n");
        for line in &self.lines {
            // A trace has microseconds.
            let (seconds, micros) = (line.time / 1_000_000_000, line.time % 1_000_000_000 / 1000);
            let (name, fields) = (line.name, &line.fields);
            writeln!(
                text,
                "    kworker/u4:1-37      [001] .....  {seconds}.{micros:06}: {name}: {fields}"
            )
            .expect("a string takes everything");
        }
        text
    }

    /// Lines of an event, by their places.
    pub(crate) fn places(&self, name: &str) -> Vec<usize> {
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(_, line)| line.name == name)
            .map(|(place, _)| place)
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

/// A shipped capture.
pub(crate) fn capture_path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let endings = ["pcap.zst", "pcap.gz"];
    let paths = endings.map(|ending| folder.join(format!("{name}.{ending}")));
    paths
        .into_iter()
        .find(|path| path.exists())
        .expect("the capture is there")
}

/// The wire of a capture, without the frames that are not wanted.
pub(crate) fn wire(path: &Path, mut wanted: impl FnMut(Frame<'_>) -> bool) -> Wire {
    use dlmwire_interop::capture::Sink as _;
    let mut recorder = WireRecorder::new(&[], Bounds::default());
    let mut sink = |stamp: Stamp, event: Event<'_>| {
        if let Event::Frame { frame, .. } | Event::Late { frame, .. } = event
            && let Ok(frame) = frame.decode()
            && !wanted(frame)
        {
            return;
        }
        recorder.event(stamp, event);
    };
    let _ = capture::read_path(path, &Options::default(), &mut sink).expect("it is a capture");
    recorder.finish()
}

/// A trace held against a wire.
pub(crate) fn compare(wire: &Wire, text: &str, id: u32) -> Report {
    let trace = Trace::read(text.as_bytes()).expect("memory does not fail");
    assert_eq!(trace.bad_lines, 0, "{:?}", trace.bad.first());
    cross(wire, &trace, node(id), None).expect("the node is there")
}
