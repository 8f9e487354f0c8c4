//! Runs a scenario to its end and says what was found.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::world::{Action, Scenario, World};

/// Steps of an exploration that is known not to close.
const STEPS_OPEN: usize = 1_500_000;

/// Steps taken beyond which a scenario counts as one that does not close.
const STEPS_MAX: usize = 120_000_000;

/// How long one scenario may take.
const TIME_MAX: Duration = Duration::from_secs(900);

/// A property that does not hold, and how to get there.
pub(crate) struct Counterexample {
    pub(crate) property: &'static str,
    pub(crate) steps: Vec<Action>,
    pub(crate) last: World,
    pub(crate) broken: Vec<&'static str>,
}

/// What an exploration found.
pub(crate) struct Explored {
    /// The first counterexample.
    pub(crate) counterexample: Option<Counterexample>,
    /// The promises that are broken in the end, and [`CLEAN`](crate::world::CLEAN) if some end breaks none.
    pub(crate) shown: BTreeSet<&'static str>,
}

/// Explores `scenario` and fails unless all of it was seen, every property holds, and exactly what is
/// expected shows in the end.
pub(crate) fn holds(name: &str, scenario: Scenario) {
    let expected: BTreeSet<&str> = scenario.shows.iter().copied().collect();
    let explored = explore(name, scenario);
    if let Some(counterexample) = explored.counterexample {
        panic!("{name}: {counterexample}");
    }
    assert_eq!(explored.shown, expected, "{name}: what shows in the end");
}

/// Explores a scenario that is too large to close as far as [`STEPS_OPEN`], and fails if a property is broken on the
/// way. It proves nothing about the rest and says so.
pub(crate) fn finds_nothing(name: &str, scenario: Scenario) {
    let checker = builder(scenario)
        .target_state_count(STEPS_OPEN)
        .spawn_bfs()
        .join();
    if let Some(counterexample) = first(&checker) {
        panic!("{name}: {counterexample}");
    }
    eprintln!(
        "{name}: not closed, nothing found in {} unique states, depth {}",
        checker.unique_state_count(),
        checker.max_depth()
    );
}

/// Explores `scenario`, in which something is wrong on purpose, and fails unless exactly `property` shows it.
pub(crate) fn catches(name: &str, property: &str, scenario: Scenario) {
    let Some(counterexample) = explore(name, scenario).counterexample else {
        panic!("{name} is not noticed");
    };
    assert_eq!(counterexample.property, property, "{name}: {counterexample}");
    eprintln!("    caught after {} steps", counterexample.steps.len());
}

/// Explores `scenario` to its end or to the first counterexample.
///
/// Depth first needs little memory and tells whether there is a counterexample; breadth first finds a short one.
///
/// # Panics
///
/// If the scenario does not close within the bounds.
#[allow(
    clippy::disallowed_methods,
    reason = "the engine under test reads no clock; this harness has a deadline"
)]
pub(crate) fn explore(name: &str, scenario: Scenario) -> Explored {
    let begun = Instant::now();
    let shown = scenario.found.clone();
    let checker = builder(scenario.clone()).spawn_dfs().join();
    let took = begun.elapsed();
    eprintln!(
        "{name}: {} unique states, {} steps, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        took.as_secs_f32()
    );
    let mut counterexample = first(&checker);
    if counterexample.is_some() {
        let broad = builder(scenario).spawn_bfs().join();
        counterexample = first(&broad).or(counterexample);
    } else {
        assert!(
            checker.state_count() < STEPS_MAX && took < TIME_MAX,
            "{name} does not close: nothing is proved"
        );
    }
    let shown = shown.lock().expect("nobody panics with it").clone();
    Explored {
        counterexample,
        shown,
    }
}

fn builder(scenario: Scenario) -> stateright::CheckerBuilder<Scenario> {
    scenario
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(STEPS_MAX)
        .timeout(TIME_MAX)
        // Scenarios are explored side by side, each in its own test.
        .threads(1)
}

fn first(checker: &impl Checker<Scenario>) -> Option<Counterexample> {
    let shortest = checker
        .discoveries()
        .into_iter()
        .min_by_key(|(property, path)| (path.clone().into_actions().len(), *property))?;
    let (property, path): (&'static str, Path<World, Action>) = shortest;
    Some(Counterexample {
        property,
        broken: checker.model().broken_promises(path.last_state()),
        last: path.last_state().clone(),
        steps: path.into_actions(),
    })
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut steps = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            let _ = writeln!(steps, "{:>3} {step:?}", index + 1);
        }
        write!(
            f,
            "not so: \"{}\", after {} steps\n{steps}{}\n  broken: {:?}",
            self.property,
            self.steps.len(),
            self.last,
            self.broken
        )
    }
}
