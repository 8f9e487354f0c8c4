//! A peer that shares no line with ours: the crate `sctp-rs`, in a guest.
#![cfg(target_os = "linux")]

mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::thread;

use common::*;
use dlmwire_sctp::Options;
use dlmwire_transport::{Link, Ready, Token, Transport};
use sctp_rs::{BindxFlags, ConnectedSocket, NotificationOrData, SendData, Socket, SocketToAssociation};

/// What it sends in one record; its own receive takes 4096 bytes at a time.
const RECORD: usize = 1500;

/// Runs the foreign peer's part on a thread of its own.
fn foreign<F: Future<Output = Vec<u8>>>(
    part: impl FnOnce() -> F + Send + 'static,
) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let part = async { tokio::time::timeout(DEADLINE, part()).await };
        runtime.block_on(part).expect("the foreign peer is in time")
    })
}

/// Sends all, then takes what comes until the end.
async fn converse(peer: ConnectedSocket, sent: Vec<u8>) -> Vec<u8> {
    for record in sent.chunks(RECORD) {
        let data = SendData {
            payload: record.to_vec(),
            snd_info: None,
        };
        peer.sctp_send(data).await.expect("it sends");
    }
    let mut received = Vec::new();
    loop {
        match peer.sctp_recv().await.expect("an orderly end") {
            NotificationOrData::Data(data) if data.payload.is_empty() => return received,
            NotificationOrData::Data(data) => received.extend_from_slice(&data.payload),
            NotificationOrData::Notification(_) => {}
        }
    }
}

fn socket(addresses: &[SocketAddr]) -> Socket {
    let socket = Socket::new_v4(SocketToAssociation::OneToOne).expect("SCTP is there");
    socket
        .sctp_bindx(addresses, BindxFlags::Add)
        .expect("they can be bound");
    socket
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn foreign_peer_is_accepted_with_both_its_addresses() {
    let ours = [ip(31, 0, 1), ip(31, 1, 1)];
    let theirs = vec![(ip(31, 0, 2), 5001).into(), (ip(31, 1, 2), 5001).into()];
    let mut a = transport(1, &ours, &[], Options::default());
    let listening = listening(&a, &ours);
    a.set_roster(roster(1, &listening, &[(2, theirs.clone())]));
    let (from_them, from_us) = (pattern(100_000), pattern(99_999));
    let peer = foreign({
        let sent = from_them.clone();
        move || async move {
            let (peer, _) = socket(&theirs)
                .sctp_connectx(&listening)
                .await
                .expect("it connects");
            converse(peer, sent).await
        }
    });
    let accepted = accept(&mut a, Token(1));
    assert_eq!(accepted.node, node(2));
    let mut link = accepted.link;
    assert_eq!(link.paths().expect("an association has paths").len(), 2);
    assert!(read_bytes(&mut a, &mut link, from_them.len()) == from_them);
    send_all(&mut a, &mut link, &from_us);
    link.close_send().expect("it closes");
    assert!(read_to_end(&mut a, &mut link, 4096).1.is_none());
    assert!(peer.join().expect("the foreign peer ends") == from_us);
}

#[test]
#[ignore = "needs kernel SCTP: .ci/run guest"]
fn foreign_peer_is_dialed_and_dropped_in_order() {
    let ours = [ip(32, 0, 1), ip(32, 1, 1)];
    let theirs: Vec<SocketAddr> = vec![(ip(32, 0, 2), 5002).into(), (ip(32, 1, 2), 5002).into()];
    let mut a = transport(1, &ours, &[], Options::default());
    a.set_roster(roster(1, &listening(&a, &ours), &[(2, theirs.clone())]));
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let (from_them, from_us) = (pattern(50_000), pattern(40_000));
    let peer = foreign({
        let sent = from_them.clone();
        move || async move {
            let listener = socket(&theirs).listen(5).expect("it listens");
            tell.send(()).expect("the test waits for it");
            let (peer, _) = listener.accept().await.expect("it accepts");
            converse(peer, sent).await
        }
    });
    told.recv_timeout(DEADLINE).expect("it listens");
    let mut link = a.dial(node(2), Token(1)).expect("the dial starts");
    wait_for(&mut a, Ready::Dialed(Token(1)));
    send_all(&mut a, &mut link, &from_us);
    assert!(read_bytes(&mut a, &mut link, from_them.len()) == from_them);
    drop(link);
    assert!(peer.join().expect("the foreign peer ends") == from_us);
}

fn send_all(transport: &mut dlmwire_sctp::SctpTransport, link: &mut dlmwire_sctp::SctpLink, bytes: &[u8]) {
    let mut taken = 0;
    until("everything is sent", || {
        let count = send(link, &bytes[taken..bytes.len().min(taken + 4096)]);
        taken += count;
        if count == 0 {
            turn(transport);
        }
        (taken == bytes.len()).then_some(())
    });
}
