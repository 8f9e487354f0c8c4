//! One line of a trace, taken apart without a look at what the event says.
//!
//! tracefs and `trace-cmd report` agree in the end of a line, `[CPU] FLAGS SECONDS: EVENT: FIELDS`; what stands before
//! is the task, whose name may hold anything, so that a line is read from its first time on.

use super::event::TraceTime;

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line<'a> {
    /// An event.
    Event(EventLine<'a>),
    /// Events are missing before this line, so many of them if the kernel says so.
    Lost(Option<u64>),
    /// An event that was too long for the kernel's own buffer.
    TooBig,
    /// A comment, without its `#`.
    Comment(&'a str),
    /// Nothing, or a heading.
    Nothing,
    /// Something else.
    Unknown,
}

/// An event as it stands in its line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EventLine<'a> {
    pub(super) cpu: Option<u32>,
    pub(super) time: TraceTime,
    pub(super) name: &'a str,
    pub(super) fields: &'a str,
}

impl<'a> Line<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let text = text.trim_end();
        if text.trim_start().is_empty() {
            return Self::Nothing;
        }
        if text.ends_with("buffer started ####") || text.ends_with("buffer started #####") {
            return Self::Nothing;
        }
        if let Some(comment) = text.strip_prefix('#') {
            return Self::Comment(comment.trim_start_matches('#').trim());
        }
        if text.contains("[LINE TOO BIG]") {
            return Self::TooBig;
        }
        if let Some(event) = EventLine::parse(text) {
            return Self::Event(event);
        }
        if let Some(count) = lost(text) {
            return Self::Lost(count);
        }
        // How `trace-cmd report` begins.
        if text.starts_with("cpus=") || text.starts_with("version = ") {
            return Self::Nothing;
        }
        Self::Unknown
    }
}

impl<'a> EventLine<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        text.match_indices(": ").find_map(|(at, _)| {
            let (before, after) = text.split_at(at);
            let (head, time) = before.rsplit_once([' ', '\t'])?;
            let time = time_of(time)?;
            let (name, fields) = after.strip_prefix(": ")?.trim_start().split_once(':')?;
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            is_name.then(|| Self {
                cpu: cpu_of(head),
                time,
                name,
                fields: fields.trim(),
            })
        })
    }
}

/// Seconds with a fraction of up to nine digits.
fn time_of(text: &str) -> Option<TraceTime> {
    nanoseconds(text).map(TraceTime::from_nanos)
}

/// Nanoseconds of seconds with a fraction of one to nine digits.
pub(super) fn nanoseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let is_decimal = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal(seconds) || !is_decimal(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?);
    let nanos = fraction.parse::<u64>().ok()?.checked_mul(scale)?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(nanos)
}

/// The last number in square brackets before the time.
fn cpu_of(head: &str) -> Option<u32> {
    let (before, _) = head.rsplit_once(']')?;
    let (_, digits) = before.rsplit_once('[')?;
    digits.parse().ok()
}

/// `CPU:0 [LOST 12 EVENTS]` of tracefs, `CPU:0 [12 EVENTS DROPPED]` of `trace-cmd`; either may lack the number.
fn lost(text: &str) -> Option<Option<u64>> {
    let (_, inside) = text.strip_prefix("CPU:")?.split_once('[')?;
    let inside = inside.strip_suffix(']')?;
    let known =
        inside.starts_with("LOST ") && inside.ends_with(" EVENTS") || inside.ends_with("EVENTS DROPPED");
    let number = || inside.split(' ').find_map(|word| word.parse().ok());
    (known || inside == "LOST EVENTS").then(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> (Option<u32>, u64, &str, &str) {
        match Line::parse(text) {
            Line::Event(event) => (event.cpu, event.time.as_nanos(), event.name, event.fields),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn lines_of_tracefs_and_of_trace_cmd_are_events() {
        let wanted = (Some(1), 12_345_678_000, "dlm_recv", "nodeid=2 ret=120");
        for text in [
            "     kworker/u4:2-123     [001] ..... 12.345678: dlm_recv: nodeid=2 ret=120",
            "     kworker/u4:2-123     [001] d..2. 12.345678: dlm_recv: nodeid=2 ret=120",
            "     kworker/u4:2-123   [001]    12.345678: dlm_recv:             nodeid=2 ret=120",
            "  a: 1: b [x] c-9  (   9) [001] .....    12.345678: dlm_recv: nodeid=2 ret=120",
        ] {
            assert_eq!(event(text), wanted, "{text}");
        }
        let nanoseconds = "task-1 [000] 12.345678901: dlm_recv: nodeid=2 ret=120";
        assert_eq!(event(nanoseconds).1, 12_345_678_901);
    }

    #[test]
    fn lost_events_are_told_from_unknown_lines() {
        assert_eq!(Line::parse("CPU:0 [LOST 12 EVENTS]"), Line::Lost(Some(12)));
        assert_eq!(Line::parse("CPU:1 [LOST EVENTS]"), Line::Lost(None));
        assert_eq!(Line::parse("CPU:1 [7 EVENTS DROPPED]"), Line::Lost(Some(7)));
        assert_eq!(Line::parse("CPU:1 [EVENTS DROPPED]"), Line::Lost(None));
        assert_eq!(Line::parse("CPU:1 [something]"), Line::Unknown);
        assert_eq!(Line::parse("[LINE TOO BIG]"), Line::TooBig);
    }

    #[test]
    fn headings_and_comments_are_not_unknown() {
        assert_eq!(Line::parse("# tracer: nop"), Line::Comment("tracer: nop"));
        assert_eq!(Line::parse("##### CPU 1 buffer started ####"), Line::Nothing);
        assert_eq!(Line::parse("cpus=2"), Line::Nothing);
        assert_eq!(Line::parse("  "), Line::Nothing);
        assert_eq!(Line::parse("12.3: dlm_recv nodeid=2"), Line::Unknown);
    }
}
