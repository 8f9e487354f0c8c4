//! How sockets are set, and what is seen of closes and resets.

mod common;

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use common::*;
use dlmwire_tcp::{Keepalive, Options, TcpTransport};
use dlmwire_transport::{Link, Ready, Received, Token, Transport};
use socket2::{Domain, SockRef, Socket, Type};

#[test]
fn both_ends_of_a_link_are_set_as_asked() {
    let keepalive = Keepalive {
        idle: Duration::from_secs(7),
        interval: Duration::from_secs(2),
        probes: 3,
    };
    let options = Options {
        keepalive: Some(keepalive),
        user_timeout: Some(Duration::from_millis(4321)),
        congestion: Some("reno".to_owned()),
        ..Options::default()
    };
    let (mut a, mut b) = pair(ip(1, 1), ip(1, 2), &options);
    let (dialed, accepted) = join(&mut a, &mut b);
    for socket in [SockRef::from(&dialed), SockRef::from(&accepted)] {
        assert!(socket.tcp_nodelay().expect("readable"));
        assert!(socket.keepalive().expect("readable"));
        assert_eq!(socket.tcp_keepalive_time().expect("readable"), keepalive.idle);
        assert_eq!(
            socket.tcp_keepalive_interval().expect("readable"),
            keepalive.interval
        );
        assert_eq!(
            socket.tcp_keepalive_retries().expect("readable"),
            keepalive.probes
        );
        assert_eq!(socket.tcp_user_timeout().expect("readable"), options.user_timeout);
        let congestion = socket.tcp_congestion().expect("readable");
        assert!(congestion.starts_with(b"reno"), "{congestion:?}");
    }
}

#[test]
fn default_options_watch_idle_links() {
    let (mut a, mut b) = pair(ip(2, 1), ip(2, 2), &Options::default());
    let (dialed, accepted) = join(&mut a, &mut b);
    for socket in [SockRef::from(&dialed), SockRef::from(&accepted)] {
        assert_eq!(
            socket.tcp_keepalive_time().expect("readable"),
            Duration::from_secs(5)
        );
        assert_eq!(
            socket.tcp_user_timeout().expect("readable"),
            Some(Duration::from_secs(10))
        );
    }
}

#[test]
fn dial_comes_from_the_configured_address_and_a_free_port() {
    let (mut a, mut b) = pair(ip(3, 1), ip(3, 2), &Options::default());
    let (dialed, accepted) = join(&mut a, &mut b);
    let source = accepted.peer_address();
    assert_eq!(source.ip(), ip(3, 1));
    assert_ne!(
        source.port(),
        a.local_address().port(),
        "the listening port is not the source"
    );
    assert_eq!(
        SockRef::from(&dialed).local_addr().expect("readable").as_socket(),
        Some(source)
    );
}

#[test]
fn options_that_the_system_refuses_are_named_with_their_value() {
    let bind = |options| {
        let error = TcpTransport::bind(roster(1, (ip(4, 1), 0).into(), &[]), options).expect_err("refused");
        error.to_string()
    };
    let text = bind(Options {
        congestion: Some("no-such".to_owned()),
        ..Options::default()
    });
    assert!(
        text.starts_with("listen on 127.24.4.1:0: set congestion control \"no-such\": "),
        "{text}"
    );
    let keepalive = Keepalive {
        idle: Duration::ZERO,
        ..Keepalive::default()
    };
    let text = bind(Options {
        keepalive: Some(keepalive),
        ..Options::default()
    });
    assert!(
        text.contains("set keepalive idle 0ns, interval 1s, probes 5: invalid argument"),
        "{text}"
    );
}

#[test]
fn mark_is_set_or_its_refusal_names_the_capability() {
    let options = Options {
        mark: Some(77),
        ..Options::default()
    };
    match TcpTransport::bind(roster(1, (ip(5, 1), 0).into(), &[]), options.clone()) {
        Ok(_) => {
            let (mut a, mut b) = pair(ip(5, 2), ip(5, 3), &options);
            let (dialed, accepted) = join(&mut a, &mut b);
            assert_eq!(SockRef::from(&dialed).mark().expect("readable"), 77);
            assert_eq!(SockRef::from(&accepted).mark().expect("readable"), 77);
        }
        Err(e) => assert!(
            e.to_string().contains("set SO_MARK 77 (needs CAP_NET_ADMIN)"),
            "{e}"
        ),
    }
}

#[test]
fn second_listener_on_an_address_is_refused_by_name() {
    let first = transport(1, ip(6, 1), &[], Options::default());
    let second = TcpTransport::bind(roster(1, first.local_address(), &[]), Options::default());
    let error = second.expect_err("the address is in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(
        error
            .to_string()
            .starts_with(&format!("listen on {}: ", first.local_address())),
        "{error}"
    );
}

#[test]
fn failed_dial_tells_operation_peer_and_reason() {
    let (mut a, b) = pair(ip(7, 1), ip(7, 2), &Options::default());
    let peer = b.local_address();
    drop(b);
    let mut link = a.dial(node(2), Token(9)).expect("the dial starts");
    wait_for(&mut a, Ready::Failed(Token(9), io::ErrorKind::ConnectionRefused));
    let error = link.receive(&mut [0; 8]).expect_err("a failed link");
    let source = error
        .get_ref()
        .and_then(Error::source)
        .and_then(|source| source.downcast_ref::<io::Error>());
    assert!(
        source.is_some_and(|source| source.raw_os_error().is_some()),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .starts_with(&format!("connect to node 2 at {peer}: connection refused")),
        "{error}"
    );
}

/// A dial that nobody answers ends with the user timeout, not after the system's two minutes.
#[test]
fn unanswered_dial_fails_at_the_user_timeout() {
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    deaf.bind(&SocketAddr::from((ip(16, 2), 0)).into())
        .expect("it can be bound");
    deaf.listen(1).expect("it can listen");
    let peer = deaf
        .local_addr()
        .expect("readable")
        .as_socket()
        .expect("an IP address");
    // A listener that never accepts keeps two; the system lets further dials go unanswered.
    let _waiting = [connect_from(ip(16, 3), peer), connect_from(ip(16, 3), peer)];
    let options = Options {
        user_timeout: Some(Duration::from_millis(1500)),
        ..Options::default()
    };
    let mut a = transport(1, ip(16, 1), &[(2, peer)], options);
    let _dialed = a.dial(node(2), Token(1)).expect("the dial starts");
    wait_for(&mut a, Ready::Failed(Token(1), io::ErrorKind::TimedOut));
}

/// The price of the user timeout: a full window counts as a dead line.
#[test]
fn live_peer_that_reads_nothing_is_lost_at_the_user_timeout() {
    let options = Options {
        user_timeout: Some(Duration::from_millis(1500)),
        ..Options::default()
    };
    let (mut a, mut b) = pair(ip(17, 1), ip(17, 2), &options);
    let (mut dialed, _accepted) = join(&mut a, &mut b);
    let piece = pattern(1 << 20);
    until("the sender is blocked", || {
        (send(&mut dialed, &piece) == 0).then_some(())
    });
    wait_for(&mut a, Ready::Readable(Token(1)));
    let error = dialed.receive(&mut [0; 8]).expect_err("the link is lost");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[test]
fn token_that_is_taken_or_too_great_is_refused() {
    let (mut a, mut b) = pair(ip(8, 1), ip(8, 2), &Options::default());
    let _links = join(&mut a, &mut b);
    for token in [1, u64::MAX] {
        let error = a
            .dial(node(2), Token(token))
            .map(drop)
            .expect_err("no second link of this name");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    }
}

#[test]
fn abort_gives_the_peer_a_reset_and_close_an_end() {
    let mut a = transport(1, ip(9, 1), &[(2, (ip(9, 2), 0).into())], Options::default());
    let mut foreign = connect_from(ip(9, 2), a.local_address());
    accept(&mut a, Token(1)).abort();
    let error = foreign.read(&mut [0; 8]).expect_err("a reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let mut foreign = connect_from(ip(9, 2), a.local_address());
    drop(accept(&mut a, Token(2)));
    assert_eq!(foreign.read(&mut [0; 8]).expect("an end"), 0);
}

/// The transport's part of B5: the loss of an idle link is told at once, with nothing queued.
#[test]
fn reset_of_an_idle_link_is_told_with_operation_and_peer() {
    let (mut a, mut b) = pair(ip(10, 1), ip(10, 2), &Options::default());
    let (mut dialed, accepted) = join(&mut a, &mut b);
    accepted.abort();
    wait_for(&mut a, Ready::Readable(Token(1)));
    let error = dialed.receive(&mut [0; 8]).expect_err("a loss");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let start = format!("receive from node 2 at {}: connection reset", b.local_address());
    assert!(error.to_string().starts_with(&start), "{error}");
}

/// A receive that brings the last bytes is short and does not say so; the end behind them is told again.
#[test]
fn end_that_came_with_the_bytes_is_told_after_a_short_receive() {
    let mut a = transport(1, ip(11, 1), &[(2, (ip(11, 2), 0).into())], Options::default());
    let mut foreign = connect_from(ip(11, 2), a.local_address());
    let mut link = accept(&mut a, Token(1));
    foreign.write_all(b"last words").expect("there is room");
    foreign.shutdown(Shutdown::Write).expect("open until now");
    wait_for(&mut a, Ready::Readable(Token(1)));
    // On loopback both have come now; if not, the end comes with readiness of its own.
    let mut buffer = [0; 64];
    assert_eq!(link.receive(&mut buffer).expect("bytes"), Received::Bytes(10));
    wait_for(&mut a, Ready::Readable(Token(1)));
    assert_eq!(link.receive(&mut buffer).expect("an end"), Received::End);
}

/// After the end is received, room for the open direction does not tell the end again and again.
#[test]
fn received_end_is_told_no_more_while_sending_goes_on() {
    let mut a = transport(1, ip(12, 1), &[(2, (ip(12, 2), 0).into())], Options::default());
    let mut foreign = connect_from(ip(12, 2), a.local_address());
    let mut link = accept(&mut a, Token(1));
    foreign.shutdown(Shutdown::Write).expect("open until now");
    assert!(read_to_end(&mut a, &mut link).0.is_empty());
    turn(&mut a);
    let piece = pattern(1 << 20);
    until("the sender is blocked", || {
        (send(&mut link, &piece) == 0).then_some(())
    });
    let mut rest = vec![0; 1 << 20];
    let told = until("room is told", || {
        let _ = foreign.read(&mut rest).expect("bytes");
        let told = turn(&mut a);
        told.contains(&Ready::Writable(Token(1))).then_some(told)
    });
    assert_eq!(told, [Ready::Writable(Token(1))]);
}

/// Room is told only to those who lack it: bytes that come tell no room.
#[test]
fn link_with_room_is_not_told_writable() {
    let (mut a, mut b) = pair(ip(13, 1), ip(13, 2), &Options::default());
    let (_dialed, mut accepted) = join(&mut a, &mut b);
    for _ in 0..3 {
        assert_eq!(send(&mut accepted, b"bytes"), 5);
        let told = until("something is told", || {
            Some(turn(&mut a)).filter(|told| !told.is_empty())
        });
        assert_eq!(told, [Ready::Readable(Token(1))]);
    }
}

/// Proves B7.
#[test]
fn peer_that_closes_its_direction_gets_a_queued_mebibyte_and_then_the_end() {
    let mut a = transport(1, ip(14, 1), &[(2, (ip(14, 2), 0).into())], Options::default());
    let mut foreign = connect_from(ip(14, 2), a.local_address());
    SockRef::from(&foreign)
        .set_recv_buffer_size(64 * 1024)
        .expect("a small buffer");
    let mut link = accept(&mut a, Token(1));
    SockRef::from(&link)
        .set_send_buffer_size(64 * 1024)
        .expect("a small buffer");
    let queued = pattern(1 << 20);
    let mut sent = send(&mut link, &queued);
    assert!(sent < queued.len(), "small buffers do not take a mebibyte");
    foreign.shutdown(Shutdown::Write).expect("open until now");
    let (received, error) = read_to_end(&mut a, &mut link);
    assert!(
        received.is_empty() && error.is_none(),
        "the peer's close is an end: {error:?}"
    );
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        foreign.read_to_end(&mut received).map(|_| received)
    });
    until("everything is sent", || {
        if turn(&mut a).contains(&Ready::Writable(Token(1))) {
            sent += send(&mut link, &queued[sent..]);
        }
        (sent == queued.len()).then_some(())
    });
    drop(link);
    let received = reader
        .join()
        .expect("no panic")
        .expect("an orderly end, no reset");
    assert!(
        received == queued,
        "{} of {} bytes came",
        received.len(),
        queued.len()
    );
}

/// Proves C17.
#[test]
fn both_sides_close_their_direction_under_load_and_lose_nothing() {
    let (mut a, mut b) = pair(ip(15, 1), ip(15, 2), &Options::default());
    let (mut dialed, mut accepted) = join(&mut a, &mut b);
    let whole = pattern(3 << 20);
    let (mut sent, mut closed) = ([0; 2], [false; 2]);
    let mut received = [Vec::new(), Vec::new()];
    let mut ended = [false; 2];
    let mut buffer = vec![0; 8192];
    until("both directions have ended", || {
        for (side, link) in [&mut dialed, &mut accepted].into_iter().enumerate() {
            sent[side] += send(link, &whole[sent[side]..]);
            if sent[side] == whole.len() && !closed[side] {
                link.close_send().expect("a live link");
                closed[side] = true;
            }
            match link.receive(&mut buffer) {
                Ok(Received::Bytes(count)) => received[side].extend_from_slice(&buffer[..count]),
                Ok(Received::End) => ended[side] = true,
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "{e}"),
            }
        }
        (ended == [true; 2] && closed == [true; 2]).then_some(())
    });
    assert!(
        received[0] == whole && received[1] == whole,
        "both directions are whole"
    );
}
