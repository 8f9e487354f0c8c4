//! Two readings of one message, field by field.

use std::collections::{BTreeMap, BTreeSet};

use dlmwire_codec::RawFrame;

use crate::mistakes::{Mistake, Subject, hex};
use crate::ours::{self, Key, Said, Saying};
use crate::tshark::{Message, Shown};

/// A field that one side does not show, or that both show differently.
pub(crate) struct Difference<'a> {
    pub(crate) name: &'a str,
    pub(crate) offset: usize,
    pub(crate) ours: Option<&'a Said>,
    pub(crate) theirs: Option<&'a Shown>,
    /// For a half of the version: what the other side says with the same number about the other half's bytes.
    pub(crate) swapped_with: Option<Key>,
}

impl Difference<'_> {
    /// Whether both sides mean the same bytes, whatever they show of them.
    pub(crate) fn same_bytes(&self) -> bool {
        match (self.ours.map(|ours| &ours.value), self.theirs) {
            (Some(Saying::Bytes(ours)), Some(theirs)) => hex(ours) == theirs.raw,
            _ => false,
        }
    }
}

/// What came of comparing one message.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Names of the fields about which both say the same.
    pub(crate) agreed: Vec<String>,
    /// The known mistakes in it.
    pub(crate) mistakes: BTreeSet<Mistake>,
    /// Differences that nothing explains.
    pub(crate) unexplained: Vec<String>,
}

/// Compares all that tshark shows of a message with all that we say of it.
pub(crate) fn compare(frame: RawFrame<'_>, sctp: bool, shown: &Message) -> Outcome {
    let mut outcome = Outcome::default();
    let said = ours::fields(frame);
    let subject = Subject { frame, sctp };
    if let Err(difference) = ours::check_views(frame, &said) {
        outcome.unexplained.push(difference);
    }
    if shown.len != frame.bytes().len() && !sctp {
        let (theirs, ours) = (shown.len, frame.bytes().len());
        outcome
            .unexplained
            .push(format!("the message has {ours} bytes, tshark says {theirs}"));
    }
    let shown = by_key(shown, &subject, &mut outcome);
    let keys: BTreeSet<&Key> = said.keys().chain(shown.keys()).collect();
    for key in keys {
        let (ours, theirs) = (said.get(key), shown.get(key).copied());
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && agree(ours, theirs)
        {
            outcome.agreed.push(key.1.clone());
            continue;
        }
        let swapped_with = other_half(key, &said, &shown);
        let difference = Difference {
            name: &key.1,
            offset: key.0,
            ours,
            theirs,
            swapped_with,
        };
        match subject.explain(&difference) {
            Some(mistake) => {
                outcome.mistakes.insert(mistake);
            }
            None => outcome.unexplained.push(describe(&difference)),
        }
    }
    outcome
}

fn by_key<'a>(shown: &'a Message, subject: &Subject<'_>, outcome: &mut Outcome) -> BTreeMap<Key, &'a Shown> {
    let mut by_key = BTreeMap::new();
    for field in &shown.fields {
        if by_key.insert((field.offset, field.name.clone()), field).is_none() {
            continue;
        }
        match subject.explain_repeated(field) {
            Some(mistake) => {
                outcome.mistakes.insert(mistake);
            }
            None => outcome
                .unexplained
                .push(format!("{} twice at offset {}", field.name, field.offset)),
        }
    }
    by_key
}

fn agree(ours: &Said, theirs: &Shown) -> bool {
    if ours.len != theirs.len {
        return false;
    }
    match &ours.value {
        Saying::Number(number) => shown_number(&theirs.text) == Some(*number),
        Saying::Bytes(bytes) => {
            let as_bytes = theirs.text.replace(':', "") == hex(bytes);
            let as_text = !bytes.is_empty() && theirs.text.as_bytes() == bytes.as_slice();
            (as_bytes || as_text) && theirs.raw == hex(bytes)
        }
    }
}

fn shown_number(text: &str) -> Option<i128> {
    match text {
        "True" => Some(1),
        "False" => Some(0),
        _ => match text.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
    }
}

/// Where the other side shows this half of the version with the same number.
fn other_half(key: &Key, said: &BTreeMap<Key, Said>, shown: &BTreeMap<Key, &Shown>) -> Option<Key> {
    let (offset, name) = key;
    for offset in [offset.checked_sub(2), offset.checked_add(2)]
        .into_iter()
        .flatten()
    {
        let other = (offset, name.clone());
        let numbers = |ours: &Key, theirs: &Key| {
            let Saying::Number(ours) = said.get(ours)?.value else {
                return None;
            };
            (shown_number(&shown.get(theirs)?.text)? == ours).then_some(())
        };
        if numbers(key, &other).or_else(|| numbers(&other, key)).is_some() {
            return Some(other);
        }
    }
    None
}

fn describe(difference: &Difference<'_>) -> String {
    let Difference { name, offset, .. } = difference;
    let ours = difference
        .ours
        .map_or("nothing".to_owned(), |ours| match &ours.value {
            Saying::Number(number) => format!("{number} ({} bytes)", ours.len),
            Saying::Bytes(bytes) => hex(bytes),
        });
    let theirs = difference.theirs.map_or("nothing".to_owned(), |theirs| {
        format!("{} ({} bytes, raw {})", theirs.text, theirs.len, theirs.raw)
    });
    format!("{name} at offset {offset}: dlmwire says {ours}, tshark {theirs}")
}
