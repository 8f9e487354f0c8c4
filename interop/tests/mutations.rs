//! Sound captures, damaged as captures get damaged: packets missing, out of order, cut, one direction only. Whatever
//! is lost that way, no node may be accused of an error.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use dlmwire_interop::capture::{self, LinkType, Options, Packets};
use dlmwire_interop::check::{Checker, Known, Report, Severity};

/// A packet of a capture.
#[derive(Clone)]
struct Packet {
    nanos: u64,
    bytes: Vec<u8>,
    wire_len: u32,
}

/// SplitMix64: the same seed, the same mutation.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).expect("64 bits")).expect("below a usize")
    }
}

/// A way in which captures get damaged.
type Mutation = fn(&mut Vec<Packet>, &mut Random);

const MUTATIONS: &[(&str, Mutation)] = &[
    ("one packet missing", |packets, random| {
        let at = random.below(packets.len());
        packets.remove(at);
    }),
    ("a burst of packets missing", |packets, random| {
        let at = random.below(packets.len());
        let end = (at + 30).min(packets.len());
        packets.drain(at..end);
    }),
    ("2 % of the packets missing", |packets, random| {
        packets.retain(|_| random.below(50) != 0)
    }),
    ("neighbours swapped", |packets, random| {
        for _ in 0..packets.len() / 20 {
            let at = random.below(packets.len() - 1);
            packets.swap(at, at + 1);
        }
    }),
    ("begins in the middle", |packets, random| {
        let at = random.below(packets.len());
        packets.drain(..at);
    }),
    ("ends in the middle", |packets, random| {
        let at = random.below(packets.len());
        packets.truncate(at + 1);
    }),
    ("snap length 200", |packets, _| {
        packets.iter_mut().for_each(|packet| packet.bytes.truncate(200))
    }),
    ("snap length 1000", |packets, _| {
        packets.iter_mut().for_each(|packet| packet.bytes.truncate(1000))
    }),
    ("one direction only", |packets, _| {
        let first = packets.iter().find_map(source).expect("an IP packet").to_vec();
        packets.retain(|packet| source(packet).is_none_or(|address| address == first.as_slice()));
    }),
    ("every packet twice", |packets, _| {
        *packets = packets
            .iter()
            .flat_map(|packet| [packet.clone(), packet.clone()])
            .collect();
    }),
];

/// Runs per mutation and capture.
const RUNS: u64 = 8;

#[test]
fn damage_of_the_capture_is_no_error_of_a_node() {
    let mut accused = Vec::new();
    let mut judged = 0;
    for path in captures() {
        let packets = read(&path);
        for (number, (name, mutate)) in (0_u64..).zip(MUTATIONS) {
            for run in 0..RUNS {
                let seed = number * 1000 + run;
                let mut damaged = packets.clone();
                mutate(&mut damaged, &mut Random(seed));
                let report = check(&damaged);
                judged += u64::from(report.judged());
                let errors = report
                    .findings
                    .iter()
                    .filter(|finding| finding.severity == Severity::Error);
                let errors: Vec<String> = errors
                    .map(|finding| format!("{} {} {:?}", finding.rule.id, finding.text, finding.packets))
                    .collect();
                if let [first, ..] = errors.as_slice() {
                    let file = path.file_name().unwrap_or_default().to_string_lossy();
                    accused.push(format!(
                        "{file}, {name}, seed {seed}: {} errors: {first}",
                        errors.len()
                    ));
                }
            }
        }
    }
    assert!(judged > 500, "{judged} damaged captures had frames");
    assert!(
        accused.is_empty(),
        "{} of them:\n{}",
        accused.len(),
        accused.join("\n")
    );
}

/// What a capture lacks is said, by the rules for it.
#[test]
fn damage_of_the_capture_is_told() {
    let told = |mutation: &str, rule: &str| {
        let (_, mutate) = MUTATIONS
            .iter()
            .find(|(name, _)| *name == mutation)
            .expect("such a mutation");
        let told = captures().iter().any(|path| {
            let mut damaged = read(path);
            mutate(&mut damaged, &mut Random(7));
            check(&damaged).summary.rules.contains_key(rule)
        });
        assert!(told, "{mutation} does not show {rule} in any capture");
    };
    told("a burst of packets missing", "DLM-CAP-001");
    told("begins in the middle", "DLM-CAP-002");
    told("snap length 200", "DLM-CAP-003");
    told("every packet twice", "DLM-CAP-004");
    told("2 % of the packets missing", "DLM-CAP-006");
}

/// The same engine of mutations finds a real error: otherwise the test above could not fail.
#[test]
fn a_node_that_lies_is_still_accused() {
    let path = captures()
        .into_iter()
        .find(|path| path.to_string_lossy().contains("tcp-3.2-linux7.2-2node"));
    let mut packets = read(&path.expect("a shipped capture"));
    let mut changed = 0;
    for packet in &mut packets {
        // The first payload bytes of a segment that begins with an OPTS: the node id in its header.
        let payload = 14 + 20 + 32;
        let Some(head) = packet.bytes.get_mut(payload..payload + 16) else {
            continue;
        };
        if head[..4] == [2, 0, 3, 0] && head[14] == 3 {
            head[8] = 77;
            changed += 1;
        }
    }
    assert!(changed > 0);
    assert!(check(&packets).findings.count(Severity::Error) > 0);
}

/// All shipped captures but the one in which a kernel does lose messages.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let files = std::fs::read_dir(folder)
        .expect("captures")
        .map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(".pcap") && !name.contains("linux7.2-aborts")
        })
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Vec<Packet> {
    let mut packets = Packets::open(path).expect("a shipped capture");
    let mut list = Vec::new();
    while let Ok(packet) = packets.next() {
        assert_eq!(packet.link_type, LinkType::Ethernet);
        list.push(Packet {
            nanos: packet.stamp.time.as_nanos(),
            bytes: packet.data.to_vec(),
            wire_len: packet.wire_len,
        });
    }
    list
}

/// The sender's IP address.
fn source(packet: &Packet) -> Option<&[u8]> {
    match packet.bytes.get(12..14)? {
        [0x08, 0x00] => packet.bytes.get(26..30),
        [0x86, 0xdd] => packet.bytes.get(22..38),
        _ => None,
    }
}

fn check(packets: &[Packet]) -> Report {
    let mut file = Vec::new();
    for word in [0xa1b2_3c4d, 0x0004_0002, 0, 0, 262_144, 1_u32] {
        file.extend(word.to_le_bytes());
    }
    for packet in packets {
        let seconds = u32::try_from(packet.nanos / 1_000_000_000).expect("before 2106");
        let fraction = u32::try_from(packet.nanos % 1_000_000_000).expect("below a second");
        let kept = u32::try_from(packet.bytes.len()).expect("a packet's length");
        for word in [seconds, fraction, kept, packet.wire_len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(&packet.bytes);
    }
    let mut checker = Checker::new(&Known::default());
    let summary = capture::read(Cursor::new(file), &Options::default(), &mut checker).expect("a capture");
    checker.finish(&summary)
}
