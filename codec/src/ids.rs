//! Who and where: node ids, lockspace ids, lock ids (spec: wire 2, 3).

use core::fmt;
use core::num::NonZeroU32;

/// A cluster node's id, never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// A node id, or `None` for 0, which no node has.
    #[inline]
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The id as it stands on the wire.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.0)
    }
}

/// A lockspace's global id, the same on every member.
///
/// Kernels take any number that user space writes to `/sys/kernel/dlm/NAME/id`; `dlm_controld` derives it
/// from the name, see [`from_name`](Self::from_name).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LockspaceId(u32);

impl LockspaceId {
    /// Takes the id as it stands on the wire.
    #[inline]
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The id as it stands on the wire.
    #[inline]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The id that `dlm_controld` gives to the lockspace `name`: CRC-32 of `dlm:ls:NAME` and a NUL.
    ///
    /// ```
    /// use dlmwire_codec::LockspaceId;
    ///
    /// assert_eq!(LockspaceId::from_name(b"lvm_global"), LockspaceId::new(0x12aa_bd2d));
    /// ```
    pub fn from_name(name: &[u8]) -> Self {
        let mut crc = crc32fast::Hasher::new();
        crc.update(b"dlm:ls:");
        crc.update(name);
        crc.update(b"\0");
        Self(crc.finalize())
    }
}

impl fmt::Display for LockspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for LockspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockspaceId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_0_does_not_exist() {
        assert_eq!(NodeId::new(0), None);
        assert_eq!(NodeId::new(7).map(NodeId::get), Some(7));
    }

    #[test]
    fn lockspace_id_is_the_controld_crc() {
        for (name, id) in [("lvm_clvg0", 0x45d1_d4f1), ("lvm_global", 0x12aa_bd2d)] {
            assert_eq!(
                LockspaceId::from_name(name.as_bytes()),
                LockspaceId::new(id),
                "{name}"
            );
        }
    }
}
