use super::*;
use crate::observer::{At, Config, Ends, LinkId, LinkStart, Observer, StationId, Verdict};

#[test]
fn crossing_links_are_told_and_used_both_ways() {
    Wire::silent(0).plays(&[
        ("up 1 A", ""),
        ("up 2 A", ""),
        ("up 3 B", "B crosses 2 of 3"),
        ("A status @3", "bare; A is 3.2; A CLOSED>ESTABLISHED"),
        ("B status @1", "bare; B is 3.2; B CLOSED>ESTABLISHED"),
    ]);
}

#[test]
fn half_sent_frame_at_a_reset_and_a_clean_next_link() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("reset 1 half A", "A half-sent 10 Reset"),
        ("up 3 A", "A crosses 2 of 2"),
        ("B opts 1", "in order"),
        ("A opts 2", "in order; A after 1 boundary"),
        ("A opts 3", "in order"),
    ]);
}

#[test]
fn half_sent_frame_of_the_acceptor_and_a_next_link_off_the_boundary() {
    at_every_start(&[
        ("reset 1 half B", "B half-sent 10 Reset"),
        ("up 3 B", ""),
        ("B junk", "damaged; B after 1 off boundary; B damaged"),
        ("B opts 1", "in order"),
    ]);
}

#[test]
fn half_sent_frame_and_framing_lost_on_the_next_link() {
    at_every_start(&[
        ("eof 1 half A", "A half-sent 10 Closed"),
        ("up 3 A", "A crosses 2 of 2"),
        ("A lost framing", "A after 1 off boundary; A framing lost"),
    ]);
}

#[test]
fn framing_lost_excuses_the_gap_that_follows() {
    at_every_start(&[
        ("A lost framing", "A framing lost"),
        ("reset 1", ""),
        ("up 3 A", "A crosses 2 of 2"),
        ("A opts 3", "in order; A unseen 1+2"),
    ]);
}

/// Spec: kernel-lab 7. Linux 6.1 does not notice an SCTP ABORT.
#[test]
fn aborted_links_never_rebuilt_are_told_with_the_conversation_open() {
    at_every_start(&[
        ("A opts 1", "in order"),
        ("B ack 2", "bare; A acked 2 +1"),
        ("abort 1", ""),
        ("abort 2", ""),
        (
            "end",
            "A ended WithoutFin ESTABLISHED ESTABLISHED; A never rebuilt 2 Aborted",
        ),
    ]);
}

#[test]
fn aborted_link_that_was_rebuilt_is_not_told() {
    at_every_start(&[
        ("abort 1", ""),
        ("abort 2", ""),
        ("up 3 A", ""),
        ("end", "A ended Open ESTABLISHED ESTABLISHED"),
    ]);
}

#[test]
fn link_being_closed_is_no_open_link() {
    at_every_start(&[
        ("A closes", ""),
        ("reset 2", ""),
        ("end", "A ended WithoutFin ESTABLISHED ESTABLISHED"),
    ]);
}

#[test]
fn frame_on_an_unknown_link_is_not_looked_at() {
    at_every_start(&[
        ("A opts 1 @77", "no link"),
        ("A hole @77", ""),
        ("reset 77", ""),
        ("A opts 1", "in order"),
    ]);
}

#[test]
fn bounds_leave_out_what_is_too_much() {
    let config = Config {
        pairs_max: 1,
        links_max: 2,
        ..Config::default()
    };
    let mut observer = Observer::new(config);
    let at = At::default();
    let ends = |dialled, accepted| Ends {
        dialled: StationId(dialled),
        accepted: StationId(accepted),
    };
    observer.handle_link_up(at, LinkId(1), ends(1, 2), LinkStart::Handshake);
    observer.handle_link_up(at, LinkId(2), ends(1, 3), LinkStart::Handshake);
    observer.handle_link_up(at, LinkId(3), ends(1, 1), LinkStart::Handshake);
    observer.handle_link_up(at, LinkId(4), ends(2, 1), LinkStart::Handshake);
    observer.handle_link_up(at, LinkId(5), ends(2, 1), LinkStart::Handshake);
    let bytes = [2, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0, 16, 0, 4, 0];
    let mut verdict = |link, from| {
        let dlmwire_codec::Split::Frame { frame, .. } =
            dlmwire_codec::split(&bytes, dlmwire_codec::Limits::KERNEL)
        else {
            unreachable!("one ACK")
        };
        observer
            .handle_frame(at, LinkId(link), StationId(from), frame.bytes(), frame.decode())
            .verdict
    };
    assert_eq!(verdict(1, 1), Verdict::Unnumbered);
    assert_eq!(verdict(4, 1), Verdict::Unnumbered);
    for (link, from) in [(2, 1), (3, 1), (5, 1), (1, 3)] {
        assert_eq!(verdict(link, from), Verdict::NoLink, "link {link} from {from}");
    }
    let pairs = observer.summaries().count();
    assert_eq!(pairs, 2, "both directions of one pair");
}
