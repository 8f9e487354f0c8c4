//! The node list of a cluster's `corosync.conf`.
//!
//! ```text
//! nodelist {
//!     node {
//!         ring0_addr: 10.0.0.1
//!         ring1_addr: 10.0.1.1
//!         name: alpha
//!         nodeid: 1
//!     }
//! }
//! ```
//!
//! Addresses have to be numbers: identity is the address here, so none is looked up by name.

use std::net::IpAddr;
use std::path::Path;

use dlmwire_codec::NodeId;

use super::conf_lines::{lines, read_text};
use super::error::{FileError, Flaw};
use super::file::Member;

/// Reads the nodes of `/etc/corosync/corosync.conf` or a file like it, in the order of the file.
///
/// # Errors
///
/// The first line that makes no sense, a node without `nodeid` or `ring0_addr`, or braces that do not match.
pub fn read_corosync_conf(path: &Path) -> Result<Vec<Member>, FileError> {
    parse(&read_text(path)?, path)
}

/// A node while its section is read.
#[derive(Default)]
struct Draft {
    line: usize,
    node: Option<NodeId>,
    name: Option<String>,
    rings: Vec<(String, IpAddr)>,
}

fn parse(text: &str, path: &Path) -> Result<Vec<Member>, FileError> {
    let mut members = Vec::new();
    let mut sections: Vec<&str> = Vec::new();
    let mut draft = Draft::default();
    for (at, line) in lines(text) {
        let syntax = |message: &str| FileError::new(path, Some(at), Flaw::Syntax(message.to_owned()));
        if let Some(name) = line.strip_suffix('{') {
            sections.push(name.trim());
            if in_node(&sections) {
                draft = Draft {
                    line: at,
                    ..Draft::default()
                };
            }
        } else if line == "}" {
            if in_node(&sections) {
                members.push(std::mem::take(&mut draft).finish(path)?);
            }
            sections.pop().ok_or_else(|| syntax("} without {"))?;
        } else if in_node(&sections) {
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| syntax("expected key: value"))?;
            draft.set(key.trim(), value.trim(), path, at)?;
        }
    }
    if let Some(open) = sections.last() {
        let message = format!("section {open} is not closed");
        return Err(FileError::new(path, None, Flaw::Syntax(message)));
    }
    Ok(members)
}

fn in_node(sections: &[&str]) -> bool {
    sections == ["nodelist", "node"]
}

impl Draft {
    fn set(&mut self, key: &str, value: &str, path: &Path, at: usize) -> Result<(), FileError> {
        let flaw = |expected| {
            let (key, value) = (key.to_owned(), value.to_owned());
            FileError::new(path, Some(at), Flaw::Value { key, value, expected })
        };
        match key {
            "nodeid" => {
                let id = value.parse().ok().and_then(NodeId::new);
                self.node = Some(id.ok_or_else(|| flaw("a node id from 1 on"))?);
            }
            "name" => self.name = Some(value.to_owned()),
            key if key.starts_with("ring") && key.ends_with("_addr") => {
                let address = value.parse().map_err(|_| flaw("an IPv4 or IPv6 address"))?;
                self.rings.push((key.to_owned(), address));
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<Member, FileError> {
        let missing = |key| FileError::new(path, Some(self.line), Flaw::Missing { key });
        let node = self.node.ok_or_else(|| missing("nodeid"))?;
        if self.rings.is_empty() {
            return Err(missing("ring0_addr"));
        }
        self.rings.sort_by(|a, b| a.0.cmp(&b.0));
        let addresses = self.rings.into_iter().map(|(_, address)| address).collect();
        Ok(Member {
            node,
            name: self.name,
            addresses,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Member>, String> {
        parse(text, Path::new("corosync.conf")).map_err(|error| error.to_string())
    }

    #[test]
    fn nodes_are_read_with_rings_in_order_and_other_sections_skipped() {
        let text = "totem {\n  version: 2\n  interface {\n    ringnumber: 0\n  }\n}\n# nodes\nnodelist {\n  node {\n    \
                    ring1_addr: 10.0.1.1\n    ring0_addr: 10.0.0.1\n    nodeid: 1\n    name: alpha\n  }\n  node {\n    \
                    ring0_addr: 10.0.0.2\n    nodeid: 2\n  }\n}\n";
        let members = parsed(text).unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].node, NodeId::new(1).unwrap());
        assert_eq!(members[0].name.as_deref(), Some("alpha"));
        assert_eq!(
            members[0].addresses,
            ["10.0.0.1".parse::<IpAddr>().unwrap(), "10.0.1.1".parse().unwrap()]
        );
        assert_eq!(members[1].addresses.len(), 1);
    }

    #[test]
    fn flaws_name_file_line_key_and_value() {
        let node = |body: &str| format!("nodelist {{\nnode {{\n{body}\n}}\n}}\n");
        for (text, message) in [
            (
                node("nodeid: 0"),
                "corosync.conf:3: nodeid = 0: expected a node id from 1 on",
            ),
            (
                node("ring0_addr: host1"),
                "corosync.conf:3: ring0_addr = host1: expected an IPv4 or IPv6 address",
            ),
            (node("ring0_addr: 10.0.0.1"), "corosync.conf:2: nodeid is missing"),
            (node("nodeid: 1"), "corosync.conf:2: ring0_addr is missing"),
            (node("nodeid 1"), "corosync.conf:3: expected key: value"),
            ("}\n".to_owned(), "corosync.conf:1: } without {"),
            (
                "nodelist {\n".to_owned(),
                "corosync.conf: section nodelist is not closed",
            ),
        ] {
            assert_eq!(parsed(&text), Err(message.to_owned()), "{text}");
        }
    }
}
