//! A schedule: what is done, to which connection, at which byte; as JSON lines.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::fault::{Direction, Fault, FaultError};

/// The most events that a schedule holds.
pub const EVENTS_MAX: usize = 1 << 20;

/// The longest line of a schedule in bytes, its end not counted.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// One line of a schedule: a fault and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Number of the route, from 1, in the order of the configuration.
    pub route: u32,
    /// Number of the connection, from 1, in the order in which the route accepts them.
    pub connection: u64,
    /// Which way the bytes go that are counted.
    pub direction: Direction,
    /// So many bytes have been forwarded before this happens. 0 is before the first.
    pub at_byte: u64,
    /// What happens.
    pub fault: Fault,
}

impl Event {
    /// The event as a line of a schedule, without the line's end.
    ///
    /// # Errors
    ///
    /// None that a well-formed event can cause.
    pub fn to_line(&self) -> io::Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    fn check(&self) -> Result<(), Reason> {
        if self.route == 0 {
            return Err(Reason::FromOne("route"));
        }
        if self.connection == 0 {
            return Err(Reason::FromOne("connection"));
        }
        if matches!(self.fault, Fault::Refuse { .. }) && self.at_byte > 0 {
            return Err(Reason::RefusedLate(self.at_byte));
        }
        self.fault.check().map_err(Reason::Fault)
    }
}

/// What is done, to which connection, at which byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// By place up to the direction, then in the order of their bytes; the order of the file among equals.
    events: BTreeMap<(u32, u64, Direction), VecDeque<Event>>,
    /// The highest route that is named, and the line that names it.
    pub(super) highest_route: Option<(u32, u64)>,
}

impl Schedule {
    /// Reads JSON lines, one [`Event`] each. Empty lines mean nothing.
    ///
    /// # Errors
    ///
    /// The first line that is no event, or lies beyond [`EVENTS_MAX`] or [`LINE_BYTES_MAX`], and why.
    pub fn read(mut input: impl BufRead) -> Result<Self, ScheduleError> {
        let mut schedule = Self::default();
        let mut line = Vec::new();
        let mut number = 0;
        let mut count = 0;
        loop {
            number += 1;
            let error = |reason| ScheduleError { line: number, reason };
            line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            let taken = io::Read::take(&mut input, limit)
                .read_until(b'\n', &mut line)
                .map_err(|source| error(Reason::Io(source)))?;
            if taken == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if text.len() > LINE_BYTES_MAX {
                return Err(error(Reason::LongLine));
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            count += 1;
            if count > EVENTS_MAX {
                return Err(error(Reason::TooMany));
            }
            let event: Event = serde_json::from_slice(text).map_err(|source| error(Reason::Json(source)))?;
            event.check().map_err(error)?;
            schedule.insert(event, number);
        }
        for events in schedule.events.values_mut() {
            events.make_contiguous().sort_by_key(|event| event.at_byte);
        }
        Ok(schedule)
    }

    /// All events, by route, connection, direction and byte.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.values().flatten()
    }

    /// What is to happen to one direction of a connection once it is accepted, in the order of its bytes.
    pub(super) fn stream(&self, route: u32, connection: u64, direction: Direction) -> VecDeque<Event> {
        let mut events = self
            .events
            .get(&(route, connection, direction))
            .cloned()
            .unwrap_or_default();
        events.retain(|event| !matches!(event.fault, Fault::Refuse { .. }));
        events
    }

    /// The event that refuses this connection.
    pub(super) fn refusal(&self, route: u32, connection: u64) -> Option<Event> {
        Direction::ALL
            .into_iter()
            .filter_map(|direction| self.events.get(&(route, connection, direction)))
            .flatten()
            .find(|event| matches!(event.fault, Fault::Refuse { .. }))
            .cloned()
    }

    fn insert(&mut self, event: Event, line: u64) {
        if self.highest_route.is_none_or(|(route, _)| route < event.route) {
            self.highest_route = Some((event.route, line));
        }
        let place = (event.route, event.connection, event.direction);
        self.events.entry(place).or_default().push_back(event);
    }
}

/// Why a schedule cannot be read, and where.
#[derive(Debug)]
pub struct ScheduleError {
    /// The line, from 1.
    pub line: u64,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Io(io::Error),
    Json(serde_json::Error),
    LongLine,
    TooMany,
    FromOne(&'static str),
    RefusedLate(u64),
    Fault(FaultError),
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.reason {
            Reason::Io(source) => write!(f, "{source}"),
            Reason::Json(source) => {
                // The line that it names is always the first: lines are read one by one.
                let text = source.to_string();
                let text = text
                    .rsplit_once(" at line ")
                    .map_or(text.as_str(), |(text, _)| text);
                write!(f, "column {}: {text}", source.column())
            }
            Reason::LongLine => write!(f, "longer than {LINE_BYTES_MAX} bytes, which is the limit"),
            Reason::TooMany => write!(f, "more than {EVENTS_MAX} events, which is the limit"),
            Reason::FromOne(name) => write!(f, "{name} 0: {name}s are numbered from 1"),
            Reason::RefusedLate(at_byte) => {
                write!(f, "at_byte {at_byte}: a connection can be refused at byte 0 only")
            }
            Reason::Fault(source) => write!(f, "{source}"),
        }
    }
}

impl std::error::Error for ScheduleError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SPLIT: &str = r#"{"route":1,"connection":2,"direction":"back","at_byte":9,"fault":{"kind":"split","pieces":[1,3],"gap_us":0}}"#;

    fn with(from: &str, to: &str) -> String {
        assert!(SPLIT.contains(from), "{from}");
        SPLIT.replacen(from, to, 1)
    }

    #[test]
    fn lines_are_written_as_they_were_read() {
        let rst = r#"{"route":1,"connection":2,"direction":"back","at_byte":7,"fault":{"kind":"rst","side":"both"}}"#;
        let schedule = Schedule::read(format!("{SPLIT}\n\n{rst}").as_bytes()).unwrap();
        let lines: Vec<String> = schedule.events().map(|event| event.to_line().unwrap()).collect();
        assert_eq!(lines, [rst, SPLIT]);
    }

    #[test]
    fn bad_lines_are_refused_by_line_and_reason() {
        let rows = [
            ("[]".to_owned(), "column 2: "),
            ("nonsense".to_owned(), "column 2: expected ident"),
            (with(r#""route":1,"#, ""), "missing field `route`"),
            (
                with(r#""route":1"#, r#""route":0"#),
                "route 0: routes are numbered from 1",
            ),
            (with(r#""connection":2"#, r#""connection":0"#), "connection 0: "),
            (with("back", "sideways"), "unknown variant `sideways`"),
            (
                with(r#""at_byte":9"#, r#""at_byte":-9"#),
                "invalid value: integer `-9`",
            ),
            (with("split", "spilt"), "unknown variant `spilt`"),
            (
                with(r#""gap_us":0"#, r#""gap_us":0,"ms":1"#),
                "unknown field `ms`",
            ),
            (with(r#""route""#, r#""rout":1,"route""#), "unknown field `rout`"),
            (with("[1,3]", "[1,0]"), "piece 0 is not within 1..4294967295"),
            (with("[1,3]", "[]"), "number of pieces 0 is not within 1..1024"),
            (
                with(r#""gap_us":0"#, r#""gap_us":1000001"#),
                "gap_us 1000001 is not within",
            ),
            (
                with(
                    r#"{"kind":"split","pieces":[1,3],"gap_us":0}"#,
                    r#"{"kind":"fin","ms":1}"#,
                ),
                "unknown field `ms`",
            ),
            (
                with(
                    r#"{"kind":"split","pieces":[1,3],"gap_us":0}"#,
                    r#"{"kind":"refuse","ms":1}"#,
                ),
                "at_byte 9: ",
            ),
            (
                with(
                    r#"{"kind":"split","pieces":[1,3],"gap_us":0}"#,
                    r#"{"kind":"flip","mask":0}"#,
                ),
                "mask 0 is not",
            ),
            (" ".repeat(LINE_BYTES_MAX + 1), "longer than 65536 bytes"),
        ];
        for (line, reason) in rows {
            let error = Schedule::read(format!("{SPLIT}\n{line}\n").as_bytes()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with("line 2: ") && text.contains(reason),
                "{reason:?} in {text:?}"
            );
        }
    }
}
