//! Leaving: in order at the first signal, at once at the second, and never later than the deadline.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use dlmwire_node::NodeHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::FOUND;

/// What the node's loop gets beyond the deadline, to tell how it ended.
const GRACE: Duration = Duration::from_secs(2);

/// Makes the node leave. Cheap to clone.
#[derive(Clone)]
pub(super) struct Leave {
    begin: SyncSender<()>,
}

/// Takes the signals over.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGINT, SIGTERM])
}

impl Leave {
    /// Begins to wait for a reason to leave.
    pub(super) fn start(
        handle: NodeHandle,
        deadline: Duration,
        control: PathBuf,
        mut signals: Signals,
    ) -> io::Result<Self> {
        let (begin, begun) = sync_channel(1);
        let leave = Self { begin };
        let told = leave.clone();
        let socket = control.clone();
        thread::Builder::new()
            .name("dlmwire-signals".to_owned())
            .spawn(move || {
                for (count, _) in signals.forever().enumerate() {
                    if count > 0 {
                        end_now(&socket);
                    }
                    told.begin();
                }
            })?;
        thread::Builder::new()
            .name("dlmwire-leave".to_owned())
            .spawn(move || leave_in_order(&begun, &handle, deadline, &control))?;
        Ok(leave)
    }

    /// Leaves. Once is enough.
    pub(super) fn begin(&self) {
        // Full: it was told already.
        let _told = self.begin.try_send(());
    }
}

fn leave_in_order(begun: &Receiver<()>, handle: &NodeHandle, deadline: Duration, control: &Path) {
    if begun.recv().is_err() {
        return;
    }
    if handle.shutdown(deadline + GRACE / 2).is_err() {
        handle.stop();
    }
    // The loop ends by itself, and with it the process: unless nobody reads what it has to say.
    thread::sleep(super::linger::LINGER_MAX + GRACE);
    end_now(control);
}

/// Ends the process, and the others see a reset or nothing.
fn end_now(control: &Path) -> ! {
    let _gone = fs::remove_file(control);
    process::exit(i32::from(FOUND));
}
