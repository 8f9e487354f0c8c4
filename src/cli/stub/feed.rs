//! Standard input and signals: understood, and handed to the node's loop.

use std::io::{self, BufReader};
use std::process;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::{Duration, Instant};

use dlmwire_interop::participant::{Command, Told};
use dlmwire_transport::Waker;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::FOUND;
use super::command;
use super::event::Complaint;
use super::setup::Setup;
use crate::cli::node::order::{LINE_BYTES_MAX, Line, Lines};
use crate::cli::node::outlet::Outlet;

/// Commands that wait for the loop; whoever has more waits.
pub(super) const COMMANDS_MAX: usize = 1024;

const BUFFER_BYTES: usize = 64 << 10;

/// Takes the signals over.
pub(super) fn signals() -> io::Result<Signals> {
    Signals::new([SIGINT, SIGTERM])
}

/// The way to the node's loop. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feed {
    commands: SyncSender<Told>,
    waker: Waker,
    outlet: Arc<Outlet>,
    /// When the process began, as events count it.
    began: Instant,
}

impl Feed {
    pub(super) const fn new(
        commands: SyncSender<Told>,
        waker: Waker,
        outlet: Arc<Outlet>,
        began: Instant,
    ) -> Self {
        Self {
            commands,
            waker,
            outlet,
            began,
        }
    }

    /// Joins every lockspace with all nodes, as the first thing.
    pub(super) fn join_all(&self, setup: &Setup) {
        for (name, _) in &setup.lockspaces {
            self.give(Told {
                tag: None,
                line: 0,
                lockspace: Some(name.clone()),
                command: Command::Join(Vec::new()),
            });
        }
    }

    /// Leaves everything and ends.
    pub(super) fn leave(&self) {
        self.give(Told {
            tag: None,
            line: 0,
            lockspace: None,
            command: Command::LeaveAll,
        });
    }

    fn give(&self, told: Told) {
        // A loop that has ended takes nothing, and nothing has to be done.
        let _ended = self.commands.send(told);
        self.waker.wake();
    }

    /// Begins to read, and to wait for signals. The threads end with the process.
    pub(super) fn start(&self, mut signals: Signals, limit: Duration) -> io::Result<()> {
        let feed = self.clone();
        thread::Builder::new()
            .name("dlmwire-input".to_owned())
            .spawn(move || {
                if let Err(error) = feed.read() {
                    tracing::error!("standard input: {error}");
                }
                feed.leave();
                end_after(limit);
            })?;
        let feed = self.clone();
        thread::Builder::new()
            .name("dlmwire-signals".to_owned())
            .spawn(move || {
                for (count, _) in signals.forever().enumerate() {
                    if count > 0 {
                        end_now();
                    }
                    let feed = feed.clone();
                    thread::spawn(move || {
                        feed.leave();
                        end_after(limit);
                    });
                }
            })?;
        Ok(())
    }

    fn read(&self) -> io::Result<()> {
        let mut lines = Lines::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin()));
        while let Some(line) = lines.next()? {
            let understood = match line {
                Line::TooLong => Err((None, format!("line exceeds limit {LINE_BYTES_MAX}"))),
                Line::Whole(bytes) => match str::from_utf8(bytes) {
                    Ok(text) => command::parse(text),
                    Err(_) => Err((None, "not UTF-8".to_owned())),
                },
            };
            let number = lines.count();
            match understood {
                Ok(None) => {}
                Ok(Some(told)) => self.give(Told { line: number, ..told }),
                Err((tag, text)) => self.complain(tag.as_deref(), number, &text),
            }
        }
        Ok(())
    }

    fn complain(&self, tag: Option<&str>, line: u64, text: &str) {
        self.outlet.tell(&Complaint::new(self.began, tag, line, text));
    }
}

fn end_after(limit: Duration) {
    thread::sleep(limit);
    end_now();
}

/// Ends the process, and the others see a reset or nothing.
pub(super) fn end_now() -> ! {
    process::exit(i32::from(FOUND));
}
