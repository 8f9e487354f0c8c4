//! Cases against kernels: the table.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::kernels::Machine;
use super::plan::{Transport, Verdict};
use super::run::KernelRun;

/// What every case made of every kernel, over one transport.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// When it was made, as people read it.
    pub date: String,
    /// The version of this project.
    pub version: String,
    /// What carried it.
    pub transport: Transport,
    /// The cases by name, one a row.
    pub cases: Vec<String>,
    /// The kernels, one a column.
    pub columns: Vec<Column>,
}

/// A kernel in the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The kernel's label.
    pub kernel: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran.
    Run(Box<KernelRun>),
    /// It, or what boots it, is not there.
    Absent {
        /// What is missing.
        reason: String,
    },
    /// It could not be run.
    Broken {
        /// Why not.
        reason: String,
    },
}

/// Reasons, each once, in the order of their numbers.
#[derive(Default)]
struct Notes(Vec<String>);

impl Matrix {
    /// Whether nothing failed; what is unsupported did not fail.
    pub fn is_good(&self) -> bool {
        self.columns.iter().all(|column| match &column.outcome {
            Outcome::Run(run) => run.is_good(),
            Outcome::Absent { .. } => true,
            Outcome::Broken { .. } => false,
        })
    }

    /// The kernels that ran, in the order of their columns.
    pub fn runs(&self) -> Vec<&KernelRun> {
        let runs = self.columns.iter().filter_map(|column| match &column.outcome {
            Outcome::Run(run) => Some(&**run),
            Outcome::Absent { .. } | Outcome::Broken { .. } => None,
        });
        runs.collect()
    }

    /// The table for a terminal, with its notes, no colours.
    pub fn text(&self) -> String {
        let mut notes = Notes::default();
        let mut rows = vec![self.heading()];
        rows.extend(self.rows(
            &mut notes,
            |case| case.to_owned(),
            |seconds| format!("pass {seconds:.1} s"),
        ));
        let mut text = format!("{}\n", self.transport);
        text.push_str(&aligned(&rows));
        for (number, note) in notes.numbered() {
            let _ = writeln!(text, "[{number}] {note}");
        }
        text
    }

    /// The table for a document, with its notes and exact versions.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "## {}\n\n{}, dlmwire {}\n\n",
            self.transport.to_string().to_uppercase(),
            self.date,
            self.version
        );
        text.push_str("| kernel | release | DLM | guest | packages |\n|---|---|---|---|---|\n");
        for column in &self.columns {
            let _ = writeln!(text, "{}", version_row(column));
        }
        let mut notes = Notes::default();
        let mut rows = vec![self.heading()];
        rows.push(vec!["---".to_owned(); self.columns.len() + 1]);
        rows.extend(self.rows(
            &mut notes,
            |case| format!("`{case}`"),
            |seconds| format!("pass, {seconds:.1} s"),
        ));
        text.push('\n');
        for row in rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        if !notes.0.is_empty() {
            text.push('\n');
        }
        for (number, note) in notes.numbered() {
            let _ = writeln!(text, "- [{number}] {}", escaped(note));
        }
        text
    }

    fn heading(&self) -> Vec<String> {
        let labels = self.columns.iter().map(|column| column.kernel.clone());
        std::iter::once("case".to_owned()).chain(labels).collect()
    }

    fn rows(
        &self,
        notes: &mut Notes,
        name: impl Fn(&str) -> String,
        pass: impl Fn(f64) -> String,
    ) -> Vec<Vec<String>> {
        let mut rows = Vec::new();
        for case in &self.cases {
            let mut row = vec![name(case)];
            for column in &self.columns {
                row.push(column.cell(case, notes, &pass));
            }
            rows.push(row);
        }
        rows
    }
}

impl Column {
    fn cell(&self, case: &str, notes: &mut Notes, pass: &impl Fn(f64) -> String) -> String {
        let run = match &self.outcome {
            Outcome::Run(run) => run,
            Outcome::Absent { reason } => return notes.cell("unsupported", reason),
            Outcome::Broken { reason } => return notes.cell("FAIL", reason),
        };
        let Some(result) = run.results.iter().find(|result| result.case == case) else {
            return notes.cell("FAIL", "no verdict");
        };
        match &result.verdict {
            Verdict::Pass => pass(result.seconds),
            Verdict::Fail { reason } => notes.cell("FAIL", reason),
            Verdict::Unsupported { reason } => notes.cell("unsupported", reason),
        }
    }
}

impl Notes {
    /// A word with the number of its reason.
    fn cell(&mut self, word: &str, reason: &str) -> String {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let at = self.0.iter().position(|note| *note == reason).unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        });
        format!("{word} [{}]", at + 1)
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0
            .iter()
            .enumerate()
            .map(|(at, note)| (at + 1, note.as_str()))
    }
}

fn version_row(column: &Column) -> String {
    let Outcome::Run(run) = &column.outcome else {
        return format!("| {} | | | | |", column.kernel);
    };
    let guest = match run.machine {
        Machine::Uml => "User-Mode Linux",
        Machine::Qemu => "QEMU, TCG",
    };
    let packages = if run.packages.is_empty() {
        "own build".to_owned()
    } else {
        run.packages.join(", ")
    };
    format!(
        "| {} | {} | {} | {guest} | {packages} |",
        run.kernel, run.release, run.protocol
    )
}

/// Rows with their columns under one another, two spaces between them, none at the ends.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A reason as Markdown takes it literally.
fn escaped(note: &str) -> String {
    let mut text = String::new();
    for c in note.chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '<' | '>' | '|' | '[' | ']') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::lab::plan::CaseResult;

    fn result(case: &str, verdict: Verdict) -> CaseResult {
        CaseResult {
            case: case.to_owned(),
            verdict,
            seconds: 1.25,
            figures: Default::default(),
            findings: Vec::new(),
            kernel_release: "6.1.176".to_owned(),
        }
    }

    fn matrix() -> Matrix {
        let run = KernelRun {
            kernel: "uml".to_owned(),
            release: "6.1.176".to_owned(),
            packages: vec!["user-mode-linux 6.1".to_owned()],
            machine: Machine::Uml,
            protocol: "3.2".to_owned(),
            transport: Transport::Tcp,
            boots: 1,
            seconds: 9.0,
            out: PathBuf::from("/out"),
            broken: None,
            results: vec![
                result("join", Verdict::Pass),
                result("queue_drained", Verdict::fail("5 left\nin the queue")),
                result("cut", Verdict::unsupported("no debugfs")),
            ],
        };
        let absent = |kernel: &str| Column {
            kernel: kernel.to_owned(),
            outcome: Outcome::Absent {
                reason: "not fetched (dlmwire lab fetch 6.12)".to_owned(),
            },
        };
        Matrix {
            date: "2026-11-21".to_owned(),
            version: "0.1.0".to_owned(),
            transport: Transport::Tcp,
            cases: ["join", "queue_drained", "cut", "forgotten"]
                .map(str::to_owned)
                .to_vec(),
            columns: vec![
                Column {
                    kernel: "uml".to_owned(),
                    outcome: Outcome::Run(Box::new(run)),
                },
                absent("6.12"),
            ],
        }
    }

    #[test]
    fn table_has_columns_under_one_another_and_each_reason_once() {
        let expected = "\
tcp
case           uml              6.12
join           pass 1.2 s       unsupported [1]
queue_drained  FAIL [2]         unsupported [1]
cut            unsupported [3]  unsupported [1]
forgotten      FAIL [4]         unsupported [1]
[1] not fetched (dlmwire lab fetch 6.12)
[2] 5 left in the queue
[3] no debugfs
[4] no verdict
";
        assert_eq!(matrix().text(), expected);
    }

    #[test]
    fn document_has_date_exact_versions_and_notes() {
        let text = matrix().markdown();
        assert!(
            text.starts_with("## TCP\n\n2026-11-21, dlmwire 0.1.0\n"),
            "{text}"
        );
        assert!(
            text.contains("| uml | 6.1.176 | 3.2 | User-Mode Linux | user-mode-linux 6.1 |\n"),
            "{text}"
        );
        assert!(
            text.contains("| `join` | pass, 1.2 s | unsupported [1] |\n"),
            "{text}"
        );
        assert!(text.contains("\n- [2] 5 left in the queue\n"), "{text}");
    }

    #[test]
    fn table_is_bad_with_a_failure_and_good_with_what_is_absent() {
        let mut matrix = matrix();
        assert!(!matrix.is_good());
        matrix.columns.remove(0);
        assert!(matrix.is_good());
    }

    #[test]
    fn table_written_as_json_and_read_is_the_same() {
        let matrix = matrix();
        let text = serde_json::to_string(&matrix).expect("text");
        assert_eq!(serde_json::from_str::<Matrix>(&text).expect("a table"), matrix);
    }

    #[test]
    fn reason_is_literal_in_a_document() {
        assert_eq!(escaped("state_|*"), r"state\_\|\*");
    }
}
