//! Another network namespace: what is begun in it stays in it.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use rustix::thread::LinkNameSpaceType;

use super::error::{At, LabError, Result};

/// A named network namespace.
#[derive(Clone, Debug)]
pub struct Namespace {
    path: PathBuf,
}

impl Namespace {
    /// The namespace that `ip netns add NAME` made.
    pub fn named(name: &str) -> Self {
        Self {
            path: PathBuf::from("/run/netns").join(name),
        }
    }

    /// Does `work` in a thread of its own inside the namespace: sockets that it opens and processes that it starts
    /// stay there.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered, or what `work` ends with.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = File::open(&self.path).at("open", &self.path)?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                rustix::thread::move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .at("enter namespace", &self.path)?;
                work()
            });
            let panicked = |_| LabError::unexpected("a thread in the peer's namespace panicked");
            inside.join().map_err(panicked)?
        })
    }
}
