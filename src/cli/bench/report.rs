//! The figures, as they are kept.

use serde::{Deserialize, Serialize};

use super::host::{self, Congestion};
use super::plan::Plan;

/// The form of a report; another number, another form.
const VERSION: u32 = 1;

/// Everything that a run found.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Report {
    v: u32,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) congestion: String,
    pub(crate) window_ms: u64,
    pub(crate) repetitions: u32,
    pub(crate) rows: Vec<Row>,
}

/// One case over all its repetitions.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Row {
    pub(crate) pattern: String,
    pub(crate) program: String,
    pub(crate) payload_bytes: usize,
    pub(crate) connections: usize,
    /// Both ends ran on one core.
    pub(crate) one_core: bool,
    /// Ping-pong: calls with their answers.
    pub(crate) messages_per_second: Spread,
    /// Of payload, in millions of bytes.
    pub(crate) megabytes_per_second: f64,
    /// Both ends.
    pub(crate) cpu_seconds_per_million: Spread,
    pub(crate) receiver_cpu_seconds_per_million: Spread,
    /// p50, p99, p99.9; medians.
    pub(crate) percentiles_us: Option<[f64; 3]>,
    /// Acknowledgements that the receiver wrote.
    pub(crate) acks_per_message: f64,
    /// Messages that the sender wrote at once.
    pub(crate) frames_per_write: f64,
    /// To the yardstick, within the same repetition.
    pub(crate) rate_ratio: Spread,
    pub(crate) cpu_ratio: Spread,
    pub(crate) receiver_cpu_ratio: Spread,
    pub(crate) p50_ratio: Option<Spread>,
    pub(crate) p99_ratio: Option<Spread>,
}

/// What repetitions gave.
#[derive(Clone, Copy, Serialize, Deserialize, Default, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The lower one of two medians; nothing gives zeros.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let median = values.get((values.len() - 1) / 2).copied().unwrap_or(*min);
        Self {
            median,
            min: *min,
            max: *max,
        }
    }
}

impl Report {
    pub(crate) fn new(plan: &Plan, congestion: &Congestion, rows: Vec<Row>) -> Self {
        let [processor, kernel] = host::describe();
        Self {
            v: VERSION,
            processor,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel,
            congestion: congestion.name.clone(),
            window_ms: u64::try_from(plan.window.as_millis()).unwrap_or(u64::MAX),
            repetitions: plan.repetitions,
            rows,
        }
    }

    /// A report that was saved.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let report: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if report.v != VERSION {
            return Err(format!("form {} of figures, not {VERSION}", report.v));
        }
        Ok(report)
    }

    /// The row about the same case.
    pub(crate) fn find(&self, like: &Row) -> Option<&Row> {
        let key = |row: &Row| {
            let Row {
                payload_bytes,
                connections,
                one_core,
                ..
            } = *row;
            (
                row.pattern.clone(),
                row.program.clone(),
                payload_bytes,
                connections,
                one_core,
            )
        };
        let wanted = key(like);
        self.rows.iter().find(|row| key(row) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_median_least_and_greatest() {
        let spread = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!([spread.median, spread.min, spread.max], [2.0, 1.0, 3.0]);
        assert_eq!(Spread::of([2.0, 1.0].into_iter()).median, 1.0);
        assert_eq!(Spread::of(std::iter::empty()).max, 0.0);
    }

    #[test]
    fn figures_of_another_form_are_refused() {
        let text = r#"{"v":2,"processor":"","cores":1,"kernel":"","congestion":"","window_ms":1,"repetitions":1,"rows":[]}"#;
        assert_eq!(Report::parse(text).unwrap_err(), "form 2 of figures, not 1");
        assert!(Report::parse(&text.replace("2", "1")).is_ok());
    }
}
