//! JSON objects, written member by member in the order in which they are given.

use std::fmt;
use std::io::{self, Write};

/// One JSON object on one line, in the making. Reused from line to line.
#[derive(Default)]
pub(crate) struct JsonLine {
    text: String,
}

impl JsonLine {
    /// Starts a new object.
    pub(crate) fn start(&mut self) {
        self.text.clear();
        self.text.push('{');
    }

    /// Adds a number, or whatever displays as JSON.
    pub(crate) fn number(&mut self, key: impl fmt::Display, number: impl fmt::Display) {
        self.key(key);
        push(&mut self.text, format_args!("{number}"));
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, key: impl fmt::Display, text: impl fmt::Display) {
        self.key(key);
        quote(&mut self.text, text);
    }

    /// Adds a list of texts.
    pub(crate) fn texts<T: fmt::Display>(
        &mut self,
        key: impl fmt::Display,
        texts: impl IntoIterator<Item = T>,
    ) {
        self.key(key);
        self.text.push('[');
        for (index, text) in texts.into_iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            quote(&mut self.text, text);
        }
        self.text.push(']');
    }

    /// Adds a list of what is already JSON.
    pub(crate) fn list(&mut self, key: impl fmt::Display, items: &[String]) {
        self.key(key);
        push(&mut self.text, format_args!("[{}]", items.join(",")));
    }

    /// Ends the object and writes the line.
    pub(crate) fn finish(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.text.push_str("}\n");
        out.write_all(self.text.as_bytes())
    }

    fn key(&mut self, key: impl fmt::Display) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        // Keys are ours: nothing in them needs an escape.
        push(&mut self.text, format_args!("\"{key}\":"));
    }
}

/// A JSON string.
pub(crate) fn quoted(text: impl fmt::Display) -> String {
    let mut quoted = String::new();
    quote(&mut quoted, text);
    quoted
}

fn quote(line: &mut String, text: impl fmt::Display) {
    line.push('"');
    push(&mut Escape { line }, format_args!("{text}"));
    line.push('"');
}

fn push(to: &mut impl fmt::Write, text: fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = to.write_fmt(text);
}

/// Escapes on the way, so that no text is made first.
struct Escape<'a> {
    line: &'a mut String,
}

impl fmt::Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' => self.line.push_str("\\\""),
                '\\' => self.line.push_str("\\\\"),
                c if c < ' ' => write!(self.line, "\\u{:04x}", u32::from(c))?,
                c => self.line.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_whatever_the_text() {
        let mut line = JsonLine::default();
        let mut out = Vec::new();
        let text = "a\"b\\c\n\u{1}ä";
        line.start();
        line.text("text", text);
        line.number("number", -7);
        line.texts("texts", [text, ""]);
        line.list("list", &[quoted(text), "1".to_owned()]);
        line.finish(&mut out).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = serde_json::json!({
            "text": text, "number": -7, "texts": [text, ""], "list": [text, 1],
        });
        assert_eq!(value, expected);
    }
}
