//! What is particular to the transport in memory, and how faults are injected.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_codec::NodeId;
use dlmwire_transport::memory::BACKLOG_MAX;
use dlmwire_transport::{
    Faulty, Link, MemoryNet, MemoryTransport, Plan, Ready, Received, Roster, Token, Transport,
};

const DEADLINE: Duration = Duration::from_secs(30);

fn node(id: u8) -> NodeId {
    NodeId::new(id.into()).expect("not 0")
}

/// Everybody knows the nodes 1 to 3, which listen on port 1.
fn roster(id: u8) -> Roster {
    let address = |id: u8| vec![([10, 0, 0, id], 1).into()];
    let peers = (1..=3)
        .filter(|peer| *peer != id)
        .map(|peer| (node(peer), address(peer)));
    Roster::new(node(id), address(id), peers).expect("a sound roster")
}

fn transport(net: &MemoryNet, id: u8) -> MemoryTransport {
    net.transport(roster(id)).expect("the address is free")
}

fn told(transport: &mut impl Transport) -> Vec<Ready> {
    let mut ready = Vec::new();
    transport
        .wait(&mut ready, Some(Duration::ZERO))
        .expect("wait works");
    ready
}

fn join<T: Transport>(a: &mut T, b: &mut T) -> (T::Link, T::Link) {
    let dialed = a.dial(node(2), Token(1)).expect("the dial starts");
    assert!(told(a).contains(&Ready::Dialed(Token(1))));
    (
        dialed,
        b.accept(Token(2))
            .expect("accept works")
            .expect("somebody waits")
            .link,
    )
}

#[test]
fn address_that_is_listened_on_is_refused() {
    let net = MemoryNet::new();
    let _first = transport(&net, 1);
    let error = net.transport(roster(1)).expect_err("in use");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), "listen on 10.0.0.1:1: address in use");
}

#[test]
fn dropped_transport_frees_its_address_and_loses_who_waits() {
    let net = MemoryNet::new();
    let (mut a, b) = (transport(&net, 1), transport(&net, 2));
    let mut waiting = a.dial(node(2), Token(1)).expect("the dial starts");
    drop(b);
    assert_eq!(told(&mut a), [Ready::Dialed(Token(1)), Ready::Readable(Token(1))]);
    let error = waiting.receive(&mut [0; 8]).expect_err("a loss");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let _again = transport(&net, 2);
}

#[test]
fn full_backlog_refuses() {
    let net = MemoryNet::new();
    let (mut a, _b) = (transport(&net, 1), transport(&net, 2));
    let tokens = 0..=u64::try_from(BACKLOG_MAX).expect("a small number");
    let _links: Vec<_> = tokens
        .map(|token| a.dial(node(2), Token(token)).expect("the dial starts"))
        .collect();
    let refused: Vec<_> = told(&mut a)
        .into_iter()
        .filter(|told| !matches!(told, Ready::Dialed(_)))
        .collect();
    assert_eq!(
        refused,
        [Ready::Failed(Token(128), io::ErrorKind::ConnectionRefused)]
    );
}

#[test]
fn transports_in_two_threads_exchange_bytes_by_waiting() {
    let net = MemoryNet::with_buffer_bytes(1000);
    let (mut a, mut b) = (transport(&net, 1), transport(&net, 2));
    let sent: Vec<u8> = (0..200_000_u32).map(|i| (i % 251).to_le_bytes()[0]).collect();
    let expected = sent.clone();
    let (tell, received) = sync_channel(1);
    thread::spawn(move || {
        let mut link = a.dial(node(2), Token(1)).expect("the dial starts");
        let (mut taken, mut ready) = (0, Vec::new());
        while taken < sent.len() {
            a.wait(&mut ready, None).expect("wait works");
            while let Ok(count) = link.send(&[IoSlice::new(&sent[taken..])])
                && count > 0
            {
                taken += count;
            }
        }
    });
    thread::spawn(move || {
        let mut ready = Vec::new();
        let mut link = loop {
            if let Some(accepted) = b.accept(Token(2)).expect("accept works") {
                break accepted.link;
            }
            b.wait(&mut ready, None).expect("wait works");
        };
        let (mut bytes, mut buffer) = (Vec::new(), [0; 300]);
        loop {
            match link.receive(&mut buffer) {
                Ok(Received::Bytes(count)) => bytes.extend_from_slice(&buffer[..count]),
                Ok(Received::End) => break,
                Err(_) => b.wait(&mut ready, None).expect("wait works"),
            }
        }
        tell.send(bytes).expect("the test listens");
    });
    let received = received.recv_timeout(DEADLINE).expect("both threads end in time");
    assert!(
        received == expected,
        "{} of {} bytes came",
        received.len(),
        expected.len()
    );
}

/// What a fixed sequence of calls meets under a plan.
fn trace(plan: &Plan) -> Vec<String> {
    let net = MemoryNet::new();
    let mut a = Faulty::new(transport(&net, 1), plan.clone());
    let mut b = Faulty::new(transport(&net, 2), plan.clone());
    let (mut dialed, mut accepted) = join(&mut a, &mut b);
    let mut buffer = [0; 64];
    let mut trace = Vec::new();
    for _ in 0..200 {
        trace.push(format!(
            "{:?}",
            dialed.send(&[IoSlice::new(&[1; 40]), IoSlice::new(&[2; 9])])
        ));
        trace.push(format!("{:?}", accepted.receive(&mut buffer)));
        trace.push(format!("{:?} {:?}", told(&mut a), told(&mut b)));
    }
    trace
}

#[test]
fn same_seed_gives_the_same_faults_and_another_seed_others() {
    let plan = Plan {
        seed: 1,
        short_send: 300,
        short_receive: 300,
        would_block: 100,
        would_block_calls_max: 5,
        ..Plan::default()
    };
    assert_eq!(trace(&plan), trace(&plan));
    assert_ne!(
        trace(&plan),
        trace(&Plan {
            seed: 2,
            ..plan.clone()
        })
    );
    let kinds: BTreeSet<_> = trace(&plan)
        .into_iter()
        .filter(|step| !step.starts_with('['))
        .collect();
    assert!(
        kinds.contains("Ok(1)") && kinds.contains("Ok(Bytes(1))"),
        "single bytes: {kinds:?}"
    );
    assert!(
        kinds.contains("Ok(49)") && kinds.contains("Err(Kind(WouldBlock))"),
        "whole and none: {kinds:?}"
    );
}

#[test]
fn no_plan_means_no_fault() {
    let steps = trace(&Plan::default());
    assert!(
        steps
            .chunks(3)
            .all(|step| step[0] == "Ok(49)" && step[1] == "Ok(Bytes(49))"),
        "{steps:?}"
    );
}

#[test]
fn reset_after_bytes_is_seen_at_both_ends() {
    for seed in 0..50 {
        let net = MemoryNet::new();
        let plan = Plan {
            seed,
            reset_after_bytes: 100..200,
            ..Plan::default()
        };
        let mut a = Faulty::new(transport(&net, 1), plan);
        let mut b = Faulty::new(transport(&net, 2), Plan::default());
        let (mut dialed, mut accepted) = join(&mut a, &mut b);
        let mut taken = 0;
        let error = loop {
            match dialed.send(&[IoSlice::new(&[0; 7])]) {
                Ok(count) => taken += count,
                Err(e) => break e,
            }
            assert!(taken < 207, "seed {seed}: {taken} bytes without a reset");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(taken >= 100, "seed {seed}: a reset after {taken} bytes");
        assert!(told(&mut b).contains(&Ready::Readable(Token(2))));
        let error = accepted.receive(&mut [0; 8]).expect_err("a loss");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn refused_dial_is_told_and_a_delayed_accept_is_told_again() {
    let net = MemoryNet::new();
    let mut a = Faulty::new(
        transport(&net, 1),
        Plan {
            seed: 3,
            refused_dial: 500,
            ..Plan::default()
        },
    );
    let mut b = Faulty::new(
        transport(&net, 2),
        Plan {
            seed: 3,
            delayed_accept: 500,
            ..Plan::default()
        },
    );
    let _links: Vec<_> = (0..40)
        .map(|token| a.dial(node(2), Token(token)).expect("the dial starts"))
        .collect();
    let outcomes = told(&mut a);
    let dialed = outcomes
        .iter()
        .filter(|told| matches!(told, Ready::Dialed(_)))
        .count();
    let refused = outcomes
        .iter()
        .filter(|told| matches!(told, Ready::Failed(..)))
        .count();
    assert_eq!(dialed + refused, 40, "{outcomes:?}");
    assert!(dialed > 5 && refused > 5, "{dialed} dialed, {refused} refused");
    let (mut accepted, mut rounds, start) = (0, 0, Instant::now());
    let mut ends = Vec::new();
    while told(&mut b).contains(&Ready::Incoming) {
        rounds += 1;
        while let Some(end) = b.accept(Token(1000 + accepted)).expect("accept works") {
            accepted += 1;
            ends.push(end);
        }
        assert!(start.elapsed() < DEADLINE);
    }
    // A refused dial has reached the other side too, and was given up there.
    assert_eq!(accepted, 40);
    assert!(rounds > 5, "{rounds} rounds are no delay");
}
