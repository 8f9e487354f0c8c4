//! The README's table of transports says what they can do.
//!
//! It is made here: `UPDATE_DOCS=1 cargo test --features sctp --test transports`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use dlmwire::transport::Capabilities;
use dlmwire::{sctp, tcp};

const BEGIN: &str = "<!-- made by tests/transports.rs -->\n";
const END: &str = "<!-- up to here -->\n";

#[test]
fn readme_says_what_the_transports_can_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("the README can be read");
    let (before, rest) = readme.split_once(BEGIN).expect("the table has a beginning");
    let (table, behind) = rest.split_once(END).expect("the table has an end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let made = made();
        fs::write(&path, format!("{before}{BEGIN}{made}{END}{behind}")).expect("the README can be written");
        return;
    }
    assert_eq!(
        table,
        made(),
        "README.md is stale: run UPDATE_DOCS=1 cargo test --features sctp --test transports"
    );
}

fn made() -> String {
    let mut table =
        "| `protocol` | a node's networks | half-close of a connection | written | an orderly end |\n\
         |---|---|---|---|---|\n"
            .to_owned();
    for (name, capabilities) in [("tcp", tcp::CAPABILITIES), ("sctp", sctp::CAPABILITIES)] {
        let Capabilities {
            half_close,
            record_bytes_max,
            multihomed,
            close_signal,
        } = capabilities;
        let networks = if multihomed {
            "several; a connection survives the loss of one"
        } else {
            "one"
        };
        let half = if half_close {
            "yes"
        } else {
            "no; DLM's `FIN` stands in for it"
        };
        let written = match record_bytes_max {
            Some(bytes) => format!("records of whole frames, up to {bytes} bytes"),
            None => "a stream of bytes".to_owned(),
        };
        let end = if close_signal {
            "told from a loss"
        } else {
            "looks like a loss"
        };
        let _ = writeln!(table, "| `{name}` | {networks} | {half} | {written} | {end} |");
    }
    table
}
