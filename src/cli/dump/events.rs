//! What happens between messages, in words.

use std::net::{IpAddr, SocketAddr};

use dlmwire_interop::capture::{Begun, Ending, Event, Gap, GapEvidence, HalfSent, LinkId, Side, Transport};

use crate::cli::nodes::{End, Nodes};

/// The short name of a link.
pub(super) fn link_name(link: LinkId) -> String {
    format!("L{}", link.get())
}

/// What happened, or `None` for what is of no interest beside the messages.
pub(super) fn words(event: &Event<'_>, nodes: &Nodes) -> Option<String> {
    let words = Words { nodes };
    Some(match *event {
        Event::LinkUp {
            link,
            transport,
            begun,
            ..
        } => words.link_up(link, transport, begun),
        Event::Refused {
            transport,
            opener,
            target,
        } => refused(transport, opener, target),
        Event::FramingLost { link, from, error } => {
            format!(
                "{}: framing lost from {}: {error}",
                link_name(link),
                words.sender(link, from)
            )
        }
        Event::Missing {
            link,
            from,
            gap,
            evidence,
            broken,
        } => words.missing(link, from, gap, evidence, broken),
        Event::Resynchronised { link, from, skipped } => {
            let from = words.sender(link, from);
            format!(
                "{}: messages from {from} found again, {skipped} bytes skipped",
                link_name(link)
            )
        }
        Event::Retransmitted {
            link,
            from,
            bytes,
            differs: true,
        } => {
            let from = words.sender(link, from);
            format!(
                "{}: {from} repeats {bytes} bytes, but other ones than before",
                link_name(link)
            )
        }
        Event::Fragment { source, destination } => fragment(source, destination),
        Event::AddressAdded { link, side, address } => {
            format!(
                "{}: {} also uses {address}",
                link_name(link),
                words.sender(link, side)
            )
        }
        Event::HalfClosed { link, from } => {
            format!("{}: {} sends no more", link_name(link), words.sender(link, from))
        }
        Event::LinkDown { link, why, half_sent } => words.link_down(link, why, half_sent),
        Event::Frame { .. } | Event::Late { .. } | Event::Retransmitted { .. } | Event::SeenTwice { .. } => {
            return None;
        }
    })
}

struct Words<'a> {
    nodes: &'a Nodes,
}

impl Words<'_> {
    fn link_up(&self, link: LinkId, transport: Transport, begun: Begun) -> String {
        let [opener, target] = Side::BOTH.map(|side| full(self.end(link, side)));
        let how = match begun {
            Begun::Handshake => "up",
            Begun::MidStream => "already up",
        };
        format!("{} {how}: {transport} {opener} -> {target}", link_name(link))
    }

    fn link_down(&self, link: LinkId, why: Ending, half_sent: [Option<HalfSent>; 2]) -> String {
        let why = match why {
            Ending::Fin => "closed".to_owned(),
            Ending::Reset { from } => format!("reset by {}", self.sender(link, from)),
            Ending::Abort { from } => format!("aborted by {}", self.sender(link, from)),
            Ending::Shutdown => "shut down".to_owned(),
            Ending::Replaced => "replaced by a new one on the same ports".to_owned(),
            Ending::EndOfCapture => "still up at the end of the capture".to_owned(),
            Ending::Evicted => "given up, too many links".to_owned(),
        };
        let cut = Side::BOTH.map(|side| match half_sent[side.index()] {
            Some(HalfSent { have, needed }) => {
                let from = self.sender(link, side);
                format!("; {have} of {needed} bytes of a message from {from} were sent")
            }
            None => String::new(),
        });
        format!("{} down: {why}{}", link_name(link), cut.concat())
    }

    fn missing(
        &self,
        link: LinkId,
        from: Side,
        gap: Gap,
        evidence: GapEvidence,
        broken: Option<HalfSent>,
    ) -> String {
        let much = match gap {
            Gap::Bytes(bytes) => format!("{bytes} bytes"),
            Gap::Chunks(chunks) => format!("{chunks} chunks"),
        };
        let from = self.sender(link, from);
        let known = match evidence {
            GapEvidence::Acknowledged => "but they were acknowledged",
            GapEvidence::Snapshot => "packets were cut when captured",
            GapEvidence::Overflow => "too much came behind them",
            GapEvidence::End => "still missing at the end",
            GapEvidence::Forward => "the sender gave them up",
        };
        let broken = match broken {
            Some(HalfSent { have, needed }) => {
                format!("; a message with {have} of {needed} bytes is lost")
            }
            None => String::new(),
        };
        format!(
            "{}: {much} from {from} are not in the capture ({known}){broken}",
            link_name(link)
        )
    }

    /// `node 1`, or the address where the node is not known.
    fn sender(&self, link: LinkId, side: Side) -> String {
        match self.end(link, side) {
            Some(End { node: Some(node), .. }) => format!("node {node}"),
            Some(end) => end.to_string(),
            None => "?".to_owned(),
        }
    }

    fn end(&self, link: LinkId, side: Side) -> Option<&End> {
        self.nodes.link(link).map(|link| &link.ends[side.index()])
    }
}

/// A node with its address: `node 1 (10.0.0.1:21064)`.
fn full(end: Option<&End>) -> String {
    let address = end.and_then(End::address);
    match (end.and_then(|end| end.node), address) {
        (Some(node), Some(address)) => format!("node {node} ({address})"),
        (Some(node), None) => format!("node {node}"),
        (None, Some(address)) => address.to_string(),
        (None, None) => "?".to_owned(),
    }
}

fn refused(transport: Transport, opener: SocketAddr, target: SocketAddr) -> String {
    format!("{transport} connection from {opener} refused by {target}")
}

fn fragment(source: IpAddr, destination: IpAddr) -> String {
    format!("IP fragment {source} -> {destination}, not put together")
}
