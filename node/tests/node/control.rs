//! The control socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use dlmwire_node::control::{Answer, ControlError, LINE_BYTES_MAX, Request, Server, request};

use crate::world::{DEADLINE, Running, id};

/// A path of its own for each test.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("dlmwire-{name}-{}.sock", std::process::id()))
}

fn ask(path: &std::path::Path, what: &Request) -> Answer {
    request(path, what, DEADLINE).unwrap()
}

/// Proves B15.
#[test]
fn socket_tells_the_status_and_takes_commands() {
    let path = path("commands");
    let [first, second] = Running::pair();
    let server = Server::start(&path, first.handle.clone()).unwrap();
    let status = || match ask(&path, &Request::Status) {
        Answer::Status { status } => *status,
        other => panic!("{other:?}"),
    };
    let peer = &status().peers[0];
    assert_eq!(
        (peer.nodeid, peer.state.as_str(), peer.version.as_str()),
        (2, "ESTABLISHED", "0x00030002")
    );
    assert_eq!(
        (peer.users, peer.flags, peer.delivery.as_str()),
        (1, 0, "exactly once")
    );

    let lockspace = "0x12aabd2d".to_owned();
    assert_eq!(
        ask(
            &path,
            &Request::Add {
                node: 2,
                lockspace: lockspace.clone()
            }
        ),
        Answer::Done
    );
    assert_eq!(status().peers[0].users, 2);
    assert!(status().peers[0].lockspaces.contains(&lockspace));
    let by_name = Request::Remove {
        node: 2,
        lockspace: "lvm_global".to_owned(),
    };
    assert_eq!(ask(&path, &by_name), Answer::Done);
    assert_eq!(status().peers[0].users, 1);
    assert_eq!(ask(&path, &Request::Fence { node: 2 }), Answer::Done);
    assert_eq!(
        (status().peers[0].flags, status().peers[0].state.as_str()),
        (2, "CLOSED")
    );
    let Answer::Error { message } = ask(&path, &Request::Fence { node: 0 }) else {
        panic!("0 is no node")
    };
    assert_eq!(message, "node: 0 is no node id");
    let Answer::Error { message } = ask(&path, &Request::Add { node: 1, lockspace }) else {
        panic!("our own node")
    };
    assert_eq!(message, "the node is our own");
    let Answer::ShutDown { .. } = ask(&path, &Request::Shutdown { timeout_ms: 10_000 }) else {
        panic!("shut down")
    };
    assert_eq!(ask(&path, &Request::Stop), Answer::Done);
    let Answer::Error { message } = ask(&path, &Request::Status) else {
        panic!("stopped")
    };
    assert_eq!(message, "the node's loop has ended");
    drop(server);
    assert!(
        matches!(
            request(&path, &Request::Status, DEADLINE),
            Err(ControlError::Io(_))
        ),
        "the socket is gone"
    );
    assert_eq!(second.handle.node(), id(2));
}

#[test]
fn lines_that_make_no_sense_get_an_error_and_the_socket_goes_on() {
    let path = path("nonsense");
    let [first, _second] = Running::pair();
    let _server = Server::start(&path, first.handle.clone()).unwrap();
    let mut stream = BufReader::new(UnixStream::connect(&path).unwrap());
    stream.get_mut().set_read_timeout(Some(DEADLINE)).unwrap();
    let mut say = |line: &str| {
        stream.get_mut().write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).unwrap();
        answer
    };
    for (line, message) in [
        ("\n", "EOF while parsing"),
        ("{}\n", "missing field `v`"),
        ("{\"v\":1}\n", "missing field `do`"),
        ("{\"v\":1,\"do\":\"dance\"}\n", "unknown variant `dance`"),
        ("{\"v\":2,\"do\":\"status\"}\n", "v is 2, this is version 1"),
        ("{\"v\":1,\"do\":\"fence\",\"node\":-1}\n", "invalid value"),
        (
            "{\"v\":1,\"do\":\"add\",\"node\":2,\"lockspace\":\"0xfffffffff\"}\n",
            "up to 8 hexadecimal digits",
        ),
    ] {
        let answer = say(line);
        assert!(
            answer.contains(message) && answer.contains("\"answer\":\"error\""),
            "{line}: {answer}"
        );
    }
    assert!(say("{\"v\":1,\"do\":\"status\"}\n").contains("\"answer\":\"status\""));
    assert!(say(&"x".repeat(LINE_BYTES_MAX)).contains("line exceeds limit 4096"));
    let second_server = Server::start(&path, first.handle.clone());
    assert_eq!(second_server.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
}

#[test]
fn file_that_is_no_socket_is_left_alone() {
    let path = path("file");
    std::fs::write(&path, "precious").unwrap();
    let [first, _second] = Running::pair();
    assert!(Server::start(&path, first.handle.clone()).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn dead_socket_is_replaced() {
    let path = path("dead");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let [first, _second] = Running::pair();
    let _server = Server::start(&path, first.handle.clone()).unwrap();
    assert!(matches!(ask(&path, &Request::Status), Answer::Status { .. }));
}
