//! From the observer's facts to findings: which rule a fact falls under, and the sentence that says it.

use dlmwire_codec::{DecodeError, ErrorKind};
use dlmwire_midcomms::admission::Refusal;
use dlmwire_midcomms::observer::{At, Ending, Fact, FactKind, LinkEnd, LostLink, Restart, Span};

use crate::check::finding::Severity;
use crate::check::rules::{self, Rule};

/// Unacknowledged messages that newer kernels leave on an idle link for ever.
const IDLE_UNACKED_MAX: u32 = 256;

/// What the capture's end leaves open may still have been mended if it is younger than this.
const PATIENCE_NS: u64 = 5_000_000_000;

/// A finding without the names of the nodes: its rule, its sentence, further packets that belong to it.
pub(crate) struct Sentence {
    pub(crate) rule: &'static Rule,
    pub(crate) text: String,
    pub(crate) also: Vec<u64>,
}

impl Sentence {
    pub(crate) const fn new(rule: &'static Rule, text: String) -> Self {
        Self {
            rule,
            text,
            also: Vec::new(),
        }
    }

    /// Takes back an accusation that what the capture lacks may explain. What a frame says of itself stands.
    pub(crate) fn weigh_against_holes(&mut self) {
        let area = self.rule.id.get(..8).unwrap_or_default();
        let by_itself = matches!(area, "DLM-FRAM" | "DLM-NODE" | "DLM-CAP-" | "DLM-LINK");
        if !by_itself && self.rule.severity > Severity::Note {
            self.text = format!("{} ({}): {}", self.rule.title, self.rule.id, self.text);
            self.rule = &rules::CAP_UNSURE;
        }
    }

    fn with(mut self, at: At) -> Self {
        self.also.push(at.mark.0);
        self
    }
}

/// What a fact comes to, if it is worth telling; `aborted`: the pair has lost an SCTP association before.
pub(crate) fn of(fact: &Fact, aborted: bool) -> Option<Sentence> {
    match fact.kind {
        FactKind::LinkUp { .. }
        | FactKind::HalfClosed
        | FactKind::LinkDown { .. }
        | FactKind::HalfSent { .. }
        | FactKind::AfterHalfSent { .. }
        | FactKind::FramingLost { .. }
        | FactKind::CaptureHole { .. }
        | FactKind::NeverRebuilt { .. } => of_link(fact),
        FactKind::VersionDetected { .. }
        | FactKind::VersionMixed { .. }
        | FactKind::CannotOpen { .. }
        | FactKind::Midway { .. }
        | FactKind::NodeClaimedTwice { .. }
        | FactKind::NodeChanged { .. } => of_identity(fact),
        FactKind::GapOpened { .. }
        | FactKind::GapFilled { .. }
        | FactKind::GapNeverFilled { .. }
        | FactKind::GapInCapture { .. }
        | FactKind::Resent { .. }
        | FactKind::ResentBehindNew { .. }
        | FactKind::BytesChanged { .. }
        | FactKind::Restarted { .. } => of_number(fact),
        FactKind::AckAdvanced { .. }
        | FactKind::AckRepeated { .. }
        | FactKind::AckWentBack { .. }
        | FactKind::AckBeyondSent { .. }
        | FactKind::Unacked { .. }
        | FactKind::NeverResent { .. } => of_ack(fact, aborted),
        FactKind::Damaged { error, seq, consumed } => {
            Some(of_damage(error, seq.map(|seq| (seq.get(), consumed))))
        }
        FactKind::Refused { refusal, .. } => of_refusal(refusal),
        _ => of_termination(fact),
    }
}

fn of_link(fact: &Fact) -> Option<Sentence> {
    let sentence = match fact.kind {
        FactKind::LinkUp {
            crosses: Some(other),
            live,
            ..
        } => Sentence::new(
            &rules::LINK_CROSSING,
            format!("crosses link {}: {live} links are open between the two", other.0),
        ),
        FactKind::LinkDown {
            why,
            frames_dialled,
            frames_accepted,
        } if is_reset(why) => Sentence::new(
            &rules::LINK_RESET,
            format!(
                "link {} after {frames_dialled} frames one way and {frames_accepted} the other",
                ended(why)
            ),
        ),
        FactKind::HalfSent { bytes, why } if is_reset(why) => Sentence::new(
            &rules::LINK_HALF_FRAME_RESET,
            format!("link {} {bytes} bytes into a frame", ended(why)),
        ),
        FactKind::HalfSent {
            bytes,
            why: LinkEnd::Closed,
        } => Sentence::new(
            &rules::LINK_HALF_FRAME_CLOSE,
            format!("link closed {bytes} bytes into a frame"),
        ),
        FactKind::AfterHalfSent {
            lost,
            boundary: false,
        } => Sentence::new(
            &rules::LINK_MIDFRAME_START,
            format!(
                "link begins inside a frame, after link {} ended inside one",
                lost.0
            ),
        ),
        FactKind::FramingLost { error } => Sentence::new(&rules::FRAME_LOST, error.kind.to_string()),
        FactKind::CaptureHole { bytes } => Sentence::new(
            &rules::CAP_MISSING,
            format!("capture lacks {bytes} bytes of the stream"),
        ),
        FactKind::NeverRebuilt { lost, silent } if lost.why == LinkEnd::Aborted => Sentence::new(
            &rules::KERN_ABORT_STUCK,
            format!(
                "association aborted with the conversation open and not rebuilt, {} before the end",
                seconds(silent)
            ),
        )
        .with(lost.at),
        _ => return None,
    };
    Some(sentence)
}

fn of_identity(fact: &Fact) -> Option<Sentence> {
    let sentence = match fact.kind {
        FactKind::VersionMixed { detected, marked } => Sentence::new(
            &rules::VERS_CHANGED,
            format!("frame marked {marked} from a node that speaks {detected}"),
        ),
        FactKind::CannotOpen { command, .. } => Sentence::new(
            &rules::VERS_OPENING,
            format!("conversation opened by {command}, not by STATUS, NAMES or a reply to one"),
        ),
        FactKind::Midway { first } => Sentence::new(
            &rules::CAP_MIDSTREAM,
            match first {
                Some(seq) => format!("conversation under way: first number seen is {seq}"),
                None => "conversation under way when the capture began".into(),
            },
        ),
        FactKind::NodeClaimedTwice { node, .. } => Sentence::new(
            &rules::NODE_TWICE,
            format!("node id {node} was another host's before"),
        ),
        FactKind::NodeChanged { was, now } => Sentence::new(
            &rules::NODE_LIES,
            format!("frame names node {now} where node {was} spoke before"),
        ),
        _ => return None,
    };
    Some(sentence)
}

fn of_number(fact: &Fact) -> Option<Sentence> {
    let sentence =
        match fact.kind {
            FactKind::GapFilled {
                missing,
                opened,
                by_ack: true,
                ..
            } => Sentence::new(
                &rules::SEQ_ACKED_UNSEEN,
                format!("{} acknowledged, but never seen", numbers(missing)),
            )
            .with(opened),
            FactKind::GapFilled {
                missing,
                opened,
                dropped,
                by_ack: false,
            } => Sentence::new(
                &rules::SEQ_GAP,
                format!(
                    "{} came late, {dropped} that came too early were dropped",
                    numbers(missing)
                ),
            )
            .with(opened),
            FactKind::GapNeverFilled {
                missing,
                expected,
                opened,
                dropped,
                links_lost,
                ending,
            } => {
                let age = fact.at.time.since(opened.time);
                let cut_short = ending == Ending::Open && age < PATIENCE_NS;
                Sentence::new(
                if cut_short { &rules::SEQ_GAP } else { &rules::SEQ_LOST },
                format!(
                    "{} not come in {}: receiver still expects {expected} and dropped {dropped} later ones, \
                     {links_lost} links ended meanwhile",
                    numbers(missing),
                    seconds(age),
                ),
            )
            .with(opened)
            }
            FactKind::GapInCapture { missing } => Sentence::new(
                &rules::CAP_MISSING,
                format!("{} missing where the capture lacks bytes", numbers(missing)),
            ),
            FactKind::Resent {
                messages,
                acked,
                after,
                ..
            } => resent(messages, acked, after),
            FactKind::ResentBehindNew { new, first } => Sentence::new(
                &rules::SEQ_BEHIND_NEW,
                format!("{new} new messages went out before {first}, the first one resent"),
            ),
            FactKind::BytesChanged { seq, first } => Sentence::new(
                &rules::SEQ_OTHER_BYTES,
                format!("number {seq} came again with other bytes"),
            )
            .with(first),
            FactKind::Restarted {
                evidence, seq, next, ..
            } => Sentence::new(
                &rules::SEQ_RESTARTED,
                format!(
                    "{} where {next} was to follow",
                    restart(evidence, seq.map(dlmwire_codec::Seq::get))
                ),
            ),
            _ => return None,
        };
    Some(sentence)
}

fn resent(messages: Span, acked: u32, after: Option<LostLink>) -> Sentence {
    match after {
        Some(lost) => Sentence::new(
            &rules::SEQ_RESENT,
            format!(
                "{} resent after link {} was {}, {acked} of them acknowledged before",
                numbers(messages),
                lost.link.0,
                ended(lost.why),
            ),
        )
        .with(lost.at),
        None => Sentence::new(
            &rules::SEQ_RESENT_UNASKED,
            format!("{} resent though no link was lost", numbers(messages)),
        ),
    }
}

fn restart(evidence: Restart, seq: Option<u32>) -> String {
    match (evidence, seq) {
        (Restart::OtherBytes, Some(seq)) => format!("number {seq} on a new link with another message"),
        (Restart::LongAcknowledged, Some(seq)) => {
            format!("number {seq} on a new link, acknowledged long ago,")
        }
        (Restart::OtherBytes | Restart::LongAcknowledged, None) => "old numbers on a new link".into(),
        (Restart::OtherVersion, _) => "another version on a new link".into(),
    }
}

fn of_ack(fact: &Fact, aborted: bool) -> Option<Sentence> {
    let sentence = match fact.kind {
        FactKind::AckWentBack { ack, was, other_link } => {
            let rule = if other_link { &rules::ACK_OVERTAKEN } else { &rules::ACK_BACKWARDS };
            Sentence::new(rule, format!("ACK {ack} after ACK {was}"))
        }
        FactKind::AckBeyondSent { ack, next, in_hole: false } => Sentence::new(
            &rules::ACK_BEYOND,
            format!("ACK {ack} though the next number to be sent is {next}"),
        ),
        FactKind::Unacked { messages, since, idle, link_up, links_lost, in_hole: false, .. } => {
            let stalled = messages.count > IDLE_UNACKED_MAX;
            let rule = if stalled { &rules::ACK_STALLED } else { &rules::ACK_PENDING };
            let age = since.map_or(0, |since| fact.at.time.since(since.time));
            let text = format!(
                "{} not acknowledged for {}, idle for {}, {}",
                numbers(messages),
                seconds(age),
                seconds(idle),
                match (link_up, links_lost) {
                    (true, 0) => "link up".into(),
                    (true, lost) => format!("link up, {lost} links ended since"),
                    (false, lost) => format!("no link up, {lost} links ended since"),
                },
            );
            match since {
                Some(since) => Sentence::new(rule, text).with(since),
                None => Sentence::new(rule, text),
            }
        }
        // The capture ended so soon behind the loss that resending may have been about to begin.
        FactKind::NeverResent { last, ending: Ending::Open, .. }
            if fact.at.time.since(last.at.time) < PATIENCE_NS =>
        {
            return None;
        }
        FactKind::NeverResent { messages, links_lost, last, .. } => Sentence::new(
            match last.why {
                LinkEnd::Aborted => &rules::KERN_NEVER_RESENT,
                LinkEnd::Closed if aborted => &rules::KERN_NEVER_RESENT,
                LinkEnd::Closed => &rules::KERN_EOF_LOSS,
                LinkEnd::Reset | LinkEnd::Vanished => &rules::SEQ_LOST,
            },
            format!(
                "{} neither acknowledged nor resent though newer messages went out on later links, {links_lost} \
                 links ended since",
                numbers(messages),
            ),
        )
        .with(last.at),
        _ => return None,
    };
    Some(sentence)
}

fn of_termination(fact: &Fact) -> Option<Sentence> {
    let sentence = match fact.kind {
        FactKind::FinRepeated { seq, acked, receiver } => Sentence::new(
            &rules::FIN_REPEATED,
            format!(
                "FIN {seq} came again to a peer in {receiver}, it had {}been acknowledged",
                if acked { "" } else { "not " },
            ),
        ),
        FactKind::FinInState { seq, state } => {
            Sentence::new(&rules::FIN_STATE, format!("FIN {seq} sent in state {state}"))
        }
        FactKind::DataAfterFin { seq, fin } => Sentence::new(
            &rules::FIN_DATA_AFTER,
            format!("number {seq} sent after FIN {fin}"),
        ),
        FactKind::LastAckLost {
            fin,
            ack_seen,
            waited,
        } => Sentence::new(
            patient(&rules::FIN_LAST_ACK, waited),
            format!(
                "FIN {fin} waits for its acknowledgement from a peer that is done{}",
                if ack_seen {
                    ", though an ACK of it was seen"
                } else {
                    ""
                },
            ),
        ),
        FactKind::StatusWhileTerminating { receiver } => Sentence::new(
            &rules::KERN_STATUS_IN_FIN,
            format!("STATUS or NAMES to a peer in {receiver}"),
        ),
        FactKind::AfterClosed { command } => Sentence::new(
            &rules::KERN_LATE,
            format!("{command} after both ends had reached CLOSED"),
        ),
        FactKind::ConversationEnded {
            how,
            state,
            other,
            silent,
            ..
        } => match how {
            Ending::WithoutFin => Sentence::new(
                patient(&rules::FIN_MISSING, silent),
                format!("links gone without a FIN, the two ends are left in {state} and {other}"),
            ),
            Ending::Unfinished => Sentence::new(
                patient(&rules::FIN_ONE_SIDED, silent),
                format!("FIN handshake not finished, the two ends are left in {state} and {other}"),
            ),
            Ending::Clean | Ending::Open | Ending::Restarted | Ending::Unnumbered | Ending::OneSided => {
                return None;
            }
        },
        _ => return None,
    };
    Some(sentence)
}

/// A rule about something that never came, or a note as long as it may still have been on its way.
fn patient(rule: &'static Rule, waited: u64) -> &'static Rule {
    if waited < PATIENCE_NS {
        &rules::FIN_UNDERWAY
    } else {
        rule
    }
}

/// The sentence for a frame that makes no sense; with the number of its `OPTS` and whether it counts.
pub(crate) fn of_damage(error: DecodeError, number: Option<(u32, bool)>) -> Sentence {
    let rule = match error.kind {
        ErrorKind::LengthBelowHeader { .. } | ErrorKind::LengthAboveLimit { .. } => &rules::FRAME_LOST,
        ErrorKind::UnknownMajor { .. } | ErrorKind::UnknownMinor { .. } => &rules::FRAME_VERSION,
        ErrorKind::UnknownCommand { .. } => &rules::FRAME_COMMAND,
        ErrorKind::NodeZero => &rules::FRAME_NODE_ZERO,
        ErrorKind::BodyTooShort { .. } | ErrorKind::AckTooLong { .. } => &rules::FRAME_SHORT,
        ErrorKind::BareFin | ErrorKind::NotIn3_1 { .. } | ErrorKind::NextCommand { .. } => {
            &rules::FRAME_WRAPPING
        }
        ErrorKind::OptionsBeyondFrame { .. }
        | ErrorKind::InnerHeaderMissing { .. }
        | ErrorKind::InnerTooShort { .. }
        | ErrorKind::InnerBeyondFrame { .. }
        | ErrorKind::InnerShorterThanFrame { .. }
        | ErrorKind::InnerCommandDiffers { .. }
        | ErrorKind::InnerVersionDiffers { .. }
        | ErrorKind::InnerNodeDiffers { .. } => &rules::FRAME_INNER,
        _ => &rules::FRAME_BODY,
    };
    let text = match number {
        Some((seq, true)) => format!("{error}; number {seq} counts"),
        Some((seq, false)) => format!("{error}; number {seq} does not count"),
        None => error.to_string(),
    };
    Sentence::new(rule, text)
}

fn of_refusal(refusal: Refusal) -> Option<Sentence> {
    let rule = match refusal {
        // Told by facts of their own.
        Refusal::CannotOpen { .. } | Refusal::VersionDiffers { .. } => return None,
        Refusal::NumberedTo3_1 { .. } => &rules::VERS_TO_3_1,
        Refusal::MustBeWrapped { .. } => &rules::VERS_BARE,
        Refusal::OwnNode { .. } | Refusal::OtherNode { .. } => &rules::NODE_LIES,
    };
    Some(Sentence::new(rule, refusal.to_string()))
}

fn numbers(span: Span) -> String {
    match span.count {
        1 => format!("number {}", span.first),
        count => format!("{count} numbers {} to {}", span.first, span.last()),
    }
}

const fn is_reset(why: LinkEnd) -> bool {
    matches!(why, LinkEnd::Reset | LinkEnd::Aborted)
}

const fn ended(why: LinkEnd) -> &'static str {
    match why {
        LinkEnd::Reset => "reset",
        LinkEnd::Aborted => "aborted",
        LinkEnd::Closed => "closed",
        LinkEnd::Vanished => "gone",
    }
}

/// Nanoseconds as seconds with three decimals.
pub(crate) fn seconds(nanoseconds: u64) -> String {
    format!(
        "{}.{:03} s",
        nanoseconds / 1_000_000_000,
        nanoseconds / 1_000_000 % 1000
    )
}
