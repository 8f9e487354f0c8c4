//! Which messages are shown.

use std::fmt;
use std::str::FromStr;

use dlmwire_codec::{Command, Inner, MsgType, RcomType, Seq};

use crate::cli::message::Message;

/// A `--cmd`: a command, or a type of message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// All messages of a command, bare or wrapped; `OPTS` is all that is wrapped.
    Command(Command),
    /// A type by name, of the command if one was given.
    Type {
        command: Option<Command>,
        name: &'static str,
    },
}

/// A `--seq`: numbers from `first` to `last`, both included, across the wrap if `last` is lower.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SeqRange {
    first: Seq,
    last: Seq,
}

/// What is wrong with a `--cmd` or a `--seq`. clap shows it behind the value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FilterError {
    Kind,
    Seq,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => {
                "MSG, RCOM, OPTS, ACK, FIN or a type such as REQUEST, GRANT, STATUS_REPLY; \
                 MSG:LOOKUP and RCOM:LOOKUP tell the two apart"
            }
            Self::Seq => "a number, or A..B, A.. or ..B with numbers up to 4294967295",
        })
    }
}

impl std::error::Error for FilterError {}

impl Kind {
    pub(crate) fn selects(self, message: &Message<'_>) -> bool {
        match self {
            Self::Command(Command::Opts) => message.wrapped,
            Self::Command(command) => message.command == command,
            Self::Type { command, name } => {
                let is_command = command.is_none_or(|command| message.command == command);
                let typed = matches!(message.inner, Some(Inner::Msg(_) | Inner::Rcom(_)));
                is_command && typed && message.type_name() == name
            }
        }
    }
}

impl FromStr for Kind {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_uppercase();
        let command = |name: &str| Command::ALL.into_iter().find(|command| command.name() == name);
        if let Some(command) = command(&text) {
            return Ok(Self::Command(command));
        }
        let (of, name) = match text.split_once(':') {
            Some((of, name)) => (Some(command(of).ok_or(FilterError::Kind)?), name),
            None => (None, text.as_str()),
        };
        let mut msg_types = MsgType::NAMED.iter().filter_map(|one| one.name());
        let mut rcom_types = RcomType::NAMED.iter().filter_map(|one| one.name());
        let known = match of {
            Some(Command::Msg) => msg_types.find(|known| *known == name),
            Some(Command::Rcom) => rcom_types.find(|known| *known == name),
            Some(Command::Opts | Command::Ack | Command::Fin) => None,
            None => msg_types.chain(rcom_types).find(|known| *known == name),
        };
        let name = known.ok_or(FilterError::Kind)?;
        Ok(Self::Type { command: of, name })
    }
}

impl SeqRange {
    pub(crate) fn selects(&self, seq: Option<Seq>) -> bool {
        seq.is_some_and(|seq| self.first.distance(seq) <= self.first.distance(self.last))
    }
}

impl FromStr for SeqRange {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str, default| match text {
            "" => Ok(default),
            text => text.parse().map(Seq::new).map_err(|_| FilterError::Seq),
        };
        let (first, last) = match text.split_once("..") {
            Some(("", "")) => return Err(FilterError::Seq),
            Some(ends) => ends,
            None if text.is_empty() => return Err(FilterError::Seq),
            None => (text, text),
        };
        Ok(Self {
            first: number(first, Seq::new(0))?,
            last: number(last, Seq::new(u32::MAX))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_commands_and_types() {
        assert_eq!("ack".parse::<Kind>().ok(), Some(Kind::Command(Command::Ack)));
        let lookup = Kind::Type {
            command: Some(Command::Rcom),
            name: "LOOKUP",
        };
        assert_eq!("rcom:lookup".parse::<Kind>().ok(), Some(lookup));
        for text in ["", "NONE", "ACK:LOOKUP", "RCOM:GRANT", "MSG:", ":"] {
            assert!(text.parse::<Kind>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_include_both_ends_and_wrap() {
        let selected = |text: &str, numbers: &[u32]| {
            let range: SeqRange = text.parse().unwrap();
            numbers
                .iter()
                .map(|number| range.selects(Some(Seq::new(*number))))
                .collect::<Vec<_>>()
        };
        assert_eq!(selected("41..43", &[40, 41, 43, 44]), [false, true, true, false]);
        assert_eq!(selected("41..", &[40, 41, u32::MAX]), [false, true, true]);
        assert_eq!(selected("..41", &[0, 41, 42]), [true, true, false]);
        assert_eq!(selected("7", &[6, 7, 8]), [false, true, false]);
        assert_eq!(
            selected("4294967290..5", &[0, 5, 6, u32::MAX]),
            [true, true, false, true]
        );
        for text in ["", "..", "x", "1...2", "4294967296", "1..x"] {
            assert!(text.parse::<SeqRange>().is_err(), "{text}");
        }
    }
}
