//! The chaos proxy between plain TCP peers on loopback: each fault does what it says and nothing else.

mod bench;
mod schedules;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_interop::chaos::{
    Config, Direction, Event, Fault, InjectError, Kind, Plan, Proxy, Schedule, Side, Target,
};
use socket2::{Domain, SockRef, Socket, Type};

use bench::{Bench, DEADLINE, exchange, pattern, quiet, read_all, seeded, wait_for};

#[test]
fn faults_that_only_hold_back_leave_every_byte_in_its_place() {
    let rows = [
        (Kind::Split, "2K,gap_us=0"),
        (Kind::Split, "@7,pieces=100,bytes=1,gap_us=100"),
        (Kind::Coalesce, "10K,bytes=1..8K,ms=1..3"),
        (Kind::Delay, "10K,ms=0..3"),
        (Kind::Stall, "20K,ms=1..5"),
        (Kind::Bandwidth, "@0,rate=2M"),
        (Kind::Bandwidth, "50K,rate=1M..4M,bytes=1..10K"),
    ];
    let bytes = pattern(100_000);
    let one_by_one = rows.iter().map(std::slice::from_ref);
    for rates in one_by_one.chain([rows.as_slice()]) {
        let bench = Bench::new(seeded(1, rates));
        let [at_server, at_client] = exchange(&bench, &bytes, 3000);
        assert!(at_server == bytes && at_client == bytes, "{rates:?}");
        let (summary, events) = bench.finish();
        assert!(!events.is_empty(), "{rates:?}");
        assert_eq!(
            (summary.forward_bytes, summary.back_bytes),
            (100_000, 100_000),
            "{rates:?}"
        );
        assert_eq!((summary.dropped_bytes, summary.open), (0, 0), "{rates:?}");
    }
}

#[test]
fn coalesced_bytes_arrive_together() {
    let bench = Bench::new(seeded(
        1,
        &[(Kind::Coalesce, "@0,bytes=1000,ms=3600000,way=forward")],
    ));
    let (mut client, mut server) = bench.connect();
    for chunk in pattern(1000).chunks(100) {
        client.write_all(chunk).unwrap();
    }
    let mut buffer = [0; 2000];
    let count = server.read(&mut buffer).unwrap();
    assert_eq!(buffer[..count], pattern(1000));
}

#[test]
fn rst_is_seen_by_whom_it_is_meant_for_at_its_byte() {
    let reset = Err(ErrorKind::ConnectionReset);
    for (side, at_server, at_client) in [
        ("both", reset, reset),
        ("client", Ok(()), reset),
        ("server", reset, Ok(())),
    ] {
        let bench = Bench::new(seeded(
            1,
            &[(Kind::Rst, &format!("@1000,way=forward,side={side}"))],
        ));
        let (mut client, mut server) = bench.connect();
        client.write_all(&pattern(1000)).unwrap();
        assert_eq!(read_all(&mut server), (pattern(1000), at_server), "{side}");
        assert_eq!(read_all(&mut client), (vec![], at_client), "{side}");
        drop((client, server));
        bench.await_told("ended by rst");
    }
}

#[test]
fn rst_at_byte_0_comes_before_the_first_byte() {
    let bench = Bench::new(seeded(1, &[(Kind::Rst, "@0,way=back,side=both")]));
    let reset = (vec![], Err(ErrorKind::ConnectionReset));
    assert_eq!(bench.dial_to_be_ended(), reset);
    assert_eq!(read_all(&mut bench.accept()), reset);
}

#[test]
fn fin_ends_one_way_and_leaves_the_other_alive() {
    let bench = Bench::new(seeded(1, &[(Kind::Fin, "@100,way=forward")]));
    let (mut client, mut server) = bench.connect();
    client.write_all(&pattern(300)).unwrap();
    assert_eq!(read_all(&mut server), (pattern(100), Ok(())));
    server.write_all(&pattern(5000)).unwrap();
    client.write_all(&pattern(50)).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client), (pattern(5000), Ok(())));
    client.shutdown(Shutdown::Write).unwrap();
    bench.await_told("closed");
    let (summary, _) = bench.finish();
    assert_eq!(
        (summary.forward_bytes, summary.back_bytes, summary.dropped_bytes),
        (100, 5000, 250)
    );
}

#[test]
fn close_ends_both_ways_cleanly() {
    let bench = Bench::new(seeded(1, &[(Kind::Close, "@100,way=back")]));
    let (mut client, mut server) = bench.connect();
    server.write_all(&pattern(300)).unwrap();
    assert_eq!(read_all(&mut client), (pattern(100), Ok(())));
    assert_eq!(read_all(&mut server), (vec![], Ok(())));
    bench.await_told("ended by close");
}

#[test]
fn stall_stops_one_way_for_its_time_and_then_goes_on() {
    let bench = Bench::new(seeded(1, &[(Kind::Stall, "@10,ms=300,way=forward")]));
    let (mut client, mut server) = bench.connect();
    let start = Instant::now();
    client.write_all(&pattern(100)).unwrap();
    let mut first = [0; 10];
    server.read_exact(&mut first).unwrap();
    bench.await_told("stall 300 ms");
    // The other way is free.
    server.write_all(b"back").unwrap();
    let mut back = [0; 4];
    client.read_exact(&mut back).unwrap();
    let mut rest = [0; 90];
    server.read_exact(&mut rest).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!([&first[..], &rest[..]].concat(), pattern(100));
}

#[test]
fn half_open_swallows_both_ways_then_resets() {
    let bench = Bench::new(seeded(1, &[(Kind::HalfOpen, "@10,ms=300,way=forward")]));
    let (mut client, mut server) = bench.connect();
    let start = Instant::now();
    client.write_all(&pattern(1000)).unwrap();
    bench.await_told("half-open");
    // Neither bytes nor an end come through, and nobody is told.
    server.write_all(&pattern(1000)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!(read_all(&mut server), (pattern(10), reset));
    assert_eq!(read_all(&mut client), (vec![], reset));
    assert!(start.elapsed() >= Duration::from_millis(300));
    bench.await_told("ended by half_open");
    assert_eq!(bench.finish().0.dropped_bytes, 1990);
}

#[test]
fn server_sees_the_address_that_the_proxy_is_to_dial_from() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    for (from, expected) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.3.2.1", "127.3.2.1"),
        ("client", "127.0.7.7"),
    ] {
        let bench = Bench::with(quiet(), from);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket
            .bind(&SocketAddr::new(address("127.0.7.7"), 0).into())
            .unwrap();
        socket.connect(&bench.address.into()).unwrap();
        let server = bench.accept();
        assert_eq!(server.peer_addr().unwrap().ip(), address(expected), "{from}");
    }
}

#[test]
fn two_nodes_behind_two_routes_know_each_other_by_address() {
    let [a, b] = ["127.0.0.1", "127.0.0.2"].map(|address| {
        let listener = TcpListener::bind((address, 0)).unwrap();
        (address.parse::<IpAddr>().unwrap(), listener)
    });
    let (to_a, to_b) = (a.1.local_addr().unwrap(), b.1.local_addr().unwrap());
    let routes = [
        format!("127.0.0.2:0={to_b},{}", a.0),
        format!("127.0.0.1:0={to_a},{}", b.0),
    ];
    let config = Config {
        routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        run_time: Some(DEADLINE * 2),
        ..Config::default()
    };
    let proxy = Proxy::bind(config).unwrap();
    let (handle, routes) = (proxy.handle(), proxy.routes());
    let thread = thread::spawn(move || proxy.run(|_| {}));
    // Each dials what it was told is the other: the other's address, the proxy's port.
    for (route, dialler, dialled) in [(0, &a, &b), (1, &b, &a)] {
        assert_eq!(routes[route].listen.ip(), dialled.0);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(dialler.0, 0).into()).unwrap();
        socket.connect(&routes[route].listen.into()).unwrap();
        dialled.1.set_nonblocking(true).unwrap();
        let mut seen = None;
        wait_for("a connection", || {
            seen = dialled.1.accept().ok().map(|(_, from)| from.ip());
            seen.is_some()
        });
        assert_eq!(seen, Some(dialler.0));
    }
    handle.stop().unwrap();
    assert_eq!(thread.join().unwrap().unwrap().connections, 2);
}

#[test]
fn reader_that_stops_stops_the_sender_and_loses_nothing() {
    let bench = Bench::new(quiet());
    let (mut client, mut server) = bench.connect();
    client.set_nonblocking(true).unwrap();
    let bytes = pattern(1 << 16);
    let (mut sent, mut refused) = (0, 0);
    // Blocked for a while, not only until the proxy's next turn.
    while refused < 200 {
        match client.write(&bytes[sent % bytes.len()..]) {
            Ok(count) => (sent, refused) = (sent + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                refused += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(sent < 256 << 20, "nothing stops the sender");
    }
    let held = bench.handle.summary().buffered_bytes_max;
    assert!((1..=64 << 10).contains(&held), "{held}");
    client.shutdown(Shutdown::Write).unwrap();
    let (received, ended) = read_all(&mut server);
    assert_eq!((received.len(), ended), (sent, Ok(())));
    assert!(
        received
            .chunks(bytes.len())
            .all(|chunk| *chunk == bytes[..chunk.len()])
    );
}

#[test]
fn refused_connection_is_reset_and_nobody_listens_for_a_time() {
    let bench = Bench::new(seeded(1, &[(Kind::Refuse, "@2,ms=300")]));
    let (mut client, mut server) = bench.connect();
    let start = Instant::now();
    assert_eq!(
        bench.dial_to_be_ended(),
        (vec![], Err(ErrorKind::ConnectionReset))
    );
    bench.await_told("refuse for 300 ms");
    let mut outcomes = Vec::new();
    wait_for("the proxy to listen again", || {
        let outcome = TcpStream::connect_timeout(&bench.address, DEADLINE);
        outcomes.push(outcome.as_ref().err().map(io::Error::kind));
        outcome.is_ok()
    });
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(outcomes.pop(), Some(None));
    assert!(
        outcomes
            .iter()
            .all(|outcome| *outcome == Some(ErrorKind::ConnectionRefused)),
        "{outcomes:?}"
    );
    // Who was connected before is not concerned.
    client.write_all(b"still there").unwrap();
    let mut bytes = [0; 11];
    server.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"still there");
}

#[test]
fn ends_and_resets_of_the_peers_pass_through() {
    let bench = Bench::new(quiet());
    let (mut client, mut server) = bench.connect();
    client.write_all(&pattern(100)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), (pattern(100), Ok(())));
    server.write_all(&pattern(200)).unwrap();
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    let mut bytes = vec![0; 200];
    client.read_exact(&mut bytes).unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), (vec![], Err(ErrorKind::ConnectionReset)));
    bench.await_told("reset by the server");

    // Nobody reads from a side that has ended: the reset comes through nevertheless.
    let (client, mut server) = bench.connect();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), (vec![], Ok(())));
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    bench.await_told("reset by the client");
    assert_eq!(bench.finish().0.open, 0);
}

#[test]
fn server_that_does_not_listen_resets_the_client_and_is_told() {
    let bench = Bench::deaf(quiet(), "127.0.0.1");
    assert_eq!(
        bench.dial_to_be_ended(),
        (vec![], Err(ErrorKind::ConnectionReset))
    );
    bench.await_told("cannot connect onward: Connection refused");
    bench.await_told("not connected onward");
    SockRef::from(&bench.server).listen(8).unwrap();
    bench.connect();
}

#[test]
fn faults_asked_for_are_done_now() {
    let bench = Bench::new(quiet());
    let (mut client, mut server) = bench.connect();
    bench.await_told("open");
    client.write_all(&pattern(10)).unwrap();
    let mut first = [0; 10];
    server.read_exact(&mut first).unwrap();
    let forward = Target {
        route: 1,
        connection: Some(1),
        direction: Direction::Forward,
    };
    bench
        .handle
        .inject(forward, Fault::Stall { ms: 3_600_000 })
        .unwrap();
    bench.await_told("forward at byte 10: stall");
    client.write_all(&pattern(10)).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let stalled = server.read(&mut first).unwrap_err().kind();
    assert!(
        matches!(stalled, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{stalled}"
    );

    let nobody = Target {
        connection: Some(7),
        ..forward
    };
    bench.handle.inject(nobody, Fault::Stall { ms: 1 }).unwrap();
    wait_for("a miss", || bench.handle.summary().missed == 1);
    let wrong = bench.handle.inject(forward, Fault::Flip { mask: 0 });
    assert!(matches!(wrong, Err(InjectError::Fault(_))), "{wrong:?}");

    bench.handle.cut(1).unwrap();
    for stream in [&mut client, &mut server] {
        assert_eq!(read_all(stream), (vec![], Err(ErrorKind::ConnectionReset)));
    }
    let (summary, events) = bench.finish();
    assert_eq!(
        summary.faults.into_iter().collect::<Vec<_>>(),
        [("rst", 1), ("stall", 1)]
    );
    assert!(events.contains(&Event {
        route: 1,
        connection: 1,
        direction: Direction::Forward,
        at_byte: 10,
        fault: Fault::Rst { side: Side::Both },
    }));
}

#[test]
fn two_hundred_connections_end_and_none_is_left() {
    let rates = [
        (Kind::Rst, "3K"),
        (Kind::Fin, "3K"),
        (Kind::Close, "3K"),
        (Kind::HalfOpen, "8K,ms=1..20"),
    ];
    let bench = Bench::new(seeded(9, &rates));
    let bytes = pattern(1000);
    for _ in 0..200 {
        let (mut client, mut server) = bench.connect();
        for _ in 0..4 {
            // Whichever end is gone by now is what the faults are for.
            let _ = client.write_all(&bytes);
            let _ = server.write_all(&bytes);
        }
    }
    wait_for("all connections to be over", || bench.handle.summary().open == 0);
    let ends = |told: &[String]| {
        told.iter()
            .filter(|line| line.contains(" bytes forward, "))
            .count()
    };
    wait_for("all ends to be told", || ends(&bench.told.lock().unwrap()) == 200);
    let (summary, _) = bench.finish();
    assert_eq!(summary.connections, 200);
    for kind in ["rst", "fin", "close", "half_open"] {
        assert!(
            summary.faults.get(kind) > Some(&0),
            "{kind}: {:?}",
            summary.faults
        );
    }
}

#[test]
fn configurations_that_cannot_be_are_refused_by_place_and_value() {
    let line = r#"{"route":2,"connection":1,"direction":"back","at_byte":0,"fault":{"kind":"fin"}}"#;
    let script = Plan::Script(Schedule::read(line.as_bytes()).unwrap());
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let rows = [
        (vec![], quiet(), "0 routes: not within 1..64"),
        (
            vec!["127.0.0.1:0=127.0.0.1:1".to_owned()],
            script,
            "schedule: line 1: route 2 of 1",
        ),
        (
            vec!["127.0.0.1:0=127.0.0.1:1,::1".to_owned()],
            quiet(),
            "route 1: ::1 and 127.0.0.1:1 are of two families",
        ),
        (
            vec!["127.0.0.1:0=127.0.0.1:1,192.0.2.1".to_owned()],
            quiet(),
            "route 1: cannot dial 127.0.0.1:1 from 192.0.2.1: ",
        ),
        (
            vec!["192.0.2.1:0=127.0.0.1:1".to_owned()],
            quiet(),
            "route 1: cannot listen on 192.0.2.1:0: ",
        ),
        (
            vec![
                "127.0.0.1:0=127.0.0.1:1".to_owned(),
                format!("{taken}=127.0.0.1:1"),
            ],
            quiet(),
            "route 2: cannot listen on 127.0.0.1:",
        ),
    ];
    for (routes, plan, reason) in rows {
        let routes = routes.iter().map(|route| route.parse().unwrap()).collect();
        let config = Config {
            routes,
            plan,
            ..Config::default()
        };
        let error = Proxy::bind(config).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(reason), "{reason:?} in {error:?}");
    }
    drop(held);
    for (buffer_bytes_max, connections_max) in [(0, 1), (1, 0), (usize::MAX, 1), (1, usize::MAX)] {
        let routes = vec!["127.0.0.1:0=127.0.0.1:1".parse().unwrap()];
        let config = Config {
            routes,
            buffer_bytes_max,
            connections_max,
            ..Config::default()
        };
        assert!(
            Proxy::bind(config).is_err(),
            "{buffer_bytes_max} {connections_max}"
        );
    }
}
