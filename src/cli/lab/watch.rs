//! What is seen of a run while it runs: on a terminal one line that changes, elsewhere nothing.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use dlmwire_interop::lab::run::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::cli::error::Error;

const TICK: Duration = Duration::from_millis(120);

/// The line.
pub(super) struct Line {
    bar: ProgressBar,
    kernel: String,
}

impl Line {
    pub(super) fn new(kernel: &str) -> Self {
        let bar = if io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            kernel: kernel.to_owned(),
        }
    }

    pub(super) fn show(&self, progress: Progress<'_>) {
        let kernel = &self.kernel;
        match progress {
            Progress::Boot { number: 1 } => self.say(&format!("{kernel}: boots")),
            Progress::Boot { number } => self.say(&format!("{kernel}: boots again, guest {number}")),
            Progress::Begun(case) => self.say(&format!("{kernel}: {case}")),
            Progress::Ended(result) => self.say(&format!("{kernel}: {} is over", result.case)),
        }
    }

    pub(super) fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Set by the first signal that asks us to end; the second one ends us at once.
pub(super) fn stop_on_signals() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
