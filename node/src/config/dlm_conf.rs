//! The part of a cluster's `dlm.conf` that concerns messaging.
//!
//! | key | meaning |
//! |---|---|
//! | `protocol` | `tcp` (or 0), `sctp` (or 1), `detect` (or 2): by the number of addresses per node |
//! | `mark` | `SO_MARK` of all sockets, decimal or `0x` hexadecimal |
//! | `log_debug` | 0 or 1 |
//! | `node id=N mark=M` | a node's own mark |
//!
//! Everything else in the file (fencing, lockspaces, `dlm_controld`'s own settings) is left to its owner.

use std::collections::BTreeMap;
use std::path::Path;

use dlmwire_codec::NodeId;

use super::conf_lines::{lines, read_text};
use super::error::{FileError, Flaw};
use super::file::Protocol;

/// What `dlm.conf` says about messaging; `None` for what it does not say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DlmConf {
    /// `protocol`.
    pub protocol: Option<Protocol>,
    /// `mark`.
    pub mark: Option<u32>,
    /// `log_debug`.
    pub log_debug: Option<bool>,
    /// Marks of single nodes.
    pub node_marks: BTreeMap<NodeId, u32>,
}

/// Reads `/etc/dlm/dlm.conf` or a file like it.
///
/// # Errors
///
/// The first line whose value makes no sense.
pub fn read_dlm_conf(path: &Path) -> Result<DlmConf, FileError> {
    parse(&read_text(path)?, path)
}

fn parse(text: &str, path: &Path) -> Result<DlmConf, FileError> {
    let mut conf = DlmConf::default();
    for (at, line) in lines(text) {
        let flaw = |key: &str, value: &str, expected| {
            let (key, value) = (key.to_owned(), value.to_owned());
            FileError::new(path, Some(at), Flaw::Value { key, value, expected })
        };
        if let Some(words) = line.strip_prefix("node ") {
            let (node, mark) = node_line(words).map_err(|word| flaw("node", word, "id=NODEID mark=MARK"))?;
            conf.node_marks.insert(node, mark);
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "protocol" => {
                let protocol = Protocol::from_dlm_conf(value);
                conf.protocol = Some(protocol.ok_or_else(|| flaw(key, value, "tcp, sctp or detect"))?);
            }
            "mark" => conf.mark = Some(mark(value).ok_or_else(|| flaw(key, value, "a number below 2^32"))?),
            "log_debug" => {
                conf.log_debug = Some(match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(flaw(key, value, "0 or 1")),
                });
            }
            _ => {}
        }
    }
    Ok(conf)
}

/// `id=N mark=M`, or the word that makes no sense.
fn node_line(words: &str) -> Result<(NodeId, u32), &str> {
    let mut node = None;
    let mut own_mark = 0;
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("id", id)) => node = Some(id.parse().ok().and_then(NodeId::new).ok_or(word)?),
            Some(("mark", value)) => own_mark = mark(value).ok_or(word)?,
            _ => return Err(word),
        }
    }
    node.map(|node| (node, own_mark)).ok_or(words)
}

/// A number, decimal or hexadecimal.
fn mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<DlmConf, String> {
        parse(text, Path::new("dlm.conf")).map_err(|error| error.to_string())
    }

    #[test]
    fn known_keys_are_read_and_others_left_alone() {
        let text = "# cluster\nlog_debug=1\npost_join_delay=10\nprotocol = sctp # both rings\nmark=0x10\n\n\
                    node id=2 mark=7\ndevice apc fence_apc ipaddr=1.1.1.1\nconnect apc node=1 port=1\n";
        let conf = parsed(text).unwrap();
        assert_eq!(conf.protocol, Some(Protocol::Sctp));
        assert_eq!((conf.mark, conf.log_debug), (Some(16), Some(true)));
        assert_eq!(conf.node_marks, BTreeMap::from([(NodeId::new(2).unwrap(), 7)]));
    }

    #[test]
    fn senseless_values_name_file_line_key_and_value() {
        for (text, message) in [
            (
                "\nprotocol=udp",
                "dlm.conf:2: protocol = udp: expected tcp, sctp or detect",
            ),
            ("mark=-1", "dlm.conf:1: mark = -1: expected a number below 2^32"),
            ("log_debug=yes", "dlm.conf:1: log_debug = yes: expected 0 or 1"),
            (
                "node id=0",
                "dlm.conf:1: node = id=0: expected id=NODEID mark=MARK",
            ),
            (
                "node mark=1",
                "dlm.conf:1: node = mark=1: expected id=NODEID mark=MARK",
            ),
        ] {
            assert_eq!(parsed(text), Err(message.to_owned()), "{text}");
        }
    }
}
