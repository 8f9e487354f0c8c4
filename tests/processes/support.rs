//! Real nodes as child processes: started, spoken to, stopped, killed, each wait with a deadline.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any single wait takes, on a busy machine too.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(20);

/// Lines of a node that a failed test shows.
const SHOWN: usize = 25;

pub(crate) fn dlmwire() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dlmwire"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Asks again until there is an answer, or the test fails.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "nothing within {DEADLINE:?}: {what}");
        thread::sleep(LOOK);
    }
}

/// A group: who has which address, and a directory for its files.
pub(crate) struct Group {
    directory: PathBuf,
    port: u16,
    addresses: Vec<Ipv4Addr>,
}

impl Group {
    /// `count` nodes, numbered from 1, on loopback addresses that nobody else here has.
    pub(crate) fn new(name: &str, count: u8) -> Self {
        static GROUPS: AtomicU32 = AtomicU32::new(0);
        let group = GROUPS.fetch_add(1, Ordering::Relaxed);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let third = u8::try_from(group % 200).expect("below 200");
        let network = 1 + (high ^ low.rotate_left(4)) % 250;
        let addresses: Vec<_> = (1..=count)
            .map(|node| Ipv4Addr::new(127, network, third, node))
            .collect();
        let directory = std::env::temp_dir().join(format!("dlmwire-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("the directory can be made");
        let port = wait("a free port", || free_port(&addresses));
        Self {
            directory,
            port,
            addresses,
        }
    }

    /// Where a node listens.
    pub(crate) fn address(&self, node: u32) -> SocketAddr {
        SocketAddr::new(self.ip(node), self.port)
    }

    pub(crate) fn ip(&self, node: u32) -> IpAddr {
        let at = usize::try_from(node).expect("small") - 1;
        IpAddr::V4(*self.addresses.get(at).expect("one of the group"))
    }

    /// A port on a node's address that nobody listens on.
    pub(crate) fn other_port(&self, node: u32) -> SocketAddr {
        let listener =
            TcpListener::bind(SocketAddr::new(self.ip(node), 0)).expect("loopback has this address");
        listener.local_addr().expect("it listens")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn control(&self, node: u32) -> PathBuf {
        self.file(&format!("{node}.sock"))
    }

    /// Writes a node's configuration, with `more` keys in it.
    pub(crate) fn config(&self, node: u32, more: &str) -> PathBuf {
        let mut text = format!(
            "node = {node}\nlockspace = \"processes\"\nport = {}\ncontrol = \"{node}.sock\"\n\
             redial_delay_ms = 10\nredial_delay_ms_max = 100\n{more}\n",
            self.port
        );
        for (id, address) in (1..).zip(&self.addresses) {
            text.push_str(&format!("[[nodes]]\nid = {id}\naddresses = [\"{address}\"]\n"));
        }
        let path = self.file(&format!("{node}.toml"));
        fs::write(&path, text).expect("the file can be written");
        path
    }

    /// Starts a node with the group's settings.
    pub(crate) fn start(&self, node: u32) -> Process {
        self.start_with(node, "", &[])
    }

    /// Starts a node with more keys in its configuration and more arguments.
    pub(crate) fn start_with(&self, node: u32, more: &str, arguments: &[&str]) -> Process {
        let config = self.config(node, more);
        let mut command = dlmwire();
        // A node whose test is gone leaves by itself.
        command
            .args(["node", "--log", "debug", "--exit-on-eof", "--config"])
            .arg(config)
            .args(arguments);
        Process::start(&mut command, &self.file(&format!("{node}.err")))
    }

    /// `dlmwire status` of a node, as JSON.
    pub(crate) fn status(&self, node: u32) -> Value {
        let output = self.ask(node, &["status", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("status is JSON")
    }

    /// What a node knows of a peer.
    pub(crate) fn peer(&self, node: u32, peer: u32) -> Value {
        let status = self.status(node);
        let peers = status["peers"].as_array().cloned().unwrap_or_default();
        peers
            .into_iter()
            .find(|other| other["nodeid"] == peer)
            .unwrap_or(Value::Null)
    }

    /// `dlmwire member`.
    pub(crate) fn member(&self, node: u32, change: &str, peer: u32) {
        let peer = peer.to_string();
        let mut arguments = vec!["member", change, &peer];
        if change != "fence" {
            arguments.extend(["--lockspace", "processes"]);
        }
        let output = self.ask(node, &arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    }

    /// Runs a verb against a node's control socket.
    pub(crate) fn ask(&self, node: u32, arguments: &[&str]) -> Output {
        let mut command = dlmwire();
        let verb = arguments.first().expect("a verb");
        command
            .arg(verb)
            .arg("--control")
            .arg(self.control(node))
            .args(&arguments[1..]);
        command.output().expect("the command runs")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _left_behind = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A port that is free on all addresses.
fn free_port(addresses: &[Ipv4Addr]) -> Option<u16> {
    let first = TcpListener::bind((*addresses.first()?, 0)).ok()?;
    let port = first.local_addr().ok()?.port();
    let others = addresses
        .iter()
        .skip(1)
        .map(|address| TcpListener::bind((*address, port)));
    others.collect::<Result<Vec<_>, _>>().ok().map(|_| port)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A child process that speaks JSON lines. Killed at the end, whatever the end.
pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<Value>>>,
    errors: PathBuf,
}

impl Process {
    pub(crate) fn start(command: &mut Command, errors: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(errors)
            .expect("the file can be made");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the command runs");
        let out = child.stdout.take().expect("standard output is a pipe");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            }
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
            errors: errors.to_owned(),
        }
    }

    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Says a line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("standard input is open");
        writeln!(input, "{line}").expect("the process reads");
    }

    /// Says numbered messages from another thread, which gets standard input back to nobody before the join.
    pub(crate) fn say_all(&mut self, lines: impl Iterator<Item = String> + Send + 'static) -> Saying {
        let mut input = self.input.take().expect("standard input is open");
        let thread = thread::spawn(move || {
            for line in lines {
                // Fails if the process was killed, which the test knows.
                if writeln!(input, "{line}").is_err() {
                    break;
                }
            }
            input
        });
        Saying(thread)
    }

    /// Gives standard input back.
    pub(crate) fn said(&mut self, saying: Saying) {
        wait("a writer to end", || saying.0.is_finished().then_some(()));
        self.input = Some(saying.0.join().expect("the writer does not panic"));
    }

    /// Ends standard input.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Everything said up to now.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first line for which `found` says something.
    pub(crate) fn find<T>(&self, found: impl FnMut(&Value) -> Option<T>) -> Option<T> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find_map(found)
    }

    /// How many events of this name, about this peer, were told.
    pub(crate) fn count(&self, event: &str, node: u32) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .filter(|line| line["event"] == event && line["node"] == node)
            .count()
    }

    /// Waits for an event and gives it.
    pub(crate) fn event(&self, event: &str, node: u32) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let found =
                self.find(|line| (line["event"] == event && line["node"] == node).then(|| line.clone()));
            match found {
                Some(line) => return line,
                None => assert!(Instant::now() < end, "no event {event} about node {node}\n{self}"),
            }
            thread::sleep(LOOK);
        }
    }

    /// The texts of all messages of a peer.
    pub(crate) fn received(&self, from: u32) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = lines.iter().filter(|line| line["from"] == from);
        messages
            .filter_map(|line| line["data"].as_str().map(str::to_owned))
            .collect()
    }

    /// The numbers of a flow, as they came.
    pub(crate) fn flow(&self, from: u32, name: &str) -> Vec<usize> {
        let number = |text: String| {
            text.strip_prefix(name)?
                .strip_prefix(' ')?
                .split(' ')
                .next()?
                .parse()
                .ok()
        };
        self.received(from).into_iter().filter_map(number).collect()
    }

    /// Waits until a flow is there, and checks that it came whole, in order and once.
    pub(crate) fn assert_flow(&self, from: u32, name: &str, count: usize) {
        let end = Instant::now() + DEADLINE;
        let (flow, wrong) = loop {
            let flow = self.flow(from, name);
            let mut pairs = flow.iter().copied().zip(0..);
            let wrong = pairs.find(|(number, expected)| number != expected);
            if wrong.is_some() || flow.len() >= count || Instant::now() >= end {
                break (flow, wrong);
            }
            thread::sleep(LOOK);
        };
        assert_eq!(
            wrong, None,
            "flow {name} of node {from}: number, expected\n{self}"
        );
        assert_eq!(
            flow.len(),
            count,
            "flow {name} of node {from} is not whole, or more\n{self}"
        );
    }

    /// Sends a signal to this process alone.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([signal, &pid])
            .status()
            .expect("kill is there");
        assert!(sent.success(), "{sent}");
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        let end = Instant::now() + DEADLINE;
        while status.is_none() && Instant::now() < end {
            status = self.child.try_wait().expect("it is our child");
            thread::sleep(LOOK);
        }
        status.unwrap_or_else(|| panic!("it does not end\n{self}"))
    }

    /// Waits for its end and checks that everybody was left in order.
    pub(crate) fn assert_clean_end(&mut self) {
        let status = self.ended();
        let last = wait("the last line", || {
            self.find(|line| (line["event"] == "stopped").then(|| line.clone()))
        });
        assert_eq!(last["outcome"], "clean", "{last}\n{self}");
        assert_eq!(last["lost"], 0, "{last}\n{self}");
        assert_eq!(status.code(), Some(0), "{status}\n{self}");
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.lines();
        writeln!(
            f,
            "process {}, {} lines, last events:",
            self.child.id(),
            lines.len()
        )?;
        let events: Vec<_> = lines.iter().filter(|line| line["from"].is_null()).collect();
        for line in events.iter().skip(events.len().saturating_sub(SHOWN)) {
            writeln!(f, "  {line}")?;
        }
        for line in self.errors().lines().rev().take(SHOWN) {
            writeln!(f, "  stderr (latest first): {line}")?;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or it does now.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if thread::panicking() {
            let lines: String = self.lines().iter().map(|line| format!("{line}\n")).collect();
            let _for_people = fs::write(self.errors.with_extension("lines"), lines);
        }
    }
}

/// A writer at work.
pub(crate) struct Saying(thread::JoinHandle<ChildStdin>);

/// Numbered messages to a node, or to `"all"`.
pub(crate) fn messages(to: &str, name: &str, count: usize) -> impl Iterator<Item = String> + Send + use<> {
    let (to, name) = (to.to_owned(), name.to_owned());
    (0..count).map(move |number| format!(r#"{{"to":{to},"data":"{name} {number} "}}"#))
}
