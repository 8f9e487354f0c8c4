//! What the comparison found.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::compare::Outcome;
use crate::mistakes::Mistake;

/// Failures that are shown one by one.
const SHOWN_MAX: usize = 20;

/// How a message was put to tshark.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Asked {
    /// Where it stands in its capture.
    AsCaptured,
    /// Again, alone in a TCP segment.
    Again,
    /// The same way, but it is in no capture.
    MadeUp,
}

impl Asked {
    const ALL: [Self; 3] = [Self::AsCaptured, Self::Again, Self::MadeUp];
}

#[derive(Default)]
pub(crate) struct Report {
    /// How often both sides said the same, by field.
    pub(crate) agreed: BTreeMap<String, u64>,
    messages: BTreeMap<Asked, u64>,
    /// How many messages a mistake concerns, and where it was first seen.
    mistakes: BTreeMap<(Mistake, Asked), (u64, String)>,
    unexplained: Vec<String>,
    unexplained_count: u64,
}

impl Report {
    /// A message that both sides show.
    pub(crate) fn message(&mut self, asked: Asked, place: &str, outcome: Outcome) {
        *self.messages.entry(asked).or_default() += 1;
        for name in outcome.agreed {
            *self.agreed.entry(name).or_default() += 1;
        }
        for mistake in outcome.mistakes {
            self.mistake(mistake, asked, place);
        }
        for difference in outcome.unexplained {
            self.unexplained(format!("{place}: {difference}"));
        }
    }

    pub(crate) fn mistake(&mut self, mistake: Mistake, asked: Asked, place: &str) {
        let entry = self
            .mistakes
            .entry((mistake, asked))
            .or_insert_with(|| (0, place.to_owned()));
        entry.0 += 1;
    }

    pub(crate) fn unexplained(&mut self, difference: String) {
        self.unexplained_count += 1;
        if self.unexplained.len() < SHOWN_MAX {
            self.unexplained.push(difference);
        }
    }

    pub(crate) fn verdict(&self) -> Result<(), String> {
        match self.unexplained_count {
            0 => Ok(()),
            count => Err(format!("{count} differences:\n{}", self.unexplained.join("\n"))),
        }
    }

    /// The middle of docs/tshark.md.
    pub(crate) fn table(&self) -> String {
        let count = |asked| self.messages.get(&asked).copied().unwrap_or_default();
        let fields: u64 = self.agreed.values().sum();
        let [captured, again, made_up] = Asked::ALL.map(count);
        let mut table = format!(
            "Compared: {captured} messages as captured, {again} of the same captures asked again, {made_up} made up; \
             {fields} fields of {} names agree.\n\n\
             | messages | what tshark shows | how dlmwire shows it | as captured | again | made up |\n\
             |---|---|---|---|---|---|\n",
            self.agreed.len()
        );
        for mistake in Mistake::ALL {
            let cells = Asked::ALL.map(|asked| {
                let count = self
                    .mistakes
                    .get(&(mistake, asked))
                    .map(|(count, _)| count.to_string());
                count.unwrap_or_default()
            });
            let (messages, shown, ours) = (mistake.messages(), mistake.shown(), mistake.ours());
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| {messages} | {shown} | {ours} | {} |", cells.join(" | "));
        }
        table.push_str("\nFirst seen in:\n\n");
        for mistake in Mistake::ALL {
            if let Some((_, place)) = self.mistakes.get(&(mistake, Asked::AsCaptured)) {
                let _ = writeln!(table, "- {}: {place}", mistake.messages());
            }
        }
        table
    }
}
