//! Resources without locks: remembered for a while, then forgotten, here and at the directory (spec: peer 7).

use dlmwire_codec::{MsgFields, MsgType, NodeId, Tail};

use super::lockspace::Lockspace;
use super::name::Name;

impl Lockspace {
    /// Forgets what has had no locks for long enough.
    pub(super) fn forget_tossed(&mut self) {
        while let Some((at, _)) = self.tossed.front()
            && *at <= self.now
        {
            let Some((at, name)) = self.tossed.pop_front() else {
                return;
            };
            let Some(resource) = self.resources.get(&name) else {
                continue;
            };
            if resource.tossed_at == Some(at) {
                let master = resource.master;
                self.resources.remove(&name);
                self.forget_record(&name, master);
            }
        }
    }

    fn forget_record(&mut self, name: &Name, master: Option<NodeId>) {
        let own = self.config.node;
        if master != Some(own) || !self.recovery.is_running() {
            return;
        }
        let directory = self.members.directory(name);
        if directory == own {
            self.directory.remove(name);
            return;
        }
        let remove = MsgFields {
            hash: name.hash(),
            tail: Tail::Name(name.wire()),
            ..MsgFields::new(self.config.lockspace, MsgType::Remove)
        };
        self.post(directory, remove);
    }
}
