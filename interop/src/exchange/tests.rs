use dlmwire_codec::{
    Content, FrameFields, Limits, MsgFields, RcomConfig, RcomFields, Slots, Split, StatusFlags, Version,
    split,
};

use super::*;

const LOCKSPACE: LockspaceId = LockspaceId::new(7);

fn node(id: u32) -> NodeId {
    NodeId::new(id).unwrap()
}

fn exchanges() -> Exchanges<u32> {
    Exchanges::new(NonZeroUsize::new(3).unwrap())
}

fn msg(msg_type: MsgType, lkid: u32, remid: u32) -> MsgFields<'static> {
    MsgFields {
        lkid,
        remid,
        ..MsgFields::new(LOCKSPACE, msg_type)
    }
}

impl Exchanges<u32> {
    fn sees(&mut self, [from, to]: [u32; 2], content: Content<'_>, stamp: u32) -> Step<u32> {
        let fields = FrameFields {
            version: Version::V3_1,
            node: node(from),
            content,
        };
        let mut bytes = [0; 512];
        fields.encode_into(&mut bytes).unwrap();
        let Split::Frame { frame, .. } = split(&bytes, Limits::KERNEL) else {
            panic!("a whole frame");
        };
        let message = message(&frame.decode().unwrap()).unwrap();
        self.observe(node(to), &message, stamp)
    }
}

fn answered(step: Step<u32>) -> Option<(Ask, u32)> {
    match step {
        Step::Answered { key, asked } => Some((key.ask, asked)),
        Step::Apart | Step::Asked { .. } | Step::Unasked { .. } => None,
    }
}

#[test]
fn replies_close_what_was_asked_once() {
    for (request, reply, ask) in [
        (MsgType::Request, MsgType::RequestReply, Ask::Request),
        (MsgType::Convert, MsgType::ConvertReply, Ask::Convert),
        (MsgType::Unlock, MsgType::UnlockReply, Ask::Unlock),
        (MsgType::Cancel, MsgType::CancelReply, Ask::Cancel),
    ] {
        let mut exchanges = exchanges();
        exchanges.sees([1, 2], Content::Msg(msg(request, 5, 9)), 100);
        let reply = Content::Msg(msg(reply, 9, 5));
        assert_eq!(answered(exchanges.sees([2, 1], reply, 101)), Some((ask, 100)));
        let twice = exchanges.sees([2, 1], reply, 102);
        assert!(matches!(twice, Step::Unasked { .. }), "{twice:?}");
    }
}

#[test]
fn lookup_is_answered_by_its_own_reply_or_as_a_request() {
    for reply in [msg(MsgType::LookupReply, 5, 0), msg(MsgType::RequestReply, 77, 5)] {
        let mut exchanges = exchanges();
        exchanges.sees([1, 2], Content::Msg(msg(MsgType::Lookup, 5, 0)), 100);
        let step = exchanges.sees([2, 1], Content::Msg(reply), 101);
        assert_eq!(answered(step), Some((Ask::Lookup, 100)), "{reply:?}");
    }
}

#[test]
fn replies_from_others_close_nothing() {
    let mut exchanges = exchanges();
    exchanges.sees([1, 2], Content::Msg(msg(MsgType::Request, 5, 0)), 100);
    let reply = Content::Msg(msg(MsgType::RequestReply, 9, 5));
    for pair in [[3, 1], [2, 3], [1, 2]] {
        let step = exchanges.sees(pair, reply, 101);
        assert!(matches!(step, Step::Unasked { .. }), "{step:?}");
    }
    assert_eq!(exchanges.open().count(), 1);
}

#[test]
fn down_conversions_ask_nothing() {
    for (granted, requested, asks) in [
        (Mode::Ex, Mode::Nl, false),
        (Mode::Pr, Mode::Cr, false),
        (Mode::Pr, Mode::Cw, true),
        (Mode::Cw, Mode::Pr, true),
        (Mode::Nl, Mode::Ex, true),
        (Mode::Pr, Mode::Pr, true),
    ] {
        let convert = MsgFields {
            grmode: granted,
            rqmode: requested,
            ..msg(MsgType::Convert, 5, 9)
        };
        let step = exchanges().sees([1, 2], Content::Msg(convert), 0);
        assert_eq!(
            matches!(step, Step::Asked { .. }),
            asks,
            "{granted} to {requested}"
        );
    }
}

#[test]
fn recovery_replies_match_by_id() {
    let rcom = |payload, id| {
        Content::Rcom(RcomFields {
            lockspace: LOCKSPACE,
            result: 0,
            id,
            seq: 1,
            seq_reply: 0,
            payload,
        })
    };
    let status = Payload::Status {
        flags: StatusFlags::new(0),
    };
    let reply = Payload::StatusReply {
        config: RcomConfig::default(),
        slots: Slots::NONE,
    };
    let mut exchanges = exchanges();
    exchanges.sees([1, 2], rcom(status, 41), 100);
    exchanges.sees([1, 2], rcom(status, 42), 101);
    let step = exchanges.sees([2, 1], rcom(reply, 42), 102);
    assert_eq!(answered(step), Some((Ask::RcomStatus, 101)));
    assert_eq!(exchanges.open().count(), 1);
}

#[test]
fn too_many_open_exchanges_crowd_out_the_oldest() {
    let mut exchanges = exchanges();
    for lkid in 1..=3 {
        exchanges.sees([1, 2], Content::Msg(msg(MsgType::Request, lkid, 0)), lkid);
    }
    let step = exchanges.sees([1, 2], Content::Msg(msg(MsgType::Request, 2, 0)), 20);
    assert!(
        matches!(
            step,
            Step::Asked {
                again: Some(2),
                crowded_out: None,
                ..
            }
        ),
        "{step:?}"
    );
    let step = exchanges.sees([1, 2], Content::Msg(msg(MsgType::Request, 4, 0)), 4);
    assert!(
        matches!(
            step,
            Step::Asked {
                crowded_out: Some((_, 1)),
                ..
            }
        ),
        "{step:?}"
    );
    let open: Vec<u32> = exchanges.open().map(|(_, stamp)| *stamp).collect();
    assert_eq!(open, [3, 20, 4]);
}

/// Every kind of request between three nodes in three lockspaces, some with the greatest of ids.
fn all_kinds() -> Exchanges<u32> {
    let mut exchanges = Exchanges::new(NonZeroUsize::new(1000).unwrap());
    let pairs = [[1, 2], [2, 1], [1, 3], [3, 2], [u32::MAX, 1]];
    for [asker, answerer] in pairs {
        for ask in Ask::ALL {
            for (lockspace, id, lock) in [(0, 0, 0), (7, 1, 1), (u32::MAX, u64::MAX, u32::MAX)] {
                let key = ExchangeKey {
                    asker: node(asker),
                    answerer: node(answerer),
                    ask,
                    lockspace: LockspaceId::new(lockspace),
                    id,
                    lock,
                };
                exchanges.ask(key, lockspace);
            }
        }
    }
    exchanges
}

#[test]
fn what_becomes_void_is_forgotten_and_nothing_else() {
    let before: Vec<ExchangeKey> = all_kinds().open().map(|(key, _)| *key).collect();
    assert_eq!(before.len(), 5 * 9 * 3);
    let left = |exchanges: &Exchanges<u32>, is_void: &dyn Fn(&ExchangeKey) -> bool| {
        assert_eq!(exchanges.open.len(), exchanges.order.len());
        let left: Vec<ExchangeKey> = exchanges.open().map(|(key, _)| *key).collect();
        let expected: Vec<ExchangeKey> = before.iter().filter(|key| !is_void(key)).copied().collect();
        assert_eq!(left, expected);
    };

    let mut exchanges = all_kinds();
    let mut stamps = Vec::new();
    exchanges.forget_between(node(1), node(2), |key, stamp| {
        assert_eq!(key.lockspace.get(), stamp);
        stamps.push(stamp);
    });
    assert_eq!(stamps.len(), 5 * 3);
    let asked = |key: &ExchangeKey| (key.asker, key.answerer) == (node(1), node(2));
    left(&exchanges, &|key| asked(key) && !key.ask.is_recovery());

    let mut exchanges = all_kinds();
    assert_eq!(exchanges.forget_member(node(1), LOCKSPACE), 4 * 5);
    left(&exchanges, &|key| {
        let takes_part = key.asker == node(1) || key.answerer == node(1);
        takes_part && key.lockspace == LOCKSPACE && !key.ask.is_recovery()
    });
    assert_eq!(exchanges.forget_member(node(9), LOCKSPACE), 0);

    exchanges.clear();
    left(&exchanges, &|_| true);
}
