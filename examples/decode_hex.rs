//! Takes a hex dump of DLM frames apart: `cargo run --example decode_hex`, or with the digits as arguments.

use dlmwire::codec::{Frame, Inner, Limits, Split, split};

/// OPTS number 41 around a REQUEST for an EX lock on "test1", then an ACK of everything before 7.
const DUMP: &str = "
    02 00 03 00 29 00 00 00  01 00 00 00 75 00 03 00  01 00 00 00 00 00 00 00
    02 00 03 00 52 7a 1f 6b  01 00 00 00 5d 00 01 00  01 00 00 00 02 00 00 00
    d2 04 00 00 01 00 00 00  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    00 00 00 00 01 00 00 00  00 00 00 00 96 cf 63 89  00 00 00 00 ff ff ff ff
    05 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00  74 65 73 74 31
    02 00 03 00 07 00 00 00  02 00 00 00 10 00 04 00";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: String = std::env::args().skip(1).collect();
    let dump = if arguments.is_empty() { DUMP } else { &arguments };
    let bytes = bytes_of(dump)?;

    let mut rest = &bytes[..];
    loop {
        match split(rest, Limits::KERNEL) {
            Split::Frame { frame, rest: behind } => {
                rest = behind;
                match frame.decode() {
                    Ok(frame) => tell(&frame),
                    // One unreadable frame says nothing about the next.
                    Err(error) => println!("skipped: {error}"),
                }
            }
            Split::NeedMore { .. } if rest.is_empty() => return Ok(()),
            Split::NeedMore { missing } => {
                return Err(format!("{missing} bytes are missing at the end").into());
            }
            Split::Lost(error) => return Err(format!("no frame can be found any more: {error}").into()),
        }
    }
}

fn tell(frame: &Frame<'_>) {
    let (version, node) = (frame.version(), frame.node());
    match frame {
        Frame::Opts(opts) => match &opts.inner {
            Ok(Inner::Msg(msg)) => println!(
                "{version} node {node}: number {}, {} on {:?}",
                opts.seq,
                msg.msg_type(),
                String::from_utf8_lossy(msg.extra())
            ),
            Ok(Inner::Rcom(rcom)) => {
                println!("{version} node {node}: number {}, {}", opts.seq, rcom.rcom_type())
            }
            Ok(Inner::Fin) => println!("{version} node {node}: number {}, FIN", opts.seq),
            Err(error) => println!("{version} node {node}: number {}, unreadable: {error}", opts.seq),
        },
        Frame::Msg(msg) => println!("{version} node {node}: bare {}", msg.msg_type()),
        Frame::Rcom(rcom) => println!("{version} node {node}: bare {}", rcom.rcom_type()),
        Frame::Ack(ack) => println!("{version} node {node}: ACK, {} is expected next", ack.seq),
    }
}

fn bytes_of(dump: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<char> = dump
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair: String = pair.iter().collect();
            u8::from_str_radix(&pair, 16).map_err(|_| format!("not a byte in hexadecimal: {pair:?}"))
        })
        .collect()
}
