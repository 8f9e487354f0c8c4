//! Times variants of one loop against each other on a machine that others use as well.

use std::time::{Duration, Instant};

/// Repetitions of every variant; odd, so that the median is one of them.
pub const REPETITIONS: usize = 31;

/// One way to go through a buffer.
pub struct Variant<'a> {
    /// What it does.
    pub task: &'static str,
    /// How it does it.
    pub way: &'static str,
    /// Goes through the buffer once.
    pub run: Box<dyn FnMut() + 'a>,
}

impl<'a> Variant<'a> {
    /// A variant; the first of a task is the one that the others of that task are compared with.
    pub fn new(task: &'static str, way: &'static str, run: impl FnMut() + 'a) -> Self {
        Self {
            task,
            way,
            run: Box::new(run),
        }
    }
}

/// What came out for one variant.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// What it does.
    pub task: &'static str,
    /// How it does it.
    pub way: &'static str,
    /// Nanoseconds per message, median.
    pub nanoseconds: f64,
    /// Its time over that of the task's first variant, median of the pairs of each repetition.
    pub ratio: f64,
}

/// Runs every variant once per repetition, one after the other, so that a disturbance meets all of them.
///
/// A sample is `passes` runs over `messages` messages each.
///
/// # Panics
///
/// When a variant allocates.
#[must_use]
pub fn measure(mut variants: Vec<Variant<'_>>, messages: u64, passes: u32) -> Vec<Measured> {
    let mut samples = vec![Vec::with_capacity(REPETITIONS); variants.len()];
    for variant in &mut variants {
        let allocations = allocation_counter::measure(|| (variant.run)());
        assert_eq!(
            allocations.count_total, 0,
            "{} {} allocates",
            variant.task, variant.way
        );
    }
    for _ in 0..REPETITIONS {
        for (variant, samples) in variants.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            for _ in 0..passes {
                (variant.run)();
            }
            samples.push(start.elapsed());
        }
    }
    let first_of = |task| variants.iter().position(|variant| variant.task == task);
    let per_message = 1e9 / (messages as f64 * f64::from(passes));
    variants
        .iter()
        .zip(&samples)
        .map(|(variant, times)| {
            let yardstick = &samples[first_of(variant.task).expect("the variant itself has its task")];
            Measured {
                task: variant.task,
                way: variant.way,
                nanoseconds: median(times.iter().map(Duration::as_secs_f64)) * per_message,
                ratio: median(times.iter().zip(yardstick).map(|(a, b)| a.div_duration_f64(*b))),
            }
        })
        .collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
