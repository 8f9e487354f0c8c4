//! What the lab did to the kernel, step by step: `kernel.jsonl`.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Map, Value};

use super::error::{At, Result};

/// One line per step, JSON, each with `ms` since the case began. Clones write to the same file.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    begun: Instant,
    file: Mutex<File>,
}

impl Journal {
    /// A new journal; its clock starts now.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = Mutex::new(File::create(path).at("create", path)?);
        let begun = Instant::now();
        Ok(Self {
            shared: Arc::new(Shared { begun, file }),
        })
    }

    /// Milliseconds since the case began.
    pub fn ms(&self) -> f64 {
        self.shared.begun.elapsed().as_secs_f64() * 1000.0
    }

    /// Notes a step. A line that cannot be written is lost: the evidence suffers, not the case.
    pub fn note(&self, event: &str, fields: &[(&str, Value)]) {
        let mut line = Map::new();
        line.insert("event".to_owned(), event.into());
        line.insert("ms".to_owned(), ((self.ms() * 1000.0).round() / 1000.0).into());
        for (name, value) in fields {
            line.insert((*name).to_owned(), value.clone());
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        let mut file = self.shared.file.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = file.write_all(text.as_bytes());
    }
}
