use dlmwire_codec::{
    Content, FrameFields, InnerFields, Limits, LockspaceId, MsgFields, MsgType, NOT_READY, NodeId, Options,
    OptsFields, Payload, RcomConfig, RcomFields, Seq, Slots, Split, StatusFlags, Version, split,
};

use super::super::*;

/// The starts of every scenario: the beginning, its successor, half the range, just below the wrap.
const STARTS: [u32; 5] = [0, 1, 1 << 31, u32::MAX - 1, u32::MAX];

/// Plays the same script at every start, each after `STATUS` and message 0 in both directions.
pub(super) fn at_every_start(script: &[(&str, &str)]) {
    for start in STARTS {
        Wire::joined(start).plays(script);
    }
}

/// Two stations, A and B, which are nodes 1 and 2, and an observer.
pub(super) struct Wire {
    pub(super) observer: Observer,
    start: u32,
    packet: u64,
    /// The link that each side speaks on.
    speaks: [u64; 2],
    /// The node ids that A and B put into their frames.
    pub(super) nodes: [u32; 2],
}

const A: StationId = StationId(1);
const B: StationId = StationId(2);

impl Wire {
    /// Nothing has happened.
    pub(super) fn silent(start: u32) -> Self {
        let observer = Observer::new(Config {
            window_messages_max: 16,
            ..Config::default()
        });
        Self {
            observer,
            start,
            packet: 0,
            speaks: [0, 0],
            nodes: [1, 2],
        }
    }

    /// Two crossing links; `STATUS` and message 0 were sent and acknowledged in both directions.
    pub(super) fn joined(start: u32) -> Self {
        let mut wire = Self::silent(start);
        for left in [
            "up 1 A", "up 2 B", "A status", "B status", "A reply", "B reply", "A opts 0", "B ack 1",
            "B opts 0", "A ack 1",
        ] {
            wire.does(left);
        }
        wire
    }

    pub(super) fn plays(&mut self, script: &[(&str, &str)]) {
        for (line, (left, right)) in (1..).zip(script) {
            let told = self.does(left);
            assert_eq!(told, *right, "start {}, line {line}: {left}", self.start);
        }
    }

    /// One line of a script: does what the left column says and returns the right one.
    pub(super) fn does(&mut self, left: &str) -> String {
        let verdict = self.act(left);
        let facts = core::iter::from_fn(|| self.observer.poll_fact()).collect::<Vec<_>>();
        let told: Vec<String> = facts.iter().filter_map(|fact| self.tell(fact)).collect();
        let mut right: Vec<String> = verdict.into_iter().collect();
        right.extend(told);
        right.join("; ")
    }

    /// The time of the last line.
    pub(super) fn packet_time(&self) -> Time {
        Time(self.packet)
    }

    /// Does what the left column says and leaves the facts in the observer.
    pub(super) fn act(&mut self, left: &str) -> Option<String> {
        self.packet = self.packet.saturating_add(1);
        let at = At {
            time: Time(self.packet),
            mark: Mark(self.packet),
        };
        let (left, on) = left
            .split_once(" @")
            .map_or((left, None), |(left, on)| (left, Some(on)));
        let words: Vec<&str> = left.split(' ').collect();
        let link = |word: &str| LinkId(word.parse().unwrap());
        let cut = |words: &[&str]| match words {
            ["half", "A"] => HalfSent {
                dialled: 10,
                accepted: 0,
            },
            ["half", "B"] => HalfSent {
                dialled: 0,
                accepted: 10,
            },
            _ => HalfSent::default(),
        };
        match *words.as_slice() {
            ["later"] => self.packet = self.packet.saturating_add(2_000_000_000),
            ["end"] => self.observer.handle_end(at),
            ["up", number, side, ref how @ ..] => {
                let (dialled, accepted) = if side == "A" { (A, B) } else { (B, A) };
                let how = if how.is_empty() {
                    LinkStart::Handshake
                } else {
                    LinkStart::Midway
                };
                self.observer
                    .handle_link_up(at, link(number), Ends { dialled, accepted }, how);
                self.speaks[index(side)] = link(number).0;
            }
            ["reset", number, ref rest @ ..] => {
                self.observer
                    .handle_link_down(at, link(number), LinkEnd::Reset, cut(rest));
            }
            ["abort", number] => {
                self.observer
                    .handle_link_down(at, link(number), LinkEnd::Aborted, HalfSent::default());
            }
            ["eof", number, ref rest @ ..] => {
                self.observer
                    .handle_link_down(at, link(number), LinkEnd::Closed, cut(rest));
            }
            ["gone", number] => {
                self.observer
                    .handle_link_down(at, link(number), LinkEnd::Vanished, HalfSent::default());
            }
            [side, ref what @ ..] => {
                let link = on.map_or(LinkId(self.speaks[index(side)]), link);
                return self.sends(at, link, side, what);
            }
            [] => unreachable!("a line has words"),
        }
        None
    }

    fn sends(&mut self, at: At, link: LinkId, side: &str, what: &[&str]) -> Option<String> {
        let from = [A, B][index(side)];
        match what {
            ["hole"] => self.observer.handle_missing(at, link, from, 100),
            ["closes"] => self.observer.handle_half_closed(at, link, from),
            ["lost", "framing"] => {
                let Split::Lost(error) = split(&[0; 16], Limits::KERNEL) else {
                    unreachable!("length 0")
                };
                self.observer.handle_framing_lost(at, link, from, error);
            }
            _ => {
                let bytes = self.frame(side, what);
                let Split::Frame { frame, rest: [] } = split(&bytes, Limits::KERNEL) else {
                    unreachable!("one frame is encoded")
                };
                let judged = self
                    .observer
                    .handle_frame(at, link, from, frame.bytes(), frame.decode());
                return Some(verdict(judged.verdict));
            }
        }
        None
    }

    /// The bytes of the frame that a line speaks of.
    pub(super) fn frame(&self, side: &str, what: &[&str]) -> Vec<u8> {
        let seq = |number: &str| Seq::new(self.start.wrapping_add(number.parse().unwrap()));
        let opts = |number: &str, inner| {
            Content::Opts(OptsFields {
                seq: seq(number),
                options: Options::NONE,
                inner,
            })
        };
        let (what, version) = match what {
            [what @ .., "3.1"] => (what, Version::V3_1),
            what => (what, Version::V3_2),
        };
        let mut damage = None;
        let content = match what {
            ["opts", number] => opts(number, InnerFields::Msg(message(0))),
            ["opts", number, "other"] => opts(number, InnerFields::Msg(message(1))),
            ["opts", number, "more"] => opts(number, InnerFields::Msg(message(2))),
            ["fin", number] => opts(number, InnerFields::Fin),
            ["names", number] => opts(
                number,
                InnerFields::Rcom(recovery(Payload::Names { resume: None }, 0)),
            ),
            ["not", "ready", number] => opts(number, InnerFields::Rcom(recovery(reply(), NOT_READY))),
            ["broken", number] => {
                // An option length behind the frame's end: the number is not counted.
                damage = Some((18, 0xff));
                opts(number, InnerFields::Msg(message(0)))
            }
            ["wrong", number] => {
                // The inner node id: the number is counted, the content dropped.
                damage = Some((24 + 8, 9));
                opts(number, InnerFields::Msg(message(0)))
            }
            ["junk"] => {
                damage = Some((14, 9));
                Content::Ack(seq("0"))
            }
            ["ack", number] => Content::Ack(seq(number)),
            ["msg"] => Content::Msg(message(0)),
            ["status"] => Content::Rcom(recovery(
                Payload::Status {
                    flags: StatusFlags::new(1),
                },
                0,
            )),
            ["reply"] => Content::Rcom(recovery(reply(), 1)),
            other => unreachable!("no such frame: {other:?}"),
        };
        let node = NodeId::new(self.nodes[index(side)]).unwrap();
        let mut bytes = vec![0; 256];
        let length = FrameFields {
            version,
            node,
            content,
        }
        .encode_into(&mut bytes)
        .unwrap();
        bytes.truncate(length);
        if let Some((at, value)) = damage {
            bytes[at] = value;
        }
        bytes
    }

    fn tell(&self, fact: &Fact) -> Option<String> {
        let name = |station| if station == A { "A" } else { "B" };
        self.words(&fact.kind)
            .map(|words| format!("{} {words}", name(fact.from)))
    }

    fn number(&self, seq: Seq) -> u32 {
        seq.get().wrapping_sub(self.start)
    }

    fn span(&self, span: Span) -> String {
        format!("{}+{}", self.number(span.first), span.count)
    }

    /// A fact in few words; `None` for links that come and go, as the left column says.
    fn words(&self, kind: &FactKind) -> Option<String> {
        let number = |seq| self.number(seq);
        let yes = |condition: bool, word: &'static str| if condition { word } else { "" };
        Some(match *kind {
            FactKind::LinkUp {
                crosses: Some(other),
                live,
                ..
            } => format!("crosses {} of {live}", other.0),
            FactKind::LinkUp { .. } | FactKind::LinkDown { .. } | FactKind::HalfClosed => return None,
            FactKind::HalfSent { bytes, why } => format!("half-sent {bytes} {why:?}"),
            FactKind::AfterHalfSent { lost, boundary } => {
                format!("after {} {}boundary", lost.0, yes(!boundary, "off "))
            }
            FactKind::FramingLost { .. } => String::from("framing lost"),
            FactKind::CaptureHole { bytes } => format!("hole {bytes}"),
            FactKind::NeverRebuilt { lost, .. } => format!("never rebuilt {} {:?}", lost.link.0, lost.why),
            FactKind::VersionDetected { version, .. } => format!("is {version}"),
            FactKind::VersionMixed { detected, marked } => format!("is {detected}, marked {marked}"),
            FactKind::CannotOpen { command, .. } => format!("opens with {command}"),
            FactKind::Midway { first: Some(first) } => format!("midway at {}", number(first)),
            FactKind::Midway { first: None } => String::from("midway"),
            FactKind::NodeClaimedTwice { node, other } => format!("claims node {node} of {}", other.0),
            FactKind::NodeChanged { was, now } => format!("node {was} now {now}"),
            ref other => return Some(self.number_words(other)),
        })
    }

    fn number_words(&self, kind: &FactKind) -> String {
        let number = |seq| self.number(seq);
        let yes = |condition: bool, word: &'static str| if condition { word } else { "" };
        match *kind {
            FactKind::GapOpened { missing } => format!("lacks {}", self.span(missing)),
            FactKind::GapFilled {
                missing,
                dropped,
                by_ack,
                ..
            } => {
                format!(
                    "filled {} early {dropped}{}",
                    self.span(missing),
                    yes(by_ack, " by ack")
                )
            }
            FactKind::GapNeverFilled {
                missing,
                expected,
                links_lost,
                ..
            } => {
                format!(
                    "never filled {} at {} lost {links_lost}",
                    self.span(missing),
                    number(expected)
                )
            }
            FactKind::GapInCapture { missing } => format!("unseen {}", self.span(missing)),
            FactKind::Resent {
                messages,
                acked,
                after,
                ..
            } => {
                let after = after.map(|lost| format!(" after {} {:?}", lost.link.0, lost.why));
                format!(
                    "resent {} acked {acked}{}",
                    self.span(messages),
                    after.unwrap_or_default()
                )
            }
            FactKind::ResentBehindNew { new, first } => format!("new {new} before {}", number(first)),
            FactKind::BytesChanged { seq, .. } => format!("changed {}", number(seq)),
            FactKind::Restarted {
                evidence,
                seq,
                next,
                after_status,
            } => {
                let seq = seq.map(|seq| format!(" at {}", seq.get())).unwrap_or_default();
                let status = yes(after_status, " status");
                format!("restarted {evidence:?}{seq} instead of {}{status}", number(next))
            }
            ref other => self.ack_words(other),
        }
    }

    fn ack_words(&self, kind: &FactKind) -> String {
        let number = |seq| self.number(seq);
        let yes = |condition: bool, word: &'static str| if condition { word } else { "" };
        match *kind {
            FactKind::AckAdvanced { ack, count, .. } => format!("acked {} +{count}", number(ack)),
            FactKind::AckRepeated {
                ack,
                answers_duplicate,
            } => {
                format!(
                    "acked {} again{}",
                    number(ack),
                    yes(answers_duplicate, " for duplicate")
                )
            }
            FactKind::AckWentBack { ack, was, other_link } => {
                format!(
                    "acked {} back from {}{}",
                    number(ack),
                    number(was),
                    yes(other_link, " other link")
                )
            }
            FactKind::AckBeyondSent { ack, next, in_hole } => {
                format!(
                    "acked {} beyond {}{}",
                    number(ack),
                    number(next),
                    yes(in_hole, " in hole")
                )
            }
            ref other => self.last_words(other),
        }
    }

    fn last_words(&self, kind: &FactKind) -> String {
        let number = |seq| self.number(seq);
        let yes = |condition: bool, word: &'static str| if condition { word } else { "" };
        match *kind {
            FactKind::Unacked {
                messages,
                link_up,
                links_lost,
                in_hole,
                ..
            } => format!(
                "unacked {} lost {links_lost}{}{}",
                self.span(messages),
                yes(link_up, " link up"),
                yes(in_hole, " in hole")
            ),
            FactKind::NeverResent {
                messages, links_lost, ..
            } => {
                format!("never resent {} lost {links_lost}", self.span(messages))
            }
            FactKind::StateChanged { was, now } => format!("{was}>{now}"),
            FactKind::FinSent { seq } => format!("fin {}", number(seq)),
            FactKind::FinRepeated { seq, acked, receiver } => {
                format!("fin {} again{} to {receiver}", number(seq), yes(acked, " acked"))
            }
            FactKind::FinInState { seq, state } => format!("fin {} in {state}", number(seq)),
            FactKind::DataAfterFin { seq, fin } => format!("data {} after fin {}", number(seq), number(fin)),
            FactKind::LastAckLost { fin, ack_seen, .. } => {
                format!("last ack of {} lost{}", number(fin), yes(ack_seen, " seen"))
            }
            FactKind::StatusWhileTerminating { receiver } => format!("status to {receiver}"),
            FactKind::AfterClosed { command } => format!("{command} after CLOSED"),
            FactKind::ConversationEnded {
                how, state, other, ..
            } => format!("ended {how:?} {state} {other}"),
            FactKind::Damaged { seq, consumed, .. } => damage("damaged", seq.map(number), consumed),
            FactKind::Refused {
                refusal,
                seq,
                consumed,
            } => {
                let name = format!("{refusal:?}");
                let name = name.split(' ').next().unwrap_or_default();
                damage(&format!("refused {name}"), seq.map(number), consumed)
            }
            ref other => unreachable!("told before: {other:?}"),
        }
    }
}

fn damage(what: &str, number: Option<u32>, consumed: bool) -> String {
    let number = number.map(|number| format!(" {number}")).unwrap_or_default();
    format!("{what}{number}{}", if consumed { " counted" } else { "" })
}

fn verdict(verdict: Verdict) -> String {
    String::from(match verdict {
        Verdict::InOrder => "in order",
        Verdict::Duplicate { acked: true } => "duplicate acked",
        Verdict::Duplicate { acked: false } => "duplicate",
        Verdict::Gap => "gap",
        Verdict::Unnumbered => "bare",
        Verdict::Refused(_) => "refused",
        Verdict::Damaged => "damaged",
        Verdict::NoLink => "no link",
    })
}

fn index(side: &str) -> usize {
    match side {
        "A" => 0,
        "B" => 1,
        other => unreachable!("no such side: {other}"),
    }
}

fn message(lkid: u32) -> MsgFields<'static> {
    MsgFields {
        lkid,
        ..MsgFields::new(LockspaceId::new(7), MsgType::Bast)
    }
}

fn recovery(payload: Payload<'static>, result: i32) -> RcomFields<'static> {
    RcomFields {
        lockspace: LockspaceId::new(7),
        result,
        id: 1,
        seq: 1,
        seq_reply: 0,
        payload,
    }
}

fn reply() -> Payload<'static> {
    Payload::StatusReply {
        config: RcomConfig::default(),
        slots: Slots::from_list(&[]),
    }
}
