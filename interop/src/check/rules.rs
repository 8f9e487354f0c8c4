//! The rules: what is worth telling, how bad it is, and why.
//!
//! Ids are stable: `DLM-AREA-NNN`, never reused. [`markdown`] makes docs/rules.md from the table.

use std::fmt::Write as _;

use crate::check::finding::Severity;

/// One rule. A finding says what was seen; its rule says what that means.
#[derive(Debug)]
pub struct Rule {
    /// `DLM-AREA-NNN`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// What has been seen when a finding names this rule.
    pub meaning: &'static str,
    /// Why anybody should care.
    pub why: &'static str,
    /// What Linux kernels do about it.
    pub kernels: &'static str,
    /// Where the protocol facts are written down: chapter and section.
    pub spec: &'static str,
}

/// Two rules are the same when their ids are.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Rule {}

/// Declares the rules, and [`RULES`] with all of them in order.
macro_rules! rules {
    ($($name:ident $id:literal $severity:ident $title:literal
        $meaning:literal $why:literal $kernels:literal $spec:literal;)+) => {
        $(
            #[doc = concat!($id, ": ", $title, ".")]
            pub static $name: Rule = Rule {
                id: $id,
                severity: Severity::$severity,
                title: $title,
                meaning: $meaning,
                why: $why,
                kernels: $kernels,
                spec: $spec,
            };
        )+

        /// Every rule, by area and number.
        pub static RULES: &[&Rule] = &[$(&$name,)+];
    };
}

rules! {
    CAP_MISSING "DLM-CAP-001" Warn "capture lacks bytes"
        "The capture does not have bytes that the receiver had: it acknowledged them on the transport's level."
        "What stood there is unknown, so that gaps and missing replies around it are not held against a node."
        "Nothing: this is about the capture."
        "wire 1";
    CAP_MIDSTREAM "DLM-CAP-002" Note "conversation under way when the capture began"
        "The first number seen is not 0 and nobody had been seen to open the conversation."
        "States and versions are taken as established; what happened before cannot be judged."
        "Nothing: this is about the capture."
        "midcomms 2";
    CAP_RECORDS "DLM-CAP-003" Note "capture file is not whole"
        "The file ends inside a record, or packets were cut by the snap length, or IP fragments were left apart."
        "Frames may be missing."
        "Nothing: this is about the capture."
        "wire 1";
    CAP_TWICE "DLM-CAP-004" Note "packets captured twice"
        "The same packets stand in the file twice, as when both ends of a bridge are captured."
        "They are looked at once; without that they would pass for retransmissions."
        "Nothing: this is about the capture."
        "wire 1";

    CAP_ONE_HOST "DLM-CAP-005" Warn "both ends have one address"
        "A link leads from an address to itself."
        "Nodes are told apart by their addresses; what went over this link is counted and not judged."
        "Two nodes on one address are impossible: a kernel knows its peers by address alone."
        "lowcomms 4";

    CAP_UNSURE "DLM-CAP-006" Note "not certain: capture lacks parts"
        "Something looks wrong in a conversation of which the capture does not have everything."
        "What is missing may explain it, so that nobody is accused; the rule that would apply stands in the sentence."
        "Nothing: this is about the capture."
        "wire 1";
    CAP_GIVEN_UP "DLM-CAP-007" Warn "limits of the reader reached"
        "Links, hosts or conversations were given up because there were too many at once."
        "What went over them was not judged."
        "Nothing: this is about the reader, or about somebody who wants to exhaust it."
        "wire 6";

    LINK_RESET "DLM-LINK-001" Note "link reset"
        "A TCP connection ended by RST or an SCTP association by ABORT."
        "Messages in flight are lost with it; midcomms has to resend them on the next link."
        "TCP: every 3.2 kernel reconnects within milliseconds and resends what is unacknowledged. SCTP: see DLM-KERN-001 and DLM-KERN-002."
        "midcomms 5.2, lowcomms 8";
    LINK_CROSSING "DLM-LINK-002" Note "crossing links"
        "Two links between the same nodes are open at once, each opened by one of them."
        "Each node sends on its own link; acknowledgements for one link go out on the other."
        "Normal: both nodes connect, and a kernel that has started its own connect only reads from the accepted one (othercon)."
        "lowcomms 3";
    LINK_HALF_FRAME_RESET "DLM-LINK-003" Note "half-sent frame at a reset"
        "A link was reset inside a frame."
        "The receiver has to forget the part, the sender has to begin the next link with a whole frame."
        "Both do so since 5.14; 5.10 loses the message."
        "lowcomms 6";
    LINK_HALF_FRAME_CLOSE "DLM-LINK-004" Warn "half-sent frame at an orderly close"
        "A link was closed, not reset, inside a frame."
        "A sender that closes in order should have finished its frame: a message is lost or a process died."
        "Kernels flush whole pages before they close."
        "lowcomms 6, 8";
    LINK_MIDFRAME_START "DLM-LINK-005" Error "link begins inside a frame"
        "The first bytes of a new link are not the start of a frame."
        "Every receiver loses framing: the sender went on with a half-sent frame on another link."
        "Up to 5.13 this could happen; 5.14 and later drop the half-sent page."
        "lowcomms 6";

    FRAME_LOST "DLM-FRAME-001" Error "framing lost"
        "The length of a frame is below 16 or above 4096."
        "No later frame of that direction can be found with certainty."
        "6.1 discards what it has read and is out of step; 6.12 and later never read that connection again or close it."
        "wire 7, kernel-lab 6";
    FRAME_VERSION "DLM-FRAME-002" Error "unknown version"
        "The version is neither 3.1 nor 3.2."
        "Nobody can read such a frame."
        "Dropped with a log line; 5.10 looks at the major number of STATUS_REPLY only."
        "wire 2, 7";
    FRAME_COMMAND "DLM-FRAME-003" Error "unknown command"
        "h_cmd names no command."
        "The frame is skipped."
        "Dropped with a log line."
        "wire 2, 7";
    FRAME_SHORT "DLM-FRAME-004" Error "frame shorter than its fixed part"
        "A MSG, RCOM or OPTS is too short for its own header, or an ACK is not 16 bytes."
        "Reading it would read what follows."
        "Dropped; 7.3 no longer checks bare RCOM."
        "wire 7";
    FRAME_NODE_ZERO "DLM-FRAME-005" Error "node id 0"
        "The sender's node id is 0, which no node has."
        "The frame belongs to nobody."
        "Dropped: it is not the connection's node."
        "wire 7";
    FRAME_WRAPPING "DLM-FRAME-006" Error "command cannot stand here"
        "A bare FIN, or OPTS, ACK or FIN marked 3.1, or an OPTS around something that cannot be wrapped."
        "The frame is skipped; in OPTS its number is not consumed, so that all that follows is a gap."
        "The same."
        "wire 2, 5";
    FRAME_INNER "DLM-FRAME-007" Error "inner message contradicts its wrapper"
        "Length, command, version or node id of the message inside an OPTS do not fit the OPTS."
        "Its number is consumed, its content dropped."
        "Kernels believe the inner header: they read past the frame's end or deliver what was announced as something else."
        "wire 7, kernel-lab 6";
    FRAME_BODY "DLM-FRAME-008" Error "body overruns its frame"
        "A name, a list of names, a slot count, a lock or an option does not fit into the frame that holds it, or a name is empty or too long."
        "The message is counted and dropped."
        "Names: refused by an error reply or a log line. Slots and options: not checked."
        "wire 4, 6.3, 7";

    VERS_MIXED "DLM-VERS-001" Note "3.1 and 3.2 mixed"
        "One of the two nodes speaks 3.1, the other 3.2."
        "The pair falls back to 3.1: nothing is acknowledged or resent, a lost connection loses messages."
        "They work together as long as no connection breaks."
        "midcomms 3, changes 1";
    VERS_CHANGED "DLM-VERS-002" Error "version changed in a conversation"
        "A frame's version is not the one that its sender was first seen to speak."
        "Receivers drop it."
        "Dropped with a log line; never re-evaluated before the node is reset."
        "midcomms 3";
    VERS_OPENING "DLM-VERS-003" Error "message that cannot open a conversation"
        "The first message of a node is not STATUS, NAMES or a reply to one."
        "The receiver does not know the sender's version and refuses it."
        "2021 to 6.1 refuse it for a fresh node; later ones take any sound 3.2 message."
        "midcomms 3";
    VERS_BARE "DLM-VERS-004" Error "bare message that has to be wrapped"
        "A MSG, or an RCOM LOOKUP or LOCK or a reply to one, came outside OPTS from a node that speaks 3.2 to one that does too."
        "It is dropped: nothing numbers or resends it."
        "Dropped with a log line. Towards a 3.1 node it is right."
        "wire 5.3";
    VERS_TO_3_1 "DLM-VERS-005" Error "3.2 frame towards a 3.1 node"
        "OPTS or ACK was sent to a node that speaks 3.1."
        "A 3.1 node ignores it: locks hang."
        "Kernels never send them to a node that they know as 3.1."
        "wire 5.3, kernel-lab 6";
    VERS_3_1 "DLM-VERS-006" Note "3.1 in use"
        "Both nodes speak 3.1."
        "Nothing is acknowledged or resent: a lost connection loses messages for ever."
        "Linux up to 5.13."
        "changes 1";

    NODE_LIES "DLM-NODE-001" Error "node id is not the link's"
        "A frame names another sender than the node whose address it came from, or the receiver itself."
        "Receivers drop it; in OPTS its number is consumed."
        "Dropped with a log line."
        "wire 7";
    NODE_TWICE "DLM-NODE-002" Error "node id used by two hosts"
        "Two hosts that share no address claim the same node id."
        "An address was taken over or a cluster configuration is wrong; sequence numbers of two nodes mix."
        "Kernels go by the configured address alone."
        "lowcomms 4";

    SEQ_LOST "DLM-SEQ-001" Error "sequence gap never filled"
        "Numbers are missing and never came, though later ones did."
        "The receiver drops everything behind the gap: the pair is dead until membership resets it."
        "A clean EOF or an SCTP ABORT loses messages for ever; so does a restart that nobody was told of."
        "midcomms 5, 5.2";
    SEQ_GAP "DLM-SEQ-002" Note "sequence gap, filled later"
        "A number higher than the expected one came first and was dropped; what was missing came afterwards."
        "Right, but the messages behind the gap travel twice."
        "Normal after a reset: what was still queued goes out before what is resent."
        "midcomms 5.2";
    SEQ_RESENT "DLM-SEQ-003" Note "messages resent"
        "Numbers came again with the same bytes after a link was lost; the receiver drops those it has."
        "This is how nothing is lost."
        "All unacknowledged messages, in order, on the next link; twice if both links were reset."
        "midcomms 5.2";
    SEQ_RESENT_UNASKED "DLM-SEQ-004" Warn "messages resent without a lost link"
        "Numbers came again with the same bytes though no link had ended in between."
        "There is no timer that would explain it: a forged or replayed stream, or a capture that has frames twice."
        "Kernels resend on an error report only."
        "midcomms 5.2";
    SEQ_OTHER_BYTES "DLM-SEQ-005" Error "one number, two messages"
        "A number came again within the conversation with other bytes."
        "One of the two messages is never delivered."
        "The receiver drops the second as a duplicate and acknowledges it."
        "midcomms 5";
    SEQ_RESTARTED "DLM-SEQ-006" Warn "node restarted without FIN"
        "A node began its numbers anew on a new link, with other messages, though no FINs ended the conversation."
        "Right if the node was fenced and added again. If the other end was not told, the pair is dead in both directions until membership resets it."
        "Nothing is logged for the user; messages are dropped as duplicates or gaps."
        "midcomms 6.2, kernel-lab 6";

    SEQ_BEHIND_NEW "DLM-SEQ-007" Note "resent behind newer messages"
        "A new link began with messages that had not been sent before, and only then came what was resent."
        "The receiver may drop the newer ones as too early; they come again."
        "Normal: what was still queued when the link was lost goes out first."
        "midcomms 5.2, kernel-observed";

    SEQ_ACKED_UNSEEN "DLM-SEQ-008" Warn "number acknowledged that never came"
        "Numbers are missing where nothing shows that the capture lacks bytes, and the receiver acknowledged them all the same."
        "Either side counts wrongly, or a link between the two, or the end of one that was reset, was not captured."
        "No kernel does this."
        "midcomms 5";

    ACK_BEYOND "DLM-ACK-001" Error "acknowledgement of something never sent"
        "An ACK names a number beyond the last one sent."
        "Believing it empties the sender's queue: what was really lost is not resent."
        "Kernels believe it without a word."
        "midcomms 2, kernel-lab 6";
    ACK_BACKWARDS "DLM-ACK-002" Warn "acknowledgement goes back"
        "An ACK names a lower number than one before it in the same conversation."
        "Harmless in itself, but no receiver takes back what it accepted: it was reset, or ACKs overtook each other."
        "Ignored."
        "midcomms 5.2";
    ACK_PENDING "DLM-ACK-003" Note "unacknowledged at the end"
        "At the end of the capture up to 256 messages of a conversation are not acknowledged."
        "They are still queued at the sender."
        "6.12 and later acknowledge only after 256 messages, or 32 when they have to send themselves: an idle link keeps that many."
        "midcomms 5.1";
    ACK_STALLED "DLM-ACK-004" Warn "acknowledgements stalled"
        "More than 256 messages of a conversation are not acknowledged."
        "The receiver has stopped, or what it sends does not arrive; the sender's queue grows without bound."
        "No kernel leaves more than 256 unacknowledged."
        "midcomms 5.1, 7";

    ACK_OVERTAKEN "DLM-ACK-005" Note "acknowledgement overtaken"
        "An ACK names a lower number than one before it, which travelled on another link."
        "Links overtake each other; the higher number counts."
        "Ignored."
        "midcomms 5.2";

    FIN_DATA_AFTER "DLM-FIN-001" Error "message after FIN"
        "A node sent a numbered message behind its FIN."
        "FIN is the last number of its sender."
        "The receiver warns and delivers it, or is already reset."
        "midcomms 6.2";
    FIN_STATE "DLM-FIN-002" Error "FIN in a wrong state"
        "A FIN came where the conversation was not open, or a second FIN with another number."
        "Both ends have lost track of each other."
        "6.1 in CLOSED: warns, consumes the number, and the next session of the pair is dead."
        "midcomms 6.2, kernel-lab 6";
    FIN_LAST_ACK "DLM-FIN-003" Warn "last ACK missing"
        "The second FIN was not acknowledged."
        "Its sender stays in LAST_ACK or CLOSING until its time limit."
        "180 s up to 6.2, 5 s later; a repeated FIN is not acknowledged by a node that has already reset."
        "midcomms 6.2";
    FIN_MISSING "DLM-FIN-004" Warn "closed without FIN"
        "All links of an open conversation were closed and neither end sent FIN."
        "A node died, was fenced, or left without the handshake; what was unacknowledged is lost."
        "A fenced node's comm is removed by the cluster manager: queue flushed, sockets closed, no FIN."
        "midcomms 6.2, 7";
    FIN_ONE_SIDED "DLM-FIN-005" Warn "FIN never answered"
        "One node sent FIN, the other never did, and the links are closed or the capture ends more than 5 s later."
        "The leaver waits for its time limit; the other's cluster manager has not removed the member."
        "Waits 180 s up to 6.2, 5 s later, then closes anyway."
        "midcomms 6.2";

    FIN_REPEATED "DLM-FIN-006" Note "FIN repeated"
        "A FIN came again under the same number."
        "It was resent on a new link; a receiver that has closed in the meantime should acknowledge it again."
        "In CLOSED it is dropped as a gap and never acknowledged: the sender waits for its time limit."
        "midcomms 6.2";

    FIN_UNDERWAY "DLM-FIN-007" Note "capture ends before the conversation does"
        "Links are gone or a FIN waits for its answer, and the capture ends less than 5 s later."
        "What follows may be all that is missing."
        "Normal."
        "midcomms 6.2";

    RCOM_STUCK "DLM-RCOM-001" Warn "recovery stuck"
        "A node was still polling when the capture ended, more than 5 s after its recovery began."
        "The lockspace is stopped on that node: every lock request waits."
        "Waits for ever; the barrier is left only by a membership change."
        "peer 4, 5";
    RCOM_UNFINISHED "DLM-RCOM-002" Note "recovery not finished"
        "A recovery was replaced by a newer one, or was under way when the capture ended."
        "Normal when members change again or the capture was stopped."
        "Recovery starts again with the new member list."
        "peer 4, 5";
    RCOM_CONFIG "DLM-RCOM-003" Error "members disagree on the lockspace"
        "Two members report different rf_lvblen or rf_lsflags."
        "They refuse to work with each other: recovery fails with EPROTO."
        "Checked on every STATUS_REPLY of a ready member."
        "peer 2";
    RCOM_NOT_READY "DLM-RCOM-004" Note "lockspace not ready"
        "A node answered STATUS with -ESRCH: it does not have the lockspace (yet)."
        "The asker polls again."
        "Answered in OPTS, consuming a number, by every 3.2 kernel."
        "wire 5.3, kernel-lab 6";

    MSG_UNANSWERED "DLM-MSG-001" Warn "request without reply"
        "A request was delivered and no reply came for more than 5 s, and no membership change explains it."
        "The process that asked hangs in the kernel."
        "Replies are never timed out."
        "wire 3.1, peer 8";
    MSG_PENDING "DLM-MSG-002" Note "request still open"
        "A request had no reply when the capture ended or the membership changed."
        "Recovery answers or repeats it."
        "Normal."
        "peer 5";
    MSG_UNASKED "DLM-MSG-003" Warn "reply without request"
        "A reply names a lock that nobody asked about."
        "A request was not captured, or a node answers twice."
        "Logged and dropped."
        "wire 3.1";
    MSG_HASH "DLM-MSG-004" Warn "hash does not fit the name"
        "m_hash is not the hash of the resource name."
        "Directory nodes are derived from the hash: nodes of another byte order look in another place."
        "The kernel hashes in host order: clusters of mixed byte order disagree."
        "peer 6";
    MSG_UNKNOWN "DLM-MSG-005" Warn "message type without a meaning"
        "m_type or rc_type has no meaning in any kernel, nor is it that of application messages between nodes of ours."
        "Kernels count, acknowledge and ignore it."
        "Logged and ignored."
        "wire 3.1, 4";

    KERN_ABORT_STUCK "DLM-KERN-001" Warn "association aborted and never rebuilt"
        "An SCTP association was aborted with a conversation open and no new one followed."
        "The pair is silent for ever although both nodes live."
        "Linux up to 6.1: SCTP never calls the socket's error callback, so that nobody notices. Remove and re-add the node."
        "midcomms 5.2, lowcomms 10";
    KERN_NEVER_RESENT "DLM-KERN-002" Error "lost with an association and never resent"
        "Messages sent on an aborted association were neither acknowledged nor sent again on the ones that followed."
        "The receiver sees a gap and drops everything behind it."
        "All kernels up to the newest seen (7.2): resending hangs on a callback that SCTP does not call."
        "midcomms 5.2, kernel-lab 7";
    KERN_EOF_LOSS "DLM-KERN-003" Error "lost with a clean close and never resent"
        "Messages sent before an orderly close of the link were neither acknowledged nor sent again on the next."
        "The receiver sees a gap and drops everything behind it."
        "All kernels: only an error report makes them resend, end of file does not."
        "midcomms 5.2";
    KERN_LATE "DLM-KERN-004" Warn "message after both ends had closed"
        "An ACK or a numbered message came after both FINs were acknowledged and before a new session."
        "It can bring a closed peer back to life."
        "6.12 and later go to ESTABLISHED; 6.1 records the version and may be unable to rejoin."
        "midcomms 6.2";
    KERN_STATUS_IN_FIN "DLM-KERN-005" Warn "STATUS during the FIN handshake"
        "A node sent STATUS or NAMES to one that waits for its FIN."
        "It is legal, but it can end the handshake half-way."
        "2021 to 6.1 reset the peer (\"shutdown stuck\"): sequence numbers diverge. Later ones answer and keep the state."
        "midcomms 6.2";

    KLOG_THROWN_AWAY "DLM-KLOG-001" Note "delivered but not processed"
        "The kernel's log says that it expected a lower number than came, though the capture shows that one delivered before."
        "It had thrown the message away unread when a link was reset; it was resent."
        "Normal after a reset."
        "kernel-observed";
    KLOG_UNEXPLAINED "DLM-KLOG-002" Warn "kernel log and capture disagree"
        "The kernel's log names a number that the capture does not show from that node."
        "Log and capture are of different runs, or the capture misses frames."
        "Nothing: this is about the evidence."
        "kernel-observed";
    KTRC_THROWN_AWAY "DLM-KTRC-001" Note "delivered and not processed"
        "The kernel's trace has no event for a message that the capture shows delivered on a link that was reset."
        "The kernel threw the message away unread; it takes the copy that is sent again, if there is one."
        "Normal after a reset."
        "kernel-observed";
    KTRC_DIFFERS "DLM-KTRC-002" Error "kernel trace and capture disagree"
        "An event of the kernel's trace has no frame, a frame has no event and no reason for that, or both differ."
        "What the kernel processed is not what the wire carried: lost, changed, out of order or done twice."
        "Nothing that any known kernel does."
        "kernel-observed";
    KTRC_NEVER_SENT "DLM-KTRC-003" Note "committed and never sent"
        "The kernel's lock layer gave a message away to be sent that never came to the wire."
        "Its conversation ended first: fenced, or reset with nobody left to send it to."
        "Normal when a node is fenced."
        "midcomms 6";
    KTRC_PARTIAL "DLM-KTRC-004" Warn "kernel trace is not whole"
        "The kernel lost events, lines cannot be read, the clocks do not agree, or the node is not in the capture."
        "What has no event may have had one: less can be said."
        "A larger trace buffer (buffer_size_kb) loses nothing."
        "kernel-observed";
}

/// The rule with this id.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id).copied()
}

/// docs/rules.md: every rule, with its meaning.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Rules\n\n\
         What `dlmwire check` can find. Generated from the rule table (`interop/src/check/rules.rs`) by \
         `UPDATE_DOCS=1 cargo test -p dlmwire-interop rules`; a test fails when this page is stale.\n\n\
         A **note** is worth knowing and healthy kernels do it; a **warn** is a weakness or a known defect; an \
         **error** is a broken protocol or lost messages. The last line of each rule names the chapter and \
         section of the protocol notes that it rests on.\n\n\
         | rule | severity | title |\n|---|---|---|\n",
    );
    for rule in RULES {
        let anchor = rule.id.to_ascii_lowercase();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| [{}](#{anchor}) | {} | {} |",
            rule.id,
            rule.severity.name(),
            rule.title
        );
    }
    for rule in RULES {
        let _ = write!(
            out,
            "\n## {}\n\n**{}**, {}\n\n- Seen: {}\n- Why it matters: {}\n- Kernels: {}\n- Spec: {}\n",
            rule.id,
            rule.title,
            rule.severity.name(),
            rule.meaning,
            rule.why,
            rule.kernels,
            rule.spec,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_by_area_and_well_formed() {
        for rule in RULES {
            let mut parts = rule.id.split('-');
            assert_eq!(parts.next(), Some("DLM"), "{}", rule.id);
            assert!(
                parts
                    .next()
                    .is_some_and(|area| area.bytes().all(|byte| byte.is_ascii_uppercase()))
            );
            assert!(
                parts
                    .next()
                    .is_some_and(|number| number.len() == 3 && number.parse::<u16>().is_ok())
            );
            assert_eq!(
                RULES.iter().filter(|other| other.id == rule.id).count(),
                1,
                "{}",
                rule.id
            );
        }
    }

    #[test]
    fn rules_page_is_generated_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rules.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).expect("docs/rules.md is writable");
        }
        let page = std::fs::read_to_string(path).expect("docs/rules.md is there");
        assert!(
            page == markdown(),
            "docs/rules.md is stale: run UPDATE_DOCS=1 cargo test -p dlmwire-interop rules"
        );
    }
}
