//! The lines of standard input: words, in the order of docs/stub.md.

use std::fmt::Display;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use dlmwire_codec::{ExFlags, Mode, NodeId};
use dlmwire_interop::participant::{Command, Lie, LockId, Name, Number, Order, Told, Wish, Work};

/// Bytes that `raw` takes at most: more than a frame, so that lengths can be false.
const RAW_BYTES_MAX: usize = 1 << 16;

/// What is wrong with a line, and the tag that it has.
type Complaint = (Option<String>, String);

/// What a line asks for; nothing for an empty line and for a comment.
pub(super) fn parse(line: &str) -> Result<Option<Told>, Complaint> {
    let mut words = Words::new(line);
    let tag = words.tag();
    let mut understand = || {
        let Some(verb) = words.next() else {
            return Ok(None);
        };
        if verb.starts_with('#') {
            return Ok(None);
        }
        let command = command(verb, &mut words)?;
        words.end()?;
        Ok(Some(command))
    };
    match understand() {
        Ok(command) => Ok(command.map(|command| Told {
            tag,
            line: 0,
            lockspace: words.lockspace,
            command,
        })),
        Err(text) => Err((tag, text)),
    }
}

/// The words of a line; `ls=NAME` may stand anywhere behind the command.
struct Words<'a> {
    rest: SplitWhitespace<'a>,
    lockspace: Option<String>,
}

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            rest: line.split_whitespace(),
            lockspace: None,
        }
    }

    fn tag(&mut self) -> Option<String> {
        let mut ahead = self.rest.clone();
        let tag = ahead.next()?.strip_prefix('@')?.to_owned();
        self.rest = ahead;
        Some(tag)
    }

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let word = self.rest.next()?;
            match word.strip_prefix("ls=") {
                Some(name) => self.lockspace = Some(name.to_owned()),
                None => return Some(word),
            }
        }
    }

    fn need(&mut self, what: &str) -> Result<&'a str, String> {
        self.next().ok_or_else(|| format!("{what} is missing"))
    }

    /// A number, for example.
    fn value<T: FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.need(what)?;
        value(what, word)
    }

    fn node(&mut self) -> Result<NodeId, String> {
        let word = self.need("a node")?;
        node(word)
    }

    fn maybe_node(&mut self) -> Result<Option<NodeId>, String> {
        self.next().map(node).transpose()
    }

    fn on(&mut self) -> Result<bool, String> {
        match self.need("on or off")? {
            "on" => Ok(true),
            "off" => Ok(false),
            word => Err(format!("{word:?}: expected on or off")),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        self.next().map_or(Ok(()), |word| Err(unexpected(word)))
    }
}

fn command(verb: &str, words: &mut Words<'_>) -> Result<Command, String> {
    Ok(match verb {
        "join" => {
            let mut nodes = Vec::new();
            while let Some(node) = words.maybe_node()? {
                nodes.push(node);
            }
            Command::Join(nodes)
        }
        "leave" => Command::Leave,
        "add" => Command::Add(words.node()?),
        "remove" => Command::Remove(words.node()?),
        "fence" => Command::Fence(words.node()?),
        "lock" => lock(words)?,
        "convert" => {
            let lock = LockId(words.value("a lock's id")?);
            let mode = mode(words.need("a mode")?)?;
            Command::Order(lock, Order::Convert(wish(mode, words, None)?))
        }
        "unlock" => {
            let lock = LockId(words.value("a lock's id")?);
            let lvb = words.next().map(value_block).transpose()?;
            Command::Order(lock, Order::Unlock(lvb))
        }
        "cancel" => Command::Order(LockId(words.value("a lock's id")?), Order::Cancel),
        "work" => work(words)?,
        "status" => Command::Status,
        "cut" => cut(words)?,
        "eof" => Command::Close(words.maybe_node()?),
        "deaf" => Command::Deaf(words.on()?),
        "mute" => Command::Mute(words.on()?),
        "noack" => Command::NoAck(words.on()?),
        "claim" => Command::Claim(words.on()?),
        "verbose" => Command::Verbose(words.on()?),
        "slow" => Command::Slow(Duration::from_millis(words.value("milliseconds")?)),
        "notready" => Command::NotReady(words.value("a count")?),
        "lie" => Command::Lie(lie(words)?),
        "raw" => raw(words)?,
        "quit" => Command::Quit,
        other => return Err(format!("{other:?} is no command")),
    })
}

fn lock(words: &mut Words<'_>) -> Result<Command, String> {
    let text = words.need("a resource's name")?;
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => from_hex(digits)?,
        None => text.as_bytes().to_vec(),
    };
    let name = Name::new(&bytes).map_err(|error| format!("{text}: {error}"))?;
    let mode = mode(words.need("a mode")?)?;
    let mut quiet = false;
    let wish = wish(mode, words, Some(&mut quiet))?;
    Ok(Command::Lock { name, wish, quiet })
}

/// What follows the mode. `quiet` where it may stand.
fn wish(mode: Mode, words: &mut Words<'_>, mut quiet: Option<&mut bool>) -> Result<Wish, String> {
    let mut wish = Wish {
        mode,
        exflags: ExFlags::new(0),
        lvb: None,
    };
    while let Some(word) = words.next() {
        let flag = match word {
            "noqueue" => ExFlags::NOQUEUE,
            "noqueuebast" => ExFlags::NOQUEUEBAST,
            "valblk" => ExFlags::VALBLK,
            "quecvt" => ExFlags::QUECVT,
            "ivvalblk" => ExFlags::IVVALBLK,
            "expedite" => ExFlags::EXPEDITE,
            "noorder" => ExFlags::NOORDER,
            "headque" => ExFlags::HEADQUE,
            "quiet" => {
                let Some(quiet) = &mut quiet else {
                    return Err(unexpected(word));
                };
                **quiet = true;
                continue;
            }
            _ => {
                wish.lvb = Some(value_block(word)?);
                ExFlags::VALBLK
            }
        };
        wish.exflags = wish.exflags.with(flag);
    }
    Ok(wish)
}

fn value_block(word: &str) -> Result<Vec<u8>, String> {
    let digits = word.strip_prefix("lvb=").ok_or_else(|| unexpected(word))?;
    from_hex(digits)
}

fn mode(word: &str) -> Result<Mode, String> {
    let modes = Mode::NAMED.iter().filter(|mode| **mode != Mode::Iv);
    let mut named = modes.filter(|mode| mode.name().is_some_and(|name| name.eq_ignore_ascii_case(word)));
    named
        .next()
        .copied()
        .ok_or_else(|| format!("{word:?}: expected NL, CR, CW, PR, PW or EX"))
}

fn work(words: &mut Words<'_>) -> Result<Command, String> {
    let mut work = Work {
        pairs: words.value("a count")?,
        names: 1,
        prefix: "work".to_owned(),
        outstanding: 1,
        lvb: false,
    };
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("names", count)) => work.names = value::<u64>("names", count)?.max(1),
            Some(("prefix", prefix)) if prefix.len() <= PREFIX_LEN_MAX => prefix.clone_into(&mut work.prefix),
            Some(("prefix", _)) => return Err(format!("prefix exceeds limit {PREFIX_LEN_MAX}")),
            Some(("outstanding", count)) => work.outstanding = value::<u64>("outstanding", count)?.max(1),
            None if word == "lvb" => work.lvb = true,
            Some(_) | None => return Err(unexpected(word)),
        }
    }
    Ok(Command::Work(work))
}

/// A name is the prefix and a number.
const PREFIX_LEN_MAX: usize = 40;

fn cut(words: &mut Words<'_>) -> Result<Command, String> {
    let (mut to, mut every, mut lasting) = (None, None, None);
    while let Some(word) = words.next() {
        match word.split_once('=') {
            Some(("every", pause)) => every = Some(milliseconds("every", pause)?),
            Some(("for", time)) => lasting = Some(milliseconds("for", time)?),
            None if word == "off" => return Ok(Command::CutOff),
            Some(_) | None => to = Some(node(word)?),
        }
    }
    Ok(Command::Cut {
        node: to,
        every,
        lasting,
    })
}

fn lie(words: &mut Words<'_>) -> Result<Lie, String> {
    let what = words.need("what to lie about")?;
    if what == "off" {
        return Ok(Lie::Off);
    }
    let number = words.need("a number, or off")?;
    let off = number == "off";
    Ok(match what {
        "ack" => Lie::Ack(number_of(number)?),
        "slot" => Lie::Slot((!off).then(|| value("a slot", number)).transpose()?),
        "lvblen" => Lie::LvbLen((!off).then(|| number_of(number)).transpose()?),
        "lsflags" => Lie::LsFlags((!off).then(|| number_of(number)).transpose()?),
        "nodeid" => Lie::Node((!off).then(|| node(number)).transpose()?),
        other => {
            return Err(format!(
                "{other:?}: expected ack, slot, lvblen, lsflags, nodeid or off"
            ));
        }
    })
}

fn raw(words: &mut Words<'_>) -> Result<Command, String> {
    let first = words.need("hexadecimal digits")?;
    let (number, digits) = if first == "opts" {
        let seq = words.need("a number")?;
        let number = match seq.strip_prefix('+') {
            Some(ahead) => Number::Ahead(number_of(ahead)?),
            None => Number::Of(number_of(seq)?),
        };
        (Some(number), words.need("hexadecimal digits")?)
    } else {
        (None, first)
    };
    let bytes = from_hex(digits)?;
    if bytes.len() > RAW_BYTES_MAX {
        return Err(format!("{} bytes exceed limit {RAW_BYTES_MAX}", bytes.len()));
    }
    Ok(Command::Raw {
        node: words.maybe_node()?,
        bytes,
        number,
    })
}

fn value<T: FromStr>(what: &str, word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?}: expected {what}"))
}

/// A number of 32 bits, perhaps as 0x...
fn number_of(word: &str) -> Result<u32, String> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).map_err(|_| format!("{word:?}: expected a number")),
        None => value("a number", word),
    }
}

fn milliseconds(what: &str, word: &str) -> Result<Duration, String> {
    let count: u64 = value(what, word)?;
    if count == 0 {
        return Err(format!("{what}=0: expected milliseconds from 1 on"));
    }
    Ok(Duration::from_millis(count))
}

fn node(word: &str) -> Result<NodeId, String> {
    super::super::control::node_id(word).map_err(|expected| format!("{word:?}: {expected}"))
}

fn from_hex(digits: &str) -> Result<Vec<u8>, String> {
    super::super::node::order::from_hex(digits)
}

fn unexpected(word: impl Display) -> String {
    format!("{word}: not expected here")
}
