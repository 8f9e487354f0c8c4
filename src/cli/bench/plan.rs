//! What is measured, in which order, and what is made of the repetitions.

use std::fmt;
use std::time::Duration;

use super::nodes::{self, Carrier, FRAME_OVERHEAD_BYTES, Failure, Traffic};
use super::raw::{self, End, HEAD_BYTES, Setup, Times, Wire};
use super::report::{Row, Spread};

/// Messages that a sender of a fan-in has at a time.
const FAN_IN_PER_WRITE: usize = 32;

/// How messages go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Pattern {
    /// As many as go through one connection, one way
    Stream,
    /// The same, sent by another thread, one by one
    Handle,
    /// One there, one back
    Pingpong,
    /// Many nodes send to one
    Fanin,
}

/// Where both ends run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Cores {
    /// Ping-pong and fan-in on one core, streams free
    Auto,
    /// All on one: what repeats best
    One,
    /// All free
    Free,
}

/// Everything that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) carriers: Vec<Carrier>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) payload_bytes: Vec<usize>,
    pub(crate) connections: Vec<usize>,
    pub(crate) window: Duration,
    pub(crate) repetitions: u32,
    pub(crate) cores: Cores,
    pub(crate) congestion: Option<String>,
}

/// What does it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Program {
    Unnumbered,
    Numbered,
    /// With frames as long as a node's.
    NumberedWide,
    Raw,
    /// With frames as long as a node's.
    RawWide,
    Nodes(Carrier),
}

/// One thing that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Case {
    pattern: Pattern,
    payload_bytes: usize,
    connections: usize,
    one_core: bool,
    program: Program,
}

/// One repetition of a case.
#[derive(Clone, Copy, Debug)]
struct Measured {
    per_second: f64,
    cpu: f64,
    receiver_cpu: f64,
    /// Microseconds.
    percentiles: Option<[f64; 3]>,
    acks_per_message: f64,
    frames_per_write: f64,
}

impl Pattern {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Handle => "handle",
            Self::Pingpong => "pingpong",
            Self::Fanin => "fanin",
        }
    }
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Unnumbered => "raw-r0",
            Self::Numbered => "raw-r1",
            Self::NumberedWide => "raw-r1-wide",
            Self::Raw => "raw",
            Self::RawWide => "raw-wide",
            Self::Nodes(carrier) => carrier.name(),
        }
    }

    /// Bytes of a frame besides its payload.
    const fn overhead_bytes(self) -> usize {
        match self {
            Self::Unnumbered | Self::Numbered | Self::Raw => HEAD_BYTES,
            Self::NumberedWide | Self::RawWide | Self::Nodes(_) => FRAME_OVERHEAD_BYTES,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pattern, program) = (self.pattern.name(), self.program.name());
        write!(f, "{pattern}, {} B, {program}", self.payload_bytes)
    }
}

impl Plan {
    /// How many measurements that is.
    pub(crate) fn steps(&self) -> u64 {
        let cases: usize = self.groups().iter().map(Vec::len).sum();
        cases as u64 * u64::from(self.repetitions)
    }

    /// Measures everything; `step` is told before each measurement.
    pub(crate) fn run(&self, mut step: impl FnMut(&Case)) -> Result<Vec<Row>, String> {
        let groups = self.groups();
        let mut measured: Vec<Vec<Vec<Measured>>> =
            groups.iter().map(|group| vec![Vec::new(); group.len()]).collect();
        for _ in 0..self.repetitions {
            for (group, results) in groups.iter().zip(&mut measured) {
                for (case, results) in group.iter().zip(results) {
                    step(case);
                    let ends = self.measure(case).map_err(|error| format!("{case}: {error}"))?;
                    results.push(Measured::of(&ends).ok_or_else(|| format!("{case}: nothing came"))?);
                }
            }
        }
        let rows = groups.iter().zip(&measured).flat_map(|(group, results)| {
            // The yardstick is the first of a group.
            let base = results.first().map_or(&[][..], Vec::as_slice);
            group
                .iter()
                .zip(results)
                .map(|(case, results)| case.row(results, base))
        });
        Ok(rows.collect())
    }

    /// What the yardstick runs over: what is measured alone, else TCP.
    fn wire(&self) -> Wire {
        match self.carriers.as_slice() {
            [Carrier::Sctp] => Wire::Sctp,
            _ => Wire::Tcp,
        }
    }

    /// Cases that are compared with each other; the first is what the others are compared with.
    fn groups(&self) -> Vec<Vec<Case>> {
        let mut groups = Vec::new();
        let first_size = self.payload_bytes.iter().take(1);
        for pattern in &self.patterns {
            match pattern {
                Pattern::Stream => groups.extend(
                    self.payload_bytes
                        .iter()
                        .map(|bytes| self.group(*pattern, *bytes, 1)),
                ),
                Pattern::Handle | Pattern::Pingpong => {
                    groups.extend(first_size.clone().map(|bytes| self.group(*pattern, *bytes, 1)))
                }
                Pattern::Fanin => groups.extend(first_size.clone().flat_map(|bytes| {
                    let connections = self.connections.iter();
                    connections.map(|connections| self.group(*pattern, *bytes, *connections))
                })),
            }
        }
        groups
    }

    fn group(&self, pattern: Pattern, payload_bytes: usize, connections: usize) -> Vec<Case> {
        let raw: &[Program] = match pattern {
            Pattern::Stream => &[Program::Numbered, Program::Unnumbered, Program::NumberedWide],
            Pattern::Handle => &[Program::Numbered, Program::NumberedWide],
            Pattern::Pingpong => &[Program::Raw, Program::RawWide],
            Pattern::Fanin => &[Program::Raw, Program::RawWide, Program::NumberedWide],
        };
        let one_core = match self.cores {
            Cores::Auto => !matches!(pattern, Pattern::Stream | Pattern::Handle),
            Cores::One => true,
            Cores::Free => false,
        };
        let nodes = self.carriers.iter().map(|carrier| Program::Nodes(*carrier));
        let case = |program| Case {
            pattern,
            payload_bytes,
            connections,
            one_core,
            program,
        };
        raw.iter().copied().chain(nodes).map(case).collect()
    }

    fn measure(&self, case: &Case) -> Result<[End; 2], Failure> {
        let setup = Setup {
            wire: self.wire(),
            frame_bytes: case.program.overhead_bytes() + case.payload_bytes,
            times: Times {
                warm_up: self.window / 4,
                window: self.window,
            },
            one_core: case.one_core,
            congestion: self.congestion.clone(),
        };
        let traffic = match case.pattern {
            Pattern::Stream => Traffic::Stream,
            Pattern::Handle => Traffic::Handle,
            Pattern::Pingpong => Traffic::PingPong,
            Pattern::Fanin => Traffic::FanIn {
                senders: case.connections,
                per_turn: FAN_IN_PER_WRITE as u64,
            },
        };
        Ok(match (case.program, case.pattern) {
            (Program::Unnumbered, _) => raw::stream::unnumbered(&setup)?,
            (Program::NumberedWide, Pattern::Fanin) => {
                raw::fan_in::numbered(&setup, case.connections, FAN_IN_PER_WRITE)?
            }
            (Program::Numbered | Program::NumberedWide, _) => raw::stream::numbered(&setup)?,
            (Program::Raw | Program::RawWide, Pattern::Fanin) => {
                raw::fan_in::run(&setup, case.connections, FAN_IN_PER_WRITE)?
            }
            (Program::Raw | Program::RawWide, _) => raw::ping_pong::run(&setup)?,
            (Program::Nodes(carrier), _) => nodes::run(carrier, traffic, case.payload_bytes, &setup)?,
        })
    }
}

impl Case {
    fn row(&self, results: &[Measured], base: &[Measured]) -> Row {
        let spread = |of: &dyn Fn(&Measured) -> f64| Spread::of(results.iter().map(of));
        let ratio = |of: &dyn Fn(&Measured) -> f64| {
            Spread::of(results.iter().zip(base).map(|(own, base)| of(own) / of(base)))
        };
        let percentile =
            |at: usize| spread(&|measured| measured.percentiles.map_or(0.0, |all| all[at])).median;
        let timed = results.iter().all(|measured| measured.percentiles.is_some());
        let both_timed = timed && base.iter().all(|measured| measured.percentiles.is_some());
        let per_second = spread(&|measured| measured.per_second);
        Row {
            pattern: self.pattern.name().to_owned(),
            program: self.program.name().to_owned(),
            payload_bytes: self.payload_bytes,
            connections: self.connections,
            one_core: self.one_core,
            megabytes_per_second: per_second.median * self.payload_bytes as f64 / 1e6,
            messages_per_second: per_second,
            cpu_seconds_per_million: spread(&|measured| measured.cpu),
            receiver_cpu_seconds_per_million: spread(&|measured| measured.receiver_cpu),
            percentiles_us: timed.then(|| [percentile(0), percentile(1), percentile(2)]),
            acks_per_message: spread(&|measured| measured.acks_per_message).median,
            frames_per_write: spread(&|measured| measured.frames_per_write).median,
            rate_ratio: ratio(&|measured| measured.per_second),
            cpu_ratio: ratio(&|measured| measured.cpu),
            receiver_cpu_ratio: ratio(&|measured| measured.receiver_cpu),
            p50_ratio: both_timed.then(|| ratio(&|measured| measured.percentiles.map_or(0.0, |all| all[0]))),
            p99_ratio: both_timed.then(|| ratio(&|measured| measured.percentiles.map_or(0.0, |all| all[1]))),
        }
    }
}

impl Measured {
    /// `None` if no message came.
    fn of([sender, receiver]: &[End; 2]) -> Option<Self> {
        if receiver.counts.messages == 0 || receiver.elapsed.is_zero() || sender.elapsed.is_zero() {
            return None;
        }
        let messages = receiver.counts.messages as f64;
        let per_second = messages / receiver.elapsed.as_secs_f64();
        // Windows of the two ends are not quite the same: what each used per second counts.
        let load = |end: &End| end.cpu.as_secs_f64() / end.elapsed.as_secs_f64();
        let latency = if sender.latency.is_empty() {
            &receiver.latency
        } else {
            &sender.latency
        };
        let micros = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        Some(Self {
            per_second,
            cpu: (load(sender) + load(receiver)) / per_second * 1e6,
            receiver_cpu: load(receiver) / per_second * 1e6,
            percentiles: (!latency.is_empty()).then(|| [0.5, 0.99, 0.999].map(micros)),
            acks_per_message: receiver.counts.acks as f64 / messages,
            frames_per_write: sender.counts.messages as f64 / (sender.counts.writes.max(1)) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_yardsticks_have_the_frames_of_nodes_and_the_others_the_head_alone() {
        let node = Program::Nodes(Carrier::Mem).overhead_bytes();
        assert_eq!(node, 112, "OPTS and DLM_MSG");
        for wide in [Program::NumberedWide, Program::RawWide] {
            assert_eq!(wide.overhead_bytes(), node);
        }
        for plain in [Program::Unnumbered, Program::Numbered, Program::Raw] {
            assert_eq!(plain.overhead_bytes(), 24);
        }
    }
}
