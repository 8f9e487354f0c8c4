//! What an application may do from inside the loop.

use std::time::Duration;

use dlmwire_midcomms::engine::Delivery;
use dlmwire_node::{Application, NodeHandle, Outbox};
use dlmwire_transport::MemoryNet;

use crate::world::{Host, config, group, id, memory_transport, until};

/// Answers by the handle, as another thread would, while the loop is in its callback.
#[derive(Default)]
struct ByHandle {
    handle: Option<NodeHandle>,
    got: usize,
}

impl Application for ByHandle {
    fn deliver(&mut self, outbox: &mut Outbox<'_>, delivery: &Delivery<'_>) {
        self.got += 1;
        let Some(handle) = &self.handle else {
            return;
        };
        handle
            .send_payload(delivery.node, group(), b"by the handle")
            .unwrap();
        let mut message = handle.message(delivery.node, group(), 4).unwrap();
        message.bytes_mut().copy_from_slice(b"four");
        message.commit().unwrap();
        // It cannot be answered before the callback is over, and must not be waited for by the loop itself.
        assert!(handle.status(Duration::ZERO).is_err());
        handle.remove_member(id(9), group()).unwrap();
        outbox
            .send_payload(delivery.node, group(), b"by the outbox")
            .unwrap();
    }
}

/// Proves C27.
#[test]
fn callback_may_use_every_handle_because_no_lock_is_held_across_it() {
    let net = MemoryNet::new();
    let mut hosts =
        [1, 2].map(|node| Host::new(config(node), memory_transport(&net, node, 2), ByHandle::default()));
    hosts[1].app.handle = Some(hosts[1].handle.clone());
    hosts[0].join(2);
    hosts[1].join(1);
    hosts[0].handle.send_payload(id(2), group(), b"ask").unwrap();
    until(&mut hosts, "three answers", |hosts| hosts[0].app.got == 3);
    assert_eq!(hosts[1].app.got, 1);
}
