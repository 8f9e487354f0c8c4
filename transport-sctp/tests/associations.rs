//! How associations come, carry and end, against plain sockets and our own, on loopback in a guest.
#![cfg(target_os = "linux")]

mod common;

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use common::*;
use dlmwire_sctp::{
    LinkEvent, LossReason, Options, PathState, RECORD_BYTES_MAX, SctpTransport, Unavailable, probe,
};
use dlmwire_transport::{Link, Ready, Received, Token, Transport};

/// Runs everywhere: where there is no SCTP, this is all that can be had, and it must be a clear word.
#[test]
fn host_without_sctp_is_told_the_way_out() {
    let local = "127.0.0.1:0".parse().expect("an address");
    let bound = SctpTransport::bind(roster(1, &[local], &[]), Options::default());
    match (probe(), bound) {
        (Ok(()), Ok(_)) => {}
        (Err(reason), Err(error)) => {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert_eq!(Unavailable::of(&error), Some(reason), "{error}");
            assert!(error.to_string().contains("modprobe sctp"), "{error}");
        }
        (probed, bound) => panic!("the probe says {probed:?}, but bind {bound:?}"),
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn all_configured_addresses_are_bound_and_told_and_no_other() {
    let (mut a, mut b) = pair(1, &Options::default());
    let (dialed, accepted) = join(&mut a, &mut b);
    for (link, id, port) in [(&dialed, 2, Some(b.local_address().port())), (&accepted, 1, None)] {
        let paths = link.paths().expect("an association has paths");
        let mut addresses: Vec<_> = paths.iter().map(|path| path.address.ip()).collect();
        addresses.sort();
        assert_eq!(addresses, [ip(1, 0, id), ip(1, 1, id)]);
        let primary: Vec<_> = paths.iter().filter(|path| path.primary).collect();
        assert_eq!(primary.len(), 1);
        assert_eq!(primary[0].address, link.peer_address());
        assert_eq!(primary[0].state, PathState::Active);
        assert!(
            paths
                .iter()
                .all(|path| port.is_none_or(|port| path.address.port() == port))
        );
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn second_address_is_confirmed_and_reported() {
    let (mut a, mut b) = pair(2, &Options::default());
    let events = a.events();
    let (mut dialed, _accepted) = join(&mut a, &mut b);
    wait_for_event(
        &mut a,
        &mut dialed,
        &events,
        LinkEvent::PathConfirmed(ip(2, 1, 2)),
    );
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn dials_rotate_over_the_addresses_of_the_node() {
    let (mut a, mut b) = pair(3, &Options::default());
    for attempt in 1..=4_u8 {
        let token = Token(attempt.into());
        let dialed = a.dial(node(2), token).expect("the dial starts");
        wait_for(&mut a, Ready::Dialed(token));
        assert_eq!(
            dialed.peer_address().ip(),
            ip(3, (attempt - 1) % 2, 2),
            "attempt {attempt}"
        );
        let accepted = accept(&mut b, token);
        assert_eq!(accepted.node, node(1), "whichever address it comes from");
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn dial_to_all_addresses_works_though_the_first_is_dead() {
    let options = Options {
        connectx: true,
        ..Options::default()
    };
    let [first, second] = [1, 2].map(|id| [ip(4, 0, id), ip(4, 1, id)]);
    // Nobody listens on the node's first address.
    let mut b = transport(2, &second[1..], &[], options.clone());
    let there = vec![(second[0], b.local_address().port()).into(), b.local_address()];
    let mut a = transport(1, &first, &[(2, there)], options);
    b.set_roster(roster(
        2,
        &listening(&b, &second[1..]),
        &[(1, listening(&a, &first))],
    ));
    // On loopback the dead address refuses, so that the dial may end there; the attempt after it begins elsewhere.
    let dialed = (1..=2).find_map(|attempt| {
        let link = a.dial(node(2), Token(attempt)).expect("the dial starts");
        let told = until("the dial is told", || {
            turn(&mut a)
                .into_iter()
                .find(|told| matches!(told, Ready::Dialed(_) | Ready::Failed(..)))
        });
        (told == Ready::Dialed(Token(attempt))).then_some(link)
    });
    assert!(dialed.is_some(), "no attempt of two has come up");
    assert_eq!(accept(&mut b, Token(9)).node, node(1));
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn any_configured_address_lets_a_node_in_and_no_other() {
    let mut a = transport(1, &[ip(5, 0, 1)], &[], Options::default());
    let listening = a.local_address();
    let two: Vec<SocketAddr> = vec![(ip(5, 0, 2), 0).into(), (ip(5, 1, 2), 0).into()];
    a.set_roster(roster(1, &[listening], &[(2, two.clone())]));
    for source in two {
        let _foreign = connect_from(source, listening);
        let accepted = accept(&mut a, Token(u64::from(source.port()) + 1));
        assert_eq!(accepted.node, node(2));
        assert_eq!(accepted.link.peer_address().ip(), source.ip());
    }
    for stranger in [ip(5, 0, 3), ip(5, 0, 1)] {
        let before = a.refused();
        let mut foreign = connect_from((stranger, 0).into(), listening);
        // It may have sent already: the refusal is an orderly end all the same, never an ABORT.
        let _ = foreign.write(b"let me in");
        until("the stranger is refused", || {
            turn(&mut a);
            assert!(
                a.accept(Token(99)).expect("accept works").is_none(),
                "a stranger was accepted"
            );
            (a.refused() == before + 1).then_some(())
        });
        assert_eq!(foreign.read(&mut [0; 16]).expect("an orderly end"), 0);
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn node_stays_the_same_when_the_primary_path_changes() {
    let (mut a, mut b) = pair(6, &Options::default());
    let events = a.events();
    let (mut dialed, mut accepted) = join(&mut a, &mut b);
    let other = ip(6, 1, 2);
    wait_for_event(&mut a, &mut dialed, &events, LinkEvent::PathConfirmed(other));
    dialed
        .set_primary(other)
        .expect("a confirmed path can be primary");
    let primary = |link: &dlmwire_sctp::SctpLink| {
        let paths = link.paths().expect("an association has paths");
        paths
            .iter()
            .find(|path| path.primary)
            .map(|path| path.address.ip())
    };
    assert_eq!(primary(&dialed), Some(other));
    assert_eq!(send(&mut dialed, b"over the other path"), 19);
    assert_eq!(read_bytes(&mut b, &mut accepted, 19), b"over the other path");
    assert_eq!(
        dialed.peer_address(),
        (ip(6, 0, 2), b.local_address().port()).into()
    );
    let error = dialed
        .set_primary(ip(6, 1, 77))
        .expect_err("the peer has no such address");
    assert!(error.to_string().starts_with("make 127.41.6.77:"), "{error}");
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn preferred_address_is_primary_from_the_start() {
    let options = Options {
        primary: [(node(2), ip(7, 1, 2))].into(),
        ..Options::default()
    };
    let (mut a, mut b) = pair(7, &options);
    let (dialed, _accepted) = join(&mut a, &mut b);
    assert_eq!(dialed.peer_address().ip(), ip(7, 0, 2), "it dials as ever");
    let paths = dialed.paths().expect("an association has paths");
    assert!(
        paths
            .iter()
            .any(|path| path.primary && path.address.ip() == ip(7, 1, 2)),
        "{paths:?}"
    );
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn records_of_a_foreign_peer_are_a_stream_of_bytes() {
    let sent = pattern(300_000);
    // Notifications and records are read in pieces of every size, down to single bytes.
    for (round, size) in (1..).zip([1, 7, 100, 4096, 64 * 1024]) {
        let mut a = transport(1, &[ip(8, 0, 1)], &[], Options::default());
        let to = a.local_address();
        a.set_roster(roster(1, &[to], &[(2, vec![(ip(8, 0, 2), 0).into()])]));
        let mut foreign = connect_from((ip(8, 0, 2), 0).into(), to);
        let mut link = accept(&mut a, Token(round)).link;
        let bytes = if size == 1 { &sent[..5000] } else { &sent[..] };
        // Records much longer than ours and than a packet, so that they come in fragments.
        let parts: Vec<_> = bytes.chunks(60_000).collect();
        let writer = std::thread::spawn({
            let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
            move || {
                parts
                    .iter()
                    .for_each(|part| foreign.write_all(part).expect("it writes"));
                foreign
            }
        });
        let received = read_bytes(&mut a, &mut link, bytes.len());
        assert!(received == bytes, "reading {size} bytes at a time");
        drop(writer.join().expect("the writer ends"));
        let (rest, error) = read_to_end(&mut a, &mut link, size);
        assert!(
            rest.is_empty() && error.is_none(),
            "{} bytes, {error:?}",
            rest.len()
        );
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn slices_of_one_send_are_one_record() {
    let mut a = transport(1, &[ip(9, 0, 1)], &[], Options::default());
    let to = a.local_address();
    a.set_roster(roster(1, &[to], &[(2, vec![(ip(9, 0, 2), 0).into()])]));
    let mut foreign = connect_from((ip(9, 0, 2), 0).into(), to);
    let mut link = accept(&mut a, Token(1)).link;
    let sent = pattern(4096);
    // Few slices, many, and more than the system takes in one call.
    for part in [1000, 4, 3] {
        let slices: Vec<_> = sent.chunks(part).map(IoSlice::new).collect();
        assert_eq!(link.send(&slices).expect("there is room"), sent.len());
        let mut record = [0; 8192];
        // The reader's buffer is larger than a record, so that two would show.
        let count = foreign.read(&mut record).expect("a record comes");
        assert!(
            record[..count] == sent,
            "{count} bytes of {} slices",
            slices.len()
        );
    }
    let error = link
        .send(&[IoSlice::new(&sent), IoSlice::new(b"!")])
        .expect_err("a record has a limit");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(
        error
            .to_string()
            .ends_with(&format!("record of 4097 bytes exceeds {RECORD_BYTES_MAX}"))
    );
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn both_ends_learn_of_the_end_and_get_what_was_under_way() {
    let (mut a, mut b) = pair(10, &Options::default());
    let (from_a, from_b) = (pattern(4000), pattern(3999));
    for closer in 0..2 {
        let (mut dialed, mut accepted) = join(&mut a, &mut b);
        assert_eq!(send(&mut dialed, &from_a), from_a.len());
        assert_eq!(send(&mut accepted, &from_b), from_b.len());
        let closed = if closer == 0 {
            dialed.close_send()
        } else {
            accepted.close_send()
        };
        closed.expect("it closes");
        let (at_a, lost_a) = read_to_end(&mut a, &mut dialed, 100);
        let (at_b, lost_b) = read_to_end(&mut b, &mut accepted, 100);
        assert!(lost_a.is_none() && lost_b.is_none(), "{lost_a:?} {lost_b:?}");
        assert!(
            at_a == from_b && at_b == from_a,
            "{} and {} bytes",
            at_a.len(),
            at_b.len()
        );
        for link in [&mut dialed, &mut accepted] {
            let error = link.send(&[IoSlice::new(b"late")]).expect_err("it is closed");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
            link.close_send().expect("closed is closed");
            assert_eq!(link.receive(&mut [0; 8]).expect("the end stays"), Received::End);
        }
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn send_while_the_association_is_ending_is_a_broken_pipe() {
    let (mut a, mut b) = pair(11, &Options::default());
    let (mut dialed, _accepted) = join(&mut a, &mut b);
    dialed.close_send().expect("it closes");
    let error = dialed.send(&[IoSlice::new(b"late")]).expect_err("it is closing");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn drop_with_unread_bytes_is_an_orderly_end() {
    let (mut a, mut b) = pair(12, &Options::default());
    let events = a.events();
    for records in [1, 2000] {
        let (mut dialed, accepted) = join(&mut a, &mut b);
        (0..records).for_each(|_| assert_eq!(send(&mut dialed, &[7; 200]), 200));
        wait_for(&mut b, Ready::Readable(Token(2)));
        drop(accepted);
        let (_, error) = read_to_end(&mut a, &mut dialed, 100);
        assert!(error.is_none(), "{records} unread records: {error:?}");
        let told: Vec<_> = std::iter::from_fn(|| events.take())
            .map(|report| report.event)
            .collect();
        assert!(told.contains(&LinkEvent::PeerShutsDown), "{told:?}");
        assert!(
            !told.iter().any(|event| matches!(event, LinkEvent::Lost { .. })),
            "{told:?}"
        );
    }
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn abort_is_a_loss_with_its_cause() {
    let (mut a, mut b) = pair(13, &Options::default());
    let events = b.events();
    let (dialed, mut accepted) = join(&mut a, &mut b);
    dialed.abort();
    let (_, error) = read_to_end(&mut b, &mut accepted, 100);
    let error = error.expect("an abort is no end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    // User-initiated abort: cause 12 of RFC 9260.
    let text = format!("{}", LossReason::Aborted { cause: 12 });
    assert!(error.to_string().ends_with(&text), "{error}");
    let reported = std::iter::from_fn(|| events.take()).any(|report| {
        (report.token, report.node) == (Token(2), node(1)) && report.event == LinkEvent::Lost { cause: 12 }
    });
    assert!(reported);
    let error = accepted.send(&[IoSlice::new(b"late")]).expect_err("it is lost");
    assert_eq!(
        error.kind(),
        io::ErrorKind::ConnectionReset,
        "lost is another error than closed: {error}"
    );
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn refused_dial_names_node_address_and_reason() {
    let (mut a, b) = pair(14, &Options::default());
    let there = b.local_address();
    drop(b);
    let mut dialed = a.dial(node(2), Token(1)).expect("the dial starts");
    wait_for(&mut a, Ready::Failed(Token(1), io::ErrorKind::ConnectionRefused));
    let error = dialed.receive(&mut [0; 8]).expect_err("it never came up");
    assert_eq!(
        error.to_string(),
        format!("connect to node 2 at {there}: connection refused (os error 111)")
    );
    assert!(dialed.send(&[IoSlice::new(b"x")]).is_err());
    assert!(dialed.close_send().is_err());
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn port_can_be_bound_again_though_associations_are_ending() {
    let (mut a, mut b) = pair(15, &Options::default());
    let local = listening(&b, &[ip(15, 0, 2), ip(15, 1, 2)]);
    let (mut dialed, accepted) = join(&mut a, &mut b);
    drop(b);
    let again = SctpTransport::bind(roster(2, &local, &[]), Options::default());
    let again = again.expect("the port is free for a listener");
    assert_eq!(again.local_address(), local[0]);
    let second = SctpTransport::bind(roster(2, &local, &[]), Options::default());
    assert_eq!(
        second.map(drop).expect_err("there is one").kind(),
        io::ErrorKind::AddrInUse
    );
    drop(accepted);
    assert!(read_to_end(&mut a, &mut dialed, 100).1.is_none());
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn udp_encapsulation_and_mark_are_accepted_by_the_system() {
    let options = Options {
        udp_encapsulation_port: Some(9899),
        mark: Some(7),
        heartbeat_interval: Duration::from_millis(300),
        ..Options::default()
    };
    let a = transport(1, &[ip(16, 0, 1)], &[], options);
    assert_ne!(a.local_address().port(), 0);
}
