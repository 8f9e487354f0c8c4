use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use dlmwire_codec::NodeId;
use dlmwire_transport::Token;
use dlmwire_transport::sockets::Queue;

use super::*;

/// A link over another family's socket, whose other end is gone.
fn ended_link() -> SctpLink {
    let (socket, other) = UnixStream::pair().expect("a pair of sockets");
    drop(other);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let queue = Queue::<Line>::new(&listener).expect("an event queue");
    let shared = Shared {
        again: queue.again(),
        interests: queue.interests().expect("a descriptor"),
        events: LinkEvents::default(),
    };
    let node = NodeId::new(2).expect("not 0");
    let far = FarEnd::accepted(Token(1), node, ([10, 0, 0, 2], 21064).into());
    let line = Line::new(Socket::from(OwnedFd::from(socket)), far, None, shared);
    SctpLink::new(Arc::new(line))
}

#[test]
fn end_is_in_order_unless_the_system_said_something_else_ahead_of_it() {
    let mut buffer = [0; 16];
    let mut link = ended_link();
    assert_eq!(link.receive(&mut buffer).expect("the end"), Received::End);
    let mut link = ended_link();
    link.said = Some(io::Error::from_raw_os_error(libc::ETIMEDOUT));
    for _ in 0..2 {
        let lost = link.receive(&mut buffer).expect_err("it is lost");
        assert_eq!(lost.kind(), io::ErrorKind::TimedOut);
    }
}
