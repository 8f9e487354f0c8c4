//! Resource names that are kept.

use std::fmt;

use dlmwire_codec::{ErrorKind, ResourceName, directory_node};
use dlmwire_codec::{NodeId, resource_hash};

/// A resource's name: 1 to 64 bytes, any bytes. Shown with ASCII escapes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NameLength`] for 0 or more than 64 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, ErrorKind> {
        ResourceName::new(bytes).map(Self::from)
    }

    /// The name as the codec has it.
    pub fn wire(&self) -> ResourceName<'_> {
        ResourceName::new(&self.0).unwrap_or_else(|_| unreachable!("a name was checked when it was taken"))
    }

    /// What `m_hash` says of it (spec: peer 6).
    pub fn hash(&self) -> u32 {
        resource_hash(&self.0)
    }

    /// The member that keeps the directory's record of it. `members` come by ascending id, with their weights.
    pub(super) fn directory<M>(&self, members: M) -> Option<NodeId>
    where
        M: IntoIterator<Item = (NodeId, u32)>,
        M::IntoIter: Clone,
    {
        directory_node(self.hash(), members)
    }
}

impl From<ResourceName<'_>> for Name {
    fn from(name: ResourceName<'_>) -> Self {
        Self(name.bytes().into())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name(\"{self}\")")
    }
}
