//! Who is let in: strangers, storms of them, and what happens when descriptors run out.

mod common;

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use common::*;
use dlmwire_tcp::Options;
use dlmwire_transport::{Link, Ready, Token, Transport};

#[test]
fn stranger_is_closed_without_a_byte_and_counted() {
    let mut a = transport(1, ip(21, 1), &[(2, (ip(21, 2), 0).into())], Options::default());
    let mut stranger = connect_from(ip(21, 3), a.local_address());
    until("the stranger is refused", || {
        turn(&mut a);
        assert!(
            a.accept(Token(1)).expect("accept works").is_none(),
            "a stranger was accepted"
        );
        (a.refused() == 1).then_some(())
    });
    let mut received = Vec::new();
    stranger.read_to_end(&mut received).expect("an orderly end");
    assert!(received.is_empty());
}

#[test]
fn our_own_address_is_a_stranger() {
    let mut a = transport(1, ip(22, 1), &[(2, (ip(22, 2), 0).into())], Options::default());
    let _own = connect_from(ip(22, 1), a.local_address());
    until("it is refused", || {
        turn(&mut a);
        assert!(
            a.accept(Token(1)).expect("accept works").is_none(),
            "we accepted ourselves"
        );
        (a.refused() == 1).then_some(())
    });
}

#[test]
fn one_accept_turns_away_no_more_strangers_than_allowed() {
    let options = Options {
        strangers_max: 3,
        ..Options::default()
    };
    let mut a = transport(1, ip(23, 1), &[(2, (ip(23, 2), 0).into())], options);
    let _strangers: Vec<_> = (0..10)
        .map(|_| connect_from(ip(23, 3), a.local_address()))
        .collect();
    let mut turns = 0;
    until("all strangers are refused", || {
        let before = a.refused();
        // Who is left waiting must be told again, though nothing new came.
        wait_for(&mut a, Ready::Incoming);
        assert!(a.accept(Token(1)).expect("accept works").is_none());
        let refused = a.refused() - before;
        assert!(refused <= 3, "{refused} strangers in one call");
        turns += 1;
        (a.refused() == 10).then_some(())
    });
    assert!(turns >= 4, "ten strangers, three a call, took {turns} calls");
}

#[test]
fn peers_get_in_and_links_go_on_amid_ten_thousand_strangers() {
    const STRANGERS: u64 = 10_000;
    let mut a = transport(1, ip(24, 1), &[(2, (ip(24, 2), 0).into())], Options::default());
    let mut b = transport(2, ip(24, 2), &[(1, a.local_address())], Options::default());
    let to = a.local_address();
    let refused = Arc::new(AtomicU64::new(0));
    let storm = thread::spawn({
        let refused = Arc::clone(&refused);
        move || {
            for sent in 0..STRANGERS {
                // As many wait at any time as the system keeps; further ones it would put off by seconds.
                while sent - refused.load(Ordering::SeqCst) >= 100 {
                    thread::yield_now();
                }
                // From 127.0.0.1, the system's choice, which is nobody's.
                TcpStream::connect_timeout(&to, DEADLINE).expect("it connects");
            }
        }
    });
    let mut rounds = 0;
    until("the storm is over", || {
        // A peer comes again and again; each time it must be let in before the next round.
        rounds += 1;
        let token = Token(rounds);
        let dialed = b.dial(node(1), token).expect("the dial starts");
        let accepted = until("a peer is let in amid the storm", || {
            let told = turn(&mut a).contains(&Ready::Incoming);
            let accepted = told.then(|| a.accept(token).expect("accept works")).flatten();
            refused.store(a.refused(), Ordering::SeqCst);
            accepted
        });
        assert_eq!(accepted.node, node(2));
        dialed.abort();
        (a.refused() == STRANGERS).then_some(())
    });
    storm.join().expect("the storm ends");
    assert!(rounds > 1, "the storm outlasts one round");
}

/// Runs the test below with few descriptors, in a process of its own.
#[test]
fn accept_without_descriptors_is_an_error_and_the_connection_is_told_again() {
    let few = ["sh", "-c", "ulimit -n 64 && exec \"$@\"", "sh"];
    assert!(run_behind(&few, "few_descriptors"), "a shell can lower its limit");
}

#[test]
#[ignore = "uses up the descriptors of its process; run by the test above"]
fn few_descriptors() {
    if !is_inside() {
        return;
    }
    let mut a = transport(1, ip(25, 1), &[(2, (ip(25, 2), 0).into())], Options::default());
    let foreign: TcpStream = connect_from(ip(25, 2), a.local_address());
    wait_for(&mut a, Ready::Incoming);
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    for _ in 0..3 {
        let error = a.accept(Token(1)).map(drop).expect_err("no descriptor is left");
        assert!(
            error
                .to_string()
                .starts_with(&format!("accept on {}: ", a.local_address())),
            "{error}"
        );
        assert_ne!(error.kind(), io::ErrorKind::WouldBlock);
        // The system does not tell again, so the transport must; after a pause, not at once.
        wait_for(&mut a, Ready::Incoming);
    }
    drop(files);
    let accepted = a
        .accept(Token(1))
        .expect("descriptors are back")
        .expect("the connection still waits");
    assert_eq!(accepted.node, node(2));
    assert_eq!(Some(accepted.link.peer_address()), foreign.local_addr().ok());
}
