//! Which version a peer speaks, and what that means for it.

use dlmwire_codec::{Generation, InnerFields, NOT_READY, Payload, RcomFields, Seq, Version};

use super::fixture::{
    GROUP, STARTS, STATUS, Script, Wrote, application, encode, numbered, rcom, status, status_of,
    status_reply, them, us,
};
use crate::Refusal;
use crate::engine::{Close, Config, Event, LinkRole, Message, Outcome, SendError, Violation};
use crate::state::State;

/// Proves D14.
#[test]
fn nothing_but_status_and_names_opens_a_conversation() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        script.connect(LinkRole::Dialed);
        let wrapped = script.message(0, b"too early");
        assert!(matches!(
            script.receives(&wrapped),
            Err(Violation::Refused(Refusal::CannotOpen { .. }))
        ));
        let ack = script.ack(0);
        assert!(script.receives(&ack).is_err());
        assert_eq!(script.tries_to_send(b"x"), Err(SendError::NotConnected));
    }
}

/// Proves D14.
#[test]
fn not_ready_in_opts_opens_a_conversation_and_its_number_counts() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        script.connect(LinkRole::Dialed);
        let not_ready = numbered(
            Seq::new(start),
            InnerFields::Rcom(RcomFields {
                result: NOT_READY,
                ..rcom(status_reply())
            }),
        );
        assert!(script.receives(&not_ready).unwrap().is_some());
        assert_eq!(script.transmits(), [Wrote::Ack(1)]);
        let detected = Event::VersionDetected {
            node: them(),
            version: Version::V3_2,
        };
        assert!(script.events().contains(&detected));
        script.sends(b"now");
    }
}

#[test]
fn link_whose_first_numbers_were_refused_is_aborted_once_the_version_shows() {
    let mut script = Script::starting_at(0);
    script.engine.add_member(script.now, them(), GROUP).unwrap();
    let link = script.connect(LinkRole::Dialed);
    let early = script.message(0, b"too early");
    assert!(script.receives(&early).is_err());
    script.quiet();
    script.receives(&status()).unwrap();
    assert_eq!(script.closes(), [(link, Close::Abort)]);
    script.goes_down(link);
    script.connect(LinkRole::Dialed);
    assert!(
        script.receives(&early).unwrap().is_some(),
        "the peer sends it again"
    );
}

/// Proves D4.
#[test]
fn classes_travel_as_kernels_of_the_generation_send_them() {
    for (generation, names) in [
        (Generation::Linux6_1, Wrote::Names),
        (Generation::Linux6_12, Wrote::NumberedNames(0)),
    ] {
        let mut script = Script::new(Config {
            generation,
            ..Config::new(us())
        });
        script.establish();
        let send = |script: &mut Script, result: i32, payload: Payload<'static>| {
            let fields = RcomFields {
                result,
                ..rcom(payload)
            };
            script
                .engine
                .send(script.now, them(), &Message::Rcom(fields))
                .unwrap();
            script.transmits()
        };
        assert_eq!(
            send(&mut script, 0, Payload::Names { resume: None }),
            std::slice::from_ref(&names)
        );
        assert_eq!(send(&mut script, 0, STATUS), [Wrote::Status]);
        assert_eq!(send(&mut script, 0, status_reply()), [Wrote::StatusReply]);
        let number = u32::from(names == Wrote::NumberedNames(0));
        assert_eq!(
            send(&mut script, NOT_READY, status_reply()),
            [Wrote::NotReady(number)]
        );
    }
}

/// Proves A4, A6, D16.
#[test]
fn peer_of_3_1_gets_everything_bare_and_is_told_as_such() {
    for start in STARTS {
        let mut script = Script::starting_at(start);
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        script.connect(LinkRole::Dialed);
        script.receives(&status_of(Version::V3_1)).unwrap();
        let detected = Event::VersionDetected {
            node: them(),
            version: Version::V3_1,
        };
        assert!(script.events().contains(&detected));
        let sent = script.tries_to_send(b"bare").unwrap();
        assert_eq!(sent.seq, None);
        assert_eq!(script.transmits(), [Wrote::Bare(b"bare".to_vec())]);
        assert_eq!(
            script.engine.peer(script.now, them()).unwrap().send_queue_count,
            0
        );
        let bare = encode(&dlmwire_codec::FrameFields {
            version: Version::V3_1,
            node: them(),
            content: dlmwire_codec::Content::Msg(application(b"from 3.1")),
        });
        assert_eq!(script.receives(&bare).unwrap(), Some(b"from 3.1".to_vec()));
        script.is_silent();
        script.shuts_down();
        assert!(script.events().contains(&Event::ShutdownComplete {
            outcome: Outcome::WithoutFin
        }));
    }
}

/// Proves C29.
#[test]
fn peer_of_3_1_gets_what_was_not_written_whole_on_the_next_link_once() {
    for cut in 0..=(3 * 93) {
        let mut script = Script::starting_at(0);
        script.engine.add_member(script.now, them(), GROUP).unwrap();
        script.connect(LinkRole::Dialed);
        script.receives(&status_of(Version::V3_1)).unwrap();
        for payload in [b"first", b"secnd", b"third"] {
            script.tries_to_send(payload).unwrap();
        }
        let old = script.link;
        script.writes(old, cut);
        script.goes_down(old);
        script.connect(LinkRole::Dialed);
        assert_eq!(script.transmits().len(), 3 - cut / 93, "cut at {cut}");
    }
}

/// Proves A7.
#[test]
fn peer_of_3_1_can_be_refused() {
    let mut script = Script::new(Config {
        accept_3_1: false,
        ..Config::new(us())
    });
    script.engine.add_member(script.now, them(), GROUP).unwrap();
    let link = script.connect(LinkRole::Dialed);
    script.quiet();
    assert_eq!(script.receives(&status_of(Version::V3_1)).unwrap(), None);
    let told = script.events();
    assert!(told.contains(&Event::Incompatible {
        node: them(),
        version: Version::V3_1
    }));
    assert!(told.contains(&Event::CloseLink {
        link,
        how: Close::Abort
    }));
    assert_eq!(script.tries_to_send(b"x"), Err(SendError::NotConnected));
}

/// Proves C33.
#[test]
fn own_version_3_1_speaks_it_to_everybody() {
    let mut script = Script::new(Config {
        version: Version::V3_1,
        ..Config::new(us())
    });
    script.engine.add_member(script.now, them(), GROUP).unwrap();
    script.connect(LinkRole::Dialed);
    script.receives(&status()).unwrap();
    assert_eq!(script.tries_to_send(b"x").unwrap().seq, None);
    assert_eq!(script.transmits(), [Wrote::Bare(b"x".to_vec())]);
    let wrapped = script.message(0, b"x");
    assert!(matches!(
        script.receives(&wrapped),
        Err(Violation::Refused(Refusal::NumberedTo3_1 { .. }))
    ));
}

#[test]
fn another_version_later_is_refused_and_changes_nothing() {
    let mut script = Script::established(0);
    assert!(matches!(
        script.receives(&status_of(Version::V3_1)),
        Err(Violation::Refused(Refusal::VersionDiffers { .. }))
    ));
    assert_eq!(script.state(), State::Established);
}
