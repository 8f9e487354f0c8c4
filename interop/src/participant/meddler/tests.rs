use dlmwire_transport::MemoryNet;

use super::*;

/// Hangs count as failures after this.
const DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn closed_link_whose_peer_leaves_its_direction_open_is_lost_all_the_same() {
    let ids = [1, 2].map(|id| NodeId::new(id).expect("not 0"));
    let [one, two] = [1, 2].map(|last| SocketAddr::from(([127, 0, 0, last], 21064)));
    let net = MemoryNet::new();
    let roster = |own, address, other, far| {
        Roster::new(own, vec![address], [(other, vec![far])]).expect("a sound roster")
    };
    let transport = net.transport(roster(ids[0], one, ids[1], two));
    let (mut ours, meddling) = Meddler::new(transport.expect("a free address"));
    let mut theirs = net
        .transport(roster(ids[1], two, ids[0], one))
        .expect("a free address");

    let mut link = ours.dial(ids[1], Token(1)).expect("a dial");
    let mut ready = Vec::new();
    ours.wait(&mut ready, Some(DEADLINE)).expect("a wait");
    assert_eq!(ready, [Ready::Dialed(Token(1))]);
    let accepted = theirs.accept(Token(2)).expect("a listener");
    let mut far = accepted.expect("somebody waits").link;
    assert_eq!(meddling.close(None), 1);

    let started = Instant::now();
    let mut buffer = [0; 16];
    let lost = loop {
        ours.wait(&mut ready, Some(DEADLINE)).expect("a wait");
        match link.receive(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => break outcome,
        }
        assert!(started.elapsed() < DEADLINE, "nobody gave the link up");
    };
    let lost = lost.expect_err("the link is gone");
    assert_eq!(lost.kind(), io::ErrorKind::ConnectionReset);
    let far_end = far.receive(&mut buffer);
    assert!(far_end.is_err(), "the far end is reset: {far_end:?}");
}
