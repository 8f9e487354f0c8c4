//! Our node in the peer's namespace: a `dlmwire stub` process, told by lines and heard by events.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::command;
use super::error::{At, LabError, Result};
use super::journal::Journal;
use super::netns::Namespace;
use super::wait::Log;

/// Events that are kept for waiting; all go into the file.
const EVENTS_MAX: usize = 500_000;
/// How long the process may take to start.
const START: Duration = Duration::from_secs(20);
/// How long the process may take to die.
const DIE: Duration = Duration::from_secs(10);

/// Where a stub runs and what it leaves behind.
pub struct Place<'a> {
    /// The namespace that it lives in.
    pub namespace: &'a Namespace,
    /// The program.
    pub program: &'a Path,
    /// The evidence folder of the case.
    pub folder: &'a Path,
    /// Where its life is noted.
    pub journal: &'a Journal,
}

/// A running stub. Dropped, it is killed.
pub struct Stub {
    child: Child,
    input: Option<ChildStdin>,
    events: Log<Event>,
    journal: Journal,
    last_tag: u64,
}

/// Something that the stub told.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The whole line.
    pub value: Value,
}

/// The mark of what a command causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    name: String,
    mark: usize,
}

impl Stub {
    /// Starts `dlmwire stub` with these arguments and waits until it says that it runs.
    ///
    /// Several stubs of one case write to `stub.jsonl`, `stub-2.jsonl`, ...
    ///
    /// # Errors
    ///
    /// When it does not start; its own words are in `stub.err`.
    pub fn start(place: &Place<'_>, args: &[&str]) -> Result<Self> {
        let (events_file, errors_file) = files(place.folder)?;
        let mut program = command::new(place.program);
        program.arg("stub").args(args).current_dir("/");
        program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors_file);
        // What is started from a thread in the namespace lives in the namespace.
        let mut child = place
            .namespace
            .within(|| program.spawn().on("start dlmwire stub"))?;
        place.journal.note(
            "stub_started",
            &[("args", args.join(" ").into()), ("pid", child.id().into())],
        );
        let events = Log::new(EVENTS_MAX);
        if let Some(stdout) = child.stdout.take() {
            let filled = events.clone();
            let reader = thread::Builder::new().name("stub".into());
            reader
                .spawn(move || listen(stdout, events_file, &filled))
                .on("start a thread")?;
        }
        let stub = Self {
            input: child.stdin.take(),
            child,
            events,
            journal: place.journal.clone(),
            last_tag: 0,
        };
        stub.wait_event("started", 0, START)?;
        Ok(stub)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A place in its events.
    pub fn mark(&self) -> usize {
        self.events.mark()
    }

    /// The events from `mark` on.
    pub fn events_from(&self, mark: usize) -> Vec<Event> {
        self.events.from(mark)
    }

    /// Sends a command.
    ///
    /// # Errors
    ///
    /// When it does not listen any more.
    pub fn send(&mut self, line: &str) -> Result<Tag> {
        self.last_tag += 1;
        let tag = Tag {
            name: format!("t{}", self.last_tag),
            mark: self.mark(),
        };
        self.journal.note(
            "stub_told",
            &[("line", line.into()), ("tag", tag.name.clone().into())],
        );
        let input = self
            .input
            .as_mut()
            .ok_or_else(|| LabError::unexpected("the stub's input is closed"))?;
        writeln!(input, "@{} {line}", tag.name).on(&format!("tell the stub {line:?}"))?;
        Ok(tag)
    }

    /// Sends a command and waits for the event of this name that it causes.
    ///
    /// # Errors
    ///
    /// When it does not come within `limit`, or the command is refused or fails.
    pub fn ask(&mut self, line: &str, event: &str, limit: Duration) -> Result<Event> {
        let tag = self.send(line)?;
        self.wait_tag(&tag, event, limit).map_err(|error| match error {
            LabError::Unexpected(text) => LabError::unexpected(format!("{line:?}: {text}")),
            other => other,
        })
    }

    /// Waits for the event of this name that a command causes.
    ///
    /// # Errors
    ///
    /// When it does not come within `limit`, or the command is refused or fails.
    pub fn wait_tag(&self, tag: &Tag, event: &str, limit: Duration) -> Result<Event> {
        let waited_for = format!("event {event} of command {}", tag.name);
        let good = |seen: &Event| {
            let ours = seen.tag() == Some(&tag.name);
            ours && (seen.is(event) || seen.is("error") || seen.is("failed"))
        };
        let seen = self.wait(&waited_for, tag.mark, limit, good)?;
        if seen.is(event) {
            return Ok(seen);
        }
        Err(LabError::unexpected(format!(
            "expected event {event}, the stub said {seen}"
        )))
    }

    /// The first event from `mark` on that `good` accepts.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or the stub ended.
    pub fn wait(
        &self,
        waited_for: &str,
        mark: usize,
        limit: Duration,
        good: impl FnMut(&Event) -> bool,
    ) -> Result<Event> {
        let found = self.events.wait_from(waited_for, mark, limit, good);
        let (_, event) = found.map_err(|error| self.with_last_event(error))?;
        Ok(event)
    }

    /// The first event of this name from `mark` on.
    ///
    /// # Errors
    ///
    /// When none comes within `limit`, or the stub ended.
    pub fn wait_event(&self, event: &str, mark: usize, limit: Duration) -> Result<Event> {
        self.wait(&format!("the stub's event {event}"), mark, limit, |seen| {
            seen.is(event)
        })
    }

    /// Ends it at once; the peers are not told.
    ///
    /// # Errors
    ///
    /// When it does not die.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("stub_killed", Signal::KILL)?;
        self.ended(DIE).map(drop)
    }

    /// Stops it where it stands.
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn pause(&self) -> Result<()> {
        self.signal("stub_paused", Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn resume(&self) -> Result<()> {
        self.signal("stub_resumed", Signal::CONT)
    }

    /// Asks it to leave and end.
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn terminate(&self) -> Result<()> {
        self.signal("stub_terminated", Signal::TERM)
    }

    /// Closes its input: it leaves and ends.
    pub fn close_input(&mut self) {
        self.journal.note("stub_input_closed", &[]);
        self.input = None;
    }

    /// Waits for its end; past `limit` it is killed.
    ///
    /// # Errors
    ///
    /// When it had to be killed.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = command::ended(&mut self.child, "the stub", limit)?;
        self.journal
            .note("stub_ended", &[("status", status.to_string().into())]);
        Ok(status)
    }

    fn signal(&self, event: &str, signal: Signal) -> Result<()> {
        self.journal.note(event, &[]);
        rustix::process::kill_process(Pid::from_child(&self.child), signal).on("signal the stub")
    }

    fn with_last_event(&self, error: LabError) -> LabError {
        let last = self.events.from(self.mark().saturating_sub(1)).pop();
        let last = last.map_or_else(
            || "the stub said nothing".to_owned(),
            |event| format!("the stub's last word {event}"),
        );
        match error {
            LabError::Deadline {
                waited_for, after, ..
            } => LabError::Deadline {
                waited_for,
                after,
                seen: last,
            },
            LabError::Unexpected(text) => LabError::unexpected(format!("{text}; {last}")),
            other => other,
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Event {
    /// Its name.
    pub fn name(&self) -> &str {
        self.text("event").unwrap_or_default()
    }

    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name() == name
    }

    /// The tag of the command that caused it.
    pub fn tag(&self) -> Option<&str> {
        self.text("tag")
    }

    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.value.get(field)?.as_str()
    }

    /// A field that is a number and not negative.
    pub fn number(&self, field: &str) -> Option<u64> {
        self.value.get(field)?.as_u64()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

fn listen(stdout: ChildStdout, mut file: File, events: &Log<Event>) {
    for line in BufReader::new(stdout).lines() {
        let Ok(line) = line else { break };
        let _ = writeln!(file, "{line}");
        if let Some(event) = parse(&line) {
            events.push(event);
        }
    }
    events.close();
}

/// A line that is no event is kept as the text of one.
fn parse(line: &str) -> Option<Event> {
    if line.trim().is_empty() {
        return None;
    }
    let value = serde_json::from_str(line)
        .unwrap_or_else(|_| serde_json::json!({ "event": "no_json", "text": line }));
    Some(Event { value })
}

/// The next pair of evidence files that is free.
fn files(folder: &Path) -> Result<(File, File)> {
    let free = (1..).map(|number| match number {
        1 => "stub".to_owned(),
        _ => format!("stub-{number}"),
    });
    let name = free
        .map(|name| folder.join(name))
        .find(|name| !name.with_extension("jsonl").exists());
    let name = name.unwrap_or_else(|| folder.join("stub"));
    let create = |extension: &str| {
        let path = name.with_extension(extension);
        File::create(&path).at("create", &path)
    };
    Ok((create("jsonl")?, create("err")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_is_read_from_its_line() {
        let event =
            parse(r#"{"event":"granted","ms":3.5,"lock":7,"mode":"EX","tag":"t4"}"#).expect("an event");
        assert!(event.is("granted"));
        assert_eq!(
            (event.tag(), event.text("mode"), event.number("lock")),
            (Some("t4"), Some("EX"), Some(7))
        );
        assert_eq!((event.number("mode"), event.text("none")), (None, None));
    }

    #[test]
    fn line_that_is_no_event_is_kept_as_text() {
        let event = parse("thread panicked").expect("an event");
        assert_eq!(
            (event.name(), event.text("text")),
            ("no_json", Some("thread panicked"))
        );
        assert_eq!(parse("  "), None);
    }
}
