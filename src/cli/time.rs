//! Points in time as people read them.

use std::fmt;

use clap::ValueEnum;
use dlmwire_interop::capture::Timestamp;

const NANOS: u64 = 1_000_000_000;

/// How points in time are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TimeFormat {
    /// Seconds since the first DLM packet
    Relative,
    /// Date and time, UTC
    Absolute,
}

/// Seconds from `start` to `time` with nine decimals; negative where the capture's clock went back.
pub(crate) fn relative(start: Timestamp, time: Timestamp) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let (sign, nanos) = signed_distance(start, time);
        write!(f, "{sign}{}.{:09}", nanos / NANOS, nanos % NANOS)
    })
}

/// The same with six decimals, which is enough for people.
pub(crate) fn relative_micros(start: Timestamp, time: Timestamp) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let (sign, nanos) = signed_distance(start, time);
        f.pad(&format!("{sign}{}.{:06}", nanos / NANOS, nanos % NANOS / 1000))
    })
}

fn signed_distance(start: Timestamp, time: Timestamp) -> (&'static str, u64) {
    let sign = if time < start { "-" } else { "" };
    (sign, time.as_nanos().abs_diff(start.as_nanos()))
}

/// Date and time in UTC with microseconds, as in RFC 3339.
pub(crate) fn absolute(time: Timestamp) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let seconds = time.as_nanos() / NANOS;
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let micros = time.as_nanos() % NANOS / 1000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    })
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted in years that start in March, the leap day is the last one and the months are regular.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// A duration in nanoseconds, rounded to what a person can use.
pub(crate) fn duration(nanos: u64) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        // Whole numbers of a thousandth of the unit, so that no rounding of floats is involved.
        let (thousandths, unit) = match nanos {
            0..1_000_000 => (nanos, "us"),
            1_000_000..NANOS => (nanos / 1000, "ms"),
            _ => (nanos / 1_000_000, "s"),
        };
        let text = match thousandths {
            0..10_000 => format!("{}.{:02} {unit}", thousandths / 1000, thousandths % 1000 / 10),
            10_000..100_000 => format!("{}.{} {unit}", thousandths / 1000, thousandths % 1000 / 100),
            _ => format!("{} {unit}", thousandths / 1000),
        };
        f.pad(&text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            let time = Timestamp::from_nanos(seconds * NANOS);
            assert_eq!(absolute(time).to_string(), text);
        }
    }

    #[test]
    fn relative_times_have_a_sign() {
        let [early, late] = [5 * NANOS, 6 * NANOS + 42].map(Timestamp::from_nanos);
        assert_eq!(relative(early, late).to_string(), "1.000000042");
        assert_eq!(relative(late, early).to_string(), "-1.000000042");
    }

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (0, "0.00 us"),
            (1_234, "1.23 us"),
            (56_700, "56.7 us"),
            (123_456_789, "123 ms"),
            (1_500_000_000, "1.50 s"),
            (75_250_000_000, "75.2 s"),
        ] {
            assert_eq!(duration(nanos).to_string(), text);
        }
    }
}
