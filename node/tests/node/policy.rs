//! What the cluster manager is told and what it orders; what is logged.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dlmwire_codec::{LockspaceId, RcomType, Version};
use dlmwire_midcomms::State;
use dlmwire_midcomms::engine::{Content, Delivery, Event, FenceCause, Outcome};
use dlmwire_node::{Application, NodeEvent, Outbox};
use dlmwire_transport::MemoryNet;

use crate::raw::{Raw, ack, fin, status};
use crate::world::{
    DEADLINE, Host, Recorder, Running, config, during, group, id, in_memory, in_memory_with, join_all,
    memory_transport, until,
};

/// Keeps the lines that are logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Proves B2.
#[test]
fn flood_of_bad_frames_is_logged_at_the_rate_with_what_was_suppressed() {
    let lines = Lines::default();
    let start = Instant::now();
    // For the whole process: what is logged for one thread only depends on which thread logs first.
    tracing::subscriber::set_global_default(lines.clone()).unwrap();
    let net = MemoryNet::new();
    let mut host = Host::new(config(1), memory_transport(&net, 1, 2), Recorder::default());
    host.join(2);
    let mut hosts = [host];
    let mut raw = Raw::new(memory_transport(&net, 2, 2));
    until(&mut hosts, "a link", |_| {
        raw.turn();
        raw.link.is_some()
    });
    raw.write(&status(1));
    // A command that does not exist: frames that are skipped.
    let mut bad = status(2);
    bad[14] = 6;
    let flood = bad.repeat(100_000);
    let mut done = 0;
    until(&mut hosts, "100000 violations", |hosts| {
        done += raw.write(&flood[done..]);
        raw.turn();
        hosts[0]
            .node
            .engine()
            .peer(hosts[0].node.now(), id(2))
            .unwrap()
            .counters
            .violations
            >= 100_000
    });
    // One more after the rate allows it again tells what was suppressed.
    std::thread::sleep(Duration::from_millis(2100));
    raw.write(&bad);
    until(&mut hosts, "one more", |hosts| {
        hosts[0].peer(2).counters.violations > 100_000
    });
    hosts[0].turn();
    let lines = lines.0.lock().unwrap();
    let about: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("unreadable frame"))
        .collect();
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    assert!(
        about.len() >= 5 && about.len() <= 10 + seconds,
        "{} lines",
        about.len()
    );
    assert!(
        about.iter().any(|line| line.contains("suppressed ")),
        "{about:#?}"
    );
}

/// Proves B9.
#[test]
fn commands_of_the_cluster_manager_do_what_the_table_of_hooks_says() {
    let mut hosts = in_memory(2);
    let [one, two] = ["one", "two"].map(|name| LockspaceId::from_name(name.as_bytes()));
    let users = |hosts: &[Host<_>]| hosts[0].peer(2).lockspaces.len();

    // Added to a first lockspace: connects. To a second one: only counts.
    hosts[1].join(1);
    hosts[0].node.add_member(id(2), one).unwrap();
    until(&mut hosts, "established", |hosts| hosts[0].knows_version(2));
    let dials = hosts[0].remote.dials();
    hosts[0].node.add_member(id(2), two).unwrap();
    during(&mut hosts, Duration::from_millis(10));
    assert_eq!((users(&hosts), hosts[0].remote.dials()), (2, dials));

    // Removed from one of two: only counts. From the last: the conversation stays until a FIN.
    hosts[0].handle.remove_member(id(2), one).unwrap();
    hosts[0].turn();
    assert_eq!((users(&hosts), hosts[0].peer(2).state), (1, State::Established));
    hosts[0].handle.remove_member(id(2), two).unwrap();
    hosts[0].turn();
    assert_eq!((users(&hosts), hosts[0].peer(2).state), (0, State::Established));
    hosts[0].handle.remove_member(id(2), two).unwrap();
    hosts[0].turn();
    assert_eq!(users(&hosts), 0, "never negative");

    // Close: everything of the peer goes, the members stay as told.
    hosts[0].node.add_member(id(2), one).unwrap();
    hosts[0].handle.fence(id(2)).unwrap();
    until(&mut hosts, "no link", |hosts| hosts[0].remote.links().is_empty());
    assert_eq!(
        (users(&hosts), hosts[0].peer(2).state, hosts[0].peer(2).flags & 2),
        (1, State::Closed, 2)
    );
}

/// Proves C13.
#[test]
fn missing_removal_is_reported_after_its_time() {
    let mut hosts = in_memory_with(2, |node| {
        let mut config = config(node);
        config.engine.close_wait_warning_after = 30_000_000;
        config.engine.shutdown_deadline = 60_000_000_000;
        config
    });
    join_all(&mut hosts);
    let leaver = hosts[1].handle.clone();
    let leaving = std::thread::spawn(move || leaver.shutdown(DEADLINE));
    until(&mut hosts, "the warning", |hosts| {
        hosts[0]
            .app
            .has(|event| *event == Event::MembershipMissing { node: id(2) })
    });
    assert_eq!(hosts[0].peer(2).state, State::CloseWait);
    hosts[0].handle.remove_member(id(2), group()).unwrap();
    until(&mut hosts, "both closed", |hosts| {
        hosts[0].peer(2).state == State::Closed && hosts[1].peer(1).state == State::Closed
    });
    hosts[1].turn();
    assert_eq!(leaving.join().unwrap(), Ok(Outcome::Clean));
}

/// Proves C37.
#[test]
fn every_reason_to_fence_reaches_the_application() {
    let asked = |host: &Host<_>, wanted: FenceCause| {
        host.app.has(|event| {
            *event
                == Event::FenceNeeded {
                    node: id(2),
                    cause: wanted,
                }
        })
    };
    let net = MemoryNet::new();
    let fresh = || {
        let mut config = config(1);
        config.engine.queue_bytes_max = 256 << 10;
        config.engine.shutdown_deadline = 30_000_000;
        config.engine.unacked_age_max = 20_000_000;
        config.engine.ack_delay = 5_000_000;
        config.drain_deadline = Duration::from_millis(5);
        let mut hosts = [Host::new(
            config,
            memory_transport(&net, 1, 2),
            Recorder::default(),
        )];
        let mut raw = Raw::new(memory_transport(&net, 2, 2));
        hosts[0].join(2);
        until(&mut hosts, "the version", |hosts| {
            raw.turn();
            raw.write(&status(1));
            hosts[0].knows_version(2)
        });
        (hosts, raw)
    };

    // Acknowledges what was never sent.
    let (mut hosts, mut raw) = fresh();
    raw.write(&ack(1000));
    until(&mut hosts, "asked", |hosts| {
        asked(&hosts[0], FenceCause::Restarted)
    });
    drop((hosts, raw));

    // Takes nothing.
    let (mut hosts, raw) = fresh();
    until(&mut hosts, "asked", |hosts| {
        let _full_in_the_end = hosts[0].handle.send_payload(id(2), group(), &[0; 3000]);
        asked(&hosts[0], FenceCause::QueueFull)
    });
    drop((hosts, raw));

    // Never answers our FIN.
    let (mut hosts, mut raw) = fresh();
    let handle = hosts[0].handle.clone();
    let leaving = std::thread::spawn(move || handle.shutdown(DEADLINE));
    until(&mut hosts, "asked", |hosts| {
        raw.turn();
        asked(&hosts[0], FenceCause::ShutdownDeadline)
    });
    hosts[0].turn();
    assert_eq!(leaving.join().unwrap(), Ok(Outcome::TimedOut));
    drop((hosts, raw));

    // Cannot be reached: the tries are told, with their number.
    let mut hosts = [Host::new(
        config(1),
        memory_transport(&net, 1, 2),
        Recorder::default(),
    )];
    hosts[0].join(2);
    until(&mut hosts, "three tries", |hosts| {
        hosts[0]
            .app
            .events
            .iter()
            .any(|event| matches!(event, NodeEvent::DialFailed { attempts: 3, .. }))
    });
}

#[test]
fn fin_of_a_peer_that_is_no_member_is_answered() {
    let net = MemoryNet::new();
    let mut hosts = [Host::new(
        config(1),
        memory_transport(&net, 1, 2),
        Recorder::default(),
    )];
    let mut raw = Raw::new(memory_transport(&net, 2, 2));
    hosts[0].join(2);
    until(&mut hosts, "the version", |hosts| {
        raw.turn();
        raw.write(&status(1));
        hosts[0].knows_version(2)
    });
    hosts[0].handle.remove_member(id(2), group()).unwrap();
    hosts[0].turn();
    raw.write(&fin(0));
    until(&mut hosts, "our FIN and the ACK of theirs", |_| {
        raw.turn();
        let frames = raw.frames();
        frames.iter().any(|frame| frame.len() == 40)
            && frames
                .iter()
                .any(|frame| frame[14] == 4 && frame[4..8] == [1, 0, 0, 0])
    });
}

/// Proves A7.
#[test]
fn peer_that_speaks_3_1_is_named_unreliable() {
    let mut hosts = in_memory_with(2, |node| {
        let mut config = config(node);
        if node == 2 {
            config.engine.version = Version::V3_1;
        }
        config
    });
    join_all(&mut hosts);
    assert_eq!(hosts[0].node.status().peers[0].delivery, "3.1, unreliable");
    assert_eq!(hosts[0].node.status().peers[0].version, "0x00030001");
    let told = hosts[0]
        .app
        .events
        .iter()
        .map(ToString::to_string)
        .filter(|line| line.contains("3.1, unreliable"));
    assert_eq!(told.count(), 1, "one line per peer");
    hosts[0].handle.send_payload(id(2), group(), b"bare").unwrap();
    until(&mut hosts, "the message", |hosts| hosts[1].app.count(1) == 1);
}

#[test]
fn status_is_asked_again_until_it_is_answered() {
    let net = MemoryNet::new();
    let mut hosts = [Host::new(
        config(1),
        memory_transport(&net, 1, 2),
        Recorder::default(),
    )];
    let mut raw = Raw::new(memory_transport(&net, 2, 2));
    hosts[0].join(2);
    let asked = |raw: &Raw<_>| raw.frames().iter().filter(|frame| frame.len() == 64).count();
    until(&mut hosts, "three questions", |_| {
        raw.turn();
        asked(&raw) >= 3
    });
    let ids: Vec<u8> = raw.frames().iter().map(|frame| frame[24]).collect();
    assert_eq!(ids[..3], [1, 2, 3], "each with a new rc_id");

    // Our question is answered, with its own rc_id and rc_seq.
    raw.write(&status(5));
    until(&mut hosts, "the answer", |_| {
        raw.turn();
        raw.frames()
            .iter()
            .any(|frame| frame[14] == 2 && frame[16] == 5 && frame[24] == 5 && frame[40] == 77)
    });
    let before = asked(&raw);
    during(&mut hosts, Duration::from_millis(120));
    raw.turn();
    assert_eq!(asked(&raw), before, "nothing is asked once the version is known");
    assert!(hosts[0].app.got.is_empty(), "the hello is not the application's");
}

/// Keeps the recovery messages that come.
#[derive(Default)]
struct Participant {
    statuses: usize,
}

impl Application for Participant {
    fn deliver(&mut self, _: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        if let Content::Rcom(rcom) = delivery.content {
            assert_eq!(rcom.rcom_type(), RcomType::Status);
            self.statuses += 1;
        }
    }
}

#[test]
fn without_the_hello_recovery_messages_are_the_applications() {
    let net = MemoryNet::new();
    let mut config = config(1);
    config.hello = false;
    let mut hosts = [Host::new(
        config,
        memory_transport(&net, 1, 2),
        Participant::default(),
    )];
    let mut raw = Raw::new(memory_transport(&net, 2, 2));
    hosts[0].join(2);
    until(&mut hosts, "a link", |_| {
        raw.turn();
        raw.link.is_some()
    });
    raw.write(&status(1));
    until(&mut hosts, "the STATUS", |hosts| hosts[0].app.statuses == 1);
    during(&mut hosts, Duration::from_millis(120));
    raw.turn();
    assert!(
        raw.frames().iter().all(|frame| frame[14] != 2),
        "the node says nothing of recovery"
    );
}

/// Proves C34.
#[test]
fn idle_nodes_sleep() {
    let pair = Running::pair();
    // Timers of the connection's beginning have run out after this.
    std::thread::sleep(Duration::from_millis(500));
    let before = pair.each_ref().map(|running| running.remote.waits());
    std::thread::sleep(Duration::from_secs(2));
    for (running, before) in pair.iter().zip(before) {
        let woken = running.remote.waits() - before;
        assert!(woken < 4, "{woken} times in two seconds");
    }
}
