//! The end of the numbers: the kernel's go past 2^32.
//!
//! A kernel begins at 0, and only messages move its numbers: 2^32 of them would take weeks. But it sends, unchanged,
//! what is written to its `rawmsg`. So we expect the last numbers before 0, its `rawmsg` sends those, and its own
//! messages follow from 0 on. The other direction stays out of reach: what it expects of us begins at 0 too, so our
//! replies do not count for it and it is fenced at the end.

use dlmwire_codec::{
    Content, FrameFields, InnerFields, LockspaceId, MsgFields, MsgType, NodeId, Options, OptsFields,
    ResourceName, Seq, Tail, Version,
};

use super::stub_locks::SOON;
use super::{Case, Judge};
use crate::lab::guest::bench::{Bench, KERNEL_NODE, PEER_NODE};
use crate::lab::guest::control::Mode;
use crate::lab::guest::error::{LabError, Result};
use crate::lab::guest::kernel::Need;
use crate::lab::guest::lockspace::Space;
use crate::lab::guest::stub::{Event, Stub};
use crate::lab::guest::wait;

/// Numbers before 0 at which we begin.
const BEFORE: u32 = 16;
/// Requests of the kernel that follow from 0 on.
const BEHIND: u32 = 5;
const LOCKSPACE: u32 = 0x1234;

pub(super) const CASE: Case = Case {
    name: "wrap",
    about: "the kernel's numbers go past 2^32 (rawmsg) and ours of what we expect with them",
    needs: &[Need::Resends, Need::Midcomms, Need::RawMsg],
    run,
    judge: Judge::Recorded,
    trace: true,
};

fn run(bench: &mut Bench) -> Result<()> {
    let begun = Seq::new(0).get().wrapping_sub(BEFORE);
    let manager = bench.start_manager()?;
    let mut stub = bench.stub(&format!(
        "--lockspace ls1={LOCKSPACE:#x} --weight 1=0 --start-seq {begun} --generation 6.1"
    ))?;
    let joining =
        manager.begin_join(&Space::new("ls1", LOCKSPACE).members(&[(KERNEL_NODE, 0), (PEER_NODE, 1)]))?;
    stub.wait_event("version", 0, SOON)?;
    count_up_to_zero(bench, &mut stub, begun)?;
    // Newer kernels number what they ask in recovery: it came too early and comes again on a new connection.
    stub.send("cut")?;
    let lockspace = joining.finish(SOON)?;

    let mark = stub.mark();
    let client = lockspace.client()?;
    let locks =
        (0..BEHIND).map(|number| client.lock(format!("behind{number}"), Mode::Ex, Default::default()));
    let locks = locks.collect::<Result<Vec<_>>>()?;
    let mut seen = 0;
    stub.wait("all lookups behind 2^32", mark, SOON, |event| {
        seen += u32::from(event.is("mastered"));
        seen == BEHIND
    })?;
    let status = stub.ask("status", "status", SOON)?;
    bench.require(recv_next(&status) < Some(begun.into()), || {
        format!("our receiving number: {status}")
    })?;
    let strange = stub
        .events_from(0)
        .into_iter()
        .find(|seen| seen.is("violation") || seen.is("peer_restarted"));
    bench.require(strange.is_none(), || {
        strange.as_ref().map(ToString::to_string).unwrap_or_default()
    })?;

    // The kernel takes none of our replies: without us it is its own master.
    stub.kill()?;
    lockspace.stop()?;
    manager.remove_comm(PEER_NODE)?;
    lockspace.change_members(&[(KERNEL_NODE, 1)])?;
    lockspace.start()?;
    lockspace.wait_recovered(SOON)?;
    for lock in locks {
        client.expect(lock, 0, SOON)?;
        client.released(lock, SOON)?;
    }
    drop(client);
    lockspace.leave(SOON)
}

/// What the kernel is to send with this number: news for a directory about a name it never heard of, which nobody
/// answers.
fn remove(seq: u32) -> Result<Vec<u8>> {
    let name =
        ResourceName::new(b"before-the-wrap").map_err(|error| LabError::unexpected(error.to_string()))?;
    let node = NodeId::new(KERNEL_NODE).ok_or_else(|| LabError::unexpected("node 0"))?;
    let mut fields = MsgFields::new(LockspaceId::new(LOCKSPACE), MsgType::Remove);
    fields.tail = Tail::Name(name);
    let frame = FrameFields {
        version: Version::V3_2,
        node,
        content: Content::Opts(OptsFields {
            seq: Seq::new(seq),
            options: Options::NONE,
            inner: InnerFields::Msg(fields),
        }),
    };
    let mut bytes = vec![0; frame.encoded_len()];
    let length = frame.encode_into(&mut bytes);
    length.map_err(|error| LabError::unexpected(error.to_string()))?;
    Ok(bytes)
}

/// Raw messages of the kernel until we expect number 0. They are in no queue: what a reset takes has to be written
/// again, and we reset a kernel whose numbers of the recovery come before these.
fn count_up_to_zero(bench: &Bench, stub: &mut Stub, begun: u32) -> Result<()> {
    wait::until("number 0 to be expected", SOON, || {
        let status = stub.ask("status", "status", SOON)?;
        let expected = recv_next(&status).and_then(|number| u32::try_from(number).ok());
        match expected {
            Some(0) => return Ok(Some(())),
            Some(number) if number >= begun => {
                for missing in number..=u32::MAX {
                    bench.debugfs.raw_message(PEER_NODE, &remove(missing)?)?;
                }
            }
            Some(_) | None => {}
        }
        Ok(None)
    })
}

/// The number that our node expects next of the kernel.
fn recv_next(status: &Event) -> Option<u64> {
    let peers = status.value.get("peers")?.as_array()?;
    peers.iter().find_map(|peer| peer.get("recv_next")?.as_u64())
}
